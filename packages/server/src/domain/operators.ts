import { hash } from 'node:crypto'
import { ApiError, notFound } from '../contract/errors.ts'
import { type Operation, ROLES, type Role } from '../contract/operation.ts'
import { auditEvent } from './audit/event.ts'
import type { Caller, Context, OperatorCaller } from './context.ts'
import type { StreamOwner } from './event-streams.ts'
import { normalEmail } from './identifiers.ts'
import type { Found, Page } from './lists.ts'
import type { OperatorLinkRecord, OperatorRecord } from './records.ts'
import { applyCutoffs } from './revocations.ts'
import { UniqueValueTaken } from './store.ts'

/** Operators: the people who use the console, and what each may do. */

/** Lifetime of a one-time link, in ms. */
const LINK_LIFETIME = 3_600_000
/** Lifetime of a link of a development server, which is opened in the same minute or much later, in ms. */
const DEVELOPMENT_LINK_LIFETIME = 8 * 3_600_000
/** How often an invitation is tried again if another one of the same operator is made at the same moment. */
const ATTEMPTS = 3

export interface InviteOperator {
  email: string
  role: Role
  name?: string | undefined
}

export interface Invitation {
  operator: OperatorRecord
  /** The secret of the link. It is shown once and never stored. */
  token: string
  expires_at: number
}

export const hashOf = (secret: string): string => hash('sha256', secret)

/** A new secret of 256 bits. */
export const newSecret = (ctx: Pick<Context, 'random'>): string => ctx.random.bytes(32).toString('base64url')

/** Returns the lower of two roles. */
export function lowerRole(a: Role, b: Role): Role {
  return ROLES.indexOf(a) < ROLES.indexOf(b) ? a : b
}

/**
 * Returns the highest role that one of these groups has.
 * @example roleOfGroups(['sd-support'], [['admin', 'sd-admins'], ['support', 'sd-support']]) // 'support'
 */
export function roleOfGroups(
  groups: readonly string[],
  mapping: readonly (readonly [Role, string])[],
): Role | undefined {
  return ROLES.findLast(role => mapping.some(([of, group]) => of === role && groups.includes(group)))
}

/** The address of a one-time link. The secret is in the fragment, which browsers do not send. */
export const linkOf = (ctx: Pick<Context, 'settings'>, token: string): string =>
  `${ctx.settings.console_url}/console/join#${token}`

/**
 * Makes a one-time link for an operator who has no identity provider: a new one, or one who lost their passkey.
 * @throws ApiError operator_disabled
 */
export async function inviteOperator(ctx: Context, input: InviteOperator): Promise<Invitation> {
  const local_name = normalEmail(input.email)
  for (let attempt = 1; ; attempt++) {
    const known = await ctx.store.operators.findByLocalName(local_name)
    if (known && known.disabled_at !== null) throw new ApiError('operator_disabled')
    const { name = null, role } = input
    const operator = known ?? localOperator(ctx, { local_name, role, role_source: 'link', name, email: local_name })
    const { token, link } = newLink(ctx, operator, role, 'invite')
    const event = operatorEvent(ctx, 'invite', operator.id, { role })
    try {
      await ctx.store.operators.invite(known ? undefined : operator, link, event)
      return { operator, token, expires_at: link.expires_at }
    } catch (error) {
      if (!(error instanceof UniqueValueTaken) || attempt === ATTEMPTS) throw error
    }
  }
}

/**
 * Makes a one-time link that signs in as an admin, without a passkey: for `stagedoor dev`.
 * @throws ApiError development_only
 */
export async function developmentLink(ctx: Context): Promise<string> {
  if (ctx.settings.environment !== 'development') throw new ApiError('development_only')
  const local_name = 'development'
  const known = await ctx.store.operators.findByLocalName(local_name)
  const named = { local_name, role: 'admin', role_source: 'development', name: 'Developer', email: null } as const
  const operator = known ?? localOperator(ctx, named)
  const { token, link } = newLink(ctx, operator, 'admin', 'development')
  await ctx.store.operators.invite(known ? undefined : operator, link, operatorEvent(ctx, 'invite', operator.id))
  return linkOf(ctx, token)
}

function newLink(ctx: Context, { id }: OperatorRecord, role: Role, kind: OperatorLinkRecord['kind']) {
  const now = ctx.clock.now()
  const token = newSecret(ctx)
  const link: OperatorLinkRecord = {
    secret_hash: hashOf(token),
    operator_id: id,
    role,
    kind,
    expires_at: now + (kind === 'invite' ? LINK_LIFETIME : DEVELOPMENT_LINK_LIFETIME),
    used_at: null,
    created_at: now,
  }
  return { token, link }
}

