import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { type ClerkClient, createClerkClient, verifyToken } from '@clerk/backend'
import { isClerkAPIResponseError } from '@clerk/backend/errors'
import { SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'

/** Clerk's own client from npm. Only the key and the URL are changed. */

const actor = { sub: 'user_operator', role: 'support', snake_case: { camelCase: [1, null, 'é'] } }

let server: TestServer
let apiUrl: string
let clerk: ClerkClient

before(async () => {
  process.env.CLERK_TELEMETRY_DISABLED = '1'
  server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
  apiUrl = await server.listen()
  const publishableKey = `pk_test_${Buffer.from(`${new URL(apiUrl).host}$`).toString('base64')}`
  clerk = createClerkClient({ secretKey: SECRET_KEY, publishableKey, apiUrl, telemetry: { disabled: true } })
})

after(() => server[Symbol.asyncDispose]())

describe('@clerk/backend actorTokens', () => {
  it('creates a token and keeps the actor value for value', async () => {
    const user = await clerk.users.createUser({})
    const token = await clerk.actorTokens.create({
      userId: user.id,
      actor: actor as never,
      expiresInSeconds: 600,
      sessionMaxDurationInSeconds: 900,
    })
    assert.equal(token.status, 'pending')
    assert.equal(token.userId, user.id)
    assert.deepEqual(token.actor, actor)
    assert.match(token.url ?? '', /ticket=/)
    assert.equal(typeof token.token, 'string')
    assert.equal(token.updatedAt, token.createdAt)
  })

  it('revokes a pending token, once', async () => {
    const { id } = await server.createActorToken()
    assert.equal((await clerk.actorTokens.revoke(id)).status, 'revoked')
    await refused(clerk.actorTokens.revoke(id), 400, 'actor_token_cannot_be_revoked_code')
  })

  it('receives the error codes, texts, parameter name and trace id', async () => {
    const user = await clerk.users.createUser({})
    const error = await refused(
      clerk.actorTokens.create({ userId: user.id, actor: {} as never }),
      422,
      'form_param_missing',
    )
    assert.equal(error.errors[0]?.meta?.paramName, 'actor.sub')
    assert.equal(error.errors[0]?.longMessage, 'actor.sub must be included.')
    assert.match(error.clerkTraceId ?? '', /^[0-9a-f]{32}$/)
    await refused(clerk.actorTokens.create({ userId: 'user_nobody', actor }), 404, 'resource_not_found')
    await refused(clerk.actorTokens.revoke('act_nothing'), 404, 'resource_not_found')
    const stranger = createClerkClient({ secretKey: 'sk_test_of_nobody', apiUrl, telemetry: { disabled: true } })
    await refused(stranger.actorTokens.create({ userId: user.id, actor }), 401, 'clerk_key_invalid')
  })
})

describe('@clerk/backend users', () => {
  it('creates and reads', async () => {
    const created = await clerk.users.createUser({
      externalId: 'customer-1',
      emailAddress: ['ada@example.com'],
      phoneNumber: ['+15555550100'],
      firstName: 'Ada',
      lastName: 'Lovelace',
      username: 'ada',
      publicMetadata: { plan_name: 'pro', camelCase: { inner_one: 1 } },
      skipPasswordRequirement: true,
    })
    const user = await clerk.users.getUser(created.id)
    assert.equal(user.externalId, 'customer-1')
    assert.equal(user.fullName, 'Ada Lovelace')
    assert.equal(user.primaryEmailAddress?.emailAddress, 'ada@example.com')
    assert.equal(user.primaryPhoneNumber?.phoneNumber, '+15555550100')
    assert.equal(user.primaryEmailAddress?.verification?.status, 'verified')
    assert.deepEqual(user.publicMetadata, { plan_name: 'pro', camelCase: { inner_one: 1 } })
    assert.equal(user.banned, false)
    await refused(clerk.users.createUser({ emailAddress: ['ada@example.com'] }), 422, 'form_identifier_exists')
    await refused(clerk.users.getUser('user_nobody'), 404, 'resource_not_found')
  })

  it('lists and counts', async () => {
    for (const externalId of ['list-1', 'list-2', 'list-3'])
      await clerk.users.createUser({ externalId, firstName: 'Listed' })
    const { data, totalCount } = await clerk.users.getUserList({
      externalId: ['list-1', 'list-3'],
      orderBy: '+created_at',
      limit: 1,
      offset: 1,
    })
    assert.equal(totalCount, 2)
    assert.deepEqual(
      data.map(user => user.externalId),
      ['list-3'],
    )
    assert.equal(await clerk.users.getCount({ externalId: ['list-1', 'list-2'] }), 2)
    assert.equal((await clerk.users.getUserList({ query: 'Listed' })).totalCount, 3)
  })

  it('updates, and merges metadata', async () => {
    const { id } = await clerk.users.createUser({ firstName: 'Ada' })
    assert.equal(
      (await clerk.users.updateUser(id, { firstName: 'Grace', externalId: 'customer-2' })).firstName,
      'Grace',
    )
    await clerk.users.updateUserMetadata(id, {
      publicMetadata: { a: 1, b: { c: 2, d: 3 } },
      privateMetadata: { secret: 1 },
    })
    const user = await clerk.users.updateUserMetadata(id, { publicMetadata: { a: null, b: { c: null } } })
    assert.deepEqual(user.publicMetadata, { b: { d: 3 } })
    assert.deepEqual(user.privateMetadata, { secret: 1 })
    assert.equal(user.externalId, 'customer-2')
  })

  it('bans, unbans, locks, unlocks and deletes', async () => {
    const { id } = await clerk.users.createUser({})
    assert.equal((await clerk.users.banUser(id)).banned, true)
    await refused(clerk.actorTokens.create({ userId: id, actor }), 403, 'user_banned')
    assert.equal((await clerk.users.unbanUser(id)).banned, false)
    assert.equal((await clerk.users.lockUser(id)).locked, true)
    await refused(clerk.actorTokens.create({ userId: id, actor }), 403, 'user_locked')
    assert.equal((await clerk.users.unlockUser(id)).locked, false)
    assert.equal((await clerk.users.deleteUser(id)).id, id)
    await refused(clerk.users.getUser(id), 404, 'resource_not_found')
  })
})

describe('@clerk/backend sessions', () => {
  it('reads and lists an actor session', async () => {
    const { session_id, user_id, client_id } = await server.signIn({ actor })
    const session = await clerk.sessions.getSession(session_id)
    assert.deepEqual(session.actor, actor)
    assert.equal(session.status, 'active')
    assert.equal(session.clientId, client_id)
    assert.equal(session.expireAt - session.createdAt, 1_800_000)
    const { data, totalCount } = await clerk.sessions.getSessionList({ userId: user_id, status: 'active' })
    assert.equal(totalCount, 1)
    assert.equal(data[0]?.id, session_id)
  })

  it('mints tokens with the requested lifetime, which @clerk/backend verifies by key set and by PEM', async () => {
    const { session_id, user_id } = await server.signIn({ actor })
    for (const [expiresInSeconds, life] of [
      [undefined, 60],
      [300, 300],
    ] as const) {
      const { jwt } = await clerk.sessions.getToken(session_id, undefined, expiresInSeconds)
      for (const options of [{ secretKey: SECRET_KEY, apiUrl }, { jwtKey: await pemFor(jwt) }]) {
        const claims = await verifyToken(jwt, options)
        assert.equal(claims.sub, user_id)
        assert.equal(claims.sid, session_id)
        assert.deepEqual(claims.act, actor)
        assert.equal(claims.exp - claims.iat, life)
      }
    }
  })

  it('revokes a session, which then gets no token', async () => {
    const { session_id } = await server.signIn({ actor })
    assert.equal((await clerk.sessions.revokeSession(session_id)).status, 'revoked')
    await refused(clerk.sessions.getToken(session_id), 401, 'authentication_invalid')
    await refused(clerk.sessions.getSession('sess_nothing'), 404, 'resource_not_found')
  })

  it('rejects a token of another server', async () => {
    await using other = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
    const { session_id } = await other.signIn({ actor })
    const { jwt } = (await other.call('POST', `/v1/sessions/${session_id}/tokens`)).body
    await assert.rejects(verifyToken(jwt, { secretKey: SECRET_KEY, apiUrl }), { reason: 'jwk-kid-mismatch' })
    const own = (await server.signIn({ actor })).session_id
    const mine = (await clerk.sessions.getToken(own)).jwt
    await assert.rejects(verifyToken(jwt, { jwtKey: await pemFor(mine) }), { reason: 'token-invalid-signature' })
  })

  for (const alg of ['ES256', 'EdDSA']) {
    it(`rejects ${alg}: it accepts only RS256`, async () => {
      await using other = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: alg } })
      const { session_id } = await other.signIn({ actor })
      const { jwt } = (await other.call('POST', `/v1/sessions/${session_id}/tokens`)).body
      const keys = { secretKey: SECRET_KEY, apiUrl: await other.listen(), skipJwksCache: true }
      await assert.rejects(verifyToken(jwt, keys), { reason: 'token-invalid-algorithm' })
    })
  }

  it('authenticates a request with the token, including the actor', async () => {
    const { session_id, user_id } = await server.signIn({ actor })
    const { jwt } = await clerk.sessions.getToken(session_id)
    const request = new Request('http://localhost:3000/', { headers: { authorization: `Bearer ${jwt}` } })
    const auth = (await clerk.authenticateRequest(request)).toAuth()
    assert.ok(auth && 'userId' in auth && 'actor' in auth)
    assert.equal(auth.userId, user_id)
    assert.deepEqual(auth.actor, actor)
  })
})

