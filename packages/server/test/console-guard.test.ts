import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CONSOLE, FROM_CONSOLE, operatorOf } from '../../../test/support/operators.ts'
import { expectOk, SECRET_KEY, sharedServer, testServer } from '../../../test/support/server.ts'
import { bapi } from '../src/contract/bapi.ts'
import { consoleOperations, forAnyOperator } from '../src/contract/console.ts'
import { fapi } from '../src/contract/fapi.ts'
import { ROLES, type Role } from '../src/contract/operation.ts'
import { bodyOf, unknownPath } from './operations.ts'

/** The guard of the console: docs/decisions/0026-console-guard.md. */

const refused = (answer: { status: number; codes: string[] }) => `${answer.status} ${answer.codes[0] ?? ''}`.trim()
const NOT_THE_CONSOLE = '403 console_request_invalid'

describe('which requests the console accepts', () => {
  const shared = sharedServer()

  const SITES = [undefined, 'same-origin', 'same-site', 'cross-site', 'none']
  const ORIGINS = [undefined, CONSOLE, 'http://localhost:9999', 'http://127.0.0.1:4100', 'https://evil.example', 'null']
  const TYPES = [
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    undefined,
  ]

  it('a GET: only same-origin, or without that header only with the origin of the console', async () => {
    const operator = await operatorOf(shared(), 'admin')
    for (const site of SITES)
      for (const origin of ORIGINS) {
        const headers = { 'sec-fetch-site': site, origin, 'content-type': undefined }
        const answer = await operator.call('GET', '/v1/users', undefined, headers)
        const isFine =
          site === undefined ? origin === CONSOLE : site === 'same-origin' && (!origin || origin === CONSOLE)
        assert.equal(refused(answer), isFine ? '200' : NOT_THE_CONSOLE, `${site} ${origin}`)
        assert.equal(answer.headers.get('access-control-allow-origin'), null)
        const head = await operator.call('HEAD', '/v1/users', undefined, headers)
        assert.equal(head.status, isFine ? 200 : 403)
      }
  })

  it('every other method: also with the origin of the console, and with JSON', async () => {
    const operator = await operatorOf(shared(), 'admin')
    const user = await shared().createUser()
    for (const site of SITES)
      for (const origin of ORIGINS)
        for (const type of TYPES) {
          const headers = { 'sec-fetch-site': site, origin, 'content-type': type }
          const answer = await operator.call(
            'POST',
            `/v1/users/${user.id}/lock`,
            type === undefined ? undefined : '{}',
            headers,
          )
          const ours = origin === CONSOLE && (site === undefined || site === 'same-origin')
          const expected = !ours
            ? NOT_THE_CONSOLE
            : type === 'application/json'
              ? '200'
              : '415 unsupported_content_type'
          assert.equal(refused(answer), expected, `${site} ${origin} ${type}`)
        }
  })

  it('only at its own host', async () => {
    const operator = await operatorOf(shared(), 'admin')
    for (const host of ['127.0.0.1:4100', 'evil.example', 'localhost:4101', 'localhost'])
      assert.equal(refused(await operator.call('GET', '/v1/users', undefined, { host })), NOT_THE_CONSOLE, host)
    assert.equal(refused(await operator.call('GET', '/v1/users', undefined, { host: 'LOCALHOST:4100' })), '200')
  })

  it('a preflight gets no permission, and no answer has CORS headers', async () => {
    for (const path of [
      '/console',
      '/console/api/me',
      '/console/api/v1/users',
      '/console/login',
      '/console/nothing/there',
    ])
      for (const origin of ['http://localhost:9999', 'http://127.0.0.1:4101', CONSOLE]) {
        const answer = await shared().call('OPTIONS', path, undefined, {
          ...FROM_CONSOLE,
          origin,
          'access-control-request-method': 'POST',
        })
        for (const [name] of answer.headers) assert.ok(!name.startsWith('access-control-'), `${path} ${name}`)
        const got = await shared().call('GET', path, undefined, { ...FROM_CONSOLE, origin })
        for (const [name] of got.headers) assert.ok(!name.startsWith('access-control-'), `${path} ${name}`)
      }
    // The same server does so elsewhere.
    const elsewhere = await shared().call('GET', '/v1/client', undefined, { origin: 'http://127.0.0.1:4101' })
    assert.equal(elsewhere.headers.get('access-control-allow-origin'), 'http://127.0.0.1:4101')
  })

  it('C2: neither a secret key inside nor the cookie outside', async () => {
    const operator = await operatorOf(shared(), 'admin')
    const key = { ...FROM_CONSOLE, authorization: `Bearer ${SECRET_KEY}` }
    for (const { method, path } of consoleOperations.filter(({ auth }) => auth === 'operator')) {
      const answer = await shared().call(
        method.toUpperCase(),
        unknownPath({ path } as never),
        method === 'get' ? undefined : {},
        key,
      )
      assert.equal(refused(answer), '401 operator_session_invalid', path)
    }
    for (const operation of bapi) {
      const path = unknownPath(operation)
      const answer = await shared().call(operation.method.toUpperCase(), path, bodyOf(operation), {
        ...FROM_CONSOLE,
        cookie: operator.cookie,
      })
      assert.equal(refused(answer), '401 authorization_header_format_invalid', path)
    }
    const me = await shared().call('GET', '/v1/client', undefined, { ...FROM_CONSOLE, cookie: operator.cookie })
    assert.equal(me.body.response, null)
  })

  it('only one session cookie, and only a whole one', async () => {
    const operator = await operatorOf(shared(), 'admin')
    const status = async (cookie: string | undefined) =>
      (await operator.call('GET', '/me', undefined, { cookie })).status
    assert.equal(await status(operator.cookie), 200)
    assert.equal(await status(`a=b; ${operator.cookie}; c=d`), 200)
    for (const cookie of [
      undefined,
      '',
      '__Host-stagedoor_operator=',
      operator.cookie.slice(0, -1),
      `${operator.cookie}x`,
      operator.cookie.replace('__Host-', ''),
      operator.cookie.replace('__Host-', '__host-'),
      `${operator.cookie}; ${operator.cookie}x`,
      `__Host-stagedoor_operator=x; ${operator.cookie}`,
    ])
      assert.equal(await status(cookie), 401, cookie)
  })

  it('a POST cannot become another method', async () => {
    const operator = await operatorOf(shared(), 'admin')
    const user = await shared().createUser()
    const answer = await operator.call('POST', `/v1/users/${user.id}?_method=DELETE`, {})
    assert.equal(answer.status, 405)
    assert.equal((await shared().call('GET', `/v1/users/${user.id}`)).status, 200)
  })

  it('a literal path is never an id, and what the Backend API does not mount does not exist', async () => {
    const operator = await operatorOf(shared(), 'admin')
    assert.equal((await operator.call('DELETE', '/v1/users/count')).status, 405)
    for (const { method, path, id } of [...bapi.filter(({ roles = [] }) => roles.length === 0), ...fapi]) {
      const answer = await operator.call(
        method.toUpperCase(),
        unknownPath({ path } as never),
        method === 'get' ? undefined : {},
      )
      assert.ok([404, 405].includes(answer.status), `${id}: ${answer.text}`)
    }
  })
})

