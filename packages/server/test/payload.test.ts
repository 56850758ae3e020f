import assert from 'node:assert/strict'
import { request } from 'node:http'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type Answer, SECRET_KEY, sharedServer, type TestServer, testServer } from '../../../test/support/server.ts'
import { promised } from '../../../test/support/time.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const DAY = 86_400

const create = (server: TestServer, body: unknown, headers?: Record<string, string | undefined>) =>
  server.call('POST', '/v1/actor_tokens', body, headers)

/** `{ "user_id": …, <members> }` as exactly this JSON text. */
const bodyWith = (user_id: string, members: string) => `{"user_id":"${user_id}",${members}}`

function assertInvalid(answer: Answer, code: string, param: string, what = ''): void {
  const [first] = answer.body?.errors ?? []
  assert.deepEqual([answer.status, first?.code, first?.meta?.param_name], [422, code, param], `${what} ${answer.text}`)
}

/** Returns the actor as the record, the session and the session token have it. All must be identical. */
async function carried(server: TestServer, created: Answer): Promise<unknown[]> {
  const { token, id, actor } = created.body
  const { session, token: minted } = (await server.call('POST', '/v1/actor_tokens/accept', { ticket: token })).body
  const record = (await server.call('GET', `/v1/actor_tokens/${id}`)).body
  const [event] = await server.auditEvents({ actor_token_id: id, action: 'actor_token.accept' })
  return [actor, record.actor, session.actor, claimsOf(minted.jwt)['act'], event?.['actor']]
}

