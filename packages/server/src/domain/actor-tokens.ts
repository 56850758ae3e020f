import { ApiError, type ErrorAbout, type ErrorCode, invalidParam, notFound } from '../contract/errors.ts'
import { auditEvent } from './audit/event.ts'
import { type ClientToken, isPresentedIn, type PresentedClient, reclaimedClient, renewedClient } from './clients.ts'
import type { ClientClaims, Context, TicketClaims } from './context.ts'
import type { Once } from './idempotency.ts'
import type { ActorTokenFilter, Found, Page } from './lists.ts'
import {
  type ActingRequest,
  actingRefused,
  browserAddress,
  type Decided,
  decide,
  decideForWrite,
  frozenFacts,
  frozenFactsOf,
  rulesOf,
} from './policy.ts'
import type { Access } from './policy-engine.ts'
import {
  actorText,
  assertFitsCookie,
  isUnderstoodBy,
  limitsOf,
  type Recipient,
  scopeClaim,
  scopeNotUnderstood,
  UNLIMITED,
} from './policy-facts.ts'
import type { ActorTokenRecord, SessionRecord } from './records.ts'
import { isUsable, newSession, sessionEvent } from './sessions.ts'
import type { DecidedVersions } from './store.ts'

/** Actor tokens and sign-in tokens. Both follow the same rules and differ in their `kind`. */

/** Maximum lifetime of a sign-in token, in seconds: 30 days, Clerk's default. */
const MAX_SIGN_IN_TOKEN_SECONDS = 2_592_000
/**
 * Time for which the browser that confirmed or redeemed a ticket may repeat that, in ms: after a second click or a lost
 * response.
 */
export const REPLAY_WINDOW_MS = 60_000

export interface CreateActorToken {
  kind: ActorTokenRecord['kind']
  user_id: string
  actor?: { sub: string; [member: string]: unknown }
  access?: Access | undefined
  scopes?: string[] | undefined
  reason?: string | undefined
  reason_category?: string | undefined
  ticket?: string | undefined
  auth?: { at: number; amr: string[] } | undefined
  ip?: string | undefined
  return_url?: string | undefined
  expires_in_seconds: number
  session_max_duration_in_seconds: number
}

/**
 * Creates a pending token.
 * @throws ApiError resource_not_found, user_banned, user_locked, actor_banned, actor_is_user, form_param_value_invalid,
 *   acting_refused, policy_unavailable, audit_behind
 */
export async function createActorToken(ctx: Context, input: CreateActorToken, once?: Once): Promise<ActorTokenRecord> {
  const { settings } = ctx
  if (settings.audit_has_max_lag) ctx.auditLog.assertCurrent()
  const actor = input.actor ? actorText(input.actor, settings.actor_max_bytes) : null
  assertOn(ctx, input.kind)
  if (input.kind === 'sign_in_token') {
    atMost('expires_in_seconds', input.expires_in_seconds, MAX_SIGN_IN_TOKEN_SECONDS)
  } else {
    atMost('expires_in_seconds', input.expires_in_seconds, settings.actor_token_max_seconds)
    atMost('session_max_duration_in_seconds', input.session_max_duration_in_seconds, settings.actor_session_max_seconds)
  }
  const limits = input.actor ? limitsOf(ctx, input) : UNLIMITED
  if (actor !== null) assertFitsCookie(actor, scopeClaim(limits))
  const now = ctx.clock.now()
  const token: ActorTokenRecord = {
    ...limits,
    id: ctx.random.id(input.kind === 'actor_token' ? 'act' : 'sit', now),
    kind: input.kind,
    status: 'pending',
    user_id: input.user_id,
    actor,
    actor_sub: input.actor?.sub ?? null,
    reason: input.reason ?? null,
    expires_in_seconds: input.expires_in_seconds,
    session_max_duration_in_seconds: input.session_max_duration_in_seconds,
    return_url: input.return_url ?? null,
    expires_at: now + input.expires_in_seconds * 1_000,
    expired_at: null,
    session_id: null,
    confirmed_token_hash: null,
    confirmed_at: null,
    facts: input.actor ? JSON.stringify(frozenFacts(ctx, { ...input, actor: input.actor })) : null,
    created_at: now,
    updated_at: now,
  }
  const key = once && { ...once, made_id: token.id }
  const why = () => whyNotFor(ctx, token)
  // A backend creates it, so the actor's address is the one that it names.
  const request = actingRequest(token, input.ip ?? null)
  return whileDecided(ctx, request, why, async decided => {
    const event = actorTokenEvent(ctx, 'create', token, undefined, decided)
    if (await ctx.store.actorTokens.insert(token, decided?.versions, event, key)) return token
    const other = await why()
    if (other) throw other
    return undefined
  })
}

