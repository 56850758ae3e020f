import type { Tables } from '../schema.ts'
import type { Connections } from './connections.ts'

const ALL = 'select, insert, update, delete'

/**
 * The privileges that the server's role needs on each table. docs/guides/postgresql.md has the same as SQL statements.
 */
export const GRANTS: Record<keyof Tables | 'user_search' | 'migrations', string> = {
  users: ALL,
  identifiers: ALL,
  actors: ALL,
  groups: ALL,
  actor_tokens: ALL,
  clients: ALL,
  sessions: ALL,
  jwt_templates: ALL,
  refused_requests: ALL,
  idempotency_keys: ALL,
  cutoffs: ALL,
  operator_sign_ins: ALL,
  operator_passkeys: ALL,
  operator_sessions: ALL,
  operator_links: ALL,
  policies: 'select, insert',
  instance: 'select, insert, update',
  secret_keys: 'select, insert, update',
  operators: 'select, insert, update',
  signing_keys: 'select, insert, update',
  audit_events: 'select, insert',
  audit_tree: 'select, insert, update',
  audit_runs: 'select, insert',
  audit_tiles: 'select, insert',
  audit_checkpoints: ALL,
  audit_keys: 'select, insert, update',
  // Triggers write it, as its owner.
  user_search: 'select',
  migrations: 'select',
}

/**
 * Finds the privileges that the current role lacks: `role` (quoted), table and privilege. Parameters: `grantsNeeded()`.
 */
const MISSING_GRANTS = `select quote_ident(current_user) as role, "table", privilege
  from unnest($1::text[], $2::text[]) as needed ("table", privilege)
  where to_regclass("table") is not null and not has_table_privilege(to_regclass("table"), privilege)`

interface MissingGrant {
  role: string
  table: string
  privilege: string
}

/** @throws Error with the statements to run if the current role lacks privileges */
export async function assertGrants(connections: Connections): Promise<void> {
  const rows = await connections.query<MissingGrant & Record<string, unknown>>(MISSING_GRANTS, grantsNeeded())
  if (rows.length > 0) throw lackingGrants(rows)
}

/** Returns tables and privileges as two arrays, one pair per index. */
function grantsNeeded(): [tables: string[], privileges: string[]] {
  const pairs = Object.entries(GRANTS).flatMap(([table, privileges]) =>
    privileges.split(', ').map(privilege => [table, privilege] as const),
  )
  return [pairs.map(([table]) => table), pairs.map(([, privilege]) => privilege)]
}

/** Returns an error that names the missing privileges and the statements that grant them. */
function lackingGrants(missing: readonly MissingGrant[]): Error {
  const [{ role } = { role: '' }] = missing
  const tables = Map.groupBy(missing, ({ table }) => table)
  const statements = [...tables].map(
    ([table, grants]) => `grant ${grants.map(({ privilege }) => privilege).join(', ')} on ${table} to ${role};`,
  )
  return new Error(
    `the role ${role} lacks privileges on ${[...tables.keys()].join(', ')}. Run as the owner of the tables: ${statements.join(' ')}`,
  )
}
