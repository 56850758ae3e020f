import type { Context } from '../domain/context.ts'
import { applyCutoffs } from '../domain/revocations.ts'
import { finishOverdueSessions } from '../domain/sessions.ts'
import type { Job } from './runner.ts'

/** Maximum rows per transaction. */
const BATCH = 200

/** Writes what has become due, and deletes expired idempotency keys. */
export const due: Job = {
  name: 'due',
  interval: 1_000,
  failure: 'due changes could not be written',

  async run(ctx) {
    await persistDue(ctx)
    while ((await ctx.store.idempotencyKeys.deleteExpired(BATCH)) === BATCH);
  },
}

/** Writes what has become due by now: last activity, bulk revocations, and tokens and sessions that have expired. */
export async function persistDue(ctx: Context): Promise<void> {
  // Activity first: a session that was used a moment ago is not overdue.
  await ctx.activity.flush(ctx.store, ctx.clock.now())
  while (await applyCutoffs(ctx));
  while ((await ctx.store.actorTokens.expireOverdue(BATCH)) === BATCH);
  while ((await finishOverdueSessions(ctx, { limit: BATCH })) === BATCH);
}
