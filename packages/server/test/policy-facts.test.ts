import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  actorFacts,
  chainLength,
  localTime,
  metadataProblem,
  reasonOf,
  type UserColumns,
  userFacts,
  validUntil,
  withParents,
} from '../src/domain/policy-facts.ts'
import { applyRemedy, findNeeds, type Remedy } from '../src/domain/policy-needs.ts'
import { factsWith, prepare } from './policy.ts'

const user = (stagedoor?: unknown, more: Partial<UserColumns> = {}): UserColumns => ({
  id: 'user_1',
  external_id: null,
  private_metadata: JSON.stringify(stagedoor === undefined ? {} : { stagedoor }),
  banned_at: null,
  locked_at: null,
  ...more,
})

describe('the facts of a user', () => {
  it('are those of the private metadata', () => {
    const facts = userFacts(user({ protected: true, level: 3, tags: ['vip'], organizations: ['acme'] }), {
      parentsOf: name => (name === 'vip' ? ['important'] : []),
    })
    assert.deepEqual(facts, {
      id: 'user_1',
      protected: true,
      operator: false,
      blocked: false,
      level: 3,
      tags: ['vip', 'important'],
      organizations: ['acme'],
    })
    assert.equal(userFacts(user(undefined, { external_id: '{"__entity":{}}' })).external_id, '{"__entity":{}}')
    assert.equal(userFacts(user(undefined, { banned_at: 1 })).blocked, true)
    assert.equal(userFacts(user(undefined, { locked_at: 1 })).blocked, true)
    assert.equal(userFacts(user(), { registered: true }).operator, true)
  })

  it('protect the user if they are malformed, which a write rejects', () => {
    for (const [stagedoor, problem] of [
      [{ protected: 'true' }, 'stagedoor.protected must be true or false'],
      [{ level: 1.5 }, 'stagedoor.level must be a whole number'],
      [{ tags: 'vip' }, 'stagedoor.tags must be a list of texts'],
      [{ teams: [1] }, 'stagedoor.teams must be a list of texts'],
      [{ admin: true }, 'stagedoor.admin is unknown'],
      [{ toString: true }, 'stagedoor.toString is unknown'],
      [[], 'stagedoor must be an object'],
      [null, 'stagedoor must be an object'],
    ] as const) {
      assert.equal(metadataProblem(stagedoor), problem)
      assert.equal(userFacts(user(stagedoor)).protected, true)
    }
    assert.equal(metadataProblem(undefined), undefined)
    assert.equal(metadataProblem({ level: 2, teams: ['a'] }), undefined)
  })
})

describe('the facts of an actor', () => {
  const row = { kind: 'agent' as const, teams: ['tier-2'], organizations: ['acme'], level: 2, disabled: false }

  it('come from the registry, otherwise from the user, otherwise from the `sub` alone', () => {
    const registered = actorFacts({ sub: 'bot', row, claimed: 'operator', teamParents: () => ['support'] })
    assert.deepEqual([registered.kind, registered.teams, registered.level], ['agent', ['tier-2', 'support'], 2])
    const asUser = actorFacts({ sub: 'user_1', claimed: 'agent', user: user({ level: 4, teams: ['support'] }) })
    assert.deepEqual([asUser.kind, asUser.level, asUser.teams, asUser.registered], ['operator', 4, ['support'], true])
    assert.equal(asUser.kind === 'operator' && asUser.user?.id, 'user_1')
    const stranger = actorFacts({ sub: 'stranger' })
    assert.deepEqual([stranger.kind, stranger.registered, stranger.level, stranger.teams], ['operator', false, 0, []])
    assert.equal(actorFacts({ sub: 'stranger', claimed: 'agent' }).kind, 'agent')
  })

  it('are blocked with the row or the user, and have no blocked owner', () => {
    const operator = { ...row, kind: 'operator' as const }
    assert.equal(actorFacts({ sub: 'a', row: { ...operator, disabled: true } }).blocked, true)
    assert.equal(actorFacts({ sub: 'a', row: operator, user: user({}, { banned_at: 5 }) }).blocked, true)
    assert.equal(actorFacts({ sub: 'a', row: operator, user: user({ level: 9 }) }).level, 2)
    const owner = actorFacts({ sub: 'olivia', row: operator })
    assert.ok(owner.kind === 'operator')
    const owned = (blocked: boolean) => actorFacts({ sub: 'bot', row, owner: { ...owner, blocked } })
    assert.equal('owner' in owned(false), true)
    assert.equal('owner' in owned(true), false)
  })

  it('have all teams of a hierarchy, also of one in a circle', () => {
    const parents: Record<string, string[]> = { a: ['b', 'c'], b: ['a'], c: ['d'] }
    assert.deepEqual(
      withParents(['a'], name => parents[name] ?? []),
      ['a', 'b', 'c', 'd'],
    )
  })
})

