import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type TestDatabase, testDatabase } from '../../../test/support/database.ts'
import { times } from '../../../test/support/deep.ts'
import {
  type Answer,
  type AuditEventBody,
  cookieOf,
  expectOk,
  SECRET_KEY,
  type TestServer,
  testServer,
} from '../../../test/support/server.ts'
import { bapi } from '../src/contract/bapi.ts'
import { fapi } from '../src/contract/fapi.ts'
import { canonicalJson, leafHashHex } from '../src/domain/audit/event.ts'
import { MAX_REFUSAL_EVENTS } from '../src/domain/audit/refusals.ts'
import { createSecretKey, revokeSecretKey } from '../src/domain/secret-keys.ts'
import { finishOverdueSessions } from '../src/domain/sessions.ts'
import { removeSigningKey, rotateSigningKeys } from '../src/domain/signing-keys.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')

type Fact = Partial<
  Record<
    'action' | 'outcome' | 'code' | 'actor_token_id' | 'session_id' | 'user_id' | 'actor_sub' | 'reason' | 'target_id',
    string | null
  >
> & {
  by?: AuditEventBody['principal']
  actor?: object | null
}

/** Returns the audit events that an action wrote, oldest first, without the fields that tests cannot predict. */
async function left(server: TestServer, act: () => Promise<unknown>): Promise<Required<Fact>[]> {
  const before = (await server.auditEvents())[0]?.seq ?? 0
  await act()
  const events = (await server.auditEvents()).filter(event => event.seq > before).reverse()
  return events.map(event => ({
    action: event.action,
    outcome: event.outcome,
    code: event.code,
    by: event.principal,
    actor_token_id: event.actor_token_id,
    session_id: event.session_id,
    user_id: event.user_id,
    actor_sub: event.actor_sub,
    actor: event['actor'] as object | null,
    reason: event.reason,
    target_id: event['target_id'] as string | null,
  }))
}

/** An event with these facts and no others. */
function event(by: AuditEventBody['principal'], facts: Fact): Required<Fact> {
  return {
    outcome: 'done',
    code: null,
    actor_token_id: null,
    session_id: null,
    user_id: null,
    actor_sub: null,
    actor: null,
    reason: null,
    target_id: null,
    action: '',
    by,
    ...facts,
  }
}

const client = (id: string | null) => ({ type: 'client' as const, id })
const system = { type: 'system' as const, id: null }
const keyOf = async (server: TestServer) => ({
  type: 'secret_key' as const,
  id: (await server.stagedoor.services.store.secretKeys.all())[0]?.id ?? '',
})
const status = async (answer: Promise<Answer>, expected: number, code?: string) => {
  const { status, text, codes } = await answer
  assert.deepEqual([status, codes], [expected, code === undefined ? [] : [code]], text)
}

