import type { Facts } from '../domain/policy-engine.ts'
import { neutralFacts } from '../domain/policy-facts.ts'
import type { CompiledDocument } from './document.ts'
import { BASE_RULES, type CedarInstance, type CompiledPolicy } from './instance.ts'

/** A valid policy can be slow: a text may name 20,000 constants. Decisions are made while people wait. */

/** How many decisions are timed. */
const DECISIONS = 50
/** A few decisions are enough if they already take this long, in ms. */
const ENOUGH_MS = 1_000
const FEW = 5
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

/** Returns how many times as long a decision takes as with the base rules alone. Both are timed in turns. */
export function slownessOf(instance: CedarInstance, name: string, document: CompiledDocument): number {
  const reference = 'reference'
  instance.add(reference, [...BASE_RULES, PERMIT])
  const questions = busyFacts(document)
  const times: Record<string, number[]> = { [name]: [], [reference]: [] }
  const begin = performance.now()
  for (let turn = -4; turn < DECISIONS; turn++) {
    if (turn >= FEW && performance.now() - begin > ENOUGH_MS) break
    const facts = questions[(turn + 4) % questions.length] as Facts
    for (const set of [name, reference]) {
      const start = performance.now()
      instance.evaluate(set, facts, 'read')
      if (turn >= 0) times[set]?.push(performance.now() - start)
    }
  }
  return median(times[name]) / median(times[reference])
}

function median(values: number[] = []): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

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
