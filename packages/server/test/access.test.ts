import assert from 'node:assert/strict'
import { hash, randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import { type Answer, SECRET_KEY, sharedServer, testServer } from '../../../test/support/server.ts'
import { bapi } from '../src/contract/bapi.ts'
import { fapi } from '../src/contract/fapi.ts'
import type { Operation } from '../src/contract/operation.ts'
import { createSecretKey, revokeSecretKey } from '../src/domain/secret-keys.ts'
import { bodyOf, succeeding, UNKNOWN, unknownPath } from './operations.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const name = (operation: Operation) => `${operation.method.toUpperCase()} ${operation.path}`

function assertUnauthorized(answer: Answer, code: string, what = ''): void {
  assert.deepEqual([answer.status, answer.codes], [401, [code]], `${what} ${answer.text}`)
}

describe('Z13 Z17 routes that require a secret key', () => {
  const keyed = bapi.filter(operation => operation.auth === 'secret_key')
  const shared = sharedServer({ env })

  it('are all routes of the Backend API', () => {
    assert.equal(keyed.length, bapi.length)
    assert.ok(bapi.length >= 28)
    assert.deepEqual(
      fapi.filter(operation => operation.auth === 'secret_key'),
      [],
    )
  })

  for (const operation of keyed) {
    it(`${name(operation)} answers 401 without a key, for every body`, async () => {
      const server = shared()
      const path = unknownPath(operation)
      const method = operation.method.toUpperCase()
      const none = { authorization: undefined }
      assertUnauthorized(
        await server.call(method, path, bodyOf(operation), none),
        'authorization_header_format_invalid',
      )
      if (operation.method !== 'get') {
        // The key is checked before anything else in the request.
        for (const body of [
          'not json',
          'null',
          Buffer.alloc(300_000, 32),
          '{"__proto__":1}',
          { user_id: 'user_1', userId: 'user_1', actor: { sub: 'a' } },
        ]) {
          assertUnauthorized(await server.call(method, path, body, none), 'authorization_header_format_invalid')
        }
        assertUnauthorized(
          await server.call(method, path, 'x', { ...none, 'content-type': 'text/plain' }),
          'authorization_header_format_invalid',
        )
      }
      assertUnauthorized(
        await server.call(
          method,
          `${path}?limit=x&user_id=user_1&authorization=Bearer+${SECRET_KEY}&secret_key=${SECRET_KEY}`,
          bodyOf(operation),
          none,
        ),
        'authorization_header_format_invalid',
      )
      const { cookie } = await server.signIn()
      assertUnauthorized(
        await server.call(method, path, bodyOf(operation), { ...none, cookie }),
        'authorization_header_format_invalid',
      )
      assertUnauthorized(
        await server.call(method, path, bodyOf(operation), {
          authorization: 'Bearer sk_test_000000000000000000000000',
        }),
        'clerk_key_invalid',
      )
      const refused = await server.auditEvents({ outcome: 'refused' })
      assert.deepEqual(refused, [], 'requests without a key write no audit events')
    })
  }

  // PUT creates what there is not.
  for (const operation of bapi.filter(it => it.path.includes('{') && it.method !== 'put')) {
    it(`${name(operation)} answers 404 for an unknown id`, async () => {
      const server = shared()
      const body = operation.body === undefined || operation.method === 'post' ? undefined : {}
      const ids = [
        UNKNOWN,
        'x',
        '%27%20OR%201=1--',
        '..',
        '%2e%2e',
        '%00',
        '*',
        '%25',
        '__proto__',
        'constructor',
        'a'.repeat(255),
        'a'.repeat(256),
        '%F0%9F%98%80',
        '%FF',
        '%',
        'user_1%0a',
      ]
      for (const id of [unknownPath(operation), ...ids.map(it => operation.path.replace(/\{\w+\}/, it))]) {
        const answer = await server.call(operation.method.toUpperCase(), id, body)
        assert.deepEqual([answer.status, answer.codes], [404, ['resource_not_found']], `${id} ${answer.text}`)
      }
    })
  }

  it('POST /v1/actor_tokens, /v1/sign_in_tokens and /v1/sessions answer 404 for an unknown user', async () => {
    await using server = await testServer({ env })
    const user_id = `user_${UNKNOWN}`
    for (const [path, body] of Object.entries({
      '/v1/actor_tokens': { user_id, actor: { sub: 'a' } },
      '/v1/sign_in_tokens': { user_id },
      '/v1/sessions': { user_id },
    })) {
      const answer = await server.call('POST', path, body)
      assert.deepEqual([answer.status, answer.codes], [404, ['resource_not_found']], path)
      assert.equal(answer.body.errors[0].long_message, `No user was found with id ${user_id}`)
    }
    assert.deepEqual((await server.call('GET', '/v1/actor_tokens')).body, [])
  })
})

describe('every operation of the contract', () => {
  // A stream never ends: revocations.test.ts covers it.
  const shared = sharedServer({ env })
  const operations = [...bapi, ...fapi].filter(operation => !operation.stream)
  for (const operation of operations) {
    it(`${name(operation)} is served, and H16 S9 no cache may keep a refusal or personal data`, async () => {
      const server = shared()
      for (const authorization of [`Bearer ${SECRET_KEY}`, undefined]) {
        const answer = await server.call(operation.method.toUpperCase(), unknownPath(operation), bodyOf(operation), {
          authorization,
        })
        assert.ok(!answer.text.includes('There is no '), `there is no ${name(operation)}`)
        assert.ok(answer.status < 500, answer.text)
        assert.equal(
          answer.headers.get('cache-control'),
          operation.path === '/.well-known/jwks.json' ? 'public, max-age=60' : 'no-store, private',
        )
        assertSafe(answer)
      }
    })
  }

  for (const operation of operations) {
    it(`${name(operation)} answers with the same headers when it succeeds`, async () => {
      const server = shared()
      const { path, body, headers, method } = await succeeding(server, operation)
      const answer = await server.call(method, path, body, headers)
      assert.equal(answer.status, operation.id === 'acceptTicket' ? 200 : (operation.status ?? 200), answer.text)
      const cached = {
        '/.well-known/jwks.json': 'public, max-age=60',
        // Only the caller's own cache, unless the setting publishes the log. Its content never changes.
        '/v1/audit/tile/{tile_path}': 'private, max-age=31536000, immutable',
      }
      const expected = cached[operation.path as keyof typeof cached] ?? 'no-store, private'
      assert.equal(answer.headers.get('cache-control'), expected)
      assertSafe(answer)
      for (const cookie of answer.headers.getSetCookie())
        assert.match(cookie, /^__client=[\w.-]*; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax$/)
      const sets = ['createSignIn', 'deleteClientSessions'].includes(operation.id)
      assert.equal(answer.headers.getSetCookie().length, sets ? 1 : 0)
    })
  }

  it('S1 marks its cookie Secure only where the public URL is https', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_PUBLIC_URL: 'https://auth.example.com' } })
    const { token } = await server.createActorToken()
    const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token })
    assert.match(answer.headers.get('set-cookie') ?? '', /; HttpOnly; SameSite=Lax; Secure$/)
  })

  it('H16 returns 404 for an unknown address, with the same headers, and reveals nothing about the server', async () => {
    await using server = await testServer({ env })
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/v1'],
      ['GET', '/v1/'],
      ['DELETE', '/v1/audit_event/evt_1'],
      ['GET', '/.env'],
      ['GET', '/metrics'],
    ] as const) {
      const answer = await server.call(method, path)
      assert.deepEqual([answer.status, answer.codes], [404, ['resource_not_found']], `${method} ${path}`)
      assert.equal(answer.headers.get('cache-control'), 'no-store, private')
      assertSafe(answer)
    }
  })
})