describe('the facts of a request', () => {
  it('count the actors of a chain', () => {
    const chain = (length: number): object => (length === 1 ? { sub: 'a' } : { sub: 'a', act: chain(length - 1) })
    assert.deepEqual([1, 2, 5].map(chain).map(chainLength), [1, 2, 5])
    assert.deepEqual([{ act: 'text' }, { act: null }].map(chainLength), [1, 1])
  })

  it('have a reason if the request or the payload gives one', () => {
    assert.equal(reasonOf({}, { sub: 'a' }), undefined)
    assert.equal(reasonOf({ reason: ' ' }, { sub: 'a', ticket: 17 }), undefined)
    assert.deepEqual(reasonOf({ reason: 'Help' }, { sub: 'a' }), {})
    assert.deepEqual(reasonOf({ ticket: 'T-1' }, { sub: 'a', ticket: 'T-2', reason_category: 'change' }), {
      category: 'change',
      ticket: 'T-1',
    })
    assert.deepEqual(reasonOf({}, { sub: 'a', reason: 'Ticket 1234' }), {})
  })
})

describe('local time', () => {
  const nine = (date: string, zone: string) => localTime(Date.parse(date), zone)

  it('is that of the zone, when clocks are changed too', () => {
    // The Sundays on which clocks are changed: 9:00 in Berlin is 7:00 in UTC on the first, and 8:00 on the second.
    assert.deepEqual(nine('2026-03-28T08:00:00Z', 'Europe/Berlin'), { weekday: 6, minute: 540 })
    assert.deepEqual(nine('2026-03-29T06:59:59.999Z', 'Europe/Berlin'), { weekday: 7, minute: 539 })
    assert.deepEqual(nine('2026-03-29T07:00:00Z', 'Europe/Berlin'), { weekday: 7, minute: 540 })
    assert.deepEqual(nine('2026-10-25T07:00:00Z', 'Europe/Berlin'), { weekday: 7, minute: 480 })
    assert.deepEqual(nine('2026-10-25T08:00:00Z', 'Europe/Berlin'), { weekday: 7, minute: 540 })
    assert.deepEqual(nine('2026-01-05T23:59:00Z', 'UTC'), { weekday: 1, minute: 1439 })
    assert.deepEqual(nine('2026-01-05T23:59:00Z', 'Asia/Kathmandu'), { weekday: 2, minute: 344 })
  })

  const until = (use: Partial<Parameters<typeof validUntil>[0]>, now: string, zone = 'Europe/Berlin') => {
    const found = validUntil(
      { minutes: [], weekday: false, instants: [], every_minute: false, ...use },
      Date.parse(now),
      zone,
    )
    return found === null ? null : new Date(found).toISOString()
  }

  it('tells when a decision can change', () => {
    assert.equal(until({}, '2026-01-05T10:00:00Z'), null)
    assert.equal(until({ minutes: [540, 1080] }, '2026-01-05T10:00:00Z'), '2026-01-05T17:00:00.000Z')
    assert.equal(until({ minutes: [540, 1080] }, '2026-01-05T17:00:00Z'), '2026-01-05T23:00:00.000Z')
    assert.equal(until({ weekday: true }, '2026-01-05T10:00:00Z'), '2026-01-05T23:00:00.000Z')
    assert.equal(until({ every_minute: true }, '2026-01-05T10:00:30.5Z'), '2026-01-05T10:01:00.000Z')
    const instants = [Date.parse('2026-01-05T10:00:00Z'), Date.parse('2026-03-01T00:00:00.001Z')]
    assert.equal(until({ instants }, '2026-01-05T10:00:00Z'), '2026-03-01T00:00:00.001Z')
    assert.equal(until({ instants }, '2026-04-01T00:00:00Z'), null)
  })

  it('has no seconds for policies that compute with it', () => {
    const allows = (condition: string, now: string) =>
      prepare(`@id("a") permit (principal, action in Action::"act", resource) when { ${condition} };`).decide(
        factsWith({ context: { now: Date.parse(now) } }),
        'read',
      ).allowed
    const times = ['2026-01-05T12:30:10Z', '2026-01-05T12:30:20Z', '2026-01-05T12:31:00Z']
    const computed = 'context.now.toTime() < duration("12h30m15s")'
    assert.deepEqual(
      times.map(time => allows(computed, time)),
      [true, true, false],
    )
    const compared = 'context.now < datetime("2026-01-05T12:30:15Z")'
    assert.deepEqual(
      times.map(time => allows(compared, time)),
      [true, false, false],
    )
  })

  it('ends with a change of clocks', () => {
    // 2:00 becomes 3:00, so 2:30 does not exist; then 3:00 becomes 2:00, so 2:30 comes twice.
    assert.equal(until({ minutes: [150] }, '2026-03-29T00:30:00Z'), '2026-03-29T01:00:00.000Z')
    assert.equal(until({ minutes: [150] }, '2026-10-25T00:10:00Z'), '2026-10-25T00:30:00.000Z')
    assert.equal(until({ minutes: [150] }, '2026-10-25T00:40:00Z'), '2026-10-25T01:00:00.000Z')
    assert.equal(until({ minutes: [150] }, '2026-10-25T01:00:00Z'), '2026-10-25T01:30:00.000Z')
    // In Santiago midnight does not exist on that day.
    assert.equal(until({ weekday: true }, '2026-09-06T03:00:00Z', 'America/Santiago'), '2026-09-06T04:00:00.000Z')
  })
})