describe('@clerk/backend jwtTemplates', () => {
  it('creates, lists, reads, updates and deletes', async () => {
    const claims = { snake_case: '{{user.id}}', camelCase: { inner_one: ['{{session.actor.sub}}', 1, null] } }
    const created = await clerk.jwtTemplates.create({ name: 'crud', claims, lifetime: 120 })
    assert.deepEqual(created.claims, claims)
    assert.deepEqual(
      [created.lifetime, created.allowedClockSkew, created.customSigningKey, created.signingAlgorithm],
      [120, 5, false, 'RS256'],
    )
    assert.deepEqual(await clerk.jwtTemplates.get(created.id), created)
    const { data, totalCount } = await clerk.jwtTemplates.list()
    assert.equal(totalCount, 1)
    assert.deepEqual(data, [created])
    const updated = await clerk.jwtTemplates.update({ templateId: created.id, name: 'crud', claims: { a: 1 } })
    assert.deepEqual([updated.claims, updated.lifetime], [{ a: 1 }, 120])
    assert.equal((await clerk.jwtTemplates.delete(created.id)).deleted, true)
    await refused(clerk.jwtTemplates.get(created.id), 404, 'resource_not_found')
    await refused(clerk.jwtTemplates.create({ name: 'x', claims: { sub: 'x' } }), 400, 'jwt_template_reserved_claim')
  })

  it('mints from a template; the minted token signs no user in', async () => {
    await clerk.jwtTemplates.create({
      name: 'minted',
      claims: { act: '{{session.actor}}', sid: '{{session.id}}', greeting: 'Hello {{user.first_name || "there"}}' },
    })
    const { session_id, user_id } = await server.signIn({ actor })
    for (const [expiresInSeconds, life] of [
      [undefined, 60],
      [300, 300],
    ] as const) {
      const { jwt } = await clerk.sessions.getToken(session_id, 'minted', expiresInSeconds)
      // verifyToken accepts any JWT of the instance.
      const claims = await verifyToken(jwt, { secretKey: SECRET_KEY, apiUrl })
      assert.deepEqual(
        [claims.sub, claims.sid, claims.act, claims['greeting'], claims.exp - claims.iat, claims.iat - claims.nbf],
        [user_id, session_id, actor, 'Hello there', life, 5],
      )
      const request = new Request('http://localhost:3000/', { headers: { authorization: `Bearer ${jwt}` } })
      const state = await clerk.authenticateRequest(request)
      assert.deepEqual([state.isAuthenticated, state.reason], [false, 'token-type-mismatch'])
    }
    await refused(clerk.sessions.getToken(session_id, 'none'), 404, 'resource_not_found')
  })
})

