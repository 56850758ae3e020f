import { generateKeyPairSync, hash, type KeyObject } from 'node:crypto'
import { canonicalJson } from '../../packages/server/src/domain/audit/event.ts'
import {
  type LogReader,
  MissingError,
  type StoredCheckpoint,
} from '../../packages/server/src/domain/audit/log-reader.ts'
import { Edge, type FullTile, leafHash, toHex } from '../../packages/server/src/domain/audit/merkle.ts'
import { checkpointText, signNote, verifierKey } from '../../packages/server/src/domain/audit/signed-note.ts'

export interface Entry {
  text: string
  personal: string | null
}

/** An audit log in memory. Tests read it like a stored one, and change it as an owner of the database can. */
export interface MemoryLog extends LogReader {
  origin: string
  vkey: string
  privateKey: KeyObject
  publicKey: KeyObject
  entriesNow: Entry[]
  checkpointsNow: StoredCheckpoint[]
  /** Appends entries and extends the tree. */
  append(...entries: Entry[]): void
  /** Signs the tree as it is. @returns the note */
  sign(): string
  /** Changes entries, and makes the tree and all checkpoints again, as the owner of the key can. */
  forge(change: (entries: Entry[]) => void): void
}

/** Returns an event with a personal text, as the server writes them. @example log.append(eventOf(1)) */
export function eventOf(n: number, facts: Record<string, unknown> = {}): Entry {
  const personal = canonicalJson({ address: '192.0.2.1', reason: `ticket ${n}`, salt: hash('sha256', `salt ${n}`) })
  const text = canonicalJson({
    action: 'session.create',
    actor_sub: `actor_${n % 7}`,
    at: 1_767_225_600_000 + n * 1000,
    details: null,
    id: `evt_${String(n).padStart(26, '0')}`,
    outcome: 'done',
    personal_hash: hash('sha256', personal),
    principal: { id: 'key_1', type: 'secret_key' },
    user_id: `user_${n % 11}`,
    v: 2,
    ...facts,
  })
  return { text, personal }
}

/** Creates a log in memory. @example const log = memoryLog({ size: 1000, every: 100 }) // with ten checkpoints */
export function memoryLog({
  size = 0,
  every = 0,
  origin = 'app.example.com/audit/ins_1',
  keys = generateKeyPairSync('ed25519'),
  entries = Array.from({ length: size }, (_, n) => eventOf(n)),
} = {}): MemoryLog {
  let edge = Edge.empty()
  let tiles = new Map<string, FullTile>()
  const { privateKey, publicKey } = keys
  const vkey = verifierKey(origin, publicKey)
  const extend = (entries: readonly Entry[]) => {
    for (const { text } of entries)
      for (const tile of edge.append(leafHash(text))) tiles.set(`${tile.level}/${tile.tile}`, tile)
  }
  const log: MemoryLog = {
    origin,
    vkey,
    privateKey,
    publicKey,
    entriesNow: [],
    checkpointsNow: [],
    append(...entries) {
      log.entriesNow.push(...entries)
      extend(entries)
    },
    sign() {
      const root = toHex(edge.root())
      const note = signNote(checkpointText({ origin, size: edge.size, root }), origin, privateKey)
      const last = log.checkpointsNow[0]
      if (last?.size !== edge.size)
        log.checkpointsNow.unshift({ size: edge.size, root, at: edge.size, note, cosignatures: '' })
      return note
    },
    forge(change) {
      const sizes = log.checkpointsNow.map(({ size }) => size).reverse()
      const entries = [...log.entriesNow]
      change(entries)
      edge = Edge.empty()
      tiles = new Map()
      log.entriesNow = []
      log.checkpointsNow = []
      for (const size of sizes) {
        log.append(...entries.slice(log.entriesNow.length, size))
        log.sign()
      }
      log.append(...entries.slice(log.entriesNow.length))
      log.sign()
    },
    tree: async () => ({ origin, size: edge.size, root: toHex(edge.root()), first: 0 }),
    async entries(from, to) {
      const entries = log.entriesNow.slice(from, to)
      if (entries.length < to - from) throw new MissingError(`entries ${from}..${to - 1} are gone`)
      return entries
    },
    async tile(level, n, width) {
      const hashes = tiles.get(`${level}/${n}`)?.hashes ?? edge.levels()[level]?.join('') ?? ''
      return hashes.slice(0, width * 32)
    },
    checkpoints: async (before = Infinity, limit) =>
      log.checkpointsNow.filter(({ size }) => size < before).slice(0, limit),
    verifierKeys: async () => [{ name: origin, vkey, created_at: 0, retired_at: null }],
  }
  for (const [n, entry] of entries.entries()) {
    log.append(entry)
    if (every > 0 && (n + 1) % every === 0) log.sign()
  }
  if (every > 0) log.sign()
  return log
}
