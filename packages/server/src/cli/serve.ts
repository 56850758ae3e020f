import type { Command } from 'commander'
import { assertProduction, ConfigError, loadConfig, settings } from '../config.ts'
import { createStagedoor } from '../server.ts'

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
      try {
        const { port, host, metrics_port } = await stagedoor.listen().catch(error => {
          throw error.code === 'EADDRINUSE'
            ? new ConfigError(
                `STAGEDOOR_PORT: port ${config.port} is taken on ${config.host}. Stop what listens there, or give another port.`,
              )
            : error
        })
        log.info(
          { host, port, metrics_port, public_url: config.public_url, environment: config.environment ?? 'production' },
          'serving',
        )
        await stopOnSignal()
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
