import { ask, recall, remember, sleep, visit } from './browser.ts'
import type { FollowingBanner } from './types.ts'
import { webUrl } from './values.ts'

/** The members of clerk-js that are used here, so that every version and wrapper fits. */
export interface ClerkLike {
  loaded?: boolean
  proxyUrl?: string | undefined
  frontendApi: string
  session?: ClerkSession | null | undefined
  client?: { sessions: ClerkSession[] } | undefined
  addListener(listener: (state: { session?: ClerkSession | null | undefined }) => void): () => void
  signOut(options: { sessionId: string; redirectUrl: string }): Promise<unknown>
  setActive(options: { session: string }): Promise<unknown>
}

export interface ClerkSession {
  id: string
  status: string
  actor: object | null
  expireAt: Date
  user?: ClerkUser | null
}

export interface ClerkUser {
  id: string
  fullName: string | null
  username: string | null
  primaryEmailAddress: { emailAddress: string } | null
}

/** The properties of the banner that say why, and the members of a session and an actor payload that have them. */
const REASONS = [
  ['reason', 'reason'],
  ['reasonCategory', 'reason_category'],
  ['ticket', 'ticket'],
] as const

/** Stops following, for each banner that follows clerk-js. */
export const followed = new WeakMap<FollowingBanner, () => void>()

/**
 * Fills the banner from clerk-js. The banner can then end the acting session and restore the operator's own session.
 *
 * The operator returns to the banner's `return-url`, else the session's, else the page they came from, else `/`.
 * @param banner the element; the app's own `reason`, `reason-category`, `ticket`, `return-url` and `handlers` are kept
 * @param clerk clerk-js, loaded: `window.Clerk`, or the result of `useClerk()`
 * @returns a function that stops following
 * @example
 * import { type ClerkLike, followClerk, type StagedoorBanner } from '@stagedoor/sdk/banner'
 *
 * export const bind = (banner: StagedoorBanner, clerk: ClerkLike) => followClerk(banner, clerk)
 */
export function followClerk(banner: FollowingBanner, clerk: ClerkLike): () => void {
  followed.get(banner)?.()
  const { handlers: givenHandlers } = banner
  // The attributes that the app has set stay.
  const free = REASONS.filter(([property]) => banner[property] === null)
  let acting: ClerkSession | undefined
  let returnUrl: unknown
  let goingBack = false

  const show = ({ session }: { session?: ClerkSession | null | undefined }) => {
    // The session is undefined while clerk-js changes between two sessions.
    if (session === undefined || goingBack) return
    if (session?.actor) {
      const begins = session.id !== acting?.id
      acting = session
      banner.session = session.id
      banner.actor = session.actor
      banner.user = userText(session.user)
      banner.expiresAt = session.expireAt
      if (!begins) return
      for (const [property] of free) banner[property] = null
      explain(banner, free, session.actor)
      returnUrl = undefined
      void banner.check()
    } else if (acting && session === null) {
      // The session expired or was revoked, and clerk-js noticed it first.
      banner.end()
    } else {
      acting = undefined
      banner.actor = null
      noteWhereFrom()
    }
  }

  const check = async () => {
    const id = acting?.id
    const answer = id && (await ask(`${frontendApi(clerk)}/v1/client/sessions/${id}`, 'include'))
    if (!answer) return answer === false ? false : undefined
    if (id !== acting?.id) return undefined
    const session = answer['response'] as Record<string, unknown>
    explain(banner, free, session)
    returnUrl = session['return_url']
    return session['status'] === 'active'
  }

  const leave = async () => {
    const url = destination()
    const unloading = new AbortController()
    addEventListener('beforeunload', () => unloading.abort(), { once: true })
    goingBack = true
    try {
      await clerk.signOut({ sessionId: acting?.id ?? '', redirectUrl: url })
    } catch (cause) {
      goingBack = false
      throw cause
    }
    await sleep(50)
    // The page is still loaded: signing out failed, or a router changes pages without loading them.
    if (!unloading.signal.aborted) await back(url)
  }

  /** Goes back. The next page would find the operator's session anyway; selecting it here also updates the app's server. */
  const back = async (url = destination()) => {
    goingBack = true
    const own = clerk.client?.sessions.find(({ id, status }) => status === 'active' && id !== acting?.id)
    // Retry: clerk-js may be signing out, because it noticed that the acting session has ended.
    for (let tries = 0; own && clerk.session?.id !== own.id && tries < 5; tries += 1) {
      await clerk.setActive({ session: own.id }).catch(() => undefined)
      await sleep(50)
    }
    visit(url)
  }

  const destination = () =>
    (webUrl(banner.returnUrl) ?? webUrl(returnUrl) ?? pageBefore() ?? new URL('/', location.href)).href

  const noteWhereFrom = () => {
    if (!goingBack) noteOwnPage(clerk)
  }

  banner.handlers = { check, leave, back, ...givenHandlers }
  const unlisten = clerk.addListener(show)
  addEventListener('pagehide', noteWhereFrom)
  addEventListener('visibilitychange', noteWhereFrom, true)
  const stop = () => {
    unlisten()
    removeEventListener('pagehide', noteWhereFrom)
    removeEventListener('visibilitychange', noteWhereFrom, true)
    banner.handlers = givenHandlers
    followed.delete(banner)
  }
  followed.set(banner, stop)
  return stop
}

/** Shows the reason, as far as an actor payload or a session of Stagedoor says it. */
function explain(banner: FollowingBanner, free: readonly (typeof REASONS)[number][], source: object): void {
  for (const [property, member] of free) {
    const value = (source as Record<string, unknown>)[member]
    if (typeof value === 'string') banner[property] = value
  }
}

/** Stores the page that the operator looks at in their own session, but not the page that redeems a ticket. */
function noteOwnPage({ session }: ClerkLike): void {
  const isOwn = session && !session.actor
  if (isOwn && !/[?&]__clerk_/.test(location.search)) remember('stagedoor:from', location.href)
}

/** Returns the page of this app from which the operator began to act. */
function pageBefore(): URL | undefined {
  const from = webUrl(recall('stagedoor:from'))
  return from?.origin === location.origin ? from : undefined
}

function frontendApi({ proxyUrl, frontendApi }: ClerkLike): string {
  return proxyUrl ? new URL(proxyUrl, location.href).href.replace(/\/$/, '') : `https://${frontendApi}`
}

function userText(user: ClerkUser | null | undefined): string | null {
  return user?.primaryEmailAddress?.emailAddress || user?.fullName || user?.username || user?.id || null
}
