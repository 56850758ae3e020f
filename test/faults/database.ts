/** The databases that the fault tests run on. Add another kind to `databases`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import { type PostgresCluster, startPostgres } from '../support/postgres/cluster.ts'
import type { Random } from './goal.ts'

/** One database: its URL, direct access for tests, and faults that can be injected. */
export interface FaultDatabase extends AsyncDisposable {
  /** STAGEDOOR_DATABASE_URL. */
  url: string
  rows<R>(sql: string): Promise<R[]>
  /** Returns the damage that the database finds in its own data. */
  damage(): Promise<string[]>
  /** Injects one fault that servers must survive; resolves when it has ended. */
  disturb(random: Random): Promise<void>
}

export interface DatabaseKind {
  name: 'SQLite' | 'PostgreSQL'
  /** Why it cannot be used on this machine; false if it can. */
  skip: string | false
  /** Whether the database's clock decides what has expired, instead of the server's. */
  hasClock: boolean
  /** The number of servers that may use it at the same time. */
  servers: number
  /** @param env for the database's own process, if it has one */
  open(env?: Record<string, string>): Promise<FaultDatabase>
}

export const databases: DatabaseKind[] = [
  { name: 'SQLite', skip: false, hasClock: false, servers: 1, open: async () => embeddedDatabase() },
  { name: 'PostgreSQL', skip: false, hasClock: true, servers: 3, open: postgresDatabase },
]

/** Starts a separate PostgreSQL, whose server can be stopped as by a power failure. */
export async function postgresDatabase(env: Record<string, string> = {}): Promise<FaultDatabase> {
  const cluster = await startPostgres({ env })
  return databaseIn(cluster, await cluster.createDatabase())
}

/** A database in a cluster. Disposing it stops the cluster. */
export function databaseIn(cluster: PostgresCluster, url: string): FaultDatabase {
  const name = new URL(url).pathname.slice(1)
  return {
    url,
    rows: sql => cluster.query(sql, [], name),
    /** Reads all tables, so that PostgreSQL verifies the checksums of their pages. */
    async damage() {
      const tables: { name: string }[] = await cluster.query(
        "select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
        [],
        name,
      )
      const failed = await Promise.allSettled(
        tables.map(table => cluster.query(`select count(t.*::text) from ${table.name} t`, [], name)),
      )
      return failed.flatMap(each => (each.status === 'rejected' ? [String(each.reason)] : []))
    },
    /** Restarts it without warning, drops every connection, or locks a table for a while. */
    async disturb(random) {
      switch (random.of(['stop', 'drop', 'drop', 'lock', 'lock'] as const)) {
        case 'stop':
          await cluster.stop('immediate')
          await cluster.start()
          return
        case 'drop':
          await cluster.query(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stagedoor'",
          )
          return
        case 'lock': {
          const client = await cluster.connect(name)
          await client.query(`begin; lock table ${random.of(['actor_tokens', 'sessions', 'users'])} in exclusive mode`)
          await sleep(random.between(5, 400))
          await client.end()
        }
      }
    },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

export interface EmbeddedDatabase extends FaultDatabase {
  directory: string
  path: string
  /** A connection of the test itself. */
  open(): BetterSqlite3.Database
}

/** A SQLite file in its own folder. */
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
    /** Another process holds the write lock for a while. */
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
