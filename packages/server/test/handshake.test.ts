import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { describe, it } from 'node:test'
import { claimsOf } from '../../../test/support/jwt.ts'
import { cookieOf, expectOk, SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'

const BACK = 'http://127.0.0.1:4101/users?tab=1'

/** Sends a browser through its handshake. */
async function handshake(server: TestServer, query: Record<string, string> = {}, cookie?: string) {
  const search = new URLSearchParams({ redirect_url: BACK, __clerk_api_version: '2026-05-12', ...query })
  const answer = await server.call('GET', `/v1/client/handshake?${search}`, undefined, {
    authorization: undefined,
    cookie,
  })
  return { answer, to: URL.parse(answer.headers.get('location') ?? '') }
}

const payload = (server: TestServer, nonce: string) =>
  server.call('GET', `/v1/clients/handshake_payload?${new URLSearchParams({ nonce })}`)

/** Set-Cookie values as a cookie jar. */
const jarOf = (directives: string[]) =>
  Object.fromEntries(directives.map(directive => (directive.split(';')[0] ?? '').split('=') as [string, string]))

const test = { format: 'nonce', __clerk_db_jwt: 'dvb_1', __clerk_hs_reason: 'session-token-expired' }

describe('the handshake', () => {
  it('with a nonce: exchanges it for the session, under the plain cookie names and those with the key’s suffix', async () => {
    await using server = await testServer()
    const { cookie, session_id, user_id } = await server.signIn({ actor: { sub: 'a', more: [1] } })
    const { answer, to } = await handshake(server, test, cookie)
    assert.equal(answer.status, 307)
    assert.equal(answer.headers.get('set-cookie'), null)
    assert.equal(answer.headers.get('cache-control'), 'no-store, private')
    const nonce = to?.searchParams.get('__clerk_handshake_nonce') ?? ''
    assert.equal(to?.href.replace(/&__clerk_handshake_nonce=.*/, ''), BACK)
    assert.doesNotMatch(to?.href ?? '', new RegExp(user_id), 'S13 no session token in the address')

    const { directives } = expectOk(await payload(server, nonce))
    const jar = jarOf(directives)
    // The suffix for pk_test_MTI3LjAuMC4xOjQxMDAk, as Clerk's SDKs derive it.
    for (const name of ['__session', '__session_vXNNTRtr']) {
      const { sub, sid, act, azp } = claimsOf(jar[name] ?? '')
      assert.deepEqual(
        { sub, sid, act, azp },
        { sub: user_id, sid: session_id, act: { sub: 'a', more: [1] }, azp: 'http://127.0.0.1:4101' },
      )
    }
    const { iat } = claimsOf(jar['__session'] ?? '')
    for (const name of ['__client_uat', '__client_uat_vXNNTRtr'])
      assert.ok(Number(jar[name]) <= iat && Number(jar[name]) > 0)
    for (const name of ['__clerk_db_jwt', '__clerk_db_jwt_vXNNTRtr']) assert.equal(jar[name], 'dvb_1')
    for (const directive of directives)
      assert.match(directive, /^__[\w-]+=[\w.-]*; Path=\/; SameSite=Lax; Max-Age=\d+$/)
  })

  it('is for navigations only, if the browser sends what it loads', async () => {
    await using server = await testServer()
    const { cookie } = await server.signIn()
    const search = new URLSearchParams({ redirect_url: BACK })
    const ask = (loads: string | undefined) =>
      server.call('GET', `/v1/client/handshake?${search}`, undefined, {
        authorization: undefined,
        cookie,
        'sec-fetch-dest': loads,
      })
    for (const loads of [undefined, 'document', 'iframe', 'frame']) assert.equal((await ask(loads)).status, 307, loads)
    for (const loads of ['empty', 'image', 'script', 'style', 'object', 'x']) {
      const refused = await ask(loads)
      assert.deepEqual([refused.status, refused.codes], [400, ['navigation_required']], loads)
      assert.equal(refused.headers.get('location'), null)
    }
  })

  it('as a token: names its issuer, its audience and its expiry', async () => {
    await using server = await testServer()
    const { cookie } = await server.signIn()
    const { to } = await handshake(server, { __clerk_hs_reason: 'dev-browser-missing' }, cookie)
    const { iss, aud, iat, exp } = claimsOf(to?.searchParams.get('__clerk_handshake') ?? '')
    const now = Math.floor(server.clock.now() / 1_000)
    assert.deepEqual([iss, aud, iat, exp], ['http://127.0.0.1:4100', 'http://127.0.0.1:4101', now, now + 60])
  })

  it('as a token: contains the cookies, is signed with a published key, and is itself no session token', async () => {
    await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
    const { cookie, session_id } = await server.signIn()
    const { to } = await handshake(server, { __clerk_hs_reason: 'dev-browser-missing' }, cookie)
    const token = to?.searchParams.get('__clerk_handshake') ?? ''
    const [header = '', body = '', signature = ''] = token.split('.')
    const { alg, kid, typ, cat } = JSON.parse(Buffer.from(header, 'base64url').toString())
    assert.deepEqual({ alg, typ, cat }, { alg: 'RS256', typ: 'JWT', cat: undefined })
    const { keys } = (await server.call('GET', '/.well-known/jwks.json')).body
    const key = createPublicKey({ key: keys.find((jwk: { kid: string }) => jwk.kid === kid), format: 'jwk' })
    assert.ok(verify('sha256', Buffer.from(`${header}.${body}`), key, Buffer.from(signature, 'base64url')))
    const jar = jarOf(claimsOf(token).handshake)
    assert.equal(claimsOf(jar['__session'] ?? '').sid, session_id)
    assert.match(jar['__clerk_db_jwt'] ?? '', /^dvb_/)
  })

  it('signs out a browser without a session, for every encoding of the app’s key', async () => {
    await using server = await testServer({ env: { STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:41000' } })
    const { to } = await handshake(server, test)
    const { directives } = expectOk(await payload(server, to?.searchParams.get('__clerk_handshake_nonce') ?? ''))
    const jar = jarOf(directives)
    const names = Object.keys(jar).filter(name => name.startsWith('__session'))
    assert.equal(names.length, 3, 'plain, unpadded, padded')
    for (const name of names) assert.equal(jar[name], '')
    assert.equal(jar['__client_uat'], '0')
  })

  it('keeps the nonce of a production app out of the address bar if app and server share the host', async () => {
    await using server = await testServer()
    const { cookie, session_id } = await server.signIn()
    const live = { format: 'nonce', __clerk_hs_reason: 'session-token-expired' }
    const { answer, to } = await handshake(server, live, cookie)
    assert.equal(to?.href, BACK)
    const [, nonce = ''] =
      /^__clerk_handshake_nonce=([\w.-]+); Path=\/; Max-Age=60; HttpOnly; SameSite=Lax$/.exec(
        answer.headers.get('set-cookie') ?? '',
      ) ?? []
    const { directives } = expectOk(await payload(server, nonce))
    const jar = jarOf(directives)
    assert.equal(claimsOf(jar['__session'] ?? '').sid, session_id)
    assert.equal(jar['__clerk_db_jwt'], undefined)
    assert.ok(
      directives.includes('__clerk_handshake_nonce=; Path=/; SameSite=Lax; Max-Age=0'),
      'the handshake deletes the nonce cookie',
    )

    const elsewhere = await handshake(server, { ...live, redirect_url: 'http://localhost:4101/' }, cookie)
    assert.ok(elsewhere.to?.searchParams.get('__clerk_handshake_nonce'), 'another host gets the nonce in the address')
  })

  it('is valid for one minute, for this server and its secret keys, and for nothing else', async () => {
    await using server = await testServer()
    await using other = await testServer()
    const { cookie, session_id, ticket } = await server.signIn()
    const { to } = await handshake(server, test, cookie)
    const nonce = to?.searchParams.get('__clerk_handshake_nonce') ?? ''
    const refused = async (text: string, at = server) => {
      const answer = await payload(at, text)
      assert.deepEqual([answer.status, answer.codes], [400, ['invalid_handshake']], text)
    }
    await refused(nonce, other)
    await refused(`${nonce}x`)
    await refused(ticket)
    await refused(cookie.replace('__client=', ''))
    const anonymous = await server.call('GET', `/v1/clients/handshake_payload?nonce=${nonce}`, undefined, {
      authorization: undefined,
    })
    assert.equal(anonymous.status, 401)
    // A nonce is also the only credential that works here.
    const mint = await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie: `__client=${nonce}` })
    assert.equal(mint.status, 401)
    assert.deepEqual((await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: nonce })).codes, [
      'ticket_invalid_code',
    ])
    server.clock.advance(59.999)
    expectOk(await payload(server, nonce))
    server.clock.advance(0.001)
    await refused(nonce)
  })

  it('signs out if the session was revoked before the exchange', async () => {
    await using server = await testServer()
    const { cookie, session_id } = await server.signIn()
    const { to } = await handshake(server, test, cookie)
    expectOk(await server.call('POST', `/v1/sessions/${session_id}/revoke`))
    const { directives } = expectOk(await payload(server, to?.searchParams.get('__clerk_handshake_nonce') ?? ''))
    assert.equal(jarOf(directives)['__session'], '')
    assert.equal(jarOf(directives)['__client_uat'], '0')
  })

  it('does not tell an unlisted page who is signed in', async () => {
    await using server = await testServer()
    const { cookie } = await server.signIn()
    for (const redirect_url of ['https://evil.example/', 'http://127.0.0.1.evil.example/', '//evil.example', 'x']) {
      const { answer } = await handshake(server, { ...test, redirect_url }, cookie)
      assert.equal(answer.status, 422)
      assert.equal(answer.headers.get('location'), null)
    }
    const page = await server.call('GET', '/v1/client/handshake?redirect_url=https://evil.example', undefined, {
      authorization: undefined,
      accept: 'text/html',
    })
    assert.match(page.text, /This server does not send browsers to https:\/\/evil\.example/)
  })

  it('S7 has a token that is no session token and no key', async () => {
    await using server = await testServer()
    const { cookie } = await server.signIn()
    const { to } = await handshake(server, {}, cookie)
    const token = to?.searchParams.get('__clerk_handshake') ?? ''
    const answer = await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${token}` })
    assert.equal(answer.status, 401)
    const { verifySessionToken } = await import('@stagedoor/sdk/verify')
    const jwks = (await server.call('GET', '/v1/jwks')).body
    await assert.rejects(
      verifySessionToken(token, { issuer: 'http://127.0.0.1:4100', jwks, clockSkewInSeconds: 1e9 } as never),
    )
  })
})

/** The cookies that an app receives after a browser went through the handshake with this cookie. */
async function directives(server: TestServer, cookie: string): Promise<string[]> {
  const path = '/v1/client/handshake?format=nonce&__clerk_db_jwt=dvb_1&redirect_url=http://127.0.0.1:4101/'
  const sent = await server.call('GET', path, undefined, { authorization: undefined, cookie })
  const nonce = new URL(sent.headers.get('location') ?? '').searchParams.get('__clerk_handshake_nonce')
  return expectOk(await server.call('GET', `/v1/clients/handshake_payload?nonce=${nonce}`)).directives
}

/** `__session=ey…; Path=/…` as `['__session', 'ey…']`. */
const pair = (directive: string) => /^([^=]+)=([^;]*)/.exec(directive)?.slice(1) ?? []
const sessions = (all: string[]) => all.filter(directive => directive.startsWith('__session')).map(pair)

describe('the cookies of a handshake', () => {
  it('hold the session token under its plain name and the publishable key’s name, the plain one last', async () => {
    await using server = await testServer()
    const { cookie, session_id } = await server.signIn()
    const [[name = '', jwt = ''] = [], [plain, same] = [], ...more] = sessions(await directives(server, cookie))
    assert.match(name, /^__session_[\w-]{8}$/)
    assert.deepEqual([plain, same, more], ['__session', jwt, []])
    assert.equal(claimsOf(jwt).sid, session_id)
  })

  it('S13 hold a large session token under its plain name only, and delete an old one under the other name', async () => {
    await using server = await testServer()
    const actor = { sub: 'user_operator', note: 'x'.repeat(980) }
    const { cookie } = await server.signIn({ actor })
    const all = await directives(server, cookie)
    const [[name = '', gone] = [], [plain, jwt = ''] = [], ...more] = sessions(all)
    assert.match(name, /^__session_[\w-]{8}$/)
    assert.deepEqual([gone, plain, more], ['', '__session', []])
    assert.deepEqual(claimsOf(jwt).act, actor)
    assert.match(all.find(directive => directive.startsWith(name)) ?? '', /; Max-Age=0$/)
    assert.ok(all.join('').length < 3_000, `${all.join('').length} bytes`)
  })

  it('end the session under every name that the app may read, if no user is signed in', async () => {
    // The base64 of this host ends with `==`, and some tools keep the padding in the key.
    await using server = await testServer({ env: { STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:41000' } })
    for (const [name = '', value] of (await directives(server, '')).map(pair)) {
      if (name.startsWith('__session')) assert.equal(value, '', name)
      if (name.startsWith('__client_uat')) assert.equal(value, '0', name)
    }
    assert.equal(sessions(await directives(server, '')).length, 3)
  })
})

describe('the session that was active before', () => {
  /** Signs in on a client that may have sessions already. */
  async function act(server: TestServer, cookie?: string, fields: object = {}) {
    const { token } = await server.createActorToken(fields)
    const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }, { cookie })
    return { id: expectOk(answer).response.created_session_id as string, cookie: cookieOf(answer) }
  }
  async function signInAsOneself(server: TestServer, cookie?: string) {
    const { id } = await server.createUser()
    const { token } = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: id }))
    const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }, { cookie })
    return { id: expectOk(answer).response.created_session_id as string, cookie: cookieOf(answer) }
  }
  const selected = async (server: TestServer, cookie: string) =>
    expectOk(await server.call('GET', '/v1/client', undefined, { authorization: undefined, cookie })).response
      .last_active_session_id
  const post = async (server: TestServer, cookie: string, id: string, verb: string, form = {}) =>
    expectOk(await server.post(`/v1/client/sessions/${id}/${verb}`, form, { cookie }))

  for (const how of ['removed', 'ended', 'revoked', 'expired', 'abandoned', 'banned'] as const) {
    it(`stays parked and is selected again when the acting session is ${how}`, async () => {
      await using server = await testServer()
      const first = await signInAsOneself(server)
      const second = await signInAsOneself(server, first.cookie)
      // The older of the two is the active one.
      await post(server, second.cookie, first.id, 'touch', { intent: 'select_session' })
      const acting = await act(server, second.cookie, { session_max_duration_in_seconds: 900 })
      assert.equal(await selected(server, acting.cookie), acting.id)
      const { user_id } = expectOk(await server.call('GET', `/v1/sessions/${acting.id}`))
      if (how === 'removed') await post(server, acting.cookie, acting.id, 'remove')
      if (how === 'ended') await post(server, acting.cookie, acting.id, 'end')
      if (how === 'revoked') expectOk(await server.call('POST', `/v1/sessions/${acting.id}/revoke`))
      if (how === 'banned') expectOk(await server.call('POST', `/v1/users/${user_id}/ban`))
      if (how === 'expired') {
        server.clock.advance(500)
        await post(server, acting.cookie, acting.id, 'touch')
        server.clock.advance(400)
      }
      if (how === 'abandoned') server.clock.advance(600)
      assert.equal(await selected(server, acting.cookie), first.id)
      const { jwt } = await post(server, acting.cookie, first.id, 'tokens')
      assert.equal(claimsOf(jwt).act, undefined)
    })
  }

  it('acting twice: signing out returns to the previous sessions one by one', async () => {
    await using server = await testServer()
    const own = await signInAsOneself(server)
    const one = await act(server, own.cookie)
    const two = await act(server, one.cookie)
    const gone = await act(server, two.cookie)
    await post(server, gone.cookie, gone.id, 'remove')
    assert.equal(await selected(server, gone.cookie), two.id)
    expectOk(await server.call('POST', `/v1/sessions/${one.id}/revoke`))
    assert.equal(await selected(server, gone.cookie), two.id)
    await post(server, gone.cookie, two.id, 'remove')
    assert.equal(await selected(server, gone.cookie), own.id, 'the session in between has ended already')
    await post(server, gone.cookie, own.id, 'remove')
    assert.equal(await selected(server, gone.cookie), null)
  })

  it('the browser learns the reason and the return URL of its own session only', async () => {
    await using server = await testServer()
    const { cookie, session_id } = await server.signIn({
      reason: 'Ticket 4711',
      reason_category: 'incident',
      ticket: 'https://help.example/4711',
      return_url: 'http://localhost:3000/admin',
    })
    const read = (headers: Record<string, string | undefined>) =>
      server.call('GET', `/v1/client/sessions/${session_id}`, undefined, { authorization: undefined, ...headers })
    const { response, client } = expectOk(await read({ cookie }))
    assert.deepEqual(
      [response.reason, response.reason_category, response.ticket, response.return_url],
      ['Ticket 4711', 'incident', 'https://help.example/4711', 'http://localhost:3000/admin'],
    )
    for (const name of ['reason', 'reason_category', 'ticket']) assert.equal(name in client.sessions[0], false, name)
    assert.equal((await read({})).status, 401)
  })

  it('a backend that redeems learns the same, and who the user is', async () => {
    await using server = await testServer()
    const user = await server.createUser({ external_id: 'customer_7' })
    const { token, id } = await server.createActorToken({
      user_id: user.id,
      reason: 'Ticket 4711',
      return_url: 'http://localhost:3000/admin',
    })
    const accepted = expectOk(await server.call('POST', '/v1/actor_tokens/accept', { ticket: token }))
    assert.equal(accepted.user.external_id, 'customer_7')
    assert.deepEqual(
      [
        accepted.actor_token.id,
        accepted.actor_token.status,
        accepted.actor_token.reason,
        accepted.actor_token.return_url,
      ],
      [id, 'accepted', 'Ticket 4711', 'http://localhost:3000/admin'],
    )
    assert.equal(accepted.actor_token.session_id, accepted.session.id)
  })
})

describe('apps without cookies', () => {
  it('send and receive their client in the Authorization header; cookies are ignored', async () => {
    await using server = await testServer()
    const planted = await server.signIn()
    const { token } = await server.createActorToken()
    const native = (path: string, authorization: string | undefined, form?: Record<string, string>, more = {}) =>
      form
        ? server.post(`${path}?_is_native=1`, form, { authorization, cookie: planted.cookie, ...more })
        : server.call('GET', `${path}?_is_native=1`, undefined, { authorization, cookie: planted.cookie, ...more })

    const first = await native('/v1/client', '')
    assert.equal(first.body.response, null, 'S6 the cookie is not read')
    const anonymous = first.headers.get('authorization') ?? ''
    assert.match(anonymous, /^eyJ/)
    assert.deepEqual(first.headers.getSetCookie(), [])
    const redeemed = await native('/v1/client/sign_ins', anonymous, { strategy: 'ticket', ticket: token })
    const mine = redeemed.headers.get('authorization') ?? ''
    assert.notEqual(mine, anonymous, 'R20')
    assert.deepEqual(redeemed.headers.getSetCookie(), [])
    const id = expectOk(redeemed).response.created_session_id
    expectOk(await native(`/v1/client/sessions/${id}/tokens`, mine, {}))
    assert.equal((await native(`/v1/client/sessions/${id}/tokens`, anonymous, {})).status, 401)
    assert.equal((await native(`/v1/client/sessions/${id}/tokens`, undefined, {})).status, 401)
    // The header is read only if the query asks for it.
    assert.equal((await server.post(`/v1/client/sessions/${id}/tokens`, {}, { authorization: mine })).status, 401)

    const page = await native('/v1/client', mine, undefined, { origin: 'https://evil.example' })
    assert.deepEqual(page.codes, ['origin_authorization_headers_conflict'])
    const left = await server.call('POST', '/v1/client?_is_native=1&_method=DELETE', '', {
      authorization: mine,
      'content-type': 'application/x-www-form-urlencoded',
    })
    assert.equal(left.headers.get('authorization'), '')
  })
})

describe('the proxy of Clerk’s SDKs', () => {
  it('must present a secret key of this server', async () => {
    await using server = await testServer()
    const ask = (headers: Record<string, string>) =>
      server.call('GET', '/v1/client', undefined, {
        authorization: undefined,
        'clerk-proxy-url': 'https://app.example.com/__clerk',
        ...headers,
      })
    assert.deepEqual((await ask({})).codes, ['proxy_request_missing_secret_key'])
    const wrong = await ask({ 'clerk-secret-key': `sk_test_${'0'.repeat(32)}` })
    assert.deepEqual([wrong.status, wrong.codes], [401, ['proxy_request_invalid_secret_key']])
    const right = await ask({ 'clerk-secret-key': SECRET_KEY })
    assert.equal(right.status, 200)
    assert.match(right.headers.get('set-cookie') ?? '', /; Secure$/, 'the browser uses https')
  })

  it('does not make its own origin an allowed one: the settings decide where a browser is redirected', async () => {
    await using server = await testServer()
    const search = new URLSearchParams({ redirect_url: 'https://evil.example/' })
    const answer = await server.call('GET', `/v1/client/handshake?${search}`, undefined, {
      authorization: undefined,
      'clerk-proxy-url': 'https://evil.example/__clerk',
      'clerk-secret-key': SECRET_KEY,
    })
    assert.deepEqual([answer.status, answer.codes], [422, ['prohibited_redirect_url']])
  })

  it('must have an http or https address, because it becomes the target of forms', async () => {
    await using server = await testServer()
    const { url } = await server.createActorToken()
    for (const proxy of [
      'javascript:alert(1)//x',
      'JavaScript://app.example.com/%0aalert(1)',
      'data:text/html,x',
      'https:app.example.com',
      'https://user:pass@app.example.com/__clerk',
      'https://app.example.com/__clerk?x=1',
      'https://app.example.com/__clerk#x',
      'https://app.example.com\\@evil.example/',
      '//app.example.com/__clerk',
      'app.example.com',
      '',
    ]) {
      const headers = { authorization: undefined, accept: 'text/html', 'clerk-secret-key': SECRET_KEY }
      const answer = await server.call('GET', new URL(url).pathname + new URL(url).search, undefined, {
        ...headers,
        'clerk-proxy-url': proxy,
      })
      assert.equal(answer.status, 400, proxy)
      assert.doesNotMatch(answer.text, /<form/)
    }
  })

  it('makes the accept page of a proxied server post to the proxy', async () => {
    await using server = await testServer()
    const { url } = await server.createActorToken()
    const { text } = await server.call('GET', new URL(url).pathname + new URL(url).search, undefined, {
      authorization: undefined,
      accept: 'text/html',
      'clerk-proxy-url': 'http://localhost:3000/__clerk',
      'clerk-secret-key': SECRET_KEY,
    })
    assert.match(text, /action="http:\/\/localhost:3000\/__clerk\/v1\/tickets\/accept"/)
  })
})
