import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import { cookieOf, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const PATHS = [
  '/v1/me',
  '/v1/me/sessions',
  '/v1/me/sessions/active',
  '/v1/me/email_addresses',
  '/v1/me/phone_numbers',
  '/v1/me/organization_memberships',
]

const get = (server: TestServer, path: string, cookie?: string) =>
  server.call('GET', path, undefined, { authorization: undefined, cookie })

/** Starts a session of the user's own in a browser; in the browser with this cookie, if one is given. */
async function signInAs(server: TestServer, user_id: string, cookie?: string) {
  const { token } = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id }))
  const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }, { cookie })
  return { session_id: expectOk(answer).response.created_session_id as string, cookie: cookieOf(answer) }
}

describe('/v1/me', () => {
  it('returns the user of the session, without private fields', async () => {
    await using server = await testServer({ env })
    const user = await server.createUser({
      first_name: 'Ada',
      email_address: ['ada@example.com', 'second@example.com'],
      phone_number: ['+15555550100'],
      public_metadata: { a: 1 },
      private_metadata: { secret: 'of the private metadata' },
    })
    const { cookie, session_id } = await signInAs(server, user.id)
    const me = expectOk(await get(server, '/v1/me?__clerk_api_version=2026-08-20&_clerk_js_version=6.40.0', cookie))
    const { private_metadata: _, ...seen } = expectOk(await server.call('GET', `/v1/users/${user.id}`))
    assert.deepEqual(me.response, seen)
    assert.deepEqual(
      me.client.sessions.map((session: { id: string }) => session.id),
      [session_id],
    )
    assert.deepEqual(expectOk(await get(server, '/v1/me/email_addresses', cookie)), user['email_addresses'])
    assert.deepEqual(expectOk(await get(server, '/v1/me/phone_numbers', cookie)), user['phone_numbers'])
    const none = await get(server, '/v1/me/organization_memberships', cookie)
    assert.deepEqual([expectOk(none).response, none.body.client.id], [[], me.client.id])
    const paged = await get(server, '/v1/me/organization_memberships?paginated=true&limit=10&offset=0', cookie)
    assert.deepEqual(expectOk(paged).response, { data: [], total_count: 0 })
    for (const path of PATHS) assert.ok(!(await get(server, path, cookie)).text.includes('private'), path)
  })

  it('S8 shows the user every session on every device, and who acted in it', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser({ username: 'ada' })
    const own = await signInAs(server, user_id)
    server.clock.advance(1)
    const actor = { sub: 'user_operator', name: 'Olivia', nested: { a: [1, null] } }
    const why = { reason: 'of the request', reason_category: 'category', ticket: 'ticket of the request' }
    const acted = await server.signIn({ user_id, actor, ...why })
    server.clock.advance(1)
    const other = await signInAs(server, user_id)
    await server.signIn()
    await server.call('POST', `/v1/sessions/${other.session_id}/revoke`)

    const all = expectOk(await get(server, '/v1/me/sessions', own.cookie))
    assert.deepEqual(
      all.map((session: { id: string; status: string; actor: unknown }) => [session.id, session.status, session.actor]),
      [
        [other.session_id, 'revoked', null],
        [acted.session_id, 'active', actor],
        [own.session_id, 'active', null],
      ],
    )
    for (const name of Object.keys(why)) assert.equal(name in all[1], false, `the user does not see the ${name}`)
    const active = expectOk(await get(server, '/v1/me/sessions/active', own.cookie))
    assert.deepEqual(active, all.slice(1))
    assert.deepEqual(active[0].latest_activity, {
      object: 'session_activity',
      id: acted.session_id.replace('sess_', 'sact_'),
      is_mobile: false,
    })
    assert.equal(active[0].public_user_data.identifier, 'ada')
    assert.equal('user' in active[0], false)

    server.clock.advance(600)
    assert.deepEqual(
      expectOk(await get(server, '/v1/me/sessions/active', own.cookie)).map((session: { id: string }) => session.id),
      [own.session_id],
      'the actor’s session has reached its idle limit',
    )
  })

  it('counts a recently used session as active before its use is written to the database', async () => {
    await using server = await testServer({ env })
    const session = await server.signIn({ session_max_duration_in_seconds: 3_600 })
    server.clock.advance(599)
    assert.equal((await server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, session)).status, 200)
    server.clock.advance(10)
    const active = expectOk(await get(server, '/v1/me/sessions/active', session.cookie))
    assert.deepEqual(
      active.map(({ id, status }: { id: string; status: string }) => [id, status]),
      [[session.session_id, 'active']],
    )
  })

  it('uses the named session, by default the selected one, and only sessions of this browser', async () => {
    await using server = await testServer({ env })
    const [ada, bob, eve] = [await server.createUser(), await server.createUser(), await server.createUser()]
    const first = await signInAs(server, ada.id)
    const second = await signInAs(server, bob.id, first.cookie)
    const stranger = await signInAs(server, eve.id)
    const { cookie } = second
    const who = async (query = '') => (await get(server, `/v1/me${query}`, cookie)).body.response?.id
    assert.equal(await who(), bob.id)
    assert.equal(await who(`?_clerk_session_id=${first.session_id}`), ada.id)
    expectOk(await server.post(`/v1/client/sessions/${first.session_id}/touch`, {}, { cookie }))
    assert.equal(await who(), ada.id)
    // Someone may have planted a second cookie next to this server's.
    const planted = await get(server, '/v1/me', `${stranger.cookie}x; __client=x; ${cookie}`)
    assert.equal(expectOk(planted).response.id, ada.id)

    for (const path of PATHS) {
      for (const id of [stranger.session_id, 'sess_nothing', first.session_id.toLowerCase()]) {
        const answer = await get(server, `${path}?_clerk_session_id=${id}`, cookie)
        assert.deepEqual([answer.status, answer.codes], [401, ['authentication_invalid']], `${path} ${id}`)
      }
      const twice = `_clerk_session_id=${first.session_id}&_clerk_session_id=${second.session_id}`
      assert.deepEqual((await get(server, `${path}?${twice}`, cookie)).codes, ['form_param_value_invalid'])
    }
  })

  it('is 401 for a browser that is signed out in any way', async () => {
    await using server = await testServer({ env })
    const signedOut = async (cookie: string | undefined, what: string, query = '') => {
      for (const path of PATHS) {
        const answer = await get(server, path + query, cookie)
        assert.deepEqual([answer.status, answer.codes], [401, ['authentication_invalid']], `${path} ${what}`)
      }
    }
    await signedOut(undefined, 'no cookie')
    await signedOut('__client=', 'an empty cookie')
    await signedOut('__client=a.b.c', 'nonsense')
    const session = await server.signIn()
    const named = `?_clerk_session_id=${session.session_id}`
    for (const verb of ['lock', 'ban'] as const) {
      await server.call('POST', `/v1/users/${session.user_id}/${verb}`)
      await signedOut(session.cookie, verb)
      await signedOut(session.cookie, verb, named)
      await server.call('POST', `/v1/users/${session.user_id}/un${verb}`)
      if (verb === 'lock') assert.equal((await get(server, '/v1/me', session.cookie)).status, 200)
    }
    const operator = await server.createUser()
    const acting = await server.signIn({ actor: { sub: operator.id } })
    await server.call('POST', `/v1/users/${operator.id}/lock`)
    await signedOut(acting.cookie, 'a locked actor')
    const idle = await server.signIn()
    server.clock.advance(600)
    await signedOut(idle.cookie, 'idle')
    const renewed = await server.signIn()
    await signInAs(server, renewed.user_id, renewed.cookie)
    await signedOut(renewed.cookie, 'a cookie replaced since')
    const foreign = await server.call('GET', '/v1/me', undefined, { origin: 'https://evil.example' })
    assert.deepEqual(foreign.codes, ['origin_invalid'])
  })

  it('changes nothing and does not count as use of the session', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const session = await server.signIn()
    const contents = () =>
      ['users', 'clients', 'sessions', 'audit_events'].map(table => database.rows(`select * from ${table}`))
    const before = contents()
    server.clock.advance(590)
    for (const path of PATHS) {
      assert.equal((await get(server, path, session.cookie)).status, 200)
      await server.call('HEAD', path, undefined, { authorization: undefined, cookie: session.cookie })
    }
    await server.stagedoor.services.activity.flush(server.stagedoor.services.store)
    assert.deepEqual(contents(), before)
    server.clock.advance(10)
    assert.equal((await get(server, '/v1/me', session.cookie)).status, 401)
    assert.deepEqual(contents(), before)
  })

  it('can only be read', async () => {
    await using server = await testServer({ env })
    const { cookie, session_id } = await server.signIn()
    for (const [method, path] of [
      ['PATCH', '/v1/me'],
      ['DELETE', '/v1/me'],
      ['POST', '/v1/me?_method=PATCH'],
      ['POST', '/v1/me?_method=DELETE'],
      ['POST', '/v1/me/email_addresses'],
      ['POST', '/v1/me/phone_numbers'],
      ['POST', '/v1/me/change_password'],
      ['POST', `/v1/me/sessions/${session_id}/revoke`],
      ['POST', '/v1/me/organization_memberships'],
    ] as const) {
      const answer = await server.call(method, path, undefined, { authorization: undefined, cookie })
      const there = !/change_password|revoke/.test(path)
      assert.equal(answer.status, there ? 405 : 404, `${method} ${path}`)
    }
  })
})