/** How often a change is decided again if what it was decided on changes before it is written. */
const MAX_ATTEMPTS = 5

/**
 * Decides about a request and writes on that decision. If the decision no longer holds when the statement runs, decides
 * again.
 * @param request undefined if there is nothing to decide: a sign-in token
 * @param why returns another reason than the policy for which this is refused. It is the one to report
 * @param write returns undefined if the decision no longer holds
 * @throws ApiError acting_refused, policy_unavailable
 */
async function whileDecided<T>(
  ctx: Context,
  request: ActingRequest | undefined,
  why: () => Promise<ApiError | undefined>,
  write: (decided: Decided | undefined) => Promise<T | undefined>,
): Promise<T> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    // What was read before holds in most cases. If the write says that it does not, everything is read again.
    const decided = request && (await (attempt === 0 ? decideForWrite(ctx, request) : decide(ctx, request)))
    if (decided && !decided.decision.allowed) throw (await why()) ?? actingRefused(ctx, request, decided)
    const written = await write(decided)
    if (written !== undefined) return written
  }
  throw new ApiError('service_unavailable')
}

/** Returns the question that policies answer about a token; undefined for a sign-in token. */
export function actingRequest(token: ActorTokenRecord, ip: string | null): ActingRequest | undefined {
  if (token.actor_sub === null) return undefined
  return {
    actor_token_id: token.id,
    user_id: token.user_id,
    actor_sub: token.actor_sub,
    frozen: frozenFactsOf(token),
    ip,
  }
}

/**
 * Revokes a pending token: pending → revoked.
 * @throws ApiError resource_not_found, actor_token_cannot_be_revoked_code
 */
export async function revokeActorToken(
  ctx: Context,
  input: { id: string; kind: ActorTokenRecord['kind']; reason?: string | undefined },
): Promise<ActorTokenRecord> {
  const token = await findActorToken(ctx, input)
  const event = actorTokenEvent(ctx, 'revoke', token, input.reason)
  const revoked = await ctx.store.actorTokens.revoke(token.id, token.kind, event)
  if (revoked) return revoked
  const found = (await ctx.store.actorTokens.find(token.id)) ?? token
  throw new ApiError(`${token.kind}_cannot_be_revoked_code`, {
    params: { status: found.status, id: found.session_id ?? '' },
    about: about(found),
    ...(found.session_id === null ? { action: 'It can no longer be used, so there is nothing left to revoke.' } : {}),
  })
}

/**
 * Redeems a ticket exactly once, even if several callers try at the same time. The token, the session and the audit
 * event change in one transaction; a refused redemption does not change the token. For one minute, the browser that
 * redeemed the ticket gets the same session again.
 * @param input.ticket the ticket that the browser or backend received
 * @param input.browser the client tokens that the browser presented; absent for a backend
 * @param input.actor_sub the actor that the caller expects, if any
 * @param input.recipient who gets the session. A limited one is only for apps that apply the claim `scope`
 * @throws ApiError ticket_invalid_code, ticket_expired_code, actor_token_already_used_code, actor_mismatch,
 *   scope_not_understood, audit_behind, …
 */
