import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { verifyToken } from '@clerk/backend'
import { Stagedoor } from '@stagedoor/sdk'
import { createTestIssuer, startStagedoor } from '@stagedoor/sdk/testing'
import { createVerifier, remoteJwks } from '@stagedoor/sdk/verify'

const actor = { sub: 'user_operator', role: 'support' }
const partsOf = (jwt: string) =>
  jwt
    .split('.')
    .slice(0, 2)
    .map(part => JSON.parse(Buffer.from(part, 'base64url').toString())) as [object, Record<string, unknown>]

describe('createTestIssuer', () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
    it(`mints ${alg} tokens with the given values`, async () => {
      const test = await createTestIssuer({ issuer: 'https://auth.example.com', alg })
      const azp = 'https://app.example.com'
      for (const keys of [{ jwks: test.jwks }, { publicKey: test.publicKey }]) {
        const verify = createVerifier({ issuer: test.issuer, authorizedParties: [azp], ...keys })
        const jwt = await test.mint({
          userId: 'user_1',
          sessionId: 'sess_1',
          actor,
          authorizedParty: azp,
          claims: { x: 1 },
        })
        const found = await verify(jwt)
        assert.deepEqual([found.userId, found.sessionId, found.actor, found.claims.x], ['user_1', 'sess_1', actor, 1])
        assert.equal((await verify(await test.mint({ authorizedParty: azp }))).actor, undefined)
        for (const [session, reason] of [
          [{}, 'token-wrong-party'],
          [{ authorizedParty: azp, expiresInSeconds: -10 }, 'token-expired'],
          [{ authorizedParty: azp, issuedAt: Date.now() - 100_000 }, 'token-expired'],
          [{ authorizedParty: azp, issuedAt: Date.now() + 100_000 }, 'token-not-active-yet'],
          [{ authorizedParty: azp, claims: { iss: 'https://other.example.com' } }, 'token-wrong-issuer'],
        ] as const)
          await assert.rejects(verify(await test.mint(session)), { reason })
      }
      const other = await createTestIssuer({ issuer: test.issuer, alg })
      const verify = createVerifier({ issuer: test.issuer, jwks: test.jwks })
      await assert.rejects(verify(await other.mint()), { reason: 'key-unknown' })
    })
  }

  it('mints the same tokens as the real server, and Clerk’s SDK accepts them', async () => {
    await using server = await startStagedoor()
    const { stagedoor } = server
    const user = await stagedoor.users.create()
    const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId: user.id, actor })
    const { session, token } = await stagedoor.actorTokens.accept({ ticket })
    const test = await createTestIssuer()
    const made = await test.mint({ userId: user.id, sessionId: session.id, actor })
    const [[header, claims], [realHeader, realClaims]] = [partsOf(made), partsOf(token.jwt)]
    assert.deepEqual(Object.keys(header).sort(), Object.keys(realHeader).sort())
    assert.deepEqual(Object.keys(claims).sort(), Object.keys(realClaims).sort())
    for (const claim of ['sub', 'sid', 'act', 'fva', 'sts', 'v'])
      assert.deepEqual(claims[claim], realClaims[claim], claim)
    const verified = await verifyToken(made, { jwtKey: test.publicKey })
    assert.deepEqual([verified.sub, verified.act], [user.id, actor])
  })
})

describe('startStagedoor', () => {
  it('runs the real server in memory, with its own keys, until it is closed', async () => {
    const [one, two] = await Promise.all([startStagedoor(), startStagedoor()])
    assert.notEqual(one.url, two.url)
    assert.notEqual(one.secretKey, two.secretKey)
    const user = await one.stagedoor.users.create({ firstName: 'Ada' })
    await assert.rejects(two.stagedoor.users.get(user.id), { code: 'resource_not_found' })
    const swapped = new Stagedoor({ secretKey: one.secretKey, serverURL: two.url })
    await assert.rejects(swapped.users.list(), { code: 'clerk_key_invalid' })

    const { token: ticket = '', url } = await one.stagedoor.actorTokens.create({ userId: user.id, actor })
    assert.ok(url?.startsWith(`${one.url}/v1/tickets/accept?ticket=`))
    const { token } = await one.stagedoor.actorTokens.accept({ ticket })
    const verify = createVerifier({ issuer: one.url, jwks: remoteJwks(one.url) })
    assert.deepEqual((await verify(token.jwt)).actor, actor)
    assert.equal(atob(one.publishableKey.slice('pk_test_'.length)), `${new URL(one.url).host}$`)

    await Promise.all([one.close(), two.close()])
    const late = new Stagedoor({ secretKey: one.secretKey, serverURL: one.url, maxRetries: 0 })
    await assert.rejects(late.users.list(), { code: 'connection_failed' })
  })

  it('accepts settings, and explains invalid ones', async () => {
    const env = { STAGEDOOR_SESSION_TOKEN_LIFETIME_SECONDS: '30', STAGEDOOR_SIGNING_ALG: 'ES256' }
    await using server = await startStagedoor({ env })
    const user = await server.stagedoor.users.create()
    const { token: ticket = '' } = await server.stagedoor.actorTokens.create({ userId: user.id, actor })
    const [header, claims] = partsOf((await server.stagedoor.actorTokens.accept({ ticket })).token.jwt)
    assert.equal((header as { alg: string }).alg, 'ES256')
    assert.equal((claims.exp as number) - (claims.iat as number), 30)
    await assert.rejects(startStagedoor({ env: { STAGEDOOR_SIGNING_ALG: 'none' } }), {
      message: /STAGEDOOR_SIGNING_ALG/,
    })
  })
})
