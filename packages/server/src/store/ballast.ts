import { createCipheriv } from 'node:crypto'
import { closeSync, constants, openSync, statfsSync, statSync, truncateSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Room for a write-ahead log that has to be moved into the database (4 MB at most), and for thousands of revocations. */
const BYTES = 16 * 2 ** 20
const CHUNK = 2 ** 20

/**
 * Room on the disk that is kept for what must be stored even when the disk is full: whatever takes something away. It is
 * a file beside the database, and its size says how things are, to every process on the database and after a restart:
 * whole, or given up.
 */
export class Ballast {
  readonly #path: string

  constructor(databasePath: string) {
    this.#path = `${databasePath}-ballast`
    this.isSpent()
  }

  /** Whether the room was given up, and there is not twice as much to take it back from. */
  isSpent(): boolean {
    try {
      return this.#size() !== BYTES && !this.#takeBack()
    } catch {
      // The disk does not even say: SQLite will, if it has to write.
      return false
    }
  }

  /** Gives the room up. @returns false if there was nothing to give */
  release(): boolean {
    try {
      if (this.#size() === 0) return false
      truncateSync(this.#path, 0)
      return true
    } catch {
      return false
    }
  }

  #size(): number {
    return statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0
  }

  #takeBack(): boolean {
    const { bavail, bsize } = statfsSync(dirname(this.#path))
    if (bavail * bsize < 2 * BYTES) return false
    const file = openSync(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o600)
    try {
      for (let at = 0; at < BYTES; at += CHUNK) writeSync(file, incompressible, 0, CHUNK, at)
      return true
    } catch {
      this.release()
      return false
    } finally {
      closeSync(file)
    }
  }
}

/** Of zeros a file system that compresses keeps next to nothing. */
const incompressible = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(CHUNK))
