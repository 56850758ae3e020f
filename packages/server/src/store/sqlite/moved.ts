import type BetterSqlite3 from 'better-sqlite3'

/**
 * The mark of a database whose instance has been moved to another database. It is stored in the database itself, so
 * that copies have it too. Its table is not in the migrations: only a moved database has it.
 */
export interface Moved {
  /** ISO 8601. */
  at: string
  /** The other database, without its password. */
  target: string
}

/** Marks a database as moved, in the open transaction. */
export function markMoved(db: BetterSqlite3.Database, { at, target }: Moved): void {
  db.exec('create table if not exists moved (at text not null, target text not null) strict')
  db.prepare('insert into moved values (?, ?)').run(at, target)
}

/** Returns where the instance was moved to; undefined if it was not moved. */
export function movedTo(db: BetterSqlite3.Database): Moved | undefined {
  const isThere = db.prepare("select 1 from sqlite_schema where name = 'moved'").pluck().get()
  return isThere
    ? (db.prepare('select at, target from moved order by rowid desc').get() as Moved | undefined)
    : undefined
}

/** Removes the mark. */
export function unmarkMoved(db: BetterSqlite3.Database): void {
  db.exec('drop table if exists moved')
}

/** @throws Error that tells what to do if the instance has been moved */
export function assertNotMoved(db: BetterSqlite3.Database): void {
  const moved = movedTo(db)
  if (moved)
    throw new Error(
      `its instance was moved to ${moved.target} on ${moved.at}. Set STAGEDOOR_DATABASE_URL to that database. ` +
        'If no server has used it, `stagedoor migrate --take-back` makes this one usable again.',
    )
}