describe('which role may call which operation', () => {
  const shared = sharedServer()

  it('every operation × every role, over HTTP', async () => {
    const operators = new Map<Role, Awaited<ReturnType<typeof operatorOf>>>()
    for (const role of ROLES) operators.set(role, await operatorOf(shared(), role))
    let decided = 0
    for (const operation of bapi) {
      for (const role of ROLES) {
        const body = operation.method === 'get' ? undefined : (bodyOf(operation) ?? {})
        const answer = await operators.get(role)?.call(operation.method.toUpperCase(), unknownPath(operation), body)
        assert.ok(answer)
        const { roles = [] } = operation
        decided += 1
        if (roles.length === 0) {
          assert.ok([404, 405].includes(answer.status), `${operation.id} ${role}: ${answer.text}`)
        } else if (roles.includes(role)) {
          assert.ok(!answer.codes.includes('operator_not_allowed') && answer.status !== 401, `${operation.id} ${role}`)
        } else {
          assert.equal(refused(answer), '403 operator_not_allowed', `${operation.id} ${role}`)
          assert.deepEqual(answer.body.errors[0].meta.roles, roles)
        }
      }
    }
    assert.equal(decided, bapi.length * ROLES.length)
  })

  it('an operator may call what `me` names', async () => {
    for (const role of ROLES) {
      const me = expectOk(await (await operatorOf(shared(), role)).call('GET', '/me'))
      const expected = forAnyOperator.filter(({ roles = [] }) => roles.includes(role)).map(({ id }) => id)
      assert.deepEqual(me.operations, expected)
      assert.deepEqual(
        [me.object, me.role, me.operator.role, me.settings.environment],
        ['operator_session', role, role, 'development'],
      )
    }
  })

  it('a lower role than at the sign-in counts at once, a higher one from the next sign-in', async () => {
    const first = await operatorOf(shared(), 'approver', { sub: 'changing' })
    await operatorOf(shared(), 'viewer', { sub: 'changing' })
    assert.equal(expectOk(await first.call('GET', '/me')).role, 'viewer')
    await operatorOf(shared(), 'admin', { sub: 'changing' })
    assert.equal(expectOk(await first.call('GET', '/me')).role, 'approver')
  })

  it('C10: support ends only their own acting sessions and tokens', async () => {
    const server = shared()
    const support = await operatorOf(server, 'support')
    const approver = await operatorOf(server, 'approver')
    const own = await server.signIn({ actor: { sub: support.sub } })
    const other = await server.signIn({ actor: { sub: 'somebody' } })
    const ownToken = await server.createActorToken({ actor: { sub: support.sub } })
    const otherToken = await server.createActorToken({ actor: { sub: 'somebody' } })
    const end = (by: typeof support, path: string) => by.call('POST', path, {})
    const denied = await end(support, `/v1/sessions/${other.session_id}/revoke`)
    assert.equal(refused(denied), '403 operator_not_allowed')
    assert.deepEqual(denied.body.errors[0].meta.roles, ['approver', 'admin'])
    assert.equal(refused(await end(support, `/v1/actor_tokens/${otherToken.id}/revoke`)), '403 operator_not_allowed')
    assert.equal(refused(await end(support, `/v1/sessions/${own.session_id}/revoke`)), '200')
    assert.equal(refused(await end(support, `/v1/actor_tokens/${ownToken.id}/revoke`)), '200')
    assert.equal(refused(await end(approver, `/v1/sessions/${other.session_id}/revoke`)), '200')
    // The user's own session has no actor.
    const { user_id } = await server.createActorToken()
    const users = expectOk(await server.call('POST', '/v1/sessions', { user_id }))
    assert.equal(refused(await end(support, `/v1/sessions/${users.id}/revoke`)), '403 operator_not_allowed')
    const [event] = await server.auditEvents({ action: 'session.revoke', outcome: 'refused' })
    assert.deepEqual([event?.principal, event?.code], [{ type: 'operator', id: support.id }, 'operator_not_allowed'])
  })

  it('everybody lists and ends their own sessions in the console, an admin all', async () => {
    const viewer = await operatorOf(shared(), 'viewer')
    const again = await operatorOf(shared(), 'viewer', { sub: viewer.sub })
    const other = await operatorOf(shared(), 'support')
    const admin = await operatorOf(shared(), 'admin')
    const ids = (answer: { body: { id: string }[] }) => answer.body.map(({ id }) => id).sort()
    const mine = await viewer.call('GET', '/v1/operator_sessions')
    assert.deepEqual(ids(mine), [viewer.session_id, again.session_id].sort())
    assert.deepEqual(
      mine.body.filter((each: { is_current: boolean }) => each.is_current).map((each: { id: string }) => each.id),
      [viewer.session_id],
    )
    assert.ok(!mine.text.includes('secret'))
    assert.equal(
      refused(await viewer.call('GET', `/v1/operator_sessions?operator_id=${other.id}`)),
      '403 operator_not_allowed',
    )
    assert.deepEqual(ids(await admin.call('GET', `/v1/operator_sessions?operator_id=${other.id}`)), [other.session_id])
    assert.equal(
      refused(await viewer.call('POST', `/v1/operator_sessions/${other.session_id}/end`, {})),
      '403 operator_not_allowed',
    )
    assert.equal(refused(await viewer.call('POST', `/v1/operator_sessions/${again.session_id}/end`, {})), '200')
    assert.equal((await again.call('GET', '/me')).status, 401)
    assert.equal(refused(await admin.call('POST', `/v1/operator_sessions/${other.session_id}/end`, {})), '200')
    assert.equal((await other.call('GET', '/me')).status, 401)
  })
})

