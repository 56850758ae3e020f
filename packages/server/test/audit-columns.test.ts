import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import { type AuditEventBody, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { leafHashHex } from '../src/domain/audit/event.ts'
import { changedColumns } from '../src/domain/audit/facts.ts'
import type { AuditRow } from '../src/domain/records.ts'

/** Every column of an event, with a value that someone with write access to the database could give it. */
const FORGED: Record<string, string | number | null> = {
  id: `evt_${'1'.repeat(27)}`,
  at: 1,
  action: 'nothing.happened',
  outcome: 'refused',
  code: 'resource_not_found',
  principal_type: 'operator',
  principal_id: 'opr_somebody_else',
  actor_sub: 'somebody_else',
  actor_token_id: 'act_other',
  session_id: 'sess_other',
  user_id: 'user_other',
  target_id: 'key_other',
  trace_id: '0'.repeat(32),
  leaf_hash: '0'.repeat(64),
  personal: '{"actor":null,"address":null,"reason":"forged","salt":"x","user_agent":null}',
}

const one = (events: AuditEventBody[], seq: number) => events.find(event => event.seq === seq)

/** Everything that shows events: the list, an export, and one event by its id. */
async function shown(server: TestServer, { seq, id }: { seq: number; id: string }) {
  const exported = (await server.call('GET', '/v1/audit_events/export?format=jsonl')).text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as AuditEventBody)
  const read = await server.call('GET', `/v1/audit_events/${id}`)
  return { listed: one(await server.auditEvents(), seq), exported: one(exported, seq), read }
}

describe('an answer shows what was hashed, and not the columns', () => {
  for (const [column, value] of Object.entries(FORGED)) {
    it(`when someone with write access has changed ${column}`, async () => {
      using database = testDatabase()
      await using server = await testServer({ env: database.env })
      await server.createActorToken({ reason: 'Ticket 1' })
      const before = (await server.auditEvents()).find(event => event.action === 'actor_token.create')
      assert.ok(before)
      const { seq } = before
      const db = database.open()
      db.exec('drop trigger audit_events_no_update')
      db.prepare(`update audit_events set ${column} = ? where seq = ?`).run(value, seq)
      db.close()
      const [row] = database.rows<AuditRow>(`select * from audit_events where seq = ${seq}`)
      assert.ok(row)
      assert.deepEqual(changedColumns(row), [column], 'the check names the column')
      assert.equal(row.leaf_hash === leafHashHex(row.event), column !== 'leaf_hash')

      const { listed, exported, read } = await shown(server, before)
      const personal = { actor: null, reason: null, address: null, user_agent: null }
      const expected = column === 'personal' ? { ...before, ...personal } : before
      const stable = (event: AuditEventBody | undefined) => event && { ...event, leaf_index: null }
      assert.deepEqual(stable(listed), stable(expected))
      assert.deepEqual(stable(exported), stable(expected))
      // The columns find the event: by a forged one it is not found, but no other event is shown instead.
      if (column === 'id' || column === 'at') assert.equal(read.status, 404)
      else assert.deepEqual(stable(expectOk(read)), stable(expected))
      if (column === 'id') assert.equal((await server.call('GET', `/v1/audit_events/${value}`)).status, 404)
    })
  }

  it('and reads the events of earlier versions', () => {
    const event = JSON.stringify({ v: 1, id: 'evt_1', at: 5, action: 'a.b', ticket_id: 'act_1', principal: null })
    assert.deepEqual(
      changedColumns({ event, personal: null, actor_token_id: 'act_1' } as AuditRow).includes('actor_token_id'),
      false,
    )
    assert.deepEqual(changedColumns({ event: '{', personal: null } as AuditRow), ['event'])
  })
})