describe('a successful change writes one audit event', () => {
  it('for users, for every kind of change', async () => {
    await using server = await testServer({ env })
    const by = await keyOf(server)
    let user_id = ''
    const created = await left(server, async () => {
      user_id = (await server.createUser({ email_address: ['a@example.com'] })).id
    })
    assert.deepEqual(created, [event(by, { action: 'user.create', user_id })])
    for (const [method, path, action, body] of [
      ['PATCH', '', 'user.update', { first_name: 'Ada' }],
      ['PATCH', '/metadata', 'user.update_metadata', { public_metadata: { a: 1 } }],
      ['POST', '/lock', 'user.lock'],
      ['POST', '/unlock', 'user.unlock'],
      ['POST', '/ban', 'user.ban'],
      ['POST', '/unban', 'user.unban'],
      ['DELETE', '', 'user.delete'],
    ] as const) {
      const events = await left(server, () => status(server.call(method, `/v1/users/${user_id}${path}`, body), 200))
      assert.deepEqual(events, [event(by, { action, user_id })])
    }
  })

  it('from the creation of an actor token to the end of its session', async () => {
    await using server = await testServer({ env })
    const by = await keyOf(server)
    const { id: user_id } = await server.createUser()
    const actor = { sub: 'operator_1', ticket: 'T-1', nested: { x: [1] } }
    const about = { user_id, actor_sub: 'operator_1', actor }
    let token = { id: '', token: '' }
    const created = await left(server, async () => {
      token = await server.createActorToken({ user_id, actor, reason: 'case 4711' })
    })
    const of = { ...about, actor_token_id: token.id }
    assert.deepEqual(created, [event(by, { ...of, action: 'actor_token.create', reason: 'case 4711' })])

    let answer: Answer | undefined
    const accepted = await left(server, async () => {
      answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token })
    })
    const session_id = answer?.body.response.created_session_id
    const cookie = answer?.headers.get('set-cookie')?.split(';')[0] ?? ''
    assert.deepEqual(accepted, [
      event(client(null), { ...of, action: 'actor_token.accept', session_id, reason: 'case 4711' }),
    ])
    const session = { ...of, session_id }

    assert.deepEqual(
      await left(server, () => status(server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie }), 200)),
      [],
      'a mint writes no event',
    )
    assert.deepEqual(
      await left(server, () => status(server.post(`/v1/client/sessions/${session_id}/touch`, {}, { cookie }), 200)),
      [],
      'a touch writes no event',
    )
    const revoked = await left(server, () =>
      status(server.call('POST', `/v1/sessions/${session_id}/revoke`, { reason: 'enough' }), 200),
    )
    assert.deepEqual(revoked, [event(by, { ...session, action: 'session.revoke', reason: 'enough' })])
    assert.deepEqual(
      await left(server, () => status(server.call('POST', `/v1/sessions/${session_id}/revoke`), 200)),
      [],
      'an ended session cannot end again',
    )
  })

  it('for a revoked token, and for one redeemed by a backend', async () => {
    await using server = await testServer({ env })
    const by = await keyOf(server)
    const first = await server.createActorToken()
    const of = {
      actor_token_id: first.id,
      user_id: first.user_id,
      actor_sub: 'user_operator',
      actor: { sub: 'user_operator' },
    }
    const revoked = await left(server, () =>
      status(server.call('POST', `/v1/actor_tokens/${first.id}/revoke`, { reason: 'by mistake' }), 200),
    )
    assert.deepEqual(revoked, [event(by, { ...of, action: 'actor_token.revoke', reason: 'by mistake' })])
    const { id, token, user_id } = await server.createActorToken()
    let session_id = ''
    const accepted = await left(server, async () => {
      session_id = expectOk(await server.call('POST', '/v1/actor_tokens/accept', { ticket: token })).session.id
    })
    assert.deepEqual(accepted, [
      event(by, { ...of, action: 'actor_token.accept', actor_token_id: id, user_id, session_id }),
    ])
  })

  it('for a browser that signs in again, selects a session and signs out', async () => {
    await using server = await testServer({ env })
    const first = await server.signIn()
    const token = await server.createActorToken()
    let answer: Answer | undefined
    const accepted = await left(server, async () => {
      answer = await server.post(
        '/v1/client/sign_ins',
        { strategy: 'ticket', ticket: token.token },
        { cookie: first.cookie },
      )
    })
    const by = client(first.client_id)
    const second = answer?.body.response.created_session_id
    const cookie = answer?.headers.get('set-cookie')?.split(';')[0] ?? ''
    const actor = { actor_sub: 'user_operator', actor: { sub: 'user_operator' } }
    const of = (session_id: string) => ({
      ...actor,
      session_id,
      ...(session_id === second
        ? { actor_token_id: token.id, user_id: token.user_id }
        : { actor_token_id: first.token_id, user_id: first.user_id }),
    })
    assert.deepEqual(accepted, [event(by, { ...of(second), action: 'actor_token.accept' })])
    const post = (id: string, verb: string) =>
      left(server, () => status(server.post(`/v1/client/sessions/${id}/${verb}`, {}, { cookie }), 200))
    assert.deepEqual(await post(first.session_id, 'touch'), [
      event(by, { ...of(first.session_id), action: 'session.select' }),
    ])
    assert.deepEqual(await post(second, 'end'), [event(by, { ...of(second), action: 'session.end' })])
    assert.deepEqual(await post(first.session_id, 'remove'), [
      event(by, { ...of(first.session_id), action: 'session.remove' }),
    ])
  })

  it('for sign-in tokens, and for sessions started without one', async () => {
    await using server = await testServer({ env })
    const by = await keyOf(server)
    const { id: user_id } = await server.createUser()
    const created: { id: string; token: string }[] = []
    const events = await left(server, async () => {
      for (let i = 0; i < 2; i++) created.push(expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id })))
    })
    assert.deepEqual(
      events,
      created.map(({ id }) => event(by, { action: 'sign_in_token.create', user_id, actor_token_id: id })),
    )
    const [first, second] = created
    const revoked = await left(server, () => status(server.call('POST', `/v1/sign_in_tokens/${first?.id}/revoke`), 200))
    assert.deepEqual(revoked, [event(by, { action: 'sign_in_token.revoke', user_id, actor_token_id: first?.id ?? '' })])
    let session_id = ''
    const accepted = await left(server, async () => {
      session_id = expectOk(
        await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: second?.token ?? '' }),
      ).response.created_session_id
    })
    assert.deepEqual(accepted, [
      event(client(null), { action: 'sign_in_token.accept', user_id, actor_token_id: second?.id ?? '', session_id }),
    ])
    const started = await left(server, async () => {
      session_id = expectOk(await server.call('POST', '/v1/sessions', { user_id })).id
    })
    assert.deepEqual(started, [event(by, { action: 'session.create', user_id, session_id })])
  })

  for (const how of ['ban', 'delete'] as const) {
    it(`for each session and token that ends with a ${how} of its user or its actor`, async () => {
      await using server = await testServer({ env })
      const by = await keyOf(server)
      const { id } = await server.createUser()
      const asSubject = await server.signIn({ user_id: id })
      const asActor = await server.signIn({ actor: { sub: id } })
      const pending = await server.createActorToken({ user_id: id })
      const acting = await server.createActorToken({ actor: { sub: id } })
      const events = await left(server, () =>
        status(server.call(how === 'ban' ? 'POST' : 'DELETE', `/v1/users/${id}${how === 'ban' ? '/ban' : ''}`), 200),
      )
      const sorted = (list: Required<Fact>[]) =>
        list.toSorted((a, b) => `${a.action} ${a.actor_token_id}`.localeCompare(`${b.action} ${b.actor_token_id}`))
      const operator = { actor_sub: 'user_operator', actor: { sub: 'user_operator' } }
      const self = { actor_sub: id, actor: { sub: id } }
      const reason = `user.${how}`
      assert.deepEqual(
        sorted(events),
        sorted([
          event(by, { action: reason, user_id: id }),
          event(by, {
            ...operator,
            action: 'session.revoke',
            user_id: id,
            session_id: asSubject.session_id,
            actor_token_id: asSubject.token_id,
            reason,
          }),
          event(by, {
            ...self,
            action: 'session.revoke',
            user_id: asActor.user_id,
            session_id: asActor.session_id,
            actor_token_id: asActor.token_id,
            reason,
          }),
          event(by, { ...operator, action: 'actor_token.revoke', user_id: id, actor_token_id: pending.id, reason }),
          event(by, {
            ...self,
            action: 'actor_token.revoke',
            user_id: acting.user_id,
            actor_token_id: acting.id,
            reason,
          }),
        ]),
      )
    })
  }

  it('for an expired session, once, no matter which request notices', async () => {
    await using server = await testServer({ env })
    const by = await keyOf(server)
    const [noticed, idle, swept] = [
      await server.signIn({ session_max_duration_in_seconds: 60 }),
      await server.signIn(),
      await server.signIn(),
    ]
    const of = (signed: typeof noticed) => ({
      session_id: signed.session_id,
      user_id: signed.user_id,
      actor_token_id: signed.token_id,
      actor_sub: 'user_operator',
      actor: { sub: 'user_operator' },
    })
    // The job that stores what is overdue can be faster than the request, on a slow machine.
    const byEither = (found: Required<Fact>[], who: NonNullable<Fact['by']>, facts: Fact) => {
      const bySystem = found[0]?.by.type === 'system'
      assert.deepEqual(found, [event(bySystem ? system : who, facts)])
    }
    const expired = await left(server, () => {
      server.clock.advance(60)
      return status(server.call('POST', `/v1/sessions/${noticed.session_id}/tokens`), 401, 'authentication_invalid')
    })
    byEither(expired, by, { ...of(noticed), action: 'session.expire' })
    const abandoned = await left(server, () => {
      server.clock.advance(540)
      return status(
        server.post(`/v1/client/sessions/${idle.session_id}/tokens`, {}, { cookie: idle.cookie }),
        401,
        'authentication_invalid',
      )
    })
    const [ofIdle, ...others] = abandoned.filter(({ session_id }) => session_id === idle.session_id)
    byEither(ofIdle ? [ofIdle] : [], client(idle.client_id), { ...of(idle), action: 'session.abandon' })
    assert.deepEqual(others, [])
    const sweep = () => finishOverdueSessions(server.stagedoor.context(system), { limit: 100 })
    await sweep()
    await sweep()
    const ofSwept = (await server.auditEvents()).filter(({ session_id }) => session_id === swept.session_id)
    assert.deepEqual(
      ofSwept.map(({ action, principal: { type } }) => `${action} ${type}`),
      ['session.abandon system', 'actor_token.accept client'],
    )
    assert.deepEqual(
      await left(server, () =>
        status(server.call('POST', `/v1/sessions/${noticed.session_id}/tokens`), 401, 'authentication_invalid'),
      ),
      [],
    )
  })

  it('for keys', async () => {
    await using server = await testServer({ env })
    const principal = { type: 'command_line' as const, id: null }
    const ctx = () => server.stagedoor.context(principal)
    const first = (await server.auditEvents()).reverse().map(({ action, principal: { type } }) => `${action} ${type}`)
    assert.deepEqual(first, ['signing_key.create system', 'audit_key.create system', 'secret_key.create system'])
    let target_id = ''
    const created = await left(server, async () => {
      target_id = (await createSecretKey(ctx(), { name: 'x' })).record.id
    })
    assert.deepEqual(created, [event(principal, { action: 'secret_key.create', target_id })])
    assert.deepEqual(await left(server, () => revokeSecretKey(ctx(), { id: target_id })), [
      event(principal, { action: 'secret_key.revoke', target_id }),
    ])
    assert.deepEqual(await left(server, () => revokeSecretKey(ctx(), { id: target_id })), [])
    let keys: { id: string; status: string }[] = []
    const rotated = await left(server, async () => {
      keys = await rotateSigningKeys(ctx(), { alg: 'EdDSA', make: server.stagedoor.makeKey, atOnce: true })
    })
    const next = keys.find(key => key.status === 'next')?.id ?? ''
    assert.deepEqual(rotated, [event(principal, { action: 'signing_key.rotate', target_id: next })])
    const old = keys.find(key => key.status === 'retiring')?.id ?? ''
    const removed = await left(server, () =>
      removeSigningKey(ctx(), { id: old, alg: 'RS256', make: server.stagedoor.makeKey, emergency: true }),
    )
    assert.deepEqual(removed, [event(principal, { action: 'signing_key.remove', target_id: old })])
  })
})

