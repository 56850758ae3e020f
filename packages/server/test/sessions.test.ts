import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { claimsOf } from '../../../test/support/jwt.ts'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const mint = (server: TestServer, { session_id, cookie }: { session_id: string; cookie: string }) =>
  server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie })

const touch = (
  server: TestServer,
  { session_id, cookie }: { session_id: string; cookie: string },
  intent = 'select_session',
) => server.post(`/v1/client/sessions/${session_id}/touch`, { active_organization_id: '', intent }, { cookie })

const read = async (server: TestServer, id: string) => expectOk(await server.call('GET', `/v1/sessions/${id}`))

describe('an actor session', () => {
  it('shows servers why the actor acts, also in lists, and after a backend redeemed the ticket', async () => {
    await using server = await testServer()
    const why = { reason: 'The export fails', reason_category: 'incident', ticket: 'https://help.example/T-1' }
    const nothing = { reason: null, reason_category: null, ticket: null }
    const shown = ({ reason, reason_category, ticket }: Record<string, unknown>) => ({
      reason,
      reason_category,
      ticket,
    })
    const { session_id, user_id, client_id } = await server.signIn(why)
    assert.deepEqual(shown(await read(server, session_id)), why)
    const [listed] = expectOk(await server.call('GET', `/v1/sessions?user_id=${user_id}`))
    assert.deepEqual(shown(listed), why)
    const client = expectOk(await server.call('GET', `/v1/clients/${client_id}`))
    assert.deepEqual(shown(client.sessions[0]), why)

    const { token } = await server.createActorToken({ user_id, actor: { sub: 'a', ticket: 'T-2' } })
    const { session } = expectOk(await server.call('POST', '/v1/actor_tokens/accept', { ticket: token }))
    assert.deepEqual(shown(session), { ...nothing, ticket: 'T-2' }, 'of an actor payload, as policies read it')
    const revoked = expectOk(await server.call('POST', `/v1/sessions/${session_id}/revoke`, { reason: 'Left' }))
    assert.deepEqual(shown(revoked), why)
    const own = expectOk(await server.call('POST', '/v1/sessions', { user_id }))
    assert.deepEqual(shown(own), nothing)
  })

  it('ends exactly at its maximum duration, even if it is used', async () => {
    await using server = await testServer()
    const session = await server.signIn({ session_max_duration_in_seconds: 1_800 })
    const { expire_at } = await read(server, session.session_id)
    for (let minute = 0; minute < 29; minute++) {
      server.clock.advance(60)
      assert.equal((await touch(server, session)).status, 200)
      assert.equal((await mint(server, session)).status, 200)
    }
    server.clock.set(expire_at - 1)
    const last = await mint(server, session)
    assert.equal(last.status, 200)
    assert.ok(claimsOf(last.body.jwt).exp * 1_000 <= expire_at, 'no token outlives the session')
    assert.equal((await read(server, session.session_id)).expire_at, expire_at)

    server.clock.set(expire_at)
    assert.equal(
      (await read(server, session.session_id)).status,
      'expired',
      'the session is expired even before its end is stored',
    )
    assert.equal((await mint(server, session)).status, 401)
    assert.equal((await touch(server, session)).status, 401)

    server.clock.set(expire_at - 3_600_000)
    assert.equal((await mint(server, session)).status, 401, 'setting the clock back revives nothing')
    assert.equal((await read(server, session.session_id)).status, 'expired')
    assert.deepEqual(
      (await server.auditEvents({ session_id: session.session_id, outcome: 'done' })).map(event => event.action),
      ['session.expire', 'actor_token.accept'],
    )
  })

  it('ends after 600 s without use; touch and new tokens count as use', async () => {
    await using server = await testServer()
    const session = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    for (const use of [touch, mint, touch, mint]) {
      server.clock.advance(599)
      assert.equal((await use(server, session)).status, 200, use.name)
    }
    server.clock.advance(600)
    assert.equal((await mint(server, session)).status, 401)
    assert.equal((await read(server, session.session_id)).status, 'abandoned')
    server.clock.advance(-600)
    assert.equal((await mint(server, session)).status, 401, 'setting the clock back revives nothing')
  })

  it('ends at its idle limit even if its status is read all the time: only use extends it', async () => {
    await using server = await testServer()
    const used = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    const asked = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    const tokens = (id: string, body?: object) => server.call('POST', `/v1/sessions/${id}/tokens`, body)
    for (let seconds = 0; seconds < 600; seconds += 60) {
      for (const id of [used, asked].map(session => session.session_id)) {
        assert.equal((await tokens(id, { counts_as_use: false })).status, 200)
        expectOk(await server.call('GET', `/v1/sessions/${id}`))
      }
      expectOk(await server.call('GET', '/v1/sessions?status=active'))
      if (seconds === 300) expectOk(await tokens(used.session_id))
      server.clock.advance(60)
    }
    assert.equal((await tokens(asked.session_id, { counts_as_use: false })).status, 401)
    assert.equal((await read(server, asked.session_id)).status, 'abandoned')
    assert.equal((await tokens(used.session_id, { counts_as_use: false })).status, 200)
  })

  it('keeps its last activity over a restart that clears memory', async () => {
    await using server = await testServer()
    const session = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    const { activity, store } = server.stagedoor.services
    server.clock.advance(500)
    await mint(server, session)
    assert.equal(
      (await store.sessions.find(session.session_id))?.last_active_at,
      server.clock.now() - 500_000,
      'the mint does not write the activity',
    )
    await activity.flush(store)
    const written = await store.sessions.find(session.session_id)
    assert.equal(written?.last_active_at, server.clock.now())
    assert.equal(written?.abandon_at, server.clock.now() + 600_000)
    assert.equal(activity.pending(session.session_id), undefined)
  })

  it('is reported, listed for its browser and kept as long as it is used, even before its use is written', async () => {
    await using server = await testServer()
    const session = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    server.clock.advance(590)
    await mint(server, session)
    server.clock.advance(20)
    assert.equal((await read(server, session.session_id)).status, 'active')
    const client = await server.call('GET', '/v1/client', undefined, {
      authorization: undefined,
      cookie: session.cookie,
    })
    assert.equal(expectOk(client).response.sessions.length, 1)
    await server.stagedoor.services.activity.flush(server.stagedoor.services.store)
    assert.equal(await overdueSessionsMarked(server), 0)
    assert.equal((await mint(server, session)).status, 200)
  })

  it('mints with one read and no write', async () => {
    await using server = await testServer()
    const session = await server.signIn()
    const { store } = server.stagedoor.services
    const before = JSON.stringify([
      await store.sessions.find(session.session_id),
      await store.clients.find(session.client_id),
      await store.users.find(session.user_id),
      (await server.auditEvents()).length,
    ])
    for (let i = 0; i < 20; i++) assert.equal((await mint(server, session)).status, 200)
    const after = JSON.stringify([
      await store.sessions.find(session.session_id),
      await store.clients.find(session.client_id),
      await store.users.find(session.user_id),
      (await server.auditEvents()).length,
    ])
    assert.equal(after, before)
  })

  it('does not change the user’s own last-seen time', async () => {
    await using server = await testServer()
    const session = await server.signIn()
    server.clock.advance(60)
    await mint(server, session)
    await server.stagedoor.services.activity.flush(server.stagedoor.services.store)
    const user = expectOk(await server.call('GET', `/v1/users/${session.user_id}`))
    assert.equal(user.last_active_at, null)
    assert.equal(user.last_sign_in_at, null)
  })

  it('belongs to one browser: another one cannot mint, touch, end or see it', async () => {
    await using server = await testServer()
    const mine = await server.signIn()
    const other = await server.signIn()
    for (const verb of ['tokens', 'touch', 'end', 'remove']) {
      for (const cookie of [other.cookie, '', '__client=', '__client=x.y.z']) {
        const answer = await server.post(`/v1/client/sessions/${mine.session_id}/${verb}`, {}, { cookie })
        assert.equal(answer.status, 401, `${verb} ${cookie}`)
        assert.deepEqual(answer.codes, ['authentication_invalid'])
      }
    }
    assert.equal((await read(server, mine.session_id)).status, 'active')
    const seen = expectOk(
      await server.call('GET', '/v1/client', undefined, { authorization: undefined, cookie: other.cookie }),
    )
    assert.deepEqual(
      seen.response.sessions.map((session: { id: string }) => session.id),
      [other.session_id],
    )
  })

  it('cannot be used after end, remove or revoke', async () => {
    await using server = await testServer()
    for (const [path, status] of [
      ['client/sessions/ID/end', 'ended'],
      ['client/sessions/ID/remove', 'removed'],
      ['sessions/ID/revoke', 'revoked'],
    ] as const) {
      const session = await server.signIn()
      const end = () => {
        const address = `/v1/${path.replace('ID', session.session_id)}`
        return path.startsWith('client')
          ? server.post(address, {}, { cookie: session.cookie })
          : server.call('POST', address)
      }
      const answer = expectOk(await end())
      assert.equal((answer.response ?? answer).status, status)
      for (let again = 0; again < 3; again++) {
        assert.equal((await read(server, session.session_id)).status, status)
        assert.equal((await mint(server, session)).status, 401)
        assert.equal((await server.call('POST', `/v1/sessions/${session.session_id}/tokens`)).status, 401)
        await end()
        await server.call('POST', `/v1/sessions/${session.session_id}/revoke`)
        server.clock.advance(100_000)
      }
      const changes = (await server.auditEvents({ session_id: session.session_id, outcome: 'done' })).map(
        event => event.action,
      )
      assert.equal(changes.length, 2, `${changes}`)
    }
  })

  it('gives a secret key tokens of any lifetime that fits within the session', async () => {
    await using server = await testServer()
    const { session_id } = await server.signIn({ session_max_duration_in_seconds: 1_800 })
    const tokens = (body?: unknown) => server.call('POST', `/v1/sessions/${session_id}/tokens`, body)
    const now = server.clock.now() / 1_000
    assert.equal(claimsOf(expectOk(await tokens()).jwt).exp, now + 60)
    assert.equal(claimsOf(expectOk(await tokens({})).jwt).exp, now + 60)
    assert.equal(claimsOf(expectOk(await tokens({ expires_in_seconds: null })).jwt).exp, now + 60)
    assert.equal(claimsOf(expectOk(await tokens({ expires_in_seconds: 600 })).jwt).exp, now + 600)
    assert.equal(claimsOf(expectOk(await tokens({ expires_in_seconds: 315_360_000 })).jwt).exp, now + 1_800)
    assert.equal('azp' in claimsOf(expectOk(await tokens()).jwt), false)
    for (const expires_in_seconds of [29, 0, -1, 1.5, '60', 315_360_001]) {
      assert.equal((await tokens({ expires_in_seconds })).status, 422, String(expires_in_seconds))
    }
    assert.equal((await server.call('POST', '/v1/sessions/sess_none/tokens')).status, 404)
  })
})

