import type { Access, Decision, Facts, PolicySummary } from '../domain/policy-engine.ts'
import type { CompiledDocument } from './document.ts'
import { FactsError } from './errors.ts'
import { baseRules, type CedarInstance, type CompiledPolicy, type Evaluation } from './instance.ts'

/** A document in one instance of the engine, ready to decide. */
export class DecidingSet {
  readonly policies: readonly CompiledPolicy[]
  readonly summaries: readonly PolicySummary[]
  readonly #name: string
  readonly #document: CompiledDocument
  readonly #off: readonly string[]
  /** The instances that have the policies, and that have the permits alone. */
  #inside: CedarInstance | undefined
  #permitsInside: CedarInstance | undefined

  /** @param name of the set in the instance; a set with this name is replaced */
  constructor(name: string, document: CompiledDocument, off: readonly string[]) {
    this.#name = name
    this.#document = document
    this.#off = off
    this.policies = [...baseRules(off), ...document.policies]
    this.summaries = this.policies.map(({ text: _text, ...summary }) => summary)
  }

  /** Puts the policies into an instance, unless it has them. Throws unless the instance then applies the base rules. */
  enter(instance: CedarInstance): void {
    if (this.#inside === instance) return
    instance.add(this.#name, this.policies)
    instance.assertRefuses(this.#name, this.#off)
    this.#inside = instance
  }

  /** Decides one request. An error of the instance is thrown; an error in the facts or a policy is a refusal. */
  decide(instance: CedarInstance, facts: Facts, access: Access, explain = false): Omit<Decision, 'version'> {
    this.enter(instance)
    const passed = this.#document.uses.whole_minutes ? inWholeMinutes(facts) : facts
    const evaluations: Evaluation[] = []
    try {
      evaluations.push(instance.evaluate(this.#name, passed, access))
      // `write` includes `read`. If no policy tells them apart, one evaluation answers both.
      const both = access === 'write' && this.#document.uses.access
      if (both && evaluations[0]?.allowed) evaluations.push(instance.evaluate(this.#name, passed, 'read'))
    } catch (error) {
      if (!(error instanceof FactsError)) throw error
      evaluations.push({ allowed: false, reasons: [], errors: [{ id: null, message: error.message }] })
    }
    const allowed = evaluations.every(each => each.allowed)
    const deciding = allowed ? evaluations : evaluations.slice(-1)
    const reasons = new Set(deciding.flatMap(each => each.reasons))
    const determined = this.summaries.filter(({ id }) => reasons.has(id))
    // The engine reports them in any order.
    const errors = deciding.flatMap(each => each.errors).sort((a, b) => (a.id ?? '').localeCompare(b.id ?? ''))
    const hidden = !allowed && explain && determined.some(({ effect }) => effect === 'forbid')
    const permits = hidden ? this.#permits(instance, passed, access) : allowed ? [...reasons] : []
    return {
      allowed,
      access,
      determined_by: determined.filter(({ effect }) => effect === (allowed ? 'permit' : 'forbid')),
      permitted_by: this.summaries.filter(({ id }) => permits.includes(id)).map(({ id }) => id),
      errors,
      evaluations: evaluations.length + (hidden ? 1 : 0),
    }
  }

  /** Evaluates the permits alone: a forbid hides them. */
  #permits(instance: CedarInstance, facts: Facts, access: Access): string[] {
    const name = `${this.#name} permits`
    if (this.#permitsInside !== instance) {
      instance.add(
        name,
        this.policies.filter(({ effect }) => effect === 'permit'),
      )
      this.#permitsInside = instance
    }
    return instance.evaluate(name, facts, access).reasons
  }
}

/** Cuts off the seconds, so that a decision can change only at a full minute. */
function inWholeMinutes(facts: Facts): Facts {
  return { ...facts, context: { ...facts.context, now: Math.floor(facts.context.now / 60_000) * 60_000 } }
}
