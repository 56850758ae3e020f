import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { type TestDatabase, testDatabase } from '../../../test/support/database.ts'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { loadConfig } from '../src/config.ts'
import { databaseChecks } from '../src/domain/audit/database-checks.ts'
import { leafHashHex } from '../src/domain/audit/event.ts'
import { acceptAuditLoss } from '../src/maintenance.ts'
import { createStagedoor } from '../src/server.ts'
import { Metrics } from '../src/telemetry/metrics.ts'

/** The threats of the audit log: someone with write access to the database, who can also drop its triggers. */

async function settled(server: TestServer): Promise<number> {
  const { auditLog, store } = server.stagedoor.services
  for (let i = 0; i < 40; i++) {
    server.clock.advance(1)
    await auditLog.tick()
    const state = await store.auditLog.state()
    if (auditLog.tampered !== undefined) return -1
    if (state?.newest_seq === state?.last_seq && state?.checkpoint_size === state?.size) return state?.size ?? 0
  }
  throw new Error('the log did not settle')
}

/** Changes a database as its owner can, who drops the triggers before and creates them again afterwards. */
function asOwner(database: TestDatabase, ...statements: string[]): void {
  const db = database.open()
  try {
    const triggers = db
      .prepare("select name, sql from sqlite_schema where type = 'trigger' and tbl_name like 'audit%'")
      .all() as { name: string; sql: string }[]
    for (const { name } of triggers) db.exec(`drop trigger ${name}`)
    for (const statement of statements) db.exec(statement)
    for (const { sql } of triggers) db.exec(sql)
  } finally {
    db.close()
  }
}

