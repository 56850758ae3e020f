import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { assertContains } from '../domain/audit/containment.ts'
import type { LogReader, StoredCheckpoint } from '../domain/audit/log-reader.ts'
import type { CheckpointHolder } from '../domain/audit/publish.ts'
import { parseCheckpoint } from '../domain/audit/signed-note.ts'
import { syncFolder, undefinedIfMissing, writeDurably } from './files.ts'

/**
 * Keeps the newest checkpoint in a file. The log must contain what the file has: a database that was restored from an old
 * backup does not.
 * @example checkpointFile('/var/lib/stagedoor/checkpoint')
 */
export function checkpointFile(path: string): CheckpointHolder {
  async function check(reader: LogReader, newest: StoredCheckpoint | undefined): Promise<void> {
    const kept = await readFile(path, 'utf8').catch(undefinedIfMissing)
    if (kept !== undefined) await assertContains(reader, newest, parseCheckpoint(kept), path)
  }
  return {
    name: path,
    check,
    async hold(reader, newest) {
      await check(reader, newest)
      await writeDurably(path, Buffer.from(newest.note + newest.cosignatures))
      await syncFolder(dirname(path))
      return undefined
    },
  }
}