describe('a session of the user’s own', () => {
  it('has no actor, has Clerk’s lifetime, and updates the user’s last-seen time', async () => {
    await using server = await testServer()
    const user = await server.createUser()
    const token = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: user.id }))
    const signedIn = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token })
    const session = expectOk(signedIn).client.sessions[0]
    assert.equal(session.actor, null)
    assert.equal(session.expire_at - session.created_at, 7 * 86_400_000)
    server.clock.advance(601)
    const jwt = expectOk(await server.call('POST', `/v1/sessions/${session.id}/tokens`)).jwt
    assert.equal('act' in claimsOf(jwt), false)
    assert.deepEqual(claimsOf(jwt).fva, [10, -1])
    const seen = expectOk(await server.call('GET', `/v1/users/${user.id}`))
    assert.equal(seen.last_sign_in_at, session.created_at)
    await server.stagedoor.services.activity.flush(server.stagedoor.services.store)
    assert.equal(expectOk(await server.call('GET', `/v1/users/${user.id}`)).last_active_at, server.clock.now())
  })

  it('can be started without a ticket in development only', async () => {
    await using development = await testServer()
    const user = await development.createUser()
    assert.equal(expectOk(await development.call('POST', '/v1/sessions', { user_id: user.id })).status, 'active')
    assert.equal((await development.call('POST', '/v1/sessions', { user_id: 'user_none' })).status, 404)

    const secret = `sk_live_${'0123456789abcdef'.repeat(3)}`
    await using production = await testServer({
      env: { STAGEDOOR_ENVIRONMENT: 'production', STAGEDOOR_SECRET_KEY: secret },
    })
    const authorization = `Bearer ${secret}`
    const other = expectOk(await production.call('POST', '/v1/users', {}, { authorization }))
    const refused = await production.call('POST', '/v1/sessions', { user_id: other.id }, { authorization })
    assert.deepEqual([refused.status, refused.codes], [400, ['development_only']])
  })
})