describe('a refused request writes one audit event', () => {
  const changing = bapi.filter(operation => operation.action !== undefined)

  it('every operation that changes state has an action', () => {
    const reading = [...bapi, ...fapi].filter(operation => operation.action === undefined)
    const silent = reading.filter(operation => operation.method !== 'get').map(operation => operation.id)
    assert.deepEqual(
      silent.sort(),
      [
        'CheckPolicy',
        'CreateSessionToken',
        'CreateSessionTokenFromTemplate',
        'ExplainPolicy',
        'VerifyClient',
        'WhatIfPolicy',
        'confirmTicket',
        'createDevBrowser',
        'createSessionToken',
        'createSessionTokenWithTemplate',
        'updateEnvironment',
      ].sort(),
    )
    assert.ok(changing.length >= 15)
  })

  for (const operation of changing) {
    it(`${operation.id}: records the principal, the action and the code of the answer`, async () => {
      await using server = await testServer({ env })
      const by = await keyOf(server)
      const path = operation.path.replace(/\{\w+\}/, 'x_unknown')
      const requests: [unknown, Record<string, string>][] =
        operation.body === undefined
          ? [[undefined, {}]]
          : [
              [{ unknown_member: 1 }, {}],
              ['{"a":1,"a":2}', {}],
              ['not json', {}],
              ['{}', { 'content-type': 'text/plain' }],
              ['[]', {}],
              [`"${'x'.repeat(300_000)}"`, {}],
            ]
      for (const [body, headers] of requests) {
        let answer: Answer | undefined
        const events = await left(server, async () => {
          answer = await server.call(operation.method.toUpperCase(), path, body, headers)
        })
        assert.ok(answer && answer.status >= 400 && answer.status < 500, answer?.text)
        assert.deepEqual(
          events,
          [event(by, { action: operation.action ?? '', outcome: 'refused', code: answer.codes[0] ?? '' })],
          answer.text,
        )
      }
    })
  }

  it('with the ids of what it would have changed', async () => {
    await using server = await testServer({ env })
    const by = await keyOf(server)
    const nobody = client(null)
    const redeem = (ticket: string) => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket })
    const accept = (ticket: string) => server.call('POST', '/v1/actor_tokens/accept', { ticket })
    const operator = { actor_sub: 'user_operator' }
    const refused = { outcome: 'refused' as const }

    const used = await server.signIn()
    const ofUsed = { ...operator, actor_token_id: used.token_id, user_id: used.user_id, ...refused }
    const code = 'actor_token_already_used_code'
    assert.deepEqual(await left(server, () => status(redeem(used.ticket), 400, code)), [
      event(nobody, { ...ofUsed, session_id: used.session_id, action: 'ticket.accept', code }),
    ])
    assert.deepEqual(await left(server, () => status(accept(used.ticket), 400, code)), [
      event(by, { ...ofUsed, session_id: used.session_id, action: 'actor_token.accept', code }),
    ])
    const cannot = 'actor_token_cannot_be_revoked_code'
    assert.deepEqual(
      await left(server, () => status(server.call('POST', `/v1/actor_tokens/${used.token_id}/revoke`), 400, cannot)),
      [event(by, { ...ofUsed, session_id: used.session_id, action: 'actor_token.revoke', code: cannot })],
    )

    const revoked = await server.createActorToken()
    await server.call('POST', `/v1/actor_tokens/${revoked.id}/revoke`)
    const late = await server.createActorToken({ expires_in_seconds: 1 })
    server.clock.advance(1)
    const banned = await server.createActorToken()
    await server.call('POST', `/v1/users/${banned.user_id}/lock`)
    for (const [token, code, http] of [
      [revoked, 'actor_token_revoked_code', 400],
      [late, 'ticket_expired_code', 400],
      [banned, 'user_locked', 403],
    ] as const) {
      const of = { ...operator, ...refused, actor_token_id: token.id, user_id: token.user_id, code }
      assert.deepEqual(await left(server, () => status(redeem(token.token), http, code)), [
        event(nobody, { ...of, action: 'ticket.accept' }),
      ])
      assert.deepEqual(await left(server, () => status(accept(token.token), http, code)), [
        event(by, { ...of, action: 'actor_token.accept' }),
      ])
    }
    const signIn = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: used.user_id }))
    assert.deepEqual(await left(server, () => status(accept(signIn.token), 400, 'ticket_invalid_code')), [
      event(by, {
        ...refused,
        action: 'actor_token.accept',
        code: 'ticket_invalid_code',
        actor_token_id: signIn.id,
        user_id: used.user_id,
      }),
    ])
    const create = (body: object, http: number, code: string) =>
      left(server, () => status(server.call('POST', '/v1/actor_tokens', body), http, code))
    const action = 'actor_token.create'
    assert.deepEqual(await create({ user_id: banned.user_id, actor: { sub: 'a' } }, 403, 'user_locked'), [
      event(by, { ...refused, action, code: 'user_locked', user_id: banned.user_id, actor_sub: 'a' }),
    ])
    assert.deepEqual(await create({ user_id: used.user_id, actor: { sub: banned.user_id } }, 403, 'actor_banned'), [
      event(by, { ...refused, action, code: 'actor_banned', user_id: used.user_id, actor_sub: banned.user_id }),
    ])
    assert.deepEqual(await create({ user_id: 'user_x', actor: { sub: 'a' } }, 404, 'resource_not_found'), [
      event(by, { ...refused, action, code: 'resource_not_found' }),
    ])

    await server.call('POST', `/v1/sessions/${used.session_id}/revoke`)
    const touch = () =>
      status(
        server.post(`/v1/client/sessions/${used.session_id}/touch`, {}, { cookie: used.cookie }),
        401,
        'authentication_invalid',
      )
    assert.deepEqual(await left(server, touch), [
      event(client(used.client_id), {
        ...ofUsed,
        action: 'session.touch',
        code: 'authentication_invalid',
        session_id: used.session_id,
      }),
    ])
  })

  it('when a browser with a stored client sends an invalid request', async () => {
    await using server = await testServer({ env })
    const { cookie, client_id } = await server.signIn()
    const events = await left(server, () =>
      status(
        server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: 'x' }, { cookie }),
        400,
        'ticket_invalid_code',
      ),
    )
    assert.deepEqual(events, [
      event(client(client_id), { action: 'ticket.accept', outcome: 'refused', code: 'ticket_invalid_code' }),
    ])
  })
})

