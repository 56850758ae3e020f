import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type Answer, cookieOf, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const NO_KEY = { authorization: undefined }
const PAGE = { ...NO_KEY, accept: 'text/html' }

const accept = (server: TestServer, body: object, headers: Record<string, string> = {}) =>
  server.call('POST', '/v1/actor_tokens/accept', body, headers)
const redeem = (server: TestServer, ticket: string, cookie?: string) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }, { cookie })
const mint = (server: TestServer, session: string, cookie: string) =>
  server.post(`/v1/client/sessions/${session}/tokens`, {}, { cookie })
const statusOf = async (server: TestServer, id: string) =>
  expectOk(await server.call('GET', `/v1/actor_tokens/${id}`)).status
/** A correctly signed cookie of a browser that has not signed in, so its client is not stored. */
const anonymous = async (server: TestServer) => cookieOf(await server.call('GET', '/v1/client', undefined, NO_KEY))
const codeOf = (answer: Answer) => [answer.status, ...answer.codes]

describe('several client cookies in one request', () => {
  /** What a signed-in browser does with its session, and the status that shows success. */
  const ACTIONS: [method: string, path: (session: string) => string, form?: Record<string, string>][] = [
    ['POST', session => `/v1/client/sessions/${session}/tokens`],
    ['POST', session => `/v1/client/sessions/${session}/touch`, { intent: 'select' }],
    ['GET', session => `/v1/client/sessions/${session}`],
    ['GET', () => '/v1/me'],
    ['POST', session => `/v1/client/sessions/${session}/end`],
  ]

  it('uses the current one, at every position among planted cookies', async () => {
    await using server = await testServer({ env })
    for (const [method, path, form = {}] of ACTIONS) {
      const own = await server.signIn()
      const replaced = own.cookie
      const again = await redeem(server, (await server.createActorToken()).token, own.cookie)
      const cookie = cookieOf(again)
      const session = expectOk(again).response.created_session_id
      const planted = [await anonymous(server), await anonymous(server), replaced, '__client=garbage', '__client=']
      for (const cookies of [
        [...planted, cookie],
        [cookie, ...planted],
        [...planted, cookie, ...planted],
      ]) {
        const headers = { cookie: cookies.join('; ') }
        const answer =
          method === 'GET'
            ? await server.call('GET', path(session), undefined, { ...NO_KEY, ...headers })
            : await server.post(path(session), form, headers)
        assert.equal(answer.status, 200, `${method} ${path('…')}: ${answer.text}`)
      }
    }
  })

  it('with two current ones, lets each reach its own sessions', async () => {
    await using server = await testServer({ env })
    const [one, other] = [await server.signIn(), await server.signIn()]
    const cookie = `${one.cookie}; ${other.cookie}`
    for (const { session_id } of [one, other]) assert.equal((await mint(server, session_id, cookie)).status, 200)
    const refused = await mint(server, one.session_id, other.cookie)
    assert.deepEqual(codeOf(refused), [401, 'authentication_invalid'])
  })

  it('with a planted cookie first, lets signing out end the browser’s own sessions', async () => {
    await using server = await testServer({ env })
    const own = await server.signIn()
    const cookie = `${await anonymous(server)}; ${own.cookie}`
    expectOk(await server.call('DELETE', '/v1/client', undefined, { ...NO_KEY, cookie }))
    assert.equal((await mint(server, own.session_id, own.cookie)).status, 401)
  })
})

describe('the cookie that a sign-in replaced', () => {
  it('returns the session again until the new cookie was used, and not afterwards', async () => {
    const uses: Record<string, (server: TestServer, session: string, cookie: string) => Promise<Answer>> = {
      minting: mint,
      'reading the client': (server, _, cookie) => server.call('GET', '/v1/client', undefined, { ...NO_KEY, cookie }),
      touching: (server, session, cookie) => server.post(`/v1/client/sessions/${session}/touch`, {}, { cookie }),
      'reading the session': (server, session, cookie) =>
        server.call('GET', `/v1/client/sessions/${session}`, undefined, { ...NO_KEY, cookie }),
      'reading the user': (server, _, cookie) => server.call('GET', '/v1/me', undefined, { ...NO_KEY, cookie }),
    }
    for (const [use, act] of Object.entries(uses)) {
      await using server = await testServer({ env })
      const planted = await anonymous(server)
      const { token } = await server.createActorToken()
      // The answer was lost: the browser sends the request again with the old cookie.
      expectOk(await redeem(server, token, planted))
      const answer = await redeem(server, token, planted)
      const session = expectOk(answer).response.created_session_id
      const own = cookieOf(answer)
      assert.equal((await act(server, session, own)).status, 200)
      const attack = await redeem(server, token, planted)
      assert.deepEqual(codeOf(attack), [400, 'actor_token_already_used_code'], use)
      assert.equal((await mint(server, session, own)).status, 200, `${use}: the session stays with its browser`)
    }
  })

  it('is no longer valid on another node either', async () => {
    await using server = await testServer({ env })
    const planted = await anonymous(server)
    const { token } = await server.createActorToken()
    const answer = await redeem(server, token, planted)
    const { created_session_id } = expectOk(answer).response
    expectOk(await mint(server, created_session_id, `${planted}; ${cookieOf(answer)}`))
    const client = (await server.stagedoor.services.store.sessions.find(created_session_id))?.client_id ?? ''
    assert.equal((await server.stagedoor.services.store.clients.find(client))?.previous_token_hash, null)
  })
})