describe('@clerk/backend signInTokens and clients', () => {
  it('creates and revokes sign-in tokens', async () => {
    const user = await clerk.users.createUser({})
    const token = await clerk.signInTokens.createSignInToken({ userId: user.id, expiresInSeconds: 60 })
    assert.equal(token.userId, user.id)
    assert.equal(token.status, 'pending')
    assert.match(token.url, /ticket=/)
    assert.equal((await clerk.signInTokens.revokeSignInToken(token.id)).status, 'revoked')
    await refused(clerk.signInTokens.revokeSignInToken(token.id), 400, 'sign_in_token_cannot_be_revoked_code')
  })

  it('reads a client, and finds the client of a cookie', async () => {
    const { client_id, session_id, cookie } = await server.signIn({ actor })
    const client = await clerk.clients.getClient(client_id)
    assert.deepEqual(client.sessionIds, [session_id])
    assert.equal(client.lastActiveSessionId, session_id)
    assert.deepEqual(client.sessions[0]?.actor, actor)
    assert.equal((await clerk.clients.verifyClient(cookie.replace('__client=', ''))).id, client_id)
    await refused(clerk.clients.verifyClient('no'), 401, 'authentication_invalid')
    await refused(clerk.clients.getClient('client_nothing'), 404, 'resource_not_found')
  })
})

