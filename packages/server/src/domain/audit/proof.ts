import { ApiError, notFound } from '../../contract/errors.ts'
import type { Context } from '../context.ts'
import type { AuditCheckpointRecord } from '../records.ts'
import { getAuditEvent } from './event.ts'
import { MissingError } from './log-reader.ts'
import { consistencyProof, inclusionProof, TILE_WIDTH } from './merkle.ts'
import { entriesOf, readTile } from './stored-log.ts'
import { encodeEntries, parseTilePath, tileHashes, tileWidth } from './tiles.ts'

/** What the log shows to others: checkpoints, tiles and proofs. */

/** Returns the newest checkpoint that meets the requirements of this server. @throws ApiError resource_not_found */
export async function currentCheckpoint(ctx: Context): Promise<AuditCheckpointRecord> {
  const checkpoint = await ctx.auditLog.sufficientCheckpoint()
  if (!checkpoint) throw new ApiError('resource_not_found', { params: { what: 'The log has no checkpoint yet.' } })
  return checkpoint
}

/** Returns a checkpoint as others read it: the note, and then the cosignatures. */
export const noteOf = ({ note, cosignatures }: AuditCheckpointRecord): string => note + cosignatures

export interface ProvenEvent {
  event: string
  /** Null if it was erased. */
  personal: string | null
  /** Undefined if no sufficient checkpoint covers the event yet. */
  proof: { index: number; size: number; hashes: string[]; checkpoint: string } | undefined
}

/** Proves that an event is in the log. @throws ApiError resource_not_found */
export async function proveEvent(ctx: Context, { id }: { id: string }): Promise<ProvenEvent> {
  const { event, personal, leaf_index: index } = await getAuditEvent(ctx, { id })
  const checkpoint = index === null ? undefined : await ctx.auditLog.sufficientCheckpoint()
  if (index === null || !checkpoint || checkpoint.size <= index) return { event, personal, proof: undefined }
  const { size } = checkpoint
  const hashes = await inclusionProof(index, size, hashesOf(ctx, size))
  return { event, personal, proof: { index, size, hashes, checkpoint: noteOf(checkpoint) } }
}

/** Proves that a tree is the beginning of a later one. @throws ApiError form_param_value_invalid */
export async function proveConsistency(ctx: Context, { from, to }: { from: number; to: number }): Promise<string[]> {
  const size = (await ctx.store.auditLog.state())?.size ?? 0
  if (to > size)
    throw new ApiError('form_param_value_invalid', {
      params: { param: 'to_size' },
      meta: { param_name: 'to_size' },
      action: `The log has ${size} entries.`,
    })
  return consistencyProof(from, to, hashesOf(ctx, to))
}

const hashesOf = ({ store }: Context, size: number) =>
  tileHashes(size, (level, n, width) => readTile(store.auditLog, level, n, width))

/**
 * Returns the bytes of a tile or of an entry bundle.
 * @param path after `tile/`
 * @throws ApiError resource_not_found, audit_pruned
 */
export async function readTileFile({ store }: Context, { path }: { path: string }): Promise<Buffer> {
  const name = parseTilePath(`tile/${path}`)
  const state = await store.auditLog.state()
  if (!name || !state || name.width > tileWidth(name.level, name.n, state.size)) throw notFound('tile', path)
  const { level, n, width } = name
  const from = n * TILE_WIDTH
  if (level === 'entries' && from + width <= state.first) throw new ApiError('audit_pruned')
  try {
    if (level !== 'entries') return Buffer.from(await readTile(store.auditLog, level, n, width), 'latin1')
    const entries = await entriesOf(store.auditLog, from, from + width)
    return encodeEntries(entries.map(({ event }) => event))
  } catch (error) {
    // It was deleted from the database. `verify` takes a 404 as gone.
    if (error instanceof MissingError) throw notFound('tile', path)
    throw error
  }
}
