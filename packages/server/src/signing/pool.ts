import { type KeyObject, sign } from 'node:crypto'
import { availableParallelism } from 'node:os'

/** Maximum signatures that run at the same time. Node's thread pool has four threads by default. */
const AT_ONCE = Math.min(availableParallelism() + 1, 4)
/** Maximum finished signatures per batch, while others are still waiting. */
const TOGETHER = 8

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
  #made: (() => void)[] = []

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
          this.#made.push(() => (error ? reject(error) : resolve(signature)))
          if (this.#waiting.length === 0 || this.#made.length === TOGETHER) this.#handOut()
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
  #handOut(): void {
    const made = this.#made
    this.#made = []
    for (const done of made) done()
  }

  #next(): void {
    if (this.#running >= AT_ONCE) return
    const job = this.#waiting.shift()
    if (!job) return
    this.#running += 1
    sign('sha256', job.data, job.key, job.done)
  }
}
