/** Many requests for one ticket at the same moment, in one server: the first one decides. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { times } from '../support/deep.ts'
import { type Answer, type TestServer, testServer } from '../support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

/** The two ways to redeem. */
const redeem = (server: TestServer, ticket: string, headers?: Record<string, string | undefined>) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }, headers)
const accept = (server: TestServer, ticket: string) => server.call('POST', '/v1/actor_tokens/accept', { ticket })

const sessionsOf = async (server: TestServer, user_id: string) =>
  (await server.call('GET', `/v1/sessions?user_id=${user_id}&limit=500`)).body as { id: string; status: string }[]

function assertRefused(answer: Answer, status: number, code: string): void {
  assert.deepEqual([answer.status, answer.codes], [status, [code]], answer.text)
}

describe('simultaneous requests for one ticket', () => {
  it('R2 creates one session per ticket for 64 simultaneous requests', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    for (let i = 0; i < times(100, 500); i++) {
      const { token } = await server.createActorToken({ user_id })
      const answers = await Promise.all(
        Array.from({ length: 64 }, (_, n) => (n % 2 === 0 ? redeem(server, token) : accept(server, token))),
      )
      assert.equal(answers.filter(answer => answer.status === 200).length, 1)
      const refused = answers.filter(answer => answer.status !== 200)
      assert.deepEqual(
        new Set(refused.flatMap(answer => [answer.status, ...answer.codes])),
        new Set([400, 'actor_token_already_used_code']),
      )
    }
    assert.equal((await sessionsOf(server, user_id)).length, times(100, 500))
  })

  it('R4 lets either the redemption or the revocation win, never both', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const wins = { redeemed: 0, revoked: 0 }
    const waits = (turns: number) => async () => {
      for (let i = 0; i < turns; i++) await nextTurn()
    }
    for (let i = 0; i < times(500, 10_000); i++) {
      const { id, token } = await server.createActorToken({ user_id })
      const [redeemed, revoked] = await Promise.all([
        waits(randomInt(4))().then(() => redeem(server, token)),
        waits(randomInt(4))().then(() => server.call('POST', `/v1/actor_tokens/${id}/revoke`)),
      ])
      const { body } = await server.call('GET', `/v1/actor_tokens/${id}`)
      if (redeemed.status === 200) {
        assertRefused(revoked, 400, 'actor_token_cannot_be_revoked_code')
        assert.equal(body.session_id, redeemed.body.response.created_session_id)
        assert.equal(body.status, 'accepted')
        wins.redeemed++
      } else {
        assertRefused(redeemed, 400, 'actor_token_revoked_code')
        assert.deepEqual(
          [revoked.status, revoked.body.status, body.status, body.session_id],
          [200, 'revoked', 'revoked', undefined],
        )
        wins.revoked++
      }
    }
    const started = await server.call('GET', `/v1/sessions?user_id=${user_id}&paginated=true`)
    assert.equal(started.body.total_count, wins.redeemed)
    // Otherwise the test did not race.
    assert.ok(wins.redeemed > 20 && wins.revoked > 20, JSON.stringify(wins))
  })
})