describe('invalid requests', () => {
  const counts = async (server: TestServer) =>
    expectOk(await server.call('GET', '/v1/refused_requests')) as {
      minute: number
      address: string
      code: string
      count: number
    }[]

  it('are counted by minute, address and code', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_TRUSTED_PROXIES: '127.0.0.1' } })
    const origin = await server.listen()
    const send = (path: string, from: string | undefined, init: RequestInit = {}) =>
      fetch(`${origin}${path}`, {
        ...init,
        headers: { ...(from === undefined ? {} : { 'x-forwarded-for': from }), ...init.headers },
      }).then(response => response.text())
    const badKey = { headers: { authorization: 'Bearer sk_test_000000000000000000000000' } }
    const minute = server.clock.now() - (server.clock.now() % 60_000)
    for (let i = 0; i < 5; i++) await send('/v1/users', undefined, badKey)
    for (const from of ['192.0.2.1', '192.0.2.1', '6.6.6.6, 192.0.2.1', '::ffff:192.0.2.1'])
      await send('/v1/users', from, badKey)
    for (const from of ['2001:db8:1:2::1', '2001:DB8:1:2:ffff::2', '2001:db8:1:3::1'])
      await send('/v1/users', from, badKey)
    await send('/v1/users', undefined)
    const form = (ticket: string) => ({ method: 'POST', body: new URLSearchParams({ strategy: 'ticket', ticket }) })
    for (let i = 0; i < 3; i++) await send('/v1/client/sign_ins', undefined, form(`x${i}`))
    server.clock.advance(60)
    await send('/v1/users', undefined, badKey)

    const expected = [
      { minute: minute + 60_000, address: '127.0.0.1', code: 'clerk_key_invalid', count: 1 },
      { minute, address: '127.0.0.1', code: 'clerk_key_invalid', count: 5 },
      { minute, address: '192.0.2.1', code: 'clerk_key_invalid', count: 4 },
      { minute, address: '127.0.0.1', code: 'ticket_invalid_code', count: 3 },
      { minute, address: '2001:db8:1:2::/64', code: 'clerk_key_invalid', count: 2 },
      { minute, address: '127.0.0.1', code: 'authorization_header_format_invalid', count: 1 },
      { minute, address: '2001:db8:1:3::/64', code: 'clerk_key_invalid', count: 1 },
    ]
    assert.deepEqual(
      (await counts(server)).map(({ minute, address, code, count }) => ({ minute, address, code, count })),
      expected,
    )
    await send('/v1/users', undefined, badKey)
    assert.deepEqual((await counts(server))[0]?.count, 2, 'added to the count already stored')
    assert.deepEqual(await server.auditEvents({ outcome: 'refused' }), [])
  })

  it('write one row, however many there are', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    for (let i = 0; i < 500; i++) await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: `x${i}` })
    const minted = await server.signIn()
    await server.call('POST', `/v1/sessions/${minted.session_id}/revoke`)
    for (let i = 0; i < 20; i++)
      await server.post(`/v1/client/sessions/${minted.session_id}/tokens`, {}, { cookie: minted.cookie })
    await counts(server)
    assert.deepEqual(database.rows('select code, count from refused_requests order by code'), [
      { code: 'authentication_invalid', count: 20 },
      { code: 'ticket_invalid_code', count: 500 },
    ])
    assert.deepEqual(database.rows("select seq from audit_events where outcome = 'refused'"), [])
  })

  it('from browsers that are not signed in write a limited number of audit events', async () => {
    using database = testDatabase()
    const server = await testServer({ env: database.env })
    const refused = () => database.rows("select seq from audit_events where outcome = 'refused'").length
    const anonymous = cookieOf(await server.call('GET', '/v1/client', undefined, { authorization: undefined }))
    const used = await server.signIn()
    const signedOut = await server.signIn()
    await server.call('DELETE', '/v1/client', undefined, { cookie: signedOut.cookie, authorization: undefined })
    const attempts = [
      ['/v1/client/sessions/sess_nothing/end', {}],
      ['/v1/client/sessions/sess_nothing/remove', {}],
      ['/v1/client/sessions/sess_nothing/touch', {}],
      [`/v1/client/sessions/${signedOut.session_id}/touch`, {}],
      ['/v1/client/sign_ins', { strategy: 'ticket', ticket: 'x' }],
      ['/v1/me', { _method: 'PATCH' }],
    ] as const
    const tryAll = async (cookie: string | undefined, times: number) => {
      for (let i = 0; i < times; i++) for (const [path, form] of attempts) await server.post(path, form, { cookie })
    }
    await tryAll(undefined, 5)
    await tryAll(anonymous, 5)
    assert.equal(refused(), 0, 'an unknown client writes no events')
    await tryAll(signedOut.cookie, 20)
    assert.equal(refused(), MAX_REFUSAL_EVENTS)
    server.clock.advance(7 * 86_400)
    await tryAll(signedOut.cookie, 2)
    assert.equal(refused(), MAX_REFUSAL_EVENTS, 'no further events on another day')
    for (const cookie of [undefined, anonymous])
      for (let i = 0; i < MAX_REFUSAL_EVENTS; i++)
        await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: used.ticket }, { cookie })
    assert.equal(refused(), 2 * MAX_REFUSAL_EVENTS, 'a used ticket has the same limit')
    await server[Symbol.asyncDispose]()
    await using again = await testServer({ env: database.env, clock: server.clock })
    for (let i = 0; i < 5; i++)
      await again.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: used.ticket }, { cookie: anonymous })
    assert.equal(refused(), 2 * MAX_REFUSAL_EVENTS, 'the limit holds after a restart')
  })

  it('from a signed-in browser are recorded, up to an hourly maximum', async () => {
    await using server = await testServer({ env })
    const { cookie, user_id } = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    const attempt = () => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: 'x' }, { cookie })
    const recorded = async () => (await server.auditEvents({ outcome: 'refused' })).length
    for (let i = 0; i < MAX_REFUSAL_EVENTS + 5; i++) await attempt()
    assert.equal(await recorded(), MAX_REFUSAL_EVENTS)
    server.clock.advance(3_601)
    const next = await server.createActorToken({ user_id })
    await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: next.token }, { cookie })
    await attempt()
    assert.equal(await recorded(), MAX_REFUSAL_EVENTS + 1)
  })

  it('are deleted after the retention time', async () => {
    await using server = await testServer({ env })
    const { refusedRequests, store } = server.stagedoor.services
    const { clock } = server
    for (let i = 0; i < 10; i++) refusedRequests.count(clock.now(), `10.0.0.${i}`, 'clerk_key_invalid')
    await refusedRequests.flush(store)
    const minute = clock.now() - (clock.now() % 60_000)
    assert.equal(await store.refusedRequests.deleteBefore(minute, 100), 0)
    assert.equal(await store.refusedRequests.deleteBefore(minute + 1, 4), 4)
    assert.equal(await store.refusedRequests.deleteBefore(minute + 1, 100), 6)
  })

  it('from very many addresses are counted together', async () => {
    using database = testDatabase({ STAGEDOOR_TRUSTED_PROXIES: '127.0.0.1' })
    await using server = await testServer({ env: database.env })
    const { refusedRequests, store } = server.stagedoor.services
    for (let i = 0; i < 5_000; i++)
      refusedRequests.count(server.clock.now(), `10.0.${i >> 8}.${i & 255}`, 'clerk_key_invalid')
    await refusedRequests.flush(store)
    const rows = database.rows<{ address: string; count: number }>('select address, count from refused_requests')
    assert.equal(rows.length, 1_001)
    assert.equal(rows.find(row => row.address === 'others')?.count, 4_000)
  })

  it('that could not be written are counted later', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const db = database.open()
    try {
      await server.call('GET', '/v1/users', undefined, { authorization: undefined })
      db.exec(
        "create trigger no_counts before insert on refused_requests begin select raise(abort, 'no counts today'); end",
      )
      assert.equal((await server.call('GET', '/v1/refused_requests')).status, 500)
      db.exec('drop trigger no_counts')
      assert.deepEqual(
        (await counts(server)).map(({ code, count }) => [code, count]),
        [['authorization_header_format_invalid', 1]],
      )
    } finally {
      db.close()
    }
  })
})

