/** What is recorded of a request while somebody acts: never as the user's own doing. */
import type { Auth } from './auth/auth.ts'

/** How a request is recorded; `recordAs` makes it. */
export interface Recording {
  isActing: boolean
  /** For logs, metrics and whatever else is tagged. While acting: who acts, and as whom. */
  tags: { acting: false } | { acting: true; actor_id: string; acting_as: string }
  /**
   * Does it, unless somebody is acting: last seen, counters, e-mails to the user, profiles of the user.
   * @returns what it gives; undefined while somebody is acting
   */
  unlessActing<Result>(does: () => Result): Result | undefined
  /**
   * An event for `posthog.capture`. The user's own is theirs; while acting it is the actor's, is tagged, and changes
   * nobody's profile. @throws TypeError if nobody is signed in and it names no `distinctId`
   */
  postHog<Event extends PostHogEvent>(event: Event): Event & { distinctId: string }
  /**
   * A message for `analytics.track`, `page` and `screen`. The user's own is theirs; while acting it is the actor's, is
   * tagged in its context, and does not count as the user's being active. @throws TypeError if nobody is signed in and
   * it names no `userId` or `anonymousId`
   */
  segment<Message extends SegmentMessage>(message: Message): Message & Identified & { context: object }
  /** Says in a scope of Sentry whose data it is, and who is really acting. Give the scope of the request. */
  sentry(scope: SentryScope): void
  /**
   * Runs it with OpenTelemetry baggage that says who the user is (`enduser.id`) and who is acting (`actor`), whatever
   * baggage the request came with. Baggage goes out with every request that is made inside, to anybody.
   */
  openTelemetry<Context, Result>(api: OpenTelemetryApi<Context>, run: () => Result): Result
}

/** What is used of an event of posthog-node. */
export interface PostHogEvent {
  event: string
  distinctId?: string
  // biome-ignore lint/suspicious/noExplicitAny: as PostHog has it
  properties?: Record<string | number, any>
}

/** What is used of a message of @segment/analytics-node. One with traits would change a profile: `unlessActing`. */
export interface SegmentMessage {
  event?: string
  name?: string | undefined
  userId?: string | undefined
  anonymousId?: string | undefined
  context?: object | undefined
  traits?: undefined
}

type Identified = { userId: string } | { anonymousId: string }

/** What is used of a scope of Sentry. */
export interface SentryScope {
  setUser(user: { id: string } | null): unknown
  setTags(tags: Record<string, string | boolean | undefined>): unknown
}

interface Baggage {
  setEntry(key: string, entry: { value: string }): Baggage
  removeEntry(key: string): Baggage
}

/** What is used of @opentelemetry/api. */
export interface OpenTelemetryApi<Context> {
  context: {
    active(): Context
    with<Run extends () => ReturnType<Run>>(context: Context, run: Run): ReturnType<Run>
  }
  propagation: {
    getBaggage(context: Context): Baggage | undefined
    createBaggage(): Baggage
    // biome-ignore lint/suspicious/noExplicitAny: its own baggage, which has more to it
    setBaggage(context: Context, baggage: any): Context
  }
}

/** PostHog writes these into the profile of a person. */
const PROFILE_PROPERTIES = ['$set', '$set_once', '$unset']

/**
 * Keeps what somebody does in a user's name out of what is known of the user: analytics, last seen, e-mails.
 *
 * @param auth who the request is from: what `getAuth` or `auth` gives
 * @returns ways to leave it out, or to say who is acting; for a request of the user's own they change nothing
 * @throws TypeError if it is given no auth
 * @see https://posthog.com/docs/data/anonymous-vs-identified-events,
 *   https://segment.com/docs/connections/spec/common/#context-fields, W3C Baggage
 * @example
 * import { recordAs } from '@stagedoor/sdk/record-as'
 * import { createAuthenticator } from '@stagedoor/sdk/request'
 * import { PostHog } from 'posthog-node'
 *
 * const authenticate = createAuthenticator({ issuer: 'http://127.0.0.1:4100' })
 * const posthog = new PostHog('phc_…')
 * const lastSeen = new Map<string, number>()
 *
 * const auth = await authenticate(new Request('http://127.0.0.1:3000/orders/7'))
 * const record = recordAs(auth)
 * if (auth.userId) record.unlessActing(() => lastSeen.set(auth.userId, Date.now()))
 * posthog.capture(record.postHog({ event: 'order viewed' }))
 */
export function recordAs(auth: Auth): Recording {
  // A promise of an auth would be nobody acting.
  if (typeof auth?.isActing !== 'boolean')
    throw new TypeError('recordAs takes who a request is from: recordAs(await auth())')
  const { userId } = auth
  const tags: Recording['tags'] = auth.isActing
    ? { acting: true, actor_id: auth.actor.sub, acting_as: auth.userId }
    : { acting: false }

  return {
    isActing: auth.isActing,
    tags,
    unlessActing: does => (tags.acting ? undefined : does()),

    postHog(event) {
      if (!tags.acting) return { ...event, distinctId: named(event.distinctId ?? userId, 'distinctId') }
      const properties = Object.entries(event.properties ?? {}).filter(([name]) => !PROFILE_PROPERTIES.includes(name))
      return {
        ...event,
        distinctId: tags.actor_id,
        properties: { ...Object.fromEntries(properties), ...tags, $process_person_profile: false },
      }
    },

    segment(message) {
      const { context = {} } = message
      if (tags.acting) return { ...message, userId: tags.actor_id, context: { ...context, ...tags, active: false } }
      const id = message.userId ?? userId
      if (id) return { ...message, userId: id, context }
      return { ...message, anonymousId: named(message.anonymousId, 'userId` or `anonymousId'), context }
    },

    sentry(scope) {
      scope.setUser(userId === null ? null : { id: userId })
      // All of them, each time: a scope may have been another request's.
      scope.setTags({ acting: tags.acting, actor_id: tags.acting ? tags.actor_id : undefined })
    },

    openTelemetry({ context, propagation }, run) {
      const active = context.active()
      const entries = { 'enduser.id': userId, actor: tags.acting ? tags.actor_id : null }
      // What has come with the request is the caller's word.
      const baggage = Object.entries(entries).reduce(
        (all, [key, value]) => (value === null ? all.removeEntry(key) : all.setEntry(key, { value })),
        propagation.getBaggage(active) ?? propagation.createBaggage(),
      )
      return context.with(propagation.setBaggage(active, baggage), run)
    },
  }
}

function named(id: string | null | undefined, member: string): string {
  if (id) return id
  throw new TypeError(`Nobody is signed in: say whose it is with \`${member}\`.`)
}
