/** One user: who acted as them, their own sessions, and what stops that. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useParams, useSearch } from '@tanstack/react-router'
import { lazy, Suspense, useState } from 'react'
import { ApiError, api } from '../api.ts'
import { actorDetail, actorName, emailOf, isAgent, shortName, userName } from '../format.ts'
import { Button, buttonClass, Facts, Id, Note, Tabs, Tag, type Tone, Who } from '../parts/controls.tsx'
import type { IconName } from '../parts/icon.tsx'
import { Dialog } from '../parts/popups.tsx'
import { Reveal, type Revealed, useRevealed } from '../parts/reveal.tsx'
import { Empty, Failed, Forbidden, Loading, Title, Wrong } from '../parts/states.tsx'
import { Table } from '../parts/table.tsx'
import { Ago, TimeLeft } from '../parts/time.tsx'
import type { Search } from '../router.tsx'
import { useSession } from '../session.tsx'
import { reveal } from '../text/en.ts'
import type { Page, Session, User } from '../wire.ts'
import { AccessTag, Reason } from './live.tsx'
import { States } from './users.tsx'

const KillSwitch = lazy(() => import('./kill-switch.tsx'))

const TABS = [
  ['history', 'Acting history'],
  ['own', 'Own sessions'],
  ['metadata', 'Metadata'],
] as const

export default function UserScreen() {
  const { may } = useSession()
  const { id = '' } = useParams({ strict: false }) as { id?: string }
  const {
    data: user,
    error,
    refetch,
  } = useQuery({
    queryKey: ['user', id],
    enabled: may('GetUser'),
    queryFn: ({ signal }) => api.get<User>(`/v1/users/${encodeURIComponent(id)}`, {}, signal),
  })
  if (!may('GetUser')) return <Forbidden title="User" roles={['viewer', 'support', 'approver', 'admin']} />
  const gone = error instanceof ApiError && error.status === 404
  return (
    <div className="stack">
      <Link to={'/users' as never} className="back">
        Users
      </Link>
      {user && <Known key={user.id} user={user} />}
      {gone && <Gone id={id} />}
      {!user &&
        !gone &&
        (error ? (
          <Failed what="The user could not be read." error={error} again={() => void refetch()} />
        ) : (
          <Loading what="Loading the user" />
        ))}
    </div>
  )
}

function Known({ user }: { user: User }) {
  const { tab = 'history' } = useSearch({ strict: false }) as Search
  const { may } = useSession()
  const revealed = useRevealed(`/v1/users/${user.id}`, user)
  const { shown } = revealed
  return (
    <>
      <Title title={userName(shown)} count={<States user={user} />}>
        {may('CreateActorToken') && !user.banned && !user.locked && (
          <Link to={'/act' as never} search={{ user: user.id } as never} className={buttonClass('primary')}>
            Act as {shortName(user)}
          </Link>
        )}
        <Actions user={user} />
      </Title>
      <div className="card padded">
        <Facts
          facts={[
            [
              'E-mail',
              <span key="email" className="bar">
                {emailOf(shown) ?? <span className="dim">None</span>}
                <Reveal of={revealed} label={reveal.user} />
              </span>,
            ],
            shown.external_id !== null && [
              'External ID',
              <span key="external" className="id">
                {shown.external_id}
              </span>,
            ],
            ['ID', <Id key="id" id={user.id} />],
            ['Created', <Ago key="created" at={user.created_at} />],
            user.last_sign_in_at !== null && ['Last sign-in', <Ago key="last" at={user.last_sign_in_at} />],
          ]}
        />
      </div>
      <Tabs label="About this user" tabs={TABS} current={tab} />
      {tab === 'history' && <History id={user.id} />}
      {tab === 'own' && <OwnSessions id={user.id} />}
      {tab === 'metadata' && <Metadata revealed={revealed} />}
    </>
  )
}

/** The user was deleted: what others did as them stays. */
function Gone({ id }: { id: string }) {
  return (
    <>
      <Title title="A user who is not here" count={<span className="id">{id}</span>} />
      <Note tone="dim" icon="info">
        The server does not know this user. If the user was deleted, the history below stays.
      </Note>
      <History id={id} />
    </>
  )
}

interface Change {
  verb: 'ban' | 'unban' | 'lock' | 'unlock'
  operation: string
  label: string
  effect: string
}

function changesFor(user: User): Change[] {
  return [
    user.locked
      ? { verb: 'unlock', operation: 'UnlockUser', label: 'Unlock', effect: 'Existing sessions can be used again.' }
      : {
          verb: 'lock',
          operation: 'LockUser',
          label: 'Lock',
          effect: 'While the user is locked, no session can be started as them, and no token is issued.',
        },
    user.banned
      ? { verb: 'unban', operation: 'UnbanUser', label: 'Lift the ban', effect: 'The user can sign in again.' }
      : {
          verb: 'ban',
          operation: 'BanUser',
          label: 'Ban',
          effect: 'All sessions of the user end, and those in which the user acts.',
        },
  ]
}

