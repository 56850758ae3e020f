/** Keeps requests of an actor out of the records of the user's own activity. */
import type { Auth } from './auth/auth.ts'

/** Ways to record a request, created by `recordAs`. */
export interface Recording {
  isActing: boolean
  /** Tags for logs, metrics and other data. While acting, they have the actor and the user. */
  tags: { acting: false } | { acting: true; actor_id: string; acting_as: string }
  /**
   * Calls a function unless an actor is acting: for last seen, counters, e-mails to the user, profiles of the user.
   * @returns the result of the function; undefined while acting
   */
  unlessActing<Result>(does: () => Result): Result | undefined
  /**
   * Prepares an event for `posthog.capture`. The user's own event belongs to the user. While acting, the event belongs to
   * the actor, is tagged, and changes no profile. @throws TypeError if the request is signed out and the event has no
   * `distinctId`
   */
  postHog<Event extends PostHogEvent>(event: Event): Event & { distinctId: string }
  /**
   * Prepares a message for `analytics.track`, `page` and `screen`. The user's own message belongs to the user. While acting,
   * the message belongs to the actor, is tagged in its context, and does not count as activity of the user. @throws
   * TypeError if the request is signed out and the message has no `userId` or `anonymousId`
   */
  segment<Message extends SegmentMessage>(message: Message): Message & Identified & { context: object }
  /** Sets the user and the actor on a Sentry scope. Pass the scope of the request. */
  sentry(scope: SentryScope): void
  /**
   * Runs a function with OpenTelemetry baggage that has the user (`enduser.id`) and the actor (`actor`). They replace such
   * entries in the request's own baggage. Every outgoing request inside the function sends this baggage to its receiver.
   */
  openTelemetry<Context, Result>(api: OpenTelemetryApi<Context>, run: () => Result): Result
}

/** The members of a posthog-node event that are used here. */
export interface PostHogEvent {
  event: string
  distinctId?: string
  // biome-ignore lint/suspicious/noExplicitAny: same type as in PostHog
  properties?: Record<string | number, any>
}

/** The members of a @segment/analytics-node message that are used here. Traits would change a profile: use `unlessActing` for them. */
export interface SegmentMessage {
  event?: string
  name?: string | undefined
  userId?: string | undefined
  anonymousId?: string | undefined
  context?: object | undefined
  traits?: undefined
}

type Identified = { userId: string } | { anonymousId: string }

/** The members of a Sentry scope that are used here. */
export interface SentryScope {
  setUser(user: { id: string } | null): unknown
  setTags(tags: Record<string, string | boolean | undefined>): unknown
}

interface Baggage {
  setEntry(key: string, entry: { value: string }): Baggage
  removeEntry(key: string): Baggage
}

/** The members of @opentelemetry/api that are used here. */
export interface OpenTelemetryApi<Context> {
  context: {
    active(): Context
    with<Run extends () => ReturnType<Run>>(context: Context, run: Run): ReturnType<Run>
  }
  propagation: {
    getBaggage(context: Context): Baggage | undefined
    createBaggage(): Baggage
    // biome-ignore lint/suspicious/noExplicitAny: OpenTelemetry's own baggage has further members
    setBaggage(context: Context, baggage: any): Context
  }
}

/** Properties that PostHog writes into a person's profile. */
const PROFILE_PROPERTIES = ['$set', '$set_once', '$unset']

/**
 * Keeps an actor's requests out of the user's data: analytics, last seen, e-mails.
 *
 * @param auth the auth of the request, from `getAuth` or `auth`
 * @returns functions that skip the record, or record the actor; for the user's own requests they change nothing
 * @throws TypeError if `auth` is not an auth
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
  // Reject a promise of an auth: it would look like a request without an actor.
  if (typeof auth?.isActing !== 'boolean')
    throw new TypeError('recordAs takes the auth of a request: recordAs(await auth())')
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
      // Always set all tags, because the scope may still have those of another request.
      scope.setTags({ acting: tags.acting, actor_id: tags.acting ? tags.actor_id : undefined })
    },

    openTelemetry({ context, propagation }, run) {
      const active = context.active()
      const entries = { 'enduser.id': userId, actor: tags.acting ? tags.actor_id : null }
      // Replace entries of the incoming request: the caller chose them.
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
  throw new TypeError(`The request is signed out, so set \`${member}\`.`)
}
