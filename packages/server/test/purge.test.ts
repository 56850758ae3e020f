import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { goal, times } from '../../../test/support/deep.ts'
import { operatorOf } from '../../../test/support/operators.ts'
import {
  type Answer,
  expectOk,
  type TestServer,
  type TestServerOptions,
  testServer,
} from '../../../test/support/server.ts'
import { beginSignIn, join } from '../src/domain/operator-sessions.ts'
import { inviteOperator } from '../src/domain/operators.ts'
import { countExpiredBefore, expiredBefore, purgeAll } from '../src/domain/purge.ts'
import { applyCutoffs } from '../src/domain/revocations.ts'
import { finishOverdueSessions } from '../src/domain/sessions.ts'

const DAY = 86_400
/** Retention of these servers: the longest session plus one day. */
const LONGEST = 31 * DAY
const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const serverFor = (options: TestServerOptions = {}) => testServer({ ...options, env: { ...env, ...options.env } })

const contextOf = (server: TestServer) => server.stagedoor.context({ type: 'system', id: null })

/** Does what a server does once a second. */
async function persistDue(server: TestServer): Promise<void> {
  const ctx = contextOf(server)
  await ctx.activity.flush(ctx.store, ctx.clock.now())
  while (await applyCutoffs(ctx));
  await ctx.store.actorTokens.expireOverdue(10_000)
  await finishOverdueSessions(ctx, { limit: 10_000 })
}

async function purgedOfAll(server: TestServer, days = 1, until?: number) {
  const ctx = contextOf(server)
  const over = expiredBefore(ctx, { days, ...(until === undefined ? {} : { until }) })
  const counted = await countExpiredBefore(ctx, over)
  let batches = 1
  const rest = async () => {
    batches += 1
    return true
  }
  const { clients, ...rows } = await purgeAll(ctx, { over, rest })
  assert.deepEqual(rows, counted, 'a dry run counts the same')
  return { ...rows, clients, batches }
}

/** Without what operators leave. */
async function purged(server: TestServer, days = 1) {
  const { sessions, actor_tokens, clients, cutoffs } = await purgedOfAll(server, days)
  return { sessions, actor_tokens, clients, cutoffs }
}

const redeem = (server: TestServer, ticket: string, cookie?: string) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }, cookie ? { cookie } : {})
const mint = (server: TestServer, session: { session_id: string; cookie: string }) =>
  server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie })

