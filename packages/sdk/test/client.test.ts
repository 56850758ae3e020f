import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { inspect } from 'node:util'
import { Stagedoor, StagedoorError } from '@stagedoor/sdk'
import { SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'
import { promised } from '../../../test/support/time.ts'

const actor = {
  sub: 'user_operator',
  reason_code: 'support',
  nestedNames: { snake_case: [1, null, 'é'], camelCase: true },
}

let server: TestServer
let serverURL: string
let stagedoor: Stagedoor

before(async () => {
  server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
  serverURL = await server.listen()
  stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL })
})

after(() => server[Symbol.asyncDispose]())

describe('actorTokens', () => {
  it('creates a token and keeps the actor value for value', async () => {
    const user = await stagedoor.users.create()
    const token = await stagedoor.actorTokens.create({
      userId: user.id,
      actor,
      expiresInSeconds: 600,
      sessionMaxDurationInSeconds: 900,
      reason: 'ticket 4711',
    })
    assert.deepEqual(token.actor, actor)
    assert.equal(token.userId, user.id)
    assert.equal(token.reason, 'ticket 4711')
    assert.equal(typeof token.token, 'string')
    assert.match(token.url ?? '', /\/v1\/tickets\/accept\?ticket=/)

    const read = await stagedoor.actorTokens.get(token.id)
    assert.deepEqual(read.actor, actor)
    assert.equal(read.token, undefined)
    assert.equal((read.expiresAt ?? 0) - read.createdAt, 600_000)
  })

  it('lists tokens with the total count', async () => {
    const user = await stagedoor.users.create()
    for (const sub of ['a', 'a', 'b']) await stagedoor.actorTokens.create({ userId: user.id, actor: { sub } })
    const { data, totalCount } = await stagedoor.actorTokens.list({
      userId: user.id,
      actorSub: 'a',
      status: 'pending',
      limit: 1,
      offset: 1,
    })
    assert.equal(totalCount, 2)
    assert.equal(data.length, 1)
    assert.equal(data[0]?.userId, user.id)
  })

  it('revokes pending tokens only, with or without a reason', async () => {
    const { id } = await server.createActorToken()
    assert.equal((await stagedoor.actorTokens.revoke(id, { reason: 'not needed' })).status, 'revoked')
    const [event] = (await stagedoor.auditEvents.list({ actorTokenId: id, action: 'actor_token.revoke' })).data
    assert.equal(event?.reason, 'not needed')
    await assert.rejects(stagedoor.actorTokens.revoke(id), (error: StagedoorError) => {
      assert.equal(error.status, 400)
      assert.equal(error.code, 'actor_token_cannot_be_revoked_code')
      assert.match(error.message, /its status is revoked.*nothing left to revoke/)
      return true
    })
    const another = await server.createActorToken()
    assert.equal((await stagedoor.actorTokens.revoke(another.id)).status, 'revoked')
  })

  it('accepts a ticket once', async () => {
    const created = await server.createActorToken({ actor })
    const { session, token } = await stagedoor.actorTokens.accept({ ticket: created.token })
    assert.equal(session.userId, created.user_id)
    assert.equal(session.status, 'active')
    assert.deepEqual(session.actor, actor)
    assert.equal(token.object, 'token')
    assert.equal(token.jwt.split('.').length, 3)
    const accepted = await stagedoor.actorTokens.get(created.id)
    assert.equal(accepted.status, 'accepted')
    assert.equal(accepted.sessionId, session.id)
    await assert.rejects(stagedoor.actorTokens.accept({ ticket: created.token }), {
      code: 'actor_token_already_used_code',
    })
  })

  it('accepts a ticket for the expected actor, and repeats it with the same idempotency key', async () => {
    const user = await stagedoor.users.create()
    const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId: user.id, actor: { sub: 'olivia' } })
    await assert.rejects(stagedoor.actorTokens.accept({ ticket, actorSub: 'mallory' }), { code: 'actor_mismatch' })
    const request = { ticket, actorSub: 'olivia' }
    const first = await stagedoor.actorTokens.accept(request, { idempotencyKey: ticket.slice(-40) })
    const again = await stagedoor.actorTokens.accept(request, { idempotencyKey: ticket.slice(-40) })
    assert.equal(again.session.id, first.session.id)
  })
})

describe('signInTokens', () => {
  it('creates and revokes', async () => {
    const user = await stagedoor.users.create()
    const token = await stagedoor.signInTokens.create({ userId: user.id, expiresInSeconds: 60 })
    assert.equal(token.object, 'sign_in_token')
    assert.equal(typeof token.url, 'string')
    const [listed] = (await stagedoor.signInTokens.list({ userId: user.id, status: 'pending' })).data
    assert.deepEqual([listed?.id, listed?.token, listed?.expiresAt], [token.id, undefined, token.createdAt + 60_000])
    assert.equal((await stagedoor.signInTokens.revoke(token.id)).status, 'revoked')
    await assert.rejects(stagedoor.signInTokens.revoke(token.id), { code: 'sign_in_token_cannot_be_revoked_code' })
  })
})

