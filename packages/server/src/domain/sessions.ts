import { ApiError, type ErrorAbout, notFound } from '../contract/errors.ts'
import { auditEvent } from './audit/event.ts'
import { forgetPreviousToken, isCurrent, renewedClient } from './clients.ts'
import type { ClientClaims, Context } from './context.ts'
import type { Once } from './idempotency.ts'
import { assertPassesScope, findTemplateByName, templateClaims, templateLifetime } from './jwt-templates.ts'
import type { Found, Page, SessionFilter } from './lists.ts'
import {
  browserAddress,
  decide,
  endedByPolicy,
  frozenFactsOf,
  holdsForAddress,
  isOnlyBlocked,
  rulesOf,
} from './policy.ts'
import { isUnderstoodBy, scopeClaim, scopeNotUnderstood, UNLIMITED } from './policy-facts.ts'
import type { ActorTokenRecord, EndedStatus, SessionRecord } from './records.ts'
import type { RememberedDecision } from './remembered-decisions.ts'
import type { MintFacts } from './store.ts'

const SECOND = 1_000
const DAY = 86_400 * SECOND
/** Lifetime of a session of the user's own (one without an actor), in ms: Clerk's default. */
export const OWN_SESSION_LIFETIME = 7 * DAY
const OWN_SESSION_ABANDONED_AFTER = 30 * DAY

/** Returns the session that a ticket starts. Its `expire_at` is set here and never changes. */
export function newSession(
  ctx: Context,
  input: { token: ActorTokenRecord; client_id: string; parked_session_id: string | null; now: number },
): SessionRecord {
  const { token, client_id, parked_session_id, now } = input
  const idle = ctx.settings.session_idle_timeout_seconds
  const session = ownSession(ctx, { user_id: token.user_id, client_id, now })
  if (token.actor === null) return { ...session, actor_token_id: token.id, parked_session_id }
  return {
    ...session,
    actor: token.actor,
    actor_sub: token.actor_sub,
    actor_token_id: token.id,
    parked_session_id,
    idle_timeout_seconds: idle,
    expire_at: now + token.session_max_duration_in_seconds * SECOND,
    abandon_at: now + idle * SECOND,
    facts: token.facts,
    reason: token.reason,
    ip: browserAddress(ctx),
    access: token.access,
    scopes: token.scopes,
  }
}

function ownSession(ctx: Context, input: { user_id: string; client_id: string; now: number }): SessionRecord {
  const { user_id, client_id, now } = input
  return {
    ...UNLIMITED,
    id: ctx.random.id('sess', now),
    client_id,
    user_id,
    status: 'active',
    actor: null,
    actor_sub: null,
    actor_token_id: null,
    parked_session_id: null,
    idle_timeout_seconds: null,
    last_active_at: now,
    expire_at: now + OWN_SESSION_LIFETIME,
    abandon_at: now + OWN_SESSION_ABANDONED_AFTER,
    facts: null,
    reason: null,
    ip: null,
    decided_policy: 0,
    decided_user: 0,
    decided_actor: 0,
    decided_until: null,
    created_at: now,
    updated_at: now,
  }
}

/**
 * Starts a session of the user's own without a ticket, for tests.
 * @throws ApiError development_only, resource_not_found, user_banned, user_locked
 */
export async function createSession(ctx: Context, input: { user_id: string }, once?: Once): Promise<SessionRecord> {
  if (ctx.settings.environment !== 'development') throw new ApiError('development_only')
  const now = ctx.clock.now()
  const client = renewedClient(ctx, {}, now)
  const session = ownSession(ctx, { user_id: input.user_id, client_id: client.record.id, now })
  client.record.last_active_session_id = session.id
  const event = sessionEvent(ctx, 'session.create', session)
  const key = once && { ...once, made_id: session.id }
  if (await ctx.store.sessions.insert(session, client.record, event, key)) return session
  const user = await ctx.store.users.find(input.user_id)
  if (!user) throw notFound('user', input.user_id)
  throw new ApiError(user.banned_at === null ? 'user_locked' : 'user_banned', { about: { user_id: user.id } })
}