describe('Z14 kinds of keys', () => {
  it('are distinguished', async () => {
    await using server = await testServer({ env })
    await using other = await testServer({
      env: { ...env, STAGEDOOR_SECRET_KEY: `sk_test_${'another key of another server '.replaceAll(' ', '.')}` },
    })
    const random = randomBytes(24).toString('hex')
    const keys = {
      'a publishable key': `pk_test_${random}`,
      'this key as a publishable one': SECRET_KEY.replace('sk_', 'pk_'),
      'this key for live': SECRET_KEY.replace('sk_test_', 'sk_live_'),
      'a key that was never created': `sk_test_${random}`,
      'the hash of this key': hash('sha256', SECRET_KEY),
      'this key without its prefix': SECRET_KEY.slice('sk_test_'.length),
      'a prefix': 'sk_test_',
    }
    for (const [what, key] of Object.entries(keys))
      assertUnauthorized(
        await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${key}` }),
        'clerk_key_invalid',
        what,
      )
    assertUnauthorized(await other.call('GET', '/v1/users'), 'clerk_key_invalid', 'a key of another instance')
  })

  it('test keys do nothing in production, and live keys do nothing in development', async () => {
    const live = `sk_live_${randomBytes(24).toString('hex')}`
    using database = testDatabase({ STAGEDOOR_ENVIRONMENT: 'production', STAGEDOOR_SECRET_KEY: live })
    {
      await using server = await testServer({ env: database.env })
      assert.equal((await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${live}` })).status, 200)
      assertUnauthorized(await server.call('GET', '/v1/users'), 'clerk_key_invalid')
    }
    // The same database, started in development: both keys are stored, and one of them is a test key.
    await using server = await testServer({
      env: { ...database.env, STAGEDOOR_ENVIRONMENT: 'development', STAGEDOOR_SECRET_KEY: SECRET_KEY },
    })
    assert.equal((await server.call('GET', '/v1/users')).status, 200)
    assertUnauthorized(
      await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${live}` }),
      'clerk_key_invalid',
    )
  })

  it('a revoked key is refused at once and after a restart, even if the environment still names it', async () => {
    using database = testDatabase()
    let revokedSecret = ''
    {
      await using server = await testServer({ env: database.env })
      const ctx = server.stagedoor.context({ type: 'command_line', id: null })
      const { record, secret } = await createSecretKey(ctx, { name: 'a second key' })
      revokedSecret = secret
      const authorization = `Bearer ${secret}`
      const user = await server.call('POST', '/v1/users', {}, { authorization })
      assert.equal(user.status, 200)
      await revokeSecretKey(ctx, { id: record.id })
      assertUnauthorized(await server.call('GET', '/v1/users', undefined, { authorization }), 'clerk_key_invalid')
      assertUnauthorized(
        await server.call(
          'POST',
          '/v1/actor_tokens',
          { user_id: user.body.id, actor: { sub: 'a' } },
          { authorization },
        ),
        'clerk_key_invalid',
      )
      assert.equal((await server.call('GET', '/v1/users')).status, 200)
    }
    await using server = await testServer({ env: { ...database.env, STAGEDOOR_SECRET_KEY: revokedSecret } })
    assertUnauthorized(
      await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${revokedSecret}` }),
      'clerk_key_invalid',
    )
  })

  it('Z15 are found by their hash; nothing else of a key is stored', async () => {
    using database = testDatabase()
    await using _server = await testServer({ env: database.env })
    const [row, ...more] = database.rows('select * from secret_keys')
    assert.deepEqual(more, [])
    assert.equal(row?.['hash'], hash('sha256', SECRET_KEY))
    assert.equal(row?.['hint'], `${SECRET_KEY.slice(0, 12)}…${SECRET_KEY.slice(-4)}`)
    assert.deepEqual(Object.keys(row ?? {}), [
      'id',
      'name',
      'hash',
      'hint',
      'created_at',
      'revoked_at',
      'rights',
      'expires_at',
    ])
  })
})