/** Returns a new operator who has no identity provider, and so acts with their own id. */
function localOperator(
  ctx: Context,
  named: Pick<OperatorRecord, 'local_name' | 'role' | 'role_source' | 'name' | 'email'>,
): OperatorRecord {
  const now = ctx.clock.now()
  const id = ctx.random.id('opr', now)
  const { local_name, role, role_source, name, email } = named
  return {
    id,
    iss: ctx.settings.public_url,
    sub: id,
    actor_sub: id,
    local_name,
    role,
    role_source,
    name,
    email,
    disabled_at: null,
    last_sign_in_at: null,
    created_at: now,
    updated_at: now,
  }
}

/** Returns an operator. @throws ApiError resource_not_found */
export async function getOperator(ctx: Context, input: { id: string }): Promise<OperatorRecord> {
  const operator = await ctx.store.operators.find(input.id)
  if (!operator) throw notFound('operator', input.id)
  return operator
}

/** Lists operators, newest first. */
export function listOperators(ctx: Context, input: Page & { counted: boolean }): Promise<Found<OperatorRecord>> {
  return ctx.store.operators.list(input, input)
}

/**
 * Disables an operator: ends their sessions in the console, disables the actor and revokes what the actor has, all in one
 * transaction. An operator who is disabled already is returned unchanged.
 * @throws ApiError resource_not_found
 */
export async function disableOperator(ctx: Context, input: { id: string }): Promise<OperatorRecord> {
  const operator = await getOperator(ctx, input)
  const event = operatorEvent(ctx, 'disable', operator.id, undefined, operator.actor_sub)
  const disabled = await ctx.store.operators.disable(operator, ctx.clock.now(), event)
  if (!disabled) return getOperator(ctx, input)
  await applyCutoffs(ctx)
  return disabled
}

/** Lets a disabled operator sign in again. @throws ApiError resource_not_found */
export async function enableOperator(ctx: Context, input: { id: string }): Promise<OperatorRecord> {
  const operator = await getOperator(ctx, input)
  const event = operatorEvent(ctx, 'enable', operator.id, undefined, operator.actor_sub)
  return (await ctx.store.operators.enable(operator, ctx.clock.now(), event)) ?? getOperator(ctx, input)
}

/** Creates the event of a change to an operator. */
export function operatorEvent(
  ctx: Context,
  verb: string,
  id: string,
  details?: Record<string, unknown>,
  actorSub?: string,
) {
  const about = actorSub === undefined ? {} : { actor_sub: actorSub }
  return auditEvent(ctx, { action: `operator.${verb}`, about, target_id: id, details })
}

/** Whether an operator with this role may call an operation, if only about what is their own. */
export function roleMayCall({ roles = [] }: Pick<Operation, 'roles'>, role: Role): boolean {
  return roles.includes(role)
}

/** @throws ApiError operator_not_allowed, which names the roles that may */
export function assertRole({ roles = [] }: Pick<Operation, 'roles'>, role: Role): void {
  if (!roles.includes(role)) throw notAllowed(role, roles)
}

function notAllowed(role: Role, roles: readonly Role[]): ApiError {
  const named = roles.length < 2 ? roles.join('') : `${roles.slice(0, -1).join(', ')} or ${roles.at(-1)}`
  return new ApiError('operator_not_allowed', { params: { role, roles: named || 'nobody' }, meta: { roles } })
}

/** Whether an operation is limited to what is the operator's own. */
export function isLimitedToOwn({ own = [] }: Pick<Operation, 'own'>, { role }: OperatorCaller): boolean {
  return own.includes(role)
}

/**
 * Checks that what a request names is the operator's own: an acting session or a token in which the operator is the actor,
 * or a session in the console. Denies what it does not know. The operation answers for an object that does not exist.
 * @param params the parameters of the path
 * @throws ApiError operator_not_allowed
 */
export async function assertOwn(
  ctx: Context,
  { roles = [], own = [] }: Pick<Operation, 'roles' | 'own'>,
  operator: OperatorCaller,
  params: Record<string, string>,
): Promise<void> {
  const { store } = ctx
  const { session_id, actor_token_id, operator_session_id } = params
  if (session_id !== undefined) {
    const session = await store.sessions.find(session_id)
    if (!session || session.actor_sub === operator.actor.sub) return
  } else if (actor_token_id !== undefined) {
    const token = await store.actorTokens.find(actor_token_id)
    if (!token || token.actor_sub === operator.actor.sub) return
  } else if (operator_session_id !== undefined) {
    const session = await store.operatorSessions.find(operator_session_id)
    if (!session || session.operator_id === operator.id) return
  }
  throw notAllowed(
    operator.role,
    roles.filter(role => !own.includes(role)),
  )
}

/** @throws ApiError step_up_required */
export function assertSteppedUp(ctx: Pick<Context, 'clock'>, { step_up_until }: OperatorCaller): void {
  if (step_up_until === null || step_up_until <= ctx.clock.now()) throw new ApiError('step_up_required')
}

/** Returns for whom a stream is registered: the operator in a session, otherwise the secret key. */
export function streamOwner({ operator, principal }: Pick<Caller, 'operator' | 'principal'>): StreamOwner {
  if (!operator) return { id: principal.id ?? '' }
  return { id: operator.id, session: { id: operator.session_id, role: operator.role } }
}
