/** What is around every screen: navigation, search, the environment, and the operator’s menu. */
import { Link, Outlet, useNavigate, useRouter } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useMemo, useState } from 'react'
import { isOffline, postOwn } from './api.ts'
import { changeSetting, useKeys, useSetting } from './keys.ts'
import { Button, buttonClass, Check, Choices, Tag } from './parts/controls.tsx'
import { Icon, type IconName } from './parts/icon.tsx'
import { Dialog, Popover, useClosePopover } from './parts/popups.tsx'
import { Failed } from './parts/states.tsx'
import { useNow } from './parts/time.tsx'
import { Search } from './search.tsx'
import { SessionProvider, useSession } from './session.tsx'
import { role } from './text/en.ts'

const SignInAgain = lazy(() => import('./screens/sign-in-again.tsx'))

interface Place {
  to: '/live' | '/act' | '/audit' | '/users' | '/policy' | '/settings'
  label: string
  icon: IconName
  key: string
  /** The operation that the screen needs. */
  needs: string
}

const PLACES: readonly Place[] = [
  { to: '/live', label: 'Live', icon: 'live', key: 'l', needs: '' },
  { to: '/act', label: 'Act', icon: 'act', key: 'a', needs: 'CreateActorToken' },
  { to: '/audit', label: 'Audit', icon: 'audit', key: 't', needs: 'GetAuditEventList' },
  { to: '/users', label: 'Users', icon: 'users', key: 'u', needs: 'GetUserList' },
  { to: '/policy', label: 'Policy', icon: 'policy', key: 'p', needs: 'GetPolicy' },
  { to: '/settings', label: 'Settings', icon: 'settings', key: 's', needs: 'GetSecretKeyList' },
]

/** How many places the bottom bar shows; the others are in its menu. */
const IN_BAR = 4

export function Shell() {
  return (
    <SessionProvider
      ask={asked => (
        <Suspense>
          <SignInAgain {...asked} />
        </Suspense>
      )}
    >
      <Frame />
    </SessionProvider>
  )
}

function Frame() {
  const { me, may } = useSession()
  const places = PLACES.filter(({ needs }) => needs === '' || may(needs))
  const [help, setHelp] = useState(false)
  const navigate = useNavigate()
  const keys = useMemo(
    () => ({
      ...Object.fromEntries(PLACES.map(({ key, to }) => [`g ${key}`, () => void navigate({ to: to as never })])),
      '?': () => setHelp(true),
    }),
    [navigate],
  )
  useKeys(keys)
  useEffect(() => {
    document.title = 'Stagedoor'
  }, [])
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <aside className="side">
        <Logo />
        <nav aria-label="Screens">
          {places.map(place => (
            <Link key={place.to} to={place.to as never} className="place" activeProps={{ className: 'place here' }}>
              <Icon name={place.icon} size={18} />
              {place.label}
            </Link>
          ))}
        </nav>
      </aside>
      <header className="top">
        <span className="top-logo">
          <Logo />
        </span>
        <Search />
        <div className="bar push top-end">
          {me.settings.environment === 'development' && <Tag>Development</Tag>}
          <OperatorMenu onHelp={() => setHelp(true)} />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <Outlet />
      </main>
      <nav className="bottom" aria-label="Screens">
        {places.slice(0, IN_BAR).map(place => (
          <Link key={place.to} to={place.to as never} className="place" activeProps={{ className: 'place here' }}>
            <Icon name={place.icon} size={20} />
            {place.label}
          </Link>
        ))}
        {places.length > IN_BAR && <MorePlaces places={places.slice(IN_BAR)} />}
      </nav>
      <EndsSoon />
      <Keys open={help} onClose={() => setHelp(false)} places={places} />
    </div>
  )
}

export function Logo() {
  return (
    <Link to={'/live' as never} className="logo" aria-label="Stagedoor: Live">
      <svg width="24" height="24" viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" className="logo-back" />
        <path d="M10 26V8.5A2.5 2.5 0 0 1 12.5 6H22v20z" className="logo-door" />
        <circle cx="18.2" cy="16" r="1.6" className="logo-back" />
      </svg>
      <span>Stagedoor</span>
    </Link>
  )
}

function MorePlaces({ places }: { places: readonly Place[] }) {
  return (
    <Popover
      className="menu"
      label="More screens"
      trigger={
        <button type="button" className="place">
          <Icon name="more" size={20} />
          More
        </button>
      }
    >
      <MoreLinks places={places} />
    </Popover>
  )
}

function MoreLinks({ places }: { places: readonly Place[] }) {
  const close = useClosePopover()
  return places.map(({ to, label, icon }) => (
    <Link key={to} to={to as never} className="menu-item" onClick={close}>
      <Icon name={icon} />
      {label}
    </Link>
  ))
}

