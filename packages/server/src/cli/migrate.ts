import type { Command } from 'commander'
import { describeDatabase, loadConfig } from '../config.ts'
import { migrateDatabase } from '../server.ts'
import { commandEnvironment } from './environment.ts'
import { type OutputOptions, printOne } from './output.ts'

export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database’s schema up to date (a server does so at its start too)')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) => {
      const { database_url } = loadConfig(commandEnvironment())
      const applied = await migrateDatabase(database_url)
      printOne(
        options,
        { database: describeDatabase(database_url), applied },
        { database: describeDatabase(database_url), applied: applied.join(', ') || 'nothing: it is up to date' },
      )
    })
}
