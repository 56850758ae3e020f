import { hash, randomBytes } from 'node:crypto'
import BetterSqlite3 from 'better-sqlite3'
import { leafHashHex } from '../packages/server/src/domain/audit/event.ts'
import { ksuid } from '../packages/server/src/domain/random.ts'
import type { PostgresCluster } from '../test/support/postgres/cluster.ts'

/**
 * Fills a Stagedoor database by SQL with the rows of months of use: users, secret keys, actor tokens, sessions (one in
 * twenty is still active), clients, and the audit events that the product would have written for them, with valid hashes.
 * Ids are distinct and sort by time, like the product's. The same indexes are created again afterwards.
 */

const DAY = 86_400_000
/** Age of the oldest row, in ms. With the default retention a fifth of the rows may be purged. */
const SPAN = 115 * DAY
/** Fraction of sessions that are active: the newest. */
export const LIVE = 0.05
const SESSIONS_PER_USER = 10
const OPERATORS_PER_USER = 0.01
/** Actors with very many sessions: together they started one in ten. */
export const AGENTS = Array.from({ length: 5 }, (_, i) => `nightly-agent-${i + 1}@support.example.com`)
const SECRET_KEYS = ['backend', 'support tool', 'nightly job']
/** The rotating token of every client. It is the same for all, so that the benchmark can make their cookies. */
export const ROTATING_TOKEN = 'AAAAAAAAAAAAAAAAAAAAAA'

/** Maximum size whose sorted audit events fit into memory. */
const IN_MEMORY = 100_000

const EPOCH = 1_400_000_000_000
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** The texts in which users are searched. Every user here has one e-mail address, made of its external id. */
const SEARCHED = `insert into user_search (user_id, content)
  select id, id || ' ' || external_id || ' ' || external_id || '@example.com' from users order by created_at`

/** Expressions that differ between the two databases. */
interface Dialect {
  /** Numbers from 1 to n, as `g.n`. */
  series(n: number): string
  /** The first 8 digits of an id that was created at a time. */
  digitsOf(time: string): string
  /** The other 19 digits: random, or those of a number. */
  randomDigits: string
  padded(n: string): string
  /** 32 random hexadecimal digits. */
  randomTrace: string
  /** 22 random characters. */
  randomSalt: string
  /** SHA-256 of a text, in hex; and the hash of an audit event. */
  sha256(text: string): string
  leafHashHex(text: string): string
  /** Ends a subquery whose expressions must be calculated once, not once for each use. */
  fence: string
}

/** Returns SQL for a floating-point number. Without the cast, PostgreSQL would use its slow decimal numbers. */
const double = (value: number) => `cast(${value} as double precision)`

/** Bits of an id's time (seconds, then 10 bits of milliseconds) as a fraction of its first 8 digits. */
const RATIO = 2 ** 118 / 62 ** 19

function digitsOf(time: number): string {
  let value = Math.floor((Math.floor((time - EPOCH) / 1_000) * 1_024 + ((time - EPOCH) % 1_000)) * RATIO)
  let digits = ''
  for (let i = 0; i < 8; i++) {
    digits = DIGITS[value % 62] + digits
    value = Math.floor(value / 62)
  }
  return digits
}

const sqlite: Dialect = {
  series: n => `(with recursive g(n) as (select 1 union all select n + 1 from g where n < ${n}) select n from g) as g`,
  digitsOf: time => `digits_of(${time})`,
  randomDigits: 'substr(hex(randomblob(10)), 1, 19)',
  padded: n => `printf('%019d', ${n})`,
  randomTrace: 'lower(hex(randomblob(16)))',
  randomSalt: 'hex(randomblob(11))',
  sha256: text => `sha256(${text})`,
  leafHashHex: text => `leaf_hash(${text})`,
  fence: 'limit -1 offset 0',
}

