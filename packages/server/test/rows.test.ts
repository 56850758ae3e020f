import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { RawNode, sql } from 'kysely'
import { fillPostgres, fillSqlite } from '../../../bench/rows-fill.ts'
import { testDatabase } from '../../../test/support/database.ts'
import { times } from '../../../test/support/deep.ts'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { bareEnv } from '../../../test/support/processes.ts'
import { promised } from '../../../test/support/time.ts'
import { USER_ORDERS } from '../src/contract/users.ts'
import { systemClock } from '../src/domain/random.ts'
import { migrateDatabase } from '../src/server.ts'
import { listQueries } from '../src/store/lists.ts'
import { Postgres } from '../src/store/postgres/postgres.ts'
import { purgeQueries } from '../src/store/purge.ts'
import { type BoundQuery, type Database, dynamic } from '../src/store/query.ts'
import { Sqlite } from '../src/store/sqlite/sqlite.ts'
import { columnOf, userRows } from '../src/store/user-lists.ts'

/** Tests with many rows: query plans of lists, how a purge finds its rows, and what a killed purge leaves. */

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const ROWS = 100_000
const DAY = 86_400_000
const ALWAYS_SET: ReadonlySet<string> = new Set(['created_at', 'updated_at'])
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

/** Returns the database's query plan as text. */
async function planOf(db: Database, query: BoundQuery, explain: string): Promise<string> {
  const node = RawNode.create([`${explain} `, ''], [query.node as never])
  return JSON.stringify(await db.all({ node, args: query.args }))
}

const startPurge = (url: string, ...args: string[]) =>
  spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'purge', '--json', ...args], {
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

    it('H13 are listed by status without a full scan', async () => {
      for (const [table, statuses, equal, position] of [
        ['actor_tokens', [undefined, 'pending', 'accepted', 'revoked'], { kind: 'actor_token' }, 'act_'],
        [
          'sessions',
          [undefined, 'active', 'expired', 'abandoned', 'revoked', 'ended', 'removed', 'replaced'],
          {},
          'sess_',
        ],
      ] as const) {
        const positions = [undefined, position + '5'.repeat(27)]
        for (const [status, starting_after] of statuses.flatMap(each => positions.map(from => [each, from] as const))) {
          const page = { limit: 20, offset: 0, starting_after }
          const { rows } = listQueries(table, { ...page, status }, equal)
          // PostgreSQL reports what it executed: it may never execute some parts of a plan.
          const run = on === 'SQLite' ? explain : 'explain analyze'
          const plan = await planOf(there.db, dynamic(sql`select * from ${rows} as listed`), run)
          const through = /Seq Scan on (sessions|actor_tokens)[^"]*\(actual|SCAN (sessions|actor_tokens)(?! USING)/
          assert.doesNotMatch(plan, through, `${status}: ${plan}`)
          for (const [, sorted] of plan.matchAll(/Sort {2}[^"]*\(actual [^"]* rows=(\d+)/g))
            assert.ok(Number(sorted) <= 2 * page.limit, `${status}: ${plan}`)
          // PostgreSQL has statistics, and may use the primary key if many rows match.
          if (status !== undefined && on === 'SQLite') assert.match(plan, new RegExp(`${table}_status`), plan)
          const began = performance.now()
          await there.db.all(dynamic(rows))
          assert.ok(performance.now() - began < promised(1_000), `${table}, ${status}`)
        }
      }
    })

    it('H13 users are listed in every order, from any position, without a full scan', async () => {
      const page = { limit: 20, offset: 0 }
      const id = `user_${'5'.repeat(27)}`
      for (const by of USER_ORDERS) {
        const value = by.endsWith('_at') ? Date.now() - 50 * DAY : by === 'phone_number' ? '+1555' : 'customer-5'
        for (const descending of [true, false]) {
          const positions = [undefined, { value, id }, ...(ALWAYS_SET.has(by) ? [] : [{ value: null, id }])]
          for (const after of positions) {
            const what = `${by} ${descending ? 'desc' : 'asc'} after ${JSON.stringify(after)}`
            const rows = userRows({}, { ...page, order: { by, descending }, after })
            const run = on === 'SQLite' ? explain : 'explain analyze'
            const plan = await planOf(there.db, dynamic(sql`select * from ${rows} as listed`), run)
            assert.doesNotMatch(plan, /Seq Scan on users[^"]*\(actual|SCAN users(?! USING)/, `${what}: ${plan}`)
            // Two ranges of an index are merged by sorting the rows of one page of each.
            for (const [, sorted] of plan.matchAll(/Sort {2}[^"]*\(actual [^"]* rows=(\d+)/g))
              assert.ok(Number(sorted) <= 2 * (page.limit + 1), `${what}: ${plan}`)
            for (const [, read] of plan.matchAll(/Scan[^"]* on users[^"]*\(actual [^"]* rows=(\d+)/g))
              assert.ok(Number(read) <= page.limit + 1, `${what}: ${plan}`)
            if (!plan.includes('UNION ALL')) assert.doesNotMatch(plan, /TEMP B-TREE/, `${what}: ${plan}`)
            if (on === 'SQLite') assert.match(plan, new RegExp(`users_${columnOf(by)}`), `${what}: ${plan}`)
          }
        }
      }
    })

    it('H13 sign-in tokens are listed without scanning the actor tokens', async () => {
      for (const status of [undefined, 'pending', 'accepted', 'revoked']) {
        for (const starting_after of [undefined, `sit_${'5'.repeat(27)}`]) {
          const { rows } = listQueries(
            'actor_tokens',
            { limit: 20, offset: 0, status, starting_after },
            { kind: 'sign_in_token' },
          )
          const plan = await planOf(there.db, dynamic(sql`select * from ${rows} as listed`), explain)
          assert.match(plan, /actor_tokens_sign_in/, plan)
        }
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