describe('users', () => {
  it('creates users with metadata, value for value, and reads them', async () => {
    const publicMetadata = { snake_case: 1, camelCase: { inner_one: [true] } }
    const created = await stagedoor.users.create({
      externalId: 'customer-1',
      emailAddress: ['ada@example.com'],
      phoneNumber: ['+15555550100'],
      firstName: 'Ada',
      publicMetadata,
    })
    const user = await stagedoor.users.get(created.id)
    assert.deepEqual(user, created)
    assert.equal(user.externalId, 'customer-1')
    assert.equal(user.emailAddresses[0]?.emailAddress, 'ada@example.com')
    assert.equal(user.emailAddresses[0]?.verification.expireAt, null)
    assert.equal(user.phoneNumbers[0]?.reservedForSecondFactor, false)
    assert.equal(user.primaryWeb3WalletId, null)
    assert.deepEqual(user.publicMetadata, publicMetadata)
  })

  it('lists and counts by repeated parameters', async () => {
    for (const externalId of ['list-1', 'list-2', 'list-3']) await stagedoor.users.create({ externalId })
    const query = { externalId: ['list-1', 'list-3', 'nobody'] }
    const { data, totalCount } = await stagedoor.users.list({ ...query, orderBy: '+created_at', limit: 1 })
    assert.equal(totalCount, 2)
    assert.deepEqual(
      data.map(user => user.externalId),
      ['list-1'],
    )
    assert.equal(await stagedoor.users.count(query), 2)
    assert.equal((await stagedoor.users.list()).data.length > 0, true)
    assert.equal((await stagedoor.users.count()) >= 3, true)
  })

  it('finds or creates one user by an id of the app, for any number of simultaneous calls', async () => {
    const request = { externalId: 'customer_7', firstName: 'Ada', emailAddress: ['ada7@example.com'] }
    const all = await Promise.all(Array.from({ length: 8 }, () => stagedoor.users.findOrCreate(request)))
    assert.equal(new Set(all.map(user => user.id)).size, 1)
    const known = await stagedoor.users.findOrCreate({ externalId: 'customer_7', firstName: 'Other' })
    assert.deepEqual([known.id, known.firstName], [all[0]?.id, 'Ada'], 'an existing user is not changed')
    await assert.rejects(stagedoor.users.findOrCreate({ ...request, externalId: 'customer_8' }), {
      code: 'form_identifier_exists',
    })
  })

  it('updates the given fields and clears null fields', async () => {
    const { id } = await stagedoor.users.create({ firstName: 'Ada', lastName: 'L', publicMetadata: { a: 1 } })
    const user = await stagedoor.users.update(id, { firstName: 'Grace', lastName: null, publicMetadata: { b: 2 } })
    assert.equal(user.firstName, 'Grace')
    assert.equal(user.lastName, null)
    assert.deepEqual(user.publicMetadata, { b: 2 })
    const merged = await stagedoor.users.updateMetadata(id, {
      publicMetadata: { b: null, c_d: { e: 3 } },
      privateMetadata: { x: 1 },
    })
    assert.deepEqual(merged.publicMetadata, { c_d: { e: 3 } })
    assert.deepEqual(merged.privateMetadata, { x: 1 })
  })

  it('bans, unbans, locks, unlocks and deletes', async () => {
    const { id } = await stagedoor.users.create()
    assert.equal((await stagedoor.users.ban(id)).banned, true)
    await assert.rejects(stagedoor.actorTokens.create({ userId: id, actor }), { code: 'user_banned', status: 403 })
    assert.equal((await stagedoor.users.unban(id)).banned, false)
    assert.equal((await stagedoor.users.lock(id)).locked, true)
    assert.equal((await stagedoor.users.unlock(id)).locked, false)
    assert.deepEqual(await stagedoor.users.delete(id), { object: 'user', id, deleted: true })
    await assert.rejects(stagedoor.users.get(id), { code: 'resource_not_found' })
  })
})

describe('secretKeys', () => {
  it('creates, lists and revokes, and a key has its rights only', async () => {
    const { secret, ...key } = await stagedoor.secretKeys.create({
      name: 'support',
      rights: ['act'],
      expiresInSeconds: 3_600,
    })
    assert.deepEqual([key.name, key.rights, key.revokedAt], ['support', ['act'], null])
    assert.equal(key.expiresAt, key.createdAt + 3_600_000)
    const { data } = await stagedoor.secretKeys.list({ limit: 500 })
    assert.deepEqual(
      data.find(({ id }) => id === key.id),
      key,
    )
    const restricted = new Stagedoor({ secretKey: secret, serverURL })
    assert.ok((await restricted.sessions.list()).data)
    await assert.rejects(
      Promise.resolve(restricted.users.list()),
      (error: StagedoorError) =>
        error.status === 403 &&
        error.code === 'key_not_allowed' &&
        /`users` or `everything`.* this secret key: `act`\. .*keys create --may/.test(error.message),
    )
    assert.equal(typeof (await stagedoor.secretKeys.revoke(key.id)).revokedAt, 'number')
    await assert.rejects(Promise.resolve(restricted.sessions.list()), { code: 'clerk_key_invalid' })
  })

  it('does not show a key twice', async () => {
    const create = () => stagedoor.secretKeys.create({ name: 'once' }, { idempotencyKey: 'the key of this test' })
    const { id, secret } = await create()
    await assert.rejects(
      create(),
      (error: StagedoorError) =>
        error.code === 'secret_key_shown_before' && error.message.includes(id) && !error.message.includes(secret),
    )
  })
})

