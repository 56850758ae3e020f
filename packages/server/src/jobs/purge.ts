import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { expiredBefore, purgeAll } from '../domain/purge.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Job } from './runner.ts'

const DAY = 86_400_000
const INTERVAL = 60_000
/** Fraction of time that a purge may use. */
const SHARE = 0.05
/** Minimum pause between batches, in ms. */
const PAUSE = 20
/** Maximum counts of refused requests per transaction. */
const BATCH = 200

export interface PurgeOptions {
  /** Days for which rows are kept after they end or expire. */
  retentionDays: number
  metrics: Pick<Metrics, 'purged'> | undefined
  log: Logger
}

/** Deletes rows after their retention period, in small batches. */
export function purge({ retentionDays, metrics, log }: PurgeOptions): Job {
  return {
    name: 'purge',
    interval: INTERVAL,
    failure: 'expired rows could not be deleted',

    async run(ctx) {
      // A backlog may take hours. Stop before the next run is due, so that progress is logged; that run continues.
      const until = performance.now() + INTERVAL - 1_000
      const rest = async (worked: number) => {
        const pause = Math.max(PAUSE, worked / SHARE)
        if (performance.now() + pause > until) return false
        return sleep(pause, true, { ref: false, signal: ctx.stopping }).catch(() => false)
      }
      const before = ctx.clock.now() - retentionDays * DAY
      while ((await ctx.store.refusedRequests.deleteBefore(before, BATCH)) === BATCH);
      const rows = await purgeAll(ctx, { over: expiredBefore(ctx, { days: retentionDays }), rest })
      metrics?.purged(rows)
      if (Object.values(rows).some(count => count > 0)) log.info(rows, 'deleted expired rows')
    },
  }
}
