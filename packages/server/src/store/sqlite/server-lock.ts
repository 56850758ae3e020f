import { closeSync, openSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'

/** Time that a starting server waits for another one to stop, in ms. */
const WAIT = 1_000

/**
 * Allows only one server at a time on a database file. Two servers would each send revocations only to their own
 * followers. Commands that open the file while a server runs do not take this lock.
 *
 * The lock is SQLite's own, on an empty file next to the database: the kernel releases it when the process ends, even
 * after SIGKILL, and it also works between containers of one machine.
 */
export class ServerLock {
  readonly #db: BetterSqlite3.Database

  /** @throws Error that tells what to do if a server is using the database */
  constructor(databasePath: string) {
    const path = `${databasePath}-server`
    create(path)
    this.#db = new BetterSqlite3(path, { timeout: WAIT })
    try {
      this.#db.exec('begin exclusive')
    } catch (cause) {
      this.#db.close()
      if (!(cause instanceof BetterSqlite3.SqliteError) || cause.code !== 'SQLITE_BUSY') throw cause
      throw new Error(
        'a server on this machine is using it, and a SQLite file has one server at a time. Stop that server first. To run several, move to PostgreSQL (docs/guides/postgresql.md).',
        { cause },
      )
    }
  }

  release(): void {
    this.#db.close()
  }
}

/** Creates the file. An existing file is not opened: closing it would release a lock that this process holds. */
function create(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
