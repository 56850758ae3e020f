import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const MINUTE = 60_000

interface Minute {
  at: number
  created: number
  redeemed: number
  refused: number
  ended: number
  acting: number
}
const minutesOf = async (server: TestServer): Promise<Minute[]> =>
  expectOk(await server.call('GET', '/v1/stats')).minutes
const counts = ({ created, redeemed, refused, ended, acting }: Minute) => [created, redeemed, refused, ended, acting]

describe('statistics', () => {
  it('count each minute of the last hour', async () => {
    await using server = await testServer({ env })
    // The middle of a minute.
    server.clock.advance((1.5 * MINUTE - (server.clock.now() % MINUTE)) / 1_000)
    const { id: user_id } = await server.createUser()
    const sessions = [await server.signIn({ user_id }), await server.signIn({ user_id }), await server.signIn()]
    await server.createActorToken()
    await server.call('POST', '/v1/actor_tokens', { user_id: 'user_nobody', actor: { sub: 'a' } })
    // Neither of these is a session of an actor.
    const { id } = expectOk(await server.call('POST', '/v1/sessions', { user_id }))
    expectOk(await server.call('POST', `/v1/sessions/${id}/revoke`))
    const first = await minutesOf(server)
    assert.equal(first.length, 60)
    assert.deepEqual(
      first.slice(0, -1).filter(each => counts(each).some(count => count > 0)),
      [],
    )
    assert.deepEqual(
      first.map(({ at }) => at),
      first.map((_, i) => server.clock.now() - 0.5 * MINUTE - (59 - i) * MINUTE),
    )
    assert.deepEqual(counts(first.at(-1) as Minute), [4, 3, 1, 0, 3])

    server.clock.advance(120)
    expectOk(await server.call('POST', `/v1/sessions/${sessions[0]?.session_id}/revoke`))
    const second = await minutesOf(server)
    assert.deepEqual(second.slice(-3).map(counts), [
      [4, 3, 1, 0, 3],
      [0, 0, 0, 0, 3],
      [0, 0, 0, 1, 2],
    ])
    server.clock.advance(60)
    assert.deepEqual((await minutesOf(server)).slice(-4).map(counts), [
      [4, 3, 1, 0, 3],
      [0, 0, 0, 0, 3],
      [0, 0, 0, 1, 2],
      [0, 0, 0, 0, 2],
    ])
    server.clock.advance(3_600)
    assert.deepEqual(
      (await minutesOf(server)).filter(({ created, ended }) => created + ended > 0),
      [],
    )
  })

  it('count each past minute once, and the current one every 5 seconds', async () => {
    await using server = await testServer({ env })
    const { store } = server.stagedoor.services
    const count = store.audit.countByMinute.bind(store.audit)
    const reads: number[] = []
    store.audit.countByMinute = since => {
      reads.push(Math.ceil((server.clock.now() - since) / MINUTE))
      return count(since)
    }
    server.clock.advance((1.25 * MINUTE - (server.clock.now() % MINUTE)) / 1_000)
    await Promise.all(Array.from({ length: 20 }, () => minutesOf(server)))
    assert.deepEqual(reads, [60])
    server.clock.advance(5)
    await minutesOf(server)
    assert.deepEqual(reads, [60, 1])
    // The last minute may still get events whose transaction takes long.
    server.clock.advance(42)
    await minutesOf(server)
    assert.deepEqual(reads, [60, 1, 2])
    store.audit.countByMinute = () => Promise.reject(new Error('disk'))
    server.clock.advance(5)
    assert.equal((await server.call('GET', '/v1/stats')).status, 500)
    store.audit.countByMinute = count
    expectOk(await server.call('GET', '/v1/stats'))
  })
})