describe('D4 an audit event that cannot be written', () => {
  it('stops the change that it records', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const { id: user_id } = await server.createUser({ external_id: 'x' })
    const signed = await server.signIn({ user_id })
    const expiring = await server.signIn({ session_max_duration_in_seconds: 1 })
    const ticket = await server.createActorToken({ user_id })
    const signIn = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id }))
    const template = expectOk(await server.call('POST', '/v1/jwt_templates', { name: 'x', claims: {} }))
    const other = await server.signIn()
    const second = expectOk(
      await server.post(
        '/v1/client/sign_ins',
        { strategy: 'ticket', ticket: (await server.createActorToken()).token },
        { cookie: other.cookie },
      ),
    )
    server.clock.advance(1)
    const cookie = { cookie: signed.cookie }
    const attempts: Record<string, () => Promise<Answer>> = {
      'create a user': () => server.call('POST', '/v1/users', {}),
      'change a user': () => server.call('PATCH', `/v1/users/${user_id}`, { first_name: 'Eve' }),
      'change metadata': () => server.call('PATCH', `/v1/users/${user_id}/metadata`, { public_metadata: { x: 1 } }),
      'lock a user': () => server.call('POST', `/v1/users/${user_id}/lock`),
      'ban a user': () => server.call('POST', `/v1/users/${user_id}/ban`),
      'delete a user': () => server.call('DELETE', `/v1/users/${user_id}`),
      'create an actor token': () => server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub: 'a' } }),
      'revoke it': () => server.call('POST', `/v1/actor_tokens/${ticket.id}/revoke`),
      'redeem it in a browser': () => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: ticket.token }),
      'redeem it in a browser with a client': () =>
        server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: ticket.token }, cookie),
      'redeem it in a backend': () => server.call('POST', '/v1/actor_tokens/accept', { ticket: ticket.token }),
      'create a sign-in token': () => server.call('POST', '/v1/sign_in_tokens', { user_id }),
      'revoke the sign-in token': () => server.call('POST', `/v1/sign_in_tokens/${signIn.id}/revoke`),
      'redeem the sign-in token': () =>
        server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: signIn.token }),
      'create a JWT template': () => server.call('POST', '/v1/jwt_templates', { name: 'another', claims: {} }),
      'change it': () => server.call('PATCH', `/v1/jwt_templates/${template.id}`, { lifetime: 90 }),
      'delete it': () => server.call('DELETE', `/v1/jwt_templates/${template.id}`),
      'start a session': () => server.call('POST', '/v1/sessions', { user_id }),
      'revoke a session': () => server.call('POST', `/v1/sessions/${signed.session_id}/revoke`),
      'end a session': () => server.post(`/v1/client/sessions/${signed.session_id}/end`, {}, cookie),
      'remove a session': () => server.post(`/v1/client/sessions/${signed.session_id}/remove`, {}, cookie),
      'mint for an expired session': () => server.call('POST', `/v1/sessions/${expiring.session_id}/tokens`),
      'redeem a used ticket': () => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: signed.ticket }),
    }
    assert.equal(second.client.sessions.length, 2)

    const db = database.open()
    try {
      const before = contents(database)
      db.exec("create trigger no_audit before insert on audit_events begin select raise(abort, 'no audit today'); end")
      for (const [what, attempt] of Object.entries(attempts)) {
        const answer = await attempt()
        assert.deepEqual([answer.status, answer.codes], [500, ['internal_clerk_error']], what)
        assert.ok(!answer.text.includes('audit'), 'the answer reveals no internals')
        assert.deepEqual(answer.headers.getSetCookie(), [], what)
        assert.deepEqual(contents(database), before, what)
      }
      const ctx = server.stagedoor.context({ type: 'command_line', id: null })
      await assert.rejects(createSecretKey(ctx, { name: 'x' }))
      await assert.rejects(rotateSigningKeys(ctx, { alg: 'EdDSA', make: server.stagedoor.makeKey, atOnce: true }))
      await assert.rejects(finishOverdueSessions(ctx, { limit: 10 }))
      assert.deepEqual(contents(database), before)

      // Reading needs no audit event; and a change that was not recorded did not happen.
      assert.equal((await server.call('GET', `/v1/sessions/${expiring.session_id}`)).body.status, 'expired')
      assert.equal((await server.call('POST', `/v1/sessions/${signed.session_id}/tokens`)).status, 200)
      db.exec('drop trigger no_audit')
    } finally {
      db.close()
    }
    const last = [
      'delete a user',
      'ban a user',
      'redeem a used ticket',
      'mint for an expired session',
      'lock a user',
      'redeem it in a browser with a client',
      'redeem it in a backend',
      'redeem it in a browser',
      'revoke it',
      'revoke the sign-in token',
      'redeem the sign-in token',
    ]
    for (const [what, attempt] of Object.entries(attempts).filter(([name]) => !last.includes(name)))
      assert.equal((await attempt()).status, 200, `${what}, once audit events can be written again`)
    assert.equal((await attempts['redeem it in a backend']?.())?.status, 200)
    assert.equal((await attempts['delete a user']?.())?.status, 200)
  })

  /** Every row of every table except the audit log. */
  function contents(database: TestDatabase): Record<string, unknown[]> {
    const tables = [
      'instance',
      'users',
      'identifiers',
      'actor_tokens',
      'clients',
      'sessions',
      'jwt_templates',
      'secret_keys',
      'signing_keys',
      'audit_events',
    ]
    return Object.fromEntries(tables.map(table => [table, database.rows(`select * from ${table} order by 1`)]))
  }
})