/** Returns a session. @throws ApiError resource_not_found */
export async function getSession(ctx: Context, input: { id: string }): Promise<SessionRecord> {
  const session = await ctx.store.sessions.find(input.id)
  if (!session) throw notFound('session', input.id)
  return session
}

export function listSessions(ctx: Context, input: SessionFilter & Page): Promise<Found<SessionRecord>> {
  return ctx.store.sessions.list(input, input)
}

/** Returns the status at a time: a session past its expiry has ended, even if that is not stored yet. */
export function statusAt(session: SessionRecord, now: number): SessionRecord['status'] {
  if (session.status !== 'active') return session.status
  if (session.expire_at <= now) return 'expired'
  if (session.abandon_at <= now) return 'abandoned'
  return 'active'
}

/**
 * Ends a session permanently. When this returns, no more tokens are minted. A session that has already ended does not
 * change.
 * @throws ApiError resource_not_found
 */
export async function revokeSession(
  ctx: Context,
  input: { id: string; reason?: string | undefined },
): Promise<SessionRecord> {
  const session = await getSession(ctx, input)
  return finish(ctx, session, 'revoked', 'session.revoke', input.reason)
}

/** Signs the browser out of one of its sessions. @throws ApiError authentication_invalid, resource_not_found */
export async function leaveSession(
  ctx: Context,
  input: { id: string; presented: readonly ClientClaims[]; status: 'ended' | 'removed' },
): Promise<SessionRecord> {
  const facts = await ownedSession(ctx, input)
  return finish(ctx, facts, input.status, input.status === 'ended' ? 'session.end' : 'session.remove')
}

/** Signs the browser out of all of its sessions. */
export async function leaveAllSessions(ctx: Context, input: { client_id: string }): Promise<void> {
  for (const session of await ctx.store.sessions.listOfClient(input.client_id)) {
    if (session.status === 'active') await finish(ctx, session, 'ended', 'session.end')
  }
}

/** Returns a session of this browser. @throws ApiError authentication_invalid */
export function getOwnSession(
  ctx: Context,
  input: { id: string; presented: readonly ClientClaims[] },
): Promise<SessionRecord> {
  return ownedSession(ctx, input)
}

/**
 * Records that the session is in use. With `select`, also makes it the client's selected session. A tab that only gets
 * the focus back does not select, because another tab may show another session.
 * @throws ApiError authentication_invalid
 */
export async function touchSession(
  ctx: Context,
  input: { id: string; presented: readonly ClientClaims[]; select: boolean },
): Promise<SessionRecord> {
  const facts = await ownedSession(ctx, input)
  await assertUsable(ctx, facts)
  ctx.activity.record(facts, facts.now)
  if (!input.select) return ctx.activity.current(facts)
  const client = await ctx.store.clients.find(facts.client_id)
  if (client?.last_active_session_id !== facts.id) {
    const selected = await ctx.store.clients.select(
      facts.client_id,
      facts.id,
      sessionEvent(ctx, 'session.select', facts),
    )
    if (!selected) throw dead(facts)
  }
  return ctx.activity.current(facts)
}

export interface MintInput {
  id: string
  /** The client tokens that the browser presented; absent for a mint by secret key. */
  presented?: readonly ClientClaims[]
  /** The origin of the page that will use the token: `azp`. */
  origin?: string | undefined
  /** What the backend that requests the token says that it understands. */
  understands?: readonly string[] | undefined
  expires_in_seconds?: number | undefined
  /** `false` if this mint is no use of the session: it does not extend the idle timeout. Default: `true`. */
  counts?: boolean
  /** The name of a JWT template. It gives a token for another service, which is never mistaken for a session token. */
  template?: string | undefined
}

/**
 * Mints a session token: one read, one signature, no write.
 * @returns a JWT with Clerk's claims v2, in which `act` is the actor payload, value for value; or with the claims of a
 *   template
 * @throws ApiError authentication_invalid if the session has ended, its user or actor is blocked, or it is not the
 *   client's; resource_not_found to a secret key if there is no such session, or if there is no such template;
 *   request_invalid if the token of a template would be too large; scope_not_understood if the session is limited, and the
 *   app or the template ignores that
 */
