import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { expectOk, type TestServer, testServer } from '../support/server.ts'

/** jose as an app uses it that knows nothing of Stagedoor: it has an issuer and the address of its keys. */

const actor = { sub: 'user_operator', reason: 'ticket 4711', nested: { a: [1, 'ü'] } }
const issuer = 'https://auth.example.com'

/** A server, a token of an acting session, and the server's keys as a jose key set. */
async function setUp(alg: string) {
  const server = await testServer({
    realTime: true,
    env: { STAGEDOOR_PUBLIC_URL: issuer, STAGEDOOR_SIGNING_ALG: alg },
  })
  const keys = createRemoteJWKSet(new URL(`${await server.listen()}/.well-known/jwks.json`))
  return { server, keys, ...(await acting(server)) }
}

async function acting(server: TestServer) {
  const { user_id, session_id } = await server.signIn({ actor })
  const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
  return { user_id, session_id, jwt: jwt as string }
}

describe('jose', () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA']) {
    it(`verifies ${alg} with the key set, and returns act`, async () => {
      const { server, keys, jwt, user_id, session_id } = await setUp(alg)
      await using _ = server
      const { payload, protectedHeader } = await jwtVerify(jwt, keys, { issuer, typ: 'JWT', requiredClaims: ['sid'] })
      assert.deepEqual([payload.sub, payload['sid'], payload['act']], [user_id, session_id, actor])
      assert.equal(protectedHeader.alg, alg)
    })
  }

  it('refuses a forged token, another issuer, another server’s token, and an expired one', async () => {
    const { server, keys, jwt } = await setUp('RS256')
    const other = await setUp('RS256')
    await using _ = server
    await using _other = other.server
    const [head, body, signature = ''] = jwt.split('.')
    const forged = `${head}.${body}.${'A'.repeat(signature.length)}`
    await assert.rejects(jwtVerify(forged, keys, { issuer }), errors.JWSSignatureVerificationFailed)
    const elsewhere = { issuer: 'https://other.example.com' }
    await assert.rejects(jwtVerify(jwt, keys, elsewhere), errors.JWTClaimValidationFailed)
    await assert.rejects(jwtVerify(other.jwt, keys, { issuer }), errors.JWKSNoMatchingKey)
    const currentDate = new Date(Date.now() + 61_000)
    await assert.rejects(jwtVerify(jwt, keys, { issuer, currentDate }), errors.JWTExpired)
  })
})
