import { closeSync, constants, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

const DIGITS = 16

/**
 * Remembers, in a file next to the database, the number of the last audit event that a caller was told of. SQLite takes a
 * write-ahead log that was cut short, damaged or deleted for one that a crash left unfinished, and continues without the
 * rest: what was revoked there would be valid again, and nobody would notice. The number is written after the commit and
 * not flushed, so it is never ahead of what is stored; after a power failure it may be behind.
 *
 * A database without this file is a copy. `stagedoor restore` revokes everything in a copy before a server may use it, so
 * that the original and the copy never both accept the same ticket.
 */
export class Acknowledged {
  readonly #path: string
  #file: number | undefined

  constructor(databasePath: string) {
    this.#path = acknowledgedPath(databasePath)
  }

  /** @param stored number of the last event in the database @throws Error that says what to do if this is an older copy */
  assertIn(stored: number): void {
    // A new database has nothing that could become valid again.
    if (stored === 0) {
      this.#file ??= this.#open()
      return
    }
    if (!existsSync(this.#path))
      throw new Error(
        `it has audit events, but its file ${this.#path} is missing, so it is a copy: what was revoked since would be valid again. ` +
          'Restore a copy with `stagedoor restore FILE`, which revokes everything in it first.',
      )
    const told = this.#read()
    if (stored >= told) return
    throw new Error(
      `it ends with audit event ${stored}, but event ${told} was acknowledged: its write-ahead log (-wal) is damaged or missing, ` +
        'or this is an older copy. Put the file back with its -wal, or run `stagedoor restore FILE` with a backup: ' +
        'it revokes everything that could be valid again.',
    )
  }

  note(stored: number): void {
    this.#file ??= this.#open()
    writeSync(this.#file, String(stored).padStart(DIGITS), 0)
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  /** The file itself must survive a power failure. What it says may be behind. */
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

/** The file that says how far a database had come. */
export const acknowledgedPath = (databasePath: string): string => `${databasePath}-acknowledged`

/** Makes the names in a file's folder survive a power failure. */
export function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
