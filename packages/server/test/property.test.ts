import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { times } from '../../../test/support/deep.ts'
import { operatorOf } from '../../../test/support/operators.ts'
import { type Answer, expectOk, SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'
import { bapi } from '../src/contract/bapi.ts'
import { type ErrorCode, errors } from '../src/contract/errors.ts'
import { fapi } from '../src/contract/fapi.ts'
import type { Operation } from '../src/contract/operation.ts'

// These tests check the answers, not the disk.
const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA', STAGEDOOR_DATABASE_URL: 'sqlite::memory:' }

/** The envelope of every error. */
const ErrorEnvelope = z.strictObject({
  errors: z
    .array(
      z.strictObject({
        message: z.string().min(1),
        long_message: z.string().min(1),
        code: z.enum(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]),
        meta: z.looseObject({ param_name: z.string().optional(), action: z.string().optional() }),
      }),
    )
    .min(1),
  clerk_trace_id: z.string().regex(/^[0-9a-f]{32}$/),
})

/** Errors that every operation may return; an operation declares its others. */
const COMMON: ErrorCode[] = [
  'authorization_header_format_invalid',
  'clerk_key_invalid',
  'api_version_invalid',
  'origin_invalid',
  'request_body_invalid',
  'unsupported_content_type',
  'request_body_too_large',
  'form_param_missing',
  'form_param_value_invalid',
  'form_param_type_invalid',
  'form_param_unknown',
  'resource_not_found',
  'authentication_invalid',
]

/** Each request of these can start a thread, which takes 100 to 400 ms. */
const READS_POLICIES = ['CheckPolicy', 'PutPolicy', 'RollbackPolicy', 'WhatIfPolicy']

const POLICIES = [
  '@id("all") permit (principal, action in Action::"act", resource);',
  '@id("s") permit (principal in Team::"support", action in Action::"act", resource) when { context.duration <= 900 };',
]

/** Existing records, so that requests can succeed. */
interface World {
  ids: Record<string, string[]>
  tickets: string[]
  cookies: string[]
  nonces: string[]
}

async function newWorld(server: TestServer): Promise<World> {
  const users = await Promise.all(
    Array.from({ length: 3 }, (_, n) =>
      server.createUser({
        email_address: [`user${n}@example.com`],
        external_id: `external_${n}`,
        username: `user${n}`,
      }),
    ),
  )
  const signed = await Promise.all(users.map(({ id }) => server.signIn({ user_id: id })))
  const tokens = await Promise.all(users.map(({ id }) => server.createActorToken({ user_id: id })))
  const signIns = await Promise.all(
    users.map(async ({ id }) => (await server.call('POST', '/v1/sign_in_tokens', { user_id: id })).body),
  )
  const templates = await Promise.all(
    ['one', 'two'].map(async name => {
      const claims = { name: '{{user.full_name || "none"}}', act: '{{session.actor}}' }
      return (await server.call('POST', '/v1/jwt_templates', { name, claims })).body
    }),
  )
  const actors = await Promise.all(
    ['olivia@support', 'nightly job'].map(
      async sub => (await server.call('PUT', `/v1/actors/${encodeURIComponent(sub)}`, { kind: 'agent' })).body,
    ),
  )
  const groups = ['support', 'tier 2']
  for (const name of groups)
    for (const kind of ['teams', 'tags'])
      await server.call('PUT', `/v1/${kind}/${encodeURIComponent(name)}`, { parents: ['everyone'] })
  const keys = await Promise.all(
    ['one', 'two'].map(async name => (await server.call('POST', '/v1/secret_keys', { name })).body),
  )
  const operators = await Promise.all(
    ['one', 'two'].map(async name => {
      const invitation = { email: `${name}@example.com`, role: 'viewer' }
      return (await server.call('POST', '/v1/operators', invitation)).body
    }),
  )
  const operatorSessions = [await operatorOf(server, 'viewer'), await operatorOf(server, 'admin')]
  const signingKeys = (await server.call('POST', '/v1/signing_keys/rotate', { at_once: true })).body.data
  await server.stagedoor.services.auditLog.tick()
  return {
    ids: {
      operator_id: operators.map(operator => operator.id),
      operator_session_id: operatorSessions.map(session => session.session_id),
      sub: actors.map(actor => actor.sub),
      name: groups,
      secret_key_id: keys.map(key => key.id),
      tile_path: ['0/000', '0/000.p/1', 'entries/000.p/1', '0/000.p/999'],
      // The first ones have a proof.
      audit_event_id: (await server.stagedoor.services.store.auditLog.entries(0, 5)).map(event => event.id),
      signing_key_id: signingKeys.map(({ id }: { id: string }) => id),
      user_id: users.map(user => user.id),
      session_id: signed.map(session => session.session_id),
      identification_id: users.map(user => user['primary_email_address_id']),
      template_id: templates.map(template => template.id),
      template_name: templates.map(template => template.name),
      client_id: signed.map(session => session.client_id),
      actor_token_id: tokens.map(token => token.id),
      sign_in_token_id: signIns.map(token => token.id),
    },
    tickets: [...tokens, ...signIns].map(token => token.token),
    cookies: signed.map(session => session.cookie),
    nonces: await Promise.all(
      signed.map(async ({ cookie }) => {
        const path = '/v1/client/handshake?format=nonce&__clerk_db_jwt=x&redirect_url=http://127.0.0.1:4101/'
        const answer = await server.call('GET', path, undefined, { authorization: undefined, cookie })
        return new URL(answer.headers.get('location') ?? '').searchParams.get('__clerk_handshake_nonce') ?? ''
      }),
    ),
  }
}

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    '\ud800',
    '\ufffd',
    '%',
    '%00',
    "'",
    '"; drop table users; --',
    '__proto__',
    'constructor',
    '-created_at',
    'null',
    '0',
    '-1',
    '1e3',
    '9'.repeat(30),
    'x'.repeat(300),
    '2026-01-01T00:00:00Z',
    '0001-01-01T00:00:00Z',
    '9999-12-31T23:59:59.999999999Z',
    'a@b',
    '+15555550100',
  ),
)
const oddNumber = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, -1, 1, 0.5, 60, 3_600, 2 ** 31, 2 ** 53, 1e300, Number.MAX_SAFE_INTEGER),
)
const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  oddText,
  oddNumber,
  fc.constantFrom(null, true, false),
  fc.jsonValue(),
  fc.array(oddText, { maxLength: 3 }),
)

