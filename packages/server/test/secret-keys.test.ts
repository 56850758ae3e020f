import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import {
  type Answer,
  expectOk,
  SECRET_KEY,
  sharedServer,
  type TestServer,
  testServer,
} from '../../../test/support/server.ts'
import { bapi } from '../src/contract/bapi.ts'
import { RIGHTS, type Right } from '../src/contract/operation.ts'
import { createSecretKey } from '../src/domain/secret-keys.ts'
import { succeeding } from './operations.ts'

/**
 * Which rights may call which operation, in addition to `everything`. Written by hand, to check the contract: an
 * operation that is added there fails this test until this table says who may call it.
 */
const MAY_CALL: Record<string, Right[]> = {
  CreateActorToken: ['act'],
  GetActorTokenList: ['act', 'audit'],
  GetActorToken: ['act', 'audit'],
  RevokeActorToken: ['act'],
  AcceptActorToken: ['act'],
  // Sign-in tokens start sessions without an actor.
  CreateSignInToken: [],
  GetSignInTokenList: [],
  RevokeSignInToken: [],
  GetUserList: ['users'],
  GetUsersCount: ['users'],
  CreateUser: ['users'],
  GetUser: ['users'],
  UpdateUser: ['users'],
  UpdateUserMetadata: ['users'],
  DeleteUser: ['users'],
  BanUser: ['users'],
  UnbanUser: ['users'],
  LockUser: ['users'],
  UnlockUser: ['users'],
  // A key that may act must not change what decides whether it may.
  ListActors: ['users', 'policy', 'audit'],
  GetActor: ['users', 'policy', 'audit'],
  PutActor: ['users'],
  DeleteActor: ['users'],
  ListTeams: ['users', 'policy', 'audit'],
  GetTeam: ['users', 'policy', 'audit'],
  PutTeam: ['users'],
  DeleteTeam: ['users'],
  ListTags: ['users', 'policy', 'audit'],
  GetTag: ['users', 'policy', 'audit'],
  PutTag: ['users'],
  DeleteTag: ['users'],
  GetPolicy: ['policy', 'audit'],
  PutPolicy: ['policy'],
  ListPolicyVersions: ['policy', 'audit'],
  RollbackPolicy: ['policy'],
  CheckPolicy: ['policy'],
  WhatIfPolicy: ['policy'],
  ExplainPolicy: ['act', 'policy'],
  ListActing: ['act', 'audit'],
  FollowActing: ['act', 'audit'],
  GetSessionList: ['act', 'audit'],
  // So does this.
  createSession: [],
  GetSession: ['act', 'audit'],
  RevokeSession: ['act'],
  RevokeAllSessions: ['act'],
  FollowRevocations: ['act'],
  CreateSessionToken: ['act'],
  GetHandshakePayload: ['act'],
  CreateSessionTokenFromTemplate: ['act'],
  Search: ['act', 'audit', 'users'],
  ListJWTTemplates: [],
  CreateJWTTemplate: [],
  GetJWTTemplate: [],
  UpdateJWTTemplate: [],
  DeleteJWTTemplate: [],
  GetClient: ['act'],
  VerifyClient: ['act'],
  // Public keys, which anybody can read at /.well-known/jwks.json too.
  GetJWKS: ['act', 'audit', 'policy', 'users'],
  // A key that could create keys could give itself every right.
  GetSecretKeyList: [],
  CreateSecretKey: [],
  RevokeSecretKey: [],
  // A key that could remove signing keys could end all sessions.
  ListSigningKeys: [],
  RotateSigningKeys: [],
  RemoveSigningKey: [],
  // Who may use the console, where an admin may do everything that operators may.
  ListOperators: [],
  GetOperator: [],
  InviteOperator: [],
  DisableOperator: [],
  EnableOperator: [],
  ListOperatorSessions: [],
  EndOperatorSession: [],
  // The settings of the server.
  GetInstance: [],
  GetAuditEventList: ['audit'],
  ExportAuditEvents: ['audit'],
  GetAuditEvent: ['audit'],
  GetAuditEventProof: ['audit'],
  GetAuditCheckpoint: ['audit'],
  GetAuditCheckpoints: ['audit'],
  GetAuditTile: ['audit'],
  GetAuditConsistency: ['audit'],
  GetAuditKeys: ['audit'],
  GetRefusedRequestsList: ['audit'],
  GetStats: ['audit'],
}

