import type { Context } from './context.ts'
import { decide, endedByPolicy, frozenFactsOf, isOnlyBlocked, rulesOf } from './policy.ts'
import type { SessionRecord } from './records.ts'
import { sessionEvent } from './sessions.ts'
import type { Redecision } from './store.ts'

/** How many decisions are made before other work gets its turn. A decision takes up to a millisecond. */
const SLICE = 5

/**
 * Decides again about acting sessions whose policy, user or actor changed, or whose decision was for a limited time.
 * Sessions that are no longer allowed end. A mint does the same for its own session; this reaches the sessions whose tokens
 * are already out.
 * @param input.limit maximum number of sessions
 * @returns how many were decided about, and how many ended
 * @throws ApiError policy_unavailable
 */
export async function reevaluateSessions(
  ctx: Context,
  input: { limit: number },
): Promise<{ decided: number; ended: number }> {
  const sessions = await ctx.store.reevaluation.due(input.limit)
  const decisions: Redecision[] = []
  for (let first = 0; first < sessions.length; first += SLICE) {
    const slice = sessions.slice(first, first + SLICE)
    decisions.push(...(await Promise.all(slice.map(session => decideAgain(ctx, session)))))
    await ctx.nextTurn()
  }
  // In one order on every node, so that two nodes never wait for each other.
  decisions.sort((a, b) => (a.session.id < b.session.id ? -1 : 1))
  await ctx.store.reevaluation.write(decisions)
  return { decided: decisions.length, ended: decisions.filter(({ refused }) => refused !== undefined).length }
}

async function decideAgain(ctx: Context, session: SessionRecord): Promise<Redecision> {
  const { id: session_id, user_id } = session
  // Only sessions with an actor are decided about.
  const actor_sub = session.actor_sub ?? ''
  const decided = await decide(ctx, { session_id, user_id, actor_sub, frozen: frozenFactsOf(session) })
  if (!decided) return { session, refused: sessionEvent(ctx, 'session.revoke', session, 'the user was deleted') }
  if (decided.decision.allowed) return { session, versions: decided.versions, until: decided.until }
  if (isOnlyBlocked(rulesOf(decided))) return { session, blocked: true }
  const { reason, details } = endedByPolicy(decided)
  return { session, refused: sessionEvent(ctx, 'session.revoke', session, reason, details) }
}
