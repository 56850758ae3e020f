import { closeSync, copyFileSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'
import { backupSqlite } from './backup.ts'
import { acknowledgedPath, HighWaterMark, syncFolder } from './high-water-mark.ts'
import { HostLock } from './host-lock.ts'
import { assertNotMoved, unmarkMoved } from './moved.ts'
import { ServerLock } from './server-lock.ts'

const OWN_TABLES = ['instance', 'sessions', 'audit_events', 'migrations']
const SIDE_FILES = ['-wal', '-shm', '-journal', '-acknowledged', '-ballast', '-host', '-server']

/**
 * Replaces a database with a backup, in two steps: the copy is made next to the database and prepared by the caller,
 * then it gets the database's name. At any moment a server either starts on the old database or refuses to start. If a
 * restore is interrupted, run it again.
 */
export class Restore {
  /** The copy that the caller prepares. */
  readonly copy: string
  readonly #path: string
  readonly #host: HostLock
  readonly #server: ServerLock

  /**
   * @param path the database to replace; it need not exist
   * @param file the backup
   * @param options.takesBack whether to make a database usable again that was moved
   * @throws Error that tells what to do: a server is running, or the file is not a complete Stagedoor database
   */
  constructor(path: string, file: string, { takesBack = false } = {}) {
    this.#path = path
    this.copy = `${path}-restoring`
    assertOurs(file)
    if (!takesBack) for (const each of [file, path]) assertInUse(each)
    this.#host = new HostLock(path)
    try {
      this.#server = new ServerLock(path)
    } catch (error) {
      this.#host.release()
      throw error
    }
    try {
      this.#discard()
      backupSqlite(file, this.copy)
      if (takesBack) unmark(this.copy)
      acknowledgeAll(this.copy)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /**
   * Gives the copy the name of the database. The caller must have closed the copy.
   * @param suffix ends the new names of the replaced database's files: `stagedoor.db.<suffix>`
   * @returns the new path of the replaced database, if there was one
   */
  takeOver(suffix: string): string | undefined {
    const path = this.#path
    for (const side of ['-wal', '-shm', '-ballast', '-host', '-server']) rmSync(`${this.copy}${side}`, { force: true })
    const replaced = existsSync(path) ? unusedName(`${path}.${suffix}`) : undefined
    if (replaced) {
      keep(path, replaced)
      // The log of the old database must not be applied to the new one.
      for (const side of ['-wal', '-shm'])
        if (existsSync(`${path}${side}`)) renameSync(`${path}${side}`, `${replaced}${side}`)
      if (existsSync(acknowledgedPath(path))) keep(acknowledgedPath(path), acknowledgedPath(replaced))
      // The checkpoint of the old database's audit log is not contained in an older one.
      const checkpoint = '-checkpoint'
      if (existsSync(`${path}${checkpoint}`)) renameSync(`${path}${checkpoint}`, `${replaced}${checkpoint}`)
    }
    syncFolder(path)
    renameSync(this.copy, path)
    renameSync(acknowledgedPath(this.copy), acknowledgedPath(path))
    syncFolder(path)
    return replaced
  }

  close(): void {
    this.#discard()
    this.#server.release()
    this.#host.release()
  }

  #discard(): void {
    for (const side of ['', '.part', ...SIDE_FILES]) rmSync(`${this.copy}${side}`, { force: true })
  }
}

function assertOurs(file: string): void {
  if (!existsSync(file)) throw new Error(`There is no file ${file}.`)
  try {
    const tables = reading(file, db => db.prepare("select name from sqlite_schema where type = 'table'").pluck().all())
    if (OWN_TABLES.some(table => !tables.includes(table))) throw new Error(`${file} is not a database of Stagedoor.`)
  } catch (error) {
    if (error instanceof BetterSqlite3.SqliteError) throw new Error(`${file} cannot be read: ${error.message}.`)
    throw error
  }
}

/** After a move, a backup in the old place would be a second copy of the instance. */
function assertInUse(path: string): void {
  if (!existsSync(path)) return
  try {
    reading(path, assertNotMoved)
  } catch (error) {
    // Expected: people restore backups because the database is damaged.
    if (!(error instanceof BetterSqlite3.SqliteError)) throw new Error(`${path}: ${(error as Error).message}`)
  }
}

/** Opens read-only: closing a writable connection would change the file and its log. */
function reading<T>(path: string, read: (db: BetterSqlite3.Database) => T): T {
  const db = new BetterSqlite3(path, { readonly: true })
  try {
    return read(db)
  } finally {
    db.close()
  }
}

function unmark(path: string): void {
  const db = new BetterSqlite3(path)
  unmarkMoved(db)
  db.close()
}

/**
 * Creates the file of acknowledged events. A copy has that file only if `Restore` made it; any other copy is refused.
 */
function acknowledgeAll(path: string): void {
  const db = new BetterSqlite3(path)
  const last = db.prepare('select coalesce(max(seq), 0) from audit_events').pluck().get() as number
  db.close()
  const mark = new HighWaterMark(path)
  mark.write(last)
  mark.close()
}

/** Returns a name that no file has: an interrupted restore of the same second may have used the first one. */
function unusedName(path: string): string {
  let name = path
  for (let n = 2; existsSync(name) || existsSync(acknowledgedPath(name)); n++) name = `${path}-${n}`
  return name
}

/** Links a file under a second name, or copies it if the file system has no links. */
function keep(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error
    copyFileSync(from, to)
    const file = openSync(to, 'r')
    fsyncSync(file)
    closeSync(file)
  }
}
