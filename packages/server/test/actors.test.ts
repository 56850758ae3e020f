import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }

const put = (server: TestServer, sub: string, fields: object = { kind: 'operator' }) =>
  server.call('PUT', `/v1/actors/${encodeURIComponent(sub)}`, fields)
const act = (server: TestServer, user_id: string, sub: string) =>
  server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub } })

/** The versions that decisions are stored with: of a user, and of an actor. */
async function versions(server: TestServer, user_id: string, sub: string) {
  const { store } = server.stagedoor.services
  return {
    user: (await store.users.find(user_id))?.facts_version,
    actor: (await store.actors.find(sub))?.facts_version,
  }
}

describe('the registry of actors', () => {
  it('registers, replaces, reads, lists and removes actors; each change is an audit event', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const fields = { kind: 'operator', name: 'Olivia', teams: ['support'], organizations: ['acme'], level: 3, user_id }
    const { created_at, updated_at, ...created } = expectOk(await put(server, 'olivia@support', fields))
    const rest = { object: 'actor', sub: 'olivia@support', owner_sub: null, disabled: false }
    assert.deepEqual(created, { ...fields, ...rest })
    server.clock.advance(5)
    const replaced = expectOk(await put(server, 'olivia@support', { kind: 'operator', teams: ['tier 2'] }))
    assert.deepEqual(
      [replaced.teams, replaced.level, replaced.user_id, replaced.name, replaced.created_at],
      [['tier 2'], 0, null, null, created_at],
    )
    assert.equal(replaced.updated_at, updated_at + 5_000)
    assert.deepEqual(expectOk(await server.call('GET', '/v1/actors/olivia%40support')), replaced)
    expectOk(await put(server, 'nightly/agent 1', { kind: 'agent', owner_sub: 'olivia@support' }))
    const list = expectOk(await server.call('GET', '/v1/actors?paginated=true&limit=1'))
    assert.deepEqual([list.data[0].sub, list.total_count, list.next_cursor], ['nightly/agent 1', 2, 'nightly/agent 1'])
    const next = expectOk(await server.call('GET', '/v1/actors?starting_after=nightly%2Fagent%201'))
    assert.deepEqual(
      next.map(({ sub }: { sub: string }) => sub),
      ['olivia@support'],
    )
    const agents = expectOk(await server.call('GET', '/v1/actors?kind=agent'))
    assert.deepEqual(
      agents.map(({ sub }: { sub: string }) => sub),
      ['nightly/agent 1'],
    )
    const deleted = await server.call('DELETE', '/v1/actors/nightly%2Fagent%201')
    assert.deepEqual(expectOk(deleted), { object: 'actor', sub: 'nightly/agent 1', deleted: true })
    assert.equal((await server.call('DELETE', '/v1/actors/nightly%2Fagent%201')).status, 404)
    assert.equal((await server.call('GET', '/v1/actors/nobody')).status, 404)
    const events = expectOk(await server.call('GET', '/v1/audit_events?actor_sub=olivia@support'))
    assert.deepEqual(
      events.map(({ action }: { action: string }) => action),
      ['actor.put', 'actor.put'],
    )
  })

  it('refuses what makes no sense, and names the field', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    for (const [sub, fields, param] of [
      ['a', {}, 'kind'],
      ['a', { kind: 'robot' }, 'kind'],
      ['a', { kind: 'operator', owner_sub: 'b' }, 'owner_sub'],
      ['a', { kind: 'agent', owner_sub: 'a' }, 'owner_sub'],
      ['a', { kind: 'agent', user_id }, 'user_id'],
      ['a', { kind: 'operator', user_id: 'user_nobody' }, 'user_id'],
      ['a', { kind: 'operator', level: -1 }, 'level'],
      ['a', { kind: 'operator', level: 1.5 }, 'level'],
      ['a', { kind: 'operator', level: '3' }, 'level'],
      ['a', { kind: 'operator', teams: ['a', 'a'] }, 'teams'],
      ['a', { kind: 'operator', teams: ['x"y'] }, 'teams'],
      ['a', { kind: 'operator', teams: [{ __entity: { type: 'Team', id: 'admins' } }] }, 'teams'],
      ['a', { kind: 'operator', organizations: 'acme' }, 'organizations'],
      ['a', { kind: 'operator', admin: true }, 'admin'],
      [' ', { kind: 'operator' }, 'sub'],
      ['x'.repeat(257), { kind: 'operator' }, 'sub'],
    ] as const) {
      const { status, body } = await put(server, sub, fields)
      assert.equal(status, 422, JSON.stringify([sub, fields, body]))
      assert.ok(body.errors[0].meta.param_name.startsWith(param), JSON.stringify([fields, body]))
    }
    assert.deepEqual(expectOk(await server.call('GET', '/v1/actors')), [])
  })

  it('refuses a sub that looks like that of another actor', async () => {
    await using server = await testServer({ env })
    expectOk(await put(server, 'olivia@support'))
    for (const sub of ['Olivia@support', 'olivia@support ', 'ｏlivia@support', 'olivia@ſupport']) {
      const { status, body } = await put(server, sub)
      assert.deepEqual([status, body.errors[0].meta.param_name], [422, 'sub'], sub)
    }
    expectOk(await put(server, 'olivia@support', { kind: 'operator', level: 1 }))
    expectOk(await put(server, 'olivia2@support'))
  })

  it('lets a disabled actor do nothing: no token, no redemption, no mint', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    const { session_id, cookie } = await server.signIn({ user_id, actor: { sub: 'olivia' } })
    const pending = expectOk(await act(server, user_id, 'olivia'))
    expectOk(await put(server, 'olivia', { kind: 'operator', disabled: true }))
    const mint = () => server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie })
    assert.equal((await mint()).status, 401)
    assert.equal(expectOk(await server.call('GET', `/v1/sessions/${session_id}`)).status, 'revoked')
    const refused = await act(server, user_id, 'olivia')
    assert.deepEqual([refused.status, refused.codes], [403, ['actor_banned']])
    const redeemed = await server.call('POST', '/v1/actor_tokens/accept', { ticket: pending.token })
    assert.deepEqual(redeemed.codes, ['actor_token_revoked_code'])
    // The time since when it is disabled stays; enabling it does not bring anything back.
    const { updated_at } = expectOk(await put(server, 'olivia', { kind: 'operator', disabled: true }))
    assert.ok(updated_at > 0)
    expectOk(await put(server, 'olivia', { kind: 'operator' }))
    assert.equal((await mint()).status, 401)
    server.clock.advance(1)
    expectOk(await act(server, user_id, 'olivia'))
  })

  it('finds actors that acted lately and are neither registered nor users', async () => {
    await using server = await testServer({ env })
    const { id: own } = await server.createUser({ external_id: 'olivia' })
    const unknown = () => server.stagedoor.services.store.actors.unknown(server.clock.now() - 1_000_000)
    assert.deepEqual(await unknown(), [])
    for (const sub of [own, 'olivia', 'registered', 'zed', 'amy', 'zed']) await server.signIn({ actor: { sub } })
    await server.createActorToken({ actor: { sub: 'never redeemed' } })
    assert.deepEqual(await unknown(), ['amy', 'registered', 'zed'])
    expectOk(await put(server, 'registered'))
    assert.deepEqual(await unknown(), ['amy', 'zed'])
    server.clock.advance(1_001)
    assert.deepEqual(await unknown(), [])
  })

  it('gives new versions to those whose facts change, and to no others', async () => {
    await using server = await testServer({ env })
    const users = [
      await server.createUser(),
      await server.createUser({ external_id: 'ext' }),
      await server.createUser(),
    ]
    const [own, outside, other] = users.map(({ id }) => id) as [string, string, string]
    expectOk(await put(server, 'olivia', { kind: 'operator', user_id: own }))
    expectOk(await put(server, 'ext', { kind: 'operator' }))
    expectOk(await put(server, 'agent', { kind: 'agent', owner_sub: 'olivia' }))
    expectOk(await put(server, 'stranger', { kind: 'operator' }))
    const names = ['own', 'outside', 'other', 'olivia', 'ext', 'agent', 'stranger'] as const
    const all = async () => {
      const [a, b, c] = await Promise.all([
        versions(server, own, 'olivia'),
        versions(server, outside, 'ext'),
        versions(server, other, 'agent'),
      ])
      const { actor: stranger } = await versions(server, own, 'stranger')
      return [a.user, b.user, c.user, a.actor, b.actor, c.actor, stranger]
    }
    const changes = async (change: () => Promise<unknown>) => {
      const before = await all()
      await change()
      const after = await all()
      return names.filter((_, i) => before[i] !== after[i])
    }
    const patch = (id: string, fields: object) => async () =>
      expectOk(await server.call('PATCH', `/v1/users/${id}`, fields))
    assert.deepEqual(await changes(patch(other, { first_name: 'Uma' })), [])
    assert.deepEqual(await changes(patch(other, { private_metadata: { stagedoor: { level: 2 } } })), ['other'])
    assert.deepEqual(await changes(patch(other, { private_metadata: { stagedoor: { level: 2 } } })), [])
    assert.deepEqual(await changes(patch(own, { private_metadata: { stagedoor: { level: 2 } } })), [
      'own',
      'olivia',
      'agent',
    ])
    assert.deepEqual(await changes(patch(outside, { private_metadata: { a: 1 } })), ['outside', 'ext'])
    assert.deepEqual(await changes(async () => expectOk(await server.call('POST', `/v1/users/${own}/ban`))), [
      'own',
      'olivia',
      'agent',
    ])
    const operator = (fields: object = {}) => put(server, 'olivia', { kind: 'operator', user_id: own, ...fields })
    assert.deepEqual(await changes(async () => expectOk(await operator({ name: 'Olivia' }))), [])
    assert.deepEqual(await changes(async () => expectOk(await operator({ teams: ['a'] }))), ['own', 'olivia', 'agent'])
    assert.deepEqual(await changes(async () => expectOk(await operator({ user_id: other }))), [
      'own',
      'other',
      'olivia',
      'agent',
    ])
    assert.deepEqual(
      await changes(async () => expectOk(await put(server, 'stranger', { kind: 'operator', level: 1 }))),
      ['stranger'],
    )
    assert.deepEqual(await changes(async () => expectOk(await server.call('DELETE', '/v1/actors/ext'))), [
      'outside',
      'ext',
    ])
    // A new user with the external id of a registered actor is that actor's user.
    expectOk(await put(server, 'later', { kind: 'agent', owner_sub: 'olivia' }))
    const before = await server.stagedoor.services.store.actors.find('later')
    await server.createUser({ external_id: 'later' })
    const after = await server.stagedoor.services.store.actors.find('later')
    assert.notEqual(before?.facts_version, after?.facts_version)
    assert.deepEqual(await changes(async () => expectOk(await server.call('DELETE', `/v1/users/${other}`))), [
      'other',
      'olivia',
      'agent',
    ])
  })
})
