import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { testDatabase } from '../../../test/support/database.ts'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { systemClock } from '../src/domain/random.ts'
import type { AuditRecord } from '../src/domain/records.ts'
import { OutcomeUnknown } from '../src/domain/store.ts'
import { auditEvents } from '../src/store/audit-events.ts'
import { Postgres } from '../src/store/postgres/postgres.ts'
import { type Database, dynamic, recordEvent, recordEvents, type Step, sqlFor } from '../src/store/query.ts'
import { Sqlite } from '../src/store/sqlite/sqlite.ts'

/** Tests of `onCommitted`: which audit events a database reports, and when. */

let postgres: PostgresCluster
before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } })
})
after(() => postgres[Symbol.asyncDispose]())

interface Opened extends AsyncDisposable {
  db: Database
  warnings: string[]
  /** Runs SQL on another connection. */
  other(text: string): Promise<Record<string, unknown>[]>
}

async function onSqlite(): Promise<Opened> {
  const database = testDatabase()
  const warnings: string[] = []
  const db = new Sqlite(database.path, systemClock, { warn: message => warnings.push(message) })
  await db.migrate()
  const connection = database.open()
  return {
    db,
    warnings,
    other: async text => {
      if (/^select/.test(text)) return connection.prepare(text).all() as Record<string, unknown>[]
      connection.exec(text)
      return []
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      connection.close()
      database[Symbol.dispose]()
    },
  }
}

async function onPostgres(): Promise<Opened> {
  const url = await postgres.createDatabase()
  const warnings: string[] = []
  const db = await Postgres.open(url, { warn: message => warnings.push(message) })
  await db.migrate()
  return {
    db,
    warnings,
    other: text => postgres.query(text, [], new URL(url).pathname.slice(1)),
    [Symbol.asyncDispose]: () => db.close(),
  }
}

const event = (action = 'test.event'): AuditRecord => ({
  id: `evt_${randomBytes(12).toString('hex')}`,
  at: 1,
  action,
  outcome: 'done',
  code: null,
  principal_type: 'client',
  principal_id: 'client_1',
  actor_sub: null,
  actor_token_id: null,
  session_id: null,
  user_id: null,
  target_id: null,
  trace_id: '',
  event: '{}',
  personal: '{}',
  leaf_hash: 'x',
})

/** Inserts a row into a table that has no other purpose here. */
const insertRow = (subject: string): Step => ({
  query: dynamic(
    sqlFor.insertInto('cutoffs').values({ scope: 'user', subject, at: 1, applied_at: 1 }).returning('subject'),
  ),
  required: true,
})

/** Matches no row, so the transition is refused. */
const matchNothing: Step = {
  query: dynamic(sqlFor.updateTable('cutoffs').set({ at: 2 }).where('subject', '=', 'nobody').returning('subject')),
  required: true,
}

/** Collects the ids of reported events, one list per call. */
function reportsOf(db: Database): string[][] {
  const reports: string[][] = []
  db.onCommitted(events => reports.push(events.map(({ id }) => id)))
  return reports
}

const storedIds = async ({ other }: Opened) =>
  (await other('select id from audit_events order by seq')).map(({ id }) => String(id))

