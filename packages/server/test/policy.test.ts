import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testDatabase } from '../../../test/support/database.ts'
import { times } from '../../../test/support/deep.ts'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type Answer, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const example = (name: string) => readFileSync(new URL(`../../../examples/policies/${name}`, import.meta.url), 'utf8')

const ALL = '@id("all") permit (principal, action in Action::"act", resource);'
const SUPPORT = `@id("support") @title("Support acts.")
permit (principal in Team::"support", action in Action::"act", resource);

@id("tickets") @message("A ticket is required.")
forbid (principal, action in Action::"act", resource) unless { context has reason && context.reason has ticket };
`

const put = (server: TestServer, text: string, fields: object = {}) =>
  server.call('PUT', '/v1/policy', { text, off: ['base.reason'], expect_refused: 1_000, ...fields })
const register = async (server: TestServer, sub: string, fields: object = {}) =>
  expectOk(await server.call('PUT', `/v1/actors/${sub}`, { kind: 'operator', ...fields }))
const act = (server: TestServer, user_id: string, sub: string, fields: object = {}) =>
  server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub }, ...fields })
const mint = (server: TestServer, { session_id, cookie }: { session_id: string; cookie: string }) =>
  server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie })
const setMetadata = async (server: TestServer, id: string, stagedoor: object) =>
  expectOk(await server.call('PATCH', `/v1/users/${id}/metadata`, { private_metadata: { stagedoor } }))

/** Checks that acting was refused. @returns what the server tells about the refusal */
function refused(answer: Answer, determined_by: string[]) {
  assert.deepEqual([answer.status, answer.codes], [403, ['acting_refused']], answer.text)
  const { meta } = answer.body.errors[0]
  assert.deepEqual(
    meta.determined_by.map(({ id }: { id: string }) => id),
    determined_by,
  )
  return meta
}

describe('the default policy', () => {
  it('lets any actor act that the backend names, as Clerk does, and refuses protected users', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    expectOk(await act(server, id, 'olivia'))
    expectOk(await act(server, id, 'nightly', { actor: { sub: 'nightly', kind: 'agent', act: { sub: 'olivia' } } }))
    const { version, text } = expectOk(await server.call('GET', '/v1/policy'))
    assert.equal(version, 0)
    assert.match(text, /default\.backend/)
    await setMetadata(server, id, { protected: true })
    refused(await act(server, id, 'olivia'), ['base.protected'])
  })

  it('reads facts of a user only in the right form: a wrong one is refused when it is written', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    for (const stagedoor of ['x', { protected: 'yes' }, { level: '3' }, { teams: 'a' }, { unknown: 1 }]) {
      const private_metadata = { stagedoor }
      for (const [method, path] of [
        ['POST', '/v1/users'],
        ['PATCH', `/v1/users/${id}`],
        ['PATCH', `/v1/users/${id}/metadata`],
      ] as const) {
        const { status, body } = await server.call(method, path, { private_metadata })
        assert.deepEqual([status, body.errors[0].meta.param_name], [422, 'private_metadata'], JSON.stringify(stagedoor))
      }
    }
    // Other metadata is the app's own, and users can change the unsafe one.
    expectOk(await server.call('PATCH', `/v1/users/${id}/metadata`, { unsafe_metadata: { stagedoor: { level: 'x' } } }))
  })
})

