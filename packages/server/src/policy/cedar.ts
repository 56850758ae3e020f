import type {
  Access,
  Decision,
  Facts,
  LoadedPolicy,
  OperatorFacts,
  PolicyCheck,
  PolicyDocument,
  PolicyEngine,
  PolicyProblem,
  PolicyRefusal,
  Question,
  UserFacts,
  WhatIf,
} from '../domain/policy-engine.ts'
import { digestOf } from '../domain/policy-engine.ts'
import { DecidingSet } from './decide.ts'
import { DEFAULT_POLICY } from './default-policy.ts'
import { type CompiledDocument, readDocument } from './document.ts'
import { PolicyUnavailableError } from './errors.ts'
import { CedarInstance, type CedarModule, findCedar, newCedar } from './instance.ts'
import { positionAt, scanText } from './text-limits.ts'
import { PolicyWorker, TextRejected, type WorkerLimits } from './worker.ts'

/** Maximum number of versions that are ready at the same time: the one in force, and those that requests in flight still use. */
const MAX_VERSIONS = 4
/** Maximum time for the questions of a what-if, in ms. */
const WHAT_IF_MS = 20_000
/** A text is read in some 20 ms, and the thread starts in 0.3 s. A busy machine may need many times as long. */
const LIMITS: WorkerLimits = { readMs: 20_000, restMs: WHAT_IF_MS + 5_000 }

/** Maximum number of decisions that are kept for each version. */
const MAX_DECISIONS = 1_000

const PEOPLE: ReadonlySet<string> = new Set(['User', 'Operator', 'Agent'])

export interface PolicyEngineOptions {
  /** Makes a copy of Cedar. Tests replace it with one that is broken. */
  newCedar?: () => CedarModule
  limits?: WorkerLimits
}

/**
 * Creates the engine. It loads nothing but the place of Cedar: the first version that is loaded loads Cedar, which adds some
 * 25 MB and 0.3 s of CPU time.
 *
 *     const engine = createPolicyEngine()
 *     await engine.load(DEFAULT_POLICY)
 *     engine.decide(0, neutralFacts(), 'read').allowed   // true
 */
export function createPolicyEngine(options: PolicyEngineOptions = {}): PolicyEngine {
  if (!options.newCedar) findCedar()
  return new CedarEngine(options.newCedar ?? newCedar, options.limits ?? LIMITS)
}

interface ReadyVersion {
  document: PolicyDocument
  slot: number
  set: DecidingSet
  loaded: LoadedPolicy
  /** Decisions, by all that the policies could see of the request: an evaluation takes as long as the rest of creating a token. */
  decisions: Map<string, Decision>
}

/** The engines of one process share a copy of Cedar, until it breaks: starting one takes 0.1 s or more. */
let shared: CedarInstance | undefined
let engines = 0

class CedarEngine implements PolicyEngine {
  readonly #newCedar: () => CedarModule
  /** Makes the names of its policies different from those of other engines. */
  readonly #name = `engine ${++engines}`
  readonly #worker: PolicyWorker
  /** By version, the least recently loaded first. */
  readonly #versions = new Map<number, ReadyVersion>()
  /** Documents that the thread has accepted, by their digest. */
  readonly #accepted = new Map<string, CompiledDocument>()
  readonly #loading = new Map<string, Promise<LoadedPolicy>>()
  #instance: CedarInstance | undefined

  constructor(newCedarCopy: () => CedarModule, limits: WorkerLimits) {
    this.#newCedar = newCedarCopy
    this.#worker = new PolicyWorker(limits)
  }

  async load(document: PolicyDocument): Promise<LoadedPolicy> {
    const ready = this.#versions.get(document.version)
    if (ready && digestOf(ready.document) === digestOf(document)) return ready.loaded
    const key = `${document.version} ${digestOf(document)}`
    const started = this.#loading.get(key)
    if (started) return started
    const loading = this.#compile(document).then(compiled => this.#makeReady(document, compiled))
    this.#loading.set(key, loading)
    try {
      return await loading
    } finally {
      this.#loading.delete(key)
    }
  }

