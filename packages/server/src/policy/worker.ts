import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { PolicyRefusal } from '../domain/policy-engine.ts'
import { PolicyUnavailableError } from './errors.ts'
import type { Job, Report } from './worker-jobs.ts'

/** Runs jobs in a thread, one at a time: a thread that checks a hostile text must not take all cores. */

/** Next to this file, with the same ending: TypeScript, the npm package and the bundle each have their own. */
const FILE = new URL(`./cedar-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url)

/** How long reading a text may take with the start of the thread, and what follows, in ms. */
export interface WorkerLimits {
  readMs: number
  restMs: number
}

/** Maximum number of jobs that wait. */
const MAX_WAITING = 16

/**
 * The thread's stack is half as large as the main thread's. What overflows the main thread's would overflow it first, and
 * before it overflows the stack inside WebAssembly, which nothing guards.
 */
const STACK_MB = 0.5

/** The thread could not process the text: it took too long, or the engine broke. */
export class TextRejected extends Error {
  override name = 'TextRejected'
  readonly refusal: PolicyRefusal

  constructor(refusal: PolicyRefusal, message: string, options?: ErrorOptions) {
    super(message, options)
    this.refusal = refusal
  }
}

export class PolicyWorker {
  readonly #limits: WorkerLimits
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor(limits: WorkerLimits) {
    this.#limits = limits
  }

  /** Runs a job after those before it. Throws {@link TextRejected} if the text is at fault. */
  async run(job: Job): Promise<Exclude<Report, { kind: 'accepted' }>> {
    if (this.#waiting >= MAX_WAITING) throw new PolicyUnavailableError('Too many policies wait to be checked.')
    this.#waiting += 1
    const previous = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    try {
      await previous
      return await this.#start(job)
    } finally {
      this.#waiting -= 1
      resolve()
    }
  }

  async #start(job: Job): Promise<Exclude<Report, { kind: 'accepted' }>> {
    const worker = new Worker(FILE, {
      workerData: job,
      // The text gets no secrets and little memory, even if it should find a way to run code.
      env: {},
      execArgv: [],
      resourceLimits: { stackSizeMb: STACK_MB, maxOldGenerationSizeMb: 256 },
    })
    const { promise, resolve, reject } = Promise.withResolvers<Exclude<Report, { kind: 'accepted' }>>()
    const limit = (ms: number) =>
      setTimeout(() => reject(new TextRejected('policy_too_slow', `Reading it took longer than ${ms / 1_000} s.`)), ms)
    let timer = limit(this.#limits.readMs)
    worker.on('message', (report: Report) => {
      if (report.kind !== 'accepted') return resolve(report)
      clearTimeout(timer)
      timer = limit(this.#limits.restMs)
    })
    worker.on('error', cause => {
      reject(
        new TextRejected('policy_invalid', 'An expression is too long or too deeply nested for the engine.', { cause }),
      )
    })
    worker.on('exit', () => reject(new TextRejected('policy_invalid', 'The engine ended while it read the text.')))
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      await worker.terminate()
    }
  }
}