function Actions({ user }: { user: User }) {
  const { may, withStepUp } = useSession()
  const client = useQueryClient()
  const [asked, setAsked] = useState<Change>()
  const [ending, setEnding] = useState(false)
  const change = useMutation({
    mutationFn: ({ verb }: Change) => withStepUp(() => api.post<User>(`/v1/users/${user.id}/${verb}`)),
    onSuccess: changed => {
      client.setQueryData(['user', user.id], changed)
      setAsked(undefined)
    },
  })
  return (
    <>
      {may('RevokeAllSessions') && <Button onClick={() => setEnding(true)}>End all sessions</Button>}
      {changesFor(user)
        .filter(({ operation }) => may(operation))
        .map(each => (
          <Button key={each.verb} look={/^un/.test(each.verb) ? 'plain' : 'stop-quiet'} onClick={() => setAsked(each)}>
            {each.label}
          </Button>
        ))}
      {ending && (
        <Suspense>
          <KillSwitch rows={[]} user={{ id: user.id, name: userName(user) }} onClose={() => setEnding(false)} />
        </Suspense>
      )}
      <Dialog
        title={`${asked?.label}: ${userName(user)}`}
        lead={asked?.effect}
        open={asked !== undefined}
        onClose={() => setAsked(undefined)}
      >
        <Wrong error={change.error} />
        <div className="bar end">
          <Button onClick={() => setAsked(undefined)}>Cancel</Button>
          <Button
            look="stop"
            busy={change.isPending}
            disabled={change.isPending}
            onClick={() => asked && change.mutate(asked)}
          >
            {asked?.label}
          </Button>
        </div>
      </Dialog>
    </>
  )
}

function useSessions(id: string) {
  return useQuery({
    queryKey: ['sessions', 'of', id],
    queryFn: ({ signal }) =>
      api.get<Page<Session>>('/v1/sessions', { user_id: id, limit: 100, paginated: true }, signal),
  })
}

const STATUS: Record<string, [Tone, IconName, string]> = {
  active: ['acting', 'live', 'Active'],
  revoked: ['stop', 'stop', 'Ended early'],
  ended: ['dim', 'check', 'Ended'],
  removed: ['dim', 'check', 'Ended'],
  expired: ['dim', 'clock', 'Expired'],
  abandoned: ['dim', 'clock', 'Not used'],
}

function Status({ status }: { status: string }) {
  const [tone, icon, label] = STATUS[status] ?? ['dim', 'info', status]
  return (
    <Tag tone={tone as Tone} icon={icon as IconName}>
      {label}
    </Tag>
  )
}

function History({ id }: { id: string }) {
  const { data, error, refetch } = useSessions(id)
  if (!data)
    return error ? (
      <Failed what="The sessions could not be read." error={error} again={() => void refetch()} />
    ) : (
      <Loading rows={3} />
    )
  const rows = data.data.filter(({ actor }) => actor !== null)
  if (rows.length === 0)
    return (
      <Empty icon="act" title="Nobody has acted as this user.">
        <p className="dim">Every session in which somebody does is listed here.</p>
      </Empty>
    )
  return (
    <Table
      caption="Sessions of actors who acted as this user"
      rows={rows}
      idOf={row => row.id}
      columns={[
        {
          head: 'Actor',
          className: 'who-cell',
          cell: ({ actor }) =>
            actor && <Who name={actorName(actor)} detail={actorDetail(actor)} agent={isAgent(actor)} />,
        },
        { head: 'Reason', className: 'wide-cell', cell: row => <Reason session={row} /> },
        {
          head: 'Access',
          cell: row => row.access && <AccessTag session={{ access: row.access, scopes: row.scopes }} />,
        },
        { head: 'Status', cell: row => <Status status={row.status} /> },
        { head: 'Began', className: 'nowrap', cell: row => <Ago at={row.created_at} /> },
      ]}
    />
  )
}

function OwnSessions({ id }: { id: string }) {
  const { data, error, refetch } = useSessions(id)
  if (!data)
    return error ? (
      <Failed what="The sessions could not be read." error={error} again={() => void refetch()} />
    ) : (
      <Loading rows={3} />
    )
  const rows = data.data.filter(({ actor }) => actor === null)
  if (rows.length === 0)
    return (
      <Empty icon="monitor" title="This user has no session of their own here.">
        <p className="dim">If your app keeps its own login, the user’s sessions are in your app.</p>
      </Empty>
    )
  return (
    <Table
      caption="The user’s own sessions"
      rows={rows}
      idOf={row => row.id}
      columns={[
        { head: 'Session', cell: row => <span className="id">{row.id}</span> },
        { head: 'Status', cell: row => <Status status={row.status} /> },
        { head: 'Last used', className: 'nowrap', cell: row => <Ago at={row.last_active_at} /> },
        {
          head: 'Time left',
          className: 'number',
          cell: row => (row.status === 'active' ? <TimeLeft until={row.expire_at} /> : <span className="dim">–</span>),
        },
      ]}
    />
  )
}

function Metadata({ revealed }: { revealed: Revealed<User> }) {
  const [opened, setOpened] = useState(false)
  const { shown: user, isMasked, wasAsked } = revealed
  const block = (value: object) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable with the keyboard
    <pre tabIndex={0}>{JSON.stringify(value, null, 2)}</pre>
  )
  return (
    <div className="stack">
      <section className="stack-tight">
        <h2>Public</h2>
        {block(user.public_metadata)}
      </section>
      <section className="stack-tight">
        <h2>Private</h2>
        {isMasked || wasAsked ? (
          <>
            {block(user.private_metadata)}
            <span className="bar">
              <Reveal of={revealed} label={reveal.metadata} />
            </span>
          </>
        ) : opened ? (
          block(user.private_metadata)
        ) : (
          <div className="card padded spread">
            <span className="dim">Only your backend reads these.</span>
            <Button icon="eye" onClick={() => setOpened(true)}>
              {reveal.show}
            </Button>
          </div>
        )}
      </section>
    </div>
  )
}