describe('the needs of a refusal', () => {
  const text = `@id("support") permit (principal in Team::"support", action in Action::"act", resource);
@id("read-only") forbid (principal, action == Action::"write", resource)
unless { context has reason && context.reason has ticket };`
  const needsOf = (policy: string, change: Parameters<typeof factsWith>[0], access: 'read' | 'write' = 'write') => {
    const { decide, uses } = prepare(policy)
    let evaluations = 0
    const counted: typeof decide = (...args) => {
      const decision = decide(...args)
      evaluations += decision.evaluations
      return decision
    }
    const facts = factsWith({ ...change, principal: { teams: ['support'], ...change?.principal } })
    assert.equal(decide(facts, access).allowed, false)
    const needs = findNeeds(counted, facts, access, uses.constants).map(remedies => remedies.join())
    assert.ok(evaluations <= 10, `${evaluations} evaluations`)
    return needs
  }

  it('are what would have been allowed', () => {
    assert.deepEqual(needsOf(text, {}), ['ticket', 'read'])
    assert.deepEqual(needsOf(text, { context: { environment: 'production' } }, 'read'), ['reason', 'ticket'])
    assert.deepEqual(needsOf(text, { resource: { protected: true } }), [])
    assert.deepEqual(needsOf(text, { principal: { teams: [] } }), [])
  })

  it('are the categories, durations and logins that the policies name', () => {
    const forbid = (condition: string) =>
      `@id("p") permit (principal, action, resource);\n@id("f") forbid (principal, action in Action::"act", resource) unless { ${condition} };`
    const category = forbid(
      'context has reason && context.reason has category && ["change", "fix"].contains(context.reason.category)',
    )
    assert.deepEqual(needsOf(category, {}), ['category:change', 'category:fix'])
    assert.deepEqual(needsOf(forbid('context.duration <= 15 * 60'), {}), ['duration:900'])
    assert.deepEqual(needsOf(forbid('context.duration < 1000 && context.duration != 999'), {}), ['duration:900'])
    const login = 'context has auth && context.auth.age <= 3600'
    assert.deepEqual(needsOf(forbid(login), {}), ['login'])
    const amr = (how: string) => needsOf(forbid(`${login} && context.auth.amr.${how}(["otp", "hwk"])`), {})
    assert.deepEqual(amr('containsAny'), ['login:hwk', 'login:otp'])
    assert.deepEqual(amr('containsAll'), ['login:hwk+otp'])
    // A policy that compares the ticket is satisfied by some tickets, not by any.
    const ticket = (how: string) =>
      forbid(`context has reason && context.reason has ticket && context.reason.ticket ${how}`)
    assert.deepEqual(needsOf(ticket('like "T-*"'), {}), [])
    assert.deepEqual(needsOf(ticket('!= "T-1"'), {}), [])
  })

  it('are applied one at a time', () => {
    const facts = factsWith({ context: { reason: { category: 'change' } } })
    const apply = (remedy: Remedy) => applyRemedy(facts, 'write', remedy).facts.context
    assert.deepEqual(apply('ticket').reason, { category: 'change', ticket: 'ticket' })
    assert.equal(apply('duration:60').duration, 60)
    assert.equal(applyRemedy(facts, 'write', 'read').access, 'read')
    assert.throws(() => apply('luck'), TypeError)
  })
})
