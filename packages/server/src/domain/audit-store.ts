import type { Hole } from './audit/holes.ts'
import type { AuditFilter, Found, Page } from './lists.ts'
import type {
  AuditCheckpointRecord,
  AuditKeyRecord,
  AuditRecord,
  AuditRow,
  AuditRunRecord,
  AuditTileRecord,
  AuditTreeRecord,
} from './records.ts'

/** The part of the port to the database that holds the audit events. */
export interface AuditEventStore {
  append(event: AuditRecord): Promise<void>
  /**
   * Appends a refusal, unless its principal (or its token, if browsers sent the requests) has the maximum number of
   * them.
   * @param bound.since refusals before this time do not count, Unix ms
   */
  appendRefusal(event: AuditRecord, bound: { most: number; since: number }): Promise<boolean>
  list(filter: AuditFilter, page: Page): Promise<Found<AuditRow>>
  /** Finds an event. @param at its time, which its id begins with, Unix ms: events have no index by id */
  find(id: string, at: number): Promise<AuditRow | undefined>
  /**
   * Returns the number of the last event of a range of a list; undefined if the list ends before. Filters that no index
   * covers do not count.
   * @param maximum how many events the range has
   */
  endOfRange(filter: AuditFilter, page: Pick<Page, 'starting_after'>, maximum: number): Promise<number | undefined>
  /** Counts events per minute. Minutes without events are not returned. @param since Unix ms */
  countByMinute(since: number): Promise<MinuteCounts[]>
  /** Returns the time of the latest event, Unix ms; undefined if there is none. */
  lastTime(): Promise<number | undefined>
}

/** What happened in a minute. */
export interface MinuteCounts {
  /** Start of the minute, Unix ms. */
  at: number
  /** Actor tokens that were created and redeemed. */
  created: number
  redeemed: number
  /** Refused requests. */
  refused: number
  /** Sessions of actors that ended. */
  ended: number
}

/** The part of the port to the database that holds the tree over the audit log. */
export interface AuditLogStore {
  /** Returns how far the log has come; undefined before the first start. Reads indexes only. */
  state(): Promise<LogState | undefined>
  /** Creates the empty tree, if there is none. */
  create(tree: AuditTreeRecord): Promise<void>
  /** Returns committed events after a number or in a hole, ordered by number. */
  pending(after: { last_seq: number; holes: readonly Hole[] }, limit: number): Promise<PendingEvent[]>
  /**
   * Extends the tree, if no other node was faster: the one statement that decides compares `from`. @returns whether this
   * node extended it
   */
  extend(from: Pick<AuditTreeRecord, 'size' | 'last_seq'>, extension: Extension): Promise<boolean>
  /**
   * Returns since when transactions have been open that could still insert a number below the last one, Unix ms by the
   * database's clock. `since` is null if there is none, which is always so on a database that has one writer at a time.
   */
  openTransactions(): Promise<{ now: number; since: number | null }>
  /** Returns the entries from a leaf index up to another one, which is exclusive, ordered. */
  entries(from: number, to: number): Promise<LogEntry[]>
  /** Returns stored tiles, which are the full ones, ordered. @param to exclusive */
  tiles(level: number, from: number, to: number): Promise<AuditTileRecord[]>
  /** Returns only the roots of stored tiles, ordered. */
  roots(level: number, from: number, to: number): Promise<string[]>
  /** Returns checkpoints, the largest first. @param before_size only smaller ones */
  checkpoints(before_size: number | undefined, limit: number): Promise<AuditCheckpointRecord[]>
  /** Returns the largest checkpoint with this many cosignatures and at most this size. */
  latestCheckpoint(of: { cosignatures: number; size?: number | undefined }): Promise<AuditCheckpointRecord | undefined>
  /** Stores a checkpoint, unless one of that size is stored. @param forget keys that sign nothing more */
  addCheckpoint(checkpoint: AuditCheckpointRecord, forget: readonly string[]): Promise<boolean>
  setCosignatures(size: number, cosignatures: string): Promise<void>
  /** Deletes checkpoints older than two days, except for the last one of each hour. @returns how many */
  thinCheckpoints(limit: number): Promise<number>
  /** Returns all keys, oldest first. */
  keys(): Promise<AuditKeyRecord[]>
  /** Adds a key and retires the active one. @param retires undefined if no key is active; false if that has changed */
  changeKey(key: AuditKeyRecord, retires: string | undefined, event: AuditRecord): Promise<boolean>
  /** Returns whether the event that records the creation of a key is in the first leaves of the tree. */
  coversKey(id: string, size: number): Promise<boolean>
  /** Returns rows at or below a number that no run has, ordered. */
  outside(range: { after: number; up_to: number }, limit: number): Promise<Pick<AuditRow, 'seq' | 'id' | 'at'>[]>
  /** Calls the listener soon after any node has extended the tree. @returns a function that stops it */
  onChange(listener: () => void): () => void
}

export interface LogState extends AuditTreeRecord {
  /** The highest number of a row; 0 without rows. */
  newest_seq: number
  /** Of the largest checkpoint; -1 and 0 without checkpoints. */
  checkpoint_size: number
  checkpoint_at: number
}

export type PendingEvent = Pick<AuditRow, 'seq' | 'id' | 'event' | 'leaf_hash'>

/** A row in the log. */
export type LogEntry = AuditRow & { leaf_index: number }

/** What one tick of the sequencer adds. */
export interface Extension {
  tree: Pick<AuditTreeRecord, 'size' | 'root' | 'last_seq' | 'holes'>
  runs: readonly AuditRunRecord[]
  tiles: readonly AuditTileRecord[]
}
