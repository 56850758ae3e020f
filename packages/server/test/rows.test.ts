import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RawNode } from 'kysely'
import { z } from 'zod'
import { AGENTS, fillPostgres, fillSqlite } from '../../../bench/rows-fill.ts'
import { COMMAND } from '../../../test/support/command.ts'
import { testDatabase } from '../../../test/support/database.ts'
import { times } from '../../../test/support/deep.ts'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { bareEnv } from '../../../test/support/processes.ts'
import { promised } from '../../../test/support/time.ts'
import { bapi } from '../src/contract/bapi.ts'
import { USER_ORDERS } from '../src/contract/users.ts'
import { cursorOf } from '../src/domain/cursor.ts'
import type {
  ActingFilter,
  ActorFilter,
  ActorTokenFilter,
  AuditFilter,
  Page,
  SessionFilter,
} from '../src/domain/lists.ts'
import { ksuid, systemClock } from '../src/domain/random.ts'
import { listUsers } from '../src/domain/users.ts'
import { migrateDatabase } from '../src/server.ts'
import { acting, newsSince } from '../src/store/acting.ts'
import { actorTokens } from '../src/store/actor-tokens.ts'
import { actors, unknown } from '../src/store/actors.ts'
import { auditEvents, countsSince, findEvent, refusedRequests } from '../src/store/audit-events.ts'
import { groups } from '../src/store/groups.ts'
import { jwtTemplates } from '../src/store/jwt-templates.ts'
import { operatorSessions } from '../src/store/operator-sessions.ts'
import { operators } from '../src/store/operators.ts'
import { policies } from '../src/store/policies.ts'
import { Postgres } from '../src/store/postgres/postgres.ts'
import { purgeQueries } from '../src/store/purge.ts'
import type { BoundQuery, Database } from '../src/store/query.ts'
import { due } from '../src/store/reevaluation.ts'
import { revocations } from '../src/store/revocations.ts'
import { secretKeys } from '../src/store/secret-keys.ts'
import { sessions } from '../src/store/sessions.ts'
import { Sqlite } from '../src/store/sqlite/sqlite.ts'
import { users } from '../src/store/users.ts'

/** Tests with many rows: query plans of lists, how a purge finds its rows, and what a killed purge leaves. */

/** Enough that PostgreSQL prefers an index for lists of half of all rows. */
const ROWS = 50_000
const DAY = 86_400_000
/** Half of the users get a value in every column that lists can be ordered by. */
const ORDERED = `update users set first_name = external_id, last_name = external_id, username = external_id,
  last_active_at = created_at, last_sign_in_at = created_at, first_phone_number = external_id
  where substr(external_id, length(external_id)) in ('1', '3', '5', '7', '9')`

let postgres: PostgresCluster
before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } })
})
after(() => postgres[Symbol.asyncDispose]())

interface Filled extends AsyncDisposable {
  url: string
  db: Database
  count(what: string): Promise<number>
}

async function filledSqlite(): Promise<Filled> {
  const database = testDatabase()
  const url = `sqlite:${database.path}`
  await migrateDatabase(url)
  fillSqlite(database.path, ROWS)
  const filling = database.open()
  filling.exec(`${ORDERED}; analyze`)
  filling.close()
  const db = new Sqlite(database.path, systemClock)
  return {
    url,
    db,
    count: async what => database.rows<{ n: number }>(`select count(*) as n from ${what}`)[0]?.n ?? Number.NaN,
    async [Symbol.asyncDispose]() {
      await db.close()
      database[Symbol.dispose]()
    },
  }
}

async function filledPostgres(): Promise<Filled> {
  const url = await postgres.createDatabase()
  const name = new URL(url).pathname.slice(1)
  await migrateDatabase(url)
  await fillPostgres(postgres, name, ROWS)
  await postgres.query(ORDERED, [], name)
  await postgres.query('vacuum analyze users', [], name)
  const db = await Postgres.open(url)
  return {
    url,
    db,
    count: async what => (await postgres.query(`select count(*)::int as n from ${what}`, [], name))[0].n,
    [Symbol.asyncDispose]: () => db.close(),
  }
}

