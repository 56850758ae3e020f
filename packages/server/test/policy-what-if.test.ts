import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { until } from '../../../test/support/time.ts'

const ALL = '@id("all") permit (principal, action in Action::"act", resource);'
const forbid = (id: string, when: string) =>
  `@id("${id}") forbid (principal, action in Action::"act", resource) when { ${when} };`
const TICKETS = `${ALL}\n${forbid('tickets', '!(context has reason && context.reason has ticket)')}`
const off = ['base.reason', 'base.operators', 'base.upward', 'base.self']

const whatIf = (server: TestServer, text: string, fields: object = {}) =>
  server.call('POST', '/v1/policy/what_if', { text, off, ...fields })
const put = (server: TestServer, text: string, fields: object = {}) =>
  server.call('PUT', '/v1/policy', { text, off, ...fields })

describe('what if another policy were in force', () => {
  it('names the active sessions that would end and counts past tokens, and changes nothing', async () => {
    await using server = await testServer()
    const [olivia, nina] = [{ sub: 'olivia' }, { sub: 'nina', ticket: 'T-1' }]
    const without = await server.signIn({ actor: olivia })
    await server.signIn({ actor: nina })
    const ended = await server.signIn({ actor: olivia })
    expectOk(await server.call('POST', `/v1/sessions/${ended.session_id}/revoke`))
    await server.call('POST', '/v1/sessions', { user_id: ended.user_id })
    const answer = expectOk(await whatIf(server, TICKETS))
    assert.deepEqual(answer, {
      object: 'policy_what_if',
      policy_version: 0,
      live: {
        checked: 2,
        refused: 1,
        sessions: [
          { session_id: without.session_id, user_id: without.user_id, actor_sub: 'olivia', determined_by: ['tickets'] },
        ],
      },
      acts: { checked: 3, refused: 2, newly_allowed: 0, by_rule: { tickets: 2 } },
      complete: true,
    })
    assert.equal(expectOk(await server.call('GET', '/v1/policy')).version, 0)
    assert.equal(expectOk(await server.call('GET', `/v1/sessions/${without.session_id}`)).status, 'active')
    // And back: under the stricter policy, the default one would allow again.
    expectOk(await put(server, TICKETS, { expect_refused: 1 }))
    const { acts, live } = expectOk(await whatIf(server, ALL))
    assert.deepEqual([acts.refused, acts.newly_allowed, live.refused], [0, 2, 0])
    // A text that permits nothing.
    const nothing = expectOk(await whatIf(server, '@id("x") forbid (principal, action, resource) when { false };'))
    assert.deepEqual(nothing.acts.by_rule, { '(none)': 1 })
  })

  it('decides about a past token at the time of its creation, and looks back as many days as asked', async () => {
    await using server = await testServer()
    // The clock of the tests begins at 0:00 in UTC.
    for (let i = 0; i < 3; i++) await server.createActorToken()
    server.clock.advance(12 * 3_600)
    await server.createActorToken()
    const night = `${ALL}\n${forbid('night', 'context.time.minute < 60')}`
    assert.deepEqual(expectOk(await whatIf(server, night)).acts.by_rule, { night: 3 })
    server.clock.advance(86_400)
    assert.equal(expectOk(await whatIf(server, night, { days: 1 })).acts.checked, 1)
    assert.equal(expectOk(await whatIf(server, night, { days: 0 })).acts.checked, 0)
    assert.equal(expectOk(await whatIf(server, night, { days: 2 })).acts.checked, 4)
  })

  it('uses what is known about users and actors now, and skips deleted users', async () => {
    await using server = await testServer()
    const kept = await server.createActorToken({ actor: { sub: 'olivia' } })
    const gone = await server.createActorToken({ actor: { sub: 'olivia' } })
    const team = `@id("team") permit (principal in Team::"support", action in Action::"act", resource);`
    assert.equal(expectOk(await whatIf(server, team)).acts.refused, 2)
    expectOk(await server.call('PUT', '/v1/actors/olivia', { kind: 'operator', teams: ['support'] }))
    assert.equal(expectOk(await whatIf(server, team)).acts.refused, 0)
    expectOk(await server.call('DELETE', `/v1/users/${gone.user_id}`))
    const { acts } = expectOk(await whatIf(server, team))
    assert.deepEqual([acts.checked, acts.refused], [1, 0])
    assert.ok(kept.id)
  })

  it('is refused for a policy that could not be applied', async () => {
    await using server = await testServer()
    await server.signIn()
    for (const sessions of [0, 1]) {
      const answer = await whatIf(server, 'permit (principal, action, resource')
      assert.deepEqual([answer.status, answer.codes], [422, ['policy_invalid']], `${sessions}`)
      assert.equal(answer.body.errors[0].meta.errors[0].line, 1)
    }
    const hostile = await whatIf(server, `${ALL}${'('.repeat(200)}`)
    assert.ok([413, 422].includes(hostile.status), hostile.text)
    await server.signIn()
  })

  it('reads many tokens in pages', async () => {
    await using server = await testServer({ checkResponses: false })
    const { id: user_id } = await server.createUser()
    let left = 1_203
    const create = async () => {
      while (left-- > 0) await server.createActorToken({ user_id })
    }
    await Promise.all(Array.from({ length: 20 }, create))
    const { acts, complete } = expectOk(await whatIf(server, TICKETS))
    assert.deepEqual([acts.checked, acts.refused, complete], [1_203, 1_203, true])
  })
})

