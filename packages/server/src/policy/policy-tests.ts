import type { Access, ActingFacts, Decision, Facts, PolicyProblem, PolicyTestResult } from '../domain/policy-engine.ts'
import { localTime, neutralFacts } from '../domain/policy-facts.ts'

/**
 * Tests of a policy: one JSON object per line. Facts left out are those of an ordinary request (`neutralFacts`).
 *
 *     {"actor": {"teams": ["support"]}, "access": "write", "expect": "refused", "determined_by": ["read-only"]}
 */

export interface PolicyTest {
  line: number
  name: string | null
  facts: Facts
  access: Access
  expect: 'allowed' | 'refused'
  /** Ids of the policies that must have decided, in any order. Undefined: not checked. */
  determined_by?: string[]
}

type Check = (value: unknown) => boolean

const text: Check = value => typeof value === 'string'
const flag: Check = value => typeof value === 'boolean'
const whole: Check = value => Number.isSafeInteger(value)
const texts: Check = value => Array.isArray(value) && value.every(text)
const oneOf =
  (...values: string[]): Check =>
  value =>
    values.includes(value as string)
const shape =
  (members: Record<string, Check>): Check =>
  value =>
    shapeProblem(value, members) === undefined

const USER = {
  id: text,
  protected: flag,
  operator: flag,
  blocked: flag,
  level: whole,
  external_id: text,
  tags: texts,
  organizations: texts,
}
const OPERATOR = {
  sub: text,
  registered: flag,
  blocked: flag,
  level: whole,
  teams: texts,
  organizations: texts,
  user: shape(USER),
}
const ACTOR = { ...OPERATOR, kind: oneOf('operator', 'agent'), owner: shape(OPERATOR) }
const TIME: Check = value => text(value) && !Number.isNaN(Date.parse(value as string))

/** The members that are facts of the request itself. */
const ACTING: Record<string, Check> = {
  environment: oneOf('development', 'production'),
  key: text,
  reason: shape({ category: text, ticket: text }),
  duration: whole,
  scopes: texts,
  depth: whole,
  auth: shape({ age: whole, amr: texts }),
  ip: text,
  approvals: whole,
  approver_teams: texts,
  consent: flag,
  break_glass: flag,
  open_reviews: whole,
}

const MEMBERS: Record<string, Check> = {
  name: text,
  actor: shape(ACTOR),
  user: shape(USER),
  access: oneOf('read', 'write'),
  expect: oneOf('allowed', 'refused'),
  determined_by: texts,
  now: TIME,
  time: shape({ weekday: whole, minute: whole }),
  ...ACTING,
}

function shapeProblem(value: unknown, members: Record<string, Check>): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not a JSON object'
  for (const [name, member] of Object.entries(value)) {
    if (!Object.hasOwn(members, name)) return `\`${name}\` is unknown`
    if (members[name]?.(member) !== true) return `\`${name}\` has a wrong value`
  }
  return undefined
}

/**
 * Reads tests from lines of JSON. Empty lines are skipped.
 *
 *     readTests('{"expect": "allowed"}\n', 'UTC').tests.length   // 1
 *
 * @param zone the time zone in which `now` is local time
 */
export function readTests(lines: string, zone: string): { tests: PolicyTest[]; errors: PolicyProblem[] } {
  const tests: PolicyTest[] = []
  const errors: PolicyProblem[] = []
  for (const [index, line] of lines.split('\n').entries()) {
    if (line.trim() === '') continue
    const result = readTest(line, index + 1, zone)
    if (typeof result === 'object') tests.push(result)
    else {
      const message = `This test cannot be read: ${result}.`
      errors.push({
        id: null,
        line: index + 1,
        column: 1,
        message,
        help: 'A test needs `expect`: "allowed" or "refused".',
      })
    }
  }
  return { tests, errors }
}

/** @returns the test, or what is wrong with the line */
function readTest(line: string, number: number, zone: string): PolicyTest | string {
  let value: Record<string, unknown>
  try {
    value = JSON.parse(line)
  } catch {
    return 'it is not valid JSON'
  }
  const wrong = shapeProblem(value, MEMBERS)
  if (wrong !== undefined) return wrong
  if (value['expect'] === undefined) return '`expect` is missing'
  return {
    line: number,
    name: (value['name'] as string | undefined) ?? null,
    facts: factsOf(value, zone),
    access: (value['access'] as Access | undefined) ?? 'write',
    expect: value['expect'] as PolicyTest['expect'],
    ...(value['determined_by'] !== undefined && { determined_by: value['determined_by'] as string[] }),
  }
}

function factsOf(test: Record<string, unknown>, zone: string): Facts {
  const neutral = neutralFacts()
  const { actor = {}, user = {} } = test as { actor?: Record<string, unknown>; user?: object }
  const acting = Object.fromEntries(Object.entries(test).filter(([name]) => Object.hasOwn(ACTING, name)))
  const now = test['now'] === undefined ? neutral.context.now : Date.parse(test['now'] as string)
  const time = (test['time'] as ActingFacts['time'] | undefined) ?? localTime(now, zone)
  return {
    principal: actorOf(neutral, actor),
    resource: { ...neutral.resource, ...user },
    context: { ...neutral.context, ...acting, now, time },
  }
}

/** The actor, with neutral facts where the test gives none: also of the owner, and of the own users. */
function actorOf(neutral: Facts, actor: Record<string, unknown>): Facts['principal'] {
  const complete = (person: Record<string, unknown>) => ({
    ...neutral.principal,
    ...person,
    ...(person['user'] !== undefined && { user: { ...neutral.resource, ...(person['user'] as object) } }),
  })
  const owner = actor['owner'] as Record<string, unknown> | undefined
  return { ...complete(actor), ...(owner && { owner: complete(owner) }) } as Facts['principal']
}

/** Compares a decision with what a test expects. */
export function judge(
  test: PolicyTest,
  decision: Pick<Decision, 'allowed' | 'determined_by' | 'errors'>,
): PolicyTestResult {
  const actual = decision.allowed ? 'allowed' : 'refused'
  const ids = decision.determined_by.map(({ id }) => id)
  const list = (names: readonly string[]) => (names.length === 0 ? 'no policy' : [...names].sort().join(', '))
  const why = decision.errors[0] ? `the error ${JSON.stringify(decision.errors[0].message)}` : list(ids)
  const expected = test.determined_by
  const same = actual === test.expect && (expected === undefined || list(expected) === list(ids))
  const wanted = expected === undefined ? test.expect : `${test.expect} by ${list(expected)}`
  return {
    line: test.line,
    name: test.name,
    passed: same,
    difference: same ? null : `Expected ${wanted}, but it is ${actual} by ${why}.`,
  }
}