/** Runs `explain` on a query. */
function explained<R>(db: Database, { node, args }: BoundQuery, explain: string): Promise<R[]> {
  // A query inside another one is written in brackets, which `explain` does not accept.
  const isSelect = node.kind === 'SelectQueryNode'
  const around = isSelect ? [`${explain} select * from `, ' as listed'] : [`${explain} `, '']
  return db.all<R>({ node: RawNode.create(around, [node as never]), args })
}

/** Returns the database's query plan as text. */
const planOf = async (db: Database, query: BoundQuery, explain: string) =>
  JSON.stringify(await explained(db, query, explain))

/** Returns a database that also lists the queries it runs. */
function recording(db: Database): { db: Database; queries: BoundQuery[] } {
  const queries: BoundQuery[] = []
  const recorded = <T extends BoundQuery>(query: T): T => {
    queries.push(query)
    return query
  }
  return {
    queries,
    db: Object.assign(Object.create(db), {
      usersWithText: db.usersWithText,
      isProtected: db.isProtected,
      get: <R>(query: BoundQuery<R>) => db.get(recorded(query)),
      all: <R>(query: BoundQuery<R>) => db.all(recorded(query)),
    }),
  }
}

type ListOperation = (typeof bapi)[number] & { query: z.ZodType }
type Read = (db: Database, input: never) => Promise<unknown>

/** Only the searches of operators are events. */
const NO_OPERATOR = { caller: { principal: { type: 'system', id: null } } }

/** How each list of the contract is read. */
const READS: Record<string, Read> = {
  GetActorTokenList: (db, input: ActorTokenFilter & Page) =>
    actorTokens(db).list({ ...input, kind: 'actor_token' }, input),
  GetSignInTokenList: (db, input: ActorTokenFilter & Page) =>
    actorTokens(db).list({ ...input, kind: 'sign_in_token' }, input),
  ListActing: (db, input: ActingFilter & Page) => acting(db).list(input, input),
  GetSessionList: (db, input: SessionFilter & Page) => sessions(db).list(input, input),
  GetAuditEventList: (db, input: AuditFilter & Page) => auditEvents(db).list(input, input),
  ExportAuditEvents: async (db, input: AuditFilter & Page) => {
    const events = auditEvents(db)
    const last_seq = await events.endOfRange(input, input, 10_000)
    await events.list({ ...input, counted: false, last_seq }, { ...input, limit: 200, offset: 0 })
  },
  GetRefusedRequestsList: (db, input: Page) => refusedRequests(db).list({ counted: true }, input),
  ListJWTTemplates: (db, input: Page) => jwtTemplates(db).list({ counted: true }, input),
  GetSecretKeyList: (db, input: Page) => secretKeys(db).list({ counted: true }, input),
  ListOperators: (db, input: Page) => operators(db).list({ counted: true }, input),
  ListOperatorSessions: (db, input: { operator_id?: string } & Page) =>
    operatorSessions(db).list({ ...input, counted: true }, input),
  ListActors: (db, input: ActorFilter & Page) => actors(db).list(input, input),
  ListTeams: (db, input: Page) => groups(db).list({ kind: 'team', counted: true }, input),
  ListTags: (db, input: Page) => groups(db).list({ kind: 'tag', counted: true }, input),
  ListPolicyVersions: (db, input: Page) => policies(db).list({ counted: true }, input),
  GetUserList: (db, input: never) => listUsers({ ...NO_OPERATOR, store: { users: users(db) } } as never, input),
}

const lists = bapi
  .filter((each): each is ListOperation => 'starting_after' in shapeOf(each))
  .map(operation => [operation.id, { operation, read: READS[operation.id] as Read }] as const)

function shapeOf({ query }: { query?: z.ZodType }): z.ZodRawShape {
  return query instanceof z.ZodObject ? query.shape : {}
}

const PAGING = ['format', 'limit', 'offset', 'paginated', 'starting_after', 'total_count', 'order_by']

