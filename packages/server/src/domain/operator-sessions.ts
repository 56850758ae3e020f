import { hash } from 'node:crypto'
import { ApiError, notFound } from '../contract/errors.ts'
import type { Role } from '../contract/operation.ts'
import { newFactsVersion } from './actors.ts'
import { auditEvent } from './audit/event.ts'
import type { Context, OperatorCaller } from './context.ts'
import { foldedSub } from './identifiers.ts'
import type { Found, Page } from './lists.ts'
import type { OperatorSignIn, PasskeyUse, UsableOperatorSession } from './operator-store.ts'
import { getOperator, hashOf, lowerRole, newSecret, operatorEvent } from './operators.ts'
import type {
  ActorRecord,
  OperatorPasskeyRecord,
  OperatorRecord,
  OperatorSessionRecord,
  OperatorSignInRecord,
} from './records.ts'
import { UniqueValueTaken } from './store.ts'

/** The sessions of operators in the console: how they begin, are used and end. */

/** Lifetime of a session, and how long it may stay unused, in ms. */
export const SESSION_LIFETIME = 8 * 3_600_000
const IDLE_LIFETIME = 30 * 60_000
/** A use is stored if the last one that is stored is this old, in ms. */
const TOUCH_INTERVAL = 60_000
/** For how long a proof of who the operator is counts for dangerous actions, in ms. */
export const STEP_UP_LIFETIME = 5 * 60_000
/** How long a sign-in may take, in ms. */
export const SIGN_IN_LIFETIME = 10 * 60_000
/** Texts of an identity provider are shortened to this: every token names the actor. */
const MAX_NAME = 200
/** A first sign-in is repeated if the operator was added by another one meanwhile. */
const ATTEMPTS = 3

/** Who an identity provider says that somebody is. */
export interface Identity {
  iss: string
  sub: string
  actor_sub: string
  name: string | null
  email: string | null
  /** The values of the role claim. */
  groups: readonly string[]
  role: Role | undefined
  auth_at: number | null
  amr: readonly string[]
}

/** How an operator proved who they are. */
interface Proof {
  auth_at: number | null
  amr: readonly string[]
  stored?: OperatorSignIn['proof']
}

/** A session that has just begun or been renewed, with the secret for the browser's cookie. */
export interface SignedIn {
  operator: OperatorRecord
  session: OperatorSessionRecord
  secret: string
}

/**
 * Begins a sign-in. Its secret goes into a cookie of the browser; `state`, `nonce`, the verifier and the challenge are made
 * from it, so the store has none of them.
 * @param input.session the session of the browser, which a step-up renews and a sign-in replaces
 * @throws ApiError operator_session_invalid if there is no session to renew
 */
export async function beginSignIn(
  ctx: Context,
  input: {
    kind: OperatorSignInRecord['kind']
    return_to: string
    session?: OperatorCaller | undefined
    step_up: boolean
  },
): Promise<string> {
  const { kind, return_to, session, step_up } = input
  if (step_up && !session) throw new ApiError('operator_session_invalid')
  const secret = newSecret(ctx)
  await ctx.store.operatorSessions.begin({
    secret_hash: hashOf(secret),
    kind,
    return_to,
    session_id: session?.session_id ?? null,
    is_step_up: step_up ? 1 : 0,
    operator_id: step_up ? (session?.id ?? null) : null,
    role: null,
    expires_at: ctx.clock.now() + SIGN_IN_LIFETIME,
  })
  return secret
}

/** Makes a value of a sign-in from its secret. Without the secret, nobody can guess it. */
export function derived(secret: string, purpose: 'state' | 'nonce' | 'verifier' | 'challenge'): string {
  return hash('sha256', `${purpose}:${secret}`, 'base64url')
}

/**
 * Takes the sign-in that a browser began. Only the first caller gets it.
 * @throws ApiError operator_sign_in_invalid
 */
export async function takeSignIn(ctx: Context, secret: string | undefined, kind: OperatorSignInRecord['kind']) {
  const signIn = secret === undefined ? undefined : await ctx.store.operatorSessions.takeSignIn(hashOf(secret))
  if (!signIn || signIn.kind !== kind) throw new ApiError('operator_sign_in_invalid')
  return signIn
}

/** Returns the sign-in that a browser began, without taking it. @throws ApiError operator_sign_in_invalid */
export async function findSignIn(ctx: Context, secret: string | undefined, kind: OperatorSignInRecord['kind']) {
  const signIn = secret === undefined ? undefined : await ctx.store.operatorSessions.findSignIn(hashOf(secret))
  if (!signIn || signIn.kind !== kind) throw new ApiError('operator_sign_in_invalid')
  return signIn
}

/**
 * Signs in, or steps up, as whom an identity provider says.
 * @throws ApiError operator_without_role, operator_disabled, operator_sign_in_refused, operator_sign_in_invalid
 */
