import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'

export interface TestDatabase extends Disposable {
  path: string
  masterKey: Buffer
  /** Settings that put a test server on this file. Keys are quick to make: tests start many servers. */
  env: Record<string, string>
  /** A second connection, as an operator or a thief would have one. */
  open(): BetterSqlite3.Database
  /** One query through a second connection. */
  rows<T = Record<string, unknown>>(sql: string, ...values: unknown[]): T[]
}

/** A database file that outlives the servers on it, and whose master key the test knows. */
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

/** The claims of a JWT, unverified. */
export function claimsOf(jwt: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
}

/** Its spelling of an object, as a part of a JWT. */
export function part(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}
