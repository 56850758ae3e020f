import type { Logger } from 'pino'
import { type Config, ConfigError } from '../config.ts'
import type { Stagedoor } from '../server.ts'
import { EXIT } from './output.ts'

/** Maximum time that a failed server takes to finish requests in flight, in ms. */
const LAST_WORK = 30_000

export function listen(stagedoor: Stagedoor, config: Config): ReturnType<Stagedoor['listen']> {
  return stagedoor.listen().catch(error => {
    throw portTaken(error, config)
  })
}

/** Returns a ConfigError that names the setting if the port is taken; otherwise the same error. */
function portTaken(error: NodeJS.ErrnoException & { port?: number; address?: string }, config: Config): Error {
  if (config.reuse_port && ['ENOTSUP', 'EINVAL', 'ENOSYS'].includes(error.code ?? ''))
    return new ConfigError(
      'STAGEDOOR_REUSE_PORT: on this system servers cannot share a port. Use Linux or FreeBSD, or remove the setting.',
    )
  if (error.code !== 'EADDRINUSE') return error
  const setting = error.port === config.metrics_port ? 'STAGEDOOR_METRICS_PORT' : 'STAGEDOOR_PORT'
  return new ConfigError(
    `${setting}: port ${error.port} on ${error.address} is already in use. Stop the process that listens there, or set a different port.`,
  )
}

/** Resolves at the first SIGINT or SIGTERM. A second signal exits the process immediately. */
export function stopOnSignal(): Promise<void> {
  return new Promise(resolve => {
    let asked = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(1)
        asked = true
        resolve()
      })
    }
  })
}

/**
 * Handles uncaught errors, as a last resort. An error outside every request may have left inconsistent state in memory.
 * The database stays consistent, because its transactions do not wait for anything. So the server stops as on a signal,
 * and its supervisor (such as systemd) starts a new process.
 * @returns resolves at the first uncaught exception or rejection; the process will exit with 1
 */
export function failedOutside(log: Logger): Promise<void> {
  return new Promise(resolve => {
    process.on('uncaughtException', (err, origin) => {
      log.fatal({ err, origin }, 'uncaught error; stopping, so that the supervisor starts a new process')
      process.exitCode = EXIT.failed
      setTimeout(() => process.exit(), LAST_WORK).unref()
      resolve()
    })
  })
}
