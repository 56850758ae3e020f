import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MasterKey } from '../src/signing/master-key.ts'
import { SealedClaims } from '../src/signing/sealed-claims.ts'
import { claimsOf, part, testDatabase } from './database.ts'
import { type Answer, cookieOf, SECRET_KEY, type TestServer, testServer, times } from './support.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

/** The two ways to redeem. */
const redeem = (server: TestServer, ticket: string, headers?: Record<string, string | undefined>) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }, headers)
const accept = (server: TestServer, ticket: string) => server.call('POST', '/v1/actor_tokens/accept', { ticket })
const ways = { 'in a browser': redeem, 'in a backend': accept }

const statusOf = async (server: TestServer, id: string) =>
  (await server.call('GET', `/v1/actor_tokens/${id}`)).body.status
const sessionsOf = async (server: TestServer, user_id: string) =>
  (await server.call('GET', `/v1/sessions?user_id=${user_id}&limit=500`)).body as { id: string; status: string }[]

function assertRefused(answer: Answer, status: number, code: string): void {
  assert.deepEqual([answer.status, answer.codes], [status, [code]], answer.text)
}

describe('a ticket is redeemed once', () => {
  for (const [way, use] of Object.entries(ways)) {
    it(`R1 refuses the replay ${way}`, async () => {
      await using server = await testServer({ env })
      const { token, id, user_id } = await server.createActorToken()
      assert.equal((await use(server, token)).status, 200)
      assertRefused(await use(server, token), 400, 'actor_token_already_used_code')
      assertRefused(await redeem(server, token), 400, 'actor_token_already_used_code')
      assert.equal((await sessionsOf(server, user_id)).length, 1)
      assert.equal(await statusOf(server, id), 'accepted')
      const accepted = await server.auditEvents({ actor_token_id: id, action: 'actor_token.accept', outcome: 'done' })
      assert.equal(accepted.length, 1)
    })
  }

  it('R2 creates one session per ticket for 64 simultaneous requests', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    for (let i = 0; i < times(100, 500); i++) {
      const { token } = await server.createActorToken({ user_id })
      const answers = await Promise.all(
        Array.from({ length: 64 }, (_, n) => (n % 2 === 0 ? redeem(server, token) : accept(server, token))),
      )
      assert.equal(answers.filter(answer => answer.status === 200).length, 1)
      const refused = answers.filter(answer => answer.status !== 200)
      assert.deepEqual(
        new Set(refused.flatMap(answer => [answer.status, ...answer.codes])),
        new Set([400, 'actor_token_already_used_code']),
      )
    }
    assert.equal((await sessionsOf(server, user_id)).length, times(100, 500))
  })

  it('R3 creates one session per ticket for two processes on one database', { timeout: 600_000 }, async () => {
    using database = testDatabase()
    const count = times(300, 20_000)
    const tickets = await pendingTickets(database, count)
    const file = ticketFile(database.path, tickets)
    const workers = [redeemWorker(database.env, file), redeemWorker(database.env, file)]
    await Promise.all(workers.map(worker => worker.ready))
    for (const worker of workers) worker.go()
    const answers = (await Promise.all(workers.map(worker => worker.done))).flat()

    assert.equal(answers.length, 2 * count)
    const done = answers.filter(answer => answer.status === 200)
    assert.equal(done.length, count)
    assert.equal(new Set(done.map(answer => answer.id)).size, count)
    const refused = answers.filter(answer => answer.status !== 200)
    assert.deepEqual(new Set(refused.map(answer => answer.code)), new Set(['actor_token_already_used_code']))
    assertConsistent(database)
    assert.equal(database.rows('select id from sessions').length, count)
  })

  it('R4 lets either the redemption or the revocation win, never both', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const wins = { redeemed: 0, revoked: 0 }
    const waits = (turns: number) => async () => {
      for (let i = 0; i < turns; i++) await nextTurn()
    }
    for (let i = 0; i < times(500, 10_000); i++) {
      const { id, token } = await server.createActorToken({ user_id })
      const [redeemed, revoked] = await Promise.all([
        waits(randomInt(4))().then(() => redeem(server, token)),
        waits(randomInt(4))().then(() => server.call('POST', `/v1/actor_tokens/${id}/revoke`)),
      ])
      const { body } = await server.call('GET', `/v1/actor_tokens/${id}`)
      if (redeemed.status === 200) {
        assertRefused(revoked, 400, 'actor_token_cannot_be_revoked_code')
        assert.equal(body.session_id, redeemed.body.response.created_session_id)
        assert.equal(body.status, 'accepted')
        wins.redeemed++
      } else {
        assertRefused(redeemed, 400, 'actor_token_revoked_code')
        assert.deepEqual(
          [revoked.status, revoked.body.status, body.status, body.session_id],
          [200, 'revoked', 'revoked', undefined],
        )
        wins.revoked++
      }
    }
    const started = await server.call('GET', `/v1/sessions?user_id=${user_id}&paginated=true`)
    assert.equal(started.body.total_count, wins.redeemed)
    // Otherwise the test did not race.
    assert.ok(wins.redeemed > 20 && wins.revoked > 20, JSON.stringify(wins))
  })

  it('R5 has a session and an audit event for every accepted ticket, at whatever moment the process is killed', {
    timeout: 600_000,
  }, async () => {
    using database = testDatabase()
    const tickets = await pendingTickets(database, times(1_500, 12_000))
    const acknowledged = new Set<string>()
    let left = tickets
    let kills = 0
    for (let i = 0; i < times(10, 60); i++) {
      const worker = redeemWorker(database.env, ticketFile(database.path, left))
      await worker.ready
      worker.go()
      await worker.answered((i % 10) * 4)
      await new Promise(resolve => setTimeout(resolve, randomInt(20)))
      if (worker.kill()) kills++
      for (const { id, status } of await worker.done) {
        assert.equal(status, 200)
        acknowledged.add(id)
      }
      assertConsistent(database)
      const accepted = acceptedIn(database)
      for (const id of acknowledged) assert.ok(accepted.has(id), `${id} was answered and is not stored`)
      left = tickets.filter(ticket => !accepted.has(ticket.id))
    }
    assert.equal(kills, times(10, 60))
    assert.ok(acknowledged.size > 0, 'nothing was redeemed before the process was killed')
    assert.ok(left.length > 0, 'everything was redeemed before the process was killed')
    assert.deepEqual(database.rows('pragma integrity_check'), [{ integrity_check: 'ok' }])
  })

  it('R6 R28 returns the same session to the same browser for a minute, if the answer was lost', async () => {
    await using server = await testServer({ env })
    const before = await server.signIn()
    const { id, token, user_id } = await server.createActorToken()
    const lost = await redeem(server, token, { cookie: before.cookie })
    assert.equal(lost.status, 200)
    const again = await redeem(server, token, { cookie: before.cookie })
    assert.equal(again.status, 200, again.text)
    assert.equal(again.body.response.created_session_id, lost.body.response.created_session_id)
    assert.equal(again.body.client.sessions.length, 2)
    assert.notEqual(cookieOf(again), cookieOf(lost), 'the repeated answer has a new client token')
    const session_id = again.body.response.created_session_id
    const mint = (cookie: string) => server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie })
    assert.equal((await mint(cookieOf(again))).status, 200)
    assert.equal((await mint(cookieOf(lost))).status, 401, 'the lost cookie is no longer valid')
    assert.equal((await mint(before.cookie)).status, 401, 'the old cookie is not valid without the ticket')

    server.clock.advance(60.001)
    assertRefused(await redeem(server, token, { cookie: cookieOf(again) }), 400, 'actor_token_already_used_code')
    assert.equal((await sessionsOf(server, user_id)).length, 1)
    const actions = (await server.auditEvents({ actor_token_id: id })).map(event => `${event.action} ${event.outcome}`)
    assert.deepEqual(actions, [
      'ticket.accept refused',
      'session.reclaim done',
      'actor_token.accept done',
      'actor_token.create done',
    ])
  })

  it('R28 returns the session again to a new browser too, and to one that reloads the page', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken()
    const first = await server.call('GET', '/v1/client', undefined, { authorization: undefined })
    assert.equal(first.body.response, null)
    const cookie = cookieOf(first)
    const lost = await redeem(server, token, { cookie })
    const again = await redeem(server, token, { cookie })
    assert.equal(again.body.response.created_session_id, lost.body.response.created_session_id)
    const reload = await redeem(server, token, { cookie: cookieOf(again) })
    assert.equal(reload.body.response.created_session_id, lost.body.response.created_session_id)
    assert.equal(cookieOf(reload), cookieOf(again), 'the browser keeps its client token')
  })

  it('R28 refuses every other browser, and every browser once the session has ended', async () => {
    await using server = await testServer({ env })
    const { token } = await server.createActorToken()
    const first = await redeem(server, token)
    const stranger = await server.signIn()
    const anonymous = cookieOf(await server.call('GET', '/v1/client', undefined, { authorization: undefined }))
    for (const cookie of [undefined, '', stranger.cookie, anonymous, '__client=x'])
      assertRefused(await redeem(server, token, { cookie }), 400, 'actor_token_already_used_code')
    assertRefused(
      await server.call('POST', '/v1/actor_tokens/accept', { ticket: token }, { cookie: cookieOf(first) }),
      400,
      'actor_token_already_used_code',
    )
    const session_id = first.body.response.created_session_id
    assert.equal((await server.call('POST', `/v1/sessions/${session_id}/revoke`)).status, 200)
    assertRefused(await redeem(server, token, { cookie: cookieOf(first) }), 400, 'actor_token_already_used_code')
  })
})

