import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditEventProof } from '@stagedoor/sdk/models/components'
import type { Command } from 'commander'
import { fromBase64 } from '../domain/audit/merkle.ts'
import { formatProof } from '../domain/audit/tiles.ts'
import { exportLog } from '../publish/directory.ts'
import { withLog } from './audit-reader.ts'
import { remote } from './environment.ts'
import { type OutputOptions, printOne } from './output.ts'

/** How often a proof is asked for while no checkpoint covers its event, and the pause, in ms. */
const ATTEMPTS = 10
const PAUSE = 1_000

/** Adds the commands of `stagedoor audit` that write what others check: a checkpoint, a proof, the whole log. */
export function addAuditFiles(audit: Command): void {
  audit
    .command('checkpoint')
    .description('print the newest checkpoint; keep it outside of the server')
    .action(async () => {
      process.stdout.write(await remote().audit.checkpoint())
    })

  audit
    .command('proof <event-id>')
    .description('print the proof that an event is in the log')
    .option('--event <file>', 'also write the text of the event to this file')
    .option('--personal', 'add the personal text: actor, reason, address, user agent')
    .action(async (id: string, { event, personal }: { event?: string; personal?: boolean }) => {
      const proof = await proofOf(id, personal ?? false)
      if (event !== undefined) await writeFile(event, proof.event)
      const { leafIndex, hashes, checkpoint, personal: extra } = proof
      process.stdout.write(
        formatProof({
          index: leafIndex ?? 0,
          hashes: hashes.map(fromBase64),
          checkpoint: checkpoint ?? '',
          extra: extra ?? undefined,
        }),
      )
    })

  audit
    .command('export')
    .description('write the log to a directory that others can check (works directly on the database)')
    .requiredOption('--to <dir>', 'directory; an earlier export in it is continued')
    .option('--without-personal', 'leave personal texts out: actor, reason, address, user agent')
    .option('--json', 'print JSON')
    .action(async ({ to, withoutPersonal, ...options }: ExportOptions) => {
      const done = await withLog({ database: true }, reader => exportLog(reader, to, { personal: !withoutPersonal }))
      printOne(options, { directory: to, entries: done.size, added: done.size - done.before })
    })
}

interface ExportOptions extends OutputOptions {
  to: string
  withoutPersonal?: boolean
}

/** Reads a proof. An event that was just written has none until the next checkpoint. */
async function proofOf(id: string, personal: boolean): Promise<AuditEventProof> {
  const client = remote()
  for (let attempt = 1; ; attempt++) {
    const proof = await client.auditEvents.proof(id, { personal })
    if (proof.checkpoint !== null) return proof
    if (attempt === ATTEMPTS)
      throw new Error(`No checkpoint covers ${id} yet. See \`stagedoor doctor\`, and try again later.`)
    await sleep(PAUSE)
  }
}
