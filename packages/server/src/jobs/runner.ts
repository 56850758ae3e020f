import type { Logger } from 'pino'
import type { Context } from '../domain/context.ts'

/** Work that a server does periodically. */
export interface Job {
  /** The name of the job in the log. */
  name: string
  /** Time between the starts of two runs, in ms. */
  interval: number
  /** The log message for a run that fails. */
  failure: string
  run(ctx: Context): Promise<void>
}

/** Jobs that run until they are stopped. */
export interface RunningJobs {
  /** Starts no more runs. Runs in progress continue. */
  stop(): void
}

/**
 * Runs each job at its interval, for the first time after one interval. A run is skipped while the previous run of the
 * same job is in progress. If a run fails, the error is logged and the next run starts as usual. Jobs do not keep the
 * process alive.
 * @param newContext returns the context of one run
 */
export function startJobs(jobs: readonly Job[], newContext: () => Context, log: Logger): RunningJobs {
  const timers = jobs.map(job => {
    let isRunning = false
    const runOnce = async () => {
      if (isRunning) return
      isRunning = true
      try {
        await job.run(newContext())
      } catch (err) {
        log.warn({ err, job: job.name }, job.failure)
      } finally {
        isRunning = false
      }
    }
    return setInterval(runOnce, job.interval).unref()
  })
  return {
    stop() {
      for (const timer of timers) clearInterval(timer)
    },
  }
}
