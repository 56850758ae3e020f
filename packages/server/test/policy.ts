import fc from 'fast-check'
import { patience } from '../../../test/support/time.ts'
import type { Access, Facts, PolicyEngine } from '../src/domain/policy-engine.ts'
import { localTime, neutralFacts } from '../src/domain/policy-facts.ts'
import { createPolicyEngine, type PolicyEngineOptions } from '../src/policy/cedar.ts'
import { DecidingSet } from '../src/policy/decide.ts'
import { readDocument } from '../src/policy/document.ts'
import { CedarInstance, newCedar } from '../src/policy/instance.ts'

/** What the tests of the policy engine share: facts, random policies, and an engine in this thread. */

/** Facts of an ordinary request, with changes. */
export function factsWith(
  change: { principal?: object; resource?: object; context?: object } = {},
  zone = 'UTC',
): Facts {
  const neutral = neutralFacts()
  const context = { ...neutral.context, ...change.context }
  return {
    principal: { ...neutral.principal, ...change.principal } as Facts['principal'],
    resource: { ...neutral.resource, ...change.resource },
    context: { ...context, time: localTime(context.now, zone), ...change.context },
  }
}

/** Returns an engine whose thread has time on a busy machine too. */
export function engineForTests(options: PolicyEngineOptions = {}): PolicyEngine {
  return createPolicyEngine({ limits: { readMs: patience(10_000), restMs: patience(10_000) }, ...options })
}

let shared: CedarInstance | undefined
let sets = 0

/** Reads a valid document and returns what decides with it: without the thread, which would take most of the time. */
export function prepare(text: string, off: readonly string[] = [], instance = instanceForTests()) {
  const { errors, compiled } = readDocument(instance.cedar, text, off)
  if (!compiled) throw new Error(`${JSON.stringify(errors)}\n${text}`)
  const set = new DecidingSet(`test ${sets++ % 8}`, compiled, off)
  const decide = (facts: Facts, access: Access, explain = false) => set.decide(instance, facts, access, explain)
  return { decide, uses: compiled.uses, set }
}

/** The instance that the tests of a file share. */
export function instanceForTests(): CedarInstance {
  shared ??= new CedarInstance(newCedar())
  return shared
}

const TEAMS = ['support', 'tier-2', 'on-call']
const ORGANIZATIONS = ['acme', 'globex']
const TAGS = ['vip', 'asks-first']
const some = (names: string[]) => fc.subarray(names)

const user = fc.record({
  id: fc.constantFrom('user', 'other', 'operator'),
  protected: fc.boolean(),
  operator: fc.boolean(),
  blocked: fc.boolean(),
  level: fc.integer({ min: -1, max: 2 }),
  tags: some(TAGS),
  organizations: some(ORGANIZATIONS),
})
/** Mostly users as whom one may act: else the base rules refuse nearly everything. */
const ordinaryUser = user.map(each => ({ ...each, protected: false, operator: false, blocked: false, level: 0 }))
const person = fc.record(
  {
    kind: fc.constant('operator' as const),
    sub: fc.constantFrom('operator', 'olivia', '{"__entity":{"type":"User","id":"user"}}'),
    registered: fc.boolean(),
    blocked: fc.boolean(),
    level: fc.integer({ min: -1, max: 2 }),
    teams: some(TEAMS),
    organizations: some(ORGANIZATIONS),
    user,
  },
  { requiredKeys: ['kind', 'sub', 'registered', 'blocked', 'level', 'teams', 'organizations'] },
)
const ordinaryPerson = person.map(({ user: _user, ...each }) => ({ ...each, blocked: false, level: 0 }))
const agent = fc
  .record({ actor: ordinaryPerson, owner: fc.option(person, { nil: undefined }) })
  .map(({ actor, owner }) => ({ ...actor, kind: 'agent' as const, sub: 'billing-agent', ...(owner && { owner }) }))

/** The year in which random times are. */
const YEAR = { min: Date.UTC(2026, 0, 1), max: Date.UTC(2027, 0, 1) - 1 }
/** A random time: Unix ms. */
export const anyMoment = fc.integer(YEAR)

const acting = fc.record(
  {
    environment: fc.constantFrom('development' as const, 'production' as const),
    key: fc.constantFrom('default', 'support-tool'),
    reason: fc.record(
      { category: fc.constantFrom('change', 'question'), ticket: fc.constant('T-1') },
      { requiredKeys: [] },
    ),
    duration: fc.constantFrom(60, 900, 901, 1_800, 3_600, 28_800, 28_801),
    scopes: some(['invoices:read', 'invoices:send', 'users:delete']),
    depth: fc.integer({ min: 1, max: 5 }),
    auth: fc.record({ age: fc.constantFrom(0, 3_600, 3_601), amr: some(['pwd', 'otp', 'hwk']) }),
    ip: fc.constantFrom('10.1.2.3', '203.0.113.9', '2001:db8::1'),
    now: anyMoment,
    approvals: fc.nat(2),
    approver_teams: some(['leads', 'support']),
    consent: fc.boolean(),
    break_glass: fc.boolean(),
    open_reviews: fc.nat(1),
  },
  {
    requiredKeys: [
      'environment',
      'key',
      'duration',
      'depth',
      'now',
      'approvals',
      'approver_teams',
      'consent',
      'break_glass',
      'open_reviews',
    ],
  },
)
const ordinaryActing = acting.map(each => ({
  ...each,
  depth: 1,
  duration: Math.min(each.duration, 28_800),
  break_glass: false,
}))

