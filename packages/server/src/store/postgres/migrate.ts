import type pg from 'pg'
import { assertKnown, migrations, postgresOf } from '../migrations/index.ts'
import type { Migration } from '../migrations/migration.ts'
import { rewriteOnPostgres } from '../migrations/rewrites.ts'
import type { Connections } from './connections.ts'
import { assertGrants } from './grants.ts'

/** Advisory lock that prevents two nodes from migrating at the same time: "stage" in hex. */
const MIGRATION_LOCK = 0x73_74_61_67_65

/**
 * Brings the schema up to date: one transaction per migration, one node at a time.
 * @returns the names of the migrations that ran
 */
export async function migratePostgres(connections: Connections): Promise<string[]> {
  if ((await pendingMigrations(connections)).length === 0) return []
  const names: string[] = []
  for (const migration of migrations) if (await apply(connections, migration)) names.push(migration.name)
  return names
}

/** Returns the names of the migrations that the database does not have yet. */
export async function pendingMigrations(connections: Connections): Promise<string[]> {
  const rows = await connections
    .query<{ name: string }>('select name from migrations')
    .catch(error => withoutMigrations(connections, error))
  const applied = new Set(rows.map(row => row.name))
  assertKnown(applied)
  return migrations.map(migration => migration.name).filter(name => !applied.has(name))
}

/** Handles an unreadable list of migrations: it does not exist yet, or the role has no privilege to read it. */
async function withoutMigrations(connections: Connections, error: pg.DatabaseError): Promise<{ name: string }[]> {
  if (error.code === '42501') await assertGrants(connections)
  if (error.code !== '42P01') throw error
  const [{ schema, role } = { schema: null, role: '' }] = await connections.query<{
    schema: string | null
    role: string
  }>('select current_schema() as schema, quote_ident(current_user) as role')
  if (schema !== null) return []
  throw new Error(
    `the role ${role} may not use any schema here. Run as the owner of the database: grant usage on schema public to ${role};`,
  )
}

/** Applies a migration, unless another node has done so. @returns whether it did */
async function apply(connections: Connections, migration: Migration): Promise<boolean> {
  const client = await connections.connect()
  try {
    await client.query('begin')
    await client.query('set local statement_timeout = 0')
    await client.query('set local lock_timeout = 0')
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    await client.query(
      'create table if not exists migrations (name text primary key, applied_at timestamptz not null default now())',
    )
    const { rowCount } = await client.query('select from migrations where name = $1', [migration.name])
    if (rowCount === 0) {
      await client.query(postgresOf(migration))
      for (const rewrite of migration.rewrites ?? []) await rewriteOnPostgres(client, rewrite)
      await client.query('insert into migrations (name) values ($1)', [migration.name])
    }
    await client.query('commit')
    client.release()
    return rowCount === 0
  } catch (error) {
    client.release(true)
    throw (error as { code?: string }).code === '42501'
      ? new Error(
          `the schema lacks ${migration.name} and this role may not change it. Run \`stagedoor migrate\` with the role that owns it.`,
          { cause: error },
        )
      : error
  }
}