  loaded(version: number): LoadedPolicy | undefined {
    return this.#versions.get(version)?.loaded
  }

  decide(version: number, facts: Facts, access: Access, options: { explain?: boolean } = {}): Decision {
    const ready = this.#versions.get(version)
    if (!ready) throw new PolicyUnavailableError(`Version ${version} of the policy is not loaded.`)
    const key = options.explain ? undefined : visibleFacts(ready.loaded, access, facts)
    const known = key && ready.decisions.get(key)
    if (known) return known
    const decided = this.#persevere(instance => ready.set.decide(instance, facts, access, options.explain))
    if (key !== undefined) {
      if (ready.decisions.size >= MAX_DECISIONS) ready.decisions.clear()
      ready.decisions.set(key, { version, ...decided, evaluations: 0 })
    }
    return { version, ...decided }
  }

  async check(text: string, off: readonly string[], tests = '', { zone = 'UTC' } = {}): Promise<PolicyCheck> {
    const exceeded = exceededLimit(text)
    if (exceeded) return exceeded
    try {
      const report = await this.#worker.run({ kind: 'check', text, off, tests, zone })
      if (report.kind !== 'checked') throw new PolicyUnavailableError('The thread did another job.')
      if (report.compiled && report.check.refusal === null) this.#accept({ text, off }, report.compiled)
      return report.check
    } catch (error) {
      return rejectedCheck(error)
    }
  }

  async whatIf(text: string, off: readonly string[], questions: readonly Question[]): Promise<WhatIf> {
    const exceeded = exceededLimit(text)
    if (exceeded) return { check: exceeded, answers: [], sampled: false }
    try {
      const report = await this.#worker.run({ kind: 'what_if', text, off, questions, maxMs: WHAT_IF_MS })
      if (report.kind !== 'answered') throw new PolicyUnavailableError('The thread did another job.')
      return report.whatIf
    } catch (error) {
      return { check: rejectedCheck(error), answers: [], sampled: false }
    }
  }

