import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'

const DIGITS = 16

/**
 * Remembers, in a file beside the database, the last audit event that somebody was told of. SQLite takes a write-ahead
 * log that is cut short, damaged or gone for one that a crash left unfinished, and goes on from before: whatever was
 * revoked in the rest would be good again, and nobody would know. It is written after the commit and not flushed, so it
 * is never ahead of what is stored; after a power failure it may be behind.
 */
export class Acknowledged {
  readonly #path: string
  #file: number | undefined

  constructor(databasePath: string) {
    this.#path = `${databasePath}-acknowledged`
  }

  /** @param stored number of the last event there is @throws Error that says what to do if there were later ones */
  assertIn(stored: number): void {
    const told = this.#read()
    // In a database that is new nothing can come to life again.
    if (stored >= told || stored === 0) return
    throw new Error(
      `it ends with audit event ${stored}, and event ${told} had been acknowledged: its write-ahead log (-wal) is damaged or ` +
        'gone, or this is an older copy. What was revoked since would be good again. Put the file back with its -wal; ' +
        `or, to go on from a backup, revoke again what was revoked since and delete ${this.#path}.`,
    )
  }

  note(stored: number): void {
    this.#file ??= openSync(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o600)
    writeSync(this.#file, String(stored).padStart(DIGITS), 0)
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  #read(): number {
    try {
      return Number(readFileSync(this.#path, 'utf8')) || 0
    } catch {
      return 0
    }
  }
}
