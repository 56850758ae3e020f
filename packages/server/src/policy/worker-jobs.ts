import type { PolicyCheck, PolicyProblem, PolicyRefusal, Question, WhatIf } from '../domain/policy-engine.ts'
import { DecidingSet } from './decide.ts'
import { type CompiledDocument, type ReadDocument, readDocument } from './document.ts'
import { CedarInstance, type CedarModule } from './instance.ts'
import { judge, readTests } from './policy-tests.ts'
import { MAX_SLOWNESS, slownessOf } from './speed.ts'

/** What the thread does that reads unknown texts: see cedar-worker.ts. */

/** A job for the thread. All are plain data. */
export type Job = { text: string; off: readonly string[] } & (
  | { kind: 'compile' }
  | { kind: 'check'; tests: string; zone: string }
  | { kind: 'what_if'; questions: readonly Question[]; maxMs: number }
)

/** What the thread reports: that the engine can process the text, and then the result. */
export type Report =
  | { kind: 'accepted' }
  | { kind: 'compiled'; read: ReadDocument }
  | { kind: 'checked'; check: PolicyCheck; compiled?: CompiledDocument }
  | { kind: 'answered'; whatIf: WhatIf }

const NAME = 'text'

/** Does one job. Every step that reads the text runs before `accepted`, so that the caller can limit their time. */
export function runJob(cedar: CedarModule, job: Job, report: (report: Report) => void): void {
  const instance = new CedarInstance(cedar)
  const read = readDocument(cedar, job.text, job.off)
  const set = read.compiled && new DecidingSet(NAME, read.compiled, job.off)
  set?.enter(instance)
  if (job.kind === 'compile') {
    report({ kind: 'compiled', read })
    return
  }
  const slowness = read.compiled ? slownessOf(instance, NAME, read.compiled) : 0
  report({ kind: 'accepted' })
  const check = checkOf(read, set)
  if (slowness > MAX_SLOWNESS) refuse(check, 'policy_too_slow', slow(slowness))
  if (job.kind === 'check') {
    if (set && check.refusal === null) runTests(instance, set, job, check)
    report({ kind: 'checked', check, ...(read.compiled && { compiled: read.compiled }) })
  } else report({ kind: 'answered', whatIf: answers(instance, set, job, check) })
}

/** A check that is being made. */
type Draft = { -readonly [K in keyof PolicyCheck]: PolicyCheck[K] }

function checkOf(read: ReadDocument, set: DecidingSet | undefined): Draft {
  const time = read.compiled?.uses.time
  return {
    refusal: read.errors.length > 0 ? 'policy_invalid' : null,
    errors: read.errors,
    warnings: read.warnings,
    tests: [],
    policies: set?.summaries ?? [],
    time_dependent:
      time !== undefined && (time.every_minute || time.weekday || time.minutes.length + time.instants.length > 0),
  }
}

function refuse(check: Draft, refusal: PolicyRefusal, ...errors: PolicyProblem[]): void {
  check.refusal = refusal
  check.errors = [...check.errors, ...errors]
}

function slow(slowness: number): PolicyProblem {
  const message = `A decision takes ${Math.round(slowness)} times as long as with the base rules alone. ${MAX_SLOWNESS} times is the most.`
  const help = 'Use teams, tags and organizations instead of long lists of names.'
  return { id: null, line: null, column: null, message, help }
}

function runTests(instance: CedarInstance, set: DecidingSet, job: Job & { kind: 'check' }, check: Draft): void {
  const { tests, errors } = readTests(job.tests, job.zone)
  check.tests = tests.map(test => judge(test, set.decide(instance, test.facts, test.access)))
  if (errors.length > 0 || check.tests.some(({ passed }) => !passed)) refuse(check, 'policy_test_failed', ...errors)
}

/** The clock is read after this many answers. */
const ANSWERS_PER_LOOK = 20

function answers(
  instance: CedarInstance,
  set: DecidingSet | undefined,
  job: Job & { kind: 'what_if' },
  check: PolicyCheck,
): WhatIf {
  const whatIf: WhatIf = { check, answers: [], sampled: false }
  if (!set || check.refusal !== null) return whatIf
  const end = performance.now() + job.maxMs
  const given: { allowed: boolean; determined_by: string[] }[] = []
  for (const { facts, access } of job.questions) {
    if (given.length % ANSWERS_PER_LOOK === 0 && performance.now() > end) break
    const { allowed, determined_by } = set.decide(instance, facts, access)
    given.push({ allowed, determined_by: determined_by.map(({ id }) => id) })
  }
  return { ...whatIf, answers: given, sampled: given.length < job.questions.length }
}