describe('@clerk/backend with a restricted secret key', () => {
  const clientWith = async (rights: string[]) => {
    const { secret } = (await server.call('POST', '/v1/secret_keys', { name: 'restricted', rights })).body
    const publishableKey = `pk_test_${Buffer.from(`${new URL(apiUrl).host}$`).toString('base64')}`
    return createClerkClient({ secretKey: secret, publishableKey, apiUrl, telemetry: { disabled: true } })
  }

  it('does what the key may do, and receives key_not_allowed for everything else', async () => {
    const user = await clerk.users.createUser({})
    const acting = await clientWith(['act'])
    const { id } = await acting.actorTokens.create({ userId: user.id, actor: { sub: 'user_operator' } })
    assert.equal((await acting.actorTokens.revoke(id)).status, 'revoked')
    const error = await refused(acting.users.getUserList(), 403, 'key_not_allowed')
    assert.match(error.errors[0]?.longMessage ?? '', /`users` or `everything`.* this secret key: `act`\.$/)
    assert.match(error.clerkTraceId ?? '', /^[0-9a-f]{32}$/)
    await refused(
      acting.signInTokens.createSignInToken({ userId: user.id, expiresInSeconds: 60 }),
      403,
      'key_not_allowed',
    )

    const directory = await clientWith(['users'])
    assert.ok((await directory.users.getUserList()).data.some(each => each.id === user.id))
    assert.equal((await directory.users.updateUser(user.id, { firstName: 'Ada' })).firstName, 'Ada')
    await refused(directory.sessions.getSessionList({ userId: user.id }), 403, 'key_not_allowed')
    await refused(directory.actorTokens.create({ userId: user.id, actor: { sub: 'x' } }), 403, 'key_not_allowed')
  })
})

async function refused(call: Promise<unknown>, status: number, code: string) {
  const error: unknown = await call.then(
    () => assert.fail(`expected ${code}`),
    thrown => thrown,
  )
  assert.ok(isClerkAPIResponseError(error), String(error))
  assert.equal(error.status, status)
  assert.equal(error.errors[0]?.code, code)
  return error
}

/** `jwtKey`: the key that signed a token, as PEM. */
async function pemFor(jwt: string): Promise<string> {
  const { kid } = JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString())
  const { keys } = (await server.call('GET', '/.well-known/jwks.json')).body
  const jwk = keys.find((key: { kid: string }) => key.kid === kid)
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' }) as string
}
