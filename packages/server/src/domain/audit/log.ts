import { ApiError } from '../../contract/errors.ts'
import type { AuditLogStore, LogState, PendingEvent } from '../audit-store.ts'
import type { Clock } from '../clock.ts'
import type { AuditCheckpointRecord, AuditRunRecord, AuditTileRecord } from '../records.ts'
import { type AuditKeys, type Requirement, signCheckpoint, sufficientCheckpoint } from './checkpoints.ts'
import { Coverage } from './coverage.ts'
import { fillable, holesAfter, holesOf } from './holes.ts'
import { MissingError } from './log-reader.ts'
import { type Edge, FormatError, type FullTile, leafHash, rootOf, toHex } from './merkle.ts'
import { parseCheckpoint } from './signed-note.ts'
import { loadEdge, readTile } from './stored-log.ts'
import { MAX_ENTRY_BYTES, tileHashes } from './tiles.ts'

/** Ticks that a node skips after another node was faster. */
const SKIPPED = 3
/** Maximum ticks in a row that are skipped because writes wait. */
const MAX_YIELDED = 3
/** Minimum time between two checkpoints, in ms, and the same in ticks: a clock can jump. */
const CHECKPOINT_INTERVAL = 500
const CHECKPOINT_TICKS = 2

export interface AuditLogOptions {
  store: AuditLogStore
  clock: Clock
  keys: AuditKeys
  /** Maximum events per tick. A full batch is followed by the next one at once. */
  batch: number
  /** What makes a checkpoint sufficient. */
  require: Requirement
  /** Maximum age of an event that no sufficient checkpoint covers, in ms; undefined if there is none. */
  maxLag: number | undefined
  /** Whether other writes wait, so that the sequencer should let them go first. */
  writesWait?: () => boolean
  /** Aborted when the server stops. */
  stopping: AbortSignal
}

/** What is stored is not what was hashed or signed. */
export class TamperedError extends Error {}

/**
 * Puts committed events into their final order, extends the tree over them and signs its root. Every node does this; one
 * conditional statement decides which node extends the tree. No request waits for it.
 */