describe('jwtTemplates', () => {
  it('creates, reads, lists, updates and deletes; the names of claims are not converted', async () => {
    const claims = { snake_case: 1, camelCase: { inner_one: '{{user.id}}', innerTwo: [null] } }
    const created = await stagedoor.jwtTemplates.create({ name: 'one', claims, lifetime: 90, allowedClockSkew: 0 })
    assert.deepEqual(created.claims, claims)
    assert.deepEqual([created.lifetime, created.allowedClockSkew, created.customSigningKey], [90, 0, false])
    assert.deepEqual(await stagedoor.jwtTemplates.get(created.id), created)
    assert.deepEqual(await stagedoor.jwtTemplates.list({ limit: 10 }), { data: [created], totalCount: 1 })
    const updated = await stagedoor.jwtTemplates.update(created.id, { claims: { otherClaim: 1 }, lifetime: null })
    assert.deepEqual([updated.name, updated.claims, updated.lifetime], ['one', { otherClaim: 1 }, 60])
    await assert.rejects(stagedoor.jwtTemplates.create({ name: 'one', claims }), {
      code: 'form_identifier_exists',
      paramName: 'name',
    })
    await assert.rejects(
      stagedoor.jwtTemplates.update(created.id, { claims: { x: '{{user.shoe_size}}' } }),
      (error: StagedoorError) => error.paramName === 'claims' && /\{\{user\.shoe_size\}\}/.test(error.message),
    )
    assert.deepEqual(await stagedoor.jwtTemplates.delete(created.id), {
      object: 'jwt_template',
      id: created.id,
      deleted: true,
    })
    await assert.rejects(stagedoor.jwtTemplates.get(created.id), { code: 'resource_not_found' })
  })

  it('are used by sessions.getToken', async () => {
    await stagedoor.jwtTemplates.create({ name: 'two', claims: { act: '{{session.actor}}' }, lifetime: 90 })
    const { session_id } = await server.signIn({ actor })
    for (const [name, life, expected] of [
      ['two', undefined, 60],
      ['two', 45, 45],
      ['two', 90, 90],
      [undefined, undefined, 60],
      [undefined, 45, 45],
    ] as const) {
      const { jwt } = await stagedoor.sessions.getToken(session_id, name, life)
      const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
      assert.deepEqual([claims.exp - claims.iat, claims.act, claims.v], [expected, actor, name ? undefined : 2])
    }
    await assert.rejects(stagedoor.sessions.getToken(session_id, 'none'), { code: 'resource_not_found' })
    await assert.rejects(stagedoor.sessions.getToken(session_id, '../revoke'), { code: 'resource_not_found' })
  })
})

describe('sessions', () => {
  it('creates, reads, lists and revokes; a revoked session gets no token', async () => {
    const user = await stagedoor.users.create()
    const session = await stagedoor.sessions.create({ userId: user.id })
    assert.equal(session.actor, null)
    assert.deepEqual(await stagedoor.sessions.get(session.id), session)
    const { data, totalCount } = await stagedoor.sessions.list({ userId: user.id, status: 'active' })
    assert.equal(totalCount, 1)
    assert.deepEqual(data, [session])
    assert.equal((await stagedoor.sessions.revoke(session.id, { reason: 'done' })).status, 'revoked')
    await assert.rejects(stagedoor.sessions.getToken(session.id), { status: 401, code: 'authentication_invalid' })
  })

  it('revokes all sessions of an actor at once', async () => {
    const user = await stagedoor.users.create()
    const { token } = await stagedoor.actorTokens.create({ userId: user.id, actor: { sub: 'robot' } })
    const { session } = await stagedoor.actorTokens.accept({ ticket: token ?? '' })
    const pending = await stagedoor.actorTokens.create({ userId: user.id, actor: { sub: 'robot' } })
    const revoked = await stagedoor.sessions.revokeAll({ actorSub: 'robot', reason: 'it went mad' })
    assert.deepEqual(
      [revoked.actorSub, revoked.userId, revoked.revokedSessions, revoked.revokedTokens, revoked.complete],
      ['robot', null, 1, 1, true],
    )
    assert.equal(await stagedoor.sessions.isActive(session.id), false)
    assert.equal((await stagedoor.actorTokens.get(pending.id)).status, 'revoked')
    await assert.rejects(stagedoor.sessions.revokeAll({ userId: 'user_nobody' }), { code: 'resource_not_found' })
    assert.equal(revoked.matched, true)
    const { matched, similarActorSubs } = await stagedoor.sessions.revokeAll({ actorSub: 'ROBOT ' })
    assert.deepEqual([matched, similarActorSubs], [false, ['robot']])
  })

  it('returns whether a session is active; reading does not count as use, touching does', async () => {
    const user = await stagedoor.users.create()
    const { token } = await stagedoor.actorTokens.create({ userId: user.id, actor })
    const { session } = await stagedoor.actorTokens.accept({ ticket: token ?? '' })
    assert.equal(await stagedoor.sessions.isActive(session.id), true)
    await stagedoor.users.lock(user.id)
    assert.equal(await stagedoor.sessions.isActive(session.id), false)
    await stagedoor.users.unlock(user.id)
    assert.equal(await stagedoor.sessions.isActive(session.id), true)
    await stagedoor.sessions.list({ userId: user.id })
    const asked = await stagedoor.sessions.get(session.id)
    assert.deepEqual([asked.lastActiveAt, asked.abandonAt], [session.lastActiveAt, session.abandonAt])
    assert.equal(await stagedoor.sessions.touch(session.id), true)
    const touched = await stagedoor.sessions.get(session.id)
    assert.ok(touched.lastActiveAt > session.lastActiveAt && touched.abandonAt > session.abandonAt)
    await stagedoor.sessions.revoke(session.id)
    assert.equal(await stagedoor.sessions.isActive(session.id), false)
    assert.equal(await stagedoor.sessions.touch(session.id), false)
    assert.equal(await stagedoor.sessions.isActive('sess_nobody'), false)
    const other = new Stagedoor({ secretKey: `sk_test_${'0'.repeat(32)}`, serverURL })
    await assert.rejects(other.sessions.isActive(session.id), { code: 'clerk_key_invalid' })
  })

  it('finds sessions by actor', async () => {
    const { session_id } = await server.signIn({ actor: { sub: 'user_only_here' } })
    const { data } = await stagedoor.sessions.list({ actorSub: 'user_only_here' })
    assert.deepEqual(
      data.map(session => session.id),
      [session_id],
    )
  })

  it('mints tokens with the requested lifetime', async () => {
    const { session_id } = await server.signIn({ actor })
    for (const [request, life] of [
      [undefined, 60],
      [{}, 60],
      [{ expiresInSeconds: 120 }, 120],
    ] as const) {
      const { jwt } = await stagedoor.sessions.getToken(session_id, request)
      const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
      assert.equal(claims.exp - claims.iat, life)
      assert.deepEqual(claims.act, actor)
    }
  })
})

