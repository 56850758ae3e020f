import { HistoryError, type LogReader } from './log-reader.ts'
import { rootOf, toHex } from './merkle.ts'
import { type Checkpoint, parseCheckpoint } from './signed-note.ts'
import { tileHashes } from './tiles.ts'

/**
 * Checks that a log contains an earlier checkpoint.
 * @param newest the newest checkpoint of the log; undefined if it has none
 * @param place where the earlier checkpoint was kept, for the message
 * @throws HistoryError
 * @example await assertContains(reader, newest, parseCheckpoint(note), '/var/lib/checkpoint')
 */
export async function assertContains(
  reader: LogReader,
  newest: { size: number; note: string } | undefined,
  earlier: Checkpoint,
  place: string,
): Promise<void> {
  if (newest && parseCheckpoint(newest.note).origin !== earlier.origin)
    throw new HistoryError(`${place} has a checkpoint of another log, ${earlier.origin}`)
  const { size = 0 } = newest ?? {}
  if (earlier.size > size)
    throw new HistoryError(
      `entries ${size}.. are gone: the log was rolled back (${place} has a checkpoint of ${earlier.size} entries)`,
    )
  const hashes = tileHashes(size, (level, n, width) => reader.tile(level, n, width))
  if (toHex(await rootOf(earlier.size, hashes)) !== earlier.root)
    throw new HistoryError(
      `something in the first ${earlier.size} entries was changed, deleted, inserted or moved: the log does not match ${place}`,
    )
}
