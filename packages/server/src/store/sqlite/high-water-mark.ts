import { closeSync, constants, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Digits of the stored number, padded so that each write replaces all of the last. */
const DIGITS = 16

/**
 * Stores the number of the last acknowledged audit event in a file next to the database. If a write-ahead log was cut
 * short, damaged or deleted, SQLite takes that for the effect of a crash and continues without the rest. What was
 * revoked there would silently be valid again; the number reveals it. The number is written after the commit and not
 * flushed, so it is never ahead of what is stored; after a power failure it may be behind.
 *
 * A database without this file is a copy. `stagedoor restore` revokes everything in a copy before a server may use it,
 * so that the original and the copy never both accept the same ticket.
 */
export class HighWaterMark {
  readonly #path: string
  #file: number | undefined

  constructor(databasePath: string) {
    this.#path = acknowledgedPath(databasePath)
  }

  /**
   * Checks that no acknowledged event is missing.
   * @param stored number of the last event in the database
   * @throws Error that tells what to do if this is an older copy
   */
  assertReachedBy(stored: number): void {
    // A new database has nothing that could become valid again.
    if (stored === 0) {
      this.#file ??= this.#open()
      return
    }
    if (!existsSync(this.#path))
      throw new Error(
        `it has audit events, but its file ${this.#path} is missing, so it is a copy: what was revoked since would be valid again. ` +
          'Use a copy only through `stagedoor restore FILE`, which first revokes everything in it.',
      )
    const acknowledged = this.#read()
    if (stored >= acknowledged) return
    throw new Error(
      `it ends with audit event ${stored}, but event ${acknowledged} was acknowledged: its write-ahead log (-wal) is damaged or missing, ` +
        'or this is an older copy. Put the file back with its -wal, or run `stagedoor restore FILE` with a backup, ' +
        'which revokes everything that could be valid again.',
    )
  }

  /** Stores the number of the last acknowledged event. */
  write(stored: number): void {
    this.#file ??= this.#open()
    writeSync(this.#file, String(stored).padStart(DIGITS), 0)
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  /** The file itself must survive a power failure; its content may be behind. */
  #open(): number {
    const isNew = !existsSync(this.#path)
    const file = openSync(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o600)
    if (isNew) {
      writeSync(file, '0'.padStart(DIGITS), 0)
      fsyncSync(file)
      syncFolder(this.#path)
    }
    return file
  }

  #read(): number {
    try {
      return Number(readFileSync(this.#path, 'utf8')) || 0
    } catch {
      return 0
    }
  }
}

/** Returns the path of the file with the number of the last acknowledged event. */
export const acknowledgedPath = (databasePath: string): string => `${databasePath}-acknowledged`

/** Flushes a file's folder, so that the names in it survive a power failure. */
export function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