/** Creates a key. @returns its id, and the header that sends it */
async function keyWith(server: TestServer, rights: string[], expires_in_seconds?: number) {
  const ctx = server.stagedoor.context({ type: 'system', id: null })
  const { record, secret } = await createSecretKey(ctx, { name: rights.join(), rights, expires_in_seconds })
  return { id: record.id, headers: { authorization: `Bearer ${secret}` } }
}

function assertNotAllowed(answer: Answer, needed: Right[], rights: Right[]): void {
  assert.deepEqual([answer.status, answer.codes], [403, ['key_not_allowed']], answer.text)
  const { long_message, meta } = answer.body.errors[0]
  assert.deepEqual([meta.needed_rights, meta.rights], [[...needed, 'everything'], rights])
  for (const right of meta.needed_rights) assert.ok(long_message.includes(`\`${right}\``), long_message)
}

describe('the rights of a secret key', () => {
  const shared = sharedServer()
  const keys = new Map<Right, { id: string; headers: { authorization: string } }>()
  const keyOf = async (right: Right) => {
    const key = keys.get(right) ?? (await keyWith(shared(), [right]))
    keys.set(right, key)
    return key
  }

  it('are decided for every operation', () => {
    assert.deepEqual(
      bapi.map(({ id }) => id),
      Object.keys(MAY_CALL),
    )
  })

  for (const operation of bapi) {
    const needed = MAY_CALL[operation.id] ?? []
    it(`${operation.id} needs ${[...needed, 'everything'].join(' or ')}`, async () => {
      const server = shared()
      const isAllowed = (right: Right) => right === 'everything' || needed.includes(right)
      let request = await succeeding(server, operation)
      const send = (headers: object) =>
        server.call(request.method, request.path, request.body, { ...request.headers, ...headers })
      const lastChange = async () => (await server.auditEvents({ outcome: 'done', limit: '1' }))[0]?.id
      for (const right of RIGHTS.filter(each => !isAllowed(each))) {
        const { id, headers } = await keyOf(right)
        const before = await lastChange()
        assertNotAllowed(await send(headers), needed, [right])
        assert.equal(await lastChange(), before, 'nothing changes')
        if (operation.action === undefined) continue
        const [refused] = await server.auditEvents({ outcome: 'refused', limit: '1' })
        assert.deepEqual(
          [refused?.action, refused?.code, refused?.principal],
          [operation.action, 'key_not_allowed', { type: 'secret_key', id }],
        )
      }
      // The first of these has the request that was refused above: it would fail if a refused request had changed something.
      for (const right of RIGHTS.filter(isAllowed)) {
        assert.equal((await send((await keyOf(right)).headers)).status, operation.status ?? 200, right)
        request = await succeeding(server, operation)
      }
    })
  }

  it('add up, and are named in the refusal', async () => {
    const server = shared()
    const { headers } = await keyWith(server, ['users', 'act', 'act'])
    assert.equal((await server.call('GET', '/v1/users', undefined, headers)).status, 200)
    assert.equal((await server.call('GET', '/v1/sessions', undefined, headers)).status, 200)
    const refused = await server.call('GET', '/v1/audit_events', undefined, headers)
    assertNotAllowed(refused, ['audit'], ['act', 'users'])
    assert.equal(
      refused.body.errors[0].long_message,
      'This operation needs the right `audit` or `everything`. The rights of this secret key: `act` and `users`.',
    )
  })

  it('are checked before anything else in the request', async () => {
    const server = shared()
    const { headers } = await keyWith(server, ['audit'])
    for (const body of ['not json', {}, { user_id: 1 }, undefined])
      assertNotAllowed(await server.call('POST', '/v1/actor_tokens', body, headers), ['act'], ['audit'])
    const unknown = await server.call('GET', '/v1/users/user_none', undefined, headers)
    assertNotAllowed(unknown, ['users'], ['audit'])
  })

  it('include the right to act, if the key is that of a proxy of Clerk', async () => {
    const server = shared()
    const through = async (rights: string[]) => {
      const { headers } = await keyWith(server, rights)
      const proxy = {
        'clerk-proxy-url': 'http://127.0.0.1:4101/__clerk',
        'clerk-secret-key': headers.authorization.slice(7),
      }
      return server.call('GET', '/v1/client', undefined, { authorization: undefined, ...proxy })
    }
    for (const rights of [['act'], ['act', 'audit'], ['everything']]) assert.equal((await through(rights)).status, 200)
    for (const rights of [['users'], ['audit', 'policy']]) {
      const { status, codes, text } = await through(rights)
      assert.deepEqual([status, codes], [401, ['proxy_request_invalid_secret_key']])
      assert.doesNotMatch(text, /audit|policy|users/, 'a browser is not told the rights of the key')
    }
  })
})

