import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { PolicyEngine } from '../src/domain/policy-engine.ts'
import { DEFAULT_POLICY } from '../src/policy/default-policy.ts'
import { PolicyUnavailableError } from '../src/policy/errors.ts'
import { type CedarModule, newCedar } from '../src/policy/instance.ts'
import { engineForTests, factsWith, prepare } from './policy.ts'

const PERMIT = '@id("all")\n@title("Everything.")\npermit (principal, action in Action::"act", resource);\n'

const ids = ({ determined_by }: { determined_by: readonly { id: string }[] }) => determined_by.map(({ id }) => id)

describe('the default policy', () => {
  const engine = engineForTests()

  it('allows any actor that the backend names, as Clerk does', async () => {
    const { policies } = await engine.load(DEFAULT_POLICY)
    const production = { context: { environment: 'production' } }
    const agent = { principal: { kind: 'agent', sub: 'bot', registered: false }, ...production }
    for (const facts of [
      factsWith(production),
      factsWith(agent),
      factsWith({ resource: { operator: true, level: 9 } }),
    ]) {
      for (const access of ['read', 'write'] as const) {
        const decision = engine.decide(0, facts, access)
        assert.equal(decision.allowed, true)
        assert.deepEqual(ids(decision), ['default.backend'])
        assert.deepEqual(decision.permitted_by, ['default.backend'])
        assert.equal(decision.evaluations, 1)
      }
    }
    assert.equal(policies.at(-1)?.line, 1)
  })

  it('refuses protected users, the own account, and who is blocked', async () => {
    await engine.load(DEFAULT_POLICY)
    const { resource } = factsWith()
    for (const [rule, change] of [
      ['base.protected', { resource: { protected: true } }],
      ['base.self', { principal: { user: resource } }],
      ['base.blocked', { resource: { blocked: true } }],
      ['base.blocked', { principal: { blocked: true } }],
    ] as const) {
      const decision = engine.decide(0, factsWith(change), 'write')
      assert.deepEqual([decision.allowed, ids(decision), decision.permitted_by], [false, [rule], []])
    }
  })

  it('names the permits behind a forbid if asked', async () => {
    await engine.load(DEFAULT_POLICY)
    const decision = engine.decide(0, factsWith({ resource: { protected: true } }), 'write', { explain: true })
    assert.deepEqual([decision.allowed, decision.permitted_by], [false, ['default.backend']])
    const [rule] = decision.determined_by
    const message = 'This user is protected and cannot be acted as.'
    assert.deepEqual(rule, { id: 'base.protected', effect: 'forbid', title: null, message, line: null })
  })
})

describe('a version of the policy', () => {
  const engine = engineForTests()

  it('decides after it is loaded, next to others', async () => {
    assert.equal(engine.loaded(1), undefined)
    assert.throws(() => engine.decide(1, factsWith(), 'read'), { code: 'policy_unavailable' })
    await engine.load(DEFAULT_POLICY)
    const text = `// First\n\n${PERMIT}`
    const [one, again] = await Promise.all([1, 1].map(version => engine.load({ version, text, off: [] })))
    assert.equal(one, again)
    assert.equal(engine.loaded(1), one)
    const decision = engine.decide(1, factsWith(), 'read')
    assert.deepEqual(decision.determined_by[0], {
      id: 'all',
      effect: 'permit',
      title: 'Everything.',
      message: null,
      line: 3,
    })
    const upward = factsWith({ resource: { level: 1 } })
    assert.deepEqual(
      [engine.decide(1, upward, 'read').allowed, engine.decide(0, upward, 'read').allowed],
      [false, true],
    )
  })

  it('makes room for others', async () => {
    for (const version of [2, 3, 4, 5]) await engine.load({ version, text: PERMIT, off: [] })
    assert.equal(engine.loaded(1), undefined)
    for (const version of [2, 3, 4, 5]) assert.equal(engine.decide(version, factsWith(), 'read').allowed, true)
  })

  it('is not loaded if it is invalid', async () => {
    for (const text of ['permit', '@id("a") permit (principal, action, resource) when { resource.protcted };']) {
      await assert.rejects(engine.load({ version: 6, text, off: [] }), { code: 'policy_unavailable' })
    }
    await assert.rejects(engine.load({ version: 6, text: PERMIT, off: ['base.blocked'] }), {
      code: 'policy_unavailable',
    })
    assert.equal(engine.loaded(6), undefined)
  })

  it('refuses everything without a permit', () => {
    const { decide } = prepare('@id("none") forbid (principal, action, resource) when { resource.level > 5 };')
    assert.deepEqual(ids(decide(factsWith(), 'read')), [])
    assert.equal(decide(factsWith(), 'read').allowed, false)
  })
})