/** Random facts. Most are of requests that the base rules allow. */
export const anyFacts: fc.Arbitrary<Facts> = fc
  .record({
    principal: fc.oneof({ weight: 3, arbitrary: ordinaryPerson }, person, agent),
    resource: fc.oneof({ weight: 3, arbitrary: ordinaryUser }, user),
    context: fc.oneof({ weight: 3, arbitrary: ordinaryActing }, acting),
  })
  .map(facts => factsWith(facts))

/** Conditions that are true for some facts and false for others. */
const CONDITIONS = [
  'context.duration <= 1800',
  'context.duration < 901',
  'context has auth && context.auth.age <= 3600 && context.auth.amr.containsAny(["otp", "hwk"])',
  'context has auth && context.auth.amr.contains("otp")',
  'resource in principal.organizations',
  'context has reason && context.reason has ticket',
  'context has reason && context.reason has category && context.reason.category == "change"',
  'context has scopes && ["invoices:read", "invoices:send"].containsAll(context.scopes)',
  'context has ip && context.ip.isInRange(ip("10.0.0.0/8"))',
  'context.environment == "development"',
  'action == Action::"read"',
  'principal.level >= 1',
  'context.key like "support-*"',
  'context.approvals >= 1 && context.approver_teams.contains(Team::"leads")',
  'if principal is Agent then principal has owner && principal.owner.registered else true',
  'context.duration * 9223372036854775807 > 0',
]
const TIMES = [
  'context.time.weekday <= 5 && context.time.minute >= 9 * 60 && context.time.minute < 1080',
  '[6, 7].contains(context.time.weekday)',
  '720 > context.time.minute',
  'context.time.minute == 150',
  'context.now < datetime("2026-06-30T22:00:00Z")',
  'context.now >= datetime("2026-03-29")',
  'context.now.toTime() < duration("12h30m15s")',
  'context.time.minute != 0',
  'context.time == {weekday: 1, minute: 720}',
]

function anyPolicy(): fc.Arbitrary<string> {
  return fc
    .record({
      effect: fc.constantFrom('permit', 'permit', 'forbid'),
      principal: fc.constantFrom(
        'principal',
        'principal',
        'principal is Operator',
        'principal is Agent',
        'principal in Team::"support"',
        'principal is Operator in Team::"tier-2"',
      ),
      action: fc.constantFrom(
        'action',
        'action in Action::"act"',
        'action in Action::"act"',
        'action == Action::"read"',
        'action == Action::"write"',
        'action in [Action::"read", Action::"write"]',
      ),
      resource: fc.constantFrom('resource', 'resource', 'resource in Tag::"vip"', 'resource in Organization::"acme"'),
      clauses: fc.array(fc.tuple(fc.constantFrom('when', 'when', 'unless'), fc.constantFrom(...CONDITIONS)), {
        maxLength: 2,
      }),
    })
    .map(({ effect, principal, action, resource, clauses }) => {
      // Conditions about the request are valid only for the actions that have one.
      const scope = action === 'action' && clauses.length > 0 ? 'action in Action::"act"' : action
      const text = clauses.map(([kind, condition]) => `\n${kind} { ${condition} }`).join('')
      return `${effect} (${principal}, ${scope}, ${resource})${text};`
    })
}

const named = (policies: string[]) => policies.map((text, n) => `@id("policy-${n}")\n${text}`).join('\n\n')

/** A random document of one to six policies. */
export const anyDocument = fc
  .tuple(
    fc.constantFrom([], ['permit (principal, action, resource);']),
    fc.array(anyPolicy(), { minLength: 1, maxLength: 5 }),
  )
  .map(lists => named(lists.flat()))
/** A random document that permits everything, except at certain times. */
export const anyTimedDocument = fc
  .array(
    fc.array(fc.tuple(fc.constantFrom('when', 'unless'), fc.constantFrom(...TIMES)), { minLength: 1, maxLength: 2 }),
    {
      minLength: 1,
      maxLength: 2,
    },
  )
  .map(forbids => [
    'permit (principal, action, resource);',
    ...forbids.map(clauses => {
      const conditions = clauses.map(([kind, condition]) => `${kind} { ${condition} }`)
      return `forbid (principal, action in Action::"act", resource) ${conditions.join(' ')};`
    }),
  ])
  .map(named)
