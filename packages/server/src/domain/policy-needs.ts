import type { Access, ActingFacts, Decision, Facts, PolicyConstants } from './policy-engine.ts'

/** What would turn a refusal into an allow. */

/** Maximum number of evaluations for the remedies of one refusal. */
export const MAX_EVALUATIONS = 10

/** The age in seconds that a fresh login is assumed to have when the actor token is created. */
const FRESH_LOGIN_AGE = 60

/**
 * One change of a request, as the API shows it: `reason`, `ticket`, `category:change`, `duration:900` (seconds), `read`,
 * `login`, `login:otp` or `login:hwk+otp` (a fresh login with these methods).
 */
export type Remedy = string

interface Candidate {
  remedy: Remedy
  facts: Facts
  access: Access
}

/**
 * Finds alternatives that each turn a refusal into an allow. Each is a list of remedies, for now of one. Tries what the
 * policies compare with, in at most {@link MAX_EVALUATIONS} evaluations.
 *
 *     findNeeds((facts, access) => engine.decide(17, facts, access), facts, 'write', loaded.constants)
 *     // [['ticket'], ['read']]
 *
 * @param decide decides a request; facts that come back from `applyRemedy` must lead to the same decision
 */
export function findNeeds(
  decide: (facts: Facts, access: Access) => Pick<Decision, 'allowed' | 'evaluations'>,
  facts: Facts,
  access: Access,
  constants: PolicyConstants,
): Remedy[][] {
  const needs: Remedy[][] = []
  let left = MAX_EVALUATIONS
  const helps = (candidate: Candidate): boolean => {
    // `write` can take two evaluations.
    if (left < (candidate.access === 'write' ? 2 : 1)) return false
    const decision = decide(candidate.facts, candidate.access)
    left -= decision.evaluations
    return decision.allowed
  }
  for (const remedy of remediesFor(facts, access, constants)) {
    if (!helps(applyRemedy(facts, access, remedy))) continue
    const simpler = singleMethods(remedy).filter(each => helps(applyRemedy(facts, access, each)))
    needs.push(...(simpler.length > 0 ? simpler : [remedy]).map(each => [each]))
  }
  return needs
}

/** Returns what can help, the likeliest first. */
function remediesFor({ context }: Facts, access: Access, constants: PolicyConstants): Remedy[] {
  const { reason, duration, auth } = context
  const amr = constants.amr.slice(0, MAX_AMR)
  return [
    ...(reason === undefined ? ['reason'] : []),
    // If policies compare the ticket itself, an arbitrary one proves nothing.
    ...(reason?.ticket === undefined && !constants.compares_ticket ? ['ticket'] : []),
    ...(access === 'write' ? ['read'] : []),
    ...(constants.uses_auth && !isFresh(auth, amr) ? [amr.length === 0 ? 'login' : `login:${amr.join('+')}`] : []),
    ...constants.categories.filter(category => category !== reason?.category).map(category => `category:${category}`),
    ...constants.durations.filter(seconds => seconds < duration).map(seconds => `duration:${seconds}`),
  ]
}

/** Maximum number of login methods that are tried. */
const MAX_AMR = 8

const isFresh = (auth: ActingFacts['auth'], amr: readonly string[]) =>
  auth !== undefined && auth.age <= FRESH_LOGIN_AGE && amr.every(method => auth.amr.includes(method))

/** Returns the parts of a login with several methods: one of them may be enough. */
function singleMethods(remedy: Remedy): Remedy[] {
  const methods = /^login:(.*\+.*)$/.exec(remedy)?.[1]?.split('+') ?? []
  return methods.map(method => `login:${method}`)
}

/**
 * Returns the request as it would be with a remedy.
 *
 *     applyRemedy(facts, 'write', 'duration:900').facts.context.duration   // 900
 */
export function applyRemedy(facts: Facts, access: Access, remedy: Remedy): Candidate {
  const { context } = facts
  const [name, value = ''] = splitOnce(remedy)
  const changed = (acting: Partial<ActingFacts>): Candidate => {
    return { remedy, facts: { ...facts, context: { ...context, ...acting } }, access }
  }
  switch (name) {
    case 'reason':
      return changed({ reason: { ...context.reason } })
    case 'ticket':
      return changed({ reason: { ...context.reason, ticket: 'ticket' } })
    case 'category':
      return changed({ reason: { ...context.reason, category: value } })
    case 'duration':
      return changed({ duration: Number(value) })
    case 'login':
      return changed({ auth: { age: FRESH_LOGIN_AGE, amr: value === '' ? [] : value.split('+') } })
    case 'read':
      return { remedy, facts, access: 'read' }
    default:
      throw new TypeError(`There is no remedy ${remedy}.`)
  }
}

function splitOnce(text: string): [string, string?] {
  const colon = text.indexOf(':')
  return colon < 0 ? [text] : [text.slice(0, colon), text.slice(colon + 1)]
}