describe('the expiry of a ticket', () => {
  for (const [way, use] of Object.entries(ways)) {
    it(`R7 is exact to the millisecond ${way}`, async () => {
      await using server = await testServer({ env })
      const inTime = await server.createActorToken({ expires_in_seconds: 1 })
      const late = await server.createActorToken({ expires_in_seconds: 1 })
      const later = await server.createActorToken({ expires_in_seconds: 1 })
      server.clock.advance(0.999)
      assert.equal((await use(server, inTime.token)).status, 200)
      server.clock.advance(0.001)
      assertRefused(await use(server, late.token), 400, 'ticket_expired_code')
      server.clock.advance(0.1)
      assertRefused(await use(server, later.token), 400, 'ticket_expired_code')
      assert.equal(await statusOf(server, late.id), 'pending')
    })
  }

  it('R7 remains in effect when the clock is set back', async () => {
    await using server = await testServer({ env })
    const { token, user_id } = await server.createActorToken({ expires_in_seconds: 60 })
    server.clock.advance(61)
    assertRefused(await redeem(server, token), 400, 'ticket_expired_code')
    server.clock.advance(-3_600)
    assertRefused(await redeem(server, token), 400, 'ticket_expired_code')
    assertRefused(await accept(server, token), 400, 'ticket_expired_code')
    assert.deepEqual(await sessionsOf(server, user_id), [])
  })

  it('R7 does not prevent a revocation, after which the ticket is revoked', async () => {
    await using server = await testServer({ env })
    const { id, token } = await server.createActorToken({ expires_in_seconds: 1 })
    server.clock.advance(2)
    assert.equal((await server.call('POST', `/v1/actor_tokens/${id}/revoke`)).body.status, 'revoked')
    assertRefused(await redeem(server, token), 400, 'actor_token_revoked_code')
  })

  it('R8 a revoked ticket cannot be redeemed, nor revoked again', async () => {
    await using server = await testServer({ env })
    const { id, token, user_id } = await server.createActorToken()
    const revoked = await server.call('POST', `/v1/actor_tokens/${id}/revoke`)
    assert.deepEqual([revoked.status, revoked.body.status, revoked.body.token], [200, 'revoked', undefined])
    assertRefused(await redeem(server, token), 400, 'actor_token_revoked_code')
    assertRefused(await accept(server, token), 400, 'actor_token_revoked_code')
    const again = await server.call('POST', `/v1/actor_tokens/${id}/revoke`)
    assertRefused(again, 400, 'actor_token_cannot_be_revoked_code')
    assert.match(again.body.errors[0].long_message, /its status is revoked/)
    assert.deepEqual(await sessionsOf(server, user_id), [])
  })

  it('R8 revoking a used ticket is refused and does not affect its session', async () => {
    await using server = await testServer({ env })
    const { session_id, token_id } = await server.signIn()
    const refused = await server.call('POST', `/v1/actor_tokens/${token_id}/revoke`)
    assertRefused(refused, 400, 'actor_token_cannot_be_revoked_code')
    assert.match(refused.body.errors[0].long_message, /its status is accepted/)
    assert.ok(refused.text.includes(session_id), 'the error names the session to revoke instead')
    assert.equal((await server.call('GET', `/v1/sessions/${session_id}`)).body.status, 'active')
  })
})

