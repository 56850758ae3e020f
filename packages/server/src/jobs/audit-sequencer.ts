import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Job } from './runner.ts'

/** Maximum random delay of a run, in ms: it keeps the nodes from running at the same moments. */
const JITTER = 50
/** Interval between log lines about a log that was tampered with, in ms. */
const REMINDER = 60_000
/** Interval between deletions of old checkpoints, in runs: an hour. */
const THINNING = 14_400
/** Maximum checkpoints per deletion. */
const BATCH = 500

/** Puts committed audit events into their order, and signs the tree over them. */
export function auditSequencer(log: Logger): Job {
  let remindAt = 0
  let runs = 0
  return {
    name: 'audit-sequencer',
    interval: 250,
    failure: 'audit events could not be added to the log',

    async run(ctx) {
      const { auditLog, random, store, stopping } = ctx
      const [byte = 0] = random.bytes(1)
      const isStopped = await sleep((byte / 256) * JITTER, false, { ref: false, signal: stopping }).catch(() => true)
      if (isStopped) return
      await auditLog.tick()
      if (auditLog.tampered !== undefined && performance.now() >= remindAt) {
        remindAt = performance.now() + REMINDER
        log.error(
          { reason: auditLog.tampered },
          'the audit log was tampered with: nothing is signed until the right database is restored, or `stagedoor audit accept-loss` was run',
        )
      }
      if (++runs % THINNING === 0) while ((await store.auditLog.thinCheckpoints(BATCH)) === BATCH);
    },
  }
}