const postgres: Dialect = {
  series: n => `generate_series(1, ${n}::bigint) as g(n)`,
  digitsOf(time) {
    const value = `cast((((${time} - ${EPOCH}) / 1000) * 1024 + (${time} - ${EPOCH}) % 1000) * ${double(RATIO)} as bigint)`
    const digit = (i: number) => `substr('${DIGITS}', cast(1 + (${value} / ${62 ** (7 - i)}) % 62 as integer), 1)`
    return Array.from({ length: 8 }, (_, i) => digit(i)).join(' || ')
  },
  randomDigits: 'upper(substr(md5(random()::text), 1, 19))',
  padded: n => `lpad((${n})::text, 19, '0')`,
  randomTrace: `replace(gen_random_uuid()::text, '-', '')`,
  randomSalt: 'substr(md5(random()::text), 1, 22)',
  sha256: text => `encode(sha256(convert_to(${text}, 'UTF8')), 'hex')`,
  leafHashHex: text => `encode(sha256('\\x00'::bytea || convert_to(${text}, 'UTF8')), 'hex')`,
  fence: 'offset 0',
}

/** Returns SQL for a pseudo-random number from 0 to below `below`, the same for the same `n`. */
const scattered = (n: string, below: number, factor = 2_654_435_761) => `(${n} * ${factor} % 4294967296 % ${below})`

/** Returns SQL for the time at which the token of a session was created: up to a minute before the session. */
const requested = (time: string) => `(${time} - 5000 - ${time} * 7919 % 55001)`
/** Returns SQL for the reason of a token that was created at a time, and for its actor. */
const reason = (time: string) => `'Ticket ' || (10000 + ${time} % 90000)`
const actor = (time: string) => `'{"sub":"' || actor_sub || '","reason":"' || ${reason(time)} || '"}'`

/** Returns SQL for the id of a secret key that was created when the first rows were. */
const secretKey = (now: number, i: number) => `'key_${ksuid(now - SPAN, Buffer.alloc(16, i))}'`