describe('clients, keys and the audit log', () => {
  it('reads a client, and finds the client of a cookie', async () => {
    const { client_id, session_id, cookie } = await server.signIn({ actor })
    const client = await stagedoor.clients.get(client_id)
    assert.deepEqual(client.sessionIds, [session_id])
    assert.deepEqual(client.sessions[0]?.actor, actor)
    const verified = await stagedoor.clients.verify({ token: cookie.replace('__client=', '') })
    assert.equal(verified.id, client_id)
    await assert.rejects(stagedoor.clients.verify({ token: 'no' }), { code: 'authentication_invalid' })
    await assert.rejects(stagedoor.clients.getHandshakePayload('of-nobody'), { code: 'invalid_handshake' })
  })

  it('reads the public keys unchanged', async () => {
    const { keys } = await stagedoor.jwks.get()
    assert.deepEqual(keys, (await server.call('GET', '/.well-known/jwks.json')).body.keys)
  })

  it('reads the audit log, page by page', async () => {
    const { session_id, user_id } = await server.signIn({ actor })
    await stagedoor.sessions.revoke(session_id)
    const first = await stagedoor.auditEvents.list({ userId: user_id, limit: 2 })
    assert.equal(first.totalCount, 4)
    assert.deepEqual(
      first.data.map(event => event.action),
      ['session.revoke', 'actor_token.accept'],
    )
    assert.deepEqual(first.data[0]?.actor, actor)
    assert.equal(first.data[0]?.actorSub, actor.sub)
    assert.equal(first.data[0]?.principal.type, 'secret_key')
    assert.equal(first.data[0]?.userAgent, 'stagedoor-sdk-js')
    const rest = await stagedoor.auditEvents.list({ userId: user_id, beforeSeq: first.data[1]?.seq })
    assert.deepEqual(
      rest.data.map(event => event.action),
      ['actor_token.create', 'user.create'],
    )
  })

  it('counts refused requests', async () => {
    const stranger = new Stagedoor({ secretKey: 'sk_test_of_nobody', serverURL })
    await assert.rejects(stranger.users.list(), { status: 401, code: 'clerk_key_invalid' })
    const { data: entries } = await stagedoor.refusedRequests.list({ limit: 100 })
    assert.ok(entries.some(entry => entry.code === 'clerk_key_invalid' && entry.count >= 1))
  })
})

describe('lists', () => {
  it('are iterated to the end, over any number of pages, in every order', async () => {
    const ids: string[] = []
    for (let index = 0; index < 25; index++)
      ids.push((await stagedoor.users.create({ username: `listed_${index}` })).id)
    const query = { username: ids.map((_, index) => `listed_${index}`), orderBy: '+created_at' as const }
    for (const limit of [undefined, 1, 7, 25, 500]) {
      const seen: string[] = []
      for await (const user of stagedoor.users.list({ ...query, limit })) seen.push(user.id)
      assert.deepEqual(seen, ids, `limit ${limit}`)
    }
    const rest: string[] = []
    for await (const user of stagedoor.users.list({ ...query, offset: 20 })) rest.push(user.id)
    assert.deepEqual(rest, ids.slice(20))
    for await (const _ of stagedoor.users.list({ externalId: ['nobody'] })) assert.fail()
  })

  it('return nothing twice when rows are added during the iteration', async () => {
    const user = await stagedoor.users.create()
    const make = () => stagedoor.actorTokens.create({ userId: user.id, actor })
    const ids = [await make(), await make(), await make(), await make()].map(token => token.id)
    const seen: string[] = []
    for await (const token of stagedoor.actorTokens.list({ userId: user.id, limit: 2 })) {
      seen.push(token.id)
      if (seen.length === 2) await make()
    }
    assert.deepEqual(seen, ids.toReversed())
    const actions: string[] = []
    for await (const { action } of stagedoor.auditEvents.list({ userId: user.id, limit: 2 })) {
      actions.push(action)
      if (actions.length === 2) await make()
    }
    assert.deepEqual(actions, [...Array(5).fill('actor_token.create'), 'user.create'])
  })

  it('report errors, also to an iterating caller', async () => {
    const stranger = new Stagedoor({ secretKey: 'sk_test_of_nobody', serverURL })
    await assert.rejects(
      async () => {
        for await (const _ of stranger.users.list()) assert.fail()
      },
      { code: 'clerk_key_invalid' },
    )
  })
})