describe('a user who may not sign in', () => {
  it('is refused when a token is created, redeemed or minted', async () => {
    await using server = await testServer()
    for (const [verb, undo, code] of [
      ['ban', 'unban', 'user_banned'],
      ['lock', 'unlock', 'user_locked'],
    ] as const) {
      const session = await server.signIn()
      const pending = await server.createActorToken({ user_id: session.user_id })
      await server.call('POST', `/v1/users/${session.user_id}/${verb}`)

      const created = await server.call('POST', '/v1/actor_tokens', { user_id: session.user_id, actor: { sub: 'x' } })
      assert.deepEqual([created.status, created.codes], [403, [code]])
      const redeemed = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: pending.token })
      // A ban also revokes the tokens; a lock leaves them unchanged.
      assert.deepEqual(redeemed.codes, [verb === 'ban' ? 'actor_token_revoked_code' : code])
      assert.equal((await mint(server, session)).status, 401)

      await server.call('POST', `/v1/users/${session.user_id}/${undo}`)
      assert.equal(
        (await mint(server, session)).status,
        verb === 'ban' ? 401 : 200,
        'a ban ends sessions, a lock suspends them',
      )
      const again = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: pending.token })
      assert.equal(again.status, verb === 'ban' ? 400 : 200)
    }
  })

  it('cannot be read after deletion, nor can the user’s sessions and tickets', async () => {
    await using server = await testServer()
    const session = await server.signIn()
    const pending = await server.createActorToken({ user_id: session.user_id })
    assert.equal((await server.call('DELETE', `/v1/users/${session.user_id}`)).status, 200)
    assert.equal((await mint(server, session)).status, 401)
    assert.deepEqual((await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: pending.token })).codes, [
      'actor_token_revoked_code',
    ])
    assert.equal(
      (await server.call('POST', '/v1/actor_tokens', { user_id: session.user_id, actor: { sub: 'x' } })).status,
      404,
    )
    assert.equal((await read(server, session.session_id)).status, 'revoked')
  })

  it('cannot act as others while locked', async () => {
    await using server = await testServer()
    const operator = await server.createUser()
    const session = await server.signIn({ actor: { sub: operator.id } })
    await server.call('POST', `/v1/users/${operator.id}/lock`)
    assert.equal((await mint(server, session)).status, 401)
    assert.equal((await touch(server, session)).status, 401)
    await server.call('POST', `/v1/users/${operator.id}/unlock`)
    assert.equal((await mint(server, session)).status, 200)
  })

  it('loses the sessions as others too when banned', async () => {
    await using server = await testServer()
    const operator = await server.createUser()
    const session = await server.signIn({ actor: { sub: operator.id } })
    const pending = await server.createActorToken({ actor: { sub: operator.id } })
    await server.call('POST', `/v1/users/${operator.id}/ban`)
    assert.equal((await mint(server, session)).status, 401)
    assert.deepEqual((await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: pending.token })).codes, [
      'actor_token_revoked_code',
    ])
    const refused = await server.call('POST', '/v1/actor_tokens', {
      user_id: session.user_id,
      actor: { sub: operator.id },
    })
    assert.deepEqual([refused.status, refused.codes], [403, ['actor_banned']])
  })
})