for (const [on, open] of [
  ['SQLite', onSqlite],
  ['PostgreSQL', onPostgres],
] as const) {
  describe(`committed events on ${on}`, () => {
    it('are reported once, in the order of the commits, after the commit and before the answer', async () => {
      await using opened = await open()
      const { db, other } = opened
      const order: string[] = []
      const visible: Promise<unknown[]>[] = []
      db.onCommitted(events => {
        for (const { id } of events) {
          order.push(id)
          visible.push(other(`select id from audit_events where id = '${id}'`))
        }
      })
      for (let i = 0; i < 5; i++) {
        const [one, two, three] = [event(), event(), event()]
        await db.transition(insertRow(`one statement ${i}`), recordEvent(one))
        order.push(`answered ${one.id}`)
        // Two inserts into one table run one by one.
        await db.transition(insertRow(`several ${i}`), recordEvent(two), recordEvent(three))
        order.push(`answered ${three.id}`)
      }
      const ids = await storedIds(opened)
      assert.equal(ids.length, 15)
      const expected = ids.flatMap((id, i) => (i % 3 === 1 ? [id] : [id, `answered ${id}`]))
      assert.deepEqual(order, expected)
      for (const found of visible) assert.equal((await found).length, 1, 'another connection sees the event')
    })

    it('are all reported if many transitions run at the same time', async () => {
      await using opened = await open()
      const reports = reportsOf(opened.db)
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => opened.db.transition(insertRow(String(i)), recordEvent(event()))),
      )
      const ids = await storedIds(opened)
      assert.equal(ids.length, 100)
      if (on === 'SQLite') assert.deepEqual(reports, [ids], 'one commit, one report, in the order of the log')
      else assert.deepEqual(reports.flat().sort(), ids.sort())
    })

    it('are those of the rows that the transition found, if the events depend on them', async () => {
      await using opened = await open()
      const reports = reportsOf(opened.db)
      await Promise.all(['a', 'b', 'c'].map(subject => opened.db.transition(insertRow(subject))))
      assert.deepEqual(reports, [], 'a transaction without events is not reported')
      const made: AuditRecord[] = []
      await opened.db.transition({
        query: dynamic(sqlFor.deleteFrom('cutoffs').where('subject', 'in', ['a', 'b', 'x']).returning('subject')),
        next: rows =>
          recordEvents(
            rows.map(() => {
              const each = event()
              made.push(each)
              return each
            }),
          ),
      })
      assert.equal(made.length, 2)
      assert.deepEqual(reports, [made.map(({ id }) => id)])
    })

    it('do not include a transition that was refused, failed or undone', async () => {
      await using opened = await open()
      const { db } = opened
      const reports = reportsOf(db)
      await db.transition(insertRow('taken'))
      const good = [event(), event()]
      const broken = () => {
        throw new Error('a bug between two steps')
      }
      const results = await Promise.allSettled([
        db.transition(insertRow('first'), recordEvent(good[0] as AuditRecord)),
        db.transition(matchNothing, recordEvent(event())),
        db.transition(recordEvent(event()), matchNothing),
        db.transition(insertRow('taken'), recordEvent(event())),
        db.transition(recordEvent(event()), insertRow('taken')),
        db.transition({ ...insertRow('new'), next: broken }, recordEvent(event())),
        db.transition(recordEvent(event()), { ...insertRow('other'), next: broken }),
        db.transition(insertRow('last'), recordEvent(good[1] as AuditRecord)),
      ])
      assert.deepEqual(
        results.map(result => (result.status === 'fulfilled' ? result.value !== undefined : 'failed')),
        [true, false, false, 'failed', 'failed', 'failed', 'failed', true],
      )
      const ids = good.map(({ id }) => id)
      assert.deepEqual(reports.flat().sort(), [...ids].sort())
      assert.deepEqual((await storedIds(opened)).sort(), [...ids].sort())
    })

    it('include a refusal only if it was stored', async () => {
      await using opened = await open()
      const reports = reportsOf(opened.db)
      const { appendRefusal } = auditEvents(opened.db)
      const refusals = Array.from({ length: 4 }, () => ({ ...event(), outcome: 'refused' as const }))
      const stored: boolean[] = []
      for (const refusal of refusals) stored.push(await appendRefusal(refusal, { most: 2, since: 0 }))
      assert.deepEqual(stored, [true, true, false, false])
      assert.deepEqual(
        reports,
        refusals.slice(0, 2).map(({ id }) => [id]),
      )
    })

    it('a listener that throws changes nothing, and the operator gets a warning', async () => {
      await using opened = await open()
      const { db, warnings } = opened
      db.onCommitted(() => {
        throw new Error('the listener is broken')
      })
      const reports = reportsOf(db)
      const revoked: string[] = []
      db.onRevocation(() => revoked.push('called'))
      const [one, two] = [event(), event()]
      assert.deepEqual(await db.transition(insertRow('one'), recordEvent(one)), [{ subject: 'one' }])
      await db.transition(insertRow('two'), recordEvent(two))
      assert.deepEqual(reports, [[one.id], [two.id]])
      assert.deepEqual(await storedIds(opened), [one.id, two.id])
      assert.equal(warnings.length, 2)
      assert.match(warnings[0] ?? '', /the listener is broken/)
      if (on === 'SQLite') assert.equal(revoked.length, 2)
    })

    it('are not reported to a listener that was removed', async () => {
      await using opened = await open()
      let calls = 0
      const stop = opened.db.onCommitted(() => calls++)
      await opened.db.transition(recordEvent(event()))
      stop()
      await opened.db.transition(recordEvent(event()))
      assert.equal(calls, 1)
    })
  })
}

describe('committed events on SQLite, if the commit fails', () => {
  it('are not reported, and those of the next commit are', async () => {
    await using opened = await onSqlite()
    const { db, other } = opened
    await other(
      'create table item (id integer primary key, parent integer references item (id) deferrable initially deferred)',
    )
    const reports = reportsOf(db)
    // SQLite notices the missing parent only at the commit.
    const orphan: Step = { query: dynamic(sql`insert into item (id, parent) values (1, 99)`) }
    const failed = [db.transition(recordEvent(event())), db.transition(orphan, recordEvent(event()))]
    const results = await Promise.allSettled(failed)
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    const good = event()
    await db.transition(recordEvent(good))
    assert.deepEqual(reports, [[good.id]])
    assert.deepEqual(await storedIds(opened), [good.id])
  })
})

describe('committed events on PostgreSQL', () => {
  it('are reported once for a transition that was retried', async () => {
    await using opened = await onPostgres()
    const { db, other } = opened
    await other('create sequence attempts')
    await other(`create function fail() returns trigger language plpgsql as $$ begin
      if nextval('attempts') in (1, 2, 4) then raise exception 'made up' using errcode = '40001'; end if;
      return new; end $$`)
    await other('create trigger fail before insert on cutoffs for each row execute function fail()')
    const reports = reportsOf(db)
    const [one, two, three] = [event(), event(), event()]
    await db.transition(insertRow('one statement'), recordEvent(one))
    await db.transition(recordEvent(two), insertRow('one by one'), recordEvent(three))
    assert.deepEqual(reports, [[one.id], [two.id, three.id]])
  })

  it('are not reported if the connection is lost at the commit', async () => {
    await using opened = await onPostgres()
    const { db, other } = opened
    await other(`create function end_connection() returns trigger language plpgsql as $$ begin
      perform pg_terminate_backend(pg_backend_pid()); return null; end $$`)
    await other(`create constraint trigger end_connection after insert on cutoffs deferrable initially deferred
      for each row execute function end_connection()`)
    const reports = reportsOf(db)
    await assert.rejects(db.transition(insertRow('one statement'), recordEvent(event())), OutcomeUnknown)
    await assert.rejects(
      db.transition(recordEvent(event()), insertRow('one by one'), recordEvent(event())),
      OutcomeUnknown,
    )
    const good = event()
    await db.transition(recordEvent(good))
    assert.deepEqual(reports, [[good.id]])
  })
})
