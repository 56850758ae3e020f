import { existsSync } from 'node:fs'
import BetterSqlite3 from 'better-sqlite3'

/** Ids of what a database had taken away and an older copy of it still grants. */
export interface TakenAway {
  secretKeys: string[]
  signingKeys: string[]
  banned: string[]
  locked: string[]
  deleted: string[]
}

/** What to look for: rows of the old copy (main) that are no longer valid in the later database. */
const QUERIES: Record<keyof TakenAway, string> = {
  secretKeys: `select id from secret_keys where revoked_at is null
    and id in (select id from later.secret_keys where revoked_at is not null)`,
  signingKeys: `select id from signing_keys where status <> 'removed'
    and id in (select id from later.signing_keys where status = 'removed')`,
  banned: `select id from users where banned_at is null
    and id in (select id from later.users where banned_at is not null)`,
  locked: `select id from users where locked_at is null
    and id in (select id from later.users where locked_at is not null)`,
  deleted: 'select id from users where id not in (select id from later.users)',
}

/**
 * Compares a restored copy with the later database that it replaces.
 * @returns undefined if there is no later database, it cannot be read, or it is another instance
 */
export function takenAway(copy: string, later: string): TakenAway | undefined {
  if (!existsSync(later)) return undefined
  const db = new BetterSqlite3(copy)
  try {
    db.prepare('attach ? as later').run(later)
    const isSame = db.prepare('select 1 from instance where id in (select id from later.instance)').pluck().get()
    if (!isSame) return undefined
    const ids = Object.entries(QUERIES).map(([what, sql]) => [what, db.prepare(sql).pluck().all()])
    return Object.fromEntries(ids) as TakenAway
  } catch (error) {
    // A damaged database is what a backup is for.
    if (error instanceof BetterSqlite3.SqliteError) return undefined
    throw error
  } finally {
    db.close()
  }
}