describe('in whose name an operator acts', () => {
  const shared = sharedServer()

  it('the server sets actor, login, address and key', async () => {
    const server = shared()
    const operator = await operatorOf(server, 'support', { sub: 'olivia', name: 'Olivia', email: 'olivia@example.com' })
    const { id: user_id } = await server.createUser()
    const actor = { sub: 'olivia', iss: 'https://idp.example', name: 'Olivia', email: 'olivia@example.com' }
    const body = {
      user_id,
      auth: { at: 1, amr: ['forged'] },
      ip: '203.0.113.9',
      return_url: `${CONSOLE}/console/users/${user_id}`,
    }
    const token = expectOk(await operator.call('POST', '/v1/actor_tokens', body))
    assert.deepEqual([token.actor, token.return_url], [actor, body.return_url])
    const named = expectOk(
      await operator.call('POST', '/v1/actor_tokens', { ...body, actor: { sub: 'olivia', role: 'ceo' } }),
    )
    assert.deepEqual(named.actor, actor)
    const ctx = server.stagedoor.context({ type: 'system', id: null })
    const facts = JSON.parse((await ctx.store.actorTokens.find(token.id))?.facts ?? '{}')
    assert.deepEqual([facts.key, facts.auth.amr, facts.ip], ['console', ['pwd', 'otp'], undefined])
    const [event] = await server.auditEvents({ action: 'actor_token.create', actor_token_id: token.id })
    assert.deepEqual(event?.principal, { type: 'operator', id: operator.id })
  })

  it('C9: another actor is refused, with an event; only an admin may explain for another', async () => {
    const server = shared()
    const { id: user_id } = await server.createUser()
    for (const role of ['support', 'approver', 'admin'] as const) {
      const operator = await operatorOf(server, role)
      for (const actor of [{ sub: 'somebody' }, 'somebody', null, [], { sub: 7 }, {}]) {
        const answer = await operator.call('POST', '/v1/actor_tokens', { user_id, actor })
        assert.equal(refused(answer), '403 operator_actor_mismatch', JSON.stringify(actor))
      }
      const [event] = await server.auditEvents({ action: 'actor_token.create', outcome: 'refused' })
      assert.deepEqual([event?.principal.id, event?.code], [operator.id, 'operator_actor_mismatch'])
      const explained = await operator.call('POST', '/v1/policy/explain', { user_id, actor: { sub: 'somebody' } })
      assert.equal(refused(explained), role === 'admin' ? '200' : '403 operator_actor_mismatch')
      assert.equal(refused(await operator.call('POST', '/v1/policy/explain', { user_id })), '200')
    }
  })

  it('a return URL may be in the console, but nowhere else', async () => {
    const operator = await operatorOf(shared(), 'support')
    const { id: user_id } = await shared().createUser()
    await using production = await testServer({
      env: {
        STAGEDOOR_ENVIRONMENT: 'production',
        STAGEDOOR_SECRET_KEY: SECRET_KEY.replace('sk_test', 'sk_live'),
        STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
        STAGEDOOR_CONSOLE_URL: 'https://console.example.com',
      },
    })
    const there = await operatorOf(production, 'support')
    const key = { authorization: `Bearer ${SECRET_KEY.replace('sk_test', 'sk_live')}` }
    const user = expectOk(await production.call('POST', '/v1/users', {}, key))
    const create = (return_url: string) =>
      there.call(
        'POST',
        '/v1/actor_tokens',
        { user_id: user.id, return_url },
        { host: 'console.example.com', origin: 'https://console.example.com' },
      )
    assert.equal((await create('https://console.example.com/console/live')).status, 200)
    assert.equal((await create('https://evil.example/')).status, 422)
    const byKey = { user_id: user.id, actor: { sub: 'a' }, return_url: 'https://console.example.com/console' }
    assert.equal((await production.call('POST', '/v1/actor_tokens', byKey, key)).status, 422)
    assert.equal(
      refused(await operator.call('POST', '/v1/actor_tokens', { user_id, return_url: 'https://evil.example/' })),
      '422 prohibited_redirect_url',
    )
  })

  it('an idempotency key belongs to the operator', async () => {
    const server = shared()
    const { id: user_id } = await server.createUser()
    const [one, two] = [await operatorOf(server, 'support'), await operatorOf(server, 'support')]
    const create = (by: typeof one) => by.call('POST', '/v1/actor_tokens', { user_id }, { 'idempotency-key': 'same' })
    const first = expectOk(await create(one))
    assert.equal(expectOk(await create(one)).id, first.id)
    assert.notEqual(expectOk(await create(two)).id, first.id)
  })
})