/** What a start of a server on this database says; undefined if it starts. */
async function startProblem(database: TestDatabase, server: TestServer): Promise<string | undefined> {
  const config = loadConfig({
    ...database.env,
    STAGEDOOR_MASTER_KEY: server.masterKey,
    STAGEDOOR_SIGNING_ALG: 'EdDSA',
    STAGEDOOR_ENVIRONMENT: 'development',
  })
  try {
    await (await createStagedoor(config, { clock: server.clock, log: pino({ level: 'silent' }) })).close(0)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

async function busy(server: TestServer): Promise<void> {
  for (let i = 0; i < 12; i++) await server.createUser()
  await settled(server)
}

describe('a log that was tampered with', () => {
  const changes: [what: string, statements: string[], says: RegExp][] = [
    [
      'T1 an event and its hash',
      [`update audit_events set event = replace(event, '"done"', '"x"'), leaf_hash = 'x' where seq = 5`],
      /root of the \d+ entries/,
    ],
    ['T2 a deleted event', ['delete from audit_events where seq = 5'], /entry 4 is gone/],
    [
      'swapped events',
      [
        'update audit_events set seq = 1000 where seq = 5',
        'update audit_events set seq = 5 where seq = 6',
        'update audit_events set seq = 6 where seq = 1000',
      ],
      /root of the/,
    ],
    ['a deleted run', ['delete from audit_runs'], /entries 0\.\.\d+ are gone/],
    ['another root', [`update audit_tree set root = '${'0'.repeat(64)}'`], /root/],
    [
      'T3 a tree that was rolled back',
      ['update audit_tree set size = 3, root = (select root from audit_checkpoints order by size limit 1)'],
      /root|gone/,
    ],
    [
      'a changed checkpoint',
      [
        `update audit_checkpoints set root = '${'0'.repeat(64)}' where size = (select max(size) from audit_checkpoints)`,
      ],
      /was changed, deleted, inserted or moved/,
    ],
    [
      'an event that is not in the log yet',
      [
        `insert into audit_events select null, id, at, action, outcome, code, principal_type, principal_id, actor_sub, actor_token_id, session_id, user_id, target_id, trace_id, event, personal, '${'0'.repeat(64)}' from audit_events where seq = 1`,
      ],
      /is not what was hashed/,
    ],
  ]
  for (const [what, statements, says] of changes) {
    it(`keeps a server from starting, and says why: ${what}`, async () => {
      using database = testDatabase()
      const server = await testServer({ env: database.env })
      await busy(server)
      await server.stagedoor.close(0)
      assert.equal(await startProblem(database, server), undefined)
      asOwner(database, ...statements)
      const problem = await startProblem(database, server)
      assert.match(problem ?? 'it started', says)
      assert.match(problem ?? '', /accept-loss/)
    })
  }

  it('is noticed by a running server, which signs nothing more', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const { auditLog, store } = server.stagedoor.services
    const metrics = new Metrics('1', store)
    metrics.watchAuditLog(() => auditLog.progress())
    const [before] = await store.auditLog.checkpoints(undefined, 1)
    asOwner(database, `update audit_tree set root = '${'1'.repeat(64)}'`)
    await server.createUser()
    assert.equal(await settled(server), -1)
    assert.match(auditLog.tampered ?? '', /another root than before/)
    const [after] = await store.auditLog.checkpoints(undefined, 1)
    assert.deepEqual(after, before)
    assert.match(await metrics.registry.metrics(), /^stagedoor_audit_tampered 1$/m)
    const { findings } = expectOk(await server.call('GET', '/v1/instance'))
    const finding = findings.find(({ check }: { check: string }) => check === 'audit log')
    assert.equal(finding?.result, 'fail')
    await server.createUser()
    assert.equal((await server.call('GET', '/v1/audit/checkpoint')).text, before?.note, 'the last checkpoint remains')
  })

  it('T3 a tree, its rows and its checkpoints that were rolled back together are noticed by a running node', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const size = await settled(server)
    await server.createUser()
    await settled(server)
    const [old] = (await server.stagedoor.services.store.auditLog.checkpoints(undefined, 100)).filter(
      checkpoint => checkpoint.size <= size,
    )
    assert.ok(old)
    asOwner(
      database,
      `delete from audit_checkpoints where size > ${old.size}`,
      `delete from audit_runs where first_index >= ${old.size}`,
      `delete from audit_events where seq > ${old.size}`,
      `update audit_tree set size = ${old.size}, root = '${old.root}', last_seq = ${old.size}`,
    )
    await server.createUser()
    assert.equal(await settled(server), -1)
    assert.match(server.stagedoor.services.auditLog.tampered ?? '', /rolled back/)
  })

  it('T4 an event at a number that is void never gets a position', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const { store } = server.stagedoor.services
    asOwner(database, 'update sqlite_sequence set seq = seq + 3')
    await server.createUser()
    await settled(server)
    await server.stagedoor.services.auditLog.tick()
    const state = await store.auditLog.state()
    assert.equal(state?.holes, '[]')
    asOwner(
      database,
      `insert into audit_events select ${(state?.last_seq ?? 0) - 2}, id, at, action, outcome, code, principal_type, principal_id, actor_sub, actor_token_id, session_id, user_id, target_id, trace_id, event, personal, leaf_hash from audit_events where seq = 1`,
    )
    await server.createUser()
    await settled(server)
    const outside = await store.auditLog.outside({ after: 0, up_to: 1e9 }, 10)
    assert.deepEqual(
      outside.map(({ seq }) => seq),
      [(state?.last_seq ?? 0) - 2],
    )
    const [finding, ...others] = await databaseChecks(store.auditLog).outside()
    assert.match(finding?.message ?? '', /^evt_\w+ is in the database, not in the log$/)
    assert.deepEqual(others, [])
  })

  it('T1 the check names the row and the column', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const { columns } = databaseChecks(server.stagedoor.services.store.auditLog)
    const entries = Array(10).fill('')
    assert.deepEqual(await columns(0, entries), [])
    asOwner(database, "update audit_events set user_id = 'user_other', action = 'x' where seq = 6")
    assert.deepEqual(
      (await columns(0, entries)).map(({ message }) => message),
      ['event 5: action is not what was hashed', 'event 5: user_id is not what was hashed'],
    )
  })

  it('continues under a new name after accept-loss', async () => {
    using database = testDatabase()
    const server = await testServer({ env: database.env })
    await busy(server)
    const { store } = server.stagedoor.services
    const [{ size: kept = 0 } = {}] = (await store.auditLog.checkpoints(undefined, 100)).slice(1)
    const before = await store.auditLog.state()
    await server.stagedoor.close(0)
    asOwner(
      database,
      `update audit_events set leaf_hash = leaf_hash || '', event = replace(event, '"done"', '"refused"') where seq = ${before?.size ?? 0}`,
    )
    assert.match((await startProblem(database, server)) ?? 'it started', /tampered/)
    const env = { ...database.env, STAGEDOOR_MASTER_KEY: server.masterKey, STAGEDOOR_SIGNING_ALG: 'EdDSA' }
    const config = loadConfig({ ...env, STAGEDOOR_ENVIRONMENT: 'development' })
    const by = { type: 'command_line', id: 'olivia' } as const
    await assert.rejects(acceptAuditLoss(config, by, { from: 10_000, reason: 'x' }), /Request invalid/)
    // The event itself is repaired, as far as its hash goes: otherwise it could not be added again.
    const [row] = database.rows<{ event: string }>(`select event from audit_events where seq = ${before?.size}`)
    asOwner(
      database,
      `update audit_events set leaf_hash = '${leafHashHex(row?.event ?? '')}' where seq = ${before?.size}`,
    )
    const { origin } = await acceptAuditLoss(config, by, { from: kept, reason: 'the disk was damaged' })
    assert.equal(origin, `${before?.origin}-2`)
    assert.equal(await startProblem(database, server), undefined)

    await using again = await testServer({ env })
    const size = await settled(again)
    const events = await again.auditEvents()
    assert.equal(size, events.length)
    const broken = events.find(event => event.action === 'audit.broken')
    assert.deepEqual(broken?.['details'], { origin: before?.origin, size: before?.size, root: before?.root, kept })
    assert.equal(broken?.reason, 'the disk was damaged')
    const note = (await again.call('GET', '/v1/audit/checkpoint')).text
    assert.ok(note.startsWith(`${origin}\n${size}\n`))
  })
})