describe('a created token', () => {
  it('always has its ticket and its URL; an accepted token always has its actor', async () => {
    const { id: userId } = await stagedoor.users.create()
    const idempotencyKey = `ticket-${userId}`
    const created = await stagedoor.actorTokens.create({ userId, actor }, { idempotencyKey })
    const [ticket, url]: [string, string] = [created.token, created.url]
    assert.ok(url.endsWith(ticket))
    const signIn = await stagedoor.signInTokens.create({ userId })
    assert.ok(new URL(signIn.url).searchParams.get('ticket') === signIn.token)
    const { session } = await stagedoor.actorTokens.accept({ ticket })
    const sub: string = session.actor.sub
    assert.equal(sub, actor.sub)
    // The same key gets the same answer, but a used ticket is not returned again: that is an error, not an undefined `url`.
    await assert.rejects(stagedoor.actorTokens.create({ userId, actor }, { idempotencyKey }), {
      code: 'ticket_unavailable',
      message: new RegExp(`${created.id} .* is now accepted`),
    })
  })

  it('is created once for two requests with the same idempotency key', async () => {
    const user = await stagedoor.users.create()
    const request = { userId: user.id, actor }
    const options = { idempotencyKey: `job-${user.id}` }
    const [first, second] = [
      await stagedoor.actorTokens.create(request, options),
      await stagedoor.actorTokens.create(request, options),
    ]
    assert.equal(second.id, first.id)
    assert.equal(second.token, first.token)
    assert.notEqual((await stagedoor.actorTokens.create(request)).id, first.id)
    const other = { ...request, reason: 'another' }
    await assert.rejects(stagedoor.actorTokens.create(other, options), { code: 'idempotency_key_reused' })
    for (const idempotencyKey of ['', 'é', 'x'.repeat(256), 'a\nb']) {
      await assert.rejects(async () => stagedoor.actorTokens.create(request, { idempotencyKey }), {
        code: 'idempotency_key_invalid',
        status: 0,
      })
    }
  })
})

describe('against Clerk itself', () => {
  const asked: { url: string; key: string | null }[] = []
  const clerk = new Stagedoor({
    bearerAuth: SECRET_KEY,
    serverURL: 'https://api.clerk.com/v1',
    fetch: async request => {
      asked.push({ url: request.url, key: request.headers.get('idempotency-key') })
      // Simulates Clerk: the real server's answers, without what Clerk does not support.
      const { pathname, search } = new URL(request.url)
      const query = search.replace(/[?&]paginated=true/, '')
      const answer = await server.stagedoor.fetch(
        new Request(`http://127.0.0.1${pathname}${query}`, {
          method: request.method,
          headers: request.headers,
          body: await request.text().then(text => text || null),
        }),
      )
      return pathname.endsWith('/lost') ? Promise.reject(new Error('lost')) : answer
    },
  })

  it('lists, although Clerk answers with an array', async () => {
    const user = await clerk.users.create({ externalId: 'at-clerk' })
    const { data, totalCount } = await clerk.users.list({ externalId: ['at-clerk', 'other'], limit: 1 })
    assert.deepEqual([data[0]?.id, totalCount], [user.id, 1])
    const all: string[] = []
    for await (const { id } of clerk.users.list({ limit: 3 })) all.push(id)
    assert.equal(new Set(all).size, await clerk.users.count())
    assert.equal(all.length, await clerk.users.count())
  })

  it('does not retry a creation, because Clerk has no idempotency keys', async () => {
    asked.length = 0
    const lost = new Stagedoor({
      secretKey: SECRET_KEY,
      serverURL: 'https://api.clerk.com',
      fetch: request => {
        asked.push({ url: request.url, key: request.headers.get('idempotency-key') })
        throw new TypeError('fetch failed')
      },
    })
    await assert.rejects(lost.users.create(), { code: 'connection_failed' })
    assert.deepEqual(asked, [{ url: 'https://api.clerk.com/v1/users', key: null }])
  })
})

describe('revocations', () => {
  it('are followed as they happen, and resumed from the last event id', async () => {
    const first = await server.signIn({ actor })
    const end = new AbortController()
    const seen: string[] = []
    let last: string | undefined
    await assert.rejects(
      async () => {
        for await (const { event, id, data } of stagedoor.revocations.follow({}, { signal: end.signal })) {
          seen.push(event)
          last = id ?? last
          if (event === 'current') await stagedoor.sessions.revoke(first.session_id)
          if (event !== 'session-revoked' || data.sid !== first.session_id) continue
          assert.equal(data.actorSub, actor.sub)
          end.abort()
        }
      },
      { code: 'aborted' },
    )
    assert.ok(seen.indexOf('current') < seen.lastIndexOf('session-revoked'))
    await stagedoor.sessions.revokeAll({ actorSub: 'user_nobody' })
    for await (const { event, data } of stagedoor.revocations.follow({ lastEventId: last })) {
      if (event === 'sessions-revoked-before' && data.actorSub === 'user_nobody') break
    }
    const stranger = new Stagedoor({ secretKey: 'sk_test_of_nobody', serverURL })
    await assert.rejects(stranger.revocations.follow().next(), { code: 'clerk_key_invalid' })
    const nowhere = new Stagedoor({ secretKey: SECRET_KEY, serverURL: await closedPort() })
    await assert.rejects(nowhere.revocations.follow().next(), { code: 'connection_failed' })
  })
})

