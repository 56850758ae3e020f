import type { Connections } from './connections.ts'
import { pendingMigrations } from './migrate.ts'

/** Returns the settings of the database server that endanger data, and other problems that an operator should know. */
export async function problemsOf(connections: Connections): Promise<string[]> {
  const rows = await connections.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings where name in
      ('fsync', 'full_page_writes', 'synchronous_commit', 'server_encoding', 'server_version_num')`,
  )
  const settings = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
  const problems: string[] = []
  for (const name of ['fsync', 'full_page_writes'])
    if (settings[name] !== 'on') problems.push(`${name} is off: a crash of the machine can lose or damage everything`)
  if (settings.synchronous_commit === 'off')
    problems.push('synchronous_commit is off: acknowledged changes can be lost in a crash')
  if (settings.server_encoding !== 'UTF8') problems.push(`the database is ${settings.server_encoding}, not UTF8`)
  const pending = await pendingMigrations(connections)
  if (pending.length > 0) problems.push(`the schema lacks ${pending.join(', ')}: run \`stagedoor migrate\``)
  else if (!(await hasSearchIndex(connections))) problems.push(NO_SEARCH_INDEX)
  return problems
}

const NO_SEARCH_INDEX =
  'there is no index for searching users, so each search reads all of them. As the owner of the database, run: create extension if not exists pg_trgm; create index user_search_content on user_search using gin (content gin_trgm_ops)'

async function hasSearchIndex(connections: Connections): Promise<boolean> {
  const rows = await connections.query("select to_regclass('user_search_content') as index")
  return rows[0]?.index !== null
}

/**
 * Returns how a failover could lose acknowledged changes. Any role can see that there are standbys; few can see their
 * state.
 */
export async function failoverRisks(connections: Connections): Promise<string[]> {
  const [row] = await connections.query<{ commit: string; names: string; standbys: number }>(
    `select current_setting('synchronous_commit') as commit, current_setting('synchronous_standby_names') as names,
      (select count(*) from pg_stat_replication) as standbys`,
  )
  const { commit = 'on', names = '', standbys = 0 } = row ?? {}
  if (commit === 'off' || commit === 'local')
    return [`synchronous_commit is ${commit}: acknowledged changes can be lost when a standby takes over`]
  return standbys > 0 && names === ''
    ? [
        'there are standbys, but none is synchronous: acknowledged changes can be lost when one takes over. Set synchronous_standby_names',
      ]
    : []
}
