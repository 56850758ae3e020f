import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import { type Answer, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

const redeem = (server: TestServer, ticket: string, headers?: Record<string, string | undefined>) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }, headers)
const accept = (server: TestServer, ticket: string) => server.call('POST', '/v1/actor_tokens/accept', { ticket })

const sessionsOf = async (server: TestServer, user_id: string) =>
  (await server.call('GET', `/v1/sessions?user_id=${user_id}&limit=500`)).body as { id: string; status: string }[]

function assertRefused(answer: Answer, status: number, code: string): void {
  assert.deepEqual([answer.status, answer.codes], [status, [code]], answer.text)
}

describe('sign-in tokens', () => {
  const create = async (server: TestServer, fields: object = {}) => {
    const user_id = (await server.createUser()).id
    const answer = await server.call('POST', '/v1/sign_in_tokens', { user_id, ...fields })
    assert.equal(answer.status, 200, answer.text)
    return answer.body as { id: string; token: string; user_id: string }
  }

  it('start one session of the user’s own', async () => {
    await using server = await testServer({ env })
    const { token, user_id } = await create(server)
    const answer = await redeem(server, token)
    assert.equal(answer.status, 200)
    const [session] = answer.body.client.sessions
    assert.deepEqual([session.actor, session.user.id, session.status], [null, user_id, 'active'])
    assertRefused(await redeem(server, token), 400, 'sign_in_token_already_used_code')
    assert.equal((await sessionsOf(server, user_id)).length, 1)
  })

  it('are valid for 30 days at most', async () => {
    await using server = await testServer({ env })
    const user_id = (await server.createUser()).id
    const answer = (expires_in_seconds: number) =>
      server.call('POST', '/v1/sign_in_tokens', { user_id, expires_in_seconds })
    assert.equal((await answer(2_592_000)).status, 200)
    for (const seconds of [2_592_001, 315_360_000])
      assertRefused(await answer(seconds), 422, 'form_param_value_invalid')
  })

  it('are listed by status and user, without their tickets', async () => {
    await using server = await testServer({ env })
    const next = () => {
      server.clock.advance(1)
      return create(server)
    }
    const [one, other, used] = [await next(), await next(), await next()]
    const session = (await redeem(server, used.token)).body.response.created_session_id
    await server.createActorToken({ user_id: one.user_id })
    const list = async (query: string) => (await server.call('GET', `/v1/sign_in_tokens${query}`)).body
    const ids = async (query: string) => (await list(query)).map((token: { id: string }) => token.id)
    assert.deepEqual(await ids(''), [used.id, other.id, one.id])
    assert.deepEqual(await ids('?status=pending'), [other.id, one.id])
    assert.deepEqual(await ids(`?user_id=${one.user_id}`), [one.id])
    const paginated = await list('?status=accepted&paginated=true')
    assert.deepEqual([paginated.total_count, paginated.data[0].session_id], [1, session])
    assert.ok(paginated.data[0].expires_at > server.clock.now())
    assert.ok(!JSON.stringify(await list('')).includes(one.token.slice(-40)))
  })

  it('cannot be created or redeemed while they are disabled; existing ones can be revoked', async () => {
    using database = testDatabase(env)
    let pending = { id: '', token: '', user_id: '' }
    {
      await using server = await testServer({ env: database.env })
      pending = await create(server)
    }
    await using server = await testServer({ env: { ...database.env, STAGEDOOR_SIGN_IN_TOKENS: 'off' } })
    const { user_id } = pending
    assertRefused(await server.call('POST', '/v1/sign_in_tokens', { user_id }), 403, 'sign_in_tokens_off')
    assertRefused(await redeem(server, pending.token), 403, 'sign_in_tokens_off')
    const page = await server.call('GET', `/v1/tickets/accept?ticket=${pending.token}`, undefined, {
      authorization: undefined,
      accept: 'text/html',
    })
    assert.equal(page.status, 403)
    assert.equal((await server.call('GET', '/v1/sign_in_tokens?status=pending')).body.length, 1)
    assert.equal((await server.call('POST', `/v1/sign_in_tokens/${pending.id}/revoke`)).status, 200)
    assert.equal((await redeem(server, (await server.createActorToken({ user_id })).token)).status, 200)
  })

  it('can be revoked only while pending', async () => {
    await using server = await testServer({ env })
    const revoke = (id: string) => server.call('POST', `/v1/sign_in_tokens/${id}/revoke`)
    const revoked = await create(server)
    assert.equal((await revoke(revoked.id)).body.status, 'revoked')
    assertRefused(await revoke(revoked.id), 400, 'sign_in_token_cannot_be_revoked_code')
    assertRefused(await redeem(server, revoked.token), 400, 'sign_in_token_revoked_code')
    const used = await create(server)
    assert.equal((await redeem(server, used.token)).status, 200)
    assertRefused(await revoke(used.id), 400, 'sign_in_token_cannot_be_revoked_code')
  })

  it('expire', async () => {
    await using server = await testServer({ env })
    const { token } = await create(server, { expires_in_seconds: 5 })
    server.clock.advance(5)
    assertRefused(await redeem(server, token), 400, 'ticket_expired_code')
  })

  it('R11 are not actor tokens, and actor tokens are not sign-in tokens', async () => {
    await using server = await testServer({ env })
    const signIn = await create(server)
    const actor = await server.createActorToken()
    assertRefused(await accept(server, signIn.token), 400, 'ticket_invalid_code')
    for (const [method, path] of [
      ['GET', `/v1/actor_tokens/${signIn.id}`],
      ['POST', `/v1/actor_tokens/${signIn.id}/revoke`],
      ['POST', `/v1/sign_in_tokens/${actor.id}/revoke`],
    ] as const) {
      assertRefused(await server.call(method, path), 404, 'resource_not_found')
    }
    const listed = (await server.call('GET', '/v1/actor_tokens')).body as { id: string }[]
    assert.deepEqual(
      listed.map(token => token.id),
      [actor.id],
    )
    assert.equal((await redeem(server, signIn.token)).status, 200)
    assert.equal((await accept(server, actor.token)).status, 200)
  })
})
