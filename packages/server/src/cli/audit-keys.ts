import type { Command } from 'commander'
import { loadConfig } from '../config.ts'
import { rotateAuditKey, vkeyOf } from '../domain/audit/keys.ts'
import { commandEnvironment, commandLine, withInstance } from './environment.ts'
import { type OutputOptions, print, printJson, printList, time, wholeNumber } from './output.ts'

/** Adds the commands of `stagedoor audit` that change the log itself. They work directly on the database. */
export function addAuditKeys(audit: Command): void {
  audit
    .command('rotate-key')
    .description('replace the key that signs checkpoints (works directly on the database)')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) => {
      const keys = await withInstance(stagedoor => rotateAuditKey(stagedoor.context(commandLine())))
      const shown = keys.map(({ created_at, retired_at, ...key }) => ({
        vkey: vkeyOf({ ...key, created_at, retired_at }),
        created_at,
        retired_at,
      }))
      printList(
        options,
        shown,
        { vkey: key => key.vkey, created: key => time(key.created_at), retired: key => time(key.retired_at) },
        'No keys.',
      )
    })

  audit
    .command('accept-loss')
    .description('continue a log that was tampered with, under a new name (works directly on the database)')
    .requiredOption('--from <size>', 'how many entries are kept; later events are added again', wholeNumber)
    .requiredOption('--reason <text>', 'why, for the audit log')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
First try to restore the right database. This command is for when that is impossible: it keeps the first entries, and
removes the later ones from the tree. The events themselves stay, and a server adds them again. Everyone who holds a
checkpoint, and every witness, has to accept the new name. Stop the server first; on PostgreSQL stop every node, and set
STAGEDOOR_DATABASE_URL to the owner of the tables.`,
    )
    .action(async ({ from, reason, json }: { from: number; reason: string } & OutputOptions) => {
      const { acceptAuditLoss } = await import('../maintenance.ts')
      const config = loadConfig(commandEnvironment())
      const { origin, moved = null } = await acceptAuditLoss(config, commandLine(), { from, reason })
      if (json) return printJson({ origin, kept: from, moved })
      print(`Kept ${from} entries. The log continues as ${origin}.`)
      if (moved !== null) print(`The checkpoint of the old log is now ${moved}.`)
      const { audit_directory: directory } = config
      print(directory === undefined ? 'Start the server.' : `Move ${directory} away, then start the server.`)
    })
}