export async function acceptTicket(
  ctx: Context,
  input: {
    ticket: string
    recipient: Recipient
    browser?: PresentedClient
    kind?: ActorTokenRecord['kind']
    actor_sub?: string | undefined
  },
  once?: Once,
): Promise<Redemption> {
  if (ctx.settings.audit_has_max_lag) ctx.auditLog.assertCurrent()
  const { browser = {}, actor_sub: expected_actor_sub = null } = input
  const token = await readTicket(ctx, input.ticket, input.kind)
  const now = ctx.clock.now()
  const client = renewedClient(ctx, browser, now)
  const parked_session_id = client.record.last_active_session_id
  const session = newSession(ctx, { token, client_id: client.record.id, parked_session_id, now })
  client.record.last_active_session_id = session.id
  const key = once && { ...once, made_id: session.id }
  const accept = async (decided: Decided | undefined) => {
    const event = auditEvent(ctx, {
      action: `${token.kind}.accept`,
      about: { ...about(token), session_id: session.id },
      actor: token.actor,
      reason: token.reason,
      details: detailsOf(decided),
    })
    const acceptance = {
      actor_token_id: token.id,
      client: client.record,
      session: decidedSession(session, decided),
      expected_actor_sub,
      decided: decided?.versions,
      event,
    }
    return ctx.store.actorTokens.accept(acceptance, key)
  }
  // The token as it is now: what ended it comes before what its user or actor is.
  const why = async () =>
    isExpected(token, expected_actor_sub)
      ? whyNot(ctx, (await ctx.store.actorTokens.find(token.id)) ?? token, now)
      : actorMismatch(token)
  // The limits of a token never change, so the statement that redeems need not check them again.
  if (!isUnderstoodBy(ctx, token, input.recipient))
    throw (await why()) ?? scopeNotUnderstood(input.recipient, about(token))
  if (await acceptWhileDecided(ctx, token, why, accept)) return { session, client, isNew: browser.client === undefined }
  const found = await ctx.store.actorTokens.find(token.id)
  const before = found && (await replayedRedemption(ctx, found, browser.presented, now))
  const again = before && (await reclaimedClient(ctx, before, sessionEvent(ctx, 'session.reclaim', before.session)))
  if (again) return { session: before.session, client: again, isNew: false }
  throw await whyNotAccepted(ctx, token, expected_actor_sub, now)
}

/**
 * Redeems on a decision.
 * @returns false if something else than the policy prevents it. About a token that cannot be redeemed, nothing is decided
 * @throws ApiError acting_refused, policy_unavailable
 */
async function acceptWhileDecided(
  ctx: Context,
  token: ActorTokenRecord,
  why: () => Promise<ApiError | undefined>,
  accept: (decided: Decided | undefined) => Promise<boolean>,
): Promise<boolean> {
  if (token.status !== 'pending') return false
  return whileDecided(ctx, actingRequest(token, browserAddress(ctx)), why, async decided => {
    if (await accept(decided)) return true
    const current = decided && (await ctx.store.actorTokens.findForDecision(token.user_id, token.actor_sub ?? ''))
    // Decide again only if that can be why the statement did nothing.
    return current && !isSame(current, decided.versions) ? undefined : false
  })
}

const isSame = (a: DecidedVersions, b: DecidedVersions) =>
  a.policy_version === b.policy_version && a.user_version === b.user_version && a.actor_version === b.actor_version

function decidedSession(session: SessionRecord, decided: Decided | undefined): SessionRecord {
  if (!decided) return session
  const { policy_version, user_version, actor_version } = decided.versions
  return Object.assign(session, {
    decided_policy: policy_version,
    decided_user: user_version,
    decided_actor: actor_version,
    decided_until: decided.until,
  })
}