const THEMES = [
  { value: 'system', label: 'System', icon: 'monitor' },
  { value: 'light', label: 'Light', icon: 'sun' },
  { value: 'dark', label: 'Dark', icon: 'moon' },
] as const

function OperatorMenu({ onHelp }: { onHelp(): void }) {
  const { me } = useSession()
  const name = me.operator.name ?? me.operator.email ?? me.operator.sub
  return (
    <Popover
      className="menu"
      label="You and this page"
      trigger={
        <button type="button" className="button quiet operator">
          <span className="avatar" aria-hidden="true">
            {name.charAt(0).toUpperCase()}
          </span>
          <span className="operator-name">{name}</span>
          <span className="hidden">: menu</span>
          <Icon name="down" size={14} />
        </button>
      }
    >
      <OperatorItems name={name} onHelp={onHelp} />
    </Popover>
  )
}

function OperatorItems({ name, onHelp }: { name: string; onHelp(): void }) {
  const { me } = useSession()
  const close = useClosePopover()
  const theme = useSetting('theme')
  const density = useSetting('density')
  const keys = useSetting('keys')
  return (
    <>
      <div className="menu-head">
        <span className="strong">{name}</span>
        <span className="meta">
          {me.operator.email && me.operator.email !== name ? `${me.operator.email} · ` : ''}
          {role[me.role]}
        </span>
      </div>
      <hr />
      <div className="menu-settings">
        <Choices
          legend="Theme"
          hideLegend
          choices={THEMES}
          value={theme as 'system'}
          onChange={value => changeSetting('theme', value)}
        />
        <Check
          label="Dense rows"
          checked={density === 'dense'}
          onChange={event => changeSetting('density', event.target.checked ? 'dense' : 'comfortable')}
        />
        <Check
          label="Single-letter keys"
          checked={keys === 'on'}
          onChange={event => changeSetting('keys', event.target.checked ? 'on' : 'off')}
        />
      </div>
      <hr />
      <button
        type="button"
        className="menu-item"
        onClick={() => {
          close()
          onHelp()
        }}
      >
        <Icon name="keyboard" />
        All keys
      </button>
      <Link to={'/sessions' as never} className="menu-item" onClick={close}>
        <Icon name="monitor" />
        My sessions
      </Link>
      <button type="button" className="menu-item" onClick={() => void signOut()}>
        <Icon name="signout" />
        Sign out
      </button>
    </>
  )
}

/** Ends the operator’s session and leaves nothing of it in the page. */
async function signOut(): Promise<void> {
  await postOwn('/logout', {}).catch(() => {})
  location.replace('/console/sign-in')
}

/** Warns once, a minute before the session ends. */
function EndsSoon() {
  const { me } = useSession()
  const left = Math.min(me.expires_at, me.idle_expires_at) - useNow()
  return (
    <div className="hidden" role="alert">
      {left > 0 && left < 60_000 ? 'Your session ends in 1 minute.' : ''}
    </div>
  )
}

function Keys({ open, onClose, places }: { open: boolean; onClose(): void; places: readonly Place[] }) {
  const keys: readonly (readonly [readonly string[], string])[] = [
    [['/'], 'Search'],
    [['Ctrl', 'K'], 'Search'],
    ...places.map(({ key, label }) => [['g', key], label] as const),
    [['j'], 'Next row'],
    [['k'], 'Previous row'],
    [['Enter'], 'Open the row'],
    [['x'], 'Select the row'],
    [['Esc'], 'Close or go back'],
    [['?'], 'These keys'],
  ]
  return (
    <Dialog title="Keys" open={open} onClose={onClose}>
      <dl className="keys">
        {keys.map(([names, what]) => (
          <div key={names.join(' ')}>
            <dt>
              {names.map(name => (
                <kbd key={name}>{name}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p className="meta">Single letters can be switched off in your menu, top right.</p>
    </Dialog>
  )
}

export function NotFound() {
  return (
    <main className="alone">
      <h1>This page does not exist</h1>
      <p className="dim">The link may be old, or part of it is missing.</p>
      <Link to={'/live' as never} className={buttonClass('primary')}>
        Go to Live
      </Link>
    </main>
  )
}

/** The page when the server does not say who is signed in. */
export function ShellError({ error }: { error: unknown }) {
  const router = useRouter()
  return (
    <main className="alone">
      {isOffline(error) ? (
        <>
          <Icon name="offline" size={32} />
          <h1>The server does not answer</h1>
          <p className="dim">Acting sessions continue. Check your connection, then try again.</p>
          <Button look="primary" icon="refresh" onClick={() => void router.invalidate()}>
            Try again
          </Button>
        </>
      ) : (
        <Failed what="The console could not start." error={error} again={() => void router.invalidate()} />
      )}
    </main>
  )
}