describe('P1 P2 P3 durations', () => {
  const shared = sharedServer({ env })
  for (const [field, usual, most] of [
    ['expires_in_seconds', 3_600, DAY],
    ['session_max_duration_in_seconds', 1_800, 30 * DAY],
  ] as const) {
    describe(field, () => {
      const spelt = (value: string) => `"actor":{"sub":"a"},"${field}":${value}`

      it('is a whole number of seconds from 1 to the limit', async () => {
        await using server = await testServer({ env })
        const { id } = await server.createUser()
        for (const [value, seconds] of [
          ['1', 1],
          [String(most), most],
          ['1e3', 1_000],
          ['60.0', 60],
          ['0.6e2', 60],
        ] as const) {
          const answer = await create(server, bodyWith(id, spelt(value)))
          assert.equal(answer.status, 200, `${value} ${answer.text}`)
          assert.equal(await lasts(server, field, answer), seconds * 1_000)
        }
        assert.equal(
          await lasts(server, field, await create(server, { user_id: id, actor: { sub: 'a' } })),
          usual * 1_000,
        )
      })

      for (const [value, code] of Object.entries({
        '0': 'form_param_value_invalid',
        '-1': 'form_param_value_invalid',
        '-3600': 'form_param_value_invalid',
        '-0': 'form_param_value_invalid',
        '0.5': 'form_param_value_invalid',
        '3600.5': 'form_param_value_invalid',
        '1e400': 'form_param_value_invalid',
        '-1e400': 'form_param_value_invalid',
        '1e-400': 'form_param_value_invalid',
        '2147483648': 'form_param_value_invalid',
        '3000000000': 'form_param_value_invalid',
        '9007199254740991': 'form_param_value_invalid',
        '9007199254740992': 'form_param_value_invalid',
        '9e15': 'form_param_value_invalid',
        '1e300': 'form_param_value_invalid',
        [String(most + 1)]: 'form_param_value_invalid',
        '"3600"': 'form_param_type_invalid',
        '""': 'form_param_type_invalid',
        null: 'form_param_type_invalid',
        true: 'form_param_type_invalid',
        '[]': 'form_param_type_invalid',
        '[60]': 'form_param_type_invalid',
        '{}': 'form_param_type_invalid',
      })) {
        it(`refuses ${value}`, async () => {
          const server = shared()
          const { id } = await server.createUser()
          const answer = await create(server, bodyWith(id, spelt(value)))
          assertInvalid(answer, code, field)
          if (code === 'form_param_value_invalid')
            assert.equal(answer.body.errors[0].long_message, `${field} is invalid`)
          assert.deepEqual((await server.call('GET', `/v1/actor_tokens?user_id=${id}`)).body, [])
        })
      }

      for (const value of [
        'NaN',
        'Infinity',
        '-Infinity',
        '0x10',
        '1_000',
        '01',
        '+1',
        '.5',
        '5.',
        '1e',
        'undefined',
      ]) {
        it(`refuses ${value}, which is not JSON`, async () => {
          const server = shared()
          const answer = await create(server, bodyWith('user_1', spelt(value)))
          assert.deepEqual([answer.status, answer.codes], [400, ['request_body_invalid']])
        })
      }
    })
  }

  it('P3 refuses a time before 1970', async () => {
    await using server = await testServer({ env })
    for (const field of ['created_at', 'legal_accepted_at']) {
      for (const time of ['1969-12-31T23:59:59.999Z', '1970-01-01T00:00:00+00:01', '0001-01-01T00:00:00Z']) {
        assertInvalid(await server.call('POST', '/v1/users', { [field]: time }), 'form_param_value_invalid', field)
      }
      const user = await server.call('POST', '/v1/users', { [field]: '1970-01-01T00:00:00Z' })
      assert.deepEqual([user.status, user.body[field]], [200, 0])
    }
  })

  it('P4 a session of 30 days does not end after a moment', async () => {
    await using server = await testServer({ env })
    const { session_id } = await server.signIn({ session_max_duration_in_seconds: 30 * DAY })
    // 2,592,000,000 ms is more than a timer can hold; a timer set to it would fire at once.
    await new Promise(resolve => setTimeout(resolve, 30))
    server.clock.advance(1)
    assert.equal((await server.call('GET', `/v1/sessions/${session_id}`)).body.status, 'active')
    assert.equal((await server.call('POST', `/v1/sessions/${session_id}/tokens`)).status, 200)
  })

  async function lasts(server: TestServer, field: string, created: Answer): Promise<number> {
    const { id, token } = created.body
    const { expires_at, created_at } = (await server.call('GET', `/v1/actor_tokens/${id}`)).body
    if (field === 'expires_in_seconds') return expires_at - created_at
    const { session } = (await server.call('POST', '/v1/actor_tokens/accept', { ticket: token })).body
    return session.expire_at - session.created_at
  }
})

