import assert from 'node:assert/strict'
import { createPublicKey, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { verifyToken } from '@clerk/backend'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type Answer, cookieOf, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

/** Sessions that may only read, or have scopes: an app gets them and their tokens only if it declares that it understands them. */

const APP = 'https://app.example.com'
const OTHER = 'https://other.example.com'
const env = {
  STAGEDOOR_SIGNING_ALG: 'EdDSA',
  STAGEDOOR_ALLOWED_ORIGINS: `${APP},${OTHER}`,
  STAGEDOOR_SCOPE_ORIGINS: APP,
}
const understands = ['scope']

/** Every way to limit a session, with the claim of its tokens. */
const LIMITED: [fields: { access?: string; scopes?: string[] }, scope: string][] = [
  [{ access: 'read' }, 'act:read'],
  [{ access: 'read', scopes: ['invoices:read'] }, 'act:read invoices:read'],
  [{ access: 'write', scopes: ['invoices:send', 'invoices:read'] }, 'act:write invoices:read invoices:send'],
  [{ scopes: ['a'] }, 'act:write a'],
]

const notUnderstood = ({ status, codes, text }: Answer) =>
  assert.deepEqual([status, codes], [403, ['scope_not_understood']], text)
const redeem = (server: TestServer, ticket: string, origin?: string) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }, { origin })
const accept = (server: TestServer, ticket: string, fields: object = {}) =>
  server.call('POST', '/v1/actor_tokens/accept', { ticket, ...fields })
const statusOf = async (server: TestServer, id: string) =>
  expectOk(await server.call('GET', `/v1/actor_tokens/${id}`)).status
const template = (server: TestServer, name: string, claims: object) =>
  server.call('POST', '/v1/jwt_templates', { name, claims })

describe('access and scopes', () => {
  it('are shown by the token and its session; without any, a session is unrestricted and its token has no scope', async () => {
    await using server = await testServer({ env })
    for (const [fields, scope] of LIMITED) {
      const token = await server.createActorToken(fields)
      const { access = 'write', scopes = null } = fields
      const shown = { access, scopes: scopes && [...scopes].sort() }
      const { session, actor_token, token: minted } = expectOk(await accept(server, token.token, { understands }))
      const read = expectOk(await server.call('GET', `/v1/sessions/${session.id}`))
      for (const each of [token as object, session, actor_token, read] as (typeof shown)[])
        assert.deepEqual({ access: each.access, scopes: each.scopes }, shown)
      assert.equal(claimsOf(minted.jwt).scope, scope)
    }
    const { session, token } = expectOk(await accept(server, (await server.createActorToken()).token))
    assert.deepEqual([session.access, session.scopes], ['write', null])
    assert.deepEqual(Object.keys(claimsOf(token.jwt)), 'exp fva iat iss jti nbf sid sts sub v act'.split(' '))
    const own = expectOk(await server.call('POST', '/v1/sessions', { user_id: session.user_id }))
    assert.deepEqual([own.access, own.scopes], [null, null])
  })

  it('cannot be smuggled: only distinct words of the grammar, in no other form', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const wrong: object[] = [
      ...[
        'act:read act:write',
        'act:write',
        'act:',
        'a b',
        ' a',
        'a ',
        'a\tb',
        'A',
        'é',
        'аct:write',
        'a\u0000',
        '1a',
        '',
        '*',
      ],
      'a'.repeat(65),
      7,
      null,
      ['a'],
    ].map(scope => ({ scopes: [scope] }))
    wrong.push({ scopes: [] }, { scopes: ['a', 'a'] }, { scopes: Array.from({ length: 21 }, (_, n) => `a${n}`) })
    wrong.push(
      { scopes: 'a' },
      { scopes: null },
      { access: 'admin' },
      { access: 'act:read' },
      { access: '' },
      { access: null },
    )
    for (const fields of wrong) {
      for (const path of ['/v1/actor_tokens', '/v1/policy/explain']) {
        const { status, text } = await server.call('POST', path, { user_id, actor: { sub: 'a' }, ...fields })
        assert.equal(status, 422, `${path} ${JSON.stringify(fields)} ${text}`)
        if (JSON.stringify(fields) === '{"scopes":[]}') assert.match(text, /`scopes` must have at least 1 item\./)
      }
    }
    // What the actor payload contains is no limit, and lifts none.
    const actor = { sub: 'a', scope: 'act:write', access: 'write', act: { sub: 'b', scope: 'act:write' } }
    const { token } = await server.createActorToken({ user_id, access: 'read', actor })
    assert.equal(claimsOf(expectOk(await accept(server, token, { understands })).token.jwt).scope, 'act:read')
  })

  it('must fit in a session token, and so in a cookie', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_ACTOR_MAX_BYTES: '2434' } })
    const scopes = Array.from({ length: 20 }, (_, n) => `${String.fromCharCode(97 + n)}`.repeat(64))
    const { id: user_id } = await server.createUser()
    const create = (bytes: number) =>
      server.call('POST', '/v1/actor_tokens', {
        user_id,
        scopes,
        actor: { sub: 'a'.repeat(200), x: 'x'.repeat(bytes) },
      })
    assert.equal((await create(1_000)).status, 422)
    const { token } = expectOk(await create(850))
    const { jwt } = expectOk(await accept(server, token, { understands })).token
    assert.ok(jwt.length < 4_000, `${jwt.length} bytes`)
  })

  it('follow STAGEDOOR_DEFAULT_ACCESS if the request names no access', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_DEFAULT_ACCESS: 'read' } })
    const { token } = await server.createActorToken()
    notUnderstood(await accept(server, token))
    assert.equal(expectOk(await accept(server, token, { understands })).session.access, 'read')
    const write = await server.createActorToken({ access: 'write' })
    assert.equal(expectOk(await accept(server, write.token)).session.access, 'write')
    // A sign-in token has no actor, so nothing limits its session.
    const { id: user_id } = await server.createUser()
    const own = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id }))
    expectOk(await redeem(server, own.token, OTHER))
  })
})