/** Values for filters that are not any text, and for positions. */
const VALUES: Record<string, string[]> = {
  banned: ['true', 'false'],
  locked: ['true', 'false'],
  protected: ['true', 'false'],
  disabled: ['true', 'false'],
  before_seq: ['5000'],
  query: ['customer-5', 'zz', 'nobody has this'],
  outcome: ['done', 'refused'],
}
const POSITIONS: Record<string, string> = {
  ListOperators: `opr_${'5'.repeat(27)}`,
  ListOperatorSessions: `ops_${'5'.repeat(27)}`,
  ListActors: 'olivia',
  ListTeams: 'support',
  ListTags: 'vip',
  ListPolicyVersions: '5',
  GetActorTokenList: `act_${'5'.repeat(27)}`,
  GetSignInTokenList: `sit_${'5'.repeat(27)}`,
  ListActing: `sess_${'5'.repeat(27)}`,
  GetSessionList: `sess_${'5'.repeat(27)}`,
  ListJWTTemplates: `jtmp_${'5'.repeat(27)}`,
  GetSecretKeyList: `key_${'5'.repeat(27)}`,
  GetAuditEventList: '50000',
  ExportAuditEvents: '50000',
  GetRefusedRequestsList: cursorOf([0, '203.0.113.7', 'clerk_key_invalid']),
  GetUserList: cursorOf(['created_at', Date.now() - 50 * DAY, `user_${'5'.repeat(27)}`]),
}

/** Returns every filter alone, with each status or outcome, in each order, at the beginning and from a position. */
function requestsOf(operation: ListOperation): Record<string, string>[] {
  const shape = shapeOf(operation)
  const valuesOf = (name: string): string[] => {
    if (VALUES[name]) return VALUES[name]
    const schema = (shape[name] as z.ZodOptional<z.ZodType>).unwrap()
    if (schema instanceof z.ZodEnum) return schema.options as string[]
    if (/(_at_|^)(before|after|since)$/.test(name)) return [`${Date.now() - 50 * DAY}`, `${Date.now()}`, '1']
    return name === 'actor_sub' ? ['user_2Operator1'] : ['customer-5']
  }
  const one = (name: string) => valuesOf(name).map(value => ({ [name]: value }))
  const filters = Object.keys(shape).filter(name => !PAGING.includes(name))
  const statuses = filters.filter(name => name === 'status' || name === 'outcome').flatMap(one)
  const orders = 'order_by' in shape ? USER_ORDERS.flatMap(by => [by, `-${by}`]).map(order_by => ({ order_by })) : [{}]
  const alone = [{}, ...filters.flatMap(one)]
  const pairs = [{}, ...statuses].flatMap(status => alone.map(filter => ({ ...status, ...filter })))
  const position = { starting_after: POSITIONS[operation.id] ?? '' }
  return [
    ...orders.flatMap(order => pairs.map(pair => ({ ...order, ...pair }))),
    ...pairs.map(pair => ({ ...pair, ...position })),
    ...('offset' in shape ? [{ offset: '100' }] : []),
  ]
}

/** Some parameters of users can be repeated: they are lists. */
function parametersOf({ id }: ListOperation, request: Record<string, string>): Record<string, string | string[]> {
  const repeated = id === 'GetUserList' ? ['user_id', 'external_id', 'username', 'email_address', 'phone_number'] : []
  return Object.fromEntries(
    Object.entries(request).map(([name, value]) => [name, repeated.includes(name) ? [value] : value]),
  )
}

/** Fails if a query reads a table without an index, or reads many rows. */
async function assertSearch(db: Database, on: string, query: BoundQuery, what: string): Promise<void> {
  if (on === 'SQLite') {
    const plan = await planOf(db, query, 'explain query plan')
    for (const [, table = ''] of plan.matchAll(/"SCAN (\w+)\b(?!( EXISTS)? USING| VIRTUAL)/g))
      assert.ok(SUBQUERIES.has(table), `${what}: ${plan}`)
    return
  }
  const [row] = await explained<Explained>(db, query, 'explain (analyze, format json)')
  const plan = row?.['QUERY PLAN'][0].Plan as PlanNode
  const nodes = flat(plan)
  for (const node of nodes) {
    const read = rowsRead(node)
    assert.ok(read <= MAX_READ, `${what}: ${read} rows: ${JSON.stringify(plan)}`)
  }
}

interface Explained {
  'QUERY PLAN': [{ Plan: PlanNode }]
}

const rowsRead = (node: PlanNode) =>
  (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  Plans?: PlanNode[]
}

const flat = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flat)]