describe('Z16 the Authorization header', () => {
  it('must be exactly one Bearer token', async () => {
    await using server = await testServer({ env })
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
      assert.equal(
        (await server.call('GET', '/v1/users', undefined, { authorization: `${scheme} ${SECRET_KEY}` })).status,
        200,
        scheme,
      )
    }
    const basic = Buffer.from(`${SECRET_KEY}:`).toString('base64')
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      SECRET_KEY,
      `Token ${SECRET_KEY}`,
      `Basic ${basic}`,
      `Basic ${SECRET_KEY}`,
      `Bearer${SECRET_KEY}`,
      `Bearer\t${SECRET_KEY}`,
      `Bearer  ${SECRET_KEY}`,
      `Bearer:${SECRET_KEY}`,
      `Bearer ${SECRET_KEY} ${SECRET_KEY}`,
      `Bearer ${SECRET_KEY}, Bearer ${SECRET_KEY}`,
      `Basic x, Bearer ${SECRET_KEY}`,
      `Bearer x, Bearer ${SECRET_KEY}`,
      `Bearer ${SECRET_KEY} x`,
      `Bearer Bearer ${SECRET_KEY}`,
      `DPoP ${SECRET_KEY}`,
      `NotBearer ${SECRET_KEY}`,
      `Bearer ${SECRET_KEY}\u00e9`,
    ]) {
      assertUnauthorized(
        await server.call('GET', '/v1/users', undefined, { authorization }),
        'authorization_header_format_invalid',
        JSON.stringify(authorization),
      )
    }
    for (const authorization of [
      `Bearer ${SECRET_KEY},`,
      `Bearer ,${SECRET_KEY}`,
      `Bearer ${SECRET_KEY};`,
      `Bearer "${SECRET_KEY}"`,
      `Bearer token=${SECRET_KEY}`,
    ]) {
      assertUnauthorized(
        await server.call('GET', '/v1/users', undefined, { authorization }),
        'clerk_key_invalid',
        authorization,
      )
    }
    for (const header of [
      'x-authorization',
      'proxy-authorization',
      'x-api-key',
      'x-forwarded-authorization',
      'cookie',
    ]) {
      const answer = await server.call('GET', '/v1/users', undefined, {
        authorization: undefined,
        [header]: `Bearer ${SECRET_KEY}`,
      })
      assertUnauthorized(answer, 'authorization_header_format_invalid', header)
    }
  })

  it('is refused if it is sent twice on one connection, in either order', async () => {
    await using server = await testServer({ env })
    const origin = await server.listen()
    const good = `Authorization: Bearer ${SECRET_KEY}`
    const bad = 'Authorization: Bearer sk_test_000000000000000000000000'
    assert.equal((await raw(origin, ['GET /v1/users HTTP/1.1', good])).status, 200)
    for (const headers of [
      [good, bad],
      [bad, good],
      [good, good],
      [good, 'authorization: Basic x'],
      ['AUTHORIZATION: x', good],
      [good, 'Authorization:'],
    ]) {
      const answer = await raw(origin, ['GET /v1/users HTTP/1.1', ...headers])
      assert.equal(answer.status, 401, headers.join(' + '))
    }
    const folded = await raw(origin, ['GET /v1/users HTTP/1.1', `Authorization: Bearer\r\n ${SECRET_KEY}`])
    assert.ok([400, 401].includes(folded.status), String(folded.status))
  })
})

