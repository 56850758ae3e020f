import { availableParallelism } from 'node:os'
import { type Command, Option } from 'commander'
import { type Config, loadConfig, settings, workerCount } from '../config.ts'
import { assertProduction } from '../config-rules.ts'
import { createStagedoor } from '../server.ts'
import { UsageError } from './output.ts'
import { failedOutside, listen, stopOnSignal } from './serving.ts'
import { serveAsWorker, superviseWorkers } from './workers.ts'

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('start a production server; it does not start without its secrets')
    .option(
      '--workers <count>',
      'number of processes that serve (requires PostgreSQL), or `auto`; overrides STAGEDOOR_WORKERS',
      workers,
    )
    // For internal use: the supervisor starts its workers with this option.
    .addOption(new Option('--worker <number>').hideHelp())
    .addHelpText(
      'after',
      `\nSettings, from the environment:\n${settings.map(({ env, description, defaultValue }) => `  ${env}${defaultValue ? ` (${defaultValue})` : ''}\n      ${description}`).join('\n')}`,
    )
    .action(async ({ workers: wanted, worker }: { workers?: string; worker?: string }) => {
      const config = loadConfig(wanted === undefined ? process.env : { ...process.env, STAGEDOOR_WORKERS: wanted })
      assertProduction(config)
      const count = workerCount(config, availableParallelism())
      if (worker !== undefined) await serveAsWorker(config, { number: Number(worker), of: count })
      else if (count > 1) await superviseWorkers(config, count)
      else await serve(config)
    })
}

function workers(text: string): string {
  if (!/^(auto|[1-9]\d?)$/.test(text))
    throw new UsageError(`--workers: “${text}” is neither \`auto\` nor a number from 1 to 99.`)
  return text
}

async function serve(config: Config): Promise<void> {
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