describe('what an operator may ask the policy', () => {
  it('is five questions per second, over all sessions, and keys are not limited so', async () => {
    await using server = await testServer()
    const { id: user_id } = await server.createUser()
    const operator = await operatorOf(server, 'support')
    const again = await operatorOf(server, 'support', { sub: operator.sub })
    const explain = (by: typeof operator) => by.call('POST', '/v1/policy/explain', { user_id })
    for (let n = 0; n < 5; n++) expectOk(await explain(n % 2 === 0 ? operator : again))
    for (const by of [operator, again]) {
      const answer = await explain(by)
      assert.deepEqual([refused(answer), answer.headers.get('retry-after')], ['429 too_many_requests', '1'])
    }
    expectOk(await explain(await operatorOf(server, 'support')))
    const body = { user_id, actor: { sub: 'somebody' } }
    for (let n = 0; n < 10; n++) expectOk(await server.call('POST', '/v1/policy/explain', body))
    server.clock.advance(1)
    expectOk(await explain(operator))
  })
})

describe('what the console knows', () => {
  it('includes the categories of reasons that the policy compares with', async () => {
    await using server = await testServer()
    const viewer = await operatorOf(server, 'viewer')
    const categories = async () => expectOk(await viewer.call('GET', '/me')).settings.reason_categories
    assert.deepEqual(await categories(), [])
    const text = `// context.reason.category == "comment"
      @id("categories") permit (principal, action, resource) when { context has reason && context.reason has category &&
        (context.reason.category == "incident" || ["support", "billing", "Not one"].contains(context.reason.category)) };`
    expectOk(await server.call('PUT', '/v1/policy', { text, off: ['base.reason'] }))
    assert.deepEqual(await categories(), ['billing', 'incident', 'support'])
  })
})