describe('P5 the actor', () => {
  const refused: [what: string, actor: unknown, code: string, param: string][] = [
    ['left out', undefined, 'form_param_missing', 'actor'],
    ['null', null, 'form_param_type_invalid', 'actor'],
    ['a string', 'user_1', 'form_param_type_invalid', 'actor'],
    ['a JSON string', '{"sub":"a"}', 'form_param_type_invalid', 'actor'],
    ['a number', 1, 'form_param_type_invalid', 'actor'],
    ['true', true, 'form_param_type_invalid', 'actor'],
    ['a list', [{ sub: 'a' }], 'form_param_type_invalid', 'actor'],
    ['empty', {}, 'form_param_missing', 'actor.sub'],
    ['without a sub', { role: 'support' }, 'form_param_missing', 'actor.sub'],
    ['with a Sub', { Sub: 'a' }, 'form_param_missing', 'actor.sub'],
    ['with an empty sub', { sub: '' }, 'form_param_value_invalid', 'actor.sub'],
    ['with a blank sub', { sub: ' \t\u00a0\u2003' }, 'form_param_value_invalid', 'actor.sub'],
    ['with null for a sub', { sub: null }, 'form_param_type_invalid', 'actor.sub'],
    ['with a number for a sub', { sub: 1 }, 'form_param_type_invalid', 'actor.sub'],
    ['with an object for a sub', { sub: { sub: 'a' } }, 'form_param_type_invalid', 'actor.sub'],
    ['with a list for a sub', { sub: ['a'] }, 'form_param_type_invalid', 'actor.sub'],
    ['with a sub of 257 characters', { sub: 'a'.repeat(257) }, 'form_param_value_invalid', 'actor.sub'],
    ['with a sub of 10 kB', { sub: 'a'.repeat(10_240) }, 'form_param_value_invalid', 'actor.sub'],
  ]
  for (const [what, actor, code, param] of refused) {
    it(`may not be ${what}`, async () => {
      await using server = await testServer({ env })
      const { id: user_id } = await server.createUser()
      assertInvalid(await create(server, { user_id, actor }), code, param)
      assert.deepEqual((await server.call('GET', '/v1/actor_tokens')).body, [])
    })
  }

  it('gets the error in Clerk’s words if something is missing', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const { errors } = (await create(server, { user_id, actor: {} })).body
    assert.deepEqual(
      errors.map(({ message, long_message, code }: Record<string, string>) => ({ message, long_message, code })),
      [{ message: 'is missing', long_message: 'actor.sub must be included.', code: 'form_param_missing' }],
    )
    assert.deepEqual(
      (await create(server, {})).body.errors.map((error: { meta: { param_name: string } }) => error.meta.param_name),
      ['user_id', 'actor'],
    )
  })

  it('may have a sub of 256 characters', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const answer = await create(server, { user_id, actor: { sub: 'a'.repeat(256) } })
    assert.equal(answer.body.actor.sub.length, 256)
  })

  it('P6 is carried whole inside act, and its members never become claims of the token', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const plain = await create(server, { user_id, actor: { sub: 'a' } })
    const accepted = (await server.call('POST', '/v1/actor_tokens/accept', { ticket: plain.body.token })).body
    const usual = Object.keys(claimsOf(accepted.token.jwt))

    const actor = {
      sub: 'user_operator',
      iss: 'https://evil.example',
      exp: 9_999_999_999,
      nbf: 0,
      iat: 0,
      aud: 'x',
      jti: 'x',
      sid: 'sess_x',
      azp: 'https://evil.example',
      sts: 'pending',
      fva: [0, 0],
      v: 1,
      role: 'admin',
      act: { sub: 'earlier', act: { sub: 'first' } },
      may_act: { sub: '*' },
      cnf: { jkt: 'x' },
      additionalProperties: { fooBar: 1, foo_bar: 2 },
    }
    const created = await create(server, { user_id, actor })
    const { session, token } = (await server.call('POST', '/v1/actor_tokens/accept', { ticket: created.body.token }))
      .body
    const claims = claimsOf(token.jwt)
    const now = server.clock.now() / 1_000
    assert.deepEqual(Object.keys(claims), usual)
    assert.deepEqual(
      { ...claims, jti: '' },
      {
        exp: now + 60,
        fva: [-1, -1],
        iat: now,
        iss: 'http://127.0.0.1:4100',
        jti: '',
        nbf: now - 10,
        sid: session.id,
        sts: 'active',
        sub: user_id,
        v: 2,
        act: actor,
      },
    )
    assert.deepEqual(Object.keys(claims['act'] as object), Object.keys(actor), 'members keep their order')
  })

  it('P7 may not have a __proto__ at any depth, in any escaped form', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    for (const actor of [
      '{"sub":"a","__proto__":{"x":1}}',
      '{"__proto__":{"sub":"a"}}',
      '{"sub":"a","\\u005f_proto__":{"x":1}}',
      '{"sub":"a","deep":[{"__proto__":null}]}',
      '{"sub":"a","__proto__" : 1}',
    ]) {
      const answer = await create(server, bodyWith(id, `"actor":${actor}`))
      assert.deepEqual([answer.status, answer.codes], [422, ['form_param_value_invalid']], actor)
    }
    const top = await create(server, `{"__proto__":{"user_id":"${id}"},"actor":{"sub":"a"}}`)
    assert.deepEqual([top.status, top.codes], [422, ['form_param_value_invalid']])
    assert.equal(({} as Record<string, unknown>)['x'], undefined)
  })

  it('P7 keeps other members named like methods, as plain data', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const actor = {
      sub: 'a',
      constructor: { prototype: { x: 1 } },
      prototype: { x: 1 },
      toString: 'x',
      valueOf: 1,
      hasOwnProperty: false,
      toJSON: { x: 1 },
      length: -1,
      '': 'empty',
      '0': 'zero',
      // biome-ignore lint/suspicious/noThenProperty: an ordinary member
      then: 'not a promise',
      __defineGetter__: 1,
      nested: { constructor: null, toJSON: 'x', isWellFormed: 1 },
    }
    const created = await create(server, { user_id, actor })
    assert.equal(created.status, 200, created.text)
    for (const it of await carried(server, created)) assert.deepEqual(it, actor)
    const probe: Record<string, unknown> = {}
    assert.deepEqual([probe['x'], probe['polluted']], [undefined, undefined])
  })

  it('P7 is not built from dots and brackets of a form', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken()
    const answer = await server.post('/v1/client/sign_ins', {
      strategy: 'ticket',
      ticket: token,
      '__proto__[x]': '1',
      'constructor[prototype][x]': '1',
      '__proto__.x': '1',
      __proto__: 'x',
    })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(({} as Record<string, unknown>)['x'], undefined)
  })

  it('P8 may be nested up to 16 levels of the body; deeper nesting is refused at once', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    const nested = (depth: number, [open, close]: [string, string] = ['[', ']']) =>
      bodyWith(id, `"actor":{"sub":"a","x":${open.repeat(depth)}${open === '[' ? '' : '1'}${close.repeat(depth)}}`)
    const kept = await create(server, nested(14))
    assert.equal(kept.status, 200, kept.text)
    const [first, ...more] = await carried(server, kept)
    assert.equal(JSON.stringify(first), `{"sub":"a","x":${'['.repeat(14)}${']'.repeat(14)}}`)
    for (const it of more) assert.deepEqual(it, first)

    for (const [depth, brackets] of [
      [15, ['[', ']']],
      [15, ['{"x":', '}']],
      [20, ['[', ']']],
      [100, ['{"x":', '}']],
      [20_000, ['[', ']']],
      [20_000, ['{"x":', '}']],
      [100_000, ['[', ']']],
    ] as [number, [string, string]][]) {
      const from = performance.now()
      const answer = await create(server, nested(depth, brackets))
      assert.deepEqual([answer.status, answer.codes], [422, ['form_param_value_invalid']], `${depth} ${brackets}`)
      assert.ok(performance.now() - from < promised(250), `depth ${depth} took ${performance.now() - from} ms`)
    }
    assert.equal((await create(server, nested(200_000))).status, 413)
    assert.equal((await create(server, '['.repeat(100_000))).status, 400)
  })

  it('P9 is at most 1,024 bytes as JSON, and the error states the limit', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    for (const letter of ['x', 'é', '日', '😀', '"', '\n']) {
      const actorOf = (bytes: number) => {
        const actor = { sub: 'a', pad: '', x: '' }
        const each = Buffer.byteLength(JSON.stringify(letter)) - 2
        const room = bytes - Buffer.byteLength(JSON.stringify(actor))
        return { ...actor, pad: letter.repeat(Math.floor(room / each)), x: 'x'.repeat(room % each) }
      }
      assert.equal(Buffer.byteLength(JSON.stringify(actorOf(1_024))), 1_024)
      const created = await create(server, { user_id, actor: actorOf(1_024) })
      assert.equal(created.status, 200, created.text)
      for (const it of await carried(server, created)) assert.deepEqual(it, actorOf(1_024))
      const answer = await create(server, { user_id, actor: actorOf(1_025) })
      assertInvalid(answer, 'form_param_value_invalid', 'actor')
      assert.match(answer.text, /1025 bytes.*1024/)
    }
    assertInvalid(
      await create(server, { user_id, actor: { sub: 'a', x: 'x'.repeat(65_536) } }),
      'form_param_value_invalid',
      'actor',
    )
    assert.equal((await create(server, { user_id, actor: { sub: 'a', x: 'x'.repeat(1_048_576) } })).status, 413)
  })

  it('P9 P10 fits a cookie at the largest setting, with the default algorithm', async () => {
    await using server = await testServer({
      env: { STAGEDOOR_ACTOR_MAX_BYTES: '2434', STAGEDOOR_SIGNING_ALG: 'RS256' },
    })
    const { id: user_id } = await server.createUser()
    const actor = { sub: 'a', x: '' }
    actor.x = 'x'.repeat(2_434 - JSON.stringify(actor).length)
    const { session_id, cookie } = await server.signIn({ user_id, actor })
    const origin = 'http://localhost:3000'
    const { jwt } = (await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie, origin })).body
    assert.deepEqual([claimsOf(jwt)['act'], claimsOf(jwt)['azp']], [actor, origin])
    assert.ok(`__session_12345678=${jwt}`.length <= 4_096, `${jwt.length} characters`)
    assertInvalid(await create(server, { user_id, actor: { ...actor, y: 1 } }), 'form_param_value_invalid', 'actor')
  })

  it('P11 keeps every Unicode text exactly', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const texts = {
      separators: '\u2028\u2029\u0085\u00a0\ufeff',
      bidi: '\u202eevil\u202c\u2066x\u2069',
      nfc: '\u00e9',
      nfd: 'e\u0301',
      emoji: '👩‍👩‍👧‍👦🏳️‍🌈',
      fourByte: '\u{10000}\u{10ffff}𝒳',
      controls: '\u0001\b\t\n\f\r\u001f\u007f\u0080',
      noncharacters: '\ufffe\uffff\ufffd',
      sql: "'; drop table actor_tokens; --",
      html: '</script><img src=x onerror=alert(1)>',
      format: '%s %n $x {{x}}',
      'members too: é\n"😀\u202e': 'x',
      combining: 'Z͑ͫ̓ͪ̂ͫ̽',
      json: '{"sub":"b"}',
      quote: '"\\/',
    }
    for (const [name, text] of Object.entries(texts)) {
      const actor = { sub: 'sub:é😀', [name]: text, nested: [{ [text]: name }] }
      const created = await create(server, { user_id, actor })
      assert.equal(created.status, 200, `${name} ${created.text}`)
      for (const it of await carried(server, created)) assert.deepEqual(it, actor, name)
    }
    const odd = await create(server, { user_id, actor: { sub: '\u202e😀 \u2028é' } })
    const found = await server.call('GET', `/v1/actor_tokens?actor_sub=${encodeURIComponent('\u202e😀 \u2028é')}`)
    assert.deepEqual(
      found.body.map((token: { id: string }) => token.id),
      [odd.body.id],
    )
  })

  it('P11 refuses U+0000 and lone surrogates in values and in member names', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    for (const bad of ['\\u0000', '\\ud800', '\\udc00', '\\udc00\\ud800', 'x\\ud83dx', '\\uD800\\u0041']) {
      for (const actor of [
        `{"sub":"${bad}"}`,
        `{"sub":"a${bad}"}`,
        `{"sub":"a","x":["${bad}"]}`,
        `{"sub":"a","${bad}":1}`,
        `{"sub":"a","x":{"${bad}":{}}}`,
      ]) {
        const answer = await create(server, bodyWith(id, `"actor":${actor}`))
        assert.deepEqual([answer.status, answer.codes], [422, ['form_param_value_invalid']], actor)
      }
    }
    const reason = await create(server, bodyWith(id, '"actor":{"sub":"a"},"reason":"x\\u0000"'))
    assertInvalid(reason, 'form_param_value_invalid', 'reason')
    assert.deepEqual((await server.call('GET', '/v1/actor_tokens')).body, [])
  })

  it('P11 refuses bytes that are not UTF-8, and a byte order mark', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    const [before, after] = bodyWith(id, '"actor":{"sub":"a§"}').split('§') as [string, string]
    const bytes = (...middle: number[]) => Buffer.concat([Buffer.from(before), Buffer.from(middle), Buffer.from(after)])
    for (const middle of [[0x80], [0xc0, 0x80], [0xc3], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xff, 0xfe]]) {
      assert.deepEqual((await create(server, bytes(...middle))).codes, ['request_body_invalid'], String(middle))
    }
    const whole = Buffer.from(bodyWith(id, '"actor":{"sub":"a"}'))
    assert.deepEqual((await create(server, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), whole]))).codes, [
      'request_body_invalid',
    ])
    assert.deepEqual((await create(server, Buffer.from(whole.toString(), 'utf16le'))).codes, ['request_body_invalid'])
    assert.equal((await create(server, whole)).status, 200)
  })

  it('P12 keeps or refuses a number, and never changes it', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    const kept = [
      '0',
      '0.0',
      '0e-5000',
      '1',
      '1.0',
      '-1',
      '0.1',
      '-2.5',
      '1e-7',
      '5e-324',
      '1.7976931348623157e-300',
      '9007199254740991',
      '-9007199254740991',
      '123456789.125',
      '1E2',
      '10.00e1',
    ]
    for (const number of kept) {
      const created = await create(server, bodyWith(id, `"actor":{"sub":"a","n":${number}}`))
      assert.equal(created.status, 200, `${number} ${created.text}`)
      for (const it of await carried(server, created)) assert.deepEqual(it, { sub: 'a', n: Number(number) }, number)
    }
    const refused = [
      '1e400',
      '-1e400',
      '9007199254740992',
      '9007199254740993',
      '-9007199254740993',
      '1e21',
      '1.7976931348623157e308',
      '-0',
      '-0.0',
      '1e-400',
      '0.1e-400',
      '-1e-400',
      '12345678901234567890',
    ]
    for (const number of refused) {
      for (const actor of [`{"sub":"a","n":${number}}`, `{"sub":"a","n":[{"m":${number}}]}`]) {
        const answer = await create(server, bodyWith(id, `"actor":${actor}`))
        assert.deepEqual([answer.status, answer.codes], [422, ['form_param_value_invalid']], actor)
      }
    }
  })

  it('P13 refuses a repeated member at every level', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    for (const [members, param] of [
      ['"actor":{"sub":"a","sub":"b"}', 'actor.sub'],
      ['"actor":{"sub":"a","s\\u0075b":"b"}', 'actor.sub'],
      ['"actor":{"sub":"a","x":[{"y":1,"y":1}]}', 'actor.x.y'],
      ['"actor":{"sub":"a"},"actor":{"sub":"b"}', 'actor'],
      [`"actor":{"sub":"a"},"user_id":"${id}"`, 'user_id'],
      ['"actor":{"sub":"a"},"expires_in_seconds":1,"expires_in_seconds":2', 'expires_in_seconds'],
      ['"actor":{"sub":"a","":1,"":2}', 'actor.'],
    ] as const) {
      assertInvalid(await create(server, bodyWith(id, members)), 'form_param_value_invalid', param, members)
    }
    const same = await create(
      server,
      bodyWith(id, '"actor":{"sub":"a","x":{"sub":"b"},"y":[{"sub":"c"},{"sub":"d"}],"z":"sub"}'),
    )
    assert.equal(same.status, 200, same.text)
    assert.deepEqual((await server.call('GET', '/v1/actor_tokens')).body.length, 1)
  })

  it('P14 is returned as data, whatever its text looks like', async () => {
    await using server = await testServer({ env })
    const answer = await create(server, {
      user_id: (await server.createUser()).id,
      actor: { sub: '<img src=x onerror=alert(1)>' },
    })
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  })
})

