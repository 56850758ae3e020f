import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TokenError, verifySessionToken } from '@stagedoor/sdk/verify'
import { testDatabase } from '../../../test/support/database.ts'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type Answer, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

const create = (server: TestServer, claims: unknown, fields: object = {}) =>
  server.call('POST', '/v1/jwt_templates', { name: 'template', claims, ...fields })

const fromBackend = (server: TestServer, session_id: string, name = 'template', body?: object) =>
  server.call('POST', `/v1/sessions/${session_id}/tokens/${name}`, body)

const fromBrowser = (
  server: TestServer,
  { session_id, cookie }: { session_id: string; cookie: string },
  name = 'template',
  origin?: string,
) => server.post(`/v1/client/sessions/${session_id}/tokens/${name}`, {}, { cookie, origin })

const headerOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString())

/** Returns the claims of a token minted from a template with these claims, for a user and an actor with these fields. */
async function minted(claims: Record<string, unknown>, user: object = {}, actor: object = { sub: 'user_operator' }) {
  await using server = await testServer({ env })
  expectOk(await create(server, claims))
  const { id: user_id } = await server.createUser(user)
  const { session_id } = await server.signIn({ user_id, actor })
  return claimsOf(expectOk(await fromBackend(server, session_id)).jwt)
}

function refusedParam(answer: Answer, param: string, action?: RegExp): void {
  const [error] = answer.body.errors
  assert.deepEqual(
    [answer.status, error.code, error.meta.param_name],
    [422, 'form_param_value_invalid', param],
    answer.text,
  )
  if (action) assert.match(error.meta.action, action)
}