/** A value that the schema allows; in a wild request sometimes an invalid one. */
function nearly(right: fc.Arbitrary<unknown>, wild: boolean): fc.Arbitrary<unknown> {
  return wild ? fc.oneof({ weight: 5, arbitrary: right }, { weight: 1, arbitrary: oddValue }) : right
}

interface JsonSchema {
  $ref?: string
  type?: string
  enum?: unknown[]
  const?: unknown
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  additionalProperties?: unknown
  required?: string[]
  items?: JsonSchema
  minimum?: number
  maximum?: number
  maxLength?: number
  format?: string
  pattern?: string
}

/** Values for a field of the contract; an id field gets real ids. */
function valuesFor(schema: JsonSchema, name: string, world: World, wild: boolean): fc.Arbitrary<unknown> {
  const known = world.ids[name]
  if (known && schema.type !== 'array') return nearly(fc.constantFrom(...known), wild)
  if (name === 'ticket') return nearly(fc.constantFrom(...world.tickets), wild)
  if (name === 'redirect_url' || name === 'return_url')
    return nearly(fc.constantFrom('http://127.0.0.1:4101/', 'http://127.0.0.1:4101/users?a=b#c'), wild)
  if (name === 'nonce') return nearly(fc.constantFrom(...world.nonces), wild)
  if (name === 'token')
    return nearly(
      fc.constantFrom(...world.cookies.map(cookie => cookie.replace('__client=', '')), ...world.tickets),
      wild,
    )
  if (name === 'order_by')
    return nearly(fc.constantFrom('-created_at', '+email_address', 'username', 'last_active_at'), wild)
  if (name === 'text') return nearly(fc.constantFrom(...POLICIES), wild)
  if (name === 'off' && schema.type === 'string')
    return nearly(fc.constantFrom('base.reason', 'base.operators', 'base.duration'), wild)
  if (name === 'tests') return nearly(fc.constantFrom('', '{"actor":{"teams":["support"]},"expect":"allowed"}'), wild)
  if (name === 'expect_refused') return nearly(fc.constant(1_000), wild)
  if (name === 'version' || name === 'if_version') return nearly(fc.constant(0), wild)
  if (name.startsWith('primary_')) return nearly(fc.constantFrom(null, ...(world.ids['identification_id'] ?? [])), wild)
  if (name === 'starting_after') return nearly(fc.constantFrom(...(world.ids['user_id'] ?? [])), wild)
  const options = schema.anyOf ?? schema.oneOf ?? schema.allOf
  if (options && options.length > 0) return fc.oneof(...options.map(option => valuesFor(option, name, world, wild)))
  if (schema.enum) return nearly(fc.constantFrom(...schema.enum), wild)
  if (schema.const !== undefined) return nearly(fc.constant(schema.const), wild)
  switch (schema.type) {
    case 'object':
      return nearly(objectOf(schema, world, wild), wild)
    case 'array':
      return nearly(fc.array(valuesFor(schema.items ?? {}, name, world, wild), { maxLength: 3 }), wild)
    case 'integer':
    case 'number':
      return nearly(
        fc.integer({
          min: Math.max(schema.minimum ?? 0, -(2 ** 31)),
          max: Math.min(schema.maximum ?? 1e6, 2 ** 31 - 1),
        }),
        wild,
      )
    case 'boolean':
      return nearly(fc.boolean(), wild)
    case 'null':
      return nearly(fc.constant(null), wild)
    case 'string':
      if (schema.format === 'date-time')
        return nearly(
          fc
            .date({ noInvalidDate: true, min: new Date('1930-01-01'), max: new Date('2100-01-01') })
            .map(date => date.toISOString()),
          wild,
        )
      if (name === 'name' && schema.pattern) return nearly(fc.stringMatching(new RegExp(schema.pattern)), wild)
      if (name.includes('email')) return nearly(fc.emailAddress(), wild)
      if (name.includes('phone'))
        return nearly(
          fc.integer({ min: 1_000_000, max: 2 ** 31 - 1 }).map(number => `+1${number}`),
          wild,
        )
      return nearly(wild ? oddText : fc.string({ minLength: 1, maxLength: Math.min(schema.maxLength ?? 30, 30) }), wild)
    default:
      return oddValue
  }
}