export class AuditLog {
  readonly #options: AuditLogOptions
  readonly #coverage: Coverage
  readonly #listeners = new Set<(size: number) => void>()
  #edge: Edge | undefined
  #skip = 0
  #yielded = 0
  /** Ticks since the newest checkpoint was first seen. */
  #ticks = 0
  #newest = -2
  #unsequenced = 0
  #directorySize = -1
  #tampered: string | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: AuditLogOptions) {
    this.#options = options
    this.#coverage = new Coverage(options.clock.now())
  }

  /** Why nothing is signed any more; undefined if all is well. */
  get tampered(): string | undefined {
    return this.#tampered
  }

  /** Whether this process takes events in: a server does, a command does not. */
  get isRunning(): boolean {
    return this.#newest > -2
  }

  /** Returns how far the log is behind, as this node saw it last. */
  progress(): { unsequenced: number; checkpoint_age: number; tampered: string | undefined } {
    const checkpoint_age = this.#coverage.age(this.#options.clock.now())
    return { unsequenced: this.#unsequenced, checkpoint_age, tampered: this.#tampered }
  }

  /** Calls the listener with the size of the tree after this process has extended it. @returns a function that stops it */
  onSequenced(listener: (size: number) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Stores that the directory has the checkpoint of this size. */
  directoryHas(size: number): void {
    this.#directorySize = Math.max(this.#directorySize, size)
  }

  /** Returns the largest sufficient checkpoint. */
  sufficientCheckpoint() {
    return sufficientCheckpoint(this.#options.store, this.#options.require, this.#directorySize)
  }

  /** @throws ApiError audit_behind if the log is too far behind for new access */
  assertCurrent(): void {
    const { maxLag, clock } = this.#options
    if (maxLag === undefined) return
    if (this.#tampered !== undefined || this.#coverage.age(clock.now()) > maxLag) throw new ApiError('audit_behind')
  }

  /** Enters the tampered state: from now on this process signs nothing. */
  enterTampered(reason: string): void {
    this.#tampered ??= reason
  }

  /** Does one round of work: takes in what is committed, and signs. Waits for the previous round. */
  tick(): Promise<void> {
    const tick = this.#last.then(() => this.#tick())
    this.#last = tick.catch(() => {})
    return tick
  }

  async #tick(): Promise<void> {
    if (this.#tampered !== undefined || this.#mayWait()) return
    try {
      await this.#work()
    } catch (error) {
      if (!(error instanceof TamperedError)) throw error
      this.enterTampered(error.message)
    }
  }

  #mayWait(): boolean {
    if (this.#skip > 0) {
      this.#skip--
      return true
    }
    const waits = this.#yielded < MAX_YIELDED && (this.#options.writesWait?.() ?? false)
    this.#yielded = waits ? this.#yielded + 1 : 0
    return waits
  }

  async #work(): Promise<void> {
    const { store, clock, stopping } = this.#options
    const began = clock.now()
    let state = await store.state()
    if (!state) return
    this.#unsequenced = Math.max(0, state.newest_seq - state.last_seq)
    this.#ticks++
    let isFull = true
    while (isFull && !stopping.aborted && (state.newest_seq > state.last_seq || state.holes !== '[]')) {
      const extended = await this.#extend(state)
      if (!extended) {
        this.#skip = SKIPPED
        break
      }
      isFull = extended.isFull
      state = extended.state
      this.#unsequenced = Math.max(0, state.newest_seq - state.last_seq)
      await this.#sign(state)
    }
    if (state.newest_seq <= state.last_seq) this.#coverage.sequenced(state.size, began)
    await this.#sign(state)
    await this.#observe(state)
  }

  /** @returns undefined if another node was faster */
  async #extend(state: LogState): Promise<{ state: LogState; isFull: boolean } | undefined> {
    const { store, batch } = this.#options
    const holes = holesOf(state.holes)
    // Before the events are read: a transaction that ends in between has committed by then.
    const since = holes.length > 0 ? (await store.openTransactions()).since : null
    const events = await store.pending({ last_seq: state.last_seq, holes }, batch)
    const edge = await this.#edgeOf(state)
    if (!edge) return undefined
    const next = edge.copy()
    const { tiles, runs } = appended(next, events)
    const later = events.map(({ seq }) => seq).filter(seq => seq > state.last_seq)
    const last_seq = later.at(-1) ?? state.last_seq
    const hasGap = last_seq - state.last_seq > later.length
    const seen = events.map(({ seq }) => seq)
    // After the events were read: whoever took a missing number has started by now.
    const now = hasGap ? (await store.openTransactions()).now : 0
    const left = holesAfter(fillable(holes, since), { last_seq: state.last_seq, seen, now })
    const tree = { size: next.size, root: toHex(next.root()), last_seq, holes: JSON.stringify(left) }
    const isFull = later.length === batch
    if (events.length === 0 && tree.holes === state.holes) return { state, isFull: false }
    if (!(await store.extend(state, { tree, runs, tiles }))) return undefined
    this.#edge = next
    if (events.length > 0) for (const listener of this.#listeners) listener(next.size)
    const newest_seq = Math.max(state.newest_seq, last_seq)
    return { state: { ...state, ...tree, newest_seq }, isFull }
  }

  /**
   * Returns the edge of the tree as it is stored. If another node has extended the tree, it must have extended the one that
   * this node knows.
   * @returns undefined if another node extends it right now
   * @throws TamperedError
   */
  async #edgeOf(state: LogState): Promise<Edge | undefined> {
    const known = this.#edge
    if (known?.size === state.size) {
      if (toHex(known.root()) === state.root) return known
      throw new TamperedError(`the tree of ${state.size} entries has another root than before`)
    }
    if (known && known.size > state.size)
      throw new TamperedError(`entries ${state.size}.. are gone: the log was rolled back from ${known.size} entries`)
    this.#edge = await loadIntact(this.#options.store, state, known)
    return this.#edge
  }

  /** Signs the committed tree, if it has grown and the newest checkpoint is old enough. */
  async #sign(state: LogState): Promise<void> {
    const { store, keys, clock } = this.#options
    if (this.#newest !== state.checkpoint_size) {
      this.#newest = state.checkpoint_size
      this.#ticks = 0
    }
    if (state.checkpoint_size >= state.size || state.size === 0) return
    const isOld = clock.now() - state.checkpoint_at >= CHECKPOINT_INTERVAL || this.#ticks >= CHECKPOINT_TICKS
    if (!isOld) return
    // The root that this node computed or checked: a stored root alone is never signed.
    if (!(await this.#edgeOf(state))) return
    if ((await signCheckpoint({ store, keys, clock }, state)) === undefined) return
    state.checkpoint_size = state.size
    state.checkpoint_at = clock.now()
  }

  /** Notes how far the sufficient checkpoints have come. */
  async #observe(state: LogState): Promise<void> {
    const { witnesses, directory } = this.#options.require
    if (!this.#coverage.isBehind()) return
    const size = witnesses > 0 || directory ? (await this.sufficientCheckpoint())?.size : state.checkpoint_size
    // A tree without entries needs no checkpoint.
    this.#coverage.signed(Math.max(0, size ?? 0))
  }
}

/** Appends events to an edge. @throws TamperedError */
function appended(edge: Edge, events: readonly PendingEvent[]): { tiles: AuditTileRecord[]; runs: AuditRunRecord[] } {
  const tiles: AuditTileRecord[] = []
  const runs: AuditRunRecord[] = []
  for (const { seq, id, event, leaf_hash } of events) {
    const leaf = leafHash(event)
    if (toHex(leaf) !== leaf_hash) throw new TamperedError(`event ${id} (row ${seq}) is not what was hashed`)
    if (Buffer.byteLength(event) > MAX_ENTRY_BYTES) throw new TamperedError(`event ${id} (row ${seq}) is too long`)
    const run = runs.at(-1)
    if (run && run.first_seq + run.count === seq) run.count++
    else runs.push({ first_index: edge.size, first_seq: seq, count: 1 })
    tiles.push(...edge.append(leaf).map(tileRecord))
  }
  return { tiles, runs }
}

const tileRecord = ({ level, tile, hashes, root }: FullTile): AuditTileRecord => ({
  level,
  tile,
  hashes: Buffer.from(hashes, 'latin1').toString('base64'),
  root: toHex(root),
})

/**
 * Loads the edge of a stored tree, and checks that it has the stored root and continues an earlier tree.
 * @throws TamperedError
 */
export async function loadIntact(
  store: AuditLogStore,
  { size, root }: { size: number; root: string },
  earlier?: { size: number; root(): string },
): Promise<Edge> {
  return orTampered(async () => {
    const edge = await loadEdge(store, size)
    if (toHex(edge.root()) !== root)
      throw new TamperedError(`the root of the ${size} entries is not the one that is stored`)
    if (earlier && (await rootAt(store, size, earlier.size)) !== earlier.root())
      throw new TamperedError(`something in the first ${earlier.size} entries was changed, deleted, inserted or moved`)
    return edge
  })
}

/** Runs a check. If something is missing or has no valid form, the log was tampered with. */
async function orTampered<T>(check: () => Promise<T>): Promise<T> {
  try {
    return await check()
  } catch (error) {
    if (error instanceof MissingError || error instanceof FormatError) throw new TamperedError(error.message)
    throw error
  }
}

/** Returns the root of the first entries of a stored tree. */
export function rootAt(store: AuditLogStore, size: number, earlier: number): Promise<string> {
  return rootOf(
    earlier,
    tileHashes(size, (level, n, width) => readTile(store, level, n, width)),
  )
}

/**
 * Checks what a start can check quickly: the edge, the newest checkpoint, and the next events.
 * @throws TamperedError
 */
export async function assertIntact(store: AuditLogStore): Promise<void> {
  const state = await store.state()
  if (!state) return
  const edge = await loadIntact(store, state)
  // Of the same moment as the state: another node may be extending the tree.
  if (state.checkpoint_size > state.size)
    throw new TamperedError(`entries ${state.size}.. are gone: a checkpoint has ${state.checkpoint_size} entries`)
  const checkpoint = await store.latestCheckpoint({ cosignatures: 0, size: state.size })
  if (checkpoint) await orTampered(() => assertContinues(store, state, checkpoint))
  appended(edge, await store.pending({ last_seq: state.last_seq, holes: [] }, 100))
}

/** Checks that a tree continues the tree of a checkpoint. */
async function assertContinues(
  store: AuditLogStore,
  state: LogState,
  checkpoint: AuditCheckpointRecord,
): Promise<void> {
  const { size, root, note } = checkpoint
  const signed = parseCheckpoint(note)
  const isSame = signed.size === size && signed.root === root && signed.origin === state.origin
  if (!isSame || toHex(await rootAt(store, state.size, size)) !== root)
    throw new TamperedError(`something in the first ${size} entries was changed, deleted, inserted or moved`)
}
