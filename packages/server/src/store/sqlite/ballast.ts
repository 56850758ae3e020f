import { createCipheriv } from 'node:crypto'
import { closeSync, constants, openSync, statfsSync, statSync, truncateSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Bytes to reserve: for a write-ahead log that has to be moved into the database (4 MB at most), and for thousands of
 * revocations.
 */
const BYTES = 16 * 2 ** 20
const CHUNK = 2 ** 20

/**
 * Reserves disk space for what must be stored even when the disk is full: revocations and other changes that end
 * something. The space is a file next to the database. Its size shows whether the space is still reserved or was given
 * up, to every process that uses the database and after a restart.
 */
export class Ballast {
  readonly #path: string

  constructor(databasePath: string) {
    this.#path = `${databasePath}-ballast`
    this.isSpent()
  }

  /** Whether the space was given up and cannot be reserved again. To reserve it, twice as much must be free. */
  isSpent(): boolean {
    try {
      return this.#size() !== BYTES && !this.#takeBack()
    } catch {
      // The state cannot be read. SQLite will report a full disk if it has to write.
      return false
    }
  }

  /** Gives up the reserved space. @returns `false` if there was none */
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

/** Random bytes, because a file system with compression would reserve almost nothing for zeros. */
const incompressible = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(CHUNK))
