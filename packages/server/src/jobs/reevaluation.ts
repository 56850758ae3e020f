import { setTimeout as sleep } from 'node:timers/promises'
import { reevaluateSessions } from '../domain/reevaluation.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Job } from './runner.ts'

/** Maximum sessions per transaction. */
const BATCH = 100
/** Pause after a failure, in ms: the engine or the database may take longer to be back. */
const PAUSE = 1_000

/** Ends sessions that the policy no longer allows. Often, because their tokens are still in use. */
export function reevaluation(metrics: Pick<Metrics, 'reevaluated'> | undefined): Job {
  return {
    name: 'reevaluation',
    interval: 250,
    failure: 'sessions could not be decided about again',

    async run(ctx) {
      const start = performance.now()
      try {
        let decided = 0
        let last = { decided: BATCH, stored: BATCH }
        // If nothing can be stored, another transaction has locked the rows: the next run comes soon enough.
        while (last.decided === BATCH && last.stored > 0 && !ctx.stopping.aborted) {
          last = await reevaluateSessions(ctx, { limit: BATCH })
          decided += last.decided
        }
        if (decided > 0) metrics?.reevaluated((performance.now() - start) / 1_000)
      } catch (error) {
        await sleep(PAUSE, undefined, { ref: false, signal: ctx.stopping }).catch(() => {})
        throw error
      }
    },
  }
}