describe('the actor that a backend expects', () => {
  it('redeems a ticket for that actor, and leaves any other pending', async () => {
    await using server = await testServer({ env })
    const token = await server.createActorToken({ actor: { sub: 'olivia@support' } })
    for (const actor_sub of ['mallory', 'Olivia@support', 'olivia@support ', 'olivia@suppor', token.user_id]) {
      const refused = await accept(server, { ticket: token.token, actor_sub })
      assert.deepEqual(codeOf(refused), [403, 'actor_mismatch'], actor_sub)
      assert.equal(await statusOf(server, token.id), 'pending')
    }
    const events = await server.auditEvents({ action: 'actor_token.accept', outcome: 'refused' })
    assert.ok(events.every(event => event.code === 'actor_mismatch' && event.actor_token_id === token.id))
    assert.equal((await accept(server, { ticket: token.token, actor_sub: '' })).status, 422)
    const accepted = expectOk(await accept(server, { ticket: token.token, actor_sub: 'olivia@support' }))
    assert.equal(claimsOf(accepted.token.jwt).act.sub, 'olivia@support')
    const used = await accept(server, { ticket: token.token, actor_sub: 'olivia@support' })
    assert.deepEqual(codeOf(used), [400, 'actor_token_already_used_code'])
  })

  it('is checked by the statement that redeems: of many concurrent redemptions only the expected one succeeds', async () => {
    await using server = await testServer({ env })
    const token = await server.createActorToken({ actor: { sub: 'olivia' } })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        accept(server, { ticket: token.token, actor_sub: i === 7 ? 'olivia' : 'm' }),
      ),
    )
    assert.deepEqual(
      answers.map(({ status }) => status).filter(status => status !== 403),
      [200],
    )
  })
})

describe('the actor', () => {
  it('may not be the user, by id or by external id', async () => {
    await using server = await testServer({ env })
    const user = await server.createUser({ external_id: 'customer-42' })
    const create = (sub: string) => server.call('POST', '/v1/actor_tokens', { user_id: user.id, actor: { sub } })
    for (const sub of [user.id, 'customer-42']) assert.deepEqual(codeOf(await create(sub)), [422, 'actor_is_user'], sub)
    const token = expectOk(await create('customer-43'))
    // The user gets that external id later.
    expectOk(await server.call('PATCH', `/v1/users/${user.id}`, { external_id: 'customer-43' }))
    assert.deepEqual(codeOf(await redeem(server, token.token)), [422, 'actor_is_user'])
    assert.equal(await statusOf(server, token.id), 'pending')
  })

  for (const how of ['ban', 'lock'] as const) {
    it(`may not be a user under a ${how}, named by id or by external id`, async () => {
      await using server = await testServer({ env })
      const operator = await server.createUser({ external_id: 'olivia@support' })
      for (const sub of [operator.id, 'olivia@support']) {
        const session = await server.signIn({ actor: { sub } })
        const pending = await server.createActorToken({ actor: { sub } })
        expectOk(await server.call('POST', `/v1/users/${operator.id}/${how}`))
        assert.equal((await mint(server, session.session_id, session.cookie)).status, 401, sub)
        const refused = await redeem(server, pending.token)
        assert.deepEqual(codeOf(refused), how === 'ban' ? [400, 'actor_token_revoked_code'] : [403, 'actor_banned'])
        const user_id = pending.user_id
        const created = await server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub } })
        assert.deepEqual(codeOf(created), [403, 'actor_banned'])
        if (how === 'ban')
          assert.equal(expectOk(await server.call('GET', `/v1/sessions/${session.session_id}`)).status, 'revoked')
        expectOk(await server.call('POST', `/v1/users/${operator.id}/un${how}`))
      }
    })
  }

  it('can no longer act once that user is deleted, even if named by external id', async () => {
    await using server = await testServer({ env })
    const operator = await server.createUser({ external_id: 'olivia@support' })
    const session = await server.signIn({ actor: { sub: 'olivia@support' } })
    expectOk(await server.call('DELETE', `/v1/users/${operator.id}`))
    assert.equal((await mint(server, session.session_id, session.cookie)).status, 401)
  })
})

