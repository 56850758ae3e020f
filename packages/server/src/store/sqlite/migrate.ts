import BetterSqlite3 from 'better-sqlite3'
import { assertKnown, migrations, sqliteOf } from '../migrations/index.ts'
import type { Migration } from '../migrations/migration.ts'
import { rewriteOnSqlite } from '../migrations/rewrites.ts'
import { DAMAGED } from './errors.ts'

/** Brings the schema up to date, in one transaction. @returns the names of the migrations that ran */
export function migrateSqlite(db: BetterSqlite3.Database): string[] {
  db.exec('create table if not exists migrations (name text primary key, applied_at text not null) strict')
  return db
    .transaction(() => {
      const applied = new Set(appliedTo(db))
      assertKnown(applied)
      const pending = migrations.filter(migration => !applied.has(migration.name))
      for (const migration of pending) {
        apply(db, migration)
        db.prepare("insert into migrations values (?, datetime('now'))").run(migration.name)
      }
      return pending.map(migration => migration.name)
    })
    .immediate()
}

/** Applies a migration. If it does not fit, it has already been applied, and the list of migrations has lost it. */
function apply(db: BetterSqlite3.Database, migration: Migration): void {
  try {
    db.exec(sqliteOf(migration))
    for (const rewrite of migration.rewrites ?? []) rewriteOnSqlite(db, rewrite)
  } catch (cause) {
    if (!(cause instanceof BetterSqlite3.SqliteError) || cause.code !== 'SQLITE_ERROR') throw cause
    throw new Error(`its schema does not match its list of migrations (${cause.message}). ${DAMAGED}`, { cause })
  }
}

/**
 * Checks the schema: one flipped bit in the name of a column would change the results of queries, and SQLite would
 * not notice.
 */
export function assertSchema(db: BetterSqlite3.Database): void {
  // A later version has added to the schema, and this version does not know what.
  if (appliedTo(db).length > migrations.length) return
  expected ??= freshSchema()
  const found = new Set(schemaOf(db))
  const [missing] = expected.filter(entry => !found.has(entry))
  if (missing !== undefined)
    throw new Error(`its schema differs from the one it was created with (${missing.split(' ')[0]}). ${DAMAGED}`)
}

/** What the migrations make. It is the same for every database, and takes 40 ms. */
let expected: string[] | undefined

function freshSchema(): string[] {
  const fresh = new BetterSqlite3(':memory:')
  try {
    for (const migration of migrations) fresh.exec(sqliteOf(migration))
    return schemaOf(fresh)
  } finally {
    fresh.close()
  }
}

const appliedTo = (db: BetterSqlite3.Database) => db.prepare('select name from migrations').pluck().all() as string[]

const schemaOf = (db: BetterSqlite3.Database) =>
  db.prepare("select name || ' ' || sql from sqlite_schema where sql is not null").pluck().all() as string[]