describe('P16 the body', () => {
  it('is JSON only with a JSON content type, and every accepted body is validated', async () => {
    await using server = await testServer({ env })
    const good = JSON.stringify({ user_id: (await server.createUser()).id, actor: { sub: 'a' } })
    const bad = JSON.stringify({ user_id: 1, actor: { sub: 'a' }, status: 'accepted' })
    for (const type of [
      'application/json',
      'APPLICATION/JSON',
      'Application/Json',
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'application/json; charset="utf-8"',
      ' application/json',
      'application/json ',
    ]) {
      const taken = await create(server, good, { 'content-type': type })
      assert.equal(taken.status, 200, JSON.stringify(type))
      assert.equal((await create(server, bad, { 'content-type': type })).status, 422, JSON.stringify(type))
    }
    for (const type of [
      undefined,
      '',
      'application/json\ta',
      'application/json a',
      'application/json,text/plain',
      'text/plain, application/json',
      'application/json;',
      'application/json; charset=utf-16',
      'application/json; charset=latin1',
      'application/json; charset=utf-8; charset=utf-16',
      'application/json; boundary=x',
      'application/json\u00a0',
      'application/jsonx',
      'application/problem+json',
      'application/json+x',
      'text/json',
      'text/plain',
      '*/*',
      'json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/octet-stream',
      'application/x-json',
      '"application/json"',
    ]) {
      for (const body of [good, bad]) {
        const answer = await create(server, Buffer.from(body), { 'content-type': type })
        assert.deepEqual([answer.status, answer.codes], [415, ['unsupported_content_type']], JSON.stringify(type))
      }
    }
    for (const encoding of ['gzip', 'br', 'deflate', 'GZIP', 'identity, gzip', '']) {
      const answer = await create(server, good, { 'content-encoding': encoding })
      assert.equal(answer.status, 415, encoding)
    }
    assert.equal((await create(server, good, { 'content-encoding': 'identity' })).status, 200)
  })

  it('of a redemption is a form with a form content type', async () => {
    await using server = await testServer({ env })
    const { token, id } = await server.createActorToken()
    const form = new URLSearchParams({ strategy: 'ticket', ticket: token }).toString()
    for (const type of [
      undefined,
      'text/plain',
      'application/json',
      'multipart/form-data',
      'application/x-www-form-urlencoded\ta',
    ]) {
      const answer = await server.call('POST', '/v1/client/sign_ins', Buffer.from(form), {
        authorization: undefined,
        'content-type': type,
      })
      assert.equal(answer.status, 415, String(type))
    }
    assert.equal((await server.call('GET', `/v1/actor_tokens/${id}`)).body.status, 'pending')
    const twice = await server.call('POST', '/v1/client/sign_ins', `${form}&ticket=x`, {
      authorization: undefined,
      'content-type': 'application/x-www-form-urlencoded',
    })
    assertInvalid(twice, 'form_param_value_invalid', 'ticket')
    const other = await server.post('/v1/client/sign_ins', { strategy: 'password', ticket: token })
    assertInvalid(other, 'form_param_value_invalid', 'strategy')
    assert.equal((await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token })).status, 200)
  })

  it('must be an object', async () => {
    await using server = await testServer({ env })
    for (const body of ['1', '"x"', 'true', '[]', '[{}]']) {
      const answer = await create(server, body)
      assert.deepEqual([answer.status, answer.codes], [400, ['request_body_invalid']], body)
    }
    for (const body of [
      '{',
      '{}x',
      '{"a":1,}',
      "{'a':1}",
      '{"a":1}{"b":2}',
      '\u00a0{}',
      '// x\n{}',
      '{"a":\n}',
      '{"a":"\n"}',
    ]) {
      assert.deepEqual((await create(server, body)).codes, ['request_body_invalid'], body)
    }
    for (const nothing of ['', 'null'])
      assertInvalid(await create(server, nothing), 'form_param_missing', 'user_id', nothing)
    assertInvalid(await create(server, ' \t\r\n{ } '), 'form_param_missing', 'user_id', 'blank around')
  })

  it('of a revocation may be empty, null or {}, with every content type', async () => {
    await using server = await testServer({ env })
    const user_id = (await server.createUser()).id
    for (const [body, type] of [
      [undefined, 'application/json'],
      [undefined, undefined],
      ['', 'application/json'],
      ['', undefined],
      ['null', 'application/json'],
      ['{}', 'application/json'],
    ] as const) {
      const { id } = await server.createActorToken({ user_id })
      const answer = await server.call('POST', `/v1/actor_tokens/${id}/revoke`, body, { 'content-type': type })
      assert.deepEqual([answer.status, answer.body.status], [200, 'revoked'], `${body} ${type}`)
    }
  })

  it('over HTTP is read up to 262,144 bytes, with a declared length or in chunks', async () => {
    await using server = await testServer({ env })
    const origin = await server.listen()
    const body = JSON.stringify({ user_id: (await server.createUser()).id, actor: { sub: 'a' } })
    const padded = (bytes: number) => body + ' '.repeat(bytes - body.length)
    for (const chunked of [false, true]) {
      assert.equal(await send(origin, padded(body.length), chunked), 200, 'small')
      assert.equal(await send(origin, padded(262_144), chunked), 200, 'at the limit')
      assert.equal(await send(origin, padded(262_145), chunked), 413, 'one more')
      assert.equal(await send(origin, padded(8 * 1_048_576), chunked), 413, '8 MB')
    }
    assert.equal(await send(origin, body, true), 200, 'the server keeps serving')
  })
})

