import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { times } from '../../../test/support/deep.ts'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { until } from '../../../test/support/time.ts'

const ALL = '@id("all") permit (principal, action in Action::"act", resource);'
const SUPPORT = '@id("support") permit (principal in Team::"support", action in Action::"act", resource);'
const NO_VIPS = `${ALL}\n@id("vip") forbid (principal, action in Action::"act", resource in Tag::"vip");`

const policy = async (server: TestServer, text: string) =>
  expectOk(await server.call('PUT', '/v1/policy', { text, off: ['base.reason'], expect_refused: 1_000 }))
const put = (server: TestServer, kind: 'teams' | 'tags', name: string, parents: string[]) =>
  server.call('PUT', `/v1/${kind}/${encodeURIComponent(name)}`, { parents })
const register = async (server: TestServer, sub: string, fields: object) =>
  expectOk(await server.call('PUT', `/v1/actors/${sub}`, { kind: 'operator', ...fields }))
const act = (server: TestServer, user_id: string, sub: string) =>
  server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub } })
const mint = (server: TestServer, { session_id, cookie }: { session_id: string; cookie: string }) =>
  server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie })
const versionOf = async (server: TestServer) => expectOk(await server.call('GET', '/v1/policy')).version

describe('teams and tags that are part of others', () => {
  for (const kind of ['teams', 'tags'] as const) {
    const one = kind.slice(0, -1)
    it(`are stored, read, listed and removed: ${kind}; each change is an audit event`, async () => {
      await using server = await testServer()
      const created = expectOk(await put(server, kind, 'tier 2/a', ['support']))
      const { created_at, updated_at } = created
      assert.deepEqual(created, { object: one, name: 'tier 2/a', parents: ['support'], created_at, updated_at })
      server.clock.advance(5)
      const changed = expectOk(await put(server, kind, 'tier 2/a', ['everyone', 'support']))
      assert.deepEqual([changed.created_at, changed.updated_at], [created_at, updated_at + 5_000])
      const version = await versionOf(server)
      // The same parents again change nothing, in any order.
      assert.deepEqual(expectOk(await put(server, kind, 'tier 2/a', ['support', 'everyone'])), changed)
      assert.equal(await versionOf(server), version)
      expectOk(await put(server, kind, 'empty', []))
      // The other kind has its own names.
      expectOk(await put(server, kind === 'teams' ? 'tags' : 'teams', 'of the other kind', []))
      const page = expectOk(await server.call('GET', `/v1/${kind}?paginated=true&limit=1`))
      assert.deepEqual([page.data[0].name, page.total_count, page.next_cursor], ['empty', 2, 'empty'])
      assert.deepEqual(expectOk(await server.call('GET', `/v1/${kind}?starting_after=empty`)), [changed])
      assert.deepEqual(expectOk(await server.call('GET', `/v1/${kind}/tier%202%2Fa`)), changed)
      const deleted = expectOk(await server.call('DELETE', `/v1/${kind}/tier%202%2Fa`))
      assert.deepEqual(deleted, { object: one, name: 'tier 2/a', deleted: true })
      for (const method of ['GET', 'DELETE'] as const)
        assert.equal((await server.call(method, `/v1/${kind}/tier%202%2Fa`)).status, 404)
      const done = (action: string) => server.auditEvents({ action: `${one}.${action}`, outcome: 'done' })
      const events = [...(await done('put')), ...(await done('delete'))]
      assert.deepEqual(
        events.map(event => [event['target_id'], event['details']]),
        [
          ['empty', { version: 3 }],
          ['tier 2/a', { version: 2 }],
          ['tier 2/a', { version: 1 }],
          ['tier 2/a', { version: 5 }],
        ],
      )
      const [latest, , third] = expectOk(await server.call('GET', '/v1/policy/versions'))
      assert.equal(latest.reason, `${one} tier 2/a is part of no other`)
      assert.equal(third.reason, `${one} empty is part of no other`)
      // The rules stay the same: those of the default policy, here.
      assert.match(latest.text, /default\.backend/)
    })

    it(`refuse cycles and bad names: ${kind}`, async () => {
      await using server = await testServer()
      expectOk(await put(server, kind, 'a', ['b', 'x']))
      expectOk(await put(server, kind, 'b', ['y', 'c']))
      const version = await versionOf(server)
      for (const [name, parents, param, message] of [
        ['c', ['d', 'a'], 'parents', `A ${one} cannot be part of itself: "c" → "a" → "b" → "c".`],
        ['a', ['a'], 'parents', `A ${one} cannot be part of itself: "a" → "a".`],
        ['b', ['a'], 'parents', `A ${one} cannot be part of itself: "b" → "a" → "b".`],
        ['x"y', ['a'], 'name', 'A name has 1 to 128 characters'],
        ['x'.repeat(129), ['a'], 'name', 'A name has 1 to 128 characters'],
        ['n', ['a', 'a'], 'parents', ''],
        ['n', ['x"y'], 'parents', ''],
        ['n', [{ __entity: { type: 'Team', id: 'a' } }], 'parents', ''],
      ] as const) {
        const { status, body, text } = await put(server, kind, name, parents as unknown as string[])
        assert.equal(status, 422, text)
        assert.ok(body.errors[0].meta.param_name.startsWith(param), text)
        assert.ok(text.replaceAll('\\"', '"').includes(message), text)
      }
      assert.equal(await versionOf(server), version)
      // A diamond is no cycle.
      expectOk(await put(server, kind, 'x', ['c']))
      // The cycle of the other kind is another matter.
      expectOk(await put(server, kind === 'teams' ? 'tags' : 'teams', 'c', ['a']))
    })
  }

  it('decide: an actor is in the teams of a team, a user has the tags of a tag, and so has an agent’s owner', async () => {
    await using server = await testServer()
    const { id } = await server.createUser()
    await register(server, 'olivia', { teams: ['tier-2'] })
    await policy(server, SUPPORT)
    assert.equal((await act(server, id, 'olivia')).status, 403)
    expectOk(await put(server, 'teams', 'tier-2', ['technicians']))
    expectOk(await put(server, 'teams', 'technicians', ['support']))
    expectOk(await act(server, id, 'olivia'))
    const explained = expectOk(
      await server.call('POST', '/v1/policy/explain', { user_id: id, actor: { sub: 'olivia' } }),
    )
    assert.deepEqual(explained.facts.principal.teams, ['tier-2', 'technicians', 'support'])
    // A tag of the same name is no team.
    expectOk(await server.call('DELETE', '/v1/teams/technicians'))
    expectOk(await put(server, 'tags', 'technicians', ['support']))
    assert.equal((await act(server, id, 'olivia')).status, 403)

    await policy(server, NO_VIPS)
    const gold = { private_metadata: { stagedoor: { tags: ['gold'] } } }
    expectOk(await server.call('PATCH', `/v1/users/${id}/metadata`, gold))
    expectOk(await act(server, id, 'olivia'))
    expectOk(await put(server, 'tags', 'gold', ['vip']))
    assert.equal((await act(server, id, 'olivia')).status, 403)

    await policy(
      server,
      '@id("own") permit (principal is Agent, action in Action::"act", resource) when { principal has owner && principal.owner in Team::"support" };',
    )
    await register(server, 'bot', { kind: 'agent', owner_sub: 'olivia' })
    assert.equal((await act(server, id, 'bot')).status, 403)
    expectOk(await put(server, 'teams', 'tier-2', ['support']))
    expectOk(await act(server, id, 'bot'))
  })

  it('end sessions that they no longer allow: no mint after the change, and without a mint too', async () => {
    await using server = await testServer()
    await register(server, 'olivia', { teams: ['tier-2'] })
    await policy(server, SUPPORT)
    for (const change of [
      () => server.call('DELETE', '/v1/teams/tier-2'),
      () => put(server, 'teams', 'tier-2', ['nobody']),
    ]) {
      expectOk(await put(server, 'teams', 'tier-2', ['support']))
      const [minted, idle] = [
        await server.signIn({ actor: { sub: 'olivia' } }),
        await server.signIn({ actor: { sub: 'olivia' } }),
      ]
      expectOk(await mint(server, minted))
      expectOk(await change())
      assert.equal((await mint(server, minted)).status, 401)
      const status = async () => expectOk(await server.call('GET', `/v1/sessions/${idle.session_id}`)).status
      await until(async () => (await status()) === 'revoked', 'the session goes on')
    }
  })

  it('are not redeemed on what was before: the ticket stays pending', async () => {
    await using server = await testServer()
    await register(server, 'olivia', { teams: ['tier-2'] })
    await policy(server, SUPPORT)
    expectOk(await put(server, 'teams', 'tier-2', ['support']))
    const token = await server.createActorToken({ actor: { sub: 'olivia' } })
    const accept = () => server.call('POST', '/v1/actor_tokens/accept', { ticket: token.token })
    expectOk(await put(server, 'teams', 'tier-2', []))
    assert.deepEqual((await accept()).codes, ['acting_refused'])
    expectOk(await put(server, 'teams', 'tier-2', ['support']))
    expectOk(await accept())
  })

  it('race with creating, redeeming and minting: nothing is allowed after the acknowledged change', async () => {
    await using server = await testServer()
    const { id } = await server.createUser()
    await register(server, 'olivia', { teams: ['tier-2'] })
    await policy(server, SUPPORT)
    let before = 0
    for (let round = 0; round < times(15, 500); round++) {
      expectOk(await put(server, 'teams', 'tier-2', ['support']))
      const live = await server.signIn({ user_id: id, actor: { sub: 'olivia' } })
      const ticket = (await server.createActorToken({ user_id: id, actor: { sub: 'olivia' } })).token
      let changed = false
      const during = async (request: () => Promise<{ status: number }>) => {
        for (;;) {
          const late = changed
          const { status } = await request()
          if (late) return assert.ok(status === 401 || status === 403, `${status} after the change`)
          if (status === 200) before += 1
        }
      }
      const redeemed = server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket })
      const requests = [during(() => mint(server, live)), during(() => act(server, id, 'olivia'))]
      expectOk(await put(server, 'teams', 'tier-2', ['nobody']))
      changed = true
      await Promise.all(requests)
      // A redemption that came first has a session, which gets no token.
      const { status, body, headers } = await redeemed
      if (status !== 200) continue
      const cookie = /__client=[^;]+/.exec(headers.get('set-cookie') ?? '')?.[0] ?? ''
      assert.equal((await mint(server, { session_id: body.response.created_session_id, cookie })).status, 401)
    }
    assert.ok(before > 0)
  })

  it('are changed at the same moment: no change is lost, and no cycle comes to be', async () => {
    await using server = await testServer()
    for (let round = 0; round < times(10, 200); round++) {
      const [a, b] = [`a${round}`, `b${round}`]
      const answers = await Promise.all([put(server, 'teams', a, [b]), put(server, 'teams', b, [a])])
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 422])
    }
    const names = Array.from({ length: 5 }, (_, n) => `t${n}`)
    const answers = await Promise.all(names.map(name => put(server, 'teams', name, ['all'])))
    for (const answer of answers)
      if (answer.status !== 200) assert.deepEqual(answer.codes, ['policy_changed_meanwhile'])
    const stored = expectOk(await server.call('GET', '/v1/teams?limit=500'))
    for (const [n, name] of names.entries())
      assert.equal(
        stored.some((each: { name: string }) => each.name === name),
        answers[n]?.status === 200,
      )
  })

  it('are limited in number', async () => {
    await using server = await testServer()
    const { store } = server.stagedoor.services
    const now = server.clock.now()
    const rows = Array.from({ length: 1_000 }, (_, n) => ({
      kind: 'tag' as const,
      name: `t${n}`,
      parents: '[]',
      created_at: now,
      updated_at: now,
    }))
    store.groups.all = async () => rows
    assert.equal((await put(server, 'tags', 'one more', [])).status, 422)
    expectOk(await put(server, 'teams', 'one more', []))
  })
})