describe('Z4 a ticket whose actor may no longer act', () => {
  for (const [way, use] of Object.entries(ways)) {
    it(`is refused ${way} while the actor is locked, and is not used up`, async () => {
      await using server = await testServer({ env })
      const { id: sub } = await server.createUser()
      const { id, token } = await server.createActorToken({ actor: { sub } })
      await server.call('POST', `/v1/users/${sub}/lock`)
      assertRefused(await use(server, token), 403, 'actor_banned')
      assert.equal(await statusOf(server, id), 'pending')
      await server.call('POST', `/v1/users/${sub}/unlock`)
      assert.equal((await use(server, token)).status, 200)
    })
  }
})

describe('R9 a ticket of another instance', () => {
  it('is refused if the master key differs', async () => {
    await using ours = await testServer({ env })
    await using theirs = await testServer({ env })
    await assertForeign(ours, theirs)
  })

  it('is refused if the master key is the same and the database differs', async () => {
    const shared = { ...env, STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64') }
    await using ours = await testServer({ env: shared })
    await using theirs = await testServer({ env: shared })
    await assertForeign(ours, theirs)
  })
})

describe('the integrity of a ticket', () => {
  it('R10 R11 refuses correctly signed claims that differ from the record', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    const first = await server.createActorToken()
    const second = await server.createActorToken({ expires_in_seconds: 7 })
    const signIn = (await server.call('POST', '/v1/sign_in_tokens', { user_id: first.user_id })).body
    const forger = new SealedClaims<object>(
      'ticket+jwt',
      new MasterKey(database.masterKey).derive('ticket'),
      () => true,
    )
    const claims = claimsOf(first.token)
    assert.equal(forger.sign(claims), first.token, 'the forger produces the same bytes as the server')

    const { sid: _, ...withoutId } = claims
    const forged: Record<string, object> = {
      'another token': { ...claims, sid: second.id },
      'a sign-in token': { ...claims, sid: signIn.id },
      'a sign-in token, kind and all': { ...claims, sid: signIn.id, st: 'sign_in_token' },
      nobody: { ...claims, sid: 'act_000000000000000000000000000' },
      'another instance': { ...claims, iid: 'ins_000000000000000000000000000' },
      'a later expiry': { ...claims, exp: Number(claims['exp']) + 86_400 },
      'a longer life': { ...claims, eis: Number(claims['eis']) + 86_400 },
      'another kind': { ...claims, st: 'sign_in_token' },
      'an invitation': { ...claims, st: 'invitation' },
      'a redirect': { ...claims, rurl: 'https://evil.example' },
      'claims in another order': Object.fromEntries(Object.entries(claims).reverse()),
      'no id': withoutId,
      'a list of ids': { ...claims, sid: [first.id] },
      'no expiry': { ...claims, exp: undefined },
      'an expiry as text': { ...claims, exp: String(claims['exp']) },
      'an endless expiry': { ...claims, exp: 1e308 },
      nothing: {},
      'a list': [claims],
    }
    for (const [what, it] of Object.entries(forged)) {
      for (const use of Object.values(ways)) {
        const answer = await use(server, forger.sign(it))
        assert.deepEqual([answer.status, answer.codes], [400, ['ticket_invalid_code']], what)
      }
    }
    for (const { id } of [first, second]) assert.equal(await statusOf(server, id), 'pending')
    assert.equal(database.rows('select id from sessions').length, 0)
    assert.deepEqual(database.rows("select id from actor_tokens where status <> 'pending'"), [])
    assert.equal((await redeem(server, first.token)).status, 200)
  })

  it('R10 refuses every ticket that differs in one character', async () => {
    await using server = await testServer({ env })
    const { id, token } = await server.createActorToken()
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === 'A' ? 'B' : 'A'
      const answer = await redeem(server, `${token.slice(0, at)}${other}${token.slice(at + 1)}`)
      assert.deepEqual([answer.status, answer.codes], [400, ['ticket_invalid_code']], `character ${at}`)
    }
    assert.equal(await statusOf(server, id), 'pending')
    assert.equal((await redeem(server, token)).status, 200)
  })

  it('R10 refuses a ticket combined from two tickets', async () => {
    await using server = await testServer({ env })
    const tokens = [await server.createActorToken(), await server.createActorToken()]
    const [[header, payload, mac] = [], [, otherPayload, otherMac] = []] = tokens.map(({ token }) => token.split('.'))
    const mixed = [
      `${header}.${payload}.${otherMac}`,
      `${header}.${otherPayload}.${mac}`,
      `${header}..${mac}`,
      `${header}.${payload}.`,
      `.${payload}.${mac}`,
      `${header}.${payload}`,
      `${header}.${payload}.${mac}.${mac}`,
      `${part({ alg: 'none', typ: 'ticket+jwt' })}.${payload}.`,
    ]
    for (const ticket of mixed) assertRefused(await redeem(server, ticket), 400, 'ticket_invalid_code')
    for (const { token } of tokens) assert.equal((await redeem(server, token)).status, 200)
  })

  it('R12 refuses a ticket that is cut at any place, from either end, and one with more text after it', async () => {
    await using server = await testServer({ env })
    const { id, token } = await server.createActorToken()
    const spoilt: string[] = []
    for (let at = 1; at < token.length; at++) spoilt.push(token.slice(0, at), token.slice(at))
    for (const more of ['A', '=', '==', '.', ' ', '\n', '\t', '%00', 'AA', '.AAAA', `.${token}`, token]) {
      spoilt.push(token + more, more + token)
    }
    for (const ticket of spoilt) {
      const answer = await redeem(server, ticket)
      assert.deepEqual([answer.status, answer.codes], [400, ['ticket_invalid_code']], JSON.stringify(ticket))
    }
    for (const ticket of spoilt.filter((_, i) => i % 7 === 0)) {
      assertRefused(await accept(server, ticket), 400, 'ticket_invalid_code')
    }
    for (const ticket of ['', '\0', `${token}\0`]) {
      const answer = await redeem(server, ticket)
      assert.equal(answer.status, 422, JSON.stringify(ticket))
    }
    assert.equal(await statusOf(server, id), 'pending')
    assert.equal((await redeem(server, token)).status, 200)
  })
})