export async function signInWithProvider(
  ctx: Context,
  identity: Identity,
  signIn: OperatorSignInRecord,
): Promise<SignedIn> {
  for (let attempt = 1; ; attempt++) {
    const known = await ctx.store.operators.findByIdentity(identity.iss, identity.sub)
    ctx.caller.principal = { type: 'operator', id: known?.id ?? null }
    const { role } = identity
    if (role === undefined) throw await withoutRole(ctx, identity, known)
    if (known && known.disabled_at !== null) throw new ApiError('operator_disabled')
    if (signIn.is_step_up === 1) {
      if (known?.id !== signIn.operator_id)
        throw refused('you signed in as somebody else than the operator whose session this is')
      return stepUp(ctx, signIn, identity)
    }
    const operator = providerOperator(ctx, { ...identity, role }, known)
    const done = await startSession(ctx, operator, identity, {
      teams: identity.groups,
      replaces: signIn.session_id ?? undefined,
    })
    if (done) return done
    if (attempt === ATTEMPTS) throw new ApiError('service_unavailable')
  }
}

const refused = (why: string) => new ApiError('operator_sign_in_refused', { params: { why } })

/** Ends the sessions of an operator who has lost every role. @returns the refusal */
async function withoutRole(ctx: Context, { groups }: Identity, known: OperatorRecord | undefined): Promise<ApiError> {
  if (known) await ctx.store.operators.endSessions(known.id, operatorEvent(ctx, 'lose_role', known.id))
  const named = groups.length === 0 ? 'none' : groups.slice(0, 50).join(', ').slice(0, 2_000)
  return new ApiError('operator_without_role', { params: { groups: named }, meta: { groups: groups.slice(0, 50) } })
}

function providerOperator(
  ctx: Context,
  identity: Identity & { role: Role },
  known: OperatorRecord | undefined,
): OperatorRecord {
  const now = ctx.clock.now()
  const { iss, sub, actor_sub, role, name, email } = identity
  return {
    id: known?.id ?? ctx.random.id('opr', now),
    iss,
    sub,
    actor_sub,
    local_name: null,
    role,
    role_source: 'claim',
    name: name?.slice(0, MAX_NAME) ?? null,
    email: email?.slice(0, MAX_NAME) ?? null,
    disabled_at: null,
    last_sign_in_at: now,
    created_at: known?.created_at ?? now,
    updated_at: now,
  }
}

/**
 * Uses a one-time link. A link of a development server signs in at once; with an invitation, the operator registers a
 * passkey next.
 * @returns the session; or the secret of the sign-in, and its operator
 * @throws ApiError operator_link_invalid, operator_disabled
 */
export async function join(
  ctx: Context,
  input: { token: string; session?: OperatorCaller | undefined },
): Promise<SignedIn | { joining: string; operator: OperatorRecord; role: Role }> {
  const link_hash = hashOf(input.token)
  const link = await ctx.store.operators.findLink(link_hash)
  if (!link) throw new ApiError('operator_link_invalid')
  const operator = await getOperator(ctx, { id: link.operator_id })
  ctx.caller.principal = { type: 'operator', id: operator.id }
  if (operator.disabled_at !== null) throw new ApiError('operator_disabled')
  const { role } = link
  if (link.kind === 'development') {
    const { environment } = ctx.settings
    if (environment !== 'development') throw new ApiError('operator_link_invalid')
    const proof = { auth_at: ctx.clock.now(), amr: ['dev'], stored: { link_hash } }
    const replaces = input.session?.session_id
    const done = await startSession(ctx, signedInNow(ctx, operator, role), proof, { teams: undefined, replaces })
    if (!done) throw new ApiError('operator_link_invalid')
    return done
  }
  const joining = newSecret(ctx)
  const signIn: OperatorSignInRecord = {
    secret_hash: hashOf(joining),
    kind: 'join',
    return_to: '/console',
    session_id: input.session?.session_id ?? null,
    is_step_up: 0,
    operator_id: operator.id,
    role,
    expires_at: ctx.clock.now() + SIGN_IN_LIFETIME,
  }
  const event = operatorEvent(ctx, 'join', operator.id, { role })
  if (!(await ctx.store.operators.useLink(link_hash, signIn, event))) throw new ApiError('operator_link_invalid')
  return { joining, operator, role }
}

/** Signs in with the passkey that an invited operator has just registered. @throws ApiError operator_sign_in_invalid */
export async function signInWithNewPasskey(
  ctx: Context,
  signIn: OperatorSignInRecord,
  passkey: OperatorPasskeyRecord,
): Promise<SignedIn> {
  const operator = await signingIn(ctx, signIn.operator_id)
  const stored = { sign_in_hash: signIn.secret_hash, passkey }
  const proof = { auth_at: ctx.clock.now(), amr: PASSKEY, stored }
  const now = signedInNow(ctx, operator, signIn.role ?? operator.role)
  const done = await startSession(ctx, now, proof, { teams: undefined, replaces: signIn.session_id ?? undefined })
  if (!done) throw new ApiError('operator_sign_in_invalid')
  return done
}

