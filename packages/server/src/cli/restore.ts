import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { loadConfig } from '../config.ts'
import type { RestoreResult } from '../maintenance.ts'
import { commandEnvironment, commandLine } from './environment.ts'
import { type OutputOptions, printMessage, printOne, UsageError } from './output.ts'

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description('replace the database with a backup, and revoke everything issued before')
    .argument('[file]', 'the backup; omit it on PostgreSQL, after pg_restore')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Stop the server first. All sessions and pending tokens of the restored database are revoked before a server can use it.
Keys that were revoked and users that were banned, locked or deleted since the backup are revoked, banned, locked or
deleted again: the command reads them from the replaced database, which it keeps as <name>.replaced-<time>.`,
    )
    .action(async (file: string | undefined, options: OutputOptions) => {
      const config = loadConfig(commandEnvironment())
      const { restoreDatabase, revokeRestored } = await import('../maintenance.ts')
      if (file === undefined && !config.database_url.startsWith('sqlite:')) {
        const { sessions, tokens } = await revokeRestored(config, commandLine())
        return printOne(options, { sessions, tokens }, { revoked: counted({ sessions, 'pending tokens': tokens }) })
      }
      if (file === undefined) return missingFile()
      const result = await restoreDatabase(config, file, commandLine())
      show(options, file, config.database_url.slice('sqlite:'.length), result)
    })
}

function missingFile(): never {
  throw new UsageError('Name the backup: stagedoor restore /backups/stagedoor.db')
}

function show(options: OutputOptions, file: string, path: string, result: RestoreResult): void {
  const { sessions, tokens, replaced, again } = result
  const { secretKeys, signingKeys, banned, locked, deleted } = again ?? {}
  printOne(
    options,
    { database: path, file, bytes: statSync(path).size, ...result },
    {
      database: path,
      'restored from': file,
      replaced,
      revoked: counted({ sessions, 'pending tokens': tokens }),
      'revoked again': again && counted({ 'secret keys': secretKeys, 'signing keys': signingKeys }),
      'users again': again && counted({ banned, locked, deleted }),
    },
  )
  if (!options.json && !again)
    printMessage(
      'There was no later database to compare with. Keys revoked and users banned since the backup are active again: revoke and ban them again.',
    )
}

const counted = (counts: Record<string, number | undefined>) =>
  Object.entries(counts)
    .map(([what, count]) => `${count ?? 0} ${what}`)
    .join(', ')