describe('Z18 paths', () => {
  const VARIANTS = [
    '//v1/users',
    '/v1//users',
    '/v1/./users',
    '/./v1/users',
    '/v1/../v1/users',
    '/x/../v1/users',
    '/v1/users/',
    '/v1/users//',
    '/v1/users/.',
    '/v1/users/..',
    '/v1/users/x/..',
    '/v1/users/%2e',
    '/v1/users/%2e%2e',
    '/v1/%2e/users',
    '/v1/%2e%2e/v1/users',
    '/%2e/v1/users',
    '/v1%2fusers',
    '/v1%2Fusers',
    '/%2fv1/users',
    '/v1/users%2f',
    '/v1%5cusers',
    '/v1\\users',
    '\\v1\\users',
    '/v1/users;x',
    '/v1/users;x=1',
    '/v1;x/users',
    '/v1/users%3b',
    '/V1/users',
    '/v1/Users',
    '/v1/USERS',
    '/v1/users%00',
    '/v1/users%00.json',
    '/v1/users%20',
    '/v1/users+',
    '/v1/users.json',
    '/v1/users~',
    '/v1/users%',
    '/v1/users%2',
    '/v1/users%zz',
    '/v1/users%c0%af',
    '/v1/users%e0%80%af',
    '/v1/users#',
    '/v1/users#/.well-known/jwks.json',
    '/.well-known/jwks.json/../../v1/users',
    '/.well-known/%2e%2e/v1/users',
    '/healthz/../v1/users',
    '/v1/client/../users',
    '/v1/client/sessions/../../users',
    '/v1/tickets/accept/../../users',
    '/v1/users?',
    '/v1/users?x',
    '/v1/users??',
    '/v1/users?/../healthz',
    '/v1/users?#',
    '/v1/users#?',
    '/v1/u%73ers',
    '/%76%31/users',
    '/v1/%75%73%65%72%73',
    '/v1/users%0d%0ax',
    '/v1/users%09',
    '/v1/users\u00a0',
    '/v1/ｕsers',
    '/v1/users/count/..',
    '/v1/users/count/../',
    '/v1/users/%2e%2e/users',
    '*',
    'v1/users',
    'http://127.0.0.1/v1/users',
    'http://evil.example/v1/users',
    'http://user:pass@evil.example/v1/users',
    'HTTP://127.0.0.1//v1/users',
    'https://127.0.0.1/v1/users',
    'http:/v1/users',
    'http:///v1/users',
    'file:///v1/users',
    '//evil.example/v1/users',
    '/v1/users?_method=POST',
    '/v1/users/user_1%2f..',
    '/v1/users/count',
    '/v1/users/count/',
    '/v1/users/%63ount',
    '/v1/audit_events',
    '/v1/audit_events/',
    '/v1//audit_events',
    '/v1/refused_requests',
    '/v1/sessions',
    '/v1/Sessions',
    '/v1/sessions/../healthz',
    '/v1/actor_tokens',
    '/v1/actor_tokens/',
    '/v1/actor_tokens/accept',
    '/v1/actor_tokens/%61ccept',
    '/v1/jwks',
    '/v1/jwks/',
    '/v1/jwks.json',
    '/v1/jwks%2ejson',
    '/v1/clients/verify',
    '/v1/clients/client_1',
  ]
  const HEADERS: string[][] = [
    [],
    ['X-Middleware-Subrequest: middleware'],
    ['X-HTTP-Method-Override: GET'],
    ['X-Original-URL: /healthz'],
    ['X-Rewrite-URL: /healthz'],
    ['X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Host: localhost', 'X-Forwarded-Prefix: /healthz'],
    ['X-Clerk-Auth-Status: signed-in'],
    ['Connection: authorization'],
    ['Upgrade: websocket', 'Connection: Upgrade'],
  ]

  it('do not bypass the secret key, however they are encoded', async () => {
    await using server = await testServer({ env })
    await server.createUser({ first_name: 'Canary' })
    const origin = await server.listen()
    let tried = 0
    for (const method of ['GET', 'HEAD', 'POST']) {
      for (const path of VARIANTS) {
        const answer = await raw(origin, [`${method} ${path} HTTP/1.1`], method === 'POST' ? '{}' : undefined)
        assertKeptOut(answer, `${method} ${path}`)
        tried++
      }
    }
    for (const headers of HEADERS) {
      for (const path of ['/v1/users', '/v1/actor_tokens', '//v1/users', '/v1/users/']) {
        assertKeptOut(await raw(origin, [`GET ${path} HTTP/1.1`, ...headers]), `${path} ${headers.join()}`)
        tried++
      }
    }
    assert.ok(tried > 200, String(tried))
    for (const [method, status] of [
      ['OPTIONS', 204],
      ['TRACE', 405],
      ['PROPFIND', 405],
      ['get', 400],
    ] as const) {
      const answer = await raw(origin, [`${method} /v1/users HTTP/1.1`])
      assert.equal(answer.status, status, method)
      assert.ok(!answer.text.includes('Canary'), method)
    }
    // The server does not tunnel: it closes the connection.
    assert.equal((await raw(origin, ['CONNECT /v1/users HTTP/1.1'])).text, '')
  })

  it('are taken literally when the key is right', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    const origin = await server.listen()
    const key = `Authorization: Bearer ${SECRET_KEY}`
    for (const path of ['/v1/users', '/v1/users?limit=1', `/v1/users/${id}`, `/v1/users/${id.replace('_', '%5f')}`]) {
      assert.equal((await raw(origin, [`GET ${path} HTTP/1.1`, key])).status, 200, path)
    }
    for (const path of [
      '//v1/users',
      '/v1//users',
      '/v1/users/',
      '/V1/users',
      '/v1/users;x',
      '/v1%2fusers',
      `/v1/users/${id}/`,
      `/v1/users/${id}%2fban`,
      `/v1/users/${id}%00`,
      `/v1/users/${id.toUpperCase()}`,
    ]) {
      assert.equal((await raw(origin, [`GET ${path} HTTP/1.1`, key])).status, 404, path)
    }
    const ban = await raw(origin, [`GET /v1/users/${id}/ban HTTP/1.1`, key])
    const overridden = await raw(origin, [
      `GET /v1/users/${id}/ban?_method=POST HTTP/1.1`,
      'X-HTTP-Method-Override: POST',
      key,
    ])
    assert.deepEqual([ban.status, overridden.status], [405, 405])
    assert.equal((await server.call('GET', `/v1/users/${id}`)).body.banned, false)
  })

  function assertKeptOut(answer: { status: number; text: string }, what: string): void {
    assert.ok([400, 401, 404, 405].includes(answer.status), `${what}: ${answer.status} ${answer.text}`)
    assert.ok(!answer.text.includes('Canary'), what)
  }
})