  /** Reads a document in the thread: this thread's engine gets only what the other has processed without breaking. */
  async #compile(document: PolicyDocument): Promise<CompiledDocument> {
    const known = this.#accepted.get(digestOf(document))
    if (known) return known
    const { text, off } = document
    const [problem] = exceededLimit(text)?.errors ?? []
    if (problem)
      throw new PolicyUnavailableError(`Version ${document.version} of the policy is not valid: ${problem.message}`)
    // Our own text needs no thread, which would take longer than everything else at the first request.
    const ours = digestOf(document) === digestOf(DEFAULT_POLICY)
    const read = ours
      ? this.#persevere(({ cedar }) => readDocument(cedar, text, off))
      : await this.#readInThread(document)
    if (!read.compiled) {
      throw new PolicyUnavailableError(
        `Version ${document.version} of the policy is not valid: ${read.errors[0]?.message}`,
      )
    }
    this.#accept(document, read.compiled)
    return read.compiled
  }

  async #readInThread({ version, text, off }: PolicyDocument) {
    try {
      const report = await this.#worker.run({ kind: 'compile', text, off })
      if (report.kind !== 'compiled') throw new PolicyUnavailableError('The thread did another job.')
      return report.read
    } catch (cause) {
      if (cause instanceof PolicyUnavailableError) throw cause
      throw new PolicyUnavailableError(`Version ${version} of the policy cannot be loaded.`, { cause })
    }
  }

  #accept(document: Pick<PolicyDocument, 'text' | 'off'>, compiled: CompiledDocument): void {
    this.#accepted.set(digestOf(document), compiled)
    const [oldest = ''] = this.#accepted.keys()
    if (this.#accepted.size > MAX_VERSIONS) this.#accepted.delete(oldest)
  }

  #makeReady(document: PolicyDocument, compiled: CompiledDocument): LoadedPolicy {
    const { version, off } = document
    this.#versions.delete(version)
    const [oldest = 0] = this.#versions.keys()
    if (this.#versions.size >= MAX_VERSIONS) this.#versions.delete(oldest)
    const used = [...this.#versions.values()].map(({ slot }) => slot)
    // The engine cannot forget a set of policies, but another one can take its name.
    const slot = Array.from({ length: MAX_VERSIONS }, (_, n) => n).find(n => !used.includes(n)) ?? 0
    const set = new DecidingSet(`${this.#name} slot ${slot}`, compiled, off)
    this.#persevere(instance => set.enter(instance))
    const { time, ip, constants, entities, external_id } = compiled.uses
    const names_people = external_id || entities.some(({ type }) => PEOPLE.has(type))
    const loaded = { version, policies: set.summaries, time, uses_ip: ip, names_people, constants }
    this.#versions.set(version, { document, slot, set, loaded, decisions: new Map() })
    return loaded
  }

  /** Returns a copy of Cedar: the one that others use, unless tests replace Cedar. */
  #start(others: CedarInstance | undefined): CedarInstance {
    if (this.#newCedar !== newCedar) return new CedarInstance(this.#newCedar())
    const instance = others ?? new CedarInstance(newCedar())
    shared = instance
    return instance
  }

  /** Runs a call. If the engine breaks, repeats the call in a new one. */
  #persevere<T>(call: (instance: CedarInstance) => T): T {
    try {
      this.#instance ??= this.#start(shared)
      return call(this.#instance)
    } catch (first) {
      try {
        if (shared === this.#instance) shared = undefined
        this.#instance = undefined
        this.#instance = this.#start(undefined)
        return call(this.#instance)
      } catch (second) {
        this.#instance = undefined
        if (second instanceof PolicyUnavailableError) throw second
        throw new PolicyUnavailableError('The policy engine failed twice.', {
          cause: new AggregateError([first, second]),
        })
      }
    }
  }
}

/**
 * Returns all that the policies can see of a request, as a key: two requests with the same key get the same decision.
 * Undefined if it depends on the time, or on who the people are.
 */
function visibleFacts(
  loaded: LoadedPolicy,
  access: Access,
  { principal, resource, context }: Facts,
): string | undefined {
  const { minutes, weekday, instants, every_minute } = loaded.time
  if (loaded.names_people || minutes.length > 0 || weekday || instants.length > 0 || every_minute) return undefined
  const { now: _now, time: _time, ip, ...acting } = context
  // No rule names a person, so of a user it matters only whether it is the one who is acted as.
  const user = ({ id, external_id: _, ...facts }: UserFacts) => ({ ...facts, is_resource: id === resource.id })
  const operator = ({ sub: _, user: own, ...facts }: OperatorFacts) => ({
    ...facts,
    ...(own ? { user: user(own) } : {}),
  })
  const actor =
    principal.kind === 'operator'
      ? operator(principal)
      : { ...principal, sub: '', ...(principal.owner ? { owner: operator(principal.owner) } : {}) }
  return JSON.stringify([access, actor, user(resource), acting, loaded.uses_ip ? ip : null])
}

function exceededLimit(text: string): PolicyCheck | undefined {
  const { exceeded } = scanText(text)
  if (!exceeded) return undefined
  const { refusal, message, at } = exceeded
  return refusedCheck(refusal, { id: null, ...positionAt(text, at), message, help: null })
}

/** The result for a text that the thread could not process. Any other error is thrown again. */
function rejectedCheck(error: unknown): PolicyCheck {
  if (!(error instanceof TextRejected)) throw error
  return refusedCheck(error.refusal, { id: null, line: null, column: null, message: error.message, help: null })
}

function refusedCheck(refusal: PolicyRefusal, problem: PolicyProblem): PolicyCheck {
  return { refusal, errors: [problem], warnings: [], tests: [], policies: [], time_dependent: false }
}
