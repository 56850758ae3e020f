import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'

export interface TestDatabase extends Disposable {
  path: string
  masterKey: Buffer
  /** Settings that make a test server use this file. EdDSA keys are quick to generate, and tests start many servers. */
  env: Record<string, string>
  /** Opens a second connection, as an operator or a thief would. */
  open(): BetterSqlite3.Database
  /** Runs one query through a second connection. */
  rows<T = Record<string, unknown>>(sql: string, ...values: unknown[]): T[]
}

/** A database file that outlives its servers. The test knows its master key. */
export function testDatabase(env: Record<string, string> = {}): TestDatabase {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-database-'))
  const path = join(directory, 'test.db')
  const masterKey = randomBytes(32)
  const open = () => new BetterSqlite3(path, { timeout: 2_000 })
  return {
    path,
    masterKey,
    env: {
      STAGEDOOR_DATABASE_URL: `sqlite:${path}`,
      STAGEDOOR_MASTER_KEY: masterKey.toString('base64'),
      STAGEDOOR_SIGNING_ALG: 'EdDSA',
      ...env,
    },
    open,
    rows<T>(sql: string, ...values: unknown[]) {
      const db = open()
      try {
        return db.prepare(sql).all(...values) as T[]
      } finally {
        db.close()
      }
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  }
}
