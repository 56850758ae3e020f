import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { loadConfig } from '../config.ts'
import { commandEnvironment } from './environment.ts'
import { type OutputOptions, printOne } from './output.ts'

export function addBackup(program: Command): void {
  program
    .command('backup')
    .description('copy the embedded database, even while a server is using it; `stagedoor restore` restores a copy')
    .argument('<file>', 'the new file; it must not exist yet')
    .option('--json', 'print JSON')
    .action(async (file: string, options: OutputOptions) => {
      const { database_url } = loadConfig(commandEnvironment())
      const { backupDatabase } = await import('../maintenance.ts')
      backupDatabase(database_url, file)
      const { size } = statSync(file)
      printOne(
        options,
        { file, bytes: size },
        { file, size: `${(size / 1_000_000).toFixed(1)} MB`, 'to restore': 'needs the same STAGEDOOR_MASTER_KEY' },
      )
    })
}
