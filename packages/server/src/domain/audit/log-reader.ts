/** One stored checkpoint. */
export interface StoredCheckpoint {
  size: number
  /** Root of the tree, hex. */
  root: string
  /** When it was signed, in ms. */
  at: number
  /** The signed note, with the signatures of the log only. */
  note: string
  /** Signature lines of witnesses, each with its line feed; empty without any. */
  cosignatures: string
}

export interface LogKey {
  name: string
  vkey: string
  created_at: number
  retired_at: number | null
}

/**
 * Reads an audit log: from the database, a running server or an exported directory. Verification, export and publishing
 * work on all three.
 */
export interface LogReader {
  /** The tree as it is now. `first` is the first entry that has not been archived; `root` is hex. */
  tree(): Promise<{ origin: string; size: number; root: string; first: number }>
  /**
   * Returns the entries from..to-1, at most 256. `personal` is null if it was erased.
   * @throws MissingError if some of them do not exist
   */
  entries(from: number, to: number): Promise<readonly { text: string; personal: string | null }[]>
  /**
   * Returns `width` hashes of a tile: latin1, 32 characters each.
   * @throws MissingError
   */
  tile(level: number, n: number, width: number): Promise<string>
  /** Returns stored checkpoints, the largest first. */
  checkpoints(beforeSize: number | undefined, limit: number): Promise<readonly StoredCheckpoint[]>
  /** Returns the keys that signed or sign checkpoints. */
  verifierKeys(): Promise<readonly LogKey[]>
}

/** A part of the log that should exist was not found. */
export class MissingError extends Error {}

/** A checkpoint that was kept elsewhere is not of this history: the log was changed or rolled back. */
export class HistoryError extends Error {}