export async function mintSessionToken(ctx: Context, input: MintInput): Promise<string> {
  const { presented } = input
  const facts = presented
    ? await ownedSession(ctx, { id: input.id, presented })
    : await ctx.store.sessions.findForMint(input.id)
  if (!facts) throw notFound('session', input.id)
  // The lifetime starts at the read, so a process that was suspended after it does not sign a token that is valid for
  // longer.
  const { now } = facts
  await assertUsable(ctx, facts)
  await assertStillAllowed(ctx, facts)
  if (!isUnderstoodBy(ctx, facts, input)) throw scopeNotUnderstood(input, aboutSession(facts))
  const template = input.template === undefined ? undefined : await findTemplateByName(ctx, input.template)
  if (template) assertPassesScope(template, facts, aboutSession(facts))
  if (input.counts ?? true) ctx.activity.record(facts, now)

  const life =
    input.expires_in_seconds ??
    (template ? templateLifetime(ctx, template, facts) : ctx.settings.session_token_lifetime_seconds)
  const iat = Math.floor(now / SECOND)
  const exp = Math.min(iat + life, Math.floor(facts.expire_at / SECOND))
  const times = { iat, exp, azp: input.origin }
  const { jwt, kid } = template
    ? await ctx.signing.templateToken(await templateClaims(ctx, template, facts, times), facts.keyring_version)
    : await ctx.signing.sessionToken(sessionClaims(ctx, facts, times), facts.keyring_version)
  if (life > ctx.settings.session_token_lifetime_seconds)
    await ctx.store.signingKeys.recordLongLivedToken(kid, exp * SECOND)
  return jwt
}

/**
 * Checks that the policy still allows the session. Decides only if something changed since the last decision, if its
 * time has passed, or if a rule asks for the address and it is another one. A session that is no longer allowed ends.
 * @throws ApiError authentication_invalid, policy_unavailable
 */
async function assertStillAllowed(ctx: Context, facts: MintFacts): Promise<void> {
  if (facts.actor_sub === null) return
  const stored = {
    policy_version: facts.decided_policy,
    user_version: facts.decided_user,
    actor_version: facts.decided_actor,
    until: facts.decided_until,
    ip: facts.ip,
  }
  if (await stillHolds(ctx, stored, facts)) return
  const remembered = ctx.decisions.get(facts.id)
  if (remembered && (await stillHolds(ctx, remembered, facts))) return
  if ((await decideAgain(ctx, facts)) === 'refused') throw dead(facts)
}

async function stillHolds(ctx: Context, decision: RememberedDecision, facts: MintFacts): Promise<boolean> {
  return (
    decision.policy_version === facts.policy_version &&
    decision.user_version === facts.user_version &&
    decision.actor_version === facts.actor_version &&
    (decision.until === null || facts.now < decision.until) &&
    (await holdsForAddress(ctx, decision))
  )
}

/** Decides about a session. Ends it if the policy no longer allows it. */
async function decideAgain(ctx: Context, session: SessionRecord): Promise<'allowed' | 'refused'> {
  const { id: session_id, user_id, actor_sub } = session
  if (actor_sub === null) return 'allowed'
  const ip = browserAddress(ctx)
  const request = { session_id, user_id, actor_sub, frozen: frozenFactsOf(session), ip }
  const decided = await decide(ctx, request)
  // Without a user there is nothing to decide: deleting the user ended the session.
  if (!decided) return 'refused'
  if (decided.decision.allowed) {
    ctx.decisions.set(session_id, { ...decided.versions, until: decided.until, ip })
    return 'allowed'
  }
  if (isOnlyBlocked(rulesOf(decided))) return 'refused'
  const { reason, details } = endedByPolicy(decided)
  await finish(ctx, session, 'revoked', 'session.revoke', reason, details)
  return 'refused'
}

/** Mints a session token; undefined if that is refused: the session has ended, or its user or actor is blocked. */
export async function mintIfUsable(ctx: Context, input: MintInput): Promise<string | undefined> {
  try {
    return await mintSessionToken(ctx, input)
  } catch (error) {
    if (error instanceof ApiError && error.status < 500) return undefined
    throw error
  }
}

/**
 * Builds claims v2 (https://clerk.com/docs/guides/sessions/session-tokens). The stored text of `act` is inserted
 * unchanged.
 */