describe('step-up', () => {
  const NEEDED = [
    'RevokeAllSessions',
    'PutPolicy',
    'RollbackPolicy',
    'CreateSecretKey',
    'RevokeSecretKey',
    'RotateSigningKeys',
    'RemoveSigningKey',
    'InviteOperator',
    'DisableOperator',
    'EnableOperator',
  ]

  it('is needed for these operations', async () => {
    await using server = await testServer()
    const stale = await operatorOf(server, 'admin', { auth_at: server.clock.now() - 300_001 })
    const unknown = await operatorOf(server, 'admin', { auth_at: null })
    const bodies: Record<string, object> = {
      RevokeAllSessions: { everything: true },
      PutPolicy: { text: '' },
      RollbackPolicy: { version: 0 },
      InviteOperator: { email: 'a@example.com', role: 'viewer' },
      CreateSecretKey: { name: 'another' },
      RotateSigningKeys: {},
      RemoveSigningKey: {},
    }
    const needing = new Set<string>()
    for (const operation of forAnyOperator.filter(({ method }) => method !== 'get')) {
      const body = bodies[operation.id] ?? bodyOf(operation) ?? {}
      for (const operator of [stale, unknown]) {
        const answer = await operator.call(operation.method.toUpperCase(), unknownPath(operation), body)
        if (answer.codes[0] === 'step_up_required') needing.add(operation.id)
      }
    }
    assert.deepEqual([...needing].sort(), NEEDED.sort())
    const me = expectOk(await stale.call('GET', '/me'))
    assert.equal(me.step_up_until, null)
  })

  it('lasts five minutes, and the kill switch for one user does not need it', async () => {
    await using server = await testServer()
    const admin = await operatorOf(server, 'admin')
    const { id: user_id } = await server.createUser()
    const everything = () => admin.call('POST', '/v1/sessions/revoke_all', { everything: true })
    assert.equal(expectOk(await admin.call('GET', '/me')).step_up_until, server.clock.now() + 300_000)
    assert.equal((await everything()).status, 200)
    server.clock.advance(300)
    assert.equal(refused(await everything()), '403 step_up_required')
    assert.equal((await admin.call('POST', '/v1/sessions/revoke_all', { user_id })).status, 200)
  })
})