/** Names of sub-queries in plans of SQLite. */
const SUBQUERIES = new Set([
  'listed',
  'CONSTANT',
  'examined',
  'found',
  'each_field',
  'page',
  'part',
  'part_0',
  'part_1',
  'users',
])
/** The most rows that a part of a query may read: those that are counted, or examined. */
const MAX_READ = 10_001

const startPurge = (url: string, ...args: string[]) =>
  spawn(process.execPath, ['--disable-warning=ExperimentalWarning', COMMAND, 'purge', '--json', ...args], {
    env: { ...bareEnv, STAGEDOOR_DATABASE_URL: url, STAGEDOOR_MASTER_KEY: masterKey },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
const masterKey = randomBytes(32).toString('base64')

/** Runs `stagedoor purge`. @returns what it printed */
async function purge(url: string, ...args: string[]): Promise<Record<string, number>> {
  const child = startPurge(url, ...args)
  let text = ''
  child.stdout.on('data', chunk => {
    text += chunk
  })
  const code = await new Promise(resolve => child.once('close', resolve))
  assert.equal(code, 0, text)
  return JSON.parse(text)
}

for (const [on, filled, explain] of [
  ['SQLite', filledSqlite, 'explain query plan'],
  ['PostgreSQL', filledPostgres, 'explain'],
] as const) {
  describe(`${ROWS} rows on ${on}`, { concurrency: false }, () => {
    let there: Filled
    before(async () => {
      there = await filled()
    })
    after(() => there[Symbol.asyncDispose]())

    for (const [name, list] of lists)
      it(`H13 ${name}: every filter, alone and with the status, from every position, is a search of an index`, async () => {
        let longest = { ms: 0, what: '' }
        for (const request of requestsOf(list.operation)) {
          const query = new URLSearchParams(request).toString()
          const { success, data, error } = list.operation.query.safeParse(parametersOf(list.operation, request))
          assert.ok(success, `${query}: ${error}`)
          const { queries, db } = recording(there.db)
          const began = process.cpuUsage()
          await list.read(db, { ...(data as object), counted: true } as never)
          const { user, system } = process.cpuUsage(began)
          if ((user + system) / 1_000 > longest.ms) longest = { ms: (user + system) / 1_000, what: query }
          assert.ok(queries.length > 0)
          for (const each of queries) await assertSearch(there.db, on, each, `${name}?${query}`)
        }
        assert.ok(longest.ms < promised(100), `${longest.what}: ${longest.ms} ms of CPU`)
      })

    it('unknown actors are found by indexes, among few rows', async () => {
      const since = Date.now() - 30 * DAY
      await assertSearch(there.db, on, unknown({ since }), 'unknown actors')
      const began = process.cpuUsage()
      await actors(there.db).unknown(since)
      const { user, system } = process.cpuUsage(began)
      assert.ok((user + system) / 1_000 < promised(100))
    })

    it('one audit event is found by its time, without an index by id', async () => {
      const query = findEvent({ id: `evt_${'5'.repeat(27)}`, at: Date.now() - 50 * DAY })
      await assertSearch(there.db, on, query, 'one audit event')
    })

    it('events of the last hour are counted by ranges of indexes', async () => {
      const query = countsSince(Date.now() - 3_600_000)
      const plan = await planOf(there.db, query, explain)
      for (const index of ['audit_events_by_action', 'audit_events_by_time']) assert.ok(plan.includes(index), plan)
      await assertSearch(there.db, on, query, 'counts per minute')
    })

    it('what began and changed lately is found by indexes, once per second', async () => {
      const since = Date.now() - 10_000
      const query = newsSince({ since, since_id: `sess_${ksuid(since, Buffer.alloc(16))}` })
      await assertSearch(there.db, on, query, 'news of acting sessions')
      const plan = await planOf(there.db, query, explain)
      for (const index of ['sessions_acting', 'users_updated_at', 'actors_updated_at'])
        assert.ok(plan.includes(index) || (on === 'PostgreSQL' && index === 'actors_updated_at'), `${index}: ${plan}`)
    })

    it('sessions to decide about are found without reading the others, four times per second', async () => {
      for (const query of due.map(find => find({ limit: 100 }))) {
        const plan = await planOf(there.db, query, explain)
        assert.match(plan, /sessions_by_decided_(policy|until)\b/, plan)
        if (on === 'PostgreSQL') {
          const [row] = await explained<Explained>(there.db, query, 'explain (analyze, format json)')
          for (const node of flat(row?.['QUERY PLAN'][0].Plan as PlanNode)) assert.ok(rowsRead(node) <= 1, plan)
        }
      }
    })

    it('a kill switch finds what it ends by its actor or user', async () => {
      const queries: BoundQuery[] = []
      const transition = async (first: { query: BoundQuery }) => void queries.push(first.query)
      const { applyCutoff } = revocations(Object.assign(Object.create(there.db), { transition }))
      for (const [scope, subject, index] of [
        ['actor', AGENTS[0], 'by_actor'],
        ['user', 'user_1', 'by_user'],
      ] as const) {
        const none = { actorToken: () => assert.fail(), session: () => assert.fail() }
        // Few of very many: PostgreSQL would expect to find them soon among all.
        await applyCutoff({ scope, subject, at: Date.now() } as never, 1, none)
        for (const query of queries.splice(0)) assert.match(await planOf(there.db, query, explain), new RegExp(index))
      }
    })

    it('the purge finds its next rows by an index, for many rows and for few', async () => {
      for (const days of [91, 114]) {
        const over = { keep: days * DAY, until: Number.MAX_SAFE_INTEGER, limit: 25 }
        for (const [query, index] of [
          [purgeQueries.deleteSessions(over), 'sessions_ended'],
          [purgeQueries.deleteActorTokens(over), 'actor_tokens_unused'],
        ] as const) {
          const plan = await planOf(there.db, query as BoundQuery, explain)
          assert.match(plan, new RegExp(`using (covering )?index ${index}|Index (Only )?Scan using ${index}`, 'i'))
          // One bound of the index, and primary keys for everything else; nothing is sorted.
          assert.match(plan, /\((expire_at|expires_at)<\?\)|Index Cond: \((expire_at|expires_at) <= \$?\(?\w/, plan)
          assert.doesNotMatch(plan, /Seq Scan|-> {2}Sort|"SCAN (?!CONSTANT)|TEMP B-TREE/, plan)
        }
      }
    })

    it('a killed purge loses nothing and can be continued; two concurrent purges delete each row once', {
      timeout: 300_000,
    }, async () => {
      const date = new Date(Date.now() - 114 * DAY).toISOString()
      const live = "sessions where status = 'active'"
      const [alive, events] = [await there.count(live), await there.count('audit_events')]
      const first = await purge(there.url, '--before', date, '--dry-run')
      assert.ok((first.sessions ?? 0) > 200 && (first.actor_tokens ?? 0) > 200, JSON.stringify(first))
      const has = async (what: string) => assert.equal(await there.count(what), 0, what)
      const whole = async () => {
        await has('sessions s where not exists (select 1 from clients c where c.id = s.client_id)')
        await has(
          'sessions s where actor_token_id is not null and not exists (select 1 from actor_tokens t where t.id = s.actor_token_id)',
        )
        await has(
          'actor_tokens t where session_id is not null and not exists (select 1 from sessions s where s.id = t.session_id)',
        )
        await has('clients c where not exists (select 1 from sessions s where s.client_id = c.id)')
        assert.deepEqual([await there.count(live), await there.count('audit_events')], [alive, events])
      }
      const sessions = await there.count('sessions')
      for (let kill = 0; kill < times(1, 20); kill++) {
        const child = startPurge(there.url, '--before', date)
        const ended = new Promise(resolve => child.once('close', resolve))
        const before = await there.count('sessions')
        while ((await there.count('sessions')) === before && child.exitCode === null) await sleep(50)
        child.kill('SIGKILL')
        await ended
        await whole()
      }
      const killed = sessions - (await there.count('sessions'))
      assert.ok(killed > 0, 'the purge had begun')
      const both = await Promise.all([purge(there.url, '--before', date), purge(there.url, '--before', date)])
      await whole()
      const deleted = both.reduce((sum, it) => sum + (it.sessions ?? 0), killed)
      assert.equal(deleted, first.sessions)
    })
  })
}