function objectOf(schema: JsonSchema, world: World, wild: boolean): fc.Arbitrary<Record<string, unknown>> {
  const properties = schema.properties ?? {}
  // A few at a time: of twenty random fields, at least one is always invalid.
  const known = fc
    .subarray(Object.keys(properties), { maxLength: Math.min(3, Object.keys(properties).length) })
    .chain(names =>
      fc.record(Object.fromEntries(names.map(name => [name, valuesFor(properties[name] ?? {}, name, world, wild)]))),
    )
  const required = Object.fromEntries(
    (schema.required ?? [])
      .filter(name => properties[name])
      .map(name => [name, valuesFor(properties[name] ?? {}, name, world, wild)]),
  )
  if (!wild) {
    const member = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.string(), { maxLength: 2 }),
    )
    const own =
      schema.additionalProperties === true
        ? fc.dictionary(fc.string({ maxLength: 20 }), member, { maxKeys: 4, noNullPrototype: true })
        : fc.constant({})
    return fc.tuple(own, known, fc.record(required)).map(([mine, some, all]) => ({ ...mine, ...some, ...all }))
  }
  const extra = fc.oneof(
    { weight: 6, arbitrary: fc.constant({}) },
    { weight: 1, arbitrary: fc.dictionary(oddText, oddValue, { maxKeys: 2 }) },
  )
  return fc
    .tuple(known, fc.record(required), extra, fc.integer({ min: 0, max: 9 }))
    .map(([some, all, more, chance]) => ({ ...some, ...(chance === 0 ? {} : all), ...more }))
}

const inputOf = (schema: z.ZodType | undefined): JsonSchema =>
  schema === undefined
    ? {}
    : (z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as JsonSchema)

/** Follows `$ref` into `$defs`. */
function inlined(
  schema: unknown,
  defs: Record<string, unknown> = (schema as { $defs?: Record<string, unknown> }).$defs ?? {},
): unknown {
  if (Array.isArray(schema)) return schema.map(item => inlined(item, defs))
  if (typeof schema !== 'object' || schema === null) return schema
  const ref = (schema as JsonSchema).$ref
  if (ref !== undefined) return inlined(defs[ref.replace('#/$defs/', '')], defs)
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([name]) => name !== '$defs')
      .map(([name, value]) => [name, inlined(value, defs)]),
  )
}

interface Sent {
  operation: string
  path: string
  body: string | undefined
  headers: Record<string, string | undefined>
}

const operations = new Map([...bapi, ...fapi].map(operation => [operation.id, operation]))

function request(operation: Operation, world: World): fc.Arbitrary<Sent> {
  return fc.oneof(
    { weight: 3, arbitrary: requestOf(operation, world, false) },
    { weight: 2, arbitrary: requestOf(operation, world, true) },
  )
}