describe('P17 mass assignment', () => {
  it('refuses members that are not in the contract', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const { id: user_id } = await server.createUser()
    for (const [member, value] of Object.entries({
      status: 'accepted',
      id: 'act_000000000000000000000000000',
      created_at: 0,
      updated_at: 0,
      expires_at: 9e12,
      instance_id: 'ins_x',
      object: 'actor_token',
      token: 'x',
      url: 'x',
      session_id: 'sess_x',
      kind: 'sign_in_token',
      expired_at: null,
      actor_sub: 'x',
      userId: user_id,
      expiresInSeconds: 1,
      additionalProperties: {},
      '': 1,
    })) {
      const answer = await create(server, { user_id, actor: { sub: 'a' }, [member]: value })
      assertInvalid(answer, 'form_param_unknown', member)
      assert.equal(answer.body.errors[0].long_message, `${member} is not a valid parameter for this request.`)
    }
    assert.deepEqual(database.rows('select id from actor_tokens'), [])
    const user = await server.call('POST', '/v1/users', { id: 'user_mine', last_sign_in_at: 1, object: 'user' })
    assert.deepEqual(
      [user.status, user.codes],
      [422, ['form_param_unknown', 'form_param_unknown', 'form_param_unknown']],
    )
    const patched = await server.call('PATCH', `/v1/users/${user_id}`, { banned: true })
    assertInvalid(patched, 'form_param_unknown', 'banned')
    assert.equal((await server.call('GET', `/v1/users/${user_id}`)).body.banned, false)
  })
})

/** Sends over a real connection, with a declared length or in chunks. @returns the status */
function send(origin: string, body: string, chunked: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request(`${origin}/v1/actor_tokens`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${SECRET_KEY}`,
        'content-type': 'application/json',
        ...(chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': Buffer.byteLength(body) }),
      },
    })
    let status: number | undefined
    sent.on('response', response => {
      status = response.statusCode
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    // The server may answer and close the connection before it has received everything.
    sent.on('error', error => (status === undefined ? reject(error) : resolve(status)))
    const bytes = Buffer.from(body)
    for (let at = 0; at < bytes.length; at += 65_536) sent.write(bytes.subarray(at, at + 65_536))
    sent.end()
  })
}