/** Returns the statements in order. */
function statements(size: number, now: number, dialect: Dialect): string[] {
  const users = Math.max(100, Math.floor(size / SESSIONS_PER_USER))
  const operators = Math.max(10, Math.floor(users * OPERATORS_PER_USER))
  const unused = Math.floor(size / 9)
  const id = (prefix: string, time: string, rest = dialect.randomDigits) =>
    `'${prefix}_' || ${dialect.digitsOf(time)} || ${rest}`
  /** Spreads `of` rows over the time: one in each equal part, at a random moment of it. */
  const timeOf = (n: string, of: number) =>
    `cast(${now - SPAN} + (${n} - 1) * ${double(SPAN / of)} + ${scattered(n, Math.floor(SPAN / of))} as bigint)`
  const user = (n: string) => id('user', timeOf(n, users), dialect.padded(n))
  const operator = `'user_2Operato' || ${dialect.padded(`1 + ${scattered('n', operators, 2_246_822_519)}`)}`
  const agent = `'nightly-agent-' || (1 + n / 10 % ${AGENTS.length}) || '@support.example.com'`
  const actorSub = `case when n % 10 = 3 then ${agent} else ${operator} end`
  const ofUser = `1 + ${scattered('n', users)}`
  const lives = (ended: string) => `case when status = 'active' then ${now + 5 * DAY} else ${ended} end`
  return [
    ...SECRET_KEYS.map(
      (name, i) => `insert into secret_keys (id, name, hash, hint, created_at)
      values (${secretKey(now, i)}, '${name}', '${hash('sha256', randomBytes(16))}', 'sk_live_aaaa…aaaa', ${now - SPAN})`,
    ),
    `insert into users (id, public_metadata, private_metadata, unsafe_metadata, delete_self_enabled, create_organization_enabled, created_at, updated_at, external_id, first_email_address)
      select ${user('n')}, '{}', '{}', '{}', 1, 0, ${timeOf('n', users)}, ${timeOf('n', users)}, 'customer-' || n, 'customer-' || n || '@example.com' from ${dialect.series(users)}`,
    `insert into identifiers (id, user_id, kind, value, position, created_at, updated_at)
      select replace(id, 'user_', 'idn_'), id, 'email_address', external_id || '@example.com', 0, created_at, updated_at from users where external_id is not null`,
    // Materialized, so that each expression is calculated once.
    `insert into sessions (id, client_id, user_id, status, actor, actor_sub, actor_token_id, idle_timeout_seconds, last_active_at, expire_at, abandon_at, created_at, updated_at, written_at, decided_policy, decided_user, decided_actor)
      with s as materialized (select n, ${timeOf('n', size)} as made, ${ofUser} as of_user, ${actorSub} as actor_sub,
        case when n > ${Math.floor(size * (1 - LIVE))} then 'active' when n % 20 < 12 then 'expired' when n % 20 < 16 then 'ended'
          when n % 20 < 18 then 'revoked' else 'abandoned' end as status from ${dialect.series(size)})
      select ${id('sess', 'made')}, ${id('client', 'made')}, ${user('of_user')}, status, ${actor(requested('made'))}, actor_sub,
        ${id('act', requested('made'))}, 86400, made, ${lives('made + 1800000')},
        ${lives(`made + case status when 'abandoned' then 600000 else 1800000 end`)}, made,
        case status when 'active' then made when 'expired' then made + 1800000 + ${scattered('n', 5_000)}
          when 'abandoned' then made + 600000 + ${scattered('n', 5_000)} else made + 60000 + ${scattered('n', 1_700_000)} end, made, 0, 0, 0
      from s`,
    `insert into clients (id, rotating_token_hash, last_active_session_id, created_at, updated_at)
      select client_id, '${hash('sha256', ROTATING_TOKEN)}', id, created_at, created_at from sessions`,
    `insert into actor_tokens (id, kind, status, user_id, actor, actor_sub, reason, expires_in_seconds, session_max_duration_in_seconds, expires_at, session_id, created_at, updated_at, written_at)
      select actor_token_id, 'actor_token', 'accepted', user_id, actor, actor_sub, ${reason('made')}, 3600, 1800, made + 3600000, id, made, created_at, made
      from (select id, actor_token_id, user_id, actor, actor_sub, created_at, ${requested('created_at')} as made from sessions) as s`,
    `insert into actor_tokens (id, kind, status, user_id, actor, actor_sub, reason, expires_in_seconds, session_max_duration_in_seconds, expires_at, expired_at, created_at, updated_at, written_at)
      select ${id('act', 'made')}, 'actor_token', case when n % 2 = 0 then 'revoked' else 'pending' end, ${user('of_user')}, ${actor('made')}, actor_sub, ${reason('made')}, 3600, 1800, made + 3600000,
        case when n % 2 = 0 then null else made + 3601000 end, made, case when n % 2 = 0 then made + 60000 + ${scattered('n', 3_000_000)} else made end, made
      from (select n, ${timeOf('n', unused)} as made, ${ofUser} as of_user, ${actorSub} as actor_sub from ${dialect.series(unused)}) as s
      where made < ${now - 2 * 3_600_000}`,
    auditStatement(now, dialect),
  ]
}

/** Members of an audit event whose values are texts or null, in the order of the canonical text. */
interface Source {
  /** SQL for the time and the table with its conditions. */
  at: string
  from: string
  action: string
  code?: string
  principal: 'system' | 'secret_key' | 'client' | 'browser or backend'
  /** SQL for the client's id. */
  client?: string
  actor_sub?: string
  actor_token_id?: string
  session_id?: string
  user_id?: string
  /** SQL for when the token was created: actor and reason follow from it. Refusals do not record them. */
  asked?: string
  reason?: string
}

const OF_SESSION = { actor_sub: 'actor_sub', actor_token_id: 'actor_token_id', session_id: 'id', user_id: 'user_id' }
const OF_TOKEN = { actor_sub: 'actor_sub', actor_token_id: 'id', user_id: 'user_id' }
const ASKED = requested('created_at')