describe('purge', () => {
  it('deletes what ended long ago, and never its audit events', async () => {
    await using server = await serverFor()
    const used = await server.signIn()
    const revoked = await server.createActorToken()
    expectOk(await server.call('POST', `/v1/actor_tokens/${revoked.id}/revoke`))
    const late = await server.createActorToken({ expires_in_seconds: 60 })
    await server.call('POST', '/v1/sessions/revoke_all', { user_id: used.user_id })
    server.clock.advance(3_600)
    await persistDue(server)
    const events = await server.auditEvents()
    assert.deepEqual(await purged(server), { sessions: 0, actor_tokens: 0, clients: 0, cutoffs: 0 }, 'too early')
    server.clock.advance(LONGEST)
    await persistDue(server)
    assert.deepEqual(await purged(server), { sessions: 1, actor_tokens: 3, clients: 1, cutoffs: 1 })
    assert.deepEqual(
      await purged(server),
      { sessions: 0, actor_tokens: 0, clients: 0, cutoffs: 0 },
      'a second purge deletes nothing',
    )

    for (const { token } of [revoked, late, { token: used.ticket }])
      assert.deepEqual((await redeem(server, token)).codes, ['ticket_invalid_code'])
    assert.equal((await mint(server, used)).status, 401)
    assert.equal((await server.call('GET', `/v1/sessions/${used.session_id}`)).status, 404)
    assert.deepEqual((await server.call('POST', `/v1/actor_tokens/${revoked.id}/revoke`)).status, 404)
    const kept = await server.auditEvents()
    for (const event of events)
      assert.deepEqual(
        kept.find(({ id }) => id === event.id),
        event,
      )
    // Including the events of refused requests.
    assert.ok(kept.length > events.length)
  })

  it('deletes for good: nothing comes back, even if the clock changes', async () => {
    await using server = await serverFor()
    const start = server.clock.now()
    const used = await server.signIn()
    const never = await server.createActorToken()
    server.clock.advance(LONGEST + 2 * DAY)
    await persistDue(server)
    const { actor_tokens, sessions } = await purged(server)
    assert.deepEqual([actor_tokens, sessions], [2, 1])
    for (const back of [0, 1, 60, 3_000]) {
      server.clock.set(start + back * 1_000)
      await persistDue(server)
      assert.deepEqual((await redeem(server, used.ticket)).codes, ['ticket_invalid_code'])
      assert.deepEqual((await redeem(server, used.ticket, used.cookie)).codes, ['ticket_invalid_code'])
      assert.deepEqual((await redeem(server, never.token)).codes, ['ticket_invalid_code'])
      assert.equal((await mint(server, used)).status, 401)
    }
  })

  it('keeps rows whose end is not stored yet, so that a clock that is ahead deletes nothing', async () => {
    await using server = await serverFor()
    const [pending, session] = [await server.createActorToken(), await server.signIn()]
    server.clock.advance(LONGEST + 10 * DAY)
    // The end is not stored yet.
    assert.deepEqual(await purged(server), { sessions: 0, actor_tokens: 0, clients: 0, cutoffs: 0 })
    assert.deepEqual((await redeem(server, pending.token)).codes, ['ticket_expired_code'])
    assert.deepEqual((await redeem(server, session.ticket)).codes, ['actor_token_already_used_code'])
  })

  it('keeps a ticket as long as its session, and a client as long as one of its sessions', async () => {
    await using server = await serverFor()
    const long = 30 * DAY
    const first = await server.signIn()
    const other = await server.createActorToken({ session_max_duration_in_seconds: long })
    const again = await redeem(server, other.token, first.cookie)
    assert.equal(again.status, 200)
    const { created_session_id } = again.body.response
    server.clock.advance(LONGEST + 3_600)
    await persistDue(server)
    assert.deepEqual(await purged(server), { sessions: 1, actor_tokens: 1, clients: 0, cutoffs: 0 })
    assert.equal((await server.call('GET', `/v1/sessions/${created_session_id}`)).body.status, 'expired')
    assert.equal((await server.call('GET', `/v1/actor_tokens/${other.id}`)).body.status, 'accepted')
    assert.equal((await server.call('GET', `/v1/clients/${first.client_id}`)).status, 200)
    server.clock.advance(long)
    assert.deepEqual(await purged(server), { sessions: 1, actor_tokens: 1, clients: 1, cutoffs: 0 })
    assert.equal((await server.call('GET', `/v1/clients/${first.client_id}`)).status, 404)
  })

  it('lets a browser whose client was deleted sign in normally', async () => {
    await using server = await serverFor()
    const before = await server.signIn()
    server.clock.advance(LONGEST + DAY)
    await persistDue(server)
    assert.equal((await purged(server)).clients, 1)
    const { token } = await server.createActorToken()
    const answer = await redeem(server, token, before.cookie)
    assert.equal(answer.status, 200)
    const session = answer.body.response.created_session_id
    const cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    assert.equal((await mint(server, { session_id: session, cookie })).status, 200)
  })

  it('changes no answer about live records; an ended record is reported as ended or not found', async () => {
    let deleted = 0
    // Few random runs may delete nothing: then there are more of them.
    for (let run = 0; run < times(6, 200) || (deleted === 0 && run < 60); run++) deleted += await randomRun()
    assert.ok(deleted > 0)
    goal('P1-rows-purged-in-random-runs', deleted, '> 0, nothing alive touched', deleted > 0)
  })
})

describe('purge of what operators leave', () => {
  const ofOperators = async (server: TestServer, days?: number, until?: number) => {
    const { operator_sessions, operator_links, operator_sign_ins } = await purgedOfAll(server, days, until)
    return [operator_sessions, operator_links, operator_sign_ins]
  }

  it('deletes sessions after the retention, links and unfinished sign-ins a day after they expired', async () => {
    await using server = await serverFor()
    const ctx = contextOf(server)
    const operator = await operatorOf(server, 'support', { sub: 'olivia' })
    const ended = await operatorOf(server, 'support', { sub: 'olivia' })
    expectOk(await ended.call('POST', `/v1/operator_sessions/${ended.session_id}/end`, {}))
    const invite = () => inviteOperator(ctx, { email: 'ada@example.com', role: 'viewer' })
    const used = await invite()
    const joined = await join(ctx, { token: used.token })
    assert.ok('joining' in joined)
    const unused = await invite()
    await beginSignIn(ctx, { kind: 'passkey', return_to: '/console', step_up: false })
    assert.deepEqual(await ofOperators(server), [0, 0, 0])
    server.clock.advance(3_600 + DAY - 1)
    assert.deepEqual(await ofOperators(server), [0, 0, 2], 'the sign-ins of 10 minutes')
    server.clock.advance(2)
    const fresh = await invite()
    assert.deepEqual(await ofOperators(server), [0, 2, 0])
    // A link that is gone is refused as one that was used.
    for (const { token } of [used, unused])
      await assert.rejects(join(ctx, { token }), { code: 'operator_link_invalid' })
    assert.ok('joining' in (await join(ctx, { token: fresh.token })))
    const list = async () => {
      const admin = await operatorOf(server, 'admin')
      const path = `/v1/operator_sessions?operator_id=${operator.id}`
      return expectOk(await admin.call('GET', path)).map(({ id }: { id: string }) => id)
    }
    assert.deepEqual((await list()).sort(), [operator.session_id, ended.session_id].sort())
    server.clock.advance(LONGEST + 8 * 3_600)
    const current = await operatorOf(server, 'support', { sub: 'olivia' })
    const [sessions] = await ofOperators(server)
    assert.equal(sessions, 3, 'both of olivia, and one of the admin')
    assert.deepEqual(await list(), [current.session_id])
    expectOk(await current.call('GET', '/me'))
    assert.ok((await server.auditEvents({ action: 'operator.sign_in', limit: '100' })).length >= 5, 'events stay')
  })

  it('deletes a few rows at a time, and nothing that expired after a given date', async () => {
    await using server = await serverFor()
    const ctx = contextOf(server)
    for (let n = 0; n < 60; n++) {
      await operatorOf(server, 'viewer', { sub: `operator-${n}` })
      await inviteOperator(ctx, { email: `${n}@example.com`, role: 'viewer' })
    }
    const start = server.clock.now()
    server.clock.advance(2 * LONGEST)
    assert.deepEqual(await ofOperators(server, 0, start), [0, 0, 0])
    const { operator_sessions, operator_links, batches } = await purgedOfAll(server)
    assert.deepEqual([operator_sessions, operator_links, batches], [60, 60, 3])
  })
})