describe('a client', () => {
  it('holds several sessions; a new sign-in replaces its token and the old cookie becomes invalid', async () => {
    await using server = await testServer()
    const first = await server.signIn()
    const token = await server.createActorToken()
    const answer = await server.post(
      '/v1/client/sign_ins',
      { strategy: 'ticket', ticket: token.token },
      { cookie: first.cookie },
    )
    const { client } = expectOk(answer)
    assert.equal(client.id, first.client_id)
    assert.equal(client.sessions.length, 2)
    assert.equal(
      client.last_active_session_id,
      client.sessions.find((session: { id: string }) => session.id !== first.session_id).id,
    )
    const cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? ''
    assert.notEqual(cookie, first.cookie)
    assert.equal((await mint(server, first)).status, 401)
    assert.equal((await mint(server, { session_id: first.session_id, cookie })).status, 200)
    assert.deepEqual(
      (await server.call('GET', '/v1/client', undefined, { authorization: undefined, cookie: first.cookie })).body,
      { response: null, client: null },
    )

    const focused = expectOk(await touch(server, { session_id: first.session_id, cookie }, 'focus'))
    assert.equal(
      focused.client.last_active_session_id,
      client.last_active_session_id,
      'reading the client selects no session',
    )
    const touched = expectOk(await touch(server, { session_id: first.session_id, cookie }))
    assert.equal(touched.client.last_active_session_id, first.session_id)
    const selections = async () => (await server.auditEvents({ action: 'session.select' })).length
    assert.equal(await selections(), 1)
    await touch(server, { session_id: first.session_id, cookie })
    assert.equal(await selections(), 1, 'selecting the active session writes no further event')

    const left = expectOk(await server.post(`/v1/client/sessions/${first.session_id}/remove`, {}, { cookie }))
    assert.equal(left.client.sessions.length, 1, 'the other session is still there')
  })

  it('sets its cookie with the right attributes', async () => {
    for (const [public_url, secure] of [
      ['http://127.0.0.1:4100', false],
      ['https://auth.example.com', true],
    ] as const) {
      await using server = await testServer({ env: { STAGEDOOR_PUBLIC_URL: public_url } })
      const token = await server.createActorToken()
      const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token })
      const attributes = (answer.headers.get('set-cookie') ?? '').split('; ').slice(1).sort()
      assert.deepEqual(
        attributes,
        ['HttpOnly', 'Max-Age=34560000', 'Path=/', 'SameSite=Lax', ...(secure ? ['Secure'] : [])].sort(),
      )
    }
  })

  it('is read and verified by a secret key', async () => {
    await using server = await testServer()
    const session = await server.signIn()
    const client = expectOk(await server.call('GET', `/v1/clients/${session.client_id}`))
    assert.deepEqual(client.session_ids, [session.session_id])
    const token = session.cookie.replace('__client=', '')
    assert.deepEqual(expectOk(await server.call('POST', '/v1/clients/verify', { token })), client)
    assert.equal((await server.call('POST', '/v1/clients/verify', { token: `${token}x` })).status, 401)
    assert.equal((await server.call('GET', '/v1/clients/client_none')).status, 404)
  })
})

