'use client'
/** `<ActingBanner/>`: the banner for React 18 and later. It can be rendered on a server, and becomes active in the browser. */
import { createElement, type ReactElement, useEffect, useRef } from 'react'
import type { BannerActor, BannerLabels, ClerkLike, StagedoorBanner } from './banner/index.ts'

/** Without `actor`, the banner follows Clerk. If your app knows the actor, pass `actor`, or null if there is none. */
export interface ActingBannerProps {
  /** clerk-js, or the result of `useClerk()`. Default: `window.Clerk`. */
  clerk?: ClerkLike | undefined
  actor?: BannerActor | null | undefined
  session?: string | null | undefined
  /** Name of the user that the actor acts as. */
  user?: string | null | undefined
  reason?: string | null | undefined
  /** The kind of reason, such as `change`. */
  reasonCategory?: string | null | undefined
  /** The support ticket. An `https:` address becomes a link. */
  ticket?: string | null | undefined
  expiresAt?: number | string | Date | null | undefined
  /** The server's time when it rendered, in milliseconds. */
  now?: number | null | undefined
  leaveUrl?: string | undefined
  statusUrl?: string | undefined
  returnUrl?: string | undefined
  /** Stops acting in the app's own way, and navigates away. If it rejects, the banner shows an error and a retry button. */
  onLeave?: (() => unknown) | undefined
  labels?: Partial<BannerLabels> | undefined
  /** `en` or `de`. Default: the language of the browser. */
  lang?: string | undefined
}

/**
 * Shows the actor, the user, the remaining time and a button to leave. Shows nothing if there is no actor. Render it once,
 * in a layout that every page has.
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
    // Imported here, so that servers never load it.
    void import('./banner/index.ts').then(({ followClerk }) => {
      if (!isLatest || !banner.current) return
      if (clerk) followClerk(banner.current, clerk)
    })
    return () => {
      // The banner keeps following Clerk: if it is removed from the page during acting, it stays.
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
  // React removes this wrapper from where it put it, whether or not the banner is still inside.
  return createElement('div', null, element)
}

function attributesOf(props: ActingBannerProps): Record<string, string | undefined> {
  const { clerk, actor, expiresAt } = props
  if (actor === undefined) {
    return withoutNull({
      clerk: clerk ? null : 'true',
      ...reasonOf(props),
      'return-url': props.returnUrl,
      lang: props.lang,
    })
  }
  return withoutNull({
    session: props.session,
    actor: actor && JSON.stringify(actor),
    user: props.user,
    ...reasonOf(props),
    'expires-at': expiresAt instanceof Date ? expiresAt.getTime() : expiresAt,
    now: props.now,
    'leave-url': props.leaveUrl,
    'status-url': props.statusUrl,
    'return-url': props.returnUrl,
    lang: props.lang,
  })
}

function reasonOf({ reason, reasonCategory, ticket }: ActingBannerProps) {
  return { reason, 'reason-category': reasonCategory, ticket }
}

function withoutNull(attributes: Record<string, string | number | null | undefined>): Record<string, string> {
  const given = Object.entries(attributes).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
}

/** Returns the text in the server's HTML, which shows until the banner is active. */
function plainText({ actor, user }: ActingBannerProps): string | null {
  if (!actor) return null
  const name = [actor['name'], actor['email'], actor.sub].find(each => typeof each === 'string' && each !== '')
  return `${name ?? 'Someone'} is acting as ${user ?? 'another user'}.`
}
