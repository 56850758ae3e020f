import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type AuditEventBody, expectOk, SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'
import { promised, until } from '../../../test/support/time.ts'
import { auditEvent } from '../src/domain/audit/event.ts'
import { createSecretKey } from '../src/domain/secret-keys.ts'
import { followEvents } from './follow-events.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const everything = { everything: true }

const mint = (server: TestServer, of: { session_id: string; cookie: string }) =>
  server.post(`/v1/client/sessions/${of.session_id}/tokens`, {}, { cookie: of.cookie })
const redeem = (server: TestServer, ticket: string) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket })
const revokeAll = (server: TestServer, body: object) => server.call('POST', '/v1/sessions/revoke_all', body)

describe('the kill switch', () => {
  it('revokes all of one user, of one actor, or everything, and nothing else', async () => {
    await using server = await testServer({ env })
    const [ada, bob] = [await server.createUser(), await server.createUser()]
    const as = (user_id: string, sub: string) => server.signIn({ user_id, actor: { sub } })
    const sessions = {
      'ada by x': await as(ada.id, 'x'),
      'ada by y': await as(ada.id, 'y'),
      'bob by x': await as(bob.id, 'x'),
      'bob by y': await as(bob.id, 'y'),
    }
    const pending = {
      'ada by x': await server.createActorToken({ user_id: ada.id, actor: { sub: 'x' } }),
      'bob by y': await server.createActorToken({ user_id: bob.id, actor: { sub: 'y' } }),
    }
    const alive = async () => {
      const all = await Promise.all(
        Object.entries(sessions).map(async ([who, of]) => [who, await mint(server, of)] as const),
      )
      return all.filter(([, { status }]) => status === 200).map(([who]) => who)
    }
    assert.equal((await alive()).length, 4)

    const ofAda = expectOk(await revokeAll(server, { user_id: ada.id, reason: 'phone stolen' }))
    assert.deepEqual(
      [ofAda.user_id, ofAda.actor_sub, ofAda.everything, ofAda.revoked_sessions, ofAda.revoked_tokens, ofAda.complete],
      [ada.id, null, false, 2, 1, true],
    )
    assert.deepEqual(await alive(), ['bob by x', 'bob by y'])
    assert.deepEqual((await redeem(server, pending['ada by x'].token)).codes, ['actor_token_revoked_code'])

    expectOk(await revokeAll(server, { actor_sub: 'x' }))
    assert.deepEqual(await alive(), ['bob by y'])
    expectOk(await revokeAll(server, everything))
    assert.deepEqual(await alive(), [])
    assert.deepEqual((await redeem(server, pending['bob by y'].token)).codes, ['actor_token_revoked_code'])

    const listed = expectOk(await server.call('GET', '/v1/sessions?status=revoked&limit=50'))
    assert.equal(listed.length, 4)
    const events: AuditEventBody[] = await server.auditEvents({ action: 'session.revoke_all' })
    assert.deepEqual(
      events.map(({ user_id, actor_sub, target_id, reason }) => [user_id, actor_sub, target_id, reason]).reverse(),
      [
        [ada.id, null, 'user', 'phone stolen'],
        [null, 'x', 'actor', null],
        [null, null, 'everything', null],
      ],
    )
    assert.equal((await server.auditEvents({ action: 'session.revoke' })).length, 4)
    assert.equal((await server.auditEvents({ action: 'actor_token.revoke' })).length, 2)
  })

  it('reports whether the actor was ever seen, and which known actors are spelled similarly', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const act = (sub: string) => server.createActorToken({ user_id, actor: { sub } })
    await server.signIn({ user_id, actor: { sub: 'Olivia@Support' } })
    for (const sub of ['olivia@support ', 'caf\u00e9', 'CAFE\u0301', 'robot', 'robots']) await act(sub)
    for (const [actor_sub, matched, similar] of [
      ['robot', true, undefined],
      ['Olivia@Support', true, undefined],
      ['olivia@support', false, ['Olivia@Support', 'olivia@support ']],
      ['caf\u00e9 ', false, ['CAFE\u0301', 'caf\u00e9']],
      ['nobody', false, []],
    ] as const) {
      // A revocation does not make an actor known: the second answer equals the first.
      for (const time of ['first', 'second']) {
        const revoked = expectOk(await revokeAll(server, { actor_sub }))
        assert.equal(revoked.matched, matched, `${actor_sub}, ${time}`)
        assert.deepEqual(revoked.similar_actor_subs?.sort(), similar, `${actor_sub}, ${time}`)
      }
    }
    // The cutoff is set for an unknown actor too, because another node may start a session of that actor at the same moment.
    assert.equal(expectOk(await revokeAll(server, { user_id })).matched, true)
    assert.equal(expectOk(await revokeAll(server, everything)).matched, true)
    const many = Array.from({ length: 8 }, (_, i) => `a${' '.repeat(i)}b`)
    for (const sub of many) await act(sub)
    assert.equal(expectOk(await revokeAll(server, { actor_sub: 'AB' })).similar_actor_subs.length, 5)
  })

  it('does not affect what begins after it', async () => {
    await using server = await testServer({ env })
    const user = await server.createUser()
    await server.signIn({ user_id: user.id })
    expectOk(await revokeAll(server, everything))
    server.clock.advance(0.001)
    assert.equal((await mint(server, await server.signIn({ user_id: user.id }))).status, 200)
  })

  it('restores nothing when the clock is set back', async () => {
    await using server = await testServer({ env })
    const session = await server.signIn()
    server.clock.advance(60)
    expectOk(await revokeAll(server, everything))
    server.clock.advance(-3_600)
    assert.equal((await mint(server, session)).status, 401)
    assert.equal(expectOk(await revokeAll(server, everything)).not_before, server.clock.now() + 3_600_000)
  })

  it('works at once for any number of rows: rows not yet marked count as revoked in every answer', async () => {
    await using server = await testServer({ env })
    const session = await server.signIn()
    const token = await server.createActorToken()
    const { store } = server.stagedoor.services
    const context = server.stagedoor.context({ type: 'system', id: null })
    const event = auditEvent(context, { action: 'session.revoke_all', about: {} })
    // The cutoff is set and no row is marked, as on every node while one of them marks a million rows.
    await store.revocations.addCutoff('everything', '', event)
    assert.equal((await mint(server, session)).status, 401)
    assert.deepEqual((await redeem(server, token.token)).codes, ['actor_token_revoked_code'])
    assert.equal(expectOk(await server.call('GET', `/v1/sessions/${session.session_id}`)).status, 'revoked')
    assert.equal(expectOk(await server.call('GET', `/v1/actor_tokens/${token.id}`)).status, 'revoked')
    assert.equal(expectOk(await server.call('GET', '/v1/sessions?status=active')).length, 0)
    assert.equal(expectOk(await server.call('GET', '/v1/actor_tokens?status=pending')).length, 0)
    const ended = await server.post(`/v1/client/sessions/${session.session_id}/end`, {}, { cookie: session.cookie })
    assert.notEqual(ended.body?.response?.status, 'ended')
    assert.equal((await server.call('POST', `/v1/actor_tokens/${token.id}/revoke`)).status, 400)
  })

  it('requires exactly one of user, actor and everything, and reports an unknown user', async () => {
    await using server = await testServer({ env })
    for (const body of [
      {},
      { everything: false },
      { user_id: 'user_1', actor_sub: 'x' },
      { ...everything, user_id: 'u' },
    ])
      assert.equal((await revokeAll(server, body)).status, 422, JSON.stringify(body))
    assert.deepEqual((await revokeAll(server, { user_id: 'user_nobody' })).codes, ['resource_not_found'])
  })

  it('S4 mints no token for a request that begins after the answer, even under concurrent minting', async () => {
    await using server = await testServer({ env, realTime: true })
    const user = await server.createUser()
    const sessions = await Promise.all(Array.from({ length: 20 }, () => server.signIn({ user_id: user.id })))
    let revokedAt = Number.POSITIVE_INFINITY
    let stop = false
    const late: string[] = []
    const minting = sessions.map(async of => {
      while (!stop) {
        await nextTurn()
        const begun = performance.now()
        const answer = await mint(server, of)
        if (answer.status === 200 && begun > revokedAt) late.push(answer.body.jwt)
      }
    })
    await new Promise(resolve => setTimeout(resolve, 200))
    const answered = expectOk(await revokeAll(server, { user_id: user.id }))
    revokedAt = performance.now()
    const { not_before } = answered
    await new Promise(resolve => setTimeout(resolve, 200))
    stop = true
    await Promise.all(minting)
    assert.deepEqual(late.map(claimsOf), [])
    assert.ok(not_before <= Date.now())
  })
})