describe('a change that would end active sessions', () => {
  it('is applied only if as many were expected; the refusal names them', async () => {
    await using server = await testServer()
    const sessions = await Promise.all([1, 2].map(() => server.signIn({ actor: { sub: 'olivia' } })))
    for (const expect_refused of [undefined, 0, 1]) {
      const answer = await put(server, TICKETS, { expect_refused })
      assert.deepEqual([answer.status, answer.codes], [400, ['policy_ends_sessions']])
      const { meta } = answer.body.errors[0]
      assert.deepEqual([meta.refused, meta.expect_refused], [2, expect_refused ?? 0])
      assert.deepEqual(
        meta.sessions.map(({ session_id }: { session_id: string }) => session_id).sort(),
        sessions.map(({ session_id }) => session_id).sort(),
      )
      assert.equal(expectOk(await server.call('GET', '/v1/policy')).version, 0)
    }
    for (const { session_id, cookie } of sessions)
      expectOk(await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie }))
    expectOk(await put(server, TICKETS, { expect_refused: 2 }))
    const { reevaluation } = server.stagedoor.services.store
    await until(async () => (await reevaluation.latest(1)).length === 0, 'the sessions go on')
    expectOk(await put(server, ALL))
    // A rollback is such a change too.
    await server.signIn({ actor: { sub: 'olivia' } })
    const back = await server.call('POST', '/v1/policy/rollback', { version: 1 })
    assert.deepEqual([back.status, back.codes], [400, ['policy_ends_sessions']])
    expectOk(await server.call('POST', '/v1/policy/rollback', { version: 1, expect_refused: 1 }))
  })
})