/** Returns the policy that decided, and on what reason, for an audit event. */
function detailsOf(decided: Decided | undefined) {
  if (!decided) return undefined
  const { facts, versions } = decided
  const { reason = {} } = facts.context
  const policy = { version: versions.policy_version, determined_by: rulesOf(decided) }
  return Object.keys(reason).length === 0 ? { policy } : { policy, reason }
}

/**
 * Returns the session that a backend redeemed this ticket into, for a repetition of that request.
 * @throws ApiError actor_token_already_used_code if the session has ended
 */
export async function acceptedSession(ctx: Context, input: { id: string }): Promise<SessionRecord> {
  const session = await ctx.store.sessions.findForMint(input.id)
  if (session && isUsable(ctx, session)) return session
  throw new ApiError('actor_token_already_used_code', { about: { session_id: input.id } })
}

export interface Redemption {
  session: SessionRecord
  client: ClientToken
  /** The client was created for this session and has no other. */
  isNew: boolean
}

/**
 * Returns the session that a browser got for this ticket a moment ago, if this is that browser and the session is still
 * usable.
 */
export async function replayedRedemption(
  ctx: Context,
  token: ActorTokenRecord,
  presented: readonly ClientClaims[] = [],
  now = ctx.clock.now(),
) {
  if (presented.length === 0 || token.status !== 'accepted' || now - token.updated_at > REPLAY_WINDOW_MS)
    return undefined
  const session = await ctx.store.sessions.findForMint(token.session_id ?? '')
  if (!session || !isUsable(ctx, session)) return undefined
  const record = await ctx.store.clients.find(session.client_id)
  const claims = record && presented.find(each => isPresentedIn(record, each))
  return claims && { session, record, claims }
}

/** Returns the token with this id and kind. @throws ApiError resource_not_found */
export async function findActorToken(
  ctx: Context,
  input: { id: string; kind: ActorTokenRecord['kind'] },
): Promise<ActorTokenRecord> {
  const token = await ctx.store.actorTokens.find(input.id)
  if (!token || token.kind !== input.kind)
    throw new ApiError('resource_not_found', { params: { what: 'Resource not found' } })
  return token
}

export function listActorTokens(ctx: Context, input: ActorTokenFilter & Page): Promise<Found<ActorTokenRecord>> {
  return ctx.store.actorTokens.list(input, input)
}

/**
 * Returns the string that redeems the token. It is derived from the record each time, always the same, and never
 * stored.
 */
export function ticketOf(ctx: Context, record: ActorTokenRecord): string {
  return ctx.signing.ticket(claimsOf(ctx, record))
}

function claimsOf(ctx: Context, record: ActorTokenRecord): TicketClaims {
  return {
    eis: record.expires_in_seconds,
    exp: Math.ceil(record.expires_at / 1_000),
    iid: ctx.settings.instance_id,
    sid: record.id,
    st: record.kind,
  }
}

/**
 * Reads a ticket and its token. Checks that this instance issued it, that it is complete and that it matches its
 * record. The store decides whether it has expired.
 */
export async function readTicket(
  ctx: Context,
  text: string,
  kind?: ActorTokenRecord['kind'],
): Promise<ActorTokenRecord> {
  const claims = ctx.signing.readTicket(text)
  if (!claims || claims.iid !== ctx.settings.instance_id) throw new ApiError('ticket_invalid_code')
  const record = await ctx.store.actorTokens.find(claims.sid)
  if (!record || ticketOf(ctx, record) !== text) throw new ApiError('ticket_invalid_code')
  if (kind && record.kind !== kind) throw new ApiError('ticket_invalid_code', { about: about(record) })
  assertOn(ctx, record.kind)
  return record
}

/** Rejects sign-in tokens if they are turned off. @throws ApiError sign_in_tokens_off */
function assertOn({ settings }: Context, kind: ActorTokenRecord['kind']): void {
  if (kind === 'sign_in_token' && settings.sign_in_tokens === 'off') throw new ApiError('sign_in_tokens_off')
}

