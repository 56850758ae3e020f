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
