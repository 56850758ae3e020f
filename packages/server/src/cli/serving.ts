import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'
import type { Stagedoor } from '../server.ts'
import { EXIT } from './output.ts'

/** How long a server that has failed may take to finish requests under way, ms. */
export const LAST_WORK = 30_000

export function listen(stagedoor: Stagedoor, config: Config): ReturnType<Stagedoor['listen']> {
  return stagedoor.listen().catch(error => {
    throw portTaken(error, config)
  })
}

/** The same error, in words that somebody can act on if it says that a port is taken. */
export function portTaken(error: NodeJS.ErrnoException & { port?: number; address?: string }, config: Config): Error {
  if (error.code !== 'EADDRINUSE') return error
  const setting = error.port === config.metrics_port ? 'STAGEDOOR_METRICS_PORT' : 'STAGEDOOR_PORT'
  return new ConfigError(
    `${setting}: port ${error.port} is taken on ${error.address}. Stop what listens there, or give another port.`,
  )
}

/**
 * Resolves at the first SIGINT or SIGTERM; a second one does not wait.
 * @param atOnce what is still done then
 */
export function stopOnSignal(atOnce = () => {}): Promise<void> {
  return new Promise(resolve => {
    let asked = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (asked) {
          atOnce()
          process.exit(1)
        }
        asked = true
        resolve()
      })
    }
  })
}

/**
 * The last resort. What failed outside every request may have left anything half done in memory (the database cannot
 * be: its transactions do not wait for anything), so the server stops as on a signal, and whoever watches over it
 * starts a new one.
 * @returns resolves at the first exception or rejection that nobody caught; the process will exit with 1
 */
export function failedOutside(log: Logger): Promise<void> {
  return new Promise(resolve => {
    process.on('uncaughtException', (err, origin) => {
      log.fatal({ err, origin }, 'nobody caught this; stopping, to be started anew')
      process.exitCode = EXIT.failed
      setTimeout(() => process.exit(), LAST_WORK).unref()
      resolve()
    })
  })
}