describe('errors', () => {
  it('state what is wrong, where, and what to do', async () => {
    await assert.rejects(stagedoor.actorTokens.create({ userId: 'user_1', actor: {} } as never), (error: unknown) => {
      assert.ok(error instanceof StagedoorError)
      assert.equal(error.status, 422)
      assert.equal(error.code, 'form_param_missing')
      assert.equal(error.paramName, 'actor.sub')
      assert.equal(error.message, 'actor.sub must be included.')
      assert.match(error.traceId ?? '', /^[0-9a-f]{32}$/)
      return true
    })
    const stranger = new Stagedoor({ secretKey: 'sk_test_of_nobody', serverURL })
    await assert.rejects(stranger.users.list(), {
      message: /does not know this secret key.*stagedoor keys create/,
      action: /stagedoor keys create/,
    })
  })

  it('have the SDK’s own text where the text on the wire is Clerk’s, which is kept too', async () => {
    const stranger = new Stagedoor({ secretKey: 'sk_test_of_nobody', serverURL })
    const user = await stagedoor.users.create({ username: `taken-${Date.now()}` })
    const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId: user.id, actor: { sub: 'o' } })
    await stagedoor.actorTokens.accept({ ticket })
    const cases: [() => Promise<unknown>, own: string, wire: RegExp][] = [
      [() => stranger.users.list(), 'The server does not know this secret key', /provided Clerk Secret Key is invalid/],
      [() => stagedoor.actorTokens.accept({ ticket: 'x' }), 'The ticket is incomplete', /generated by Clerk/],
      [() => stagedoor.actorTokens.accept({ ticket }), 'The actor token was already used.', /only be used once/],
      [() => stagedoor.users.create({ username: user.username as string }), 'The value of `username`', /try another/],
    ]
    for (const [call, own, wire] of cases) {
      await assert.rejects(call(), (error: StagedoorError) => {
        const [{ message = '', serverMessage = '' } = {}] = error.errors
        assert.ok(error.message.startsWith(own) && message.startsWith(own), error.message)
        assert.match(serverMessage, wire)
        assert.doesNotMatch(error.message, /Clerk|Please/)
        return true
      })
    }
  })

  it('have the text on the wire if the SDK has none', async () => {
    const answers: object[] = [
      { code: 'form_param_missing', message: 'is missing', long_message: 'x must be included.' },
      { code: 'of_tomorrow', message: 'short' },
      { code: 'form_identifier_exists', message: 'exists', long_message: 'That is taken.' },
      { code: 'constructor', long_message: 'long' },
      { code: 'x' },
    ]
    await using server = await serverOf((_, response) => {
      response.writeHead(422, json).end(JSON.stringify({ errors: answers }))
    })
    await assert.rejects(new Stagedoor({ secretKey: 'sk_test_1', serverURL: server.url }).jwks.get(), error => {
      const said = (error as StagedoorError).errors.map(({ message, serverMessage }) => [message, serverMessage])
      assert.deepEqual(said, [
        ['x must be included.', 'x must be included.'],
        ['short', 'short'],
        ['That is taken.', 'That is taken.'],
        ['long', 'long'],
        ['The request was refused', undefined],
      ])
      return true
    })
  })

  it('name every invalid field', async () => {
    await assert.rejects(stagedoor.actorTokens.create({ userID: 'user_1' } as never), (error: StagedoorError) => {
      const fields = error.errors.map(each => `${each.code} ${each.paramName}`)
      assert.deepEqual(fields.sort(), [
        'form_param_missing actor',
        'form_param_missing user_id',
        'form_param_unknown user_i_d',
      ])
      return true
    })
  })

  it('refuse ids that would lead to another address', async () => {
    for (const id of ['', '.', '..', undefined as never]) {
      await assert.rejects(async () => stagedoor.users.delete(id), { code: 'resource_not_found', status: 404 })
    }
    await assert.rejects(stagedoor.users.get('../sessions'), { code: 'resource_not_found' })
    await assert.rejects(stagedoor.users.get('a/b?c#d'), { code: 'resource_not_found' })
  })

  it('name missing options of the client', () => {
    delete process.env.STAGEDOOR_SECRET_KEY
    for (const secretKey of ['', undefined]) {
      assert.throws(() => new Stagedoor({ secretKey }), {
        code: 'secret_key_missing',
        status: 0,
        message: /stagedoor keys create/,
      })
    }
    assert.throws(
      () => new Stagedoor({ secretKey: 'sk_test_hush\n' }),
      (error: StagedoorError) => {
        assert.equal(error.code, 'secret_key_invalid')
        assert.doesNotMatch(inspect(error), /hush/)
        return true
      },
    )
    for (const url of ['localhost:4100', 'ftp://a', 'http://user:pass@a', 'http://a?b', '']) {
      assert.throws(() => new Stagedoor({ secretKey: 'sk_test_1', serverURL: url }), { code: 'server_url_invalid' })
    }
  })
})