describe('sign-in tokens', () => {
  const create = async (server: TestServer, fields: object = {}) => {
    const user_id = (await server.createUser()).id
    const answer = await server.call('POST', '/v1/sign_in_tokens', { user_id, ...fields })
    assert.equal(answer.status, 200, answer.text)
    return answer.body as { id: string; token: string; user_id: string }
  }

  it('start one session of the user’s own', async () => {
    await using server = await testServer({ env })
    const { token, user_id } = await create(server)
    const answer = await redeem(server, token)
    assert.equal(answer.status, 200)
    const [session] = answer.body.client.sessions
    assert.deepEqual([session.actor, session.user.id, session.status], [null, user_id, 'active'])
    assertRefused(await redeem(server, token), 400, 'sign_in_token_already_used_code')
    assert.equal((await sessionsOf(server, user_id)).length, 1)
  })

  it('are valid for 30 days at most', async () => {
    await using server = await testServer({ env })
    const user_id = (await server.createUser()).id
    const answer = (expires_in_seconds: number) =>
      server.call('POST', '/v1/sign_in_tokens', { user_id, expires_in_seconds })
    assert.equal((await answer(2_592_000)).status, 200)
    for (const seconds of [2_592_001, 315_360_000])
      assertRefused(await answer(seconds), 422, 'form_param_value_invalid')
  })

  it('are listed by status and user, without their tickets', async () => {
    await using server = await testServer({ env })
    const next = () => {
      server.clock.advance(1)
      return create(server)
    }
    const [one, other, used] = [await next(), await next(), await next()]
    const session = (await redeem(server, used.token)).body.response.created_session_id
    await server.createActorToken({ user_id: one.user_id })
    const list = async (query: string) => (await server.call('GET', `/v1/sign_in_tokens${query}`)).body
    const ids = async (query: string) => (await list(query)).map((token: { id: string }) => token.id)
    assert.deepEqual(await ids(''), [used.id, other.id, one.id])
    assert.deepEqual(await ids('?status=pending'), [other.id, one.id])
    assert.deepEqual(await ids(`?user_id=${one.user_id}`), [one.id])
    const paginated = await list('?status=accepted&paginated=true')
    assert.deepEqual([paginated.total_count, paginated.data[0].session_id], [1, session])
    assert.ok(paginated.data[0].expires_at > server.clock.now())
    assert.ok(!JSON.stringify(await list('')).includes(one.token.slice(-40)))
  })

  it('cannot be created or redeemed while they are disabled; existing ones can be revoked', async () => {
    using database = testDatabase(env)
    let pending = { id: '', token: '', user_id: '' }
    {
      await using server = await testServer({ env: database.env })
      pending = await create(server)
    }
    await using server = await testServer({ env: { ...database.env, STAGEDOOR_SIGN_IN_TOKENS: 'off' } })
    const { user_id } = pending
    assertRefused(await server.call('POST', '/v1/sign_in_tokens', { user_id }), 403, 'sign_in_tokens_off')
    assertRefused(await redeem(server, pending.token), 403, 'sign_in_tokens_off')
    const page = await server.call('GET', `/v1/tickets/accept?ticket=${pending.token}`, undefined, {
      authorization: undefined,
      accept: 'text/html',
    })
    assert.equal(page.status, 403)
    assert.equal((await server.call('GET', '/v1/sign_in_tokens?status=pending')).body.length, 1)
    assert.equal((await server.call('POST', `/v1/sign_in_tokens/${pending.id}/revoke`)).status, 200)
    assert.equal((await redeem(server, (await server.createActorToken({ user_id })).token)).status, 200)
  })

  it('can be revoked only while pending', async () => {
    await using server = await testServer({ env })
    const revoke = (id: string) => server.call('POST', `/v1/sign_in_tokens/${id}/revoke`)
    const revoked = await create(server)
    assert.equal((await revoke(revoked.id)).body.status, 'revoked')
    assertRefused(await revoke(revoked.id), 400, 'sign_in_token_cannot_be_revoked_code')
    assertRefused(await redeem(server, revoked.token), 400, 'sign_in_token_revoked_code')
    const used = await create(server)
    assert.equal((await redeem(server, used.token)).status, 200)
    assertRefused(await revoke(used.id), 400, 'sign_in_token_cannot_be_revoked_code')
  })

  it('expire', async () => {
    await using server = await testServer({ env })
    const { token } = await create(server, { expires_in_seconds: 5 })
    server.clock.advance(5)
    assertRefused(await redeem(server, token), 400, 'ticket_expired_code')
  })

  it('R11 are not actor tokens, and actor tokens are not sign-in tokens', async () => {
    await using server = await testServer({ env })
    const signIn = await create(server)
    const actor = await server.createActorToken()
    assertRefused(await accept(server, signIn.token), 400, 'ticket_invalid_code')
    for (const [method, path] of [
      ['GET', `/v1/actor_tokens/${signIn.id}`],
      ['POST', `/v1/actor_tokens/${signIn.id}/revoke`],
      ['POST', `/v1/sign_in_tokens/${actor.id}/revoke`],
    ] as const) {
      assertRefused(await server.call(method, path), 404, 'resource_not_found')
    }
    const listed = (await server.call('GET', '/v1/actor_tokens')).body as { id: string }[]
    assert.deepEqual(
      listed.map(token => token.id),
      [actor.id],
    )
    assert.equal((await redeem(server, signIn.token)).status, 200)
    assert.equal((await accept(server, actor.token)).status, 200)
  })
})