describe('JWT templates', () => {
  it('are created, read, listed, changed and deleted; each change writes an audit event', async () => {
    await using server = await testServer({ env })
    const claims = { aud: 'https://api.example.com', 'https://example.com/roles': ['a', { b: null }], n: 1.5 }
    const created = expectOk(await create(server, claims))
    assert.match(created.id, /^jtmp_[0-9A-Za-z]{27}$/)
    const { id, created_at, updated_at, ...rest } = created
    assert.deepEqual(rest, {
      object: 'jwt_template',
      name: 'template',
      claims,
      lifetime: 60,
      allowed_clock_skew: 5,
      custom_signing_key: false,
      signing_algorithm: 'EdDSA',
    })
    assert.equal(created_at, updated_at)
    assert.deepEqual(expectOk(await server.call('GET', `/v1/jwt_templates/${id}`)), created)

    server.clock.advance(1)
    const second = expectOk(await create(server, {}, { name: 'other', lifetime: 30, allowed_clock_skew: 0 }))
    assert.deepEqual(expectOk(await server.call('GET', '/v1/jwt_templates')), [second, created])
    assert.deepEqual(expectOk(await server.call('GET', '/v1/jwt_templates?paginated=true&limit=1&offset=1')), {
      data: [created],
      total_count: 2,
    })

    const change = (body: object) => server.call('PATCH', `/v1/jwt_templates/${id}`, body)
    const changed = expectOk(await change({ name: 'renamed', lifetime: 300, allowed_clock_skew: 300 }))
    assert.deepEqual(changed, {
      ...created,
      name: 'renamed',
      lifetime: 300,
      allowed_clock_skew: 300,
      updated_at: created_at + 1_000,
    })
    assert.deepEqual(expectOk(await change({ lifetime: null, allowed_clock_skew: null })).lifetime, 60)
    assert.deepEqual(expectOk(await change({ claims: { a: 1 } })).claims, { a: 1 })
    assert.deepEqual((await change({ name: 'other' })).codes, ['form_identifier_exists'])
    assert.equal(expectOk(await change({ name: 'renamed' })).name, 'renamed')

    const remove = () => server.call('DELETE', `/v1/jwt_templates/${id}`)
    assert.deepEqual(expectOk(await remove()), { object: 'jwt_template', id, deleted: true })
    for (const answer of [
      await remove(),
      await server.call('GET', `/v1/jwt_templates/${id}`),
      await change({ lifetime: 60 }),
    ]) {
      assert.deepEqual([answer.status, answer.codes], [404, ['resource_not_found']])
    }
    const events = (await server.auditEvents({ outcome: 'done' })).filter(event => event['target_id'] === id)
    assert.deepEqual(events.map(event => event.action).reverse(), [
      'jwt_template.create',
      ...Array(4).fill('jwt_template.update'),
      'jwt_template.delete',
    ])
  })

  it('have unique names, even if two are created at once', async () => {
    await using server = await testServer({ env })
    const answers = await Promise.all([1, 2, 3].map(n => create(server, { n })))
    assert.deepEqual(answers.map(answer => answer.status).sort(), [200, 422, 422])
    const [error] = answers.find(answer => answer.status === 422)?.body.errors ?? []
    assert.deepEqual([error.code, error.meta.param_name], ['form_identifier_exists', 'name'])
  })

  it('refuse invalid names, numbers and claims', async () => {
    await using server = await testServer({ env })
    for (const name of ['', ' ', '.', '..', '../tokens', 'a/b', 'a%2fb', 'ä', 'a b', 'x'.repeat(129)])
      refusedParam(await create(server, {}, { name }), 'name')
    for (const lifetime of [29, 315_360_001, -1]) refusedParam(await create(server, {}, { lifetime }), 'lifetime')
    for (const allowed_clock_skew of [-1, 301])
      refusedParam(await create(server, {}, { allowed_clock_skew }), 'allowed_clock_skew')
    for (const claims of [[], 'x', 1, true])
      assert.deepEqual((await create(server, claims)).codes, ['form_param_type_invalid'])
    assert.deepEqual((await create(server, undefined)).codes, ['form_param_missing'])
    assert.deepEqual((await create(server, {}, { id: 'jtmp_mine' })).codes, ['form_param_unknown'])
    refusedParam(await create(server, { a: 'x'.repeat(4_096) }), 'claims', /4104 bytes as JSON; at most 4096/)
    const nested = `${'{"a":'.repeat(20)}1${'}'.repeat(20)}`
    const deep = await server.call('POST', '/v1/jwt_templates', `{"name":"deep","claims":${nested}}`)
    assert.deepEqual(deep.codes, ['form_param_value_invalid'])
    const proto = await server.call('POST', '/v1/jwt_templates', '{"name":"p","claims":{"__proto__":{"a":1}}}')
    assert.deepEqual(proto.codes, ['form_param_value_invalid'])
    assert.deepEqual(expectOk(await server.call('GET', '/v1/jwt_templates')), [])
  })

  it('are signed with the server’s key: a custom key is refused and never repeated in an answer', async () => {
    await using server = await testServer({ env })
    expectOk(await create(server, {}, { custom_signing_key: false, signing_algorithm: 'EdDSA', signing_key: null }))
    const key = 'a private key of the caller’s own'
    for (const [fields, param] of [
      [{ custom_signing_key: true, signing_algorithm: 'EdDSA', signing_key: key }, 'custom_signing_key'],
      [{ signing_key: key }, 'signing_key'],
      [{ signing_algorithm: 'HS256' }, 'signing_algorithm'],
      [{ custom_signing_key: false, signing_algorithm: 'RS256' }, 'signing_algorithm'],
    ] as const) {
      const answer = await create(server, {}, { name: 'own', ...fields })
      refusedParam(answer, param, /its own EdDSA key/)
      assert.ok(!answer.text.includes(key))
    }
    assert.ok(!JSON.stringify(await server.auditEvents()).includes(key))
  })

  it('cannot set a claim that only the server writes, nor invent a session or an actor', async () => {
    await using server = await testServer({ env })
    for (const claim of ['azp', 'exp', 'iat', 'iss', 'jti', 'nbf', 'sub', 'v', 'sts', 'fva', 'fea', 'pla', 'o']) {
      const answer = await create(server, { [claim]: '{{user.id}}' })
      const [error] = answer.body.errors
      assert.deepEqual(
        [answer.status, error.code, error.long_message, error.meta.param_name],
        [400, 'jwt_template_reserved_claim', `You can't use the reserved claim: '${claim}'`, 'claims'],
      )
    }
    for (const [claim, values] of Object.entries({
      act: [{ sub: 'user_boss' }, 'x', null, '{{session.actor.sub}}', "{{session.actor || 'x'}}", ' {{session.actor}}'],
      sid: ['sess_x', '{{user.id}}', "{{session.id || 'x'}}", '{{session.id}}x', ['{{session.id}}']],
    })) {
      for (const value of values)
        assert.deepEqual((await create(server, { [claim]: value })).codes, ['jwt_template_reserved_claim'], `${value}`)
    }
    const { id } = expectOk(await create(server, { sid: '{{session.id}}', act: '{{ session.actor }}' }))
    const patched = await server.call('PATCH', `/v1/jwt_templates/${id}`, { claims: { act: { sub: 'user_boss' } } })
    assert.deepEqual(patched.codes, ['jwt_template_reserved_claim'])
    // Nested members are the caller's own claims.
    expectOk(
      await create(server, { mine: { sub: 1, act: { sub: 'x' } }, constructor: 1, aud: 'x' }, { name: 'deeper' }),
    )
  })

  it('refuse unknown shortcodes and name each', async () => {
    await using server = await testServer({ env })
    for (const wrong of [
      '{{user.nickname}}',
      '{{user.private_metadata}}',
      '{{user.private_metadata.plan}}',
      '{{user}}',
      '{{user.id.x}}',
      '{{user.constructor}}',
      '{{user.__proto__.x}}',
      '{{__proto__.x}}',
      '{{constructor.name}}',
      '{{session}}',
      '{{session.client_id}}',
      '{{session.actor.}}',
      '{{user.public_metadata..a}}',
      '{{org}}',
      '{{null}}',
      '{{process.env}}',
    ]) {
      const answer = await create(server, { deep: [{ text: `Hello ${wrong}!` }] })
      refusedParam(answer, 'claims', /No such shortcode/)
      assert.ok(answer.body.errors[0].meta.action.includes(`\`${wrong}\``), answer.text)
    }
    for (const broken of ['{{', '{{}}', '{{user.id', '{{user.id | x}}', '{{user.id || }}', '{{|| user.id}}', '{{a b}}'])
      refusedParam(await create(server, { text: broken }), 'claims', /No such shortcode/)
    const several = await create(server, { a: '{{user.a}} {{user.b}}', b: '{{user.id || user.c}} {{user.b}}' })
    refusedParam(several, 'claims', /`\{\{user\.a\}\}`, `\{\{user\.b\}\}`, `\{\{user\.c\}\}`\./)
  })
})

