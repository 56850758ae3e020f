import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { deep, times } from '../../../test/support/deep.ts'
import type { Facts } from '../src/domain/policy-engine.ts'
import { localTime, validUntil } from '../src/domain/policy-facts.ts'
import { applyRemedy, findNeeds, MAX_EVALUATIONS } from '../src/domain/policy-needs.ts'
import { BASE_RULES, CedarInstance, newCedar } from '../src/policy/instance.ts'
import { anyDocument, anyFacts, anyMoment, anyTimedDocument, factsWith, prepare } from './policy.ts'

/** Each random document is asked about several random requests: reading it takes longer than deciding. */
const QUESTIONS = 12
const DOCUMENTS = times(20, 8_500)

const questions = fc.array(fc.tuple(anyFacts, fc.constantFrom('read' as const, 'write' as const)), {
  minLength: QUESTIONS,
  maxLength: QUESTIONS,
})

/** What each base rule refuses, written again without Cedar. */
const BASE: Record<string, (facts: Facts) => boolean> = {
  'base.self': ({ principal, resource }) => principal.kind === 'operator' && principal.user?.id === resource.id,
  'base.protected': ({ resource }) => resource.protected,
  'base.operators': ({ resource }) => resource.operator,
  'base.upward': ({ principal, resource }) => resource.level > principal.level,
  'base.blocked': ({ principal, resource }) => principal.blocked || resource.blocked,
  'base.nesting': ({ principal, context }) => principal.kind === 'operator' && context.depth > 1,
  'base.depth': ({ context }) => context.depth > 4,
  'base.duration': ({ context }) => context.duration > 28_800,
  'base.reason': ({ context }) => context.environment === 'production' && context.reason === undefined,
  'base.break_glass': ({ context: { break_glass, reason, duration, open_reviews } }) =>
    break_glass && (reason === undefined || duration > 900 || open_reviews > 0),
  'base.unowned': ({ principal, context }) =>
    principal.kind === 'agent' && context.environment === 'production' && principal.owner === undefined,
}

describe('with any policy and any facts', () => {
  it('the base rules that are on refuse, and those that are off do not', () => {
    assert.deepEqual(
      Object.keys(BASE),
      BASE_RULES.map(({ id }) => id),
    )
    let [allowed, refused] = [0, 0]
    const off = fc.subarray(Object.keys(BASE).filter(id => id !== 'base.blocked'))
    fc.assert(
      fc.property(anyDocument, off, questions, (text, names, asked) => {
        const { decide } = prepare(`@id("all") permit (principal, action, resource);\n${text}`, names)
        for (const [facts, access] of asked) {
          const expected = Object.keys(BASE).filter(id => !names.includes(id) && BASE[id]?.(facts))
          const decision = decide(facts, access)
          const named = decision.determined_by.map(({ id }) => id).filter(id => id.startsWith('base.'))
          assert.deepEqual(named, expected)
          if (expected.length > 0) assert.equal(decision.allowed, false)
          if (decision.allowed) allowed++
          else refused++
        }
      }),
      { numRuns: DOCUMENTS },
    )
    assert.ok(allowed > 20 && refused > 20, `${allowed} allowed, ${refused} refused`)
  })

  it('a decision depends on nothing but policy and facts, and `write` needs `write` and `read`', () => {
    const other = new CedarInstance(newCedar())
    let counts = { allowed: 0, refused: 0, errors: 0 }
    fc.assert(
      fc.property(anyDocument, questions, (text, asked) => {
        const [here, there] = [prepare(text), prepare(text, [], other)]
        // A policy about `write` alone, which never applies, makes a request for `write` two evaluations.
        const both = prepare(
          `${text}\n@id("never") forbid (principal, action == Action::"write", resource) when { false };`,
        )
        for (const [facts, access] of asked) {
          const decision = here.decide(facts, access)
          assert.deepEqual(there.decide(JSON.parse(JSON.stringify(facts)), access), decision)
          const explained = here.decide(facts, access, true)
          assert.equal(explained.allowed, decision.allowed)
          assert.equal(both.decide(facts, access).allowed, decision.allowed)
          if (decision.errors.length > 0) assert.equal(decision.allowed, false)
          counts = {
            allowed: counts.allowed + Number(decision.allowed),
            refused: counts.refused + Number(!decision.allowed),
            errors: counts.errors + Number(decision.errors.length > 0),
          }
        }
      }),
      { numRuns: DOCUMENTS },
    )
    // Among a few hundred decisions there may be none with an error.
    assert.ok(counts.allowed > 20 && counts.refused > 20 && (!deep || counts.errors > 0), JSON.stringify(counts))
  })

  it('each remedy turns the refusal into an allow, and few evaluations find it', () => {
    const kinds = new Map<string, number>()
    fc.assert(
      fc.property(anyDocument, questions, (text, asked) => {
        const { decide, uses } = prepare(text)
        for (const [facts, access] of asked) {
          if (decide(facts, access).allowed) continue
          let evaluations = 0
          const counted: typeof decide = (...args) => {
            const decision = decide(...args)
            evaluations += decision.evaluations
            return decision
          }
          for (const [remedy = ''] of findNeeds(counted, facts, access, uses.constants)) {
            const changed = applyRemedy(facts, access, remedy)
            assert.notDeepEqual([changed.facts, changed.access], [facts, access])
            assert.equal(decide(changed.facts, changed.access).allowed, true, remedy)
            const [kind = ''] = remedy.split(':')
            kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
          }
          assert.ok(evaluations <= MAX_EVALUATIONS, `${evaluations}`)
        }
      }),
      { numRuns: times(25, 1_500) },
    )
    assert.ok(kinds.size >= 4, JSON.stringify([...kinds]))
  })
})

