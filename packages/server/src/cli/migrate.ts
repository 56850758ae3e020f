import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { ConfigError, describeDatabase, loadConfig } from '../config.ts'
import { migrateDatabase, moveDatabase } from '../server.ts'
import { commandEnvironment } from './environment.ts'
import { type OutputOptions, printOne } from './output.ts'

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database’s schema up to date (a server does so at its start too), or move to PostgreSQL')
    .option('--from <url>', 'move a whole instance from this embedded database, sqlite:./stagedoor.db say')
    .option('--to <url>', 'to this empty database, postgres://user:password@host:5432/database')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Moving copies everything in one transaction, compares every row, and leaves the source as it is. Stop the server first, or
it refuses writes meanwhile. Then start it with STAGEDOOR_DATABASE_URL at the new database and the same master key.`,
    )
    .action(async (options: OutputOptions & { from?: string; to?: string }) => {
      if (options.from !== undefined || options.to !== undefined) return move(options)
      const { database_url } = loadConfig(commandEnvironment())
      const applied = await migrateDatabase(database_url)
      const database = describeDatabase(database_url)
      printOne(options, { database, applied }, { database, applied: applied.join(', ') || 'nothing: it is up to date' })
    })
}

async function move(options: OutputOptions & { from?: string; to?: string }): Promise<void> {
  const { from, to } = options
  if (from === undefined || to === undefined) throw new ConfigError('Give both --from and --to.')
  for (const url of [from, to]) loadConfig({ STAGEDOOR_DATABASE_URL: url })
  if (from.startsWith('sqlite:') && !existsSync(from.slice('sqlite:'.length)))
    throw new ConfigError(`There is no database ${describeDatabase(from)}.`)
  let shown = 0
  const rows = await moveDatabase(from, to, ({ table, copied, of }) => {
    if (Date.now() - shown < 1_000 && copied < of) return
    shown = Date.now()
    process.stderr.write(`${table} ${copied} of ${of}\n`)
  })
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0)
  printOne(
    options,
    { from: describeDatabase(from), to: describeDatabase(to), rows },
    { from: describeDatabase(from), to: describeDatabase(to), copied: `${total} rows, each compared` },
  )
}
