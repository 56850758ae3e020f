import type { Context } from './context.ts'
import type { ActingFilter, Found, Page } from './lists.ts'
import type { ActingRecord } from './records.ts'

/** Lists active sessions in which an actor acts as a user, the one that began last first. */
export function listActing(ctx: Context, input: ActingFilter & Page): Promise<Found<ActingRecord>> {
  return ctx.store.acting.list(input, input)
}

/**
 * Returns whether a person or a program acts, as the policy sees it: a payload can say that the actor is an agent, but not if
 * the actor is registered or a user.
 * @example kindOf({ actor: '{"sub":"nightly","kind":"agent"}', registered_kind: null, actor_is_user: 0 }) // 'agent'
 */
export function kindOf(
  record: Pick<ActingRecord, 'actor' | 'registered_kind' | 'actor_is_user'>,
): 'operator' | 'agent' {
  if (record.registered_kind !== null) return record.registered_kind
  const { kind } = JSON.parse(record.actor) as { kind?: unknown }
  return kind === 'agent' && record.actor_is_user === 0 ? 'agent' : 'operator'
}
