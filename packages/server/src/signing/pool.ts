import { type KeyObject, sign } from 'node:crypto'
import { availableParallelism } from 'node:os'

/** Node's thread pool has four threads unless told otherwise. */
const AT_ONCE = Math.min(availableParallelism() + 1, 4)
/** While others wait for their signature, those that are made are handed out so many at a time. */
const TOGETHER = 8

interface Job {
  data: Buffer
  key: KeyObject
  since: number
  done: (error: Error | null, signature: Buffer) => void
}

/**
 * Signatures that take so long that the thread pool makes them. It is handed only as many at once as there are cores for,
 * and one to go on with: more would only take the event loop's turn. The others wait here, where it can be seen.
 */
export class SigningPool {
  readonly #waiting: Job[] = []
  #running = 0
  #made: (() => void)[] = []

  /** SHA-256 and RSA. */
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

  /** How many wait, and how long the first of them has, ms. */
  waiting(): { length: number; oldest: number } {
    const [first] = this.#waiting
    return { length: this.#waiting.length, oldest: first ? performance.now() - first.since : 0 }
  }

  /** One after the other: for a processor that is less work than each at another time. */
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