function requestOf(operation: Operation, world: World, wild: boolean): fc.Arbitrary<Sent> {
  const body = inlined(inputOf(operation.body)) as JsonSchema
  const query = inlined(inputOf(operation.query)) as JsonSchema
  const id = (name: string) =>
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...(world.ids[name] ?? ['x'])) },
      { weight: 1, arbitrary: fc.constantFrom(...Object.values(world.ids).flat()) },
      { weight: 1, arbitrary: oddText },
    )
  const names = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const params = fc
    .tuple(...names.map(id))
    .map(values =>
      values.reduce<string>((path, value, i) => path.replace(`{${names[i]}}`, () => encoded(value)), operation.path),
    )
  const form = operation.bodyType === 'form'

  const sentBody: fc.Arbitrary<string | undefined> =
    operation.body === undefined
      ? fc.constantFrom(undefined, undefined, '{}', 'x')
      : fc.oneof(
          {
            weight: 8,
            arbitrary: objectOf(hasProperties(body), world, wild).map(value =>
              form ? formText(value) : JSON.stringify(value),
            ),
          },
          {
            weight: 1,
            arbitrary: fc.oneof(
              oddText,
              fc.json(),
              fc.constantFrom(
                undefined,
                '',
                'null',
                '{',
                '[]',
                '"x"',
                '{"a":1,"a":2}',
                '{"__proto__":{}}',
                '['.repeat(5_000),
              ),
            ),
          },
        )
  const sentQuery = fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    { weight: 5, arbitrary: objectOf(query, world, wild).map(value => `?${formText(value)}`) },
    { weight: 1, arbitrary: oddText.map(text => `?${text.replace(/[#\s\0]/g, '')}`) },
  )
  const type = form ? 'application/x-www-form-urlencoded' : 'application/json'
  const headers = fc
    .record({
      authorization: fc.oneof(
        { weight: 8, arbitrary: fc.constant(operation.auth === 'secret_key' ? `Bearer ${SECRET_KEY}` : undefined) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(
            undefined,
            '',
            'Bearer',
            'Bearer x',
            `Basic ${SECRET_KEY}`,
            `Bearer sk_test_${'0'.repeat(32)}`,
          ),
        },
      ),
      'content-type': fc.oneof(
        { weight: 8, arbitrary: fc.constant<string | undefined>(type) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(undefined, 'text/plain', `${type}; charset=utf-8`, `${type}; charset=utf-16`, ''),
        },
      ),
      origin: fc.oneof(
        { weight: 5, arbitrary: fc.constant(undefined) },
        { weight: 1, arbitrary: fc.constantFrom('http://localhost:3000', 'https://evil.example', 'null', '') },
      ),
      cookie: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(...world.cookies) },
        {
          weight: 1,
          arbitrary: fc.constantFrom(
            undefined,
            '',
            '__client=',
            '__client=x',
            '__client; __client=a.b.c',
            ';;=;',
            ...world.cookies.map(cookie => `__client=x; ${cookie}`),
          ),
        },
      ),
      'clerk-api-version': fc.constantFrom(undefined, undefined, undefined, '2025-11-10'),
      'user-agent': fc.constantFrom(undefined, 'x', 'x'.repeat(2_000)),
      'x-forwarded-for': fc.constantFrom(undefined, undefined, '1.2.3.4', 'x, ::1, 1.2.3.4'),
    })
    .map(given =>
      Object.fromEntries(
        Object.entries(given).filter(
          ([name, value]) => value !== undefined || name === 'authorization' || name === 'content-type',
        ),
      ),
    )

  return fc.record({
    operation: fc.constant(operation.id),
    path: fc.tuple(params, sentQuery).map(([path, search]) => path + search),
    body: operation.method === 'get' ? fc.constant(undefined) : sentBody,
    headers,
  })
}

/** The fields of an optional body are one level down. */
function hasProperties(schema: JsonSchema): JsonSchema {
  return schema.properties
    ? schema
    : ((schema.anyOf ?? []).map(hasProperties).find(option => option.properties) ?? schema)
}

function encoded(value: string): string {
  // A URL has no segments of one or two dots: the path would be another one.
  if (/^\.{1,2}$/.test(value)) return 'x'
  try {
    return encodeURIComponent(value) || 'x'
  } catch {
    return '%ed%a0%80'
  }
}

function formText(value: Record<string, unknown>): string {
  return Object.entries(value)
    .flatMap(([name, member]) =>
      (Array.isArray(member) ? member : [member]).map(
        item => `${encoded(name)}=${encoded(typeof item === 'string' ? item : (JSON.stringify(item) ?? ''))}`,
      ),
    )
    .join('&')
}