describe('what if the facts were others', () => {
  const ask = (server: TestServer, fields: object) => server.call('POST', '/v1/policy/what_if', fields)
  const TEAM = `@id("team") permit (principal in Team::"support", action in Action::"act", resource);`
  const refusedBy = (live: { sessions: { session_id: string; determined_by: string[] }[] }) =>
    live.sessions.map(({ session_id, determined_by }) => [session_id, ...determined_by])

  it('names the sessions and counts the tokens that another registration of an actor would refuse', async () => {
    await using server = await testServer()
    const register = (sub: string, fields: object) =>
      server.call('PUT', `/v1/actors/${sub}`, { kind: 'operator', ...fields })
    for (const sub of ['olivia', 'nina']) expectOk(await register(sub, { teams: ['support'] }))
    expectOk(await put(server, TEAM))
    const { session_id } = await server.signIn({ actor: { sub: 'olivia' } })
    await server.signIn({ actor: { sub: 'nina' } })
    const nobody = { sub: 'olivia', kind: 'operator' }
    const answer = expectOk(await ask(server, { registration: nobody }))
    assert.deepEqual(refusedBy(answer.live), [[session_id]])
    assert.deepEqual([answer.live.checked, answer.live.refused, answer.policy_version], [2, 1, 1])
    assert.deepEqual(answer.acts, { checked: 2, refused: 1, newly_allowed: 0, by_rule: { '(none)': 1 } })
    // Together with another policy, which alone would end both sessions.
    const tier2 = TEAM.replace('support', 'tier-2')
    assert.equal(expectOk(await ask(server, { text: tier2, off })).live.refused, 2)
    const both = expectOk(await ask(server, { text: tier2, off, registration: { ...nobody, teams: ['tier-2'] } }))
    assert.deepEqual([both.live.refused, both.acts.refused], [1, 1])
    // A disabled actor gets no tokens, but their sessions do not end by a policy.
    const disabled = { ...nobody, teams: ['support'], disabled: true }
    const { live, acts } = expectOk(await ask(server, { registration: disabled }))
    assert.deepEqual([live.refused, acts.by_rule], [0, { 'base.blocked': 1 }])
    // Nothing has changed yet. The real change has the result that was predicted.
    assert.deepEqual(expectOk(await server.call('GET', '/v1/actors/olivia')).teams, ['support'])
    assert.equal(expectOk(await server.call('GET', `/v1/sessions/${session_id}`)).status, 'active')
    expectOk(await register('olivia', {}))
    assert.equal((await server.call('POST', `/v1/sessions/${session_id}/tokens`)).status, 401)
  })

  it('sees that the user becomes an operator, that actors lose their owner, and that an actor has an own user', async () => {
    await using server = await testServer()
    expectOk(await put(server, ALL, { off: ['base.reason', 'base.upward'] }))
    const acted = await server.signIn({ actor: { sub: 'olivia' } })
    const registration = { sub: 'somebody', kind: 'operator', user_id: acted.user_id }
    const operator = expectOk(await ask(server, { registration }))
    assert.deepEqual(refusedBy(operator.live), [[acted.session_id, 'base.operators']])
    const self = expectOk(await ask(server, { registration: { ...registration, sub: 'olivia' } }))
    assert.deepEqual(self.live.sessions[0].determined_by.sort(), ['base.operators', 'base.self'])

    const owned = `@id("owned") permit (principal is Agent, action in Action::"act", resource)
when { principal has owner && principal.owner in Team::"support" };`
    expectOk(await server.call('PUT', '/v1/actors/nina', { kind: 'operator', teams: ['support'] }))
    expectOk(await server.call('PUT', '/v1/actors/robot', { kind: 'agent', owner_sub: 'nina' }))
    expectOk(await put(server, owned, { expect_refused: 1 }))
    const agent = await server.signIn({ actor: { sub: 'robot' } })
    const without = expectOk(await ask(server, { registration: { sub: 'nina', kind: 'operator' } }))
    assert.ok(refusedBy(without.live).some(([id]) => id === agent.session_id))
    const same = expectOk(await ask(server, { registration: { sub: 'nina', kind: 'operator', teams: ['support'] } }))
    assert.ok(!refusedBy(same.live).some(([id]) => id === agent.session_id))
  })

  it('names what other metadata of a user would refuse, of the one who is acted as and of the one who acts', async () => {
    await using server = await testServer()
    const acted = await server.signIn({ actor: { sub: 'olivia' } })
    await server.signIn()
    const suppose = (id: string, stagedoor: unknown) =>
      ask(server, { user: { id, private_metadata: { stagedoor } }, days: 1 })
    const { live, acts } = expectOk(await suppose(acted.user_id, { protected: true }))
    assert.deepEqual(refusedBy(live), [[acted.session_id, 'base.protected']])
    assert.deepEqual([acts.checked, acts.refused, acts.by_rule], [2, 1, { 'base.protected': 1 }])
    assert.equal(expectOk(await suppose(acted.user_id, {})).live.refused, 0)

    const { id: sub } = await server.createUser({ private_metadata: { stagedoor: { teams: ['support'] } } })
    expectOk(await put(server, TEAM, { expect_refused: 2 }))
    const own = await server.signIn({ actor: { sub } })
    const demoted = expectOk(await suppose(sub, { teams: [] }))
    assert.ok(refusedBy(demoted.live).some(([id]) => id === own.session_id))
    assert.deepEqual([demoted.acts.refused, demoted.acts.newly_allowed], [1, 0])
  })

  it('needs a policy, an actor or a user, in the right form', async () => {
    await using server = await testServer()
    const { id } = await server.createUser()
    const user = (fields: object) => ({ user: { id, private_metadata: {}, ...fields } })
    for (const [fields, status, param] of [
      [{}, 422, 'text'],
      [{ days: 1 }, 422, 'text'],
      [{ registration: { sub: 'a' } }, 422, 'registration.kind'],
      [{ registration: { sub: '', kind: 'operator' } }, 422, 'registration.sub'],
      [{ registration: { sub: 'a', kind: 'operator', user_id: 'user_x' } }, 422, 'registration.user_id'],
      [user({ private_metadata: { stagedoor: { level: 'x' } } }), 422, 'user.private_metadata'],
      [user({ private_metadata: [] }), 422, 'user.private_metadata'],
      [user({ id: 'user_unknown' }), 404, undefined],
    ] as const) {
      const answer = await ask(server, fields)
      assert.deepEqual([answer.status, answer.body.errors[0].meta.param_name], [status, param], JSON.stringify(fields))
    }
  })
})