describe('an app that has not said that it understands limits', () => {
  it('redeems no limited token, which stays pending', async () => {
    await using server = await testServer({ env })
    for (const [fields] of LIMITED) {
      const { id, token } = await server.createActorToken(fields)
      for (const origin of [undefined, OTHER]) notUnderstood(await redeem(server, token, origin))
      for (const wrong of [{}, { understands: [] }]) notUnderstood(await accept(server, token, wrong))
      assert.equal((await accept(server, token, { understands: ['everything'] })).status, 422)
      // A browser cannot say it itself.
      const form = { strategy: 'ticket', ticket: token, understands: 'scope' }
      notUnderstood(await server.post('/v1/client/sign_ins', form, { origin: OTHER }))
      assert.equal(await statusOf(server, id), 'pending')
      const [refusal] = await server.auditEvents({ actor_token_id: id, outcome: 'refused' })
      assert.equal(refusal?.code, 'scope_not_understood')
      expectOk(await redeem(server, token, APP))
      assert.equal(await statusOf(server, id), 'accepted')
      // The reason of a ticket that cannot be used comes first.
      assert.deepEqual((await accept(server, token)).codes, ['actor_token_already_used_code'])
    }
  })

  it('gets no token of a limited session in any way: every mint either refuses or has the claim', async () => {
    await using server = await testServer({ env })
    expectOk(await template(server, 'passes', { scope: '{{ session.scope }}' }))
    const drops: Record<string, object> = {
      none: { role: 'x' },
      literal: { scope: 'act:write' },
      other: { scope: '{{user.id}}' },
      or: { scope: "{{session.scope || 'act:write'}}" },
      before: { scope: 'act:write {{session.scope}}' },
      nested: { x: { scope: '{{session.scope}}' } },
      list: { scope: ['{{session.scope}}'] },
    }
    for (const [name, claims] of Object.entries(drops)) expectOk(await template(server, name, claims))
    let [withClaim, refused] = [0, 0]

    for (const [fields, scope] of LIMITED) {
      const { token } = await server.createActorToken(fields)
      const signedIn = await redeem(server, token, APP)
      const cookie = cookieOf(signedIn)
      const id = expectOk(signedIn).response.created_session_id
      /** Checks what was minted, if anything was. */
      const check = (jwt: string | undefined | null, allowed: boolean, what: string) => {
        assert.equal(typeof jwt === 'string' && jwt !== '', allowed, `${scope}: ${what}`)
        if (jwt) assert.equal(claimsOf(jwt).scope, scope, what)
        if (jwt) withClaim += 1
        else refused += 1
      }
      const minted = (answer: Answer, allowed: boolean, what: string) => {
        if (!allowed) notUnderstood(answer)
        check(answer.body.jwt, allowed, what)
      }
      const lastToken = ({ body }: Answer) => {
        const client = body.client ?? body.response
        return client.sessions.find((each: { id: string }) => each.id === id)?.last_active_token?.jwt
      }
      check(lastToken(signedIn), true, 'redeem')

      const templates: [string, boolean][] = [
        ['', true],
        ['/passes', true],
        ...Object.keys(drops).map((name): [string, boolean] => [`/${name}`, false]),
      ]
      for (const [suffix, passes] of templates) {
        const path = `/sessions/${id}/tokens${suffix}`
        for (const [origin, trusted] of [
          [APP, true],
          [OTHER, false],
          [undefined, false],
        ] as const) {
          const answer = await server.post(`/v1/client${path}`, { understands: 'scope' }, { cookie, origin })
          minted(answer, trusted && passes, `browser ${origin} ${suffix}`)
        }
        for (const [body, trusted] of [
          [{ understands }, true],
          [{}, false],
          [{ understands: [] }, false],
          [undefined, false],
        ] as const)
          minted(await server.call('POST', `/v1${path}`, body), trusted && passes, `backend ${suffix}`)
        // A backend's Origin header counts for nothing.
        minted(await server.call('POST', `/v1${path}`, {}, { origin: APP }), false, 'backend with an origin')
      }
      for (const [origin, trusted] of [
        [APP, true],
        [OTHER, false],
      ] as const) {
        const headers = { authorization: undefined, cookie, origin }
        check(lastToken(await server.call('GET', '/v1/client', undefined, headers)), trusted, `client ${origin}`)
        check(lastToken(await server.call('GET', `/v1/client/sessions/${id}`, undefined, headers)), trusted, 'session')
        check(lastToken(await server.post(`/v1/client/sessions/${id}/touch`, {}, { cookie, origin })), trusted, 'touch')
        check(await handshakeToken(server, cookie, origin, 'nonce'), trusted, `handshake nonce ${origin}`)
        check(await handshakeToken(server, cookie, origin, 'token'), trusted, `handshake token ${origin}`)
      }
    }
    assert.deepEqual({ withClaim, refused }, { withClaim: LIMITED.length * 10, refused: LIMITED.length * 73 })
  })

  it('gets templates of unlimited sessions as before, with a scope that is null', async () => {
    await using server = await testServer({ env })
    expectOk(await template(server, 'passes', { scope: '{{session.scope}}' }))
    expectOk(await template(server, 'own', { scope: 'mine' }))
    const { session } = expectOk(await accept(server, (await server.createActorToken()).token))
    const scopeIn = async (name: string) =>
      claimsOf(expectOk(await server.call('POST', `/v1/sessions/${session.id}/tokens/${name}`)).jwt).scope
    assert.equal(await scopeIn('passes'), null)
    assert.equal(await scopeIn('own'), 'mine')
  })
})