/** RFC 8176: proof of possession of a hardware-secured key, with user verification. */
const PASSKEY = ['hwk', 'user', 'mfa']

/**
 * Signs in, or steps up, with a passkey that was just verified.
 * @throws ApiError operator_disabled, operator_sign_in_invalid
 */
export async function signInWithPasskey(
  ctx: Context,
  signIn: OperatorSignInRecord,
  operatorId: string,
  use: PasskeyUse,
): Promise<SignedIn> {
  const operator = await signingIn(ctx, operatorId)
  const proof = { auth_at: ctx.clock.now(), amr: PASSKEY, stored: { use } }
  if (signIn.is_step_up === 1) {
    if (operator.id !== signIn.operator_id) throw refused('this is the passkey of another operator')
    return stepUp(ctx, signIn, proof)
  }
  const replaces = signIn.session_id ?? undefined
  const done = await startSession(ctx, signedInNow(ctx, operator, operator.role), proof, { teams: undefined, replaces })
  if (!done) throw new ApiError('operator_sign_in_invalid')
  return done
}

async function signingIn(ctx: Context, id: string | null): Promise<OperatorRecord> {
  const operator = await getOperator(ctx, { id: id ?? '' })
  ctx.caller.principal = { type: 'operator', id: operator.id }
  if (operator.disabled_at !== null) throw new ApiError('operator_disabled')
  return operator
}

function signedInNow(ctx: Context, operator: OperatorRecord, role: Role): OperatorRecord {
  const now = ctx.clock.now()
  return { ...operator, role, last_sign_in_at: now, updated_at: now }
}

/** @returns undefined if the operator was changed meanwhile, or the proof was used */
async function startSession(
  ctx: Context,
  operator: OperatorRecord,
  proof: Proof,
  { teams, replaces }: { teams: readonly string[] | undefined; replaces: string | undefined },
): Promise<SignedIn | undefined> {
  ctx.caller.principal = { type: 'operator', id: operator.id }
  const now = ctx.clock.now()
  const secret = newSecret(ctx)
  const session: OperatorSessionRecord = {
    id: ctx.random.id('ops', now),
    operator_id: operator.id,
    secret_hash: hashOf(secret),
    role: operator.role,
    auth_at: proof.auth_at,
    amr: JSON.stringify(proof.amr),
    user_agent: ctx.caller.user_agent,
    address: ctx.caller.address,
    last_seen_at: now,
    idle_expires_at: now + IDLE_LIFETIME,
    expires_at: now + SESSION_LIFETIME,
    ended_at: null,
    created_at: now,
  }
  const { role, role_source, actor_sub } = operator
  const details = { role, role_source, ...(teams === undefined ? {} : { teams: namesOf(teams) }) }
  const actor = JSON.stringify(payloadOf(operator))
  const event = auditEvent(ctx, {
    action: 'operator.sign_in',
    about: { actor_sub },
    actor,
    target_id: session.id,
    details,
  })
  try {
    const signIn = { operator, session, actor: actorOf(ctx, operator, teams), event, proof: proof.stored, replaces }
    const done = await ctx.store.operators.signIn({ ...signIn, keepsTeams: teams === undefined })
    return done ? { operator, session, secret } : undefined
  } catch (error) {
    if (error instanceof UniqueValueTaken)
      throw refused(
        error.what === 'actor_sub'
          ? 'another operator acts with the same `sub` as you. An admin can disable that operator first'
          : 'another actor is registered with a `sub` that looks the same as yours',
      )
    throw error
  }
}

/** Maximum teams of an actor, and their longest name: as in PUT /v1/actors. */
const MAX_TEAMS = 50
const MAX_TEAM = 128

const namesOf = (groups: readonly string[]) =>
  [...new Set(groups.filter(name => name.trim() !== '' && name.length <= MAX_TEAM))].sort().slice(0, MAX_TEAMS)

/** Returns the operator as policies know them. */
function actorOf(ctx: Context, operator: OperatorRecord, teams: readonly string[] = []): ActorRecord {
  const now = ctx.clock.now()
  const sub = operator.actor_sub
  return {
    sub,
    sub_folded: foldedSub(sub),
    kind: 'operator',
    name: operator.name,
    teams: JSON.stringify(namesOf(teams)),
    organizations: '[]',
    level: 0,
    user_id: null,
    owner_sub: null,
    disabled_at: null,
    facts_version: newFactsVersion(ctx),
    created_at: now,
    updated_at: now,
  }
}