describe('a request for `write`', () => {
  const read = '@id("r") permit (principal, action == Action::"read", resource);'
  const write = '@id("w") permit (principal, action == Action::"write", resource);'

  it('needs `read` too', () => {
    const facts = factsWith()
    const results = [read, write, `${read}\n${write}`].map(text => {
      const { decide } = prepare(text)
      return [decide(facts, 'read').allowed, decide(facts, 'write').allowed]
    })
    assert.deepEqual(results, [
      [true, false],
      [false, false],
      [true, true],
    ])
    assert.deepEqual(ids(prepare(`${write}\n${read}`).decide(facts, 'write')), ['w', 'r'])
  })

  it('takes two evaluations only if the policies tell `read` and `write` apart', () => {
    const count = (text: string) => prepare(text).decide(factsWith(), 'write').evaluations
    assert.deepEqual([PERMIT, `${read}\n${write}`].map(count), [1, 2])
    assert.equal(count(`${PERMIT}@id("x") permit (principal, action, resource) when { action in Action::"act" };`), 2)
  })
})

describe('trap 1: without a schema the engine fails open', () => {
  it('the server does not start with an engine that has none', async () => {
    for (const broken of [
      (cedar: CedarModule): CedarModule => ({
        ...cedar,
        statefulIsAuthorized: ({ preparsedSchemaName: _name, ...call }) => cedar.statefulIsAuthorized(call),
      }),
      (cedar: CedarModule): CedarModule => ({
        ...cedar,
        preparseSchema: name => cedar.preparseSchema(name, 'entity User;'),
      }),
    ]) {
      const engine = engineForTests({ newCedar: () => broken(newCedar()) })
      await assert.rejects(engine.load(DEFAULT_POLICY), { code: 'policy_unavailable' })
    }
  })

  it('each call has it, and validates the request', async () => {
    const calls: { preparsedSchemaName?: string; validateRequest?: boolean }[] = []
    const cedar = newCedar()
    const spy: CedarModule = {
      ...cedar,
      statefulIsAuthorized: call => {
        calls.push(call)
        return cedar.statefulIsAuthorized(call)
      },
    }
    const engine = engineForTests({ newCedar: () => spy })
    await engine.load(DEFAULT_POLICY)
    engine.decide(0, factsWith({ resource: { protected: true } }), 'write', { explain: true })
    assert.ok(calls.length > 6)
    assert.ok(calls.every(call => call.preparsedSchemaName !== undefined && call.validateRequest === true))
  })
})

describe('trap 2: a forbid that fails is skipped', () => {
  const failing = `${PERMIT}@id("overflow") forbid (principal, action in Action::"act", resource)
when { context.duration * 9223372036854775807 > 0 };`

  it('any error refuses', () => {
    const decision = prepare(failing).decide(factsWith(), 'read')
    assert.equal(decision.allowed, false)
    assert.deepEqual(decision.determined_by, [])
    assert.equal(decision.errors[0]?.id, 'overflow')
    assert.match(decision.errors[0]?.message ?? '', /overflow/)
  })

  it('facts that the engine does not accept refuse', () => {
    const { decide } = prepare(PERMIT)
    for (const context of [
      { duration: 1.5 },
      { duration: undefined },
      { duration: '1800' },
      { ip: 'not an address' },
      { key: 'half a character \ud800' },
      { now: Number.NaN },
      { scopes: [17] },
      { reason: { ticket: { __entity: { type: 'User', id: 'user' } } } },
    ]) {
      const decision = decide(factsWith({ context }), 'read')
      assert.equal(decision.allowed, false, JSON.stringify(context))
      assert.equal(decision.errors[0]?.id, null)
    }
    assert.equal(decide(factsWith(), 'read').allowed, true)
  })
})