describe('shortcodes', () => {
  it('are replaced by their value, with its type', async () => {
    const metadata = { plan: 'pro', flags: { beta: true, none: null }, list: [1, { x: 'y' }], n: 1.25 }
    const claims = await minted(
      Object.fromEntries(
        [
          'user.id',
          'user.external_id',
          'user.username',
          'user.first_name',
          'user.last_name',
          'user.full_name',
          'user.primary_email_address',
          'user.email_verified',
          'user.primary_phone_number',
          'user.phone_number_verified',
          'user.image_url',
          'user.has_image',
          'user.two_factor_enabled',
          'user.created_at',
          'user.updated_at',
          'user.last_sign_in_at',
          'user.public_metadata',
          'user.unsafe_metadata.a.b',
          'user.public_metadata.flags.beta',
          'user.public_metadata.flags.none',
          'user.public_metadata.list.1.x',
          'user.public_metadata.n',
          'session.created_at',
          'session.expire_at',
          'org.id',
          'org.public_metadata.a.b',
        ].map(path => [path, `{{${path}}}`]),
      ),
      {
        external_id: 'customer-1',
        first_name: 'Ada',
        last_name: 'Lovelace',
        email_address: ['ada@example.com', 'other@example.com'],
        public_metadata: metadata,
        private_metadata: { secret: 'of the private metadata' },
        unsafe_metadata: { a: { b: ['deep'] } },
        created_at: '2025-06-01T00:00:00.500Z',
      },
    )
    const now = Date.parse('2026-01-01T00:00:00Z') / 1_000
    const { azp: _, act, exp, iat, iss, jti, nbf, sub, ...own } = claims
    assert.deepEqual(act, { sub: 'user_operator' })
    assert.deepEqual([exp, iat, nbf, iss], [now + 60, now, now - 5, 'http://127.0.0.1:4100'])
    assert.match(jti, /^[0-9a-f]{20}$/)
    assert.deepEqual(own, {
      'user.id': sub,
      'user.external_id': 'customer-1',
      'user.username': null,
      'user.first_name': 'Ada',
      'user.last_name': 'Lovelace',
      'user.full_name': 'Ada Lovelace',
      'user.primary_email_address': 'ada@example.com',
      'user.email_verified': true,
      'user.primary_phone_number': null,
      'user.phone_number_verified': false,
      'user.image_url': '',
      'user.has_image': false,
      'user.two_factor_enabled': false,
      'user.created_at': Date.parse('2025-06-01T00:00:00Z') / 1_000,
      'user.updated_at': now,
      'user.last_sign_in_at': null,
      'user.public_metadata': metadata,
      'user.unsafe_metadata.a.b': ['deep'],
      'user.public_metadata.flags.beta': true,
      'user.public_metadata.flags.none': null,
      'user.public_metadata.list.1.x': 'y',
      'user.public_metadata.n': 1.25,
      'session.created_at': now,
      'session.expire_at': now + 1_800,
      'org.id': null,
      'org.public_metadata.a.b': null,
    })
  })

  it('insert the whole actor, value for value, or null in a session of the user’s own', async () => {
    const actor = {
      sub: 'user_operator',
      nested: { a: [1, null, 'ü', 1e-7], '': { '10': 1, '9': 2 } },
      act: { sub: 'b' },
    }
    const template = { act: '{{session.actor}}', who: '{{session.actor.sub}}', was: '{{session.actor.act.sub}}' }
    const claims = await minted(template, {}, actor)
    assert.deepEqual([claims.act, claims.who, claims.was], [actor, 'user_operator', 'b'])

    await using server = await testServer({ env })
    expectOk(await create(server, template))
    const { id: user_id } = await server.createUser()
    const session = expectOk(await server.call('POST', '/v1/sessions', { user_id }))
    const own = claimsOf(expectOk(await fromBackend(server, session.id)).jwt)
    assert.deepEqual([own.act, own.who, own.was], [null, null, null])
  })

  it('become text within other text, and empty text if there is no value', async () => {
    const claims = await minted(
      {
        name: '{{user.last_name}}, {{ user.first_name }}',
        nothing: '<{{user.username}}>',
        json: 'plan={{user.public_metadata}}',
        spaced: ' {{user.first_name}}',
        static: 'no } braces { here }}',
        '{{user.id}}': 'a key is a key',
      },
      { first_name: 'Ada', last_name: 'Lovelace', public_metadata: { a: [true] } },
    )
    assert.deepEqual(
      [claims.name, claims.nothing, claims.json, claims.spaced, claims.static, claims['{{user.id}}']],
      ['Lovelace, Ada', '<>', 'plan={"a":[true]}', ' Ada', 'no } braces { here }}', 'a key is a key'],
    )
  })

  it('fall back from null and false to the next operand, and finally to the last one', async () => {
    const claims = await minted(
      {
        single: "{{user.first_name || 'there'}}",
        double: '{{user.first_name || "there"}}',
        text: "Hello {{ user.first_name||'you || {{me}}' }}!",
        number: '{{user.public_metadata.age || user.unsafe_metadata.age || 30}}',
        negative: '{{user.username || -1.5}}',
        boolean: '{{user.phone_number_verified || true}}',
        last: '{{user.username || user.phone_number_verified}}',
        first: "{{user.public_metadata.zero || 'x'}}{{user.public_metadata.empty || 'y'}}",
        literal: "{{'{{user.id}}'}}",
      },
      { public_metadata: { zero: 0, empty: '' } },
    )
    assert.deepEqual(
      [claims.single, claims.double, claims.text, claims.number, claims.negative, claims.boolean, claims.last],
      ['there', 'there', 'Hello you || {{me}}!', 30, -1.5, true, false],
    )
    assert.deepEqual([claims.first, claims.literal], ['0', '{{user.id}}'])
  })

  it('read own members only, and never expand inserted values', async () => {
    const claims = await minted(
      {
        inherited: [
          '{{user.public_metadata.constructor}}',
          '{{user.public_metadata.constructor.name}}',
          '{{user.public_metadata.toString}}',
          '{{user.public_metadata.__proto__}}',
          '{{user.public_metadata.list.length}}',
          '{{user.public_metadata.list.map}}',
          '{{user.public_metadata.text.length}}',
          '{{user.public_metadata.text.0}}',
          '{{session.actor.__proto__.polluted}}',
          '{{session.actor.hasOwnProperty}}',
        ],
        own: '{{user.unsafe_metadata.constructor}}',
        injected: '{{user.public_metadata.injected}} {{user.first_name}}',
        whole: '{{user.public_metadata.injected}}',
      },
      {
        first_name: '{{user.last_name}}',
        last_name: 'of the last name',
        public_metadata: { list: [1], text: 'text', injected: '{{user.id}}' },
        unsafe_metadata: { constructor: 'own' },
      },
    )
    assert.deepEqual(claims.inherited, Array(10).fill(null))
    assert.equal(claims.own, 'own')
    assert.deepEqual([claims.injected, claims.whole], ['{{user.id}} {{user.last_name}}', '{{user.id}}'])
  })
})

