import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testServer } from '../../../test/support/server.ts'

describe('the main job', () => {
  it('creates, redeems, mints and revokes', async () => {
    await using server = await testServer()
    const actor = { sub: 'user_operator', role: 'support', nested: { a: [1, null, 'é'] } }
    const { session_id, cookie, user_id } = await server.signIn({ actor })

    const minted = await server.post(
      `/v1/client/sessions/${session_id}/tokens`,
      {},
      { cookie, origin: 'http://localhost:3000' },
    )
    const claims = JSON.parse(Buffer.from(minted.body.jwt.split('.')[1], 'base64url').toString())
    const iat = Math.floor(server.clock.now() / 1_000)
    assert.deepEqual(claims.act, actor)
    assert.deepEqual(
      { ...claims, jti: undefined, act: undefined },
      {
        azp: 'http://localhost:3000',
        exp: iat + 60,
        fva: [-1, -1],
        iat,
        iss: 'http://127.0.0.1:4100',
        jti: undefined,
        nbf: iat - 10,
        sid: session_id,
        sts: 'active',
        sub: user_id,
        v: 2,
        act: undefined,
      },
    )

    const session = (await server.call('GET', `/v1/sessions/${session_id}`)).body
    assert.equal(session.expire_at - session.created_at, 1_800_000)
    assert.equal((await server.call('POST', `/v1/sessions/${session_id}/revoke`)).body.status, 'revoked')
    const refused = await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie })
    assert.equal(refused.status, 401)
    assert.deepEqual(refused.codes, ['authentication_invalid'])

    assert.deepEqual(
      (await server.auditEvents({ user_id })).map(event => event.action),
      ['session.revoke', 'actor_token.accept', 'actor_token.create', 'user.create'],
    )
  })
})