/** An engine whose Cedar can be broken, as a text that overflows its stack does. */
function breakable() {
  let copies = 0
  let broken = 0
  const make = (): CedarModule => {
    const cedar = newCedar()
    copies++
    return {
      ...cedar,
      statefulIsAuthorized: call => {
        if (broken > 0) {
          broken--
          throw new Error('memory access out of bounds')
        }
        return cedar.statefulIsAuthorized(call)
      },
    }
  }
  const engine: PolicyEngine = engineForTests({ newCedar: make })
  const breakNext = (calls: number) => {
    broken = calls
  }
  return { engine, copies: () => copies, breakNext }
}

describe('trap 3: hostile text breaks the instance', () => {
  const nested = (open: string, close: string, times: number) =>
    `@id("deep") permit (principal, action, resource) when { ${open.repeat(times)}true${close.repeat(times)} == true };`
  const chain = (operand: string, operator: string, times: number) =>
    `@id("long") permit (principal, action in Action::"act", resource) when { ${Array(times).fill(operand).join(operator)} };`

  it('is real: the text breaks an engine for good', () => {
    const cedar = newCedar()
    const hurt = () => {
      for (const text of [nested('(', ')', 2_000), chain('resource.blocked', ' || ', 8_000)]) {
        cedar.policySetTextToParts(text)
        cedar.policyToJson(text)
      }
    }
    assert.throws(hurt, /memory access out of bounds|Maximum call stack size exceeded/)
  })

  it('such texts are invalid, and the engine decides on', async () => {
    const engine = engineForTests()
    await engine.load(DEFAULT_POLICY)
    for (const text of [nested('(', ')', 200), nested('[', ']', 200), chain('resource.blocked', ' || ', 8_000)]) {
      const { refusal, errors } = await engine.check(text, [])
      assert.deepEqual([refusal, errors.length], ['policy_invalid', 1], text.slice(0, 80))
      await assert.rejects(engine.load({ version: 1, text, off: [] }), { code: 'policy_unavailable' })
      const { check, answers } = await engine.whatIf(text, [], [{ facts: factsWith(), access: 'read' }])
      assert.deepEqual([check.refusal, answers], ['policy_invalid', []])
    }
    assert.equal(engine.decide(0, factsWith(), 'write').allowed, true)
  })

  it('this thread’s engine gets a text only after the other has read it', async () => {
    const texts: string[] = []
    const cedar = newCedar()
    const noting: CedarModule = {
      ...cedar,
      policySetTextToParts: text => {
        texts.push(text)
        return cedar.policySetTextToParts(text)
      },
      policyToJson: policy => {
        texts.push(String(policy))
        return cedar.policyToJson(policy)
      },
      preparsePolicySet: (name, policies) => {
        texts.push(JSON.stringify(policies))
        return cedar.preparsePolicySet(name, policies)
      },
    }
    const engine = engineForTests({ newCedar: () => noting })
    await engine.load(DEFAULT_POLICY)
    const seen = (part: string) => texts.some(text => text.includes(part))
    assert.equal(seen('default.backend'), true)
    for (const text of [nested('(', ')', 200), chain('resource.blocked', ' || ', 8_000)]) {
      await assert.rejects(engine.load({ version: 1, text, off: [] }), { code: 'policy_unavailable' })
    }
    assert.deepEqual([seen('deep'), seen('long')], [false, false])
    await engine.load({ version: 1, text: PERMIT, off: [] })
    assert.equal(seen('Everything.'), true)
  })

  it('a thread that takes too long is ended', async () => {
    const engine = engineForTests({ limits: { readMs: 5, restMs: 5 } })
    const { refusal, errors } = await engine.check(PERMIT, [])
    assert.equal(refusal, 'policy_too_slow')
    assert.match(errors[0]?.message ?? '', /longer than 0.005 s/)
  })

  it('a broken engine is replaced, and the decision made again', async () => {
    const { engine, copies, breakNext } = breakable()
    await engine.load(DEFAULT_POLICY)
    assert.equal(copies(), 1)
    breakNext(1)
    assert.equal(engine.decide(0, factsWith(), 'write').allowed, true)
    assert.equal(copies(), 2)
    assert.deepEqual(ids(engine.decide(0, factsWith({ resource: { protected: true } }), 'write')), ['base.protected'])
    assert.equal(copies(), 2)
  })

  it('an engine that breaks again answers nothing, and recovers', async () => {
    const { engine, breakNext } = breakable()
    await engine.load(DEFAULT_POLICY)
    breakNext(2)
    assert.throws(() => engine.decide(0, factsWith(), 'write'), PolicyUnavailableError)
    breakNext(0)
    assert.equal(engine.decide(0, factsWith(), 'write').allowed, true)
  })
})

