import { hash } from 'node:crypto'
import BetterSqlite3 from 'better-sqlite3'
import type { PostgresCluster } from '../test/support/postgres/cluster.ts'

/**
 * Fills a Stagedoor database by SQL with the rows of years of use: tickets and sessions, of which one in twenty is still
 * active, their users, and audit events. Ids are distinct and sort by time, like the product's. The same indexes are created
 * again afterwards.
 */

const DAY = 86_400_000
/** Age of the oldest row, in ms. With the default retention a fifth of the rows may be purged. */
const SPAN = 115 * DAY
/** Fraction of sessions that are active: the newest. */
export const LIVE = 0.05
const EVENTS_PER_SESSION = 0.25
const SESSIONS_PER_USER = 10
const OPERATORS_PER_USER = 0.01
/** The rotating token of every client. It is the same for all, so that the benchmark can make their cookies. */
export const ROTATING_TOKEN = 'AAAAAAAAAAAAAAAAAAAAAA'

const EPOCH = 1_400_000_000_000
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Expressions that differ between the two databases. */
interface Dialect {
  /** Numbers from 1 to n, as `g.n`. */
  series(n: number): string
  /** 19 digits: random, or those of a number. */
  randomDigits: string
  padded(n: string): string
}

const sqlite: Dialect = {
  series: n => `(with recursive g(n) as (select 1 union all select n + 1 from g where n < ${n}) select n from g) as g`,
  randomDigits: 'substr(hex(randomblob(10)), 1, 19)',
  padded: n => `printf('%019d', ${n})`,
}

const postgres: Dialect = {
  series: n => `generate_series(1, ${n}::bigint) as g(n)`,
  randomDigits: 'upper(substr(md5(random()::text), 1, 19))',
  padded: n => `lpad((${n})::text, 19, '0')`,
}

const ACTOR = `'{"sub":"' || actor_sub || '","reason":"ticket 4711"}'`

/** Returns SQL for a pseudo-random number from 0 to below `below`, the same for the same `n`. */
const scattered = (n: string, below: number, factor = 2_654_435_761) => `(${n} * ${factor} % 4294967296 % ${below})`

/** Returns the statements in order. Each names the table that it fills. */
function statements(size: number, now: number, dialect: Dialect): [table: string, sql: string][] {
  const users = Math.max(100, Math.floor(size / SESSIONS_PER_USER))
  const operators = Math.max(10, Math.floor(users * OPERATORS_PER_USER))
  const unused = Math.floor(size / 9)
  /** Returns the first digits of an id that was created at a time. */
  const digitsOf = (time: string) => {
    const ratio = 2 ** 118 / 62 ** 19
    const value = `cast((((${time} - ${EPOCH}) / 1000) * 1024 + (${time} - ${EPOCH}) % 1000) * ${ratio} as bigint)`
    return Array.from(
      { length: 8 },
      (_, i) => `substr('${DIGITS}', cast(1 + (${value} / ${62 ** (7 - i)}) % 62 as integer), 1)`,
    ).join(' || ')
  }
  const id = (prefix: string, time: string, rest = dialect.randomDigits) =>
    `'${prefix}_' || ${digitsOf(time)} || ${rest}`
  const timeOf = (n: string, of: number) => `cast(${now - SPAN} + ${n} * ${SPAN / of} as bigint)`
  const user = (n: string) => id('user', timeOf(n, users), dialect.padded(n))
  const alive = `n > ${Math.floor(size * (1 - LIVE))}`
  return [
    [
      'users',
      `insert into users (id, public_metadata, private_metadata, unsafe_metadata, delete_self_enabled, create_organization_enabled, created_at, updated_at, external_id, first_email_address)
      select ${user('n')}, '{}', '{}', '{}', 1, 0, ${timeOf('n', users)}, ${timeOf('n', users)}, 'customer-' || n, 'customer-' || n || '@example.com' from ${dialect.series(users)}`,
    ],
    [
      'identifiers',
      `insert into identifiers (id, user_id, kind, value, position, created_at, updated_at)
      select replace(id, 'user_', 'idn_'), id, 'email_address', external_id || '@example.com', 0, created_at, updated_at from users where external_id is not null`,
    ],
    [
      'sessions',
      `insert into sessions (id, client_id, user_id, status, actor, actor_sub, actor_token_id, idle_timeout_seconds, last_active_at, expire_at, abandon_at, created_at, updated_at, written_at)
      select ${id('sess', 'made')}, ${id('client', 'made')}, ${user('of_user')},
        case when ${alive} then 'active' when n % 10 < 6 then 'expired' when n % 10 < 8 then 'ended' when n % 10 < 9 then 'revoked' else 'abandoned' end,
        ${ACTOR}, actor_sub, ${id('act', 'made')}, 86400, made,
        case when ${alive} then ${now + 5 * DAY} else made + 1800000 end, case when ${alive} then ${now + 5 * DAY} else made + 1800000 end,
        made, case when ${alive} then made else made + 900000 + ${scattered('n', 900_000)} end, made
      from (select n, ${timeOf('n', size)} as made, 1 + ${scattered('n', users)} as of_user, 'user_2Operator' || (1 + ${scattered('n', operators, 2_246_822_519)}) as actor_sub from ${dialect.series(size)}) as s`,
    ],
    [
      'clients',
      `insert into clients (id, rotating_token_hash, last_active_session_id, created_at, updated_at)
      select client_id, '${hash('sha256', ROTATING_TOKEN)}', id, created_at, created_at from sessions`,
    ],
    [
      'actor_tokens',
      `insert into actor_tokens (id, kind, status, user_id, actor, actor_sub, reason, expires_in_seconds, session_max_duration_in_seconds, expires_at, session_id, created_at, updated_at, written_at)
      select actor_token_id, 'actor_token', 'accepted', user_id, actor, actor_sub, 'Ticket 4711', 3600, 1800, created_at + 3600000, id, created_at, created_at, created_at from sessions`,
    ],
    [
      'actor_tokens',
      `insert into actor_tokens (id, kind, status, user_id, actor, actor_sub, reason, expires_in_seconds, session_max_duration_in_seconds, expires_at, expired_at, created_at, updated_at, written_at)
      select ${id('act', 'made')}, 'actor_token', case when n % 2 = 0 then 'revoked' else 'pending' end, ${user('of_user')}, ${ACTOR}, actor_sub, 'Ticket 4711', 3600, 1800, made + 3600000,
        case when n % 2 = 0 then null else made + 3601000 end, made, made, made
      from (select n, ${timeOf('n', unused)} as made, 1 + ${scattered('n', users)} as of_user, 'user_2Operator' || (1 + ${scattered('n', operators, 2_246_822_519)}) as actor_sub from ${dialect.series(unused)}) as s
      where made < ${now - 2 * 3_600_000}`,
    ],
    [
      'audit_events',
      `insert into audit_events (id, at, action, outcome, principal_type, actor_sub, actor_token_id, session_id, user_id, trace_id, event, personal, leaf_hash)
      select replace(id, 'sess_', 'evt_'), created_at, 'actor_token.accept', 'done', 'browser', actor_sub, actor_token_id, id, user_id, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
        '{"action":"actor_token.accept","actor_sub":"' || actor_sub || '","session_id":"' || id || '","actor_token_id":"' || actor_token_id || '","user_id":"' || user_id || '"}',
        '{"actor":null,"address":"203.0.113.7","reason":"Ticket 4711","salt":"AAAAAAAAAAAAAAAAAAAAAA","user_agent":null}',
        '${'a'.repeat(64)}' from sessions where created_at % ${Math.round(1 / EVENTS_PER_SESSION)} = 0`,
    ],
  ]
}