const isExpected = (token: ActorTokenRecord, sub: string | null) => sub === null || token.actor_sub === sub

const actorMismatch = (token: ActorTokenRecord) => new ApiError('actor_mismatch', { about: about(token) })

async function whyNotAccepted(
  ctx: Context,
  token: ActorTokenRecord,
  expectedActorSub: string | null,
  now: number,
): Promise<ApiError> {
  if (!isExpected(token, expectedActorSub)) return actorMismatch(token)
  let found = await ctx.store.actorTokens.find(token.id)
  if (found?.status === 'pending' && found.expired_at === null) {
    // By the database's clock, which made the decision: the clock of this process may be slightly behind.
    await ctx.store.actorTokens.markExpired(token.id)
    found = await ctx.store.actorTokens.find(token.id)
  }
  if (!found) return new ApiError('ticket_invalid_code', { about: about(token) })
  return (await whyNot(ctx, found, now)) ?? new ApiError(`${token.kind}_cannot_be_used_code`, { about: about(token) })
}

/** Returns why a ticket cannot be redeemed; undefined if it can. Changes nothing. */
export async function whyNot(ctx: Context, token: ActorTokenRecord, now: number): Promise<ApiError | undefined> {
  const refuse = (code: ErrorCode) => new ApiError(code, { about: about(token) })
  if (token.status === 'accepted') return refuse(`${token.kind}_already_used_code`)
  if (token.status === 'revoked') return refuse(`${token.kind}_revoked_code`)
  if (token.expired_at !== null || token.expires_at <= now) return refuse('ticket_expired_code')
  const user = await ctx.store.users.find(token.user_id)
  if (!user) return refuse(`${token.kind}_subject_not_found`)
  if (user.banned_at !== null) return refuse('user_banned')
  if (user.locked_at !== null) return refuse('user_locked')
  const actor = token.actor_sub === null ? undefined : await ctx.store.users.findActor(token.actor_sub, user.id)
  if (actor?.is_user) return refuse('actor_is_user')
  return actor?.is_blocked ? refuse('actor_banned') : undefined
}

/** Returns why a token cannot be created; undefined if it can. */
async function whyNotFor(ctx: Context, token: ActorTokenRecord): Promise<ApiError | undefined> {
  const user = await ctx.store.users.find(token.user_id)
  if (!user) return notFound('user', token.user_id)
  const of = { user_id: user.id, ...(token.actor_sub === null ? {} : { actor_sub: token.actor_sub }) }
  if (user.banned_at !== null) return new ApiError('user_banned', { about: of })
  if (user.locked_at !== null) return new ApiError('user_locked', { about: of })
  const actor = token.actor_sub === null ? undefined : await ctx.store.users.findActor(token.actor_sub, user.id)
  if (actor?.is_user) return new ApiError('actor_is_user', { about: of })
  return actor?.is_blocked ? new ApiError('actor_banned', { about: of }) : undefined
}

export function actorTokenEvent(
  ctx: Context,
  verb: string,
  token: ActorTokenRecord,
  reason = token.reason ?? undefined,
  decided?: Decided,
) {
  return auditEvent(ctx, {
    action: `${token.kind}.${verb}`,
    about: about(token),
    actor: token.actor,
    details: detailsOf(decided),
    ...(reason === undefined ? {} : { reason }),
  })
}

export function about(token: ActorTokenRecord): ErrorAbout {
  return {
    actor_token_id: token.id,
    user_id: token.user_id,
    ...(token.actor_sub === null ? {} : { actor_sub: token.actor_sub }),
    ...(token.session_id === null ? {} : { session_id: token.session_id }),
  }
}

function atMost(param: string, value: number, max: number): void {
  if (value > max) throw invalidParam(param, `\`${param}\` may be at most ${max} on this server.`)
}