describe('a secret key that expires', () => {
  it('is refused from the millisecond of its expiry on, by every operation, as a revoked key is', async () => {
    await using server = await testServer()
    const { headers } = await keyWith(server, ['everything'], 60)
    const { id } = await server.createActorToken()
    const revoke = () => server.call('POST', `/v1/actor_tokens/${id}/revoke`, undefined, headers)
    server.clock.advance(59.999)
    assert.equal((await server.call('GET', '/v1/users', undefined, headers)).status, 200)
    server.clock.advance(0.001)
    for (const refused of [
      await server.call('GET', '/v1/users', undefined, headers),
      await server.call('GET', '/v1/revocations', undefined, headers),
      await revoke(),
    ])
      assert.deepEqual([refused.status, refused.codes], [401, ['clerk_key_invalid']])
    assert.equal((await server.call('GET', `/v1/actor_tokens/${id}`)).body.status, 'pending')
    // Other keys are not affected.
    assert.equal((await server.call('GET', '/v1/users')).status, 200)
  })

  it('is not valid for a proxy of Clerk either', async () => {
    await using server = await testServer()
    const { headers } = await keyWith(server, ['act'], 60)
    const proxy = {
      'clerk-proxy-url': 'http://127.0.0.1:4101/__clerk',
      'clerk-secret-key': headers.authorization.slice(7),
    }
    const through = () => server.call('GET', '/v1/client', undefined, { authorization: undefined, ...proxy })
    assert.equal((await through()).status, 200)
    server.clock.advance(60)
    assert.deepEqual((await through()).codes, ['proxy_request_invalid_secret_key'])
  })
})

