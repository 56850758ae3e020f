import type { Context } from './context.ts'
import { OWN_SESSION_LIFETIME } from './sessions.ts'
import type { LongOver, Purged } from './store.ts'

const DAY = 86_400_000
/**
 * So many sessions and so many tickets are deleted in one transaction. Each changes a page in every index of its tables, and
 * whoever writes meanwhile waits until they are on the disk.
 */
const BATCH = 25

/**
 * What may go: what has been over for so many days, and in any case no sooner than the longest session could have lasted
 * since. So no session goes that another one which is alive was begun from; nor a stamp, while there may be a session that
 * it revokes; nor anything that a key of `domain/idempotency.ts` still points at.
 * @param input.days kept at least, after its own time was over
 * @param input.until only what was over at this time, Unix ms
 */
export function longOver({ settings }: Context, input: { days: number; until?: number }): LongOver {
  const longest = Math.max(settings.actor_session_max_seconds * 1_000, OWN_SESSION_LIFETIME)
  const { days, until = Number.MAX_SAFE_INTEGER } = input
  return { keep: Math.max(days * DAY, longest) + DAY, until }
}

/** How much there is of it. Reads all of it. */
export function countLongOver(ctx: Context, over: LongOver): Promise<Omit<Purged, 'clients'>> {
  return ctx.store.purge.count(over)
}

/**
 * Deletes all of it, a little at a time. Never an audit event.
 * @param input.rest called between two turns with how long the last took, ms; resolves to false to stop
 */
export async function purgeAll(
  ctx: Context,
  input: { over: LongOver; rest: (worked: number) => Promise<boolean> },
): Promise<Purged> {
  const done: Purged = { sessions: 0, tickets: 0, clients: 0, stamps: 0 }
  for (;;) {
    const start = performance.now()
    const { left, ...some } = await ctx.store.purge.some(input.over, BATCH)
    for (const what of Object.keys(done) as (keyof Purged)[]) done[what] += some[what]
    if (!left || !(await input.rest(performance.now() - start))) return done
  }
}
