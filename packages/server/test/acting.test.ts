import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

const list = (server: TestServer, query = '') => server.call('GET', `/v1/acting${query}`)
const idsOf = (rows: { id: string }[]) => rows.map(({ id }) => id)

describe('who is acting now', () => {
  it('names actor, user, reason, access and how it began', async () => {
    await using server = await testServer({ env })
    const user = await server.createUser({
      first_name: 'Carl',
      last_name: 'Meyer',
      email_address: ['carl@example.com'],
    })
    const began_at = server.clock.now()
    const { session_id, token_id } = await server.signIn({
      user_id: user.id,
      actor: { sub: 'olivia@support', name: 'Olivia' },
      access: 'write',
      reason: 'Cannot pay',
      reason_category: 'billing',
      ticket: 'https://desk.example.com/7',
      session_max_duration_in_seconds: 900,
    })
    const [acting, ...more] = expectOk(await list(server))
    assert.deepEqual(more, [])
    assert.deepEqual(acting, {
      object: 'acting',
      id: session_id,
      session_id,
      user_id: user.id,
      user: { id: user.id, name: 'Carl Meyer', email: 'carl@example.com' },
      actor: { sub: 'olivia@support', name: 'Olivia' },
      actor_sub: 'olivia@support',
      kind: 'operator',
      reason: 'Cannot pay',
      reason_category: 'billing',
      ticket: 'https://desk.example.com/7',
      access: 'write',
      scopes: null,
      began_at,
      expire_at: began_at + 900_000,
      actor_token_id: token_id,
    })
  })

  it('has no session of a user’s own, none that has ended, and none that a kill switch covers', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser({ username: 'carl' })
    expectOk(await server.call('POST', '/v1/sessions', { user_id }))
    assert.deepEqual(expectOk(await list(server)), [])
    assert.deepEqual(expectOk(await list(server, `?user_id=${user_id}`)), [])
    const as = (sub: string, fields = {}) => server.signIn({ user_id, actor: { sub }, ...fields })
    const [ended, revoked, kept] = [await as('a'), await as('b'), await as('c')]
    const short = await as('d', { session_max_duration_in_seconds: 60 })
    assert.deepEqual(expectOk(await list(server))[0].user, { id: user_id, name: 'carl', email: null })
    assert.equal(expectOk(await list(server, '?paginated=true')).total_count, 4)
    await server.post(`/v1/client/sessions/${ended.session_id}/end`, {}, { cookie: ended.cookie })
    expectOk(await server.call('POST', '/v1/sessions/revoke_all', { actor_sub: 'b' }))
    const still = [kept.session_id, short.session_id].sort().reverse()
    assert.deepEqual(idsOf(expectOk(await list(server))), still, revoked.session_id)
    server.clock.advance(60)
    // The end of the other one is not stored yet: no job has run.
    assert.deepEqual(idsOf(expectOk(await list(server))), [kept.session_id])
    assert.deepEqual(idsOf(expectOk(await list(server, `?user_id=${user_id}`))), [kept.session_id])
    assert.deepEqual(expectOk(await list(server, '?actor_sub=d')), [])
  })

  it('filters by actor, user and access, alone and together, page by page', async () => {
    await using server = await testServer({ env })
    const users = [await server.createUser(), await server.createUser()]
    const sessions: { id: string; actor_sub: string; user_id: string; access: string }[] = []
    for (const actor_sub of ['x', 'y'])
      for (const { id: user_id } of users)
        for (const access of ['read', 'write']) {
          server.clock.advance(1)
          const token = await server.createActorToken({ user_id, actor: { sub: actor_sub }, access })
          const body = { ticket: token.token, understands: ['scope'] }
          const { id } = expectOk(await server.call('POST', '/v1/actor_tokens/accept', body)).session
          sessions.unshift({ id, actor_sub, user_id, access })
        }
    for (const filter of [
      {},
      { actor_sub: 'x' },
      { user_id: users[1]?.id ?? '' },
      { access: 'read' },
      { actor_sub: 'y', access: 'write' },
      { user_id: users[0]?.id ?? '', access: 'read' },
      { user_id: users[0]?.id ?? '', actor_sub: 'x', access: 'read' },
    ]) {
      const expected = sessions
        .filter(session => Object.entries(filter).every(([name, value]) => session[name as 'id'] === value))
        .map(({ id }) => id)
      const query = new URLSearchParams({ ...filter, paginated: 'true', limit: '2' })
      const found: string[] = []
      for (;;) {
        const page = expectOk(await list(server, `?${query}`))
        assert.equal(page.total_count, expected.length, `${query}`)
        found.push(...idsOf(page.data))
        if (page.next_cursor === undefined) break
        query.set('starting_after', page.next_cursor)
      }
      assert.deepEqual(found, expected, JSON.stringify(filter))
    }
    assert.equal((await list(server, '?access=all')).status, 422)
    assert.equal((await list(server, '?starting_after=user_1')).status, 422)
  })

  it('says whether a person or a program acts: the registry counts more than the payload', async () => {
    await using server = await testServer({ env })
    const person = await server.createUser({ external_id: 'e-7' })
    expectOk(await server.call('PUT', '/v1/actors/nightly', { kind: 'agent' }))
    expectOk(await server.call('PUT', '/v1/actors/olivia', { kind: 'operator' }))
    for (const [actor, kind] of [
      [{ sub: 'nobody' }, 'operator'],
      [{ sub: 'unregistered', kind: 'agent' }, 'agent'],
      [{ sub: 'nightly' }, 'agent'],
      [{ sub: 'olivia', kind: 'agent' }, 'operator'],
      [{ sub: person.id, kind: 'agent' }, 'operator'],
      [{ sub: 'e-7', kind: 'agent' }, 'operator'],
    ] as const) {
      await server.signIn({ actor })
      const [acting] = expectOk(await list(server, `?actor_sub=${actor.sub}`))
      assert.deepEqual([acting.actor, acting.kind], [actor, kind])
    }
  })
})