describe('a policy', () => {
  it('says what would help for at most five refusals per key and second; explain always does', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    await register(server, 'olivia', { teams: ['support'] })
    expectOk(await put(server, SUPPORT))
    const { policy } = server.stagedoor.services
    const decide = policy.decide.bind(policy)
    /** Evaluations beyond the decision itself. */
    let searched = 0
    policy.decide = (version, facts, access, options) => {
      if (options === undefined) searched += 1
      return decide(version, facts, access, options)
    }
    const needs = async () => refused(await act(server, id, 'olivia'), ['tickets']).needs
    const many = async (count: number) => {
      const found: unknown[] = []
      while (found.length < count) found.push(...(await Promise.all(Array.from({ length: 20 }, needs))))
      return found.filter(each => each !== null)
    }
    assert.deepEqual(await many(1_000), Array(5).fill([['ticket']]))
    const per = searched / 5
    assert.ok(per >= 1 && per <= 10, `${per} decisions for one refusal`)
    // Another key has its own limit, and so has the next second.
    const { secret } = expectOk(await server.call('POST', '/v1/secret_keys', { name: 'other', rights: ['act'] }))
    const other = { authorization: `Bearer ${secret}` }
    const body = { user_id: id, actor: { sub: 'olivia' } }
    const second = await server.call('POST', '/v1/actor_tokens', body, other)
    assert.deepEqual(refused(second, ['tickets']).needs, [['ticket']])
    assert.equal(searched, 6 * per)
    const explained = async () => expectOk(await server.call('POST', '/v1/policy/explain', body)).needs
    for (let n = 0; n < 8; n++) assert.deepEqual(await explained(), [['ticket']])
    server.clock.advance(0.999)
    assert.deepEqual(await many(20), [])
    server.clock.advance(0.001)
    assert.deepEqual(await many(20), Array(5).fill([['ticket']]))
  })

  it('is applied with warnings about what it probably does not do', async () => {
    await using server = await testServer({ env })
    const text = `${SUPPORT}@id("odd") permit (principal, action in Action::"act", resource)
when { principal has teem || context.approvals > 0 };`
    const expected = [
      ['odd', 7, 22, '`principal` never has `teem`, so this condition is always false.'],
      ['odd', 7, 38, 'Nothing provides `context.approvals` yet: it is always 0.'],
    ]
    const shown = (warnings: { id: string; line: number; column: number; message: string }[]) =>
      warnings.map(({ id, line, column, message }) => [id, line, column, message])
    assert.deepEqual(shown(expectOk(await server.call('POST', '/v1/policy/check', { text })).warnings), expected)
    assert.deepEqual(shown(expectOk(await put(server, text)).warnings), expected)
    assert.deepEqual(expectOk(await put(server, SUPPORT)).warnings, [])
    assert.deepEqual(
      shown(expectOk(await server.call('POST', '/v1/policy/rollback', { version: 1 })).warnings),
      expected,
    )
    assert.equal('warnings' in expectOk(await server.call('GET', '/v1/policy')), false)
  })

  it('decides when a token is created: by team, by reason; the refusal names the rules and what would help', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    expectOk(await put(server, SUPPORT))
    assert.deepEqual(refused(await act(server, id, 'olivia', { ticket: 'T-1' }), []).needs, [])
    await register(server, 'olivia', { teams: ['support'] })
    const meta = refused(await act(server, id, 'olivia'), ['tickets'])
    assert.deepEqual(meta.needs, [['ticket']])
    assert.equal(meta.determined_by[0].message, 'A ticket is required.')
    expectOk(await act(server, id, 'olivia', { ticket: 'T-1' }))
    // Clerk's clients can send it in the actor payload only.
    expectOk(await act(server, id, 'olivia', { actor: { sub: 'olivia', ticket: 'T-1' } }))
    const events = expectOk(await server.call('GET', '/v1/audit_events?action=actor_token.create'))
    assert.deepEqual(
      events.map(({ details }: { details: { policy: object } }) => details.policy),
      [['support'], ['support'], ['tickets'], []].map(determined_by => ({ version: 1, determined_by })),
    )
  })

  it('decides again when a ticket is redeemed; a browser does not learn why, and the token stays pending', async () => {
    await using server = await testServer({ env })
    const token = await server.createActorToken({ actor: { sub: 'olivia' } })
    const redeem = () => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token })
    expectOk(await put(server, SUPPORT))
    const byTeam = await redeem()
    await register(server, 'olivia', { teams: ['support'] })
    const byTicket = await redeem()
    for (const answer of [byTeam, byTicket]) {
      assert.deepEqual([answer.status, answer.codes], [403, ['acting_refused']])
      assert.deepEqual(answer.body.errors, byTeam.body.errors)
      assert.doesNotMatch(answer.text, /tickets|support|determined/)
    }
    refused(await server.call('POST', '/v1/actor_tokens/accept', { ticket: token.token }), ['tickets'])
    assert.equal(expectOk(await server.call('GET', `/v1/actor_tokens/${token.id}`)).status, 'pending')
    expectOk(await server.call('POST', '/v1/policy/rollback', { version: 0 }))
    expectOk(await redeem())
  })

  it('decides again at the next mint after the policy, the actor or the user changed, and ends the session', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    for (const [narrow, widen, rule] of [
      [() => put(server, SUPPORT), () => server.call('POST', '/v1/policy/rollback', { version: 0 }), 'tickets'],
      [
        () =>
          server.call('PATCH', `/v1/users/${user_id}/metadata`, {
            private_metadata: { stagedoor: { protected: true } },
          }),
        () => server.call('PATCH', `/v1/users/${user_id}/metadata`, { private_metadata: { stagedoor: null } }),
        'base.protected',
      ],
    ] as const) {
      await register(server, 'olivia', { teams: ['support'] })
      const session = await server.signIn({ user_id, actor: { sub: 'olivia' } })
      expectOk(await mint(server, session))
      expectOk(await narrow())
      assert.equal((await mint(server, session)).status, 401)
      const ended = expectOk(await server.call('GET', `/v1/sessions/${session.session_id}`))
      assert.equal(ended.status, 'revoked')
      const [event] = await server.auditEvents({ session_id: session.session_id, action: 'session.revoke' })
      assert.equal(event?.reason, `policy: ${rule}`)
      expectOk(await widen())
      assert.equal((await mint(server, session)).status, 401, 'what ended stays ended')
    }
  })

  it('is not evaluated by a mint when nothing changed', async () => {
    await using server = await testServer({ env })
    expectOk(await put(server, ALL))
    const session = await server.signIn({ actor: { sub: 'olivia' } })
    const { policy } = server.stagedoor.services
    let evaluations = 0
    const { decide } = policy
    policy.decide = (...args) => {
      evaluations += 1
      return decide.apply(policy, args)
    }
    for (let i = 0; i < 50; i++) expectOk(await mint(server, session))
    assert.equal(evaluations, 0)
    expectOk(await put(server, `${ALL}\n// the same in another version`))
    for (let i = 0; i < 50; i++) expectOk(await mint(server, session))
    // The job that decides about sessions again may be first.
    assert.ok([1, 2].includes(evaluations as number), `${evaluations}`)
    policy.decide = decide
  })

  it('that names a person or an external id decides about each person', async () => {
    await using server = await testServer({ env })
    const users = [await server.createUser({ external_id: 'vip' }), await server.createUser({ external_id: 'other' })]
    const [vip, other] = users.map(({ id }) => id) as [string, string]
    for (const condition of [
      `resource == User::"${vip}"`,
      `[User::"${vip}"].contains(resource)`,
      'resource has external_id && resource.external_id == "vip"',
      // The same name, written differently.
      'resource has "external\\u{5f}id" && resource["external\\u{5f}id"] == "vip"',
    ]) {
      const rule = `@id("vip") forbid (principal, action in Action::"act", resource) when { ${condition} };`
      expectOk(await put(server, `${ALL}\n${rule}`))
      for (let again = 0; again < 2; again++) {
        expectOk(await act(server, other, 'olivia'))
        refused(await act(server, vip, 'olivia'), ['vip'])
      }
    }
    expectOk(await put(server, `${ALL}\n@id("me") forbid (principal == Operator::"mia", action, resource);`))
    expectOk(await act(server, other, 'olivia'))
    refused(await act(server, other, 'mia'), ['me'])
  })

  it('that depends on the time is decided again when the time comes', async () => {
    await using server = await testServer({ env: { ...env, STAGEDOOR_TIME_ZONE: 'Europe/Berlin' } })
    // The clock of the tests begins on Thursday, 2026-01-01, at 0:00 in UTC: 1:00 in Berlin.
    const business = `${ALL}\n@id("early") forbid (principal, action in Action::"act", resource) when { context.time.minute >= 62 };`
    expectOk(await put(server, business))
    const session = await server.signIn({ actor: { sub: 'olivia' } })
    server.clock.advance(119)
    expectOk(await mint(server, session))
    server.clock.advance(1)
    assert.equal((await mint(server, session)).status, 401)
  })

  it('decides on what it read in the last minute, and reads again whenever that has changed', async () => {
    await using server = await testServer({ env })
    await register(server, 'olivia', { teams: ['support'] })
    await register(server, 'norbert')
    expectOk(await put(server, '@id("s") permit (principal in Team::"support", action in Action::"act", resource);'))
    const { id } = await server.createUser()
    const { actorTokens } = server.stagedoor.services.store
    const find = actorTokens.findForDecision
    let reads = 0
    actorTokens.findForDecision = async (user_id, actor_sub) => {
      reads += 1
      return find(user_id, actor_sub)
    }
    const readsOf = async (work: () => Promise<unknown>) => {
      const before = reads
      await work()
      return reads - before
    }
    const create = async (sub = 'olivia') => expectOk(await act(server, id, sub)).token
    const redeem = async (ticket: string) =>
      expectOk(await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket }))
    const createAndRedeem = async () => redeem(await create())
    assert.equal(await readsOf(createAndRedeem), 1)
    assert.equal(await readsOf(createAndRedeem), 0)
    server.clock.advance(61)
    assert.equal(await readsOf(createAndRedeem), 1)
    // A refusal is never decided on an earlier read.
    assert.equal(await readsOf(async () => refused(await act(server, id, 'norbert'), [])), 1)
    assert.equal(await readsOf(async () => refused(await act(server, id, 'norbert'), [])), 1)
    await register(server, 'norbert', { teams: ['support'] })
    assert.equal(await readsOf(() => create('norbert')), 1)
    const changes: [narrow: () => Promise<unknown>, widen: () => Promise<unknown>, rules: string[]][] = [
      [
        () => setMetadata(server, id, { protected: true }),
        () => setMetadata(server, id, { protected: false }),
        ['base.protected'],
      ],
      [() => register(server, 'olivia', { teams: [] }), () => register(server, 'olivia', { teams: ['support'] }), []],
      [
        async () => expectOk(await put(server, `${ALL} @id("no") forbid (principal, action, resource);`)),
        async () => expectOk(await put(server, ALL)),
        ['no'],
      ],
    ]
    for (const [narrow, widen, rules] of changes) {
      const ticket = await create()
      await narrow()
      refused(await act(server, id, 'olivia'), rules)
      const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket })
      assert.deepEqual([answer.status, answer.codes], [403, ['acting_refused']], answer.text)
      await widen()
      await redeem(ticket)
    }
  })

  it('gives no token for what it refuses, although users and actors change at the same time', async () => {
    await using server = await testServer({ env })
    await register(server, 'olivia', { teams: ['support'] })
    expectOk(await put(server, '@id("s") permit (principal in Team::"support", action in Action::"act", resource);'))
    const rounds = times(25, 10_000)
    let started = 0
    for (let round = 0; round < rounds; round++) {
      const { id: user_id } = await server.createUser()
      const token = expectOk(await act(server, user_id, 'olivia'))
      const narrow =
        round % 2 === 0
          ? () => setMetadata(server, user_id, { protected: true })
          : () => register(server, 'olivia', { teams: [] })
      const [redeemed] = await Promise.all([
        server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token }),
        sleep(round % 5).then(narrow),
        act(server, user_id, 'olivia'),
      ])
      // The change was acknowledged: whatever started before it gets no token now.
      if (redeemed.status === 200) {
        started += 1
        const session_id = redeemed.body.response.created_session_id
        const cookie = /__client=[^;]+/.exec(redeemed.headers.get('set-cookie') ?? '')?.[0] ?? ''
        const answer = await mint(server, { session_id, cookie })
        assert.equal(
          answer.status,
          401,
          answer.status === 200 ? JSON.stringify(claimsOf(answer.body.jwt)) : answer.text,
        )
      }
      assert.equal((await act(server, user_id, 'olivia')).status, 403)
      await register(server, 'olivia', { teams: ['support'] })
    }
    console.log(`${started} of ${rounds} redemptions were first`)
  })
})