/**
 * Renews the session of a step-up, and no other: it gets another secret and a new time of authentication.
 * @throws ApiError operator_sign_in_refused, operator_session_invalid
 */
async function stepUp(ctx: Context, signIn: OperatorSignInRecord, proof: Proof): Promise<SignedIn> {
  const now = ctx.clock.now()
  // The clock of an identity provider may be ahead.
  const auth_at = proof.auth_at === null ? null : Math.min(proof.auth_at, now)
  if (auth_at === null) throw refused('the identity provider does not say when you proved who you are (`auth_time`)')
  if (now - auth_at > STEP_UP_LIFETIME) throw refused('the identity provider did not ask you to sign in again')
  const operator = await signingIn(ctx, signIn.operator_id)
  const secret = newSecret(ctx)
  const id = signIn.session_id ?? ''
  const renewed = { id, operator_id: operator.id, secret_hash: hashOf(secret), auth_at, amr: JSON.stringify(proof.amr) }
  const event = operatorSessionEvent(ctx, 'operator.step_up', id)
  const session = await ctx.store.operatorSessions.renew(renewed, IDLE_LIFETIME, event, proof.stored?.use)
  if (!session) throw new ApiError('operator_session_invalid')
  return { operator, session, secret }
}

/**
 * Renews the session of a development server, whose operator has nothing to prove who they are with.
 * @throws ApiError development_only
 */
export async function stepUpInDevelopment(ctx: Context, session: OperatorCaller): Promise<SignedIn> {
  if (ctx.settings.environment !== 'development') throw new ApiError('development_only')
  const signIn = { session_id: session.session_id, operator_id: session.id } as OperatorSignInRecord
  return stepUp(ctx, signIn, { auth_at: ctx.clock.now(), amr: ['dev'] })
}

/**
 * Returns the operator whose session has this secret, and sets the caller.
 * @param counts whether this is a use of the session
 * @throws ApiError operator_session_invalid
 */
export async function authenticateOperator(
  ctx: Context,
  secret: string | undefined,
  counts: boolean,
): Promise<OperatorCaller> {
  ctx.caller.principal = { type: 'operator', id: null }
  const session = secret === undefined ? undefined : await ctx.store.operatorSessions.findUsable(hashOf(secret))
  if (!session) throw new ApiError('operator_session_invalid')
  const operator = callerOf(ctx, session)
  ctx.caller.principal = { type: 'operator', id: operator.id }
  ctx.caller.key_name = 'console'
  ctx.caller.operator = operator
  if (counts && ctx.clock.now() - session.last_seen_at >= TOUCH_INTERVAL)
    await ctx.store.operatorSessions.touch(session.id, IDLE_LIFETIME)
  return operator
}

function callerOf(ctx: Context, session: UsableOperatorSession): OperatorCaller {
  const { operator_name: name, operator_email: email, auth_at } = session
  const until = auth_at === null ? 0 : auth_at + STEP_UP_LIFETIME
  return {
    id: session.operator_id,
    session_id: session.id,
    role: lowerRole(session.role, session.operator_role),
    role_source: session.operator_role_source,
    sub: session.operator_sub,
    actor: payloadOf({ actor_sub: session.operator_actor_sub, iss: session.operator_iss, name, email }),
    auth: { at: auth_at ?? session.created_at, amr: JSON.parse(session.amr) },
    step_up_until: until > ctx.clock.now() ? until : null,
    expires_at: session.expires_at,
    idle_expires_at: session.idle_expires_at,
  }
}

/** Returns the payload that names an operator as the actor. */
function payloadOf({ actor_sub, iss, name, email }: Pick<OperatorRecord, 'actor_sub' | 'iss' | 'name' | 'email'>) {
  return { sub: actor_sub, iss, ...(name === null ? {} : { name }), ...(email === null ? {} : { email }) }
}

/** Lists sessions in the console, newest first. */
export function listOperatorSessions(
  ctx: Context,
  input: { operator_id?: string | undefined } & Page & { counted: boolean },
): Promise<Found<OperatorSessionRecord>> {
  return ctx.store.operatorSessions.list(input, input)
}

/** Ends a session in the console. One that has ended is returned unchanged. @throws ApiError resource_not_found */
export async function endOperatorSession(ctx: Context, input: { id: string }): Promise<OperatorSessionRecord> {
  const event = operatorSessionEvent(ctx, 'operator_session.end', input.id)
  const ended = await ctx.store.operatorSessions.end(input.id, event)
  if (ended) return ended
  const found = await ctx.store.operatorSessions.find(input.id)
  if (!found) throw notFound('operator session', input.id)
  return found
}

function operatorSessionEvent(ctx: Context, action: string, id: string) {
  return auditEvent(ctx, { action, about: {}, target_id: id })
}
