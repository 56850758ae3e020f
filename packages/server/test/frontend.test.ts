import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { claimsOf } from '../../../test/support/jwt.ts'
import { cookieOf, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

/** Signs in twice in one browser. */
async function twoSessions(server: TestServer) {
  const first = await server.signIn()
  const token = await server.createActorToken()
  const answer = await server.post(
    '/v1/client/sign_ins',
    { strategy: 'ticket', ticket: token.token },
    { cookie: first.cookie },
  )
  return {
    cookie: cookieOf(answer),
    ids: expectOk(answer).client.sessions.map((session: { id: string }) => session.id) as string[],
  }
}

describe('the environment', () => {
  it('is returned for GET and for the request of Clerk’s development builds, and never lets one session end another', async () => {
    await using server = await testServer()
    const asked = await server.call('GET', '/v1/environment', undefined, { authorization: undefined })
    const { auth_config, display_config } = expectOk(asked)
    assert.equal(auth_config.single_session_mode, false)
    assert.equal(display_config.sign_in_url, 'http://127.0.0.1:4101/sign-in')
    assert.equal(display_config.instance_environment_type, 'development')
    for (const query of ['_method=PATCH', '__clerk_api_version=2026-08-20&_clerk_js_version=6.40.0&_method=PATCH']) {
      assert.deepEqual((await server.post(`/v1/environment?${query}`, {})).body, asked.body)
    }
  })
})

describe('a development browser', () => {
  it('gets a name, and the server stores nothing about it', async () => {
    await using server = await testServer()
    const events = (await server.auditEvents()).length
    const origin = 'http://localhost:3000'
    const named = await Promise.all(
      [1, 2].map(() => server.post('/v1/dev_browser?_clerk_js_version=6', {}, { origin })),
    )
    for (const answer of named) {
      assert.match(expectOk(answer).id, /^dvb_[0-9A-Za-z]{27}$/)
      assert.equal(answer.headers.get('access-control-allow-origin'), origin)
      assert.equal(answer.headers.get('set-cookie'), null)
    }
    assert.notEqual(named[0]?.body.id, named[1]?.body.id)
    assert.equal((await server.auditEvents()).length, events)
  })
})

describe('the method override', () => {
  it('is accepted in the query of a POST only, and for no other method', async () => {
    await using server = await testServer()
    const { cookie, ids } = await twoSessions(server)
    const stillThere = async () => {
      const client = expectOk(await server.call('GET', '/v1/client', undefined, { authorization: undefined, cookie }))
      assert.deepEqual(client.response.sessions.map((session: { id: string }) => session.id).sort(), [...ids].sort())
    }
    const attempts: [string, string, Record<string, string>][] = [
      ['GET', '/v1/client/sessions?_method=DELETE', {}],
      ['HEAD', '/v1/client/sessions?_method=DELETE', {}],
      ['POST', '/v1/client/sessions?_method=delete', {}],
      ['POST', '/v1/client/sessions?_method=GET', {}],
      ['POST', '/v1/client/sessions?_METHOD=DELETE', {}],
      ['POST', '/v1/client/sessions', { 'x-http-method-override': 'DELETE' }],
      ['POST', '/%20DELETE/v1/client/sessions', {}],
      ['POST', '/ DELETE/v1/client/sessions', {}],
      ['PUT', '/v1/client/sessions?_method=DELETE', {}],
    ]
    for (const [method, path, headers] of attempts) {
      const answer = await server.call(method, path, undefined, { authorization: undefined, cookie, ...headers })
      assert.equal(answer.status, path.includes('DELETE/') ? 404 : 405, `${method} ${path}`)
      await stillThere()
    }
    const foreign = await server.post(
      '/v1/client/sessions?_method=DELETE',
      {},
      { cookie, origin: 'https://evil.example' },
    )
    assert.deepEqual(foreign.codes, ['origin_invalid'])
    await stillThere()
    // The Backend API has no override: its clients can send every method.
    assert.equal((await server.call('POST', '/v1/users/user_x?_method=DELETE')).status, 405)
  })
})

describe('the origin of a page', () => {
  it('is never one of the keywords that settings use', async () => {
    await using server = await testServer()
    const { cookie, session_id } = await server.signIn()
    for (const origin of ['loopback', 'LOOPBACK', 'null', '*', 'http://', 'localhost', '']) {
      const mint = await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie, origin })
      assert.deepEqual([mint.status, mint.codes], [400, ['origin_invalid']], origin)
      const read = await server.call('GET', '/v1/client', undefined, { authorization: undefined, cookie, origin })
      assert.equal(read.status, 400, origin)
      const preflight = await server.call('OPTIONS', '/v1/client', undefined, { authorization: undefined, origin })
      assert.equal(preflight.headers.get('access-control-allow-origin'), null, origin)
    }
  })
})