describe('secret keys over the API', () => {
  it('are created, listed without the key itself, used and revoked', async () => {
    await using server = await testServer()
    server.clock.advance(1)
    const before = server.clock.now()
    const created = expectOk(
      await server.call('POST', '/v1/secret_keys', {
        name: 'support',
        rights: ['audit', 'act'],
        expires_in_seconds: 600,
      }),
    )
    const { secret, ...key } = created
    assert.match(secret, /^sk_test_[0-9a-f]{64}$/)
    assert.deepEqual(key, {
      object: 'secret_key',
      id: key.id,
      name: 'support',
      hint: `${secret.slice(0, 12)}…${secret.slice(-4)}`,
      rights: ['act', 'audit'],
      created_at: before,
      expires_at: before + 600_000,
      revoked_at: null,
    })
    const list = await server.call('GET', '/v1/secret_keys?paginated=true')
    assert.ok(!list.text.includes(secret))
    assert.equal(list.body.total_count, 2)
    assert.deepEqual(list.body.data[0], key)
    assert.deepEqual([list.body.data[1].rights, list.body.data[1].expires_at], [['everything'], null])

    const headers = { authorization: `Bearer ${secret}` }
    assert.equal((await server.call('GET', '/v1/sessions', undefined, headers)).status, 200)
    const revoked = expectOk(await server.call('POST', `/v1/secret_keys/${key.id}/revoke`))
    assert.deepEqual(revoked, { ...key, revoked_at: server.clock.now() })
    assert.deepEqual((await server.call('GET', '/v1/sessions', undefined, headers)).codes, ['clerk_key_invalid'])
    server.clock.advance(1)
    assert.deepEqual(expectOk(await server.call('POST', `/v1/secret_keys/${key.id}/revoke`)), revoked, 'once')
    const events = await server.auditEvents({ outcome: 'done' })
    assert.deepEqual(
      events.filter(({ target_id }) => target_id === key.id).map(({ action }) => action),
      ['secret_key.revoke', 'secret_key.create'],
    )
  })

  it('have every right and no end by default', async () => {
    await using server = await testServer()
    const { secret, rights, expires_at } = expectOk(await server.call('POST', '/v1/secret_keys', { name: 'backend' }))
    assert.deepEqual([rights, expires_at], [['everything'], null])
    server.clock.advance(10 * 365 * 86_400)
    const headers = { authorization: `Bearer ${secret}` }
    assert.equal((await server.call('GET', '/v1/instance', undefined, headers)).status, 200)
  })

  it('are listed page by page, newest first', async () => {
    await using server = await testServer()
    for (const name of ['a', 'b', 'c']) {
      server.clock.advance(1)
      expectOk(await server.call('POST', '/v1/secret_keys', { name }))
    }
    const names: string[] = []
    for (let after: string | undefined = ''; after !== undefined; ) {
      const query: string = `limit=2&paginated=true${after && `&starting_after=${after}`}`
      const page = expectOk(await server.call('GET', `/v1/secret_keys?${query}`))
      names.push(...page.data.map((key: { name: string }) => key.name))
      after = page.next_cursor
    }
    assert.deepEqual(names, ['c', 'b', 'a', 'from STAGEDOOR_SECRET_KEY'])
  })

  it('are refused with an explanation if their rights, name or expiry are invalid', async () => {
    await using server = await testServer()
    const valid = '`rights` must be `everything`, or one or more of `act`, `audit`, `policy`, `users`'
    const wrong: [object, string, string | undefined][] = [
      [{ name: 'x', rights: [] }, 'form_param_value_invalid', `${valid}.`],
      [{ name: 'x', rights: ['everything', 'act'] }, 'form_param_value_invalid', `${valid}.`],
      [{ name: 'x', rights: ['act', 'admin'] }, 'form_param_value_invalid', `${valid}; \`admin\` is none of them.`],
      [{ name: 'x', rights: ['act audit'] }, 'form_param_value_invalid', `${valid}; \`act audit\` is none of them.`],
      [{ name: 'x', rights: ['Act'] }, 'form_param_value_invalid', `${valid}; \`Act\` is none of them.`],
      ...['request', 'approve', 'review'].map((right): [object, string, string] => [
        { name: 'x', rights: ['act', right] },
        'form_param_value_invalid',
        `${valid}. \`${right}\` is reserved for a later version.`,
      ]),
      [{ name: 'x', rights: 'act' }, 'form_param_type_invalid', undefined],
      [{ name: 'x', rights: [1] }, 'form_param_type_invalid', undefined],
      [{ name: 'x', expires_in_seconds: 0 }, 'form_param_value_invalid', '`expires_in_seconds` must be at least 1.'],
      [{ name: 'x', expires_in_seconds: -1 }, 'form_param_value_invalid', '`expires_in_seconds` must be at least 1.'],
      [{ name: 'x', expires_in_seconds: 1.5 }, 'form_param_value_invalid', undefined],
      [{ name: 'x', expires_at: 1 }, 'form_param_unknown', undefined],
      [{ name: '' }, 'form_param_value_invalid', undefined],
      [{}, 'form_param_missing', undefined],
    ]
    for (const [body, code, action] of wrong) {
      const answer = await server.call('POST', '/v1/secret_keys', body)
      assert.deepEqual([answer.status, answer.codes], [422, [code]], JSON.stringify(body))
      if (action !== undefined) assert.equal(answer.body.errors[0].meta.action, action)
    }
    assert.equal((await server.call('GET', '/v1/secret_keys')).body.length, 1)
    const { status, codes } = await server.call('POST', '/v1/secret_keys/key_none/revoke')
    assert.deepEqual([status, codes], [404, ['resource_not_found']])
  })

  it('are shown once: a repeated Idempotency-Key is refused and names the key', async () => {
    await using server = await testServer()
    const body = { name: 'once', rights: ['act'] }
    const create = (key: string, sent: object = body) =>
      server.call('POST', '/v1/secret_keys', sent, { 'idempotency-key': key })
    const { id, secret } = expectOk(await create('k1'))
    const again = await create('k1')
    assert.deepEqual([again.status, again.codes], [422, ['secret_key_shown_before']])
    assert.equal(again.body.errors[0].meta.secret_key_id, id)
    assert.ok(!again.text.includes(secret))
    assert.deepEqual((await create('k1', { ...body, rights: ['users'] })).codes, ['idempotency_key_reused'])
    const [refused] = await server.auditEvents({ outcome: 'refused', code: 'secret_key_shown_before' })
    assert.equal(refused?.action, 'secret_key.create')

    const answers = await Promise.all(Array.from({ length: 8 }, () => create('k2')))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(7).fill(422)])
    const second = answers.find(({ status }) => status === 200)?.body
    for (const answer of answers.filter(({ status }) => status === 422)) {
      assert.equal(answer.body.errors[0].meta.secret_key_id, second.id)
      assert.ok(!answer.text.includes(second.secret))
    }
    assert.equal((await server.call('GET', '/v1/secret_keys')).body.length, 3)
    const headers = { authorization: `Bearer ${secret}` }
    assert.equal((await server.call('GET', '/v1/sessions', undefined, headers)).status, 200)
  })
})