async function assertForeign(ours: TestServer, theirs: TestServer): Promise<void> {
  const { id, token, user_id } = await ours.createActorToken()
  for (const use of Object.values(ways)) assertRefused(await use(theirs, token), 400, 'ticket_invalid_code')
  const opened = await theirs.call('GET', `/v1/tickets/accept?ticket=${token}`, undefined, { authorization: undefined })
  assertRefused(opened, 400, 'ticket_invalid_code')
  assert.deepEqual((await theirs.call('GET', '/v1/sessions')).body, [])
  assert.equal(await statusOf(ours, id), 'pending')
  assert.equal((await redeem(ours, token)).status, 200)
  assert.equal((await sessionsOf(ours, user_id)).length, 1)
}

async function pendingTickets(database: { env: Record<string, string> }, count: number) {
  await using server = await testServer({ env: database.env, realTime: true })
  const { id: user_id } = await server.createUser()
  return await Promise.all(Array.from({ length: count }, () => server.createActorToken({ user_id })))
}

function ticketFile(path: string, tickets: { id: string; token: string }[]): string {
  const file = join(path, '..', `tickets-${randomInt(1e9)}.json`)
  writeFileSync(file, JSON.stringify(tickets.map(({ id, token }) => ({ id, token }))))
  return file
}

