import type { Context } from './context.ts'
import { decide, endedByPolicy, frozenFactsOf, isOnlyBlocked, rulesOf } from './policy.ts'
import type { SessionRecord } from './records.ts'
import { sessionEvent } from './sessions.ts'
import type { Redecision } from './store.ts'

/** How many sessions are decided about at once, before other work gets its turn. A decision takes up to a millisecond. */
const SLICE = 5
/** Each run picks sessions at random from up to this many times its limit, so that nodes rarely pick the same ones. */
const CHOICE = 4

/**
 * Decides again about acting sessions whose policy, user or actor changed, or whose decision was for a limited time.
 * Sessions that are no longer allowed end. A mint does the same for its own session; this reaches the sessions whose tokens
 * are already out.
 * @param input.limit maximum number of sessions
 * @returns how many were decided about, and how many of these decisions were stored
 * @throws ApiError policy_unavailable
 */
export async function reevaluateSessions(
  ctx: Context,
  input: { limit: number },
): Promise<{ decided: number; stored: number }> {
  const due = await ctx.store.reevaluation.due(CHOICE * input.limit)
  const sessions = shuffled(ctx, due).slice(0, input.limit)
  const decisions: Redecision[] = []
  for (let first = 0; first < sessions.length; first += SLICE) {
    const slice = sessions.slice(first, first + SLICE)
    decisions.push(...(await Promise.all(slice.map(session => decideAgain(ctx, session)))))
    await ctx.nextTurn()
  }
  return { decided: sessions.length, stored: await ctx.store.reevaluation.write(decisions) }
}

/** Returns the items in a random order. */
function shuffled<T>(ctx: Context, items: T[]): T[] {
  const bytes = ctx.random.bytes(4 * items.length)
  return items
    .map((item, n) => ({ item, place: bytes.readUInt32LE(4 * n) }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item)
}

async function decideAgain(ctx: Context, session: SessionRecord): Promise<Redecision> {
  const { id: session_id, user_id } = session
  // Only sessions with an actor are decided about.
  const actor_sub = session.actor_sub ?? ''
  const decided = await decide(ctx, { session_id, user_id, actor_sub, frozen: frozenFactsOf(session), ip: session.ip })
  if (!decided) return { session, refused: sessionEvent(ctx, 'session.revoke', session, 'the user was deleted') }
  if (decided.decision.allowed) return { session, versions: decided.versions, until: decided.until }
  if (isOnlyBlocked(rulesOf(decided))) return { session, blocked: true }
  const { reason, details } = endedByPolicy(decided)
  return { session, refused: sessionEvent(ctx, 'session.revoke', session, reason, details) }
}