describe('changing the policy', () => {
  it('checks it first, and reports the line of each error', async () => {
    await using server = await testServer({ env })
    const wrong = await put(server, '@id("a")\npermit (principal, action, resource)\nwhen { resource.protcted };')
    assert.deepEqual([wrong.status, wrong.codes], [422, ['policy_invalid']])
    const [error] = wrong.body.errors[0].meta.errors
    assert.deepEqual([error.id, error.line], ['a', 3])
    assert.match(`${error.message} ${error.help}`, /protected/)
    const tests = '{"actor":{"teams":[]},"expect":"allowed"}'
    const failed = await put(server, SUPPORT, { tests })
    assert.deepEqual([failed.status, failed.codes], [422, ['policy_test_failed']])
    assert.deepEqual((await put(server, ALL, { off: ['base.blocked'] })).codes, ['policy_invalid'])
    assert.equal(expectOk(await server.call('GET', '/v1/policy')).version, 0)
    // A hostile text does not affect other requests.
    const hostile = await put(server, `${ALL}${'('.repeat(200)}`)
    assert.ok([413, 422].includes(hostile.status), hostile.text)
    const { id } = await server.createUser()
    expectOk(await act(server, id, 'olivia'))
    const check = expectOk(await server.call('POST', '/v1/policy/check', { text: example('support-tiers.cedar') }))
    assert.deepEqual([check.valid, check.errors], [true, []])
  })

  it('keeps every version, and replaces only the version that it is based on', async () => {
    await using server = await testServer({ env })
    expectOk(await put(server, ALL, { if_version: 0, reason: 'first' }))
    assert.deepEqual((await put(server, SUPPORT, { if_version: 0 })).codes, ['policy_changed_meanwhile'])
    const both = await Promise.all([put(server, SUPPORT, { if_version: 1 }), put(server, ALL, { if_version: 1 })])
    assert.deepEqual(both.map(({ status }) => status).sort(), [200, 400])
    const back = expectOk(await server.call('POST', '/v1/policy/rollback', { version: 1 }))
    assert.deepEqual([back.version, back.text, back.reason], [3, ALL, 'rollback to version 1'])
    assert.equal((await server.call('POST', '/v1/policy/rollback', { version: 9 })).status, 404)
    const { data } = expectOk(await server.call('GET', '/v1/policy/versions?paginated=true'))
    assert.deepEqual(
      data.map(({ version }: { version: number }) => version),
      [3, 2, 1],
    )
    const events = await server.auditEvents({ action: 'policy.change', outcome: 'done' })
    assert.deepEqual(
      events.map(({ target_id }) => target_id),
      ['3', '2', '1'],
    )
  })

  it('decides with the version that won, when several are applied at the same time', async () => {
    await using server = await testServer({ env })
    const { id } = await server.createUser()
    for (let round = 0; round < times(6, 200); round++) {
      const { version } = expectOk(await server.call('GET', '/v1/policy'))
      const texts = [`// ${round}\n${ALL}`, `// ${round}\n${SUPPORT}`]
      await Promise.all(
        (round % 2 === 0 ? texts : texts.toReversed()).map(text => put(server, text, { if_version: version })),
      )
      const inForce = expectOk(await server.call('GET', '/v1/policy'))
      assert.equal(inForce.version, version + 1)
      const allowed = (await act(server, id, 'olivia')).status === 200
      assert.equal(allowed, inForce.text.includes('"all"'), inForce.text)
    }
  })

  it('reaches a second server on the same database', async () => {
    using database = testDatabase(env)
    await using first = await testServer({ env: database.env })
    const { id } = await first.createUser()
    expectOk(await put(first, SUPPORT))
    await first[Symbol.asyncDispose]()
    await using second = await testServer({ env: database.env })
    refused(await act(second, id, 'olivia'), ['tickets'])
  })
})

