import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { loadConfig } from '../config.ts'
import { type RestoreResult, restoreDatabase, revokeRestored } from '../maintenance.ts'
import { commandEnvironment, commandLine } from './environment.ts'
import { note, type OutputOptions, printOne, UsageError } from './output.ts'

export function addRestore(program: Command): void {
  program
    .command('restore')
    .description('put a backup in the place of the database, and revoke everything issued before')
    .argument('[file]', 'the backup; leave it out on PostgreSQL, after pg_restore')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Stop the server first. The restored database revokes every session and pending token in it before a server can use it. What
the replaced database had revoked, banned, locked or deleted since the backup is revoked, banned, locked or deleted again.
The replaced database stays next to it, as <name>.replaced-<time>.`,
    )
    .action(async (file: string | undefined, options: OutputOptions) => {
      const config = loadConfig(commandEnvironment())
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
    note(
      'There was no later database to compare with. Revoke again the keys that were revoked since the backup, and ban again the users that were banned.',
    )
}

const counted = (counts: Record<string, number | undefined>) =>
  Object.entries(counts)
    .map(([what, count]) => `${count ?? 0} ${what}`)
    .join(', ')