describe('signing out of everything', () => {
  it('ends every session of the client, keeps the client, and is recorded', async () => {
    await using server = await testServer()
    const { cookie, ids } = await twoSessions(server)
    const answer = expectOk(await server.post('/v1/client/sessions?_method=DELETE', {}, { cookie }))
    assert.deepEqual(answer.response.sessions, [])
    assert.equal(answer.client, null)
    for (const id of ids) {
      assert.equal(expectOk(await server.call('GET', `/v1/sessions/${id}`)).status, 'ended')
      assert.equal((await server.post(`/v1/client/sessions/${id}/tokens`, {}, { cookie })).status, 401)
      assert.equal((await server.auditEvents({ session_id: id, action: 'session.end' })).length, 1)
    }
    assert.deepEqual((await server.post('/v1/client/sessions?_method=DELETE', {})).body, {
      response: null,
      client: null,
    })
  })

  it('deletes the client on request', async () => {
    await using server = await testServer()
    const { cookie, ids } = await twoSessions(server)
    const answer = await server.call('DELETE', '/v1/client', undefined, { authorization: undefined, cookie })
    assert.deepEqual(expectOk(answer), { response: null, client: null })
    assert.match(answer.headers.get('set-cookie') ?? '', /^__client=; Path=\/; Max-Age=0;/)
    for (const id of ids) assert.equal(expectOk(await server.call('GET', `/v1/sessions/${id}`)).status, 'ended')
  })

  it('returns a session of the client, and no session of another client', async () => {
    await using server = await testServer()
    const mine = await server.signIn()
    const other = await server.signIn()
    const read = (id: string, cookie: string) =>
      server.call('GET', `/v1/client/sessions/${id}`, undefined, { authorization: undefined, cookie })
    assert.equal(expectOk(await read(mine.session_id, mine.cookie)).response.id, mine.session_id)
    assert.equal((await read(other.session_id, mine.cookie)).status, 401)
  })
})

describe('the session tokens in a client', () => {
  const origin = 'http://127.0.0.1:4101'
  interface Session {
    id: string
    last_active_at: number
    last_active_token: { jwt: string } | null
  }
  const clientOf = async (server: TestServer, headers: Record<string, string>, query = '') =>
    expectOk(await server.call('GET', `/v1/client${query}`, undefined, { authorization: undefined, ...headers }))
      .response.sessions as Session[]

  it('exist for each session, name the requesting page, and are in every answer that has the client', async () => {
    await using server = await testServer()
    const { cookie, ids } = await twoSessions(server)
    const last = ids.at(-1)
    const answers = [
      await clientOf(server, { cookie, origin }),
      expectOk(await server.post(`/v1/client/sessions/${last}/touch`, {}, { cookie, origin })).client.sessions,
    ] as Session[][]
    for (const sessions of answers) {
      assert.equal(sessions.length, 2)
      for (const { id, last_active_token } of sessions) {
        const { sid, azp } = claimsOf(last_active_token?.jwt ?? '')
        assert.deepEqual({ sid, azp }, { sid: id, azp: origin })
      }
    }
    const { response, client } = expectOk(
      await server.post(`/v1/client/sessions/${last}/remove`, {}, { cookie, origin }),
    )
    assert.equal(response.last_active_token, null)
    assert.deepEqual(
      client.sessions.map((session: Session) => claimsOf(session.last_active_token?.jwt ?? '').sid),
      [ids[0]],
    )
  })

  it('name the page behind a proxy on its own origin, name no page if it is unknown, and are missing for an app', async () => {
    await using server = await testServer()
    const { cookie } = await server.signIn()
    const same = { cookie, 'sec-fetch-site': 'same-origin' }
    const azp = async (headers: Record<string, string>, query?: string) => {
      const [session] = await clientOf(server, headers, query)
      return session?.last_active_token && claimsOf(session.last_active_token.jwt).azp
    }
    assert.equal(await azp({ ...same, referer: `${origin}/users?tab=1` }), origin)
    for (const headers of [
      { cookie },
      same,
      { cookie, referer: `${origin}/` },
      { ...same, referer: 'https://evil.example/' },
      { ...same, referer: 'nonsense' },
    ])
      assert.equal(await azp(headers), null, JSON.stringify(headers))
    assert.equal(await azp({ authorization: cookie.replace('__client=', '') }, '?_is_native=1'), undefined)
  })

  it('count as use of the selected session when a page loads, and not when a session is read', async () => {
    await using server = await testServer()
    const { cookie, ids } = await twoSessions(server)
    const before = new Map(
      (await clientOf(server, { cookie, origin })).map(({ id, last_active_at }) => [id, last_active_at]),
    )
    const headers = { authorization: undefined, cookie, origin }
    // Both sessions began in the same millisecond, so the list has them in either order.
    const { response } = expectOk(await server.call('GET', '/v1/client', undefined, headers))
    const selected = response.last_active_session_id
    const parked = ids.find(id => id !== selected) ?? ''
    server.clock.advance(60)
    expectOk(await server.call('GET', `/v1/client/sessions/${selected}`, undefined, headers))
    const used = async (id: string) => expectOk(await server.call('GET', `/v1/sessions/${id}`)).last_active_at
    assert.equal(await used(selected), before.get(selected))
    await clientOf(server, { cookie, origin })
    assert.equal(await used(selected), server.clock.now())
    assert.equal(await used(parked), before.get(parked))
  })

  it('are missing for a session whose user is blocked', async () => {
    await using server = await testServer()
    const { cookie, user_id } = await server.signIn()
    expectOk(await server.call('POST', `/v1/users/${user_id}/lock`))
    const [session] = await clientOf(server, { cookie, origin })
    assert.equal(session?.last_active_token, null)
  })
})

