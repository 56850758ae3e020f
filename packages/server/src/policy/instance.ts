import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import { isMainThread } from 'node:worker_threads'
import type * as Cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { Access, DecisionError, Facts } from '../domain/policy-engine.ts'
import { neutralFacts } from '../domain/policy-facts.ts'
import { ALWAYS_ON, BASE_POLICY } from './base-policy.ts'
import { cedarFacts } from './entities.ts'
import { PolicyUnavailableError } from './errors.ts'
import { SCHEMA } from './schema.ts'
import { scanText } from './text-limits.ts'

/** The functions of Cedar that are used. */
export type CedarModule = Pick<
  typeof Cedar,
  'policySetTextToParts' | 'policyToJson' | 'preparsePolicySet' | 'preparseSchema' | 'statefulIsAuthorized' | 'validate'
>

/** A policy that is ready to be loaded. */
export interface CompiledPolicy {
  id: string
  effect: 'permit' | 'forbid'
  title: string | null
  message: string | null
  line: number | null
  text: string
}

/** The result of one evaluation. */
export interface Evaluation {
  allowed: boolean
  /** Ids of the policies that decided. */
  reasons: string[]
  errors: DecisionError[]
}

const PACKAGE = '@cedar-policy/cedar-wasm/nodejs'
const load = createRequire(import.meta.url)

/** Finds the engine without loading it. Throws if it is not installed. */
export function findCedar(): string {
  return load.resolve(PACKAGE)
}

/** Loads a new copy of the engine. The first takes some 100 ms, another one in the same process 10 ms. */
export function newCedar(): CedarModule {
  // One thread that optimizes the engine's code instead of all: with several, 20 MB stay in their heaps. Flags are those of
  // the process, so one thread sets it.
  if (isMainThread) setFlagsFromString('--wasm-num-compilation-tasks=1')
  delete load.cache[findCedar()]
  return load(PACKAGE) as CedarModule
}

/** The base rules, in their order. Read without the engine: it is our own text. */
export const BASE_RULES: readonly CompiledPolicy[] = scanText(BASE_POLICY).policies.map(({ start, end }) => {
  const text = BASE_POLICY.slice(start, end)
  const annotation = (name: string) => new RegExp(`^@${name}\\("(.*)"\\)$`, 'm').exec(text)?.[1] ?? null
  return {
    id: annotation('id') ?? '',
    effect: 'forbid',
    title: annotation('title'),
    message: annotation('message'),
    line: null,
    text,
  }
})

/** The base rules that a document leaves on. */
export const baseRules = (off: readonly string[]) => BASE_RULES.filter(({ id }) => !off.includes(id))

const SCHEMA_NAME = 'stagedoor'
const CANARY = 'canary'

/** One copy of the engine: the schema, and sets of policies by name. Any error that it throws means that it is broken. */
export class CedarInstance {
  readonly cedar: CedarModule

  /** Throws {@link PolicyUnavailableError} if the engine does not refuse what it must refuse. */
  constructor(cedar: CedarModule) {
    this.cedar = cedar
    const answer = cedar.preparseSchema(SCHEMA_NAME, SCHEMA)
    if (answer.type !== 'success') throw new PolicyUnavailableError('The engine does not accept the schema.')
    const permit = 'permit (principal, action, resource);'
    this.add(CANARY, [
      ...BASE_RULES,
      { id: CANARY, effect: 'permit', title: null, message: null, line: null, text: permit },
    ])
    this.assertRefuses(CANARY, [])
  }

  /** Adds a set of policies, or replaces the one with this name. */
  add(name: string, policies: readonly CompiledPolicy[]): void {
    const staticPolicies = Object.fromEntries(policies.map(({ id, text }) => [id, text]))
    const answer = this.cedar.preparsePolicySet(name, { staticPolicies })
    if (answer.type !== 'success') throw new PolicyUnavailableError(`The engine does not accept ${name}.`)
  }

  /** Evaluates a set of policies. Facts that the engine does not accept are an error of the evaluation, so a refusal. */
  evaluate(name: string, facts: Facts, action: Access): Evaluation {
    // Without a schema `action in Action::"act"` is false, and base rules do not apply.
    const answer = this.cedar.statefulIsAuthorized({
      ...cedarFacts(facts),
      action: { type: 'Action', id: action },
      preparsedSchemaName: SCHEMA_NAME,
      validateRequest: true,
      preparsedPolicySetId: name,
    })
    if (answer.type !== 'success') {
      return { allowed: false, reasons: [], errors: answer.errors.map(({ message }) => ({ id: null, message })) }
    }
    const { decision, diagnostics } = answer.response
    const errors = diagnostics.errors.map(({ policyId, error }) => ({ id: policyId, message: error.message }))
    // A policy that fails is skipped: a forbid that fails would not forbid.
    return { allowed: decision === 'allow' && errors.length === 0, reasons: diagnostics.reason, errors }
  }

  /** Asks about a protected user and a blocked actor. Throws unless the rules that are on refuse both. */
  assertRefuses(name: string, off: readonly string[]): void {
    const facts = neutralFacts()
    const cases: [string, Facts][] = [
      [ALWAYS_ON, { ...facts, principal: { ...facts.principal, blocked: true } }],
      ['base.protected', { ...facts, resource: { ...facts.resource, protected: true } }],
    ]
    for (const [rule, question] of cases) {
      if (off.includes(rule)) continue
      for (const action of ['read', 'write'] as const) {
        const { allowed, reasons } = this.evaluate(name, question, action)
        if (!allowed && reasons.includes(rule)) continue
        throw new PolicyUnavailableError(`The engine does not apply ${rule}: it must not decide.`)
      }
    }
  }
}
