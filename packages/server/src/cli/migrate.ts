import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { type Config, ConfigError, describeDatabase, loadConfig } from '../config.ts'
import { commandEnvironment, commandLine } from './environment.ts'
import { type OutputOptions, printOne } from './output.ts'

interface MigrateOptions extends OutputOptions {
  from?: string
  to?: string
  takeBack?: boolean
}

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('update the database schema (a server also does this at startup), or move to PostgreSQL')
    .option('--from <url>', 'move a whole instance from this embedded database, for example sqlite:./stagedoor.db')
    .option('--to <url>', 'to this empty database, postgres://user:password@host:5432/database')
    .option('--take-back', 'make a moved database usable again; revokes everything issued in it')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Stop the server first: a database in use cannot be moved. The move copies everything in one transaction and compares every
row. After that no server can use the source. Start the server with STAGEDOOR_DATABASE_URL set to the new database, and with
the same master key. To undo the move before the new database was used: --take-back.`,
    )
    .action(async (options: MigrateOptions) => {
      if (options.takeBack) return takeBack(options)
      if (options.from !== undefined || options.to !== undefined) return move(options)
      const { database_url } = loadConfig(commandEnvironment())
      const { migrateDatabase } = await import('../server.ts')
      const applied = await migrateDatabase(database_url)
      const database = describeDatabase(database_url)
      printOne(options, { database, applied }, { database, applied: applied.join(', ') || 'nothing: it is up to date' })
    })
}

async function move(options: MigrateOptions): Promise<void> {
  const { from, to } = options
  if (from === undefined || to === undefined) throw new ConfigError('Give both --from and --to.')
  for (const [option, url] of [
    ['--from', from],
    ['--to', to],
  ] as const)
    assertDatabase(option, url)
  let shown = 0
  const { moveDatabase } = await import('../maintenance.ts')
  const rows = await moveDatabase(from, to, ({ table, copied, of }) => {
    if (Date.now() - shown < 1_000 && copied < of) return
    shown = Date.now()
    process.stderr.write(`${table} ${copied} of ${of}\n`)
  })
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0)
  const [source, target] = [describeDatabase(from), describeDatabase(to)]
  printOne(
    options,
    { from: source, to: target, rows },
    { from: `${source}, which can no longer be used`, to: target, copied: `${total} rows, each compared` },
  )
}

/** Checks the URL of an option. @throws ConfigError that names the option */
function assertDatabase(option: '--from' | '--to', url: string): void {
  try {
    loadConfig({ STAGEDOOR_DATABASE_URL: url })
  } catch (error) {
    throw new ConfigError((error as Error).message.replace('STAGEDOOR_DATABASE_URL', option))
  }
  if (url.startsWith('sqlite:') && !existsSync(url.slice('sqlite:'.length)))
    throw new ConfigError(`${option}: there is no database ${describeDatabase(url)}.`)
}

async function takeBack(options: MigrateOptions): Promise<void> {
  if (options.to !== undefined) throw new ConfigError('--take-back cannot be combined with --to.')
  const { from } = options
  if (from !== undefined) assertDatabase('--from', from)
  const config: Config = loadConfig({
    ...commandEnvironment(),
    ...(from === undefined ? {} : { STAGEDOOR_DATABASE_URL: from }),
  })
  const path = config.database_url.replace(/^sqlite:/, '')
  const { restoreDatabase } = await import('../maintenance.ts')
  const { sessions, tokens, replaced } = await restoreDatabase(config, path, commandLine(), { takesBack: true })
  printOne(
    options,
    { database: path, sessions, tokens, replaced },
    { database: path, revoked: `${sessions} sessions, ${tokens} pending tokens`, 'copy of before': replaced },
  )
}
