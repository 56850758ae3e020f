import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { claimsOf } from '../../../test/support/jwt.ts'
import { testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

describe('session tokens', () => {
  it('J14 live 60 seconds, and never outlive the session', async () => {
    await using server = await testServer({ env })
    const { session_id } = await server.signIn({ session_max_duration_in_seconds: 300 })
    const mint = async (body?: object) => {
      const answer = await server.call('POST', `/v1/sessions/${session_id}/tokens`, body)
      return answer.status === 200
        ? Number(claimsOf(answer.body.jwt)['exp']) - server.clock.now() / 1_000
        : answer.status
    }
    assert.equal(await mint(), 60)
    assert.equal(await mint({ expires_in_seconds: 120 }), 120)
    assert.equal(await mint({ expires_in_seconds: 315_360_000 }), 300)
    server.clock.advance(270)
    assert.equal(await mint(), 30)
    server.clock.advance(29)
    assert.equal(await mint(), 1)
    server.clock.advance(1)
    assert.equal(await mint(), 401)
    assert.equal(await mint({ expires_in_seconds: 30 }), 401)
  })

  it('J17 name the requesting page, and a foreign page gets none', async () => {
    await using server = await testServer({
      env: { ...env, STAGEDOOR_ALLOWED_ORIGINS: 'https://app.example.com,https://admin.example.com' },
    })
    const { session_id, cookie } = await server.signIn()
    const mint = (origin?: string) => server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie, origin })
    for (const origin of ['https://app.example.com', 'https://admin.example.com'])
      assert.equal(claimsOf((await mint(origin)).body.jwt)['azp'], origin)
    assert.equal(Object.hasOwn(claimsOf((await mint()).body.jwt), 'azp'), false)
    for (const origin of [
      'https://evil.example',
      'null',
      'https://app.example.com.evil.example',
      'https://evil-app.example.com',
      'http://app.example.com',
      'https://app.example.com:8443',
      'https://APP.example.com',
      'https://app.example.com/',
    ]) {
      const answer = await mint(origin)
      assert.deepEqual(
        [answer.status, answer.codes, answer.headers.get('access-control-allow-origin')],
        [400, ['origin_invalid'], null],
        origin,
      )
    }
  })

  it('J23 differ for each session, even if minted at the same moment', async () => {
    await using server = await testServer({ env })
    const sessions = await Promise.all(
      Array.from({ length: 20 }, (_, n) => server.signIn({ actor: { sub: `operator_${n}`, n } })),
    )
    const keys = createLocalJWKSet((await server.call('GET', '/.well-known/jwks.json')).body)
    const minted = await Promise.all(
      sessions
        .flatMap(session => [session, session])
        .map(async session => ({
          session,
          answer: await server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie }),
        })),
    )
    const ids = new Set()
    for (const { session, answer } of minted) {
      const { payload } = await jwtVerify(answer.body.jwt, keys, {
        issuer: 'http://127.0.0.1:4100',
        algorithms: ['EdDSA'],
        currentDate: new Date(server.clock.now()),
      })
      const n = sessions.indexOf(session)
      assert.deepEqual(
        [payload.sub, payload['sid'], payload['act']],
        [session.user_id, session.session_id, { sub: `operator_${n}`, n }],
      )
      ids.add(payload.jti)
    }
    assert.equal(ids.size, 40)
  })

  it('J11 of one client cannot be minted with the cookie of another', async () => {
    await using server = await testServer({ env })
    const [one, other] = [await server.signIn(), await server.signIn()]
    const answer = await server.post(`/v1/client/sessions/${one.session_id}/tokens`, {}, { cookie: other.cookie })
    assert.deepEqual([answer.status, answer.codes], [401, ['authentication_invalid']])
  })
})
