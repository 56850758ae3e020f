import type { AuditLogStore } from '../audit-store.ts'
import type { LogReader } from './log-reader.ts'
import { MissingError } from './log-reader.ts'
import { Edge, fromHex, leafHash, TILE_WIDTH } from './merkle.ts'
import { verifierKey } from './signed-note.ts'
import { tileWidth } from './tiles.ts'

/** Length of a hash in latin1 characters. */
const HASH = 32

/**
 * Reads the audit log from the database.
 * @example const { size } = await storedLog(ctx.store.auditLog).tree()
 */
export function storedLog(store: AuditLogStore): LogReader {
  return {
    async tree() {
      const state = await store.state()
      if (!state) throw new MissingError('the log has no tree yet: a server creates it when it starts')
      const { origin, size, root, first } = state
      return { origin, size, root, first }
    },

    async entries(from, to) {
      const entries = await entriesOf(store, from, to)
      return entries.map(({ event: text, personal }) => ({ text, personal }))
    },

    tile: (level, n, width) => readTile(store, level, n, width),

    checkpoints: (beforeSize, limit) => store.checkpoints(beforeSize, limit),

    async verifierKeys() {
      const keys = await store.keys()
      return keys.map(({ name, public_key, created_at, retired_at }) => ({
        name,
        vkey: verifierKey(name, Buffer.from(public_key, 'base64')),
        created_at,
        retired_at,
      }))
    },
  }
}

/** Returns exactly these entries. @throws MissingError if some of them are not stored */
export async function entriesOf(store: AuditLogStore, from: number, to: number) {
  const entries = await store.entries(from, to)
  const gap = entries.findIndex(({ leaf_index }, i) => leaf_index !== from + i)
  if (gap < 0 && entries.length === to - from) return entries
  const start = from + (gap < 0 ? entries.length : gap)
  const next = gap < 0 ? to : Math.max(start + 1, entries[gap]?.leaf_index ?? to)
  throw new MissingError(next - start > 1 ? `entries ${start}..${next - 1} are gone` : `entry ${start} is gone`)
}

/**
 * Returns the first hashes of a tile. Full tiles are stored; the hashes of the others come from the events, or from the
 * roots of the tiles below.
 * @throws MissingError
 */
export async function readTile(store: AuditLogStore, level: number, n: number, width: number): Promise<string> {
  if (width === 0) return ''
  const [tile] = await store.tiles(level, n, n + 1)
  if (tile)
    return Buffer.from(tile.hashes, 'base64')
      .toString('latin1')
      .slice(0, width * HASH)
  const from = n * TILE_WIDTH
  if (level === 0) {
    const entries = await entriesOf(store, from, from + width)
    return entries.map(({ event }) => leafHash(event)).join('')
  }
  const roots = await store.roots(level - 1, from, from + width)
  if (roots.length < width) throw new MissingError(`tile ${n} of level ${level} is gone`)
  return roots.map(fromHex).join('')
}

/** Restores the edge of the tree of the first `size` leaves. @throws MissingError */
export async function loadEdge(store: AuditLogStore, size: number): Promise<Edge> {
  const levels: string[][] = []
  for (let level = 0, left = size; left > 0; level++, left = Math.floor(left / TILE_WIDTH)) {
    const n = Math.floor(left / TILE_WIDTH)
    const hashes = await readTile(store, level, n, tileWidth(level, n, size))
    levels.push(Array.from({ length: hashes.length / HASH }, (_, i) => hashes.slice(i * HASH, (i + 1) * HASH)))
  }
  return Edge.of(size, levels)
}
