import assert from 'node:assert/strict'
import { createHmac, createPublicKey, generateKeyPairSync, hash, sign } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import { claimsOf, part } from '../../../test/support/jwt.ts'
import {
  type Answer,
  expectOk,
  SECRET_KEY,
  sharedServer,
  type TestServer,
  testServer,
} from '../../../test/support/server.ts'
import { promised } from '../../../test/support/time.ts'
import { openPrivateKey, SealedClaims } from '../src/signing/keyring.ts'
import { MasterKey } from '../src/signing/master-key.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** Everything that accepts a token, and whether it accepted one. Each returns the same error for every invalid token. */
const consumers: Record<string, (server: TestServer, token: string, session_id: string) => Promise<boolean>> = {
  'Authorization: Bearer': async (server, token) =>
    taken(await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${token}` }), 401, [
      'clerk_key_invalid',
      'authorization_header_format_invalid',
    ]),
  'POST /v1/client/sign_ins': async (server, ticket) =>
    taken(await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }), 400, ['ticket_invalid_code']),
  'POST /v1/actor_tokens/accept': async (server, ticket) =>
    taken(await server.call('POST', '/v1/actor_tokens/accept', { ticket }), 400, ['ticket_invalid_code']),
  'GET /v1/tickets/accept': async (server, ticket) =>
    taken(
      await server.call('GET', `/v1/tickets/accept?${new URLSearchParams({ ticket })}`, undefined, {
        authorization: undefined,
      }),
      400,
      ['ticket_invalid_code'],
    ),
  'POST /v1/clients/verify': async (server, token) =>
    taken(await server.call('POST', '/v1/clients/verify', { token }), 401, ['authentication_invalid']),
  '__client on GET /v1/client': async (server, token) => {
    const answer = await server.call('GET', '/v1/client', undefined, {
      authorization: undefined,
      cookie: `__client=${token}`,
    })
    assert.equal(answer.status, 200, answer.text)
    return answer.body.response !== null
  },
  '__client on session tokens': async (server, token, session_id) =>
    taken(await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie: `__client=${token}` }), 401, [
      'authentication_invalid',
    ]),
}
const ticketConsumers = Object.entries(consumers)
  .slice(1, 4)
  .map(([, consume]) => consume)
const clientConsumers = Object.entries(consumers)
  .slice(4)
  .map(([, consume]) => consume)

function taken(answer: Answer, status: number, codes: string[]): boolean {
  if (answer.status === 200 || answer.status === 303) return true
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.codes.length === 1 && codes.includes(answer.codes[0] ?? ''), true, answer.text)
  return false
}

/** Returns one valid token of every kind, all of one user. */
async function everyKind(server: TestServer) {
  const { cookie, session_id, user_id, client_id } = await server.signIn()
  const actor = await server.createActorToken({ user_id })
  const signIn = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id }))
  const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
  const clientToken = cookie.replace('__client=', '')
  return {
    session_id,
    client_id,
    user_id,
    actor,
    signIn,
    kinds: {
      'actor ticket': actor.token,
      'sign-in ticket': signIn.token,
      'session token': jwt,
      'client cookie': clientToken,
      'secret key': SECRET_KEY,
    },
  }
}

describe('J11 a token of one kind', () => {
  const shared = sharedServer({ env })
  const good: Record<string, string[]> = {
    'Authorization: Bearer': ['secret key'],
    'POST /v1/client/sign_ins': ['actor ticket', 'sign-in ticket'],
    'POST /v1/actor_tokens/accept': ['actor ticket'],
    'GET /v1/tickets/accept': ['actor ticket', 'sign-in ticket'],
    'POST /v1/clients/verify': ['client cookie'],
    '__client on GET /v1/client': ['client cookie'],
    '__client on session tokens': ['client cookie'],
  }
  for (const [place, consume] of Object.entries(consumers)) {
    for (const kind of ['actor ticket', 'sign-in ticket', 'session token', 'client cookie', 'secret key'] as const) {
      const right = good[place]?.includes(kind) === true
      it(`${kind} → ${place}: ${right ? 'accepted' : 'refused'}`, async () => {
        const server = shared()
        const { kinds, session_id, actor } = await everyKind(server)
        assert.equal(await consume(server, kinds[kind], session_id), right)
        if (!right) assert.equal((await server.call('GET', `/v1/actor_tokens/${actor.id}`)).body.status, 'pending')
      })
    }
  }

  it('ids, hashes and hints are not accepted as tokens', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const { session_id, client_id, user_id, actor, signIn } = await everyKind(server)
    const [key] = database.rows<{ id: string; hash: string; hint: string }>('select id, hash, hint from secret_keys')
    const texts = [
      session_id,
      client_id,
      user_id,
      actor.id,
      signIn.id,
      key?.id,
      key?.hash,
      'x',
      'null',
      'undefined',
      '{}',
      'sk_test_',
      `sk_test_${key?.hash}`,
      hash('sha256', SECRET_KEY),
    ]
    for (const text of texts) {
      for (const [place, consume] of Object.entries(consumers))
        assert.equal(await consume(server, String(text), session_id), false, `${text} ${place}`)
    }
  })
})

for (const kind of ['ticket', 'client'] as const) {
  const places = kind === 'ticket' ? ticketConsumers : clientConsumers

  /** A valid token of this kind, and the checks that a forged one is refused while the valid one still works. */
  const stage = async (server: TestServer) => {
    const { kinds, session_id } = await everyKind(server)
    const token = kind === 'ticket' ? kinds['actor ticket'] : kinds['client cookie']
    const [header = '', payload = '', mac = ''] = token.split('.')
    const assertRefused = async (forged: string, what: string) => {
      for (const consume of places) assert.equal(await consume(server, forged, session_id), false, what)
    }
    const assertStillGood = async () =>
      assert.equal(await (places[0] as (typeof places)[0])(server, token, session_id), true)
    return { token, header, payload, mac, session_id, assertRefused, assertStillGood }
  }
  const hmac = (algorithm: string, key: Buffer | string, signed: string) =>
    createHmac(algorithm, key).update(signed).digest('base64url')

  describe(`a forged ${kind} token`, () => {
    it('J1 is refused without an algorithm', async () => {
      await using server = await testServer({ env })
      const { payload, mac, assertRefused, assertStillGood } = await stage(server)
      for (const alg of ['none', 'None', 'nOnE', 'NONE', '', null, undefined]) {
        for (const signature of ['', mac])
          await assertRefused(`${part({ alg, typ: `${kind}+jwt` })}.${payload}.${signature}`, `${alg} ${signature}`)
      }
      await assertStillGood()
    })

    it('J2 J3 is refused if it is signed with a public or guessable key', async () => {
      await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
      const { header, payload, assertRefused, assertStillGood } = await stage(server)
      const jwks = await server.call('GET', '/.well-known/jwks.json')
      const [jwk] = jwks.body.keys
      const key = createPublicKey({ key: jwk, format: 'jwk' })
      const pem = key.export({ format: 'pem', type: 'spki' }).toString()
      const keys = [
        pem,
        `${pem}\n`,
        ` ${pem}`,
        `\ufeff${pem}`,
        `\u200b${pem}`,
        key.export({ format: 'pem', type: 'pkcs1' }).toString(),
        key.export({ format: 'der', type: 'spki' }),
        JSON.stringify(jwk),
        jwks.text,
        jwk.n,
        jwk.kid,
        '',
        Buffer.alloc(32),
        'ticket',
        'client',
        'stagedoor',
        SECRET_KEY,
      ]
      for (const [i, secret] of keys.entries())
        await assertRefused(`${header}.${payload}.${hmac('sha256', secret, `${header}.${payload}`)}`, `key ${i}`)
      await assertStillGood()
    })

    it('J4 J11 is refused if it is signed with a server key for another purpose, or by another algorithm', async () => {
      using database = testDatabase({ STAGEDOOR_SIGNING_ALG: 'RS256' })
      await using server = await testServer({ env: database.env })
      const { header, payload, mac, assertRefused, assertStillGood } = await stage(server)
      const master = new MasterKey(database.masterKey)
      const right = master.derive(kind)
      assert.equal(
        hmac('sha256', right, `${header}.${payload}`),
        mac,
        'the forger produces the same signature as the server',
      )
      for (const secret of [
        database.masterKey,
        master.derive('seal'),
        master.derive(kind === 'ticket' ? 'client' : 'ticket'),
        master.derive(''),
        master.derive(`${kind}+jwt`),
      ]) {
        await assertRefused(`${header}.${payload}.${hmac('sha256', secret, `${header}.${payload}`)}`, 'another key')
      }
      const other = part({ alg: 'HS256', typ: kind === 'ticket' ? 'client+jwt' : 'ticket+jwt' })
      for (const [h, algorithm] of [
        [part({ alg: 'HS384', typ: `${kind}+jwt` }), 'sha384'],
        [part({ alg: 'HS512', typ: `${kind}+jwt` }), 'sha512'],
        [header, 'sha512'],
        [other, 'sha256'],
        [part({ alg: 'HS256', typ: 'JWT' }), 'sha256'],
        [part({ alg: 'HS256' }), 'sha256'],
        [part({ typ: `${kind}+jwt`, alg: 'HS256' }), 'sha256'],
      ] as const) {
        await assertRefused(
          `${h}.${payload}.${hmac(algorithm, right, `${h}.${payload}`)}`,
          `${Buffer.from(h, 'base64url')} ${algorithm}`,
        )
      }
      const [key] = (await server.stagedoor.services.store.signingKeys.keyring()).keys
      assert.ok(key)
      const rsa = part({ alg: 'RS256', kid: key.id, typ: `${kind}+jwt` })
      await assertRefused(
        `${rsa}.${payload}.${sign('sha256', Buffer.from(`${rsa}.${payload}`), openPrivateKey(key, master)).toString('base64url')}`,
        'our RSA key',
      )
      await assertStillGood()
    })

    it('J5 J6 J7 J8 is refused with a custom header, signed or not', async () => {
      using database = testDatabase()
      await using server = await testServer({ env: database.env })
      const { payload, mac, assertRefused, assertStillGood } = await stage(server)
      const right = new MasterKey(database.masterKey).derive(kind)
      const own = generateKeyPairSync('ed25519')
      const jwk = own.publicKey.export({ format: 'jwk' })
      const kids = [
        '../../../../dev/null',
        '/proc/self/environ',
        'file:///etc/passwd',
        "' OR 1=1--",
        "x' UNION SELECT 'secret'--",
        '__proto__',
        'constructor',
        'x'.repeat(2_000),
        {},
        [],
        1,
        null,
        true,
      ]
      const extra: object[] = [
        ...kids.map(kid => ({ kid })),
        { jku: 'http://127.0.0.1:9/jwks.json' },
        { x5u: 'http://127.0.0.1:9/' },
        { jwk },
        { x5c: ['MIIB'] },
        { crit: ['x'], x: 1 },
        { crit: [] },
        { b64: false, crit: ['b64'] },
        { zip: 'DEF' },
        { cty: 'JWT' },
        { alg: 'EdDSA', jwk },
        { alg: ['HS256'] },
        { typ: [`${kind}+jwt`] },
      ]
      for (const members of extra) {
        const header = part({ alg: 'HS256', typ: `${kind}+jwt`, ...members })
        const what = JSON.stringify(members)
        await assertRefused(`${header}.${payload}.${mac}`, what)
        await assertRefused(`${header}.${payload}.${hmac('sha256', right, `${header}.${payload}`)}`, `${what}, signed`)
        await assertRefused(
          `${header}.${payload}.${sign(null, Buffer.from(`${header}.${payload}`), own.privateKey).toString('base64url')}`,
          `${what}, signed by its own key`,
        )
      }
      const twice = part(`{"alg":"none","alg":"HS256","typ":"${kind}+jwt"}`)
      await assertRefused(`${twice}.${payload}.${hmac('sha256', right, `${twice}.${payload}`)}`, 'a repeated member')
      await assertStillGood()
    })

    it('J10 is refused as a different encoding of a valid one', async () => {
      await using server = await testServer({ env })
      const { token, header, payload, mac, assertRefused, assertStillGood } = await stage(server)
      const spellings = new Set<string>()
      const parts = [header, payload, mac]
      for (const [at, text] of parts.entries()) {
        const respelt = (as: string) => spellings.add(parts.with(at, as).join('.'))
        for (const last of BASE64URL) {
          const other = text.slice(0, -1) + last
          // Node decodes these to the same bytes.
          if (other !== text && Buffer.from(other, 'base64url').equals(Buffer.from(text, 'base64url'))) respelt(other)
        }
        for (const other of [
          `${text}=`,
          `${text}==`,
          `=${text}`,
          `${text}!`,
          `${text.slice(0, 5)}*${text.slice(5)}`,
          Buffer.from(text, 'base64url').toString('base64'),
        ])
          respelt(other)
        respelt(Buffer.from(text, 'base64url').toString('hex'))
      }
      for (const other of [
        `${token}.`,
        `.${token}`,
        `${token}.${mac}`,
        token.replace('.', '..'),
        token.toUpperCase(),
        token.toLowerCase(),
        `${token}=`,
        `"${token}"`,
        encodeURIComponent(`${token}=`),
        `Bearer${token}`,
      ])
        spellings.add(other)
      spellings.add(JSON.stringify({ payload, protected: header, signature: mac }))
      spellings.delete(token)
      assert.ok(spellings.size > 25, String(spellings.size))
      for (const other of spellings) await assertRefused(other, other)
      await assertStillGood()
    })

    it('J10 is refused with white space around it or inside it', async () => {
      await using server = await testServer({ env })
      const { token, session_id, assertStillGood } = await stage(server)
      // In a cookie header, white space around a value is not part of it.
      for (const other of [
        ` ${token}`,
        `${token} `,
        `${token}\n`,
        `${token}\t`,
        token.replace('.', '. '),
        `${token.slice(0, 50)}\r\n${token.slice(50)}`,
        `\u00a0${token}`,
        `\ufeff${token}`,
      ]) {
        for (const consume of kind === 'ticket' ? places : places.slice(0, 1))
          assert.equal(await consume(server, other, session_id), false, JSON.stringify(other))
      }
      await assertStillGood()
    })

    it('J12 J13 J15 is refused if a claim is missing or has another type, even if it is correctly signed', async () => {
      using database = testDatabase()
      await using server = await testServer({ env: database.env })
      const { token, session_id, assertStillGood } = await stage(server)
      // Opening a ticket only redirects the browser; redeeming compares every claim with the record.
      const readers = kind === 'ticket' ? places.slice(0, 2) : places
      const assertRefused = async (forged: string, what: string) => {
        for (const consume of readers) assert.equal(await consume(server, forged, session_id), false, what)
      }
      const forger = new SealedClaims<object>(`${kind}+jwt`, new MasterKey(database.masterKey).derive(kind), () => true)
      const claims = claimsOf(token)
      assert.equal(forger.sign(claims), token, 'the forger produces the same bytes as the server')
      for (const name of Object.keys(claims)) {
        const value = claims[name]
        const others = [
          undefined,
          null,
          true,
          {},
          [],
          [value],
          '',
          ` ${value}`,
          `${value} `,
          `${value}\0`,
          `${value}/`,
          String(value).toUpperCase(),
          0,
          -1,
          0.5,
          1e308,
          2 ** 53,
          'NaN',
          '9999999999',
          '%',
          '*',
        ]
        for (const other of others.filter(it => it !== value))
          await assertRefused(forger.sign({ ...claims, [name]: other }), `${name}: ${JSON.stringify(other)}`)
      }
      for (const other of [null, [], [claims], 'x', 1, true])
        await assertRefused(forger.sign(other as object), JSON.stringify(other))
      await assertStillGood()
    })

    it('J24 is refused if it is very long', async () => {
      await using server = await testServer({ env })
      const { token, session_id, assertStillGood } = await stage(server)
      for (const [what, long] of [
        ['1e5 dots', '.'.repeat(100_000)],
        ['200 kB', 'A'.repeat(200_000)],
        ['8 kB more', `${token}${'A'.repeat(8_192)}`],
        ['a long payload', token.replace('.', `.${'A'.repeat(100_000)}`)],
      ] as const) {
        const from = performance.now()
        const answers = [
          await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: long }),
          await server.call('POST', '/v1/actor_tokens/accept', { ticket: long }),
          await server.call('GET', `/v1/tickets/accept?ticket=${long}`, undefined, { authorization: undefined }),
          await server.call('POST', '/v1/clients/verify', { token: long }),
        ]
        assert.deepEqual(
          answers.map(answer => answer.status),
          [422, 422, 422, 422],
          what,
        )
        assert.equal(
          (await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${long}` })).status,
          401,
        )
        assert.equal(
          (await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie: `__client=${long}` })).status,
          401,
        )
        assert.ok(performance.now() - from < promised(500), `${what} took ${performance.now() - from} ms`)
      }
      const megabyte = 'A'.repeat(1_048_576)
      assert.equal((await server.call('POST', '/v1/clients/verify', { token: megabyte })).status, 413)
      assert.equal((await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: megabyte })).status, 413)
      await assertStillGood()
    })
  })
}