function sessionClaims(
  ctx: Context,
  session: SessionRecord,
  { iat, exp, azp }: { iat: number; exp: number; azp: string | undefined },
): string {
  const scope = scopeClaim(session)
  const claims = JSON.stringify({
    ...(azp === undefined ? {} : { azp }),
    exp,
    // Acting as a user does not verify that user: an actor session never satisfies a step-up.
    fva: factorVerificationAge(session, iat * SECOND),
    iat,
    iss: ctx.settings.public_url,
    jti: ctx.random.bytes(10).toString('hex'),
    nbf: iat - 10,
    ...(scope === null ? {} : { scope }),
    sid: session.id,
    sts: 'active',
    sub: session.user_id,
    v: 2,
  })
  return session.actor === null ? claims : `${claims.slice(0, -1)},"act":${session.actor}}`
}

/** Returns the minutes since the user's first and second factor were verified; -1 means never. */
export function factorVerificationAge(session: SessionRecord, now: number): [number, number] {
  return session.actor === null ? [Math.max(0, Math.floor((now - session.created_at) / 60_000)), -1] : [-1, -1]
}

/** Returns a session of a client whose current token was presented. For this browser no other session exists. */
async function ownedSession(
  ctx: Context,
  { id, presented }: { id: string; presented: readonly ClientClaims[] },
): Promise<MintFacts> {
  const facts = presented.length === 0 ? undefined : await ctx.store.sessions.findForMint(id)
  if (!facts) throw new ApiError('authentication_invalid')
  const client = {
    id: facts.client_id,
    rotating_token_hash: facts.client_token_hash,
    previous_token_hash: facts.client_previous_token_hash,
  }
  if (!presented.some(claims => isCurrent(client, claims))) throw new ApiError('authentication_invalid')
  ctx.caller.principal = { type: 'client', id: client.id }
  await forgetPreviousToken(ctx, client)
  return facts
}

/** Whether tokens can be minted for a session: it is active, and neither its user nor its actor is blocked. */
export function isUsable(ctx: Context, facts: MintFacts): boolean {
  return facts.blocked === 0 && statusAt(ctx.activity.current(facts), facts.now) === 'active'
}

async function assertUsable(ctx: Context, facts: MintFacts): Promise<void> {
  const status = statusAt(ctx.activity.current(facts), facts.now)
  if (status !== 'active') {
    // Stored, so that the session stays ended if the clock is set back.
    if (facts.status === 'active')
      await finish(ctx, facts, status, `session.${status === 'expired' ? 'expire' : 'abandon'}`)
    throw dead(facts)
  }
  if (facts.blocked === 1) throw dead(facts)
}

function dead(session: SessionRecord): ApiError {
  return new ApiError('authentication_invalid', { about: aboutSession(session) })
}

async function finish(
  ctx: Context,
  session: SessionRecord,
  status: EndedStatus,
  action: string,
  reason?: string,
  details?: Record<string, unknown>,
): Promise<SessionRecord> {
  const event = sessionEvent(ctx, action, session, reason, details)
  const finished = await ctx.store.sessions.finish(session.id, status, event)
  return finished ?? getSession(ctx, session)
}

/** Stores sessions past their expiry as ended. @returns how many */
export function finishOverdueSessions(ctx: Context, input: { limit: number }): Promise<number> {
  return ctx.store.sessions.finishOverdue(input.limit, session =>
    sessionEvent(ctx, session.status === 'expired' ? 'session.expire' : 'session.abandon', session),
  )
}

export function sessionEvent(
  ctx: Context,
  action: string,
  session: SessionRecord,
  reason?: string,
  details?: Record<string, unknown>,
) {
  return auditEvent(ctx, {
    details,
    action,
    about: aboutSession(session),
    actor: session.actor,
    ...(reason === undefined ? {} : { reason }),
  })
}

function aboutSession(session: SessionRecord): ErrorAbout {
  return {
    session_id: session.id,
    user_id: session.user_id,
    ...(session.actor_sub === null ? {} : { actor_sub: session.actor_sub }),
    ...(session.actor_token_id === null ? {} : { actor_token_id: session.actor_token_id }),
  }
}
