import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sql } from 'kysely'
import { type TestDatabase, testDatabase } from '../../../test/support/database.ts'
import { times } from '../../../test/support/deep.ts'
import { testServer } from '../../../test/support/server.ts'
import { systemClock } from '../src/domain/random.ts'
import { StoreUnavailable } from '../src/domain/store.ts'
import { migrations } from '../src/store/migrations/index.ts'
import { dynamic, type Step, UniqueViolation } from '../src/store/query.ts'
import { Sqlite } from '../src/store/sqlite/sqlite.ts'
import { openStore } from '../src/store/store.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

/** A database with one extra table: `item (id, name unique, parent → item, checked at commit)`. */
function withItems(database: TestDatabase): Sqlite {
  const db = new Sqlite(database.path, systemClock)
  const other = database.open()
  other.exec(
    'create table item (id integer primary key, name text unique, parent integer references item (id) deferrable initially deferred, pad blob) strict',
  )
  other.close()
  return db
}

/** Numbers from 0 to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const add = (id: number, fields: { name?: string; parent?: number; pad?: number } = {}): Step => ({
  query: dynamic(
    sql`insert into item (id, name, parent, pad)
      values (${id}, ${fields.name ?? `item ${id}`}, ${fields.parent ?? null}, zeroblob(${fields.pad ?? 0}))`,
  ),
})
const ids = (database: TestDatabase) =>
  database.rows<{ id: number }>('select id from item order by id').map(row => row.id)
const outcomes = async (all: Promise<unknown>[]) => (await Promise.allSettled(all)).map(it => it.status)

describe('group commit', () => {
  it('commits everything from one turn of the event loop together, and answers after the commit', async () => {
    using database = testDatabase()
    const db = withItems(database)
    const all = Array.from({ length: 100 }, (_, i) => db.transition(add(i + 1)))
    assert.deepEqual(ids(database), [], 'nothing yet')
    await all[0]
    assert.equal(ids(database).length, 100, 'all are stored when the first is answered')
    await Promise.all(all)
    await db.close()
  })

  it('an item that fails does not affect the others', async () => {
    using database = testDatabase()
    const db = withItems(database)
    await db.transition(add(1, { name: 'taken' }))
    const all = [
      db.transition(add(2)),
      db.transition(add(3, { name: 'taken' })),
      db.transition(add(4)),
      db.transition(add(4)),
      db.transition(add(5)),
    ]
    assert.deepEqual(await outcomes(all), ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'])
    assert.deepEqual(ids(database), [1, 2, 4, 5])
    await assert.rejects(
      all[1] as Promise<unknown>,
      (error: unknown) => error instanceof UniqueViolation && error.columns === 'item.name',
    )
    await db.close()
  })

  it('an item of several steps is done completely or not at all', async () => {
    using database = testDatabase()
    const db = withItems(database)
    const nothing: Step = {
      query: dynamic(sql`update item set name = 'x' where id = 99 returning id`),
      required: true,
    }
    const all = [
      db.transition(add(1), add(2)),
      db.transition(add(3), add(1)),
      db.transition(add(4), nothing),
      db.transition({
        query: dynamic(sql`insert into item (id) values (5) returning id`),
        next: ([row]) => [add(Number((row as { id: number }).id) + 1), add(1)],
      }),
      db.transition({
        query: dynamic(sql`insert into item (id) values (7) returning id`),
        next: () => {
          throw new Error('a bug in between')
        },
      }),
      db.transition(add(8)),
    ]
    assert.deepEqual(await outcomes(all), ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'rejected', 'fulfilled'])
    assert.equal(await all[2], undefined, 'a required step that found no row')
    assert.deepEqual(ids(database), [1, 2, 8])
    await db.close()
  })

  it('any mix of writes that succeed, fail and change nothing has the result of running them one after the other', async () => {
    using database = testDatabase()
    const db = withItems(database)
    const reported: string[] = []
    db.onCommitted(events => reported.push(...events.map(event => event.id)))
    const random = seeded(20_261_127)
    const pick = (below: number) => Math.floor(random() * below)
    const stored = new Map<number, string>()
    const expected: string[] = []
    let failed = 0
    for (let batch = 0; batch < times(150, 3_000); batch++) {
      const writes = Array.from({ length: 1 + pick(12) }, (_, i) => {
        const steps = Array.from({ length: 1 + pick(3) }, () => ({ id: 1 + pick(400), name: `name ${pick(400)}` }))
        const mustFindNothing = pick(10) === 0
        // The same rules, in memory: a write counts completely or not at all.
        const after = new Map(stored)
        const fits = steps.every(({ id, name }) => {
          if (after.has(id) || [...after.values()].includes(name)) return false
          after.set(id, name)
          return true
        })
        const succeeds = fits && !mustFindNothing
        const event = `event ${batch} ${i}`
        if (succeeds) {
          for (const [id, name] of after) stored.set(id, name)
          expected.push(event)
        } else failed++
        const [first, ...more] = steps.map(({ id, name }) => add(id, { name }))
        const events = [{ id: event }] as unknown as NonNullable<Step['events']>
        const nothing: Step = { query: dynamic(sql`delete from item where id = -1 returning id`), required: true }
        const all = [{ ...(first as Step), events }, ...more, ...(mustFindNothing ? [nothing] : [])]
        const [begin, ...rest] = pick(2) === 0 ? all : [{ query: dynamic(sql`delete from item where id = -1`) }, ...all]
        return { fits, mustFindNothing, done: db.transition(begin as Step, ...rest) }
      })
      const results = await Promise.allSettled(writes.map(({ done }) => done))
      for (const [i, { fits, mustFindNothing }] of writes.entries()) {
        const result = results[i]
        assert.equal(result?.status, fits ? 'fulfilled' : 'rejected')
        if (result?.status === 'fulfilled') assert.equal(result.value === undefined, mustFindNothing)
      }
      if (stored.size > 250) {
        stored.clear()
        await db.transition({ query: dynamic(sql`delete from item`) })
      }
      if (batch % 25 === 0)
        assert.deepEqual(
          ids(database),
          [...stored.keys()].sort((a, b) => a - b),
        )
    }
    assert.ok(failed > 100 && expected.length > 100, `${failed} failed, ${expected.length} stored`)
    assert.deepEqual(reported, expected)
    await db.close()
  })

  it('a commit that fails fails its whole batch, and the next batch works', async () => {
    using database = testDatabase()
    const db = withItems(database)
    // SQLite notices the missing parent only at the commit.
    const all = [db.transition(add(1)), db.transition(add(2, { parent: 99 })), db.transition(add(3))]
    assert.deepEqual(await outcomes(all), ['rejected', 'rejected', 'rejected'])
    assert.deepEqual(ids(database), [])
    assert.deepEqual(await outcomes([db.transition(add(4)), db.transition(add(5, { parent: 4 }))]), [
      'fulfilled',
      'fulfilled',
    ])
    assert.deepEqual(ids(database), [4, 5])
    await db.close()
  })

  it('D10 on a full disk every acknowledged write is stored, and writing works again when there is room', async () => {
    using database = testDatabase()
    const db = withItems(database)
    const pages = (await db.get<{ page_count: number }>(dynamic(sql`pragma page_count`)))?.page_count ?? 0
    await db.all(dynamic(sql.raw(`pragma max_page_count = ${pages + 20}`)))
    const acknowledged: number[] = []
    let refused = 0
    for (let id = 1; id <= 60; id += 4) {
      const batch = [id, id + 1, id + 2, id + 3]
      const results = await Promise.allSettled(batch.map(it => db.transition(add(it, { pad: 3_000 }))))
      for (const [i, result] of results.entries()) {
        if (result.status === 'fulfilled') acknowledged.push(batch[i] as number)
        else {
          assert.ok(result.reason instanceof StoreUnavailable, String(result.reason))
          refused++
        }
      }
      assert.deepEqual(ids(database), acknowledged)
    }
    assert.ok(acknowledged.length > 0 && refused > 0, `${acknowledged.length} stored, ${refused} refused`)
    assert.equal((await db.all(dynamic(sql`select id from item`))).length, acknowledged.length, 'reads still work')
    await db.all(dynamic(sql`pragma max_page_count = 100000`))
    await db.transition(add(1_000, { pad: 100_000 }))
    assert.ok(ids(database).includes(1_000))
    assert.deepEqual(database.rows('pragma integrity_check'), [{ integrity_check: 'ok' }])
    await db.close()
  })

  it('D13 another process that holds the lock makes writes fail after a timeout, and reads still work', async () => {
    using database = testDatabase()
    const db = withItems(database)
    await db.transition(add(1))
    const other = database.open()
    other.exec('begin immediate')
    const from = performance.now()
    await assert.rejects(
      db.transition(add(2)),
      (error: unknown) => error instanceof StoreUnavailable && /SQLITE_BUSY/.test(error.message),
    )
    assert.ok(performance.now() - from > 1_500, 'the write waits for the lock first')
    assert.deepEqual(await db.all(dynamic(sql`select id from item`)), [{ id: 1 }])
    other.exec('rollback')
    other.close()
    await db.transition(add(3))
    assert.deepEqual(ids(database), [1, 3])
    await db.close()
  })

  it('accepts more writes than one batch holds, in order', async () => {
    using database = testDatabase()
    const db = withItems(database)
    const order: number[] = []
    await Promise.all(Array.from({ length: 1_500 }, (_, i) => db.transition(add(i + 1)).then(() => order.push(i + 1))))
    assert.deepEqual(
      order,
      Array.from({ length: 1_500 }, (_, i) => i + 1),
    )
    assert.equal(ids(database).length, 1_500)
    await db.close()
  })

  it('closing commits pending writes; after that no writes are accepted', async () => {
    using database = testDatabase()
    const db = withItems(database)
    const all = Array.from({ length: 1_000 }, (_, i) => db.transition(add(i + 1)))
    await db.close()
    assert.equal((await outcomes(all)).filter(it => it === 'fulfilled').length, 1_000)
    assert.equal(ids(database).length, 1_000)
    await assert.rejects(db.transition(add(2_000)), StoreUnavailable)
    await nextTurn()
    assert.equal(ids(database).length, 1_000)
  })
})

describe('durability', () => {
  it('D9 every commit is on disk before it is answered: WAL, synchronous FULL', async () => {
    using database = testDatabase()
    const db = withItems(database)
    const pragma = async (name: string) =>
      Object.values((await db.get<object>(dynamic(sql.raw(`pragma ${name}`)))) ?? {})[0]
    assert.deepEqual(
      [
        await pragma('journal_mode'),
        await pragma('synchronous'),
        await pragma('foreign_keys'),
        await pragma('trusted_schema'),
        await pragma('temp_store'),
      ],
      ['wal', 2, 1, 0, 2],
    )
    await db.close()
  })

  it('keeps acknowledged writes and revocations over a restart', async () => {
    using database = testDatabase()
    let signed: { session_id: string; cookie: string; ticket: string } = { session_id: '', cookie: '', ticket: '' }
    let alive = signed
    let revoked = { id: '', token: '' }
    {
      await using server = await testServer({ env: database.env })
      signed = await server.signIn()
      alive = await server.signIn()
      revoked = await server.createActorToken()
      await server.call('POST', `/v1/sessions/${signed.session_id}/revoke`)
      await server.call('POST', `/v1/actor_tokens/${revoked.id}/revoke`)
    }
    await using server = await testServer({ env: database.env })
    const mint = (of: typeof signed) =>
      server.post(`/v1/client/sessions/${of.session_id}/tokens`, {}, { cookie: of.cookie })
    assert.deepEqual([(await mint(signed)).status, (await mint(alive)).status], [401, 200])
    const redeem = (ticket: string) => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket })
    assert.deepEqual(
      [(await redeem(revoked.token)).codes, (await redeem(alive.ticket)).codes],
      [['actor_token_revoked_code'], ['actor_token_already_used_code']],
    )
  })
})

describe('migrations', () => {
  it('run once', async () => {
    using database = testDatabase()
    const db = new Sqlite(database.path, systemClock)
    assert.deepEqual(
      await db.migrate(),
      migrations.map(migration => migration.name),
    )
    assert.deepEqual(await db.migrate(), [])
    await db.close()
    const schema = database.rows('select * from sqlite_schema order by name')
    const again = new Sqlite(database.path, systemClock)
    assert.deepEqual(await again.migrate(), [])
    await again.close()
    assert.deepEqual(database.rows('select * from sqlite_schema order by name'), schema)
    assert.deepEqual(
      database.rows('select name from migrations'),
      migrations.map(({ name }) => ({ name })),
    )
  })

  it('D12 that are missing from their list are not run again: the file is reported as damaged', async () => {
    using database = testDatabase()
    await (await openStore(`sqlite:${database.path}`)).close()
    const other = database.open()
    other.exec("update migrations set name = '0002_jwt_temqlates' where name = '0002_jwt_templates'")
    other.close()
    await assert.rejects(
      openStore(`sqlite:${database.path}`),
      /its list of migrations .*already exists.*damaged: restore/,
    )
  })

  it('that fail half-way leave nothing behind', async () => {
    using database = testDatabase()
    const other = database.open()
    other.exec('create table refused_requests (mine text)')
    other.close()
    await assert.rejects(openStore(`sqlite:${database.path}`), /already exists/)
    const tables = database.rows<{ name: string }>(
      "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by name",
    )
    assert.deepEqual(
      tables.map(({ name }) => name),
      ['migrations', 'refused_requests'],
    )
    assert.deepEqual(database.rows('select * from migrations'), [])
  })

  it('D22 accept a database that the next version has added to', async () => {
    using database = testDatabase()
    await (await openStore(`sqlite:${database.path}`)).close()
    const other = database.open()
    other.exec(
      "insert into migrations values ('9998_of_the_future', datetime('now')); alter table actor_tokens add column colour text",
    )
    other.close()
    await using server = await testServer({ env: database.env })
    await server.signIn()
  })

  it('refuse a database from which a later version has removed something, and explain it', async () => {
    using database = testDatabase()
    await (await openStore(`sqlite:${database.path}`)).close()
    const other = database.open()
    other.exec("insert into migrations values ('9999_of_the_future_contract', datetime('now'))")
    other.close()
    await assert.rejects(
      openStore(`sqlite:${database.path}`),
      /later version of Stagedoor \(it has 9999_of_the_future_contract\)/,
    )
    await assert.rejects(testServer({ env: database.env }), /STAGEDOOR_DATABASE_URL.*later version of Stagedoor/)
  })

  it('D12 refuse a file that is no database', async () => {
    using database = testDatabase()
    writeFileSync(database.path, 'This is no database, but an ordinary text file.  '.repeat(100))
    const before = readFileSync(database.path)
    await assert.rejects(testServer({ env: database.env }), /STAGEDOOR_DATABASE_URL.*cannot be opened.*not a database/)
    assert.deepEqual(readFileSync(database.path), before)
  })
})

describe('a server whose database cannot be written', () => {
  it('answers 503 with Retry-After and states that nothing was changed', async () => {
    using database = testDatabase({ ...env })
    await using server = await testServer({ env: database.env })
    const { id: user_id } = await server.createUser()
    const { token, id } = await server.createActorToken({ user_id })
    const other = database.open()
    try {
      // Another process holds the write lock. As with a full or failing disk, no write is possible.
      other.exec('begin immediate')
      const create = await server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub: 'a' } })
      assert.deepEqual(
        [create.status, create.codes, create.headers.get('retry-after')],
        [503, ['service_unavailable'], '1'],
      )
      const redeem = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token })
      assert.deepEqual([redeem.status, redeem.headers.getSetCookie()], [503, []])
      assert.equal((await server.call('GET', `/v1/actor_tokens/${id}`)).body.status, 'pending')
    } finally {
      other.exec('rollback')
      other.close()
    }
    assert.equal((await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token })).status, 200)
    assert.equal((await server.call('GET', '/v1/actor_tokens')).body.length, 1)
  })
})