describe('the session of an operator', () => {
  it('ends after 8 hours, after 30 minutes without use, and when it is ended', async () => {
    await using server = await testServer()
    const operator = await operatorOf(server, 'viewer')
    const idle = await operatorOf(server, 'viewer')
    const status = async (of: typeof operator) => (await of.call('GET', '/me')).status
    for (let minutes = 0; minutes < 8 * 60 - 29; minutes += 29) {
      assert.equal(await status(operator), 200, `${minutes}`)
      server.clock.advance(29 * 60)
    }
    assert.equal(await status(idle), 401)
    server.clock.advance(29 * 60)
    assert.equal(await status(operator), 401)
    const leaving = await operatorOf(server, 'viewer')
    const left = await server.call('POST', '/console/logout', {}, { ...FROM_CONSOLE, cookie: leaving.cookie })
    assert.equal(left.status, 200)
    assert.match(
      left.headers.getSetCookie().join(),
      /__Host-stagedoor_operator=; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=0/,
    )
    assert.equal(await status(leaving), 401)
    const [event] = await server.auditEvents({ action: 'operator_session.end' })
    assert.equal(event?.['target_id'], leaving.session_id)
  })

  it('C7: ends at once when the operator is disabled, with every acting session', async () => {
    await using server = await testServer()
    const operator = await operatorOf(server, 'support')
    const admin = await operatorOf(server, 'admin')
    const acting = await server.signIn({ actor: { sub: operator.sub } })
    const pending = await server.createActorToken({ actor: { sub: operator.sub } })
    assert.equal(refused(await admin.call('POST', `/v1/operators/${operator.id}/disable`, {})), '200')
    assert.equal((await operator.call('GET', '/me')).status, 401)
    assert.equal((await server.call('POST', `/v1/sessions/${acting.session_id}/tokens`, {})).status, 401)
    assert.equal(expectOk(await server.call('GET', `/v1/sessions/${acting.session_id}`)).status, 'revoked')
    assert.equal(expectOk(await server.call('GET', `/v1/actor_tokens/${pending.id}`)).status, 'revoked')
    const actor = () => server.call('GET', `/v1/actors/${operator.sub}`)
    assert.equal(expectOk(await actor()).disabled, true)
    await assert.rejects(operatorOf(server, 'admin', { sub: operator.sub }), /disabled/)
    assert.equal(refused(await admin.call('POST', `/v1/operators/${operator.id}/enable`, {})), '200')
    assert.equal(expectOk(await actor()).disabled, false)
    assert.equal((await operator.call('GET', '/me')).status, 401)
    const again = await operatorOf(server, 'support', { sub: operator.sub })
    assert.equal((await again.call('GET', '/me')).status, 200)
  })

  it('an actor that was disabled in the registry stays disabled after a sign-in, and after enabling the operator', async () => {
    await using server = await testServer()
    const operator = await operatorOf(server, 'support')
    const disabled = { kind: 'operator', disabled: true, level: 3, teams: ['a'] }
    expectOk(await server.call('PUT', `/v1/actors/${operator.sub}`, disabled))
    server.clock.advance(1)
    const again = await operatorOf(server, 'support', { sub: operator.sub, groups: ['a'] })
    const { disabled: is, level, teams } = expectOk(await server.call('GET', `/v1/actors/${operator.sub}`))
    assert.deepEqual([is, level, teams], [true, 3, ['a']])
    for (const verb of ['disable', 'enable']) expectOk(await server.call('POST', `/v1/operators/${again.id}/${verb}`))
    assert.equal(expectOk(await server.call('GET', `/v1/actors/${operator.sub}`)).disabled, true)
  })

  it('has a limit of requests, over all sessions of the operator; ending sessions does not count', async () => {
    await using server = await testServer({ env: { STAGEDOOR_RATE_LIMIT_OPERATOR: '1/s burst 3' } })
    const operator = await operatorOf(server, 'viewer')
    const again = await operatorOf(server, 'viewer', { sub: operator.sub })
    for (const each of [operator, again, operator]) assert.equal((await each.call('GET', '/me')).status, 200)
    const answer = await again.call('GET', '/me')
    assert.equal(refused(answer), '429 too_many_requests')
    assert.ok(Number(answer.headers.get('retry-after')) >= 1)
    assert.equal((await (await operatorOf(server, 'viewer')).call('GET', '/me')).status, 200)
    assert.equal((await again.call('POST', `/v1/operator_sessions/${again.session_id}/end`, {})).status, 200)
  })
})