describe('explaining', () => {
  it('says which rules decide, what is known, and what would help; it creates nothing', async () => {
    await using server = await testServer({ env })
    const { id: user_id } = await server.createUser()
    await register(server, 'olivia', { teams: ['support'], level: 2 })
    expectOk(await put(server, SUPPORT))
    const explain = (fields: object) => server.call('POST', '/v1/policy/explain', fields)
    const no = expectOk(await explain({ user_id, actor: { sub: 'olivia' } }))
    assert.deepEqual(
      [no.decision, no.policy_version, no.needs, no.permitted_by],
      ['refused', 1, [['ticket']], ['support']],
    )
    assert.deepEqual([no.facts.principal.level, no.facts.principal.teams], [2, ['support']])
    const yes = expectOk(await explain({ user_id, actor: { sub: 'olivia' }, ticket: 'T-1' }))
    assert.deepEqual([yes.decision, yes.determined_by[0].id], ['allowed', 'support'])
    assert.deepEqual(expectOk(await server.call('GET', '/v1/actor_tokens')), [])
    assert.equal((await explain({ user_id: 'user_0', actor: { sub: 'olivia' } })).status, 404)
    assert.deepEqual((await explain({ user_id })).codes, ['form_param_missing'])
    const { session_id } = await server.signIn({ user_id, actor: { sub: 'olivia' }, ticket: 'T-1' })
    assert.equal(expectOk(await explain({ session_id })).decision, 'allowed')
    const token = await server.createActorToken({ user_id, actor: { sub: 'olivia' }, ticket: 'T-1' })
    assert.equal(expectOk(await explain({ actor_token_id: token.id })).decision, 'allowed')
    await register(server, 'olivia', { teams: [] })
    const later = expectOk(await explain({ actor_token_id: token.id }))
    assert.deepEqual([later.decision, later.determined_by], ['refused', []])
    assert.equal((await explain({ actor_token_id: 'act_0' })).status, 404)
  })
})