/** Headers that every answer has. */
function assertSafe(answer: Answer): void {
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  const page = answer.headers.get('content-type')?.startsWith('text/html')
  assert.equal(answer.headers.get('referrer-policy'), page ? 'same-origin' : 'no-referrer')
  if (page)
    assert.match(answer.headers.get('content-security-policy') ?? '', /^default-src 'none'; .*frame-ancestors 'none'$/)
  assert.match(answer.headers.get('clerk-trace-id') ?? '', /^[0-9a-f]{32}$/)
  const type = answer.headers.get('content-type') ?? ''
  if (![303, 307].includes(answer.status) && !page)
    assert.match(type, /^(application\/(json|x-ndjson|octet-stream)|text\/event-stream|text\/plain; charset=utf-8)$/)
  if (answer.status >= 400) {
    assert.equal(answer.body.clerk_trace_id, answer.headers.get('clerk-trace-id'))
    assert.doesNotMatch(answer.text, /node_modules|\.ts:|at \w+ \(|SQLITE|select |better-sqlite/i)
  }
}

/** Sends exactly these lines. HTTP clients would normalise them. */
function raw(origin: string, lines: string[], body = ''): Promise<{ status: number; text: string }> {
  const { port } = new URL(origin)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
    })
    socket.on('error', reject)
    socket.on('close', () => resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]), text }))
    const length = body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]
    const connection = lines.some(line => line.startsWith('Connection:')) ? [] : ['Connection: close']
    socket.write(
      [...lines.slice(0, 1), 'Host: 127.0.0.1', ...lines.slice(1), ...connection, ...length, '', body].join('\r\n'),
    )
    // The client closes a keep-alive connection.
    if (connection.length === 0) setTimeout(() => socket.end(), 200)
  })
}