describe('stored keys', () => {
  it('of the previous version keep every right and do not expire', async () => {
    using database = testDatabase()
    {
      await using server = await testServer({ env: database.env })
      assert.equal((await server.call('GET', '/v1/instance')).status, 200)
    }
    const db = database.open()
    db.exec(`alter table secret_keys drop column rights;
      alter table secret_keys drop column expires_at;
      delete from migrations where name = '0015_secret_key_rights'`)
    db.close()
    await using server = await testServer({ env: database.env })
    assert.deepEqual(database.rows('select rights, expires_at from secret_keys'), [
      { rights: 'everything', expires_at: null },
    ])
    assert.equal((await server.call('GET', '/v1/instance')).status, 200)
  })

  it('with rights that this version does not know may do what it knows, and nothing else', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    for (const [rights, allowed] of [
      ['act request', true],
      ['act', true],
      ['request', false],
      ['everythin', false],
      ['Everything', false],
      ['not_act actx', false],
      ['', false],
    ] as const) {
      const { id, headers } = await keyWith(server, ['users'])
      const db = database.open()
      db.prepare('update secret_keys set rights = ? where id = ?').run(rights, id)
      db.close()
      const answer = await server.call('GET', '/v1/sessions', undefined, headers)
      assert.equal(answer.status, allowed ? 200 : 403, `${rights}: ${answer.text}`)
      if (!allowed) assert.match(answer.body.errors[0].long_message, /The rights of this secret key: none\.$/)
      assert.equal((await server.call('GET', '/v1/instance', undefined, headers)).status, 403)
    }
    assert.equal(
      (await server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${SECRET_KEY}` })).status,
      200,
    )
  })
})