/** Follows the feed over HTTP, as a verifier does. */
const follow = (server: TestServer, headers: Record<string, string> = {}, query = '') =>
  followEvents(server, `/v1/revocations${query}`, headers)

describe('the revocation feed', () => {
  it('sends recent revocations, then reports that it is current, then sends new revocations', async () => {
    await using server = await testServer({ env, realTime: true })
    const [first, second, third] = [await server.signIn(), await server.signIn(), await server.signIn()]
    await server.call('POST', `/v1/sessions/${first.session_id}/revoke`)
    const feed = await follow(server)
    await feed.until(({ event }) => event === 'current')
    // An event may be sent twice.
    const received = new Set(feed.events.map(({ event, data }) => `${event} ${data.sid}`))
    assert.deepEqual([...received], [`session-revoked ${first.session_id}`, 'current undefined'])
    await server.post(`/v1/client/sessions/${second.session_id}/end`, {}, { cookie: second.cookie })
    const told = await feed.until(({ data }) => data.sid === second.session_id)
    assert.deepEqual(
      [told.event, told.data.sub, told.data.actor_sub, told.data.reason],
      ['session-revoked', second.user_id, 'user_operator', 'ended'],
    )
    const { not_before } = expectOk(await revokeAll(server, { user_id: third.user_id }))
    const stamp = await feed.until(({ event }) => event === 'sessions-revoked-before')
    assert.deepEqual(stamp.data, { sub: third.user_id, actor_sub: null, everything: false, not_before })
    await feed.until(({ data }) => data.sid === third.session_id)
    assert.equal(feed.events.filter(({ data }) => data.sid === second.session_id).length, 1, 'each once')
    await feed.stop()
  })

  it('resumes after Last-Event-ID and misses nothing', async () => {
    await using server = await testServer({ env, realTime: true })
    const sessions = await Promise.all(Array.from({ length: 6 }, () => server.signIn()))
    const revoke = (of: { session_id: string }) => server.call('POST', `/v1/sessions/${of.session_id}/revoke`)
    const feed = await follow(server)
    for (const session of sessions.slice(0, 3)) await revoke(session)
    const last = await feed.until(({ data }) => data.sid === sessions[2]?.session_id)
    await feed.stop()
    for (const session of sessions.slice(3)) await revoke(session)
    const again = await follow(server, { 'last-event-id': String(last.id) })
    await again.until(({ event }) => event === 'current')
    const told = again.events.map(({ data }) => data.sid)
    for (const session of sessions.slice(3)) assert.ok(told.includes(session.session_id))
    await again.stop()
  })

  it('starts earlier on request, omits expired sessions, and ends when the server stops', async () => {
    await using server = await testServer({ env })
    const old = await server.signIn()
    await server.call('POST', `/v1/sessions/${old.session_id}/revoke`)
    const from = server.clock.now()
    await server.signIn({ session_max_duration_in_seconds: 100 })
    server.clock.advance(3_600)
    const recent = await follow(server)
    await recent.until(({ event }) => event === 'current')
    assert.deepEqual(
      recent.events.map(({ event }) => event),
      ['current'],
    )
    const all = await follow(server, {}, `?since=${from}`)
    await all.until(({ event }) => event === 'current')
    assert.deepEqual(all.events.map(({ data }) => data.sid).filter(Boolean), [old.session_id])
    await server.stagedoor.close()
    await Promise.all([recent.ended(), all.ended()])
  })

  it('frees every follower after HEAD, after a dropped GET, and after refused requests', async () => {
    await using server = await testServer({ env, realTime: true })
    const origin = await server.listen()
    const { eventStreams, revocationFeed } = server.stagedoor.services
    const headers = { authorization: `Bearer ${SECRET_KEY}` }
    const timers = () => process.getActiveResourcesInfo().filter(resource => resource === 'Timeout').length
    const before = timers()
    for (let i = 0; i < 50; i++) {
      const head = await fetch(`${origin}/v1/revocations`, { method: 'HEAD', headers })
      assert.deepEqual([head.status, head.headers.get('content-type')], [200, 'text/event-stream'])
      expectOk(await server.call('HEAD', '/v1/revocations'))
      await server.call('GET', '/v1/revocations?since=x')
    }
    const left = new AbortController()
    const stream = await fetch(`${origin}/v1/revocations`, { headers, signal: left.signal })
    assert.equal(stream.status, 200)
    assert.equal(eventStreams.size, 1)
    left.abort()
    while (eventStreams.size > 0 || revocationFeed.followers > 0) await nextTurn()
    // A job of the server may be asking the database right now: each of its queries has a timer.
    await until(
      () => timers() <= before + 5,
      () => `${timers()} timers, ${before} before`,
    )
  })

  it('ends within a second when its secret key is revoked, on every node', async () => {
    await using server = await testServer({ env, realTime: true })
    const context = server.stagedoor.context({ type: 'system', id: null })
    const { record, secret } = await createSecretKey(context, { name: 'follower' })
    const revoked = await follow(server, { authorization: `Bearer ${secret}` })
    const kept = await follow(server)
    for (const feed of [revoked, kept]) await feed.until(({ event }) => event === 'current')
    // Revoke in the store, as another node does.
    await server.stagedoor.services.store.secretKeys.revoke(
      record.id,
      auditEvent(context, { action: 'secret_key.revoke', about: {}, target_id: record.id }),
    )
    const from = performance.now()
    await revoked.ended()
    assert.ok(performance.now() - from < promised(1_000))
    const { session_id } = await server.signIn()
    await server.call('POST', `/v1/sessions/${session_id}/revoke`)
    await kept.until(({ data }) => data.sid === session_id)
    await kept.stop()
  })

  it('stays open until its secret key expires, and ends within a second', async () => {
    await using server = await testServer({ env, realTime: true })
    const context = server.stagedoor.context({ type: 'system', id: null })
    const { record, secret } = await createSecretKey(context, { name: 'follower', expires_in_seconds: 1 })
    const expiring = await follow(server, { authorization: `Bearer ${secret}` })
    const kept = await follow(server)
    for (const feed of [expiring, kept]) await feed.until(({ event }) => event === 'current')
    await expiring.ended()
    const late = Date.now() - (record.expires_at ?? 0)
    assert.ok(late >= -5 && late < promised(1_000), `ended ${late} ms after the expiry`)
    const again = await server.call('GET', '/v1/revocations', undefined, { authorization: `Bearer ${secret}` })
    assert.deepEqual(again.codes, ['clerk_key_invalid'])
    const { session_id } = await server.signIn()
    await server.call('POST', `/v1/sessions/${session_id}/revoke`)
    await kept.until(({ data }) => data.sid === session_id)
    await kept.stop()
  })

  it('limits how often one key may open it', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_MAX_STREAMS_PER_KEY: '3' }, realTime: true })
    const feeds = await Promise.all([1, 2, 3].map(() => follow(server)))
    const refused = await server.call('GET', '/v1/revocations')
    assert.deepEqual([refused.status, refused.codes], [429, ['too_many_streams']])
    const { secret } = await createSecretKey(server.stagedoor.context({ type: 'system', id: null }), { name: 'other' })
    const other = await follow(server, { authorization: `Bearer ${secret}` })
    await feeds[0]?.stop()
    const again = await follow(server)
    for (const feed of [...feeds.slice(1), other, again]) await feed.stop()
  })

  it('requires a secret key', async () => {
    await using server = await testServer({ env })
    assert.equal((await server.call('GET', '/v1/revocations', undefined, { authorization: undefined })).status, 401)
  })
})