describe('the stored log', () => {
  /** Creates some of everything, with personal data in every field. */
  async function busy(server: TestServer) {
    const headers = { 'user-agent': 'Canary-Agent/1.0 (private)' }
    const user = expectOk(
      await server.call(
        'POST',
        '/v1/users',
        { first_name: 'Canaryname', email_address: ['canary@example.com'], external_id: 'canary-external' },
        headers,
      ),
    )
    const body = {
      user_id: user.id,
      actor: { sub: 'operator_1', name: 'Canary Actor', iss: 'canary-issuer' },
      reason: 'Canary reason é😀',
    }
    const token = expectOk(await server.call('POST', '/v1/actor_tokens', body, headers))
    const accepted = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token }, headers)
    await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token }, headers)
    await server.call(
      'POST',
      `/v1/sessions/${accepted.body.response.created_session_id}/revoke`,
      { reason: 'Canary end' },
      headers,
    )
    await server.call('POST', '/v1/actor_tokens', { canary: 1 }, headers)
    return user.id as string
  }
  interface Row {
    seq: number
    id: string
    at: number
    event: string
    personal: string | null
    leaf_hash: string
    [column: string]: unknown
  }
  const rowsOf = (database: TestDatabase) => database.rows<Row>('select * from audit_events order by seq')

  it('has leaf hashes that are SHA-256 over 0x00 and the canonical text, and columns that match the text', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const rows = rowsOf(database)
    assert.ok(rows.length >= 8)
    assert.deepEqual(
      rows.map(row => row.seq),
      rows.map((_, i) => i + 1),
      'the sequence has no gaps',
    )
    for (const row of rows) {
      assert.equal(row.leaf_hash, sha256(Buffer.concat([Buffer.from([0]), Buffer.from(row.event)])))
      assert.equal(leafHashHex(row.event), row.leaf_hash)
      const event = JSON.parse(row.event)
      assert.equal(canonicalJson(event), row.event)
      const {
        action,
        actor_sub,
        at,
        code,
        id,
        outcome,
        principal_id,
        principal_type,
        session_id,
        target_id,
        actor_token_id,
        trace_id,
        user_id,
      } = row
      assert.deepEqual(event, {
        action,
        actor_sub,
        at,
        code,
        id,
        outcome,
        personal_hash: sha256(row.personal ?? ''),
        principal: { id: principal_id, type: principal_type },
        session_id,
        target_id,
        actor_token_id,
        trace_id,
        user_id,
        // Has no column: the policy that decided.
        details: event.details,
        v: 2,
      })
      assert.equal(canonicalJson(JSON.parse(row.personal ?? '')), row.personal)
    }
    const shown = (await server.auditEvents()).reverse()
    assert.deepEqual(
      shown.map(event => [event.seq, event['leaf_hash']]),
      rows.map(row => [row.seq, row.leaf_hash]),
    )
    assert.equal(new Set(rows.map(row => row.id)).size, rows.length)
  })

  it('gives an event the trace id of its answer', async () => {
    await using server = await testServer({ env })
    const answer = await server.call('POST', '/v1/users', {})
    const [event] = await server.auditEvents({ trace_id: answer.headers.get('clerk-trace-id') ?? '' })
    assert.deepEqual([event?.action, event?.user_id], ['user.create', answer.body.id])
  })

  it('D7 keeps personal data out of the text, which has only a salted hash of it', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const rows = rowsOf(database)
    const salts = new Set()
    for (const row of rows) {
      assert.doesNotMatch(row.event, /canary/i)
      const personal = JSON.parse(row.personal ?? '')
      assert.deepEqual(Object.keys(personal), ['actor', 'address', 'reason', 'salt', 'user_agent'])
      assert.ok(Buffer.from(personal.salt, 'base64url').length >= 16)
      salts.add(personal.salt)
    }
    assert.equal(salts.size, rows.length)
    const created = rows.find(row => row['action'] === 'actor_token.create' && row['outcome'] === 'done')
    const { salt: _, ...personal } = JSON.parse(created?.personal ?? '{}')
    assert.deepEqual(personal, {
      actor: { iss: 'canary-issuer', name: 'Canary Actor', sub: 'operator_1' },
      address: null,
      reason: 'Canary reason é😀',
      user_agent: 'Canary-Agent/1.0 (private)',
    })
  })

  it('R17 holds no ticket, key or cookie, not even in the personal part', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const { ticket, cookie } = await server.signIn()
    await server.call('POST', '/v1/actor_tokens/accept', { ticket })
    await server.call('POST', '/v1/clients/verify', { token: cookie.replace('__client=', '') })
    await server.call('POST', `/v1/actor_tokens/${encodeURIComponent(ticket.slice(0, 200))}/revoke`)
    const text = JSON.stringify(rowsOf(database))
    for (const secret of [ticket, ticket.split('.')[2] ?? '-', cookie.replace('__client=', ''), SECRET_KEY])
      assert.ok(!text.includes(secret))
  })

  it('D6 cannot be changed, replaced or deleted', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    await busy(server)
    const before = rowsOf(database)
    const db = database.open()
    try {
      const columns = Object.keys(before[0] ?? {})
      assert.equal(columns.length, 17)
      for (const column of columns) {
        for (const value of ["'x'", '9', `${column} || 'x'`]) {
          assert.throws(
            () => db.exec(`update audit_events set ${column} = ${value}`),
            /never changed|datatype mismatch|cannot store/,
            `${column} = ${value}`,
          )
        }
        const nullable = column === 'personal'
        if (!nullable)
          assert.throws(
            () => db.exec(`update audit_events set ${column} = null where ${column} is not null`),
            /never changed|NOT NULL|datatype mismatch/,
            column,
          )
      }
      for (const sql of [
        'delete from audit_events',
        'delete from audit_events where seq = 1',
        'delete from audit_events where seq = (select max(seq) from audit_events)',
        'update audit_events set seq = seq + 1000',
        "update audit_events set outcome = 'refused', personal = null",
        'insert or replace into audit_events select * from audit_events where seq = 1',
        "insert or replace into audit_events select seq, id, at, 'nothing.happened', outcome, code, principal_type, principal_id, actor_sub, actor_token_id, session_id, user_id, target_id, trace_id, event, personal, leaf_hash from audit_events where seq = 1",
        'replace into audit_events select * from audit_events',
        'update or replace audit_events set seq = 1 where seq = 2',
        "insert into audit_events select * from audit_events where seq = 1 on conflict do update set action = 'x'",
      ]) {
        assert.throws(() => db.exec(sql), /never/, sql)
      }
      assert.deepEqual(rowsOf(database), before)
    } finally {
      db.close()
    }
  })

  it('D7 the personal part can be erased without losing anything else', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const user_id = await busy(server)
    const before = rowsOf(database)
    const db = database.open()
    try {
      db.prepare('update audit_events set personal = null where user_id = ?').run(user_id)
      assert.throws(() => db.exec("update audit_events set personal = '{}'"), /never changed/)
    } finally {
      db.close()
    }
    const after = rowsOf(database)
    assert.deepEqual(
      after.map(row => ({ ...row, personal: '' })),
      before.map(row => ({ ...row, personal: '' })),
    )
    assert.doesNotMatch(JSON.stringify(after.filter(row => row['user_id'] === user_id)), /canary/i)
    for (const row of after) assert.equal(leafHashHex(row.event), row.leaf_hash)
    for (const event of await server.auditEvents({ user_id }))
      assert.deepEqual([event['actor'], event.reason, event['address'], event['user_agent']], [null, null, null, null])
  })
})