describe('the __client_uat cookie for the app’s server', () => {
  const env = {
    STAGEDOOR_PUBLIC_URL: 'https://auth.example.co.uk',
    STAGEDOOR_SIGN_IN_URL: 'https://app.example.co.uk/sign-in',
    STAGEDOOR_ALLOWED_ORIGINS:
      'https://auth.example.co.uk,https://example.co.uk,https://a.b.example.co.uk,https://app.example.org,https://10.0.0.1',
  }
  const signInFrom = async (server: TestServer, origin: string | undefined, query = '') => {
    const { token } = await server.createActorToken()
    const answer = await server.post(`/v1/client/sign_ins${query}`, { strategy: 'ticket', ticket: token }, { origin })
    return { answer, uat: Math.floor(expectOk(answer).client.updated_at / 1_000) }
  }

  it('is the time of the last change, on the domain that the page shares with the server; the client cookie comes last', async () => {
    await using server = await testServer({ env })
    for (const [origin, domain] of [
      ['https://app.example.co.uk', '; Domain=example.co.uk'],
      ['https://a.b.example.co.uk', '; Domain=example.co.uk'],
      ['https://example.co.uk', '; Domain=example.co.uk'],
      ['https://auth.example.co.uk', ''],
    ] as const) {
      const { answer, uat } = await signInFrom(server, origin)
      const [told, own = '', ...more] = answer.headers.getSetCookie()
      assert.equal(told, `__client_uat=${uat}; Path=/; Max-Age=31536000; SameSite=Lax${domain}; Secure`, origin)
      assert.match(own, /^__client=[^;]+; .*HttpOnly/)
      assert.deepEqual(more, [])
    }
  })

  it('is not set for a page on another site or for a request without a page', async () => {
    await using server = await testServer({ env })
    for (const origin of ['https://app.example.org', 'https://10.0.0.1', undefined]) {
      const { answer } = await signInFrom(server, origin)
      assert.match(answer.headers.getSetCookie().join('|'), /^__client=[^|]+$/, origin)
    }
    assert.deepEqual((await signInFrom(server, undefined, '?_is_native=1')).answer.headers.getSetCookie(), [])
  })

  it('is 0 once no user is signed in, for every way to sign out', async () => {
    await using server = await testServer()
    const origin = 'http://127.0.0.1:4101'
    const zero = '__client_uat=0; Path=/; Max-Age=31536000; SameSite=Lax'
    const told = (answer: { headers: Headers }) =>
      answer.headers.getSetCookie().filter(cookie => cookie.startsWith('__client_uat'))
    for (const leave of [
      ({ session_id }: { session_id: string }) => `/v1/client/sessions/${session_id}/remove`,
      ({ session_id }: { session_id: string }) => `/v1/client/sessions/${session_id}/end`,
      () => '/v1/client/sessions?_method=DELETE',
      () => '/v1/client?_method=DELETE',
    ]) {
      const signedIn = await server.signIn()
      const headers = { cookie: signedIn.cookie, origin }
      assert.deepEqual(told(await server.post(leave(signedIn), {}, headers)), [zero])
    }
    const { session_id, cookie } = await server.signIn()
    expectOk(await server.call('POST', `/v1/sessions/${session_id}/revoke`))
    for (const headers of [{ cookie, origin }, { origin }])
      assert.deepEqual(
        told(await server.call('GET', '/v1/client', undefined, { authorization: undefined, ...headers })),
        [zero],
      )
  })

  it('is set by a handshake too, if a cookie of that domain would conflict with the app’s own', async () => {
    await using server = await testServer({ env })
    const { answer, uat } = await signInFrom(server, 'https://app.example.co.uk')
    const told = async (redirect_url: string, cookie: string | undefined) => {
      const path = `/v1/client/handshake?${new URLSearchParams({ format: 'nonce', redirect_url })}`
      const { headers } = await server.call('GET', path, undefined, { authorization: undefined, cookie })
      return headers.getSetCookie().map(each => each.split('; Path=/')[0])
    }
    assert.deepEqual(await told('https://app.example.co.uk/', cookieOf(answer)), [`__client_uat=${uat}`])
    assert.deepEqual(await told('https://app.example.co.uk/', undefined), ['__client_uat=0'])
    assert.deepEqual(await told('https://app.example.org/', cookieOf(answer)), [])
  })
})
