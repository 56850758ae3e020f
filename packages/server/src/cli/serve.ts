import type { Command } from 'commander'
import { type Config, loadConfig, settings } from '../config.ts'
import { assertProduction } from '../config-rules.ts'
import { failedOutside, listen, stopOnSignal } from './serving.ts'

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('start a production server; it does not start without its secrets')
    .addHelpText(
      'after',
      `\nSettings, from the environment:\n${settings.map(({ env, description, defaultValue }) => `  ${env}${defaultValue ? ` (${defaultValue})` : ''}\n      ${description}`).join('\n')}`,
    )
    .action(async () => {
      const config = loadConfig(process.env)
      assertProduction(config)
      await serve(config)
    })
}

async function serve(config: Config): Promise<void> {
  const { createStagedoor } = await import('../server.ts')
  const stagedoor = await createStagedoor(config)
  const { log } = stagedoor
  const failed = failedOutside(log)
  try {
    const { port, host, metrics_port } = await listen(stagedoor, config)
    log.info(
      { host, port, metrics_port, public_url: config.public_url, environment: config.environment ?? 'production' },
      'serving',
    )
    await Promise.race([stopOnSignal(), failed])
    log.info('stopping: finishing requests in flight')
  } finally {
    await stagedoor.close()
  }
  log.info('stopped')
}