const ZONES = ['UTC', 'Europe/Berlin', 'America/Santiago', 'Australia/Lord_Howe', 'Asia/Kathmandu']

/** The facts at another time. */
function at(facts: Facts, now: number, zone: string): Facts {
  return { ...facts, context: { ...facts.context, now, time: localTime(now, zone) } }
}

describe('before `validUntil`', () => {
  it('no decision changes', () => {
    let [finite, changes] = [0, 0]
    const moments = fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), {
      minLength: 4,
      maxLength: 4,
    })
    fc.assert(
      fc.property(
        anyTimedDocument,
        fc.array(anyMoment, { minLength: 8, maxLength: 8 }),
        fc.constantFrom(...ZONES),
        moments,
        (text, starts, zone, parts) => {
          const { decide, uses } = prepare(text)
          for (const now of starts) {
            const [facts, access] = [factsWith({ principal: { teams: ['support'] } }), 'write'] as const
            const allowed = decide(at(facts, now, zone), access).allowed
            const until = validUntil(uses.time, now, zone)
            assert.ok(until === null || until > now, `${until}`)
            const end = until ?? now + 400 * 86_400_000
            if (until !== null) finite++
            for (const time of [end - 1, ...parts.map(part => now + Math.floor(part * (end - now)))]) {
              assert.equal(
                decide(at(facts, time, zone), access).allowed,
                allowed,
                `${new Date(time).toISOString()} ${zone}`,
              )
            }
            if (until !== null && decide(at(facts, until, zone), access).allowed !== allowed) changes++
          }
        },
      ),
      { numRuns: times(30, 2_000) },
    )
    assert.ok(finite > 100 && changes > 10, `${finite} ends, ${changes} changes at them`)
  })

  it('nor with the business hours of the examples, in any minute of a year', () => {
    const folder = new URL('../../../examples/policies/', import.meta.url)
    const text = readFileSync(fileURLToPath(new URL('business-hours.cedar', folder)), 'utf8')
    const { decide, uses } = prepare(text)
    const zone = 'Europe/Berlin'
    const facts = factsWith({ principal: { teams: ['support'] } })
    let [until, allowed, evaluations, changes] = [0, false, 0, 0]
    const start = Date.UTC(2026, 2, times(27, 1))
    const minutes = times(4 * 1_440, 366 * 1_440)
    for (let minute = 0; minute < minutes; minute++) {
      const now = start + minute * 60_000
      const time = localTime(now, zone)
      // The rule again, without Cedar.
      const open = time.weekday <= 5 && time.minute >= 540 && time.minute < 1080
      if (now >= until) {
        const decision = decide(at(facts, now, zone), 'write')
        if (evaluations > 0 && decision.allowed !== allowed) changes++
        evaluations++
        allowed = decision.allowed
        until = validUntil(uses.time, now, zone) ?? Number.POSITIVE_INFINITY
      }
      assert.equal(allowed, open, new Date(now).toISOString())
    }
    assert.ok(changes >= 3 && evaluations < minutes / 300, `${changes} changes, ${evaluations} evaluations`)
  })
})