/** @param path of a database with Stagedoor's schema that no server uses */
export function fillSqlite(path: string, size: number): void {
  const db = new BetterSqlite3(path)
  for (const setting of [
    'journal_mode = off',
    'synchronous = off',
    'cache_size = -1000000',
    'temp_store = memory',
    'threads = 2',
  ])
    db.pragma(setting)
  const indexes = db
    .prepare<[], { name: string; sql: string }>(
      "select name, sql from sqlite_schema where type = 'index' and sql is not null",
    )
    .all()
  for (const { name } of indexes) db.exec(`drop index ${name}`)
  for (const [, sql] of statements(size, Date.now(), sqlite)) db.exec(sql)
  for (const { sql } of indexes) db.exec(sql)
  db.pragma('journal_mode = wal')
  db.close()
}

/** @param database name of a database with Stagedoor's schema that no server uses */
export async function fillPostgres(cluster: PostgresCluster, database: string, size: number): Promise<void> {
  const client = await cluster.connect(database)
  try {
    await client.query("set maintenance_work_mem = '1GB'; set statement_timeout = 0")
    const tables = ['identifiers', 'users', 'sessions', 'clients', 'actor_tokens', 'audit_events']
    const { rows: constraints } = await client.query(
      `select conrelid::regclass::text as tab, conname, pg_get_constraintdef(oid) as def from pg_constraint
       where conrelid = any($1::regclass[]) and contype in ('p', 'u', 'f') order by contype = 'f' desc, contype = 'u' desc`,
      [tables],
    )
    const { rows: indexes } = await client.query(
      `select indexname, indexdef from pg_indexes where tablename = any($1) and indexname not in (select conname from pg_constraint)`,
      [tables],
    )
    for (const { tab, conname } of constraints) await client.query(`alter table ${tab} drop constraint ${conname}`)
    for (const { indexname } of indexes) await client.query(`drop index ${indexname}`)
    // Without the primary key of users, the trigger would read all of them for each identifier.
    await client.query('alter table identifiers disable trigger identifiers_first')
    for (const [, sql] of statements(size, Date.now(), postgres)) await client.query(sql)
    await client.query('alter table identifiers enable trigger identifiers_first')
    for (const { tab, conname, def } of constraints.reverse())
      await client.query(`alter table ${tab} add constraint ${conname} ${def}`)
    for (const { indexdef } of indexes) await client.query(indexdef)
    await client.query('vacuum analyze')
    await client.query('checkpoint')
  } finally {
    await client.end()
  }
}