describe('a redemption in a backend whose answer was lost', () => {
  it('is repeated with its Idempotency-Key, and with no other key', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken({ actor: { sub: 'olivia' } })
    const body = { ticket: token, actor_sub: 'olivia' }
    const first = expectOk(await accept(server, body, { 'idempotency-key': 'k1' }))
    const events = (await server.auditEvents()).length
    const again = await accept(server, body, { 'idempotency-key': 'k1' })
    assert.equal(again.headers.get('idempotent-replayed'), 'true')
    assert.deepEqual([expectOk(again).session.id, again.body.actor_token.id], [first.session.id, first.actor_token.id])
    assert.equal(claimsOf(again.body.token.jwt).sid, first.session.id)
    assert.equal((await server.auditEvents()).length, events)
    for (const key of ['k2', undefined]) {
      const refused = await accept(server, body, key === undefined ? {} : { 'idempotency-key': key })
      assert.deepEqual(codeOf(refused), [400, 'actor_token_already_used_code'])
    }
    const other = await accept(server, { ticket: token }, { 'idempotency-key': 'k1' })
    assert.deepEqual(codeOf(other), [422, 'idempotency_key_reused'])
    expectOk(await server.call('POST', `/v1/sessions/${first.session.id}/revoke`))
    const over = await accept(server, body, { 'idempotency-key': 'k1' })
    assert.deepEqual(codeOf(over), [400, 'actor_token_already_used_code'])
  })

  it('is done once, even if many retries arrive at the same time', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken()
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => accept(server, { ticket: token }, { 'idempotency-key': 'race' })),
    )
    assert.equal(new Set(answers.map(answer => expectOk(answer).session.id)).size, 1)
    assert.equal((await server.auditEvents({ action: 'actor_token.accept' })).length, 1)
  })

  it('does not use up the key when it is refused', async () => {
    await using server = await testServer({ env })
    const token = await server.createActorToken({ actor: { sub: 'olivia' } })
    const key = { 'idempotency-key': 'k1' }
    assert.equal((await accept(server, { ticket: token.token, actor_sub: 'mallory' }, key)).status, 403)
    expectOk(await accept(server, { ticket: token.token, actor_sub: 'olivia' }, key))
  })
})

describe('a second click on the accept page', () => {
  const confirm = (server: TestServer, ticket: string, cookie?: string) =>
    server.post('/v1/tickets/accept', { ticket }, { ...PAGE, cookie })
  const open = (server: TestServer, ticket: string, cookie?: string) =>
    server.call('GET', `/v1/tickets/accept?ticket=${ticket}`, undefined, { ...PAGE, cookie })

  it('redirects to the same page for a minute, even if a backend has redeemed the ticket', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken()
    const cookie = cookieOf(await open(server, token))
    const first = await confirm(server, token, cookie)
    assert.equal(first.status, 303)
    expectOk(await accept(server, { ticket: token }))
    server.clock.advance(59)
    for (const cookies of [cookie, `${await anonymous(server)}; ${cookie}`]) {
      const second = await confirm(server, token, cookies)
      assert.deepEqual([second.status, second.headers.get('location')], [303, first.headers.get('location')])
      assert.equal((await open(server, token, cookies)).status, 200)
    }
    server.clock.advance(2)
    assert.equal((await confirm(server, token, cookie)).status, 400)
  })

  it('from another browser is refused', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken()
    const cookie = cookieOf(await open(server, token))
    assert.equal((await confirm(server, token, cookie)).status, 303)
    expectOk(await accept(server, { ticket: token }))
    for (const other of [undefined, await anonymous(server), (await server.signIn()).cookie])
      assert.equal((await confirm(server, token, other)).status, 400)
  })

  it('is refused once the token is revoked or expired, or its user may not sign in', async () => {
    await using server = await testServer({ env })
    const ends: ((token: { id: string; user_id: string }) => Promise<unknown>)[] = [
      token => server.call('POST', `/v1/actor_tokens/${token.id}/revoke`),
      token => server.call('POST', `/v1/users/${token.user_id}/lock`),
      async () => server.clock.advance(30),
    ]
    for (const end of ends) {
      const token = await server.createActorToken({ expires_in_seconds: 30 })
      const cookie = cookieOf(await open(server, token.token))
      assert.equal((await confirm(server, token.token, cookie)).status, 303)
      await end(token)
      assert.notEqual((await confirm(server, token.token, cookie)).status, 303)
    }
  })

  it('gets the same session if the browser redeems', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken()
    const cookie = cookieOf(await open(server, token))
    assert.equal((await confirm(server, token, cookie)).status, 303)
    const [one, other] = await Promise.all([redeem(server, token, cookie), redeem(server, token, cookie)])
    assert.equal(expectOk(one).response.created_session_id, expectOk(other).response.created_session_id)
  })
})
