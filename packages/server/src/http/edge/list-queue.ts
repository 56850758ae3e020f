/** Maximum pause between two lists, in ms. */
const MAX_PAUSE = 20

/**
 * Runs the reading of lists a few at a time. Between two of them it pauses for as long as the first one took, so lists
 * use at most half of the time: someone who reads a whole list page by page does not delay those who sign in.
 */
export class ListQueue {
  readonly #maximum: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** @param maximum how many lists are read at the same time */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /** Runs the work in its turn. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#maximum) await new Promise<void>(resolve => this.#waiting.push(resolve))
    else this.#running++
    const began = performance.now()
    try {
      return await work()
    } finally {
      // Whose turn it is, is decided after the pause: pauses differ.
      const pause = this.#waiting.length === 0 ? 0 : Math.min(MAX_PAUSE, performance.now() - began)
      if (pause === 0) this.#next()
      else setTimeout(() => this.#next(), pause)
    }
  }

  #next(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#running--
  }
}