describe('trap 4: `@id` is not the id of the engine', () => {
  it('decisions name the ids of the document', () => {
    const { decide } = prepare(`${PERMIT}@id("no-vips") forbid (principal, action, resource in Tag::"vip");`)
    const vip = factsWith({ resource: { tags: ['vip'] } })
    assert.deepEqual(ids(decide(vip, 'read')), ['no-vips'])
    assert.deepEqual(ids(decide(factsWith(), 'read')), ['all'])
    assert.deepEqual(ids(decide(factsWith({ resource: { protected: true } }), 'read')), ['base.protected'])
  })
})

describe('trap 5: the empty set is a subset', () => {
  it('an unrestricted session has no scopes, and policies must check for them', async () => {
    const engine = engineForTests()
    for (const condition of [
      '["a"].containsAll(context.scopes)',
      'context.reason has ticket',
      'context.auth.age < 60',
      'context.ip.isLoopback()',
    ]) {
      const text = `@id("a") permit (principal, action in Action::"act", resource) when { ${condition} };`
      const { refusal, errors } = await engine.check(text, [])
      assert.equal(refusal, 'policy_invalid', condition)
      assert.match(errors[0]?.message ?? '', /[Uu]nable to guarantee safety/)
    }
    const text =
      '@id("a") permit (principal, action in Action::"act", resource) when { context has scopes && ["a"].containsAll(context.scopes) };'
    const { decide } = prepare(text)
    const allowed = (scopes?: string[]) => decide(factsWith({ context: scopes ? { scopes } : {} }), 'read').allowed
    assert.deepEqual([allowed(), allowed(['a']), allowed(['a', 'b'])], [false, true, false])
  })
})

describe('trap 6: valid does not mean fast', () => {
  const engine = engineForTests()
  const slow = `${PERMIT}@id("slow") forbid (principal, action in Action::"act", resource)
when { [${Array.from({ length: 20_000 }, (_, n) => `"n${n}"`).join(',')}].contains(context.key) };`

  it('a policy that takes too long is rejected', async () => {
    const { refusal, errors } = await engine.check(slow, [])
    assert.equal(refusal, 'policy_too_slow')
    assert.match(errors[0]?.message ?? '', /A decision takes \d+ times as long/)
  })

  it('200 ordinary policies are accepted, one more is too many', async () => {
    const many = (count: number) =>
      Array.from(
        { length: count },
        (_, n) =>
          `@id("p${n}") permit (principal in Team::"t${n}", action in Action::"act", resource) when { context.duration <= ${n + 60} };`,
      ).join('\n')
    const { refusal, errors } = await engine.check(many(200), [])
    assert.deepEqual([refusal, errors], [null, []])
    assert.equal((await engine.check(many(201), [])).refusal, 'policy_too_large')
    assert.equal((await engine.check(`// ${'x'.repeat(256 * 1024)}`, [])).refusal, 'policy_too_large')
  })
})

describe('what-if', () => {
  const engine = engineForTests()
  after(() => assert.equal(engine.loaded(0), undefined))

  it('decides many requests with a policy that is not in force', async () => {
    const questions = [
      factsWith(),
      factsWith({ resource: { protected: true } }),
      factsWith({ resource: { tags: ['vip'] } }),
    ]
    const text = `${PERMIT}@id("no-vips") forbid (principal, action, resource in Tag::"vip");`
    const { check, answers, sampled } = await engine.whatIf(
      text,
      [],
      questions.map(facts => ({ facts, access: 'write' as const })),
    )
    assert.deepEqual([check.refusal, sampled], [null, false])
    assert.deepEqual(answers, [
      { allowed: true, determined_by: ['all'] },
      { allowed: false, determined_by: ['base.protected'] },
      { allowed: false, determined_by: ['no-vips'] },
    ])
  })
})