/** The events of all rows, and refusals: 4 in 100 events. */
const SOURCES: Source[] = [
  { at: 'created_at', from: 'users', action: `'user.create'`, principal: 'secret_key', user_id: 'id' },
  {
    at: 'created_at',
    from: 'actor_tokens',
    action: `'actor_token.create'`,
    principal: 'secret_key',
    ...OF_TOKEN,
    asked: 'created_at',
    reason: 'reason',
  },
  {
    at: 'updated_at',
    from: `actor_tokens where status = 'revoked'`,
    action: `'actor_token.revoke'`,
    principal: 'secret_key',
    ...OF_TOKEN,
    asked: 'created_at',
    reason: 'reason',
  },
  {
    at: 'created_at',
    from: 'sessions',
    action: `'actor_token.accept'`,
    principal: 'browser or backend',
    ...OF_SESSION,
    asked: ASKED,
    reason: reason(ASKED),
  },
  {
    at: 'updated_at',
    from: `sessions where status in ('expired', 'abandoned')`,
    action: `case status when 'expired' then 'session.expire' else 'session.abandon' end`,
    principal: 'system',
    ...OF_SESSION,
    asked: ASKED,
  },
  {
    at: 'updated_at',
    from: `sessions where status = 'ended'`,
    action: `'session.end'`,
    principal: 'client',
    client: 'client_id',
    ...OF_SESSION,
    asked: ASKED,
  },
  {
    at: 'updated_at',
    from: `sessions where status = 'revoked'`,
    action: `'session.revoke'`,
    principal: 'secret_key',
    ...OF_SESSION,
    asked: ASKED,
    reason: `'left the company'`,
  },
  {
    at: 'created_at + 20000',
    from: 'sessions where created_at % 16 = 0',
    action: `'ticket.accept'`,
    code: 'actor_token_already_used_code',
    principal: 'client',
    ...OF_SESSION,
  },
  {
    at: 'expires_at + 60000',
    from: 'actor_tokens where expired_at is not null',
    action: `'ticket.accept'`,
    code: 'ticket_expired_code',
    principal: 'client',
    ...OF_TOKEN,
  },
  {
    at: 'created_at + 1000',
    from: 'sessions where created_at % 64 = 1',
    action: `'actor_token.create'`,
    code: 'resource_not_found',
    principal: 'secret_key',
  },
]

/** Returns SQL for the events of one source, without what is random. */
function eventsOf(source: Source, now: number): string {
  const [first, second, third] = SECRET_KEYS.map((_, i) => secretKey(now, i))
  const keyId = `case created_at % 3 when 0 then ${first} when 1 then ${second} else ${third} end`
  const byBackend = 'created_at % 5 = 0'
  const fixed = { system: 'null', secret_key: keyId, client: source.client ?? 'null' }
  const [type, principal] =
    source.principal === 'browser or backend'
      ? [
          `case when ${byBackend} then 'secret_key' else 'client' end`,
          `case when ${byBackend} then ${keyId} else null end`,
        ]
      : [`'${source.principal}'`, fixed[source.principal]]
  const text = (sql = 'null') => `cast(${sql} as text)`
  const canonicalActor = source.asked && `'{"reason":"' || ${reason(source.asked)} || '","sub":"' || actor_sub || '"}'`
  return `select cast(${source.at} as bigint) as at, ${text(source.action)} as action, ${text(source.code && `'${source.code}'`)} as code,
    ${text(type)} as principal_type, ${text(principal)} as principal_id, ${text(source.actor_sub)} as actor_sub,
    ${text(source.actor_token_id)} as actor_token_id, ${text(source.session_id)} as session_id,
    ${text(source.user_id)} as user_id, ${text(canonicalActor)} as actor, ${text(source.reason)} as reason
    from ${source.from}`
}

const USER_AGENTS = [
  'stagedoor-sdk/0.1.0 node/24.21.0',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15',
]

