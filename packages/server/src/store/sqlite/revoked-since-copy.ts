import { existsSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'

/** Ids of what a database had revoked, banned, locked or deleted, and an older copy of it still allows. */
export interface RevokedSinceCopy {
  secretKeys: string[]
  signingKeys: string[]
  banned: string[]
  locked: string[]
  deleted: string[]
}

/** Rows that are still valid in the copy but not in the later database, which is `main`. */
const QUERIES: Record<keyof RevokedSinceCopy, string> = {
  secretKeys: `select id from copy.secret_keys where revoked_at is null
    and id in (select id from main.secret_keys where revoked_at is not null)`,
  signingKeys: `select id from copy.signing_keys where status <> 'removed'
    and id in (select id from main.signing_keys where status = 'removed')`,
  banned: `select id from copy.users where banned_at is null
    and id in (select id from main.users where banned_at is not null)`,
  locked: `select id from copy.users where locked_at is null
    and id in (select id from main.users where locked_at is not null)`,
  deleted: 'select id from copy.users where id not in (select id from main.users)',
}

/**
 * Compares a restored copy with the later database that it replaces.
 * @returns undefined if there is no later database, it cannot be read, or it belongs to another instance
 */
export function revokedSinceCopy(copy: string, later: string): RevokedSinceCopy | undefined {
  if (!existsSync(later)) return undefined
  try {
    return compare(copy, later)
  } catch (error) {
    // Expected: people restore backups because the database is damaged.
    if (error instanceof BetterSqlite3.SqliteError) return undefined
    throw error
  }
}

function compare(copy: string, later: string): RevokedSinceCopy | undefined {
  // Read-only: closing a writable connection would change the replaced database and its log.
  const db = new BetterSqlite3(later, { readonly: true })
  try {
    db.prepare('attach ? as copy').run(copy)
    const isSame = db.prepare('select 1 from copy.instance where id in (select id from main.instance)').pluck().get()
    if (!isSame) return undefined
    const ids = Object.entries(QUERIES).map(([what, sql]) => [what, db.prepare(sql).pluck().all()])
    return Object.fromEntries(ids) as RevokedSinceCopy
  } finally {
    db.close()
  }
}
