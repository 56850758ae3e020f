import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { times } from '../../../test/support/deep.ts'
import { expectOk, SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'
import { until } from '../../../test/support/time.ts'
import { reevaluateSessions } from '../src/domain/reevaluation.ts'

const ALL = '@id("all") permit (principal, action in Action::"act", resource);'
const forbid = (id: string, when: string) =>
  `@id("${id}") forbid (principal, action in Action::"act", resource) when { ${when} };`

const put = async (server: TestServer, text: string, off: string[] = []) =>
  expectOk(await server.call('PUT', '/v1/policy', { text, off: ['base.reason', ...off], expect_refused: 1_000 }))
const register = async (server: TestServer, sub: string, fields: object = {}) =>
  expectOk(await server.call('PUT', `/v1/actors/${encodeURIComponent(sub)}`, { kind: 'operator', ...fields }))
const setFacts = async (server: TestServer, id: string, stagedoor: object | null) =>
  expectOk(await server.call('PATCH', `/v1/users/${id}/metadata`, { private_metadata: { stagedoor } }))
const statusOf = async (server: TestServer, { session_id }: { session_id: string }) =>
  expectOk(await server.call('GET', `/v1/sessions/${session_id}`)).status

/** Waits until nothing is due: every decision is on what is in force now. */
async function settled(server: TestServer): Promise<void> {
  const { reevaluation } = server.stagedoor.services.store
  await until(async () => (await reevaluation.due(1)).length === 0, 'sessions are still due', 20_000)
}

/** Counts evaluations from now on. */
function countDecisions({ stagedoor }: TestServer): { count: number } {
  const { policy } = stagedoor.services
  const { decide } = policy
  const counted = { count: 0 }
  policy.decide = (...args) => {
    counted.count += 1
    return decide.apply(policy, args)
  }
  return counted
}

describe('sessions whose tokens are out', () => {
  it('end without a mint when the policy, the user or the actor changes; others go on', async () => {
    await using server = await testServer()
    const olivia = await server.createUser({ external_id: 'olivia' })
    const { id: user_id } = await server.createUser()
    const changes: [string, () => Promise<unknown>, string][] = [
      ['the policy', () => put(server, `${ALL}\n${forbid('no', 'true')}`), 'no'],
      ['a fact of the user', () => setFacts(server, user_id, { protected: true }), 'base.protected'],
      ['a registered actor', () => register(server, 'olivia', { teams: ['away'] }), 'away'],
      ['the first registration of an actor', () => register(server, 'olivia', { teams: ['away'] }), 'away'],
      ['the deletion of an actor', () => server.call('DELETE', '/v1/actors/nina'), 'unknown'],
      ['the account of an actor', () => setFacts(server, olivia.id, { teams: ['away'] }), 'away'],
      [
        'the external id of an actor’s account',
        () => server.call('PATCH', `/v1/users/${olivia.id}`, { external_id: 'other' }),
        'unknown',
      ],
    ]
    for (const [what, change, rule] of changes) {
      await server.call('DELETE', '/v1/actors/olivia')
      await setFacts(server, user_id, null)
      await setFacts(server, olivia.id, null)
      // Without a registration, the user with this external id is the actor. Nina has no account.
      const sub = what === 'the deletion of an actor' ? 'nina' : 'olivia'
      if (what === 'a registered actor' || sub === 'nina') await register(server, sub)
      const unknown = rule === 'unknown' ? forbid('unknown', '!principal.registered') : ''
      const rules = [ALL, forbid('away', 'principal in Team::"away" && principal.level == 0'), unknown]
      await put(server, rules.join('\n'), ['base.operators', 'base.upward', 'base.self'])
      await settled(server)
      const session = await server.signIn({ user_id, actor: { sub } })
      const other = await server.signIn({ actor: { sub: olivia.id } })
      const own = expectOk(await server.call('POST', '/v1/sessions', { user_id }))
      await change()
      await until(async () => (await statusOf(server, session)) !== 'active', `${what} ended nothing`)
      assert.equal(await statusOf(server, session), 'revoked', what)
      const events = await server.auditEvents({ session_id: session.session_id, action: 'session.revoke' })
      assert.deepEqual(
        events.map(({ reason, principal, details }) => [reason, principal.type, details]),
        [
          [
            `policy: ${rule}`,
            'system',
            { policy: { version: events[0] && policyOf(events[0]), determined_by: [rule] } },
          ],
        ],
        what,
      )
      await settled(server)
      assert.equal(expectOk(await server.call('GET', `/v1/sessions/${own.id}`)).status, 'active', 'no actor')
      if (['a fact of the user', 'a registered actor'].includes(what))
        assert.equal(await statusOf(server, other), 'active', what)
    }
  })

  it('of an agent end when its owner may no longer act', async () => {
    await using server = await testServer()
    await register(server, 'olivia')
    await register(server, 'agent', { kind: 'agent', owner_sub: 'olivia' })
    await put(server, `${ALL}\n${forbid('owned', 'principal is Agent && !(principal has owner)')}`)
    const session = await server.signIn({ actor: { sub: 'agent' } })
    await settled(server)
    assert.equal(await statusOf(server, session), 'active')
    await register(server, 'olivia', { disabled: true })
    await until(async () => (await statusOf(server, session)) === 'revoked', 'the session is still active')
  })

  it('stay active through a lock, and get no tokens until it ends', async () => {
    await using server = await testServer()
    const account = await server.createUser()
    await register(server, 'olivia', { user_id: account.id })
    const mia = await server.createUser({ external_id: 'mia' })
    for (const [sub, locked] of [
      ['nina', undefined],
      ['mia', mia.id],
      ['olivia', account.id],
    ] as const) {
      const session = await server.signIn({ actor: { sub } })
      const mint = () => server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie })
      const path = `/v1/users/${locked ?? session.user_id}`
      expectOk(await mint())
      expectOk(await server.call('POST', `${path}/lock`))
      assert.equal((await mint()).status, 401, sub)
      await settled(server)
      assert.deepEqual([await statusOf(server, session), (await mint()).status], ['active', 401], sub)
      await put(server, ALL, ['base.operators'])
      await settled(server)
      assert.deepEqual([await statusOf(server, session), (await mint()).status], ['active', 401], sub)
      expectOk(await server.call('POST', `${path}/unlock`))
      expectOk(await mint())
      await settled(server)
      expectOk(await server.call('POST', `${path}/lock`))
      await settled(server)
      await setFacts(server, session.user_id, { protected: true })
      // Another rule refuses it too.
      await until(async () => (await statusOf(server, session)) === 'revoked', `the session of ${sub} is still active`)
      expectOk(await server.call('POST', `${path}/unlock`))
    }
  })

  it('end when the time comes', async () => {
    await using server = await testServer()
    // The clock of the tests begins at 0:00 in UTC.
    await put(server, `${ALL}\n${forbid('late', 'context.time.minute >= 2')}`)
    const session = await server.signIn({ actor: { sub: 'olivia' } })
    server.clock.advance(119)
    await settled(server)
    assert.equal(await statusOf(server, session), 'active')
    server.clock.advance(1)
    await until(async () => (await statusOf(server, session)) === 'revoked', 'the session is still active')
  })

  it('are on the revocation feed', async () => {
    await using server = await testServer({ realTime: true })
    await using feed = await followed(server)
    const session = await server.signIn({ actor: { sub: 'olivia' } })
    await put(server, `${ALL}\n${forbid('no', 'true')}`)
    await until(() => feed.text().includes(session.session_id), 'the feed does not tell')
  })

  it('need no decision at the next mint, if they are still allowed', async () => {
    await using server = await testServer()
    const session = await server.signIn({ actor: { sub: 'olivia' } })
    await put(server, ALL)
    await settled(server)
    const decisions = countDecisions(server)
    const { session_id, cookie } = session
    for (let i = 0; i < 20; i++) expectOk(await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie }))
    assert.equal(decisions.count, 0)
    await setFacts(server, session.user_id, { level: 0 })
    await settled(server)
    assert.ok(decisions.count > 0)
  })

  it('end once, although many jobs work at the same time and the facts keep changing', async () => {
    await using server = await testServer()
    const sessions = await Promise.all(Array.from({ length: 30 }, () => server.signIn({ actor: { sub: 'olivia' } })))
    const system = () => server.stagedoor.context({ type: 'system', id: null })
    for (let round = 0; round < times(6, 300); round++) {
      const chosen = sessions.filter((_, n) => n % 7 === round % 7)
      await Promise.all([
        ...chosen.map(({ user_id }, n) =>
          setFacts(server, user_id, n % 2 === 0 ? { protected: true } : { level: round }),
        ),
        ...Array.from({ length: 4 }, () => reevaluateSessions(system(), { limit: 10 })),
        put(server, `${ALL}\n// ${round}`),
      ])
    }
    await settled(server)
    for (const session of sessions) {
      const { private_metadata } = expectOk(await server.call('GET', `/v1/users/${session.user_id}`))
      const isProtected = private_metadata.stagedoor?.protected === true
      // A user can have been protected in between: then the session ended, and stays ended.
      if (isProtected) assert.equal(await statusOf(server, session), 'revoked')
      const ends = await server.auditEvents({ session_id: session.session_id, action: 'session.revoke' })
      assert.equal(ends.length, (await statusOf(server, session)) === 'revoked' ? 1 : 0)
    }
    const active = await Promise.all(sessions.map(session => statusOf(server, session)))
    assert.ok(active.includes('active') && active.includes('revoked'), `${active}`)
  })

  it('stay due if something changes between the decision and its write', async () => {
    await using server = await testServer()
    const session = await server.signIn({ actor: { sub: 'olivia' } })
    const { reevaluation } = server.stagedoor.services.store
    const { write } = reevaluation
    let changes = 0
    reevaluation.write = async decisions => {
      if (decisions.length > 0 && changes++ === 0) await setFacts(server, session.user_id, { protected: true })
      return write(decisions)
    }
    await setFacts(server, session.user_id, { level: 0 })
    await until(async () => (await statusOf(server, session)) === 'revoked', 'the session is still active')
    assert.equal(changes, 2)
  })

  it('are not decided about while the engine fails, and are afterwards', async () => {
    await using server = await testServer()
    const session = await server.signIn({ actor: { sub: 'olivia' } })
    const { policy } = server.stagedoor.services
    const { decide } = policy
    policy.decide = () => {
      throw Object.assign(new Error('broken'), { code: 'policy_unavailable' })
    }
    await setFacts(server, session.user_id, { protected: true })
    const mint = () => server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie })
    assert.equal((await mint()).status, 503)
    assert.equal(await statusOf(server, session), 'active')
    policy.decide = decide
    await until(async () => (await statusOf(server, session)) === 'revoked', 'the session is still active')
  })
})

const policyOf = ({ details }: Record<string, unknown>) => (details as { policy: { version: number } }).policy.version

async function followed(server: TestServer) {
  const url = await server.listen()
  const stop = new AbortController()
  const answer = await fetch(`${url}/v1/revocations`, {
    headers: { authorization: `Bearer ${SECRET_KEY}` },
    signal: stop.signal,
  })
  let received = ''
  const reading = (async () => {
    for await (const chunk of answer.body ?? []) received += new TextDecoder().decode(chunk)
  })().catch(() => {})
  return {
    text: () => received,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await reading
    },
  }
}
