import type { Command } from 'commander'
import type { Logger } from 'pino'
import { assertProduction, ConfigError, loadConfig, settings } from '../config.ts'
import { createStagedoor } from '../server.ts'
import { EXIT } from './output.ts'

/** How long a server that has failed may take to finish requests under way, ms. */
const LAST_WORK = 30_000

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('start a production server; refuses to without its secrets')
    .addHelpText(
      'after',
      `\nSettings, from the environment:\n${settings.map(({ env, description, usual }) => `  ${env}${usual ? ` (${usual})` : ''}\n      ${description}`).join('\n')}`,
    )
    .action(async () => {
      const config = loadConfig(process.env)
      assertProduction(config)
      const stagedoor = await createStagedoor(config)
      const { log } = stagedoor
      const failed = uncaught(log)
      try {
        const { port, host, metrics_port } = await stagedoor.listen().catch(error => {
          if (error.code !== 'EADDRINUSE') throw error
          const setting = error.port === config.metrics_port ? 'STAGEDOOR_METRICS_PORT' : 'STAGEDOOR_PORT'
          throw new ConfigError(
            `${setting}: port ${error.port} is taken on ${error.address}. Stop what listens there, or give another port.`,
          )
        })
        log.info(
          { host, port, metrics_port, public_url: config.public_url, environment: config.environment ?? 'production' },
          'serving',
        )
        await Promise.race([stopOnSignal(), failed])
        log.info('stopping: finishing requests under way')
      } finally {
        await stagedoor.close()
      }
      log.info('stopped')
    })
}

/** Resolves at the first SIGINT or SIGTERM; a second one does not wait. */
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
 * The last resort. What failed outside every request may have left anything half done in memory (the database cannot
 * be: its transactions do not wait for anything), so the server stops as on a signal, and whoever watches over it
 * starts a new one.
 * @returns resolves at the first exception or rejection that nobody caught; the process will exit with 1
 */
function uncaught(log: Logger): Promise<void> {
  return new Promise(resolve => {
    process.on('uncaughtException', (err, origin) => {
      log.fatal({ err, origin }, 'nobody caught this; stopping, to be started anew')
      process.exitCode = EXIT.failed
      setTimeout(() => process.exit(), LAST_WORK).unref()
      resolve()
    })
  })
}