/** Fails unless the contract allows the answer. */
function assertAllowed({ operation: id, path, body, headers }: Sent, answer: Answer): void {
  const operation = operations.get(id) as Operation
  const what = `${operation.id}: ${operation.method} ${path} ${JSON.stringify(headers)} ${body?.slice(0, 2_000)} → ${answer.status} ${answer.text}`
  assert.ok(answer.status < 500, what)
  if (operation.page && answer.status === 200) {
    assert.match(answer.headers.get('content-type') ?? '', /^text\/html/, what)
    return
  }
  if (operation.stream && answer.status === 200) {
    assert.equal(answer.headers.get('content-type'), 'text/event-stream', what)
    return
  }
  if (operation.downloads && answer.status === 200) {
    const [type = ''] = answer.headers.get('content-type')?.split(';') ?? []
    assert.ok(operation.downloads.includes(type), what)
    return
  }
  if (operation.alsoText && answer.headers.get('content-type')?.startsWith('text/plain')) return
  const isPending = operation.mayBePending && answer.status === 202
  if (answer.status === (operation.status ?? 200) || isPending) {
    if (answer.status >= 300) assert.ok(answer.headers.get('location')?.startsWith('http://127.0.0.1:4101/'), what)
    else assert.equal(operation.response.safeParse(answer.body).success, true, what)
    return
  }
  const envelope = ErrorEnvelope.safeParse(answer.body)
  assert.equal(envelope.success, true, what)
  const codes = envelope.data?.errors.map(error => error.code) ?? []
  const [first] = codes
  assert.equal(first && errors[first].status, answer.status, what)
  for (const code of codes)
    assert.ok([...COMMON, ...(operation.errors ?? [])].includes(code), `${code} is not declared. ${what}`)
  for (const { code, long_message } of envelope.data?.errors ?? []) {
    for (const hole of errors[code].long_message.match(/\{\w+\}/g) ?? []) {
      assert.ok(
        !long_message.includes(hole) || `${path}${body}`.includes(hole),
        `a text with an unfilled placeholder: ${what}`,
      )
    }
  }
}

/** Maximum repetitions of a test in which no request has succeeded yet. */
const ROUNDS = 5

describe('a random request', () => {
  for (const operation of [...bapi, ...fapi]) {
    it(`${operation.id}: gets no 5xx, and only answers that the contract allows`, async () => {
      await using server = await testServer({ env })
      const world = await newWorld(server)
      const statuses = new Set<number>()
      const hasSucceeded = () => statuses.has(operation.status ?? 200) || (operation.page && statuses.has(200))
      // Requests that all fail authentication or validation would test nothing. Some operations succeed rarely.
      for (let round = 0; round < ROUNDS && !hasSucceeded(); round++) {
        await fc.assert(
          fc.asyncProperty(request(operation, world), async sent => {
            const answer = await server.call(operation.method.toUpperCase(), sent.path, sent.body, sent.headers)
            statuses.add(answer.status)
            assertAllowed(sent, answer)
          }),
          { numRuns: READS_POLICIES.includes(operation.id) ? times(25, 1_000) : times(60, 5_000) },
        )
      }
      assert.ok(hasSucceeded(), `none succeeded: ${[...statuses]}`)
    })
  }

  it('in a sequence of others gets an allowed answer and leaves a working server', async () => {
    await using server = await testServer({ env })
    const world = await newWorld(server)
    const any = fc.oneof(...[...bapi, ...fapi].map(operation => request(operation, world)))
    await fc.assert(
      fc.asyncProperty(fc.array(any, { minLength: 1, maxLength: 20 }), async requests => {
        const answers = await Promise.all(
          requests.map(sent =>
            server.call(
              (operations.get(sent.operation) as Operation).method.toUpperCase(),
              sent.path,
              sent.body,
              sent.headers,
            ),
          ),
        )
        for (const [i, answer] of answers.entries()) assertAllowed(requests[i] as Sent, answer)
      }),
      { numRuns: times(80, 3_000) },
    )
    // One of them may have applied a policy that refuses what follows.
    expectOk(await server.call('POST', '/v1/policy/rollback', { version: 0, expect_refused: 1_000_000 }))
    // One of them may have revoked everything up to this millisecond.
    server.clock.advance(1)
    const { user_id } = await server.signIn()
    assert.equal((await server.auditEvents({ user_id })).length, 3)
  })
})