/** Performs random actions over months, and compares all answers before and after each purge. */
async function randomRun(): Promise<number> {
  await using server = await serverFor()
  const pick = <T>(values: T[]): T | undefined => values[Math.floor(Math.random() * values.length)]
  const users = await Promise.all(Array.from({ length: 3 }, () => server.createUser()))
  const made: { id: string; token: string }[] = []
  const sessions: { session_id: string; cookie: string; client_id: string }[] = []
  const over = new Set<string>()
  let deleted = 0

  const everything = async () => {
    const answers = new Map<string, Answer>()
    const ask = async (name: string, call: Promise<Answer>) => answers.set(name, await call)
    for (const { id } of made) await ask(`ticket ${id}`, server.call('GET', `/v1/actor_tokens/${id}`))
    for (const { session_id, cookie, client_id } of sessions) {
      await ask(`session ${session_id}`, server.call('GET', `/v1/sessions/${session_id}`))
      await ask(`client ${client_id}`, server.call('GET', `/v1/clients/${client_id}`))
      await ask(`browser ${cookie}`, server.call('GET', '/v1/client', undefined, { authorization: undefined, cookie }))
    }
    return answers
  }
  const isAlive = ({ status, body }: Answer) =>
    status === 200 &&
    (body.status === 'active' ||
      // The API reports an expired token as `pending`.
      (body.status === 'pending' && body.expires_at > server.clock.now()) ||
      body.sessions?.length > 0 ||
      body.response?.sessions?.length > 0)

  for (let step = 0; step < 40; step++) {
    const dice = Math.random()
    if (dice < 0.25)
      made.push(
        await server.createActorToken({
          user_id: pick(users)?.id,
          expires_in_seconds: pick([60, 3_600, DAY]),
          session_max_duration_in_seconds: pick([600, 7 * DAY, 30 * DAY]),
        }),
      )
    else if (dice < 0.5) {
      const cookie = pick(sessions)?.cookie
      const answer = await redeem(server, pick(made)?.token ?? '', Math.random() < 0.5 ? cookie : undefined)
      const set = answer.headers.getSetCookie().find(it => it.startsWith('__client='))
      if (answer.status === 200 && set) {
        const { response, client } = answer.body
        sessions.push({
          session_id: response.created_session_id,
          cookie: set.split(';')[0] ?? '',
          client_id: client.id,
        })
      }
    } else if (dice < 0.55) await server.call('POST', `/v1/actor_tokens/${pick(made)?.id}/revoke`)
    else if (dice < 0.6) await server.call('POST', `/v1/sessions/${pick(sessions)?.session_id}/revoke`)
    else if (dice < 0.65) await server.call('POST', '/v1/sessions/revoke_all', { user_id: pick(users)?.id })
    else if (dice < 0.85) server.clock.advance(pick([5, 300, 3_600, DAY, 20 * DAY, 40 * DAY]) ?? 0)
    else {
      await persistDue(server)
      const before = await everything()
      const { sessions: gone, actor_tokens } = await purged(server)
      deleted += gone + actor_tokens
      const after = await everything()
      for (const [name, was] of before) {
        const is = after.get(name)
        if (isAlive(was))
          assert.equal(
            is?.text.replace(/"clerk_trace_id":"\w+"/, ''),
            was.text.replace(/"clerk_trace_id":"\w+"/, ''),
            name,
          )
        else if (is?.text !== was.text) {
          assert.ok(is && !isAlive(is), `${name}: ${was.text} became ${is?.text}`)
          over.add(name)
        }
      }
      for (const name of over) assert.ok(!isAlive(after.get(name) as Answer), `${name} came back`)
    }
  }
  return deleted
}