/** Returns the session token that a handshake gives an app, if it gives one. */
async function handshakeToken(server: TestServer, cookie: string, origin: string, format: string) {
  const query = new URLSearchParams({ redirect_url: `${origin}/`, format })
  const headers = { authorization: undefined, cookie }
  const { headers: answered } = await server.call('GET', `/v1/client/handshake?${query}`, undefined, headers)
  const back = new URL(answered.get('location') ?? '')
  const nonce = back.searchParams.get('__clerk_handshake_nonce')
  const { directives } = nonce
    ? expectOk(await server.call('GET', `/v1/clients/handshake_payload?${new URLSearchParams({ nonce })}`))
    : { directives: claimsOf(back.searchParams.get('__clerk_handshake') ?? '').handshake }
  const session = directives.find((each: string) => each.startsWith('__session='))
  return session?.split(/[=;]/)[1]
}

describe('in development', () => {
  it('apps on this machine get limited sessions without a setting; in production none do', async () => {
    const local = 'http://127.0.0.1:3000'
    const { STAGEDOOR_SCOPE_ORIGINS: _, ...rest } = env
    await using server = await testServer({ env: rest })
    expectOk(await redeem(server, (await server.createActorToken({ access: 'read' })).token, local))
    notUnderstood(await redeem(server, (await server.createActorToken({ access: 'read' })).token, APP))
    notUnderstood(await accept(server, (await server.createActorToken({ access: 'read' })).token))
    await using named = await testServer({ env })
    notUnderstood(await redeem(named, (await named.createActorToken({ access: 'read' })).token, local))
    const production = { ...rest, STAGEDOOR_ENVIRONMENT: 'production', STAGEDOOR_ALLOWED_ORIGINS: local }
    const key = `sk_live_${randomBytes(24).toString('hex')}`
    await using live = await testServer({ env: { ...production, STAGEDOOR_SECRET_KEY: key } })
    const headers = { authorization: `Bearer ${key}` }
    const { id: user_id } = expectOk(await live.call('POST', '/v1/users', {}, headers))
    const body = { user_id, actor: { sub: 'olivia' }, access: 'read' }
    const { token } = expectOk(await live.call('POST', '/v1/actor_tokens', body, headers))
    notUnderstood(await redeem(live, token, local))
  })
})

