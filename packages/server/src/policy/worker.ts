import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { PolicyRefusal } from '../domain/policy-engine.ts'
import { PolicyUnavailableError } from './errors.ts'
import type { Job, Report } from './worker-jobs.ts'

/** Runs jobs in a thread, one at a time: hostile texts must not take all cores. */

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

/** How long a thread waits for another job, in ms: to start one takes longer than most jobs. */
const IDLE_MS = 5_000
/** Maximum jobs of one thread. Each has its own copy of the engine, and their memory is freed late. */
const MAX_JOBS = 20

/** The thread could not process the text: it took too long, or the engine broke. */
export class TextRejected extends Error {
  override name = 'TextRejected'
  readonly refusal: PolicyRefusal

  constructor(refusal: PolicyRefusal, message: string, options?: ErrorOptions) {
    super(message, options)
    this.refusal = refusal
  }
}

/** The thread that waits for another job. Engines of one process share it. */
let idle: { thread: Worker; jobs: number; stop: () => void } | undefined

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
      return await this.#runNow(job)
    } finally {
      this.#waiting -= 1
      resolve()
    }
  }

  async #runNow(job: Job): Promise<Exclude<Report, { kind: 'accepted' }>> {
    const { thread, jobs } = this.#take()
    const { promise, resolve, reject } = Promise.withResolvers<Exclude<Report, { kind: 'accepted' }>>()
    const limit = (ms: number) =>
      setTimeout(() => reject(new TextRejected('policy_too_slow', `Reading it took longer than ${ms / 1_000} s.`)), ms)
    let timer = limit(this.#limits.readMs)
    const listeners = {
      message: (report: Report) => {
        if (report.kind !== 'accepted') return resolve(report)
        clearTimeout(timer)
        timer = limit(this.#limits.restMs)
      },
      error: (cause: unknown) => {
        const message = 'An expression is too long or too deeply nested for the engine.'
        reject(new TextRejected('policy_invalid', message, { cause }))
      },
      exit: () => reject(new TextRejected('policy_invalid', 'The engine ended while it read the text.')),
    }
    for (const [event, listener] of Object.entries(listeners)) thread.on(event, listener)
    try {
      thread.postMessage(job)
      const result = await promise
      for (const [event, listener] of Object.entries(listeners)) thread.off(event, listener)
      if (jobs + 1 < MAX_JOBS) this.#keep(thread, jobs + 1)
      else await thread.terminate()
      return result
    } catch (error) {
      // What broke the engine, or took too long, may still run: it gets no other job.
      await thread.terminate()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  /** Returns the thread that waits, or a new one. */
  #take(): { thread: Worker; jobs: number } {
    const waiting = idle
    idle = undefined
    if (waiting) {
      waiting.stop()
      waiting.thread.ref()
      return waiting
    }
    const thread = new Worker(FILE, {
      // The text gets no secrets and little memory, even if it should find a way to run code.
      env: {},
      execArgv: [],
      resourceLimits: { stackSizeMb: STACK_MB, maxOldGenerationSizeMb: 256 },
    })
    return { thread, jobs: 0 }
  }

  /** Lets a thread wait for another job, unless one does already. It does not keep the process alive. */
  #keep(thread: Worker, jobs: number): void {
    if (idle) {
      void thread.terminate()
      return
    }
    const end = () => {
      idle = undefined
      void thread.terminate()
    }
    const timer = setTimeout(end, IDLE_MS).unref()
    thread.on('error', end).on('exit', end)
    const stop = () => {
      clearTimeout(timer)
      thread.off('error', end).off('exit', end)
    }
    thread.unref()
    idle = { thread, jobs, stop }
  }
}