describe('canonical JSON', () => {
  it('writes the examples of RFC 8785', () => {
    const parsed = JSON.parse(
      '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
    )
    assert.equal(
      canonicalJson(parsed),
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
    const members = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }
    assert.deepEqual(Object.values(JSON.parse(canonicalJson(members))).length, 7)
    assert.equal(
      canonicalJson(members),
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    )
  })

  it('writes numbers as in appendix B of RFC 8785', () => {
    for (const [number, text] of [
      [0, '0'],
      [-0, '0'],
      [5e-324, '5e-324'],
      [-5e-324, '-5e-324'],
      [1.7976931348623157e308, '1.7976931348623157e+308'],
      [9007199254740992, '9007199254740992'],
      [295147905179352830000, '295147905179352830000'],
      [9.999999999999997e22, '9.999999999999997e+22'],
      [1e23, '1e+23'],
      [999999999999999700000, '999999999999999700000'],
      [1e21, '1e+21'],
      [9.999999999999997e-7, '9.999999999999997e-7'],
      [0.000001, '0.000001'],
      [333333333.3333332, '333333333.3333332'],
    ] as const)
      assert.equal(canonicalJson(number), text)
  })

  it('rejects values that are not JSON', () => {
    for (const value of [
      undefined,
      Number.NaN,
      Infinity,
      -Infinity,
      () => 1,
      Symbol('x'),
      1n,
      '\ud800',
      'a\udc00',
      { '\ud800': 1 },
      { a: undefined },
      [undefined],
      { a: [Number.NaN] },
    ]) {
      assert.throws(() => canonicalJson(value), TypeError)
    }
  })

  it('writes equal values as one text, and the text parses to the same value', () => {
    const shuffled = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(shuffled)
      if (typeof value === 'object' && value !== null)
        return Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([name, member]) => [name, shuffled(member)]),
        )
      return value
    }
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false, stringUnit: 'binary' } as never), value => {
        const text = canonicalJson(value)
        assert.equal(canonicalJson(shuffled(value)), text)
        assert.equal(canonicalJson(JSON.parse(text)), text)
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
      }),
      { numRuns: times(500, 20_000) },
    )
  })
})