describe('the secret key', () => {
  it('is not visible in any printed form of the client', () => {
    const client = new Stagedoor({ secretKey: 'sk_test_hush' })
    const looks = [
      JSON.stringify(client),
      inspect(client, { depth: 9, showHidden: true }),
      inspect(client.users, { depth: 9, showHidden: true, showProxy: true }),
      String(client),
    ]
    for (const look of looks) assert.doesNotMatch(look, /hush/)
  })

  it('appears in no error', async () => {
    await using refusing = await serverOf((_, response) =>
      response.writeHead(401, json).end('{"errors":[{"code":"clerk_key_invalid","message":"no"}]}'),
    )
    const places = [refusing.url, await closedPort(), refusing.url.replace('http', 'https')]
    for (const url of places) {
      const client = new Stagedoor({ secretKey: 'sk_test_hush', serverURL: url })
      await assert.rejects(client.users.create(), (error: unknown) => {
        assert.ok(error instanceof StagedoorError)
        assert.doesNotMatch(
          inspect(error, { depth: 12, showHidden: true }) + JSON.stringify(error) + error.stack,
          /hush/,
        )
        return true
      })
    }
  })
})

describe('the environment', () => {
  it('provides the address and the key by default', async () => {
    process.env.STAGEDOOR_SECRET_KEY = SECRET_KEY
    process.env.STAGEDOOR_SERVER_URL = serverURL
    try {
      assert.equal((await new Stagedoor().users.list({ limit: 1 })).data.length, 1)
    } finally {
      delete process.env.STAGEDOOR_SECRET_KEY
      delete process.env.STAGEDOOR_SERVER_URL
    }
  })
})

describe('the address', () => {
  it('may end with a slash, /v1, both, or neither', async () => {
    for (const end of ['', '/', '/v1', '/v1/']) {
      const client = new Stagedoor({ secretKey: SECRET_KEY, serverURL: `${serverURL}${end}` })
      assert.equal((await client.jwks.get()).keys.length > 0, true)
    }
  })

  it('may have a path', async () => {
    const seen: (string | undefined)[] = []
    await using proxy = await serverOf((request, response) => {
      seen.push(request.url)
      response.writeHead(200, json).end('{"object":"total_count","total_count":7}')
    })
    const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: `${proxy.url}/auth/v1/` })
    assert.equal(
      await client.users.count({ query: 'a b&c', banned: false, userId: ['x', 'y'], limit: undefined } as never),
      7,
    )
    assert.deepEqual(seen, ['/auth/v1/users/count?query=a+b%26c&banned=false&user_id=x&user_id=y'])
  })

  it('may be a server in the same process', async () => {
    const client = new Stagedoor({ secretKey: SECRET_KEY, fetch: request => server.stagedoor.fetch(request) })
    const user = await client.users.create({ firstName: 'Ada' })
    assert.equal((await client.users.get(user.id)).firstName, 'Ada')
  })
})

