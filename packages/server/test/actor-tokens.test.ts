import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { testDatabase } from '../../../test/support/database.ts'
import { claimsOf, part } from '../../../test/support/jwt.ts'
import { type Answer, cookieOf, type TestServer, testServer } from '../../../test/support/server.ts'
import { SealedClaims } from '../src/signing/keyring.ts'
import { MasterKey } from '../src/signing/master-key.ts'

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