describe('a secret key', () => {
  it('is accepted only in its exact form', async () => {
    await using server = await testServer({ env })
    for (let at = 1; at < SECRET_KEY.length; at++)
      assert.equal(await consumers['Authorization: Bearer']?.(server, SECRET_KEY.slice(0, at), ''), false)
    for (const other of [
      `${SECRET_KEY}0`,
      `${SECRET_KEY}=`,
      `${SECRET_KEY},`,
      SECRET_KEY.toUpperCase(),
      `"${SECRET_KEY}"`,
      encodeURIComponent(SECRET_KEY).replace('_', '%5F'),
      SECRET_KEY.replace('test', 'live'),
      `${SECRET_KEY}${'0'.repeat(300)}`,
    ]) {
      assert.equal(await consumers['Authorization: Bearer']?.(server, other, ''), false, other)
    }
    assert.equal(await consumers['Authorization: Bearer']?.(server, SECRET_KEY, ''), true)
  })
})

describe('J21 a stolen database', () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
    it(`${alg}: has no key and no token in clear text`, async () => {
      using database = testDatabase({ STAGEDOOR_SIGNING_ALG: alg })
      await using server = await testServer({ env: database.env })
      const { kinds, actor } = await everyKind(server)
      await server.call('GET', '/v1/users', undefined, {
        authorization: 'Bearer sk_test_not_a_key_of_this_server_at_all',
      })
      await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: `${actor.token}x` })
      await server.call('GET', '/v1/refused_requests')
      const secrets: Record<string, string | Buffer> = {
        ...kinds,
        'the master key': database.masterKey,
        'the master key as given': database.masterKey.toString('base64'),
      }
      secrets['the key that was tried'] = 'sk_test_not_a_key_of_this_server_at_all'
      secrets['the rotating token'] = String(claimsOf(kinds['client cookie'])['rotating_token'])
      for (const kind of ['actor ticket', 'sign-in ticket', 'session token', 'client cookie'] as const)
        secrets[`the signature of the ${kind}`] = kinds[kind].split('.')[2] ?? ''
      const { keys } = await server.stagedoor.services.store.signingKeys.keyring()
      assert.equal(keys.length, 2)
      for (const key of keys) {
        const opened = openPrivateKey(key, new MasterKey(database.masterKey))
        const { d = '', p } = opened.export({ format: 'jwk' })
        const der = opened.export({ format: 'der', type: 'pkcs8' })
        Object.assign(secrets, {
          [`d of ${key.id}`]: d,
          [`d of ${key.id}, bytes`]: Buffer.from(d, 'base64url'),
          [`${key.id} as DER`]: der,
          [`${key.id} as base64`]: der.toString('base64'),
        })
        if (p) secrets[`p of ${key.id}`] = p
      }
      const files = readdirSync(dirname(database.path))
        .filter(name => name.startsWith('test.db'))
        .map(name => readFileSync(join(dirname(database.path), name)))
      const dump = Buffer.concat(files)
      assert.ok(dump.includes(actor.id), 'the dump has what was stored')
      for (const [what, secret] of Object.entries({ ...secrets, 'a PEM': '-----BEGIN', 'a private JWK': '"d":' })) {
        assert.ok(secret.length >= 4, what)
        assert.equal(dump.includes(secret), false, what)
      }
    })
  }

  it('R18 has nothing that works as a token', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const { session_id, actor } = await everyKind(server)
    let tried = 0
    for (const { name } of database.rows<{ name: string }>("select name from sqlite_schema where type = 'table'")) {
      for (const row of database.rows(`select * from ${name}`)) {
        for (const value of Object.values(row).filter(
          it => typeof it === 'string' && /^[\x21-\x7e]{1,4096}$/.test(it),
        ) as string[]) {
          for (const consume of Object.values(consumers))
            assert.equal(await consume(server, value.replaceAll(';', ''), session_id), false, `${name}: ${value}`)
          tried++
        }
      }
    }
    assert.ok(tried > 100, String(tried))
    assert.equal((await server.call('GET', `/v1/actor_tokens/${actor.id}`)).body.status, 'pending')
  })

  it('cannot be opened with another master key, and the error explains it', async () => {
    using database = testDatabase()
    await (await testServer({ env: database.env }))[Symbol.asyncDispose]()
    const other = { ...database.env, STAGEDOOR_MASTER_KEY: Buffer.alloc(32, 'another').toString('base64') }
    await assert.rejects(testServer({ env: other }), /is not the key that this database was created with/)
    await using server = await testServer({ env: database.env })
    assert.equal((await server.call('GET', '/v1/users')).status, 200)
  })

  it('is readable by its owner only', async () => {
    using database = testDatabase()
    await using _server = await testServer({ env: database.env })
    assert.equal(statSync(database.path).mode & 0o077, 0)
    assert.equal(statSync(`${database.path}-wal`).mode & 0o077, 0)
  })
})
