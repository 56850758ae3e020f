import { auditEvent } from './audit/event.ts'
import { assertWithin } from './caller-limit.ts'
import type { Context, OperatorCaller } from './context.ts'

/** What an operator is shown that their role does not show by default. */
export interface Reveal {
  /** The object that was read, as the API presents it. */
  object: { object: string; id: string; user_id?: string | null }
  /** The names of the members that were shown. */
  members: readonly string[]
}

/**
 * Counts a request to see personal data, as a search, and writes its audit event: the operator, the user and the members,
 * never their values. If the event cannot be written, nothing is shown.
 * @throws ApiError too_many_requests
 */
export async function recordReveal(ctx: Context, { object: { object, id, user_id }, members }: Reveal): Promise<void> {
  const { operator } = ctx.caller
  if (!operator) return
  countLookup(ctx, operator)
  const user = object === 'user' ? id : user_id
  const about = {
    actor_sub: operator.actor.sub,
    ...(user ? { user_id: user } : {}),
    ...(object === 'session' ? { session_id: id } : {}),
    ...(object === 'actor_token' ? { actor_token_id: id } : {}),
  }
  const details = { object, revealed: [...members] }
  const actor = JSON.stringify(operator.actor)
  await ctx.store.audit.append(auditEvent(ctx, { action: 'console.reveal', about, target_id: id, actor, details }))
}

/** Counts a search, or a look at one person's data. @throws ApiError too_many_requests */
export function countLookup(ctx: Context, operator: OperatorCaller): void {
  assertWithin(ctx.searches, operator.id)
}
