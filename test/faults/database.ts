/** The databases that the suites are run on. Another kind is another entry of `databases`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import type { Random } from './goal.ts'

/** One database: where servers find it, how a test looks into it past them, and what can be done to it. */
export interface FaultDatabase extends AsyncDisposable {
  /** STAGEDOOR_DATABASE_URL. */
  url: string
  rows<R>(sql: string): Promise<R[]>
  /** What the database itself finds wrong with what is stored. */
  damage(): Promise<string[]>
  /** Does one thing to it that servers have to live through; resolves when that is over. */
  disturb(random: Random): Promise<void>
}

export interface DatabaseKind {
  name: string
  /** Why it cannot be used here; false if it can. */
  skip: string | false
  open(): Promise<FaultDatabase>
}

export const databases: DatabaseKind[] = [{ name: 'SQLite', skip: false, open: async () => embeddedDatabase() }]

export interface EmbeddedDatabase extends FaultDatabase {
  directory: string
  path: string
  /** A connection of the test's own. */
  open(): BetterSqlite3.Database
}

/** A SQLite file in a folder of its own. */
export function embeddedDatabase(directory = mkdtempSync(join(tmpdir(), 'stagedoor-faults-'))): EmbeddedDatabase {
  const path = join(directory, 'stagedoor.db')
  const open = () => new BetterSqlite3(path, { timeout: 10_000 })
  const rows = async <R>(sql: string): Promise<R[]> => {
    const db = open()
    try {
      return db.prepare(sql).all() as R[]
    } finally {
      db.close()
    }
  }
  return {
    url: `sqlite:${path}`,
    directory,
    path,
    open,
    rows,
    async damage() {
      const found = await rows<{ integrity_check: string }>('pragma integrity_check')
      return found.map(row => row.integrity_check).filter(text => text !== 'ok')
    },
    /** Somebody else writes for a while. */
    async disturb(random) {
      const db = open()
      try {
        db.exec('begin immediate')
        await sleep(random.between(5, 400))
        db.exec('rollback')
      } finally {
        db.close()
      }
    },
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true, force: true }),
  }
}