describe('if the server cannot be reached, the client', () => {
  it('reports the address and what to do', async () => {
    const url = await closedPort()
    const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: url })
    await assert.rejects(client.users.get('user_1'), (error: unknown) => {
      assert.ok(error instanceof StagedoorError)
      assert.equal(error.code, 'connection_failed')
      assert.equal(error.status, 0)
      assert.match(
        error.message,
        new RegExp(`GET ${url}/v1/users/user_1 failed.*ECONNREFUSED.*stagedoor dev.*serverURL`),
      )
      assert.ok(error.cause instanceof Error)
      return true
    })
  })

  it('tries reads and creations three times, and everything else once', async () => {
    let connections = 0
    const keys = new Set<unknown>()
    await using cutting = await serverOf((request, response) => {
      connections += 1
      keys.add(request.headers['idempotency-key'])
      if (connections === 3) response.writeHead(200, json).end('{"object":"user","id":"user_1"}')
      else request.socket.destroy()
    })
    const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: cutting.url })
    assert.equal((await client.users.get('user_1')).id, 'user_1')
    assert.equal(connections, 3)
    assert.deepEqual([...keys], [undefined])
    connections = 0
    keys.clear()
    assert.equal((await client.users.create({}, { idempotencyKey: 'import-7' })).id, 'user_1')
    assert.deepEqual([connections, [...keys]], [3, ['import-7']])
    connections = 0
    keys.clear()
    assert.equal((await client.actorTokens.create({ userId: 'user_1', actor })).id, 'user_1')
    assert.deepEqual([connections, keys.size], [3, 1])
    assert.match(String([...keys][0]), /^[0-9a-f-]{36}$/)
    connections = 0
    keys.clear()
    assert.equal(((await client.actorTokens.accept({ ticket: 'x' })) as unknown as { id: string }).id, 'user_1')
    assert.deepEqual([connections, keys.size], [3, 1])
    const patient = new Stagedoor({ secretKey: 'sk_test_1', serverURL: cutting.url, maxRetries: 0 })
    for (const call of [
      () => client.sessions.revoke('sess_1'),
      () => client.users.update('user_1', {}),
      () => client.users.delete('user_1'),
      () => client.users.get('user_1', { maxRetries: 0 }),
      () => client.users.create({}, { maxRetries: 0 }),
      () => patient.users.create(),
    ]) {
      connections = 0
      await assert.rejects(call(), { code: 'connection_failed' })
      assert.equal(connections, 1)
    }
  })

  it('waits as long as a 503 asks, up to the timeout of an attempt', async () => {
    const times: number[] = []
    let retryAfter = '1'
    await using busy = await serverOf((_, response) => {
      times.push(Date.now())
      if (times.length === 2) response.writeHead(200, json).end('{"keys":[]}')
      else
        response
          .writeHead(503, { ...json, 'retry-after': retryAfter })
          .end('{"errors":[{"code":"service_unavailable","message":"no"}]}')
    })
    const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: busy.url, timeoutMs: 5_000 })
    await client.jwks.get()
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 990)
    retryAfter = '6'
    times.length = 0
    await assert.rejects(client.jwks.get(), { code: 'service_unavailable', status: 503 })
    assert.equal(times.length, 1)
    retryAfter = '0'
    times.length = 2
    await assert.rejects(client.jwks.get(), { code: 'service_unavailable' })
    assert.equal(times.length, 5)
    times.length = 2
    await assert.rejects(client.users.create(), { code: 'service_unavailable', retryAfter: 0 })
    assert.equal(times.length, 5)
    times.length = 2
    await assert.rejects(client.users.delete('user_1'), { code: 'service_unavailable' })
    assert.equal(times.length, 3)
    retryAfter = new Date(Date.now() + 60_000).toUTCString()
    await assert.rejects(client.jwks.get(), (error: StagedoorError) => {
      assert.ok((error.retryAfter ?? 0) > 50 && (error.retryAfter ?? 0) <= 60, String(error.retryAfter))
      return true
    })
  })

  it('stops when aborted: before, during and between attempts', async () => {
    let connections = 0
    await using busy = await serverOf((request, response) => {
      connections += 1
      if (request.url?.startsWith('/v1/jwks')) response.writeHead(503, { ...json, 'retry-after': '3' }).end('{}')
    })
    const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: busy.url })
    await assert.rejects(client.users.get('user_1', { signal: AbortSignal.abort() }), { code: 'aborted', status: 0 })
    assert.equal(connections, 0)
    for (const call of [
      (signal: AbortSignal) => client.users.create({}, { signal }),
      (signal: AbortSignal) => client.jwks.get({ signal }),
    ]) {
      const giveUp = new AbortController()
      const asked = Date.now()
      setTimeout(() => giveUp.abort(), 150)
      await assert.rejects(call(giveUp.signal), { code: 'aborted' })
      assert.ok(Date.now() - asked < promised(2_000))
    }
    assert.equal(connections, 2)
  })

  it('retries every request that was rate-limited, after the requested wait', async () => {
    const times: number[] = []
    let retryAfter = '1'
    await using busy = await serverOf((_, response) => {
      times.push(Date.now())
      if (times.length === 2) response.writeHead(200, json).end('{"object":"user","id":"user_1"}')
      else
        response
          .writeHead(429, { ...json, 'retry-after': retryAfter })
          .end('{"errors":[{"code":"too_many_requests","message":"no"}]}')
    })
    const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: busy.url, timeoutMs: 5_000 })
    assert.equal((await client.users.create()).id, 'user_1')
    assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 990)
    retryAfter = '60'
    await assert.rejects(client.users.create(), { code: 'too_many_requests', status: 429 })
    assert.equal(times.length, 3)
    retryAfter = '0'
    await assert.rejects(client.users.create(), { code: 'too_many_requests' })
    assert.equal(times.length, 6)
  })

  it('gives up after the timeout, on the headers and on the body', async () => {
    await using slow = await serverOf((request, response) => {
      if (request.method === 'POST') response.writeHead(200, json).write('{"object":')
    })
    const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: slow.url, timeoutMs: 60 })
    await assert.rejects(client.users.get('user_1'), {
      code: 'timeout',
      message: /GET .*\/v1\/users\/user_1 was not answered within 60 ms.*timeoutMs/,
    })
    await assert.rejects(client.users.create(), { code: 'timeout', message: /may have been processed/ })
  })

  it('reports an answer that is not from Stagedoor', async () => {
    const answers: [number, Record<string, string>, string][] = [
      [200, { 'content-type': 'text/html' }, '<h1>Welcome</h1>'],
      [502, { 'content-type': 'text/html' }, '<h1>Bad gateway</h1>'],
      [301, { location: 'https://elsewhere.example.com/' }, ''],
      [400, json, '{"error":"no"}'],
      [400, json, '{"errors":[]}'],
      [500, json, 'null'],
    ]
    for (const [status, headers, body] of answers) {
      await using other = await serverOf((_, response) => response.writeHead(status, headers).end(body))
      const client = new Stagedoor({ secretKey: 'sk_test_1', serverURL: other.url })
      await assert.rejects(client.users.create(), {
        code: 'response_invalid',
        status,
        message: /answered \d+.*Check `serverURL`/,
      })
    }
  })
})

const json = { 'content-type': 'application/json' }

async function serverOf(listener: RequestListener<typeof IncomingMessage>): Promise<AsyncDisposable & { url: string }> {
  const http = createServer(listener)
  await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  return {
    url,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections()
      await new Promise(resolve => http.close(resolve))
    },
  }
}

async function closedPort(): Promise<string> {
  await using http = await serverOf(() => {})
  return http.url
}