describe('the policy', () => {
  const READ = '@id("reads") permit (principal, action == Action::"read", resource);'
  const SCOPED = `@id("scoped") permit (principal, action in Action::"act", resource)
    when { context has scopes && ["invoices:read", "invoices:send"].containsAll(context.scopes) };`
  const put = async (server: TestServer, text: string, expect_refused = 0) =>
    expectOk(await server.call('PUT', '/v1/policy', { text, expect_refused }))

  it('decides about the access and the scopes that are asked for, and says what would help', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const asked = (fields: object) => ({ user_id, actor: { sub: 'olivia' }, ...fields })
    await put(server, READ)
    const refused = await server.call('POST', '/v1/actor_tokens', asked({}))
    assert.deepEqual([refused.status, refused.codes], [403, ['acting_refused']])
    assert.deepEqual(refused.body.errors[0].meta.needs, [['read']])
    expectOk(await server.call('POST', '/v1/actor_tokens', asked({ access: 'read' })))
    for (const [access, decision] of [
      ['read', 'allowed'],
      ['write', 'refused'],
    ]) {
      const explained = expectOk(await server.call('POST', '/v1/policy/explain', asked({ access })))
      assert.deepEqual([explained.access, explained.decision], [access, decision])
    }
    await put(server, SCOPED)
    for (const [scopes, status] of [
      [['invoices:read'], 200],
      [['invoices:read', 'users:delete'], 403],
      [undefined, 403],
    ] as const)
      assert.equal((await server.call('POST', '/v1/actor_tokens', asked({ scopes }))).status, status, `${scopes}`)
    const explained = expectOk(await server.call('POST', '/v1/policy/explain', asked({ scopes: ['invoices:send'] })))
    assert.deepEqual(explained.facts.context.scopes, ['invoices:send'])
  })

  it('decides about a session with its own access: at the mint, in what-if and when it is put in force', async () => {
    await using server = await testServer({ env })
    const start = async (fields: object) =>
      expectOk(await accept(server, (await server.createActorToken(fields)).token, { understands })).session.id
    const [reads, writes] = [await start({ access: 'read' }), await start({})]
    const { live } = expectOk(await server.call('POST', '/v1/policy/what_if', { text: READ }))
    assert.deepEqual([live.checked, live.refused, live.sessions[0].session_id], [2, 1, writes])
    await put(server, READ, 1)
    const mint = (id: string) => server.call('POST', `/v1/sessions/${id}/tokens`, { understands })
    expectOk(await mint(reads))
    assert.equal((await mint(writes)).status, 401)
    const explain = async (session_id: string) =>
      expectOk(await server.call('POST', '/v1/policy/explain', { session_id }))
    assert.deepEqual([(await explain(reads)).access, (await explain(reads)).decision], ['read', 'allowed'])
  })

  it('is asked again when a token is redeemed, with the access of the token', async () => {
    await using server = await testServer({ env })
    const [reads, writes] = [await server.createActorToken({ access: 'read' }), await server.createActorToken()]
    await put(server, READ)
    assert.deepEqual((await accept(server, writes.token, { understands })).codes, ['acting_refused'])
    assert.equal(await statusOf(server, writes.id), 'pending')
    expectOk(await accept(server, reads.token, { understands }))
  })
})

describe('the actor that a backend expects', () => {
  it('must be that of a limited token too: 403, and the token stays pending', async () => {
    await using server = await testServer({ env })
    const { id, token } = await server.createActorToken({ access: 'read', actor: { sub: 'olivia' } })
    for (const actor_sub of ['oscar', 'Olivia', 'olivia ']) {
      const { status, codes } = await accept(server, token, { actor_sub, understands })
      assert.deepEqual([status, codes], [403, ['actor_mismatch']])
    }
    assert.equal(await statusOf(server, id), 'pending')
    expectOk(await accept(server, token, { actor_sub: 'olivia', understands }))
  })
})

describe('@clerk/backend', () => {
  it('verifies the token of a limited session, and shows the claim', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_SIGNING_ALG: 'RS256' }, realTime: true })
    const { token } = await server.createActorToken({ access: 'read', scopes: ['b', 'a'] })
    const { jwt } = expectOk(await accept(server, token, { understands })).token
    const { keys } = expectOk(await server.call('GET', '/v1/jwks'))
    const { kid } = JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString())
    const jwtKey = pemOf(keys.find((key: { kid: string }) => key.kid === kid))
    const claims = await verifyToken(jwt, { jwtKey })
    assert.deepEqual([claims.act, claims['scope']], [{ sub: 'user_operator' }, 'act:read a b'])
    // A copy without the claim, or with another one, is not genuine.
    const [header, , signature] = jwt.split('.')
    for (const scope of [undefined, 'act:write', 'act:read a b c']) {
      const forged = Buffer.from(JSON.stringify({ ...claims, scope })).toString('base64url')
      await assert.rejects(verifyToken(`${header}.${forged}.${signature}`, { jwtKey }), {
        reason: 'token-invalid-signature',
      })
    }
  })
})

function pemOf(jwk: object): string {
  return createPublicKey({ key: jwk as never, format: 'jwk' }).export({ format: 'pem', type: 'spki' }) as string
}