/** Returns the statement that writes all audit events, in the order of their times. */
function auditStatement(now: number, dialect: Dialect): string {
  const json = (sql: string) => `coalesce('"' || ${sql} || '"', 'null')`
  const outside = (sql: string) => `case when principal_type = 'system' then null else ${sql} end`
  const [sdk, linux, mac] = USER_AGENTS
  const userAgent = `case when principal_type = 'secret_key' then '${sdk}' when at % 2 = 0 then '${linux}' else '${mac}' end`
  const personal = `'{"actor":' || coalesce(actor, 'null') || ',"address":' || ${json(outside(`'203.0.113.' || (at % 250)`))}
    || ',"reason":' || ${json('reason')} || ',"salt":"' || salt || '","user_agent":' || ${json(outside(userAgent))} || '}'`
  const event = `'{"action":"' || action || '","actor_sub":' || ${json('actor_sub')} || ',"actor_token_id":' || ${json('actor_token_id')}
    || ',"at":' || at || ',"code":' || ${json('code')} || ',"id":"' || id || '","outcome":"' || outcome || '","personal_hash":"' || ${dialect.sha256('personal')}
    || '","principal":{"id":' || ${json('principal_id')} || ',"type":"' || principal_type || '"},"session_id":' || ${json('session_id')}
    || ',"target_id":null,"trace_id":"' || trace_id || '","user_id":' || ${json('user_id')} || ',"v":1}'`
  const facts =
    'id, at, action, outcome, code, principal_type, principal_id, actor_sub, actor_token_id, session_id, user_id, trace_id'
  // Materialized, because each use of a random value must get the same one. SQLite needs a condition in addition to the fence.
  return `insert into audit_events (${facts}, event, personal, leaf_hash)
    with events as (${SOURCES.map(source => eventsOf(source, now)).join(' union all ')}),
    drawn as materialized (select *, 'evt_' || ${dialect.digitsOf('at')} || ${dialect.randomDigits} as id, case when code is null then 'done' else 'refused' end as outcome,
      ${dialect.randomTrace} as trace_id, ${dialect.randomSalt} as salt from events where at <= ${now} order by at),
    told as (select *, ${personal} as personal from drawn ${dialect.fence}),
    written as (select ${facts}, personal, ${event} as event from told where at > 0 ${dialect.fence})
    select ${facts}, event, personal, ${dialect.leafHashHex('event')} from written where at > 0`
}

/** @param path of a database with Stagedoor's schema that no server uses */
export function fillSqlite(path: string, size: number): void {
  const db = new BetterSqlite3(path)
  for (const setting of [
    // Not `off`, which better-sqlite3 does not allow.
    'journal_mode = memory',
    'synchronous = off',
    'cache_size = -1000000',
    `temp_store = ${size > IN_MEMORY ? 'file' : 'memory'}`,
    'threads = 2',
  ])
    db.pragma(setting)
  db.function('sha256', { deterministic: true }, text => hash('sha256', text as string))
  db.function('digits_of', { deterministic: true }, time => digitsOf(time as number))
  db.function('leaf_hash', { deterministic: true }, text => leafHashHex(text as string))
  const indexes = db
    .prepare<[], { name: string; sql: string }>(
      "select name, sql from sqlite_schema where type = 'index' and sql is not null",
    )
    .all()
  // Without indexes, these triggers would read all users for each identifier.
  const triggers = db
    .prepare<[], { name: string; sql: string }>(
      "select name, sql from sqlite_schema where type = 'trigger' and tbl_name in ('users', 'identifiers')",
    )
    .all()
  for (const { name } of triggers) db.exec(`drop trigger ${name}`)
  for (const { name } of indexes) db.exec(`drop index ${name}`)
  for (const sql of statements(size, Date.now(), sqlite)) db.exec(sql)
  db.exec(SEARCHED)
  for (const { sql } of [...indexes, ...triggers]) db.exec(sql)
  db.pragma('journal_mode = wal')
  db.close()
}

/** @param database name of a database with Stagedoor's schema that no server uses */
export async function fillPostgres(cluster: PostgresCluster, database: string, size: number): Promise<void> {
  const client = await cluster.connect(database)
  try {
    await client.query(
      "set maintenance_work_mem = '1GB'; set work_mem = '256MB'; set jit = off; set statement_timeout = 0",
    )
    const tables = ['user_search', 'identifiers', 'users', 'sessions', 'clients', 'actor_tokens', 'audit_events']
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
    // Without indexes, these triggers would read all users for each identifier.
    for (const table of ['users', 'identifiers']) await client.query(`alter table ${table} disable trigger user`)
    for (const sql of statements(size, Date.now(), postgres)) await client.query(sql)
    await client.query(SEARCHED)
    for (const table of ['users', 'identifiers']) await client.query(`alter table ${table} enable trigger user`)
    for (const { tab, conname, def } of constraints.reverse())
      await client.query(`alter table ${tab} add constraint ${conname} ${def}`)
    for (const { indexdef } of indexes) await client.query(indexdef)
    await client.query('vacuum analyze')
    await client.query('checkpoint')
  } finally {
    await client.end()
  }
}