interface RedeemWorker {
  ready: Promise<void>
  go(): void
  /** Resolves after this number of answers. */
  answered(count: number): Promise<void>
  /** Returns false if the process had already ended. */
  kill(): boolean
  /** Resolves when the process has ended, with what it printed. */
  done: Promise<{ id: string; status: number; code: string }[]>
}

/** Starts a second process on the database: redeem-worker.ts. */
function redeemWorker(settings: Record<string, string>, file: string): RedeemWorker {
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    [join(import.meta.dirname, 'redeem-worker.ts'), file],
    {
      env: {
        ...settings,
        STAGEDOOR_SECRET_KEY: SECRET_KEY,
        STAGEDOOR_ENVIRONMENT: 'development',
        STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:4100',
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  child.stdin.on('error', () => {})
  let said = ''
  const exited = new Promise<void>(resolve => child.once('close', () => resolve()))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const lines = (count: number) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (said.split('\n').length > count) resolve()
      }
      child.stdout.on('data', look)
      void exited.then(() => reject(new Error(`the worker ended after ${said.split('\n').length - 1} lines`)))
      look()
    })
  const ready = lines(1)
  return {
    ready,
    go: () => void child.stdin.write('go\n'),
    answered: count => lines(1 + count),
    kill: () => child.exitCode === null && child.kill('SIGKILL'),
    done: exited.then(() =>
      said
        .split('\n')
        .slice(1, -1)
        .map(line => {
          const [id = '', status, code = ''] = line.split(' ')
          return { id, status: Number(status), code }
        }),
    ),
  }
}

type Rows = Pick<ReturnType<typeof testDatabase>, 'rows'>

function acceptedIn(database: Rows): Set<string> {
  return new Set(
    database.rows<{ id: string }>("select id from actor_tokens where status = 'accepted'").map(row => row.id),
  )
}

/** Checks: ticket accepted ⇔ session exists ⇔ audit event exists; each once, each naming the others. */
function assertConsistent(database: Rows): void {
  const pairs = (sql: string) =>
    database
      .rows<{ pair: string }>(sql)
      .map(row => row.pair)
      .sort()
  const tickets = pairs("select id || ' ' || session_id as pair from actor_tokens where status = 'accepted'")
  const sessions = pairs("select actor_token_id || ' ' || id as pair from sessions")
  const events = pairs(
    "select actor_token_id || ' ' || session_id as pair from audit_events where action = 'actor_token.accept' and outcome = 'done'",
  )
  assert.deepEqual(sessions, tickets)
  assert.deepEqual(events, tickets)
  assert.deepEqual(database.rows("select id from actor_tokens where status = 'pending' and session_id is not null"), [])
}
