import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import { sql } from 'kysely'
import { testDatabase } from '../../../test/support/database.ts'
import { testServer } from '../../../test/support/server.ts'
import { systemClock } from '../src/domain/random.ts'
import { StoreUnavailable } from '../src/domain/store.ts'
import { dynamic, long } from '../src/store/query.ts'
import { Reader } from '../src/store/sqlite/reader.ts'
import { Sqlite } from '../src/store/sqlite/sqlite.ts'

/** A query that takes a few hundred ms. */
const SLOW =
  'with recursive n (i) as (select 1 union all select i + 1 from n where i < 1000000) select max(i) as i from n'

function served() {
  const database = testDatabase()
  const db = new Sqlite(database.path, systemClock, { serves: true })
  const other = database.open()
  other.exec('create table item (id integer primary key, name text) strict')
  other.close()
  return {
    db,
    add: (id: number, name: string | null) =>
      db.transition({ query: dynamic(sql`insert into item (id, name) values (${id}, ${name})`) }),
    async [Symbol.asyncDispose]() {
      await db.close()
      database[Symbol.dispose]()
    },
  }
}

describe('the thread that reads lists', () => {
  it('does not delay other requests', async () => {
    await using server = served()
    let finished = false
    const read = server.db.get<{ i: number }>(long(sql.raw(SLOW))).finally(() => {
      finished = true
    })
    let turns = 0
    for (; !finished; turns++) {
      await server.db.get(dynamic(sql`select 1`))
      await nextTurn()
    }
    assert.deepEqual(await read, { i: 1_000_000 })
    assert.ok(turns > 100, `${turns} other reads`)
  })

  it('reads what was committed before, with every type of value, in order', async () => {
    await using server = served()
    const names = Array.from({ length: 203 }, (_, i) => (i % 7 === 0 ? null : `naïve "${i}" \u2028 \u{1f600}`))
    for (const [id, name] of names.entries()) {
      await server.add(id, name)
      const read = await server.db.get<{ n: number }>(long(sql`select count(*) as n from item`))
      assert.equal(read?.n, id + 1)
    }
    const rows = await server.db.all(long(sql`select *, ${Number.MAX_SAFE_INTEGER} as most from item order by id desc`))
    const expected = names.map((name, id) => ({ id, name, most: Number.MAX_SAFE_INTEGER })).reverse()
    assert.deepEqual(rows, expected)
    assert.equal(await server.db.get(long(sql`select 1 from item where id < 0`)), undefined)
  })

  it('cannot write', async () => {
    await using server = served()
    const write = server.db.all(long(sql`insert into item (id, name) values (1, 'x') returning id`))
    await assert.rejects(write, StoreUnavailable)
    assert.deepEqual(await server.db.all(dynamic(sql`select * from item`)), [])
  })

  it('reports errors of SQLite as such, and answers the next query', async () => {
    await using server = served()
    await assert.rejects(server.db.all(long(sql`select * from nothing`)), BetterSqlite3.SqliteError)
    assert.deepEqual(await server.db.get(long(sql`select 1 as one`)), { one: 1 })
  })

  it('answers every read when the database is closed: with rows, or as unavailable', async () => {
    const server = served()
    const reads = Array.from({ length: 5 }, () => server.db.get(long(sql.raw(SLOW))))
    const settled = Promise.allSettled(reads)
    await nextTurn()
    await server.db.close()
    for (const outcome of await settled)
      if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof StoreUnavailable, outcome.reason)
    await assert.rejects(server.db.get(long(sql`select 1`)), StoreUnavailable)
  })

  it('starts again after it has ended', async () => {
    using database = testDatabase()
    new BetterSqlite3(database.path).exec('create table item (id integer primary key) strict').close()
    const reader = new Reader({ path: database.path, timeout: 1_000, mapped: 0 })
    const slow = assert.rejects(reader.read(SLOW, [], true), StoreUnavailable)
    await reader.close()
    await slow
    assert.deepEqual(await reader.read('select count(*) as n from item', [], true), [{ n: 0 }])
    await reader.close()
  })

  it('gives an error, and not silence, if the file cannot be opened', async () => {
    const reader = new Reader({ path: '/nowhere/stagedoor.db', timeout: 1_000, mapped: 0 })
    await assert.rejects(reader.read('select 1', [], true), /the reading thread ended: .*directory does not exist/)
    await reader.close()
  })

  it('serves lists of a server while a write waits in the same turn', async () => {
    await using server = await testServer({ realTime: true })
    const users = await Promise.all(Array.from({ length: 60 }, () => server.createUser()))
    const [list, created] = await Promise.all([
      server.call('GET', '/v1/users?limit=500&paginated=true'),
      server.call('POST', '/v1/users', {}),
    ])
    assert.equal(created.status, 200)
    assert.ok([60, 61].includes(list.body.total_count))
    const listed = list.body.data.map(({ id }: { id: string }) => id)
    for (const { id } of users) assert.ok(listed.includes(id))
  })
})
