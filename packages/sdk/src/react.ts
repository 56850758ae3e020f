'use client'
/** `<ActingBanner/>`: the banner, for React 18 and later. Can be rendered on servers; comes to life in the browser. */
import { createElement, type ReactElement, useEffect, useRef } from 'react'
import type { BannerActor, BannerLabels, ClerkLike, StagedoorBanner } from './banner.ts'

/** Without `actor` it follows Clerk. Give `actor`, null while nobody is acting, if your app knows by itself. */
export interface ActingBannerProps {
  /** clerk-js or what `useClerk()` returns; `window.Clerk` unless given. */
  clerk?: ClerkLike | undefined
  actor?: BannerActor | null | undefined
  session?: string | null | undefined
  /** The user acted as, in words. */
  user?: string | null | undefined
  reason?: string | null | undefined
  expiresAt?: number | string | Date | null | undefined
  /** The server's time when it rendered, in milliseconds. */
  now?: number | null | undefined
  leaveUrl?: string | undefined
  statusUrl?: string | undefined
  returnUrl?: string | undefined
  /** Leaves in the app's own way, and goes on from there. A rejection is shown, and can be tried again. */
  onLeave?: (() => unknown) | undefined
  labels?: Partial<BannerLabels> | undefined
  /** `en` or `de`. Default: the language of the browser. */
  lang?: string | undefined
}

/**
 * Shows who is acting as whom, for how long, and a way out; nothing while nobody is acting. Once, where every page has it.
 * @example
 * import { ActingBanner } from '@stagedoor/sdk/react'
 *
 * export const followsClerk = <ActingBanner />
 * export const isTold = <ActingBanner actor={{ sub: 'olivia@support' }} user="carl@example.com" leaveUrl="/stop-acting" />
 */
export function ActingBanner(props: ActingBannerProps): ReactElement {
  const { clerk, onLeave, labels } = props
  const banner = useRef<StagedoorBanner>(null)
  const latestOnLeave = useRef(onLeave)

  useEffect(() => {
    latestOnLeave.current = onLeave
  })

  useEffect(() => {
    let isLatest = true
    // Only here, so that servers never load it.
    import('./banner.ts').then(({ followClerk }) => {
      if (!isLatest || !banner.current) return
      if (clerk) followClerk(banner.current, clerk)
    })
    return () => {
      // What it follows it follows on: taken out of the page while somebody is acting, it stays.
      isLatest = false
    }
  }, [clerk])

  const takesOver = onLeave !== undefined
  useEffect(() => {
    const element = banner.current
    if (!element || !takesOver) return
    const leave = async () => latestOnLeave.current?.()
    element.handlers = { ...element.handlers, leave }
    return () => {
      const { leave: _, ...rest } = element.handlers
      element.handlers = rest
    }
  }, [takesOver])

  useEffect(() => {
    if (banner.current && labels) banner.current.labels = labels as BannerLabels
  }, [labels])

  const element = createElement(
    'stagedoor-banner',
    { ref: banner, suppressHydrationWarning: true, ...attributesOf(props) },
    plainText(props),
  )
  // React takes out what it has put in, from where it put it: this, whether or not the banner is still inside.
  return createElement('div', null, element)
}

function attributesOf(props: ActingBannerProps): Record<string, string | undefined> {
  const { clerk, actor, expiresAt } = props
  if (actor === undefined) {
    const { reason, returnUrl } = props
    return withoutNull({ clerk: clerk ? null : 'true', reason, 'return-url': returnUrl, lang: props.lang })
  }
  return withoutNull({
    session: props.session,
    actor: actor && JSON.stringify(actor),
    user: props.user,
    reason: props.reason,
    'expires-at': expiresAt instanceof Date ? expiresAt.getTime() : expiresAt,
    now: props.now,
    'leave-url': props.leaveUrl,
    'status-url': props.statusUrl,
    'return-url': props.returnUrl,
    lang: props.lang,
  })
}

function withoutNull(attributes: Record<string, string | number | null | undefined>): Record<string, string> {
  const given = Object.entries(attributes).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
}

/** What the server's HTML says until the banner comes to life, and if it never does. */
function plainText({ actor, user }: ActingBannerProps): string | null {
  if (!actor) return null
  const name = [actor['name'], actor['email'], actor.sub].find(each => typeof each === 'string' && each !== '')
  return `${name ?? 'Someone'} is acting as ${user ?? 'another user'}.`
}