describe('a token from a template', () => {
  it('is minted for the browser too, with its page; and no verifier accepts it as a session token', async () => {
    await using server = await testServer({ env })
    expectOk(await create(server, { sid: '{{session.id}}', act: '{{session.actor}}', aud: 'other' }))
    const session = await server.signIn({ actor: { sub: 'user_operator' } })
    const origin = 'http://localhost:3000'
    const { jwt, object } = expectOk(await fromBrowser(server, session, 'template', origin))
    assert.equal(object, 'token')
    assert.deepEqual({ ...headerOf(jwt), kid: '' }, { alg: 'EdDSA', cat: 'cl_B7d4PD222AAA', kid: '', typ: 'JWT' })
    const { azp, sid, sub, act, aud } = claimsOf(jwt)
    assert.deepEqual(
      [azp, sid, sub, act, aud],
      [origin, session.session_id, session.user_id, { sub: 'user_operator' }, 'other'],
    )
    assert.equal('azp' in claimsOf(expectOk(await fromBackend(server, session.session_id)).jwt), false)

    const jwks = expectOk(await server.call('GET', '/v1/jwks'))
    await assert.rejects(
      verifySessionToken(jwt, { issuer: 'http://127.0.0.1:4100', jwks, now: server.clock.now }),
      (error: unknown) => error instanceof TokenError && error.reason === 'token-wrong-kind',
    )
    const asKey = await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${jwt}` })
    const asClient = await server.call('GET', '/v1/client', undefined, { cookie: `__client=${jwt}` })
    const asTicket = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: jwt })
    assert.deepEqual([asKey.status, asClient.body.response, asTicket.codes], [401, null, ['ticket_invalid_code']])
  })

  it('names the actor while acting, and lives no longer than a session token, even if the template sets more', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_SESSION_TOKEN_LIFETIME_SECONDS: '45' } })
    const actor = { sub: 'olivia', nested: { a: [1, null, 1e-7] } }
    const { user_id, session_id, cookie } = await server.signIn({ actor, session_max_duration_in_seconds: 86_400 })
    for (const [name, claims, lifetime, life] of [
      ['silent', { aud: 'other' }, 2_592_000, 45],
      ['naming', { act: '{{session.actor}}', sid: '{{session.id}}' }, 300, 45],
      ['short', {}, 30, 30],
    ] as const) {
      expectOk(await create(server, claims, { name, lifetime }))
      for (const answer of [
        await server.post(`/v1/client/sessions/${session_id}/tokens/${name}`, {}, { cookie }),
        await fromBackend(server, session_id, name),
      ]) {
        const { jwt } = expectOk(answer)
        const { act, sub, iat, exp } = claimsOf(jwt)
        assert.deepEqual([act, sub, exp - iat], [actor, user_id, life], name)
        assert.equal(
          Buffer.from(jwt.split('.')[1], 'base64url')
            .toString()
            .match(/"act":/g)?.length,
          1,
        )
      }
    }
  })

  it('has the lifetime of the template or of the call, and never outlives its session', async () => {
    await using server = await testServer({ env })
    expectOk(await create(server, {}, { lifetime: 315_360_000, allowed_clock_skew: 300 }))
    const session = await server.signIn({ session_max_duration_in_seconds: 900 })
    const end = expectOk(await server.call('GET', `/v1/sessions/${session.session_id}`)).expire_at / 1_000
    const life = async (body?: object) => {
      const { iat, exp, nbf } = claimsOf(expectOk(await fromBackend(server, session.session_id, 'template', body)).jwt)
      assert.equal(nbf, iat - 300)
      assert.ok(exp <= end)
      return exp - iat
    }
    const long = { expires_in_seconds: 100_000 }
    assert.equal(await life(long), 900)
    assert.equal(await life({ expires_in_seconds: 30 }), 30)
    assert.equal(await life({ expires_in_seconds: null }), 60, 'while acting, the lifetime of a session token')
    server.clock.advance(590)
    assert.equal(await life(long), 310)
    server.clock.advance(309)
    assert.equal(await life({ expires_in_seconds: 30 }), 1)
    assert.equal(claimsOf(expectOk(await fromBrowser(server, session)).jwt).exp, end)
    const own = expectOk(await server.call('POST', '/v1/sessions', { user_id: session.user_id }))
    const { exp } = claimsOf(expectOk(await fromBackend(server, own.id)).jwt)
    assert.equal(exp, Math.floor(own.expire_at / 1_000), 'without an actor, the lifetime of the template')
    for (const expires_in_seconds of [29, 315_360_001])
      refusedParam(
        await fromBackend(server, session.session_id, 'template', { expires_in_seconds }),
        'expires_in_seconds',
      )
    // The signing key is not removed while this token lives.
    const { keys } = await server.stagedoor.services.store.signingKeys.keyring()
    assert.equal(Math.max(...keys.map(key => key.signs_until)), exp * 1_000)
  })

  it('is refused in the same cases as a session token', async () => {
    await using server = await testServer({ env })
    expectOk(await create(server, {}))
    const mine = await server.signIn()
    const other = await server.signIn()
    const gone = async (answer: Promise<Answer>, status = 401, code = 'authentication_invalid') =>
      assert.deepEqual([(await answer).status, (await answer).codes], [status, [code]])

    await gone(fromBrowser(server, { session_id: other.session_id, cookie: mine.cookie }))
    await gone(fromBrowser(server, { session_id: mine.session_id, cookie: '__client=x' }))
    await gone(fromBrowser(server, { ...mine, session_id: 'sess_nothing' }))
    await gone(fromBrowser(server, mine, 'template', 'https://evil.example'), 400, 'origin_invalid')
    await gone(fromBackend(server, 'sess_nothing'), 404, 'resource_not_found')
    for (const answer of [
      await fromBackend(server, mine.session_id, 'none'),
      await fromBrowser(server, mine, 'none'),
    ]) {
      assert.equal(answer.status, 404)
      assert.equal(answer.body.errors[0].long_message, 'No JWT template exists with name: none')
    }
    // An unauthenticated caller cannot find out which templates exist.
    await gone(fromBrowser(server, { ...mine, cookie: other.cookie }, 'none'))

    await server.call('POST', `/v1/users/${mine.user_id}/lock`)
    await gone(fromBrowser(server, mine))
    await gone(fromBackend(server, mine.session_id))
    await server.call('POST', `/v1/users/${mine.user_id}/unlock`)
    assert.equal((await fromBrowser(server, mine)).status, 200)
    await server.call('POST', `/v1/sessions/${mine.session_id}/revoke`)
    await gone(fromBrowser(server, mine))
    await gone(fromBackend(server, mine.session_id))

    const operator = await server.createUser()
    const acting = await server.signIn({ actor: { sub: operator.id } })
    assert.equal((await fromBrowser(server, acting)).status, 200)
    await server.call('POST', `/v1/users/${operator.id}/lock`)
    await gone(fromBrowser(server, acting))

    server.clock.advance(600)
    await gone(fromBrowser(server, other))
    assert.equal(expectOk(await server.call('GET', `/v1/sessions/${other.session_id}`)).status, 'abandoned')
  })

  it('counts as use of its session', async () => {
    await using server = await testServer({ env })
    expectOk(await create(server, {}))
    const session = await server.signIn()
    for (let i = 0; i < 3; i++) {
      server.clock.advance(500)
      assert.equal((await fromBrowser(server, session)).status, 200)
    }
  })

  it('is refused if it would be too large, even if the template is small', async () => {
    await using server = await testServer({ env })
    const all = '{{user.public_metadata}}'
    const claims = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`c${i}`, all]))
    expectOk(await create(server, claims))
    expectOk(await create(server, { once: all }, { name: 'once' }))
    const { id: user_id } = await server.createUser({ public_metadata: { text: 'x'.repeat(8_000) } })
    const session = await server.signIn({ user_id })
    for (const answer of [await fromBackend(server, session.session_id), await fromBrowser(server, session)]) {
      assert.deepEqual([answer.status, answer.codes], [400, ['request_invalid']])
      assert.match(answer.body.errors[0].long_message, /^The claims would be 80\d{4} bytes of JSON; at most 16384/)
    }
    assert.equal((await fromBackend(server, session.session_id, 'once')).status, 200)
  })

  it('ignores a reserved claim that was written to the database', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    expectOk(await create(server, {}))
    const db = database.open()
    db.prepare('update jwt_templates set claims = ?').run('{"sub":"user_boss","exp":9999999999,"iss":"x"}')
    db.close()
    const session = await server.signIn()
    const { sub, exp, iat, iss } = claimsOf(expectOk(await fromBrowser(server, session)).jwt)
    assert.deepEqual([sub, exp - iat, iss], [session.user_id, 60, 'http://127.0.0.1:4100'])
  })
})
