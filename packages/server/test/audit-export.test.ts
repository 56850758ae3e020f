import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { parse } from 'csv-parse/sync'
import { expectOk, SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'
import { MAX_EXPORTED } from '../src/contract/audit.ts'
import { auditEvent } from '../src/domain/audit/event.ts'
import { timeOf } from '../src/domain/random.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const exported = (server: TestServer, query = '') => server.call('GET', `/v1/audit_events/export${query}`)
const linesOf = ({ text }: { text: string }) => text.split('\n').filter(Boolean)

/** Writes events directly: refusals and revocations of one actor. */
async function fill(server: TestServer, count: number): Promise<void> {
  const ctx = server.stagedoor.context({ type: 'system', id: null })
  for (let first = 0; first < count; first += 500)
    await Promise.all(
      Array.from({ length: Math.min(500, count - first) }, (_, i) =>
        ctx.store.audit.append(
          auditEvent(ctx, {
            action: 'test.event',
            about: { actor_sub: `a${(first + i) % 100}` },
            target_id: `${first + i}`,
          }),
        ),
      ),
    )
}

/** The sequencer may give an event its position between two requests. */
const placeless = (event: object) => ({ ...event, leaf_index: null })

describe('one audit event', () => {
  it('is found by its id, whose time finds it', async () => {
    await using server = await testServer({ env })
    await server.createActorToken()
    await server.call('POST', '/v1/actor_tokens', { user_id: 'user_nobody', actor: { sub: 'a' } })
    const events = await server.auditEvents({ limit: '50' })
    assert.ok(events.some(({ outcome }) => outcome === 'refused'))
    for (const event of events) {
      assert.equal(timeOf(event.id, 'evt'), event.at)
      assert.deepEqual(placeless(expectOk(await server.call('GET', `/v1/audit_events/${event.id}`))), placeless(event))
    }
    for (const id of [
      'evt_1',
      'nobody',
      `evt_${'0'.repeat(27)}`,
      `evt_${'z'.repeat(27)}`,
      `user_${events[0]?.id.slice(4)}`,
    ])
      assert.equal((await server.call('GET', `/v1/audit_events/${id}`)).status, 404, id)
  })
})

describe('the export of audit events', () => {
  it('has the filtered events of the list as JSON Lines', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    await server.signIn({ user_id, actor: { sub: 'x' } })
    await server.signIn({ actor: { sub: 'y' } })
    for (const filter of [
      '',
      'actor_sub=x',
      'action=actor_token.create',
      `user_id=${user_id}&outcome=done`,
      'principal_type=client',
    ]) {
      const answer = await exported(server, `?${filter}`)
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.headers.get('content-type'), 'application/x-ndjson')
      assert.equal(answer.headers.get('content-disposition'), 'attachment; filename="audit-events.jsonl"')
      const listed = expectOk(await server.call('GET', `/v1/audit_events?limit=500&paginated=true&${filter}`)).data
      assert.ok(listed.length > 0, filter)
      assert.deepEqual(
        linesOf(answer).map(line => placeless(JSON.parse(line))),
        listed.map(placeless),
        filter,
      )
    }
    const clients = expectOk(await server.call('GET', '/v1/audit_events?principal_type=client&paginated=true')).data
    assert.ok(clients.every(({ principal }: { principal: { type: string } }) => principal.type === 'client'))
    for (const wrong of ['format=xml', 'limit=5', 'principal_type=person', 'starting_after=x'])
      assert.equal((await exported(server, `?${wrong}`)).status, 422, wrong)
  })

  it('is CSV without formulas, whatever people write', async () => {
    await using server = await testServer({ env })
    const reasons = ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', 'said "no", then\nleft', 'plain', "'=1"]
    for (const reason of reasons)
      await server.createActorToken({ reason, actor: { sub: `=cmd|'/c calc'!A0${reason.length}` } })
    const answer = await exported(server, '?format=csv&action=actor_token.create')
    assert.equal(answer.headers.get('content-type'), 'text/csv; charset=utf-8')
    assert.ok(answer.text.endsWith('\r\n'))
    const rows: Record<string, string>[] = parse(answer.text, { columns: true })
    assert.equal(rows.length, reasons.length)
    for (const row of rows) for (const cell of Object.values(row)) assert.doesNotMatch(cell, /^[=+\-@\t\r\n]/)
    const shown = rows.map(({ reason }) => reason).reverse()
    assert.deepEqual(shown, [
      "'=1+1",
      "'+1",
      "'-1",
      "'@SUM(A1)",
      "'\t=1",
      "'\r=1",
      "'\n=1",
      'said "no", then\nleft',
      'plain',
      "'=1",
    ])
    assert.equal(rows[0]?.at, new Date(server.clock.now()).toISOString())
    assert.deepEqual(Object.keys(rows[0] ?? {}).slice(0, 5), ['seq', 'id', 'at', 'action', 'outcome'])
  })

  it('has every event once over several requests, also while new ones arrive', async () => {
    await using server = await testServer({ env, checkResponses: false })
    const count = 2 * MAX_EXPORTED + 500
    await fill(server, count)
    for (const [filter, expected] of [
      ['action=test.event', count],
      // No index covers the second filter.
      ['action=test.event&actor_sub=a7', count / 100],
      ['actor_sub=a7&principal_type=system', count / 100],
      ['action=test.event&principal_type=client', 0],
    ] as const) {
      const targets: string[] = []
      const sizes: number[] = []
      let cursor: string | null = null
      do {
        const answer = await exported(server, `?${filter}${cursor === null ? '' : `&starting_after=${cursor}`}`)
        const lines = linesOf(answer)
        sizes.push(lines.length)
        targets.push(...lines.map(line => JSON.parse(line).target_id))
        cursor = answer.headers.get('stagedoor-next-cursor')
        await fill(server, 1)
      } while (cursor !== null && sizes.length < 10)
      const own = new Set(targets)
      assert.equal(own.size, expected === 0 ? 0 : Math.min(own.size, expected))
      assert.ok(own.size >= expected && sizes.every(size => size <= MAX_EXPORTED), `${filter}: ${own.size}, ${sizes}`)
    }
  })

  it('is read in slices, as fast as the client takes them', async () => {
    await using server = await testServer({ env, checkResponses: false })
    await fill(server, 5_000)
    const { store } = server.stagedoor.services
    const list = store.audit.list.bind(store.audit)
    let reads = 0
    store.audit.list = (filter, page) => {
      reads++
      return list(filter, page)
    }
    const response = await server.stagedoor.fetch(
      new Request('http://127.0.0.1:4100/v1/audit_events/export', {
        headers: { authorization: `Bearer ${SECRET_KEY}` },
      }),
    )
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    for (let i = 0; i < 100; i++) await nextTurn()
    assert.ok(reads <= 2, `${reads} slices before the client reads on`)
    await reader.cancel()
    for (let i = 0; i < 100; i++) await nextTurn()
    assert.ok(reads <= 2)
  })

  it('breaks off if the database fails, so that no client takes a part for the whole file', async () => {
    await using server = await testServer({ env, checkResponses: false })
    await fill(server, 1_000)
    const { store } = server.stagedoor.services
    const list = store.audit.list.bind(store.audit)
    let reads = 0
    store.audit.list = (filter, page) => (++reads > 2 ? Promise.reject(new Error('disk')) : list(filter, page))
    const origin = await server.listen()
    const response = await fetch(`${origin}/v1/audit_events/export`, {
      headers: { authorization: `Bearer ${SECRET_KEY}` },
    })
    assert.equal(response.status, 200)
    await assert.rejects(response.text())
  })
})
