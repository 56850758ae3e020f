import { ApiError } from '../../contract/errors.ts'
import type { Operation } from '../../contract/operation.ts'
import type { Context, OperatorCaller } from '../../domain/context.ts'
import { assertOwn, assertSteppedUp, isLimitedToOwn } from '../../domain/operators.ts'
import { assertMaskedOrder } from './masking.ts'

/** What the console adds to the operations of the Backend API: whose objects, in whose name, and how lately proved. */

/**
 * Checks that the objects that the path names are the operator's own, if the role is limited to these.
 * @throws ApiError operator_not_allowed
 */
export async function assertMayName(
  ctx: Context,
  operation: Operation,
  operator: OperatorCaller,
  params: Record<string, string>,
): Promise<void> {
  if (operation.ownFilter !== undefined || !isLimitedToOwn(operation, operator)) return
  await assertOwn(ctx, operation, operator, params)
}

/**
 * Returns the body of a request with the operator as the actor, with their login and their address. It is what the
 * operation validates.
 * @param sent the body as it was sent
 * @throws ApiError operator_actor_mismatch if it names another actor
 */
export function inOwnName(ctx: Context, operation: Operation, operator: OperatorCaller, sent: unknown): unknown {
  const { actorIsOperator } = operation
  if (actorIsOperator === undefined || typeof sent !== 'object' || sent === null || Array.isArray(sent)) return sent
  const body = sent as { actor?: unknown; session_id?: unknown; actor_token_id?: unknown }
  // The question is about what exists: it has its actor.
  if (operation.action === undefined && (body.session_id ?? body.actor_token_id) !== undefined) return sent
  if (body.actor !== undefined && subOf(body.actor) !== operator.actor.sub) {
    if (actorIsOperator.except.includes(operator.role)) return sent
    throw new ApiError('operator_actor_mismatch', { about: { actor_sub: operator.actor.sub } })
  }
  const { address } = ctx.caller
  // A zone (`fe80::1%eth0`) says something only on this machine.
  const ip = address === null ? {} : { ip: address.replace(/%.*/, '') }
  const { ip: _ip, ...rest } = body as { ip?: unknown }
  return { ...rest, ...ip, actor: { ...operator.actor }, auth: { at: operator.auth.at, amr: [...operator.auth.amr] } }
}

const subOf = (actor: unknown) =>
  typeof actor === 'object' && actor !== null ? (actor as { sub?: unknown }).sub : actor

/**
 * Limits a list to what is the operator's own, if the role is limited to that, and checks that the operator has proved who
 * they are lately.
 * @returns the query
 * @throws ApiError operator_not_allowed, step_up_required, form_param_value_invalid
 */
export async function assertInput<Query>(
  ctx: Context,
  operation: Operation,
  operator: OperatorCaller,
  { query, body }: { query: Query; body: unknown },
): Promise<Query> {
  const { stepUp, ownFilter } = operation
  if (stepUp === true || stepUp?.(body as never)) assertSteppedUp(ctx, operator)
  assertMaskedOrder(ctx, operation, query)
  if (ownFilter === undefined || !isLimitedToOwn(operation, operator)) return query
  const own = { operator_id: operator.id, actor_sub: operator.actor.sub }[ownFilter]
  const named = (query as Record<string, unknown>)[ownFilter]
  if (named !== undefined && named !== own) await assertOwn(ctx, operation, operator, {})
  return { ...query, [ownFilter]: own }
}
