import type { Facts } from '../domain/policy-engine.ts'
import { neutralFacts } from '../domain/policy-facts.ts'
import type { CompiledDocument } from './document.ts'
import { BASE_RULES, type CedarInstance, type CompiledPolicy } from './instance.ts'

/** A valid policy can be slow: a text may name 20,000 constants. Decisions are made while people wait. */

/** How many decisions are timed. */
const DECISIONS = 50
/** A few decisions are enough if they already take this long, in ms, or if they are clearly fast. */
const ENOUGH_MS = 1_000
const FEW = 20
/** How many times as long as with the base rules a decision may take. */
export const MAX_SLOWNESS = 5

const PERMIT: CompiledPolicy = {
  id: 'permit',
  effect: 'permit',
  title: null,
  message: null,
  line: null,
  text: 'permit (principal, action, resource);',
}

/**
 * Returns how many times as long a decision takes as with the base rules alone, for the slowest of several requests. Both are
 * timed in turns, and the fastest times are compared: only those say nothing about other work on the machine.
 */
export function slownessOf(instance: CedarInstance, name: string, document: CompiledDocument): number {
  const reference = 'reference'
  instance.add(reference, [...BASE_RULES, PERMIT])
  const begin = performance.now()
  const fastest = busyFacts(document).map(facts => ({
    facts,
    own: Number.POSITIVE_INFINITY,
    base: Number.POSITIVE_INFINITY,
  }))
  const timed = (set: string, facts: Facts) => {
    const start = performance.now()
    instance.evaluate(set, facts, 'read')
    return performance.now() - start
  }
  for (let count = 0; count < DECISIONS; count += fastest.length) {
    if (count >= FEW && (performance.now() - begin > ENOUGH_MS || slowest(fastest) < MAX_SLOWNESS / 2)) break
    for (const each of fastest) {
      each.base = Math.min(each.base, timed(reference, each.facts))
      each.own = Math.min(each.own, timed(name, each.facts))
    }
  }
  return slowest(fastest)
}

const slowest = (times: readonly { own: number; base: number }[]) =>
  Math.max(...times.map(({ own, base }) => own / base))

/** Requests that many conditions apply to: they have all optional facts, and the groups that the policies name. */
function busyFacts({ uses }: CompiledDocument): Facts[] {
  const named = (type: string) => uses.entities.filter(each => each.type === type).map(({ id }) => id)
  const { principal, resource, context } = neutralFacts()
  const actor = { ...principal, teams: named('Team'), organizations: named('Organization') }
  const user = { ...resource, tags: named('Tag'), organizations: named('Organization'), external_id: 'external' }
  const acting: Facts['context'] = {
    ...context,
    reason: { category: uses.constants.categories[0] ?? 'category', ticket: 'ticket' },
    scopes: ['scope'],
    auth: { age: 0, amr: uses.constants.amr },
    ip: '127.0.0.1',
  }
  const operators = [...named('Operator').slice(0, 1), 'operator'].map((sub): Facts['principal'] => ({
    ...actor,
    kind: 'operator',
    sub,
    user: resource,
  }))
  const agents = [...named('Agent').slice(0, 1), 'agent'].map((sub): Facts['principal'] => ({
    ...actor,
    kind: 'agent',
    sub,
    owner: { ...actor, kind: 'operator', sub: 'owner' },
  }))
  return [...operators, ...agents].map(each => ({ principal: each, resource: user, context: acting }))
}