describe('the triggers of the tree', () => {
  it('refuse every change but those of the sequencer', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const db = database.open()
    try {
      for (const sql of [
        'delete from audit_tree',
        'update audit_tree set size = size - 1',
        "update audit_tree set origin = 'x'",
        'update audit_tree set first = 1',
        'update audit_tree set first = 256',
        'delete from audit_runs',
        'update audit_runs set count = count + 1',
        'insert or replace into audit_runs select * from audit_runs limit 1',
        'delete from audit_checkpoints',
        "update audit_checkpoints set note = 'x'",
        'delete from audit_events where seq = 1',
      ])
        assert.throws(() => db.exec(sql), /never|only grows|are kept/, sql)
      db.exec("insert or replace into audit_tree values ('tree', 'x', 0, 'x', 0, '[]', 0)")
      db.exec("insert or replace into audit_checkpoints select size, 'x', at, 'x', '' from audit_checkpoints limit 1")
      assert.equal(db.prepare("select count(*) from audit_tree where origin = 'x'").pluck().get(), 0)
      assert.equal(db.prepare("select count(*) from audit_checkpoints where note = 'x'").pluck().get(), 0)
      db.exec("update audit_checkpoints set cosignatures = '— w AAAA' || char(10)")
    } finally {
      db.close()
    }
  })

  it('let old checkpoints go, except for the last one of each hour', async () => {
    await using server = await testServer()
    const { store } = server.stagedoor.services
    for (let i = 0; i < 5; i++) {
      await server.createUser()
      await settled(server)
    }
    assert.equal(await store.auditLog.thinCheckpoints(100), 0)
    server.clock.advance(3 * 86_400)
    await server.createUser()
    await settled(server)
    const before = await store.auditLog.checkpoints(undefined, 100)
    assert.equal(await store.auditLog.thinCheckpoints(100), before.length - 2)
    assert.equal((await store.auditLog.checkpoints(undefined, 100)).length, 2)
  })
})
