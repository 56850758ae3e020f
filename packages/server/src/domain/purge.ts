import type { Context } from './context.ts'
import { OWN_SESSION_LIFETIME } from './sessions.ts'
import type { ExpiredBefore, Purged } from './store.ts'

const DAY = 86_400_000
/**
 * Maximum sessions, and maximum tokens, per transaction. Each deleted row changes a page in every index of its table,
 * and other writes wait until these pages are on disk.
 */
const BATCH = 25

/**
 * Returns which rows may be deleted: those that ended at least this number of days ago, and in any case longer ago than
 * the longest session can last. So a purge never deletes a session that an active session was started from, a cutoff
 * that may still revoke a session, or anything that a key of `domain/idempotency.ts` still refers to.
 * @param input.days minimum number of days to keep a row after its expiry
 * @param input.until only rows that had expired by this time, Unix ms
 */
export function expiredBefore({ settings }: Context, input: { days: number; until?: number }): ExpiredBefore {
  const longest = Math.max(settings.actor_session_max_seconds * 1_000, OWN_SESSION_LIFETIME)
  const { days, until = Number.MAX_SAFE_INTEGER } = input
  return { keep: Math.max(days * DAY, longest) + DAY, until }
}

/** Counts the rows that may be deleted. Reads all of them. */
export function countExpiredBefore(ctx: Context, over: ExpiredBefore): Promise<Omit<Purged, 'clients'>> {
  return ctx.store.purge.count(over)
}

/**
 * Deletes these rows in batches. Never deletes an audit event.
 * @param input.rest called between two batches with the duration of the last one, in ms; resolves to `false` to stop
 */
export async function purgeAll(
  ctx: Context,
  input: { over: ExpiredBefore; rest: (worked: number) => Promise<boolean> },
): Promise<Purged> {
  const done: Purged = {
    sessions: 0,
    actor_tokens: 0,
    clients: 0,
    cutoffs: 0,
    operator_sessions: 0,
    operator_links: 0,
    operator_sign_ins: 0,
  }
  for (;;) {
    const start = performance.now()
    const { left, ...batch } = await ctx.store.purge.deleteBatch(input.over, BATCH)
    for (const what of Object.keys(done) as (keyof Purged)[]) done[what] += batch[what]
    if (!left || !(await input.rest(performance.now() - start))) return done
  }
}
