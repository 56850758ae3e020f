import { type KeyObject, sign } from 'node:crypto'
import { availableParallelism } from 'node:os'

/** Maximum signatures that run at the same time. Node's thread pool has four threads by default. */
const MAX_RUNNING = Math.min(availableParallelism() + 1, 4)
/** Maximum finished signatures per batch, while others are still waiting. */
const MAX_BATCH = 8

interface Job {
  data: Buffer
  key: KeyObject
  since: number
  done: (error: Error | null, signature: Buffer) => void
}

/**
 * Runs slow signatures on the thread pool. At most one more than the number of cores runs at a time: more would only
 * take processor time from the event loop. The others wait in a queue here, where their number can be measured.
 */
export class SigningPool {
  readonly #waiting: Job[] = []
  #running = 0
  #finished: (() => void)[] = []

  /** Signs with SHA-256 and RSA. */
  sign(data: string, key: KeyObject): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        data: Buffer.from(data),
        key,
        since: performance.now(),
        done: (error, signature) => {
          this.#running -= 1
          this.#next()
          this.#finished.push(() => (error ? reject(error) : resolve(signature)))
          if (this.#waiting.length === 0 || this.#finished.length === MAX_BATCH) this.#settle()
        },
      })
      this.#next()
    })
  }

  /** Returns how many signatures wait, and for how long the oldest has waited, in ms. */
  waiting(): { length: number; oldest: number } {
    const [first] = this.#waiting
    return { length: this.#waiting.length, oldest: first ? performance.now() - first.since : 0 }
  }

  /**
   * Resolves finished signatures in one go: handling their callers together takes less processor time than one by one.
   */
  #settle(): void {
    const finished = this.#finished
    this.#finished = []
    for (const done of finished) done()
  }

  #next(): void {
    if (this.#running >= MAX_RUNNING) return
    const job = this.#waiting.shift()
    if (!job) return
    this.#running += 1
    sign('sha256', job.data, job.key, job.done)
  }
}