describe('the origins of pages', () => {
  it('must be allowed origins; a form posted from elsewhere redeems nothing', async () => {
    await using server = await testServer({
      env: { STAGEDOOR_ALLOWED_ORIGINS: 'https://app.example.com', STAGEDOOR_ENVIRONMENT: 'development' },
    })
    const token = await server.createActorToken()
    const redeem = (headers: Record<string, string>) =>
      server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token }, headers)
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'https://app.example.com.evil.example' },
      { origin: 'https://app.example.com:444' },
      { origin: 'http://app.example.com' },
      { origin: 'http://localhost.evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const answer = await redeem(headers as unknown as Record<string, string>)
      assert.deepEqual([answer.status, answer.codes], [400, ['origin_invalid']], JSON.stringify(headers))
      assert.equal(answer.headers.get('access-control-allow-origin'), null)
    }
    const allowed = await redeem({ origin: 'https://app.example.com' })
    assert.equal(allowed.status, 200)
    assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example.com')
    assert.equal(allowed.headers.get('access-control-allow-credentials'), 'true')
    assert.equal(allowed.headers.get('vary'), 'Origin')
  })
})

describe('the list of sessions', () => {
  it('filters by user, client, actor and current status', async () => {
    await using server = await testServer()
    const short = await server.signIn({ session_max_duration_in_seconds: 300 })
    const long = await server.signIn({ user_id: short.user_id, session_max_duration_in_seconds: 3_600 })
    const other = await server.signIn({ actor: { sub: 'someone_else' } })
    const ids = async (query: string) =>
      expectOk(await server.call('GET', `/v1/sessions?${query}`)).map((session: { id: string }) => session.id)
    assert.deepEqual((await ids(`user_id=${short.user_id}`)).sort(), [short.session_id, long.session_id].sort())
    assert.deepEqual(await ids(`client_id=${other.client_id}`), [other.session_id])
    assert.deepEqual(await ids('actor_sub=someone_else'), [other.session_id])
    server.clock.advance(301)
    assert.deepEqual(await ids(`user_id=${short.user_id}&status=active`), [long.session_id])
    assert.deepEqual(await ids(`user_id=${short.user_id}&status=expired`), [short.session_id])
    assert.deepEqual(await ids('status=revoked'), [])
    const page = expectOk(await server.call('GET', '/v1/sessions?paginated=true&limit=1&offset=1'))
    assert.equal(page.total_count, 3)
    assert.equal(page.data.length, 1)
    assert.equal(await overdueSessionsMarked(server), 1)
    assert.equal(await overdueSessionsMarked(server), 0)
  })
})

async function overdueSessionsMarked(server: TestServer): Promise<number> {
  const { finishOverdueSessions } = await import('../src/domain/sessions.ts')
  return finishOverdueSessions(server.stagedoor.context({ type: 'system', id: null }), { limit: 100 })
}
