/** What is given to a query. */
export type Args = Record<string, unknown>
type Rows = unknown[]

/** Reads, and returns the rows for each of those that it took. It may take again: it is given the same. */
export type Send = (take: () => Args[]) => Promise<(Rows | Promise<Rows>)[]>

interface Waiter {
  resolve(rows: Rows | Promise<Rows>): void
  reject(error: unknown): void
}

/** Reads that wait to be sent together. */
class Batch {
  readonly since = performance.now()
  /** Who asks for the same waits for the same. */
  readonly wanted = new Map<string, { args: Args; waiters: Waiter[] }>()
  size = 0
  begun = false
}

/**
 * Reads of one query. A few are under way at once, each as soon as it is asked for; those that come meanwhile are the
 * next, all together. None joins what was sent already: what was committed before it came, it sees.
 */
export class Reads {
  readonly #atOnce: number
  readonly #send: Send
  readonly #waiting: Set<{ since: number; size: number }>
  #underWay = 0
  #next: Batch | undefined

  /** @param waiting is told what waits to be taken */
  constructor(atOnce: number, send: Send, waiting: Set<{ since: number; size: number }>) {
    this.#atOnce = atOnce
    this.#send = send
    this.#waiting = waiting
  }

  read(args: Args): Promise<Rows> {
    return new Promise((resolve, reject) => {
      let batch = this.#next
      if (!batch) {
        batch = this.#next = new Batch()
        this.#waiting.add(batch)
      }
      const key = JSON.stringify(args)
      const same = batch.wanted.get(key)
      if (same) same.waiters.push({ resolve, reject })
      else batch.wanted.set(key, { args, waiters: [{ resolve, reject }] })
      batch.size += 1
      this.#go()
    })
  }

  #go(): void {
    if (!this.#next || this.#next.begun || this.#underWay === this.#atOnce) return
    this.#next.begun = true
    this.#underWay += 1
    void this.#run(this.#next)
  }

  async #run(batch: Batch): Promise<void> {
    const take = () => {
      if (this.#next === batch) this.#next = undefined
      this.#waiting.delete(batch)
      return [...batch.wanted.values()].map(({ args }) => args)
    }
    const wanted = () => [...batch.wanted.values()].entries()
    try {
      const found = await this.#send(take)
      // Nobody is given an object that somebody else has as well.
      for (const [i, { waiters }] of wanted())
        for (const [n, { resolve }] of waiters.entries())
          resolve(n === 0 ? (found[i] as Rows) : copied(found[i] as Rows))
    } catch (error) {
      take()
      for (const [, { waiters }] of wanted()) for (const { reject } of waiters) reject(error)
    }
    this.#underWay -= 1
    this.#go()
  }
}

const copied = async (rows: Rows | Promise<Rows>): Promise<Rows> => (await rows).map(row => ({ ...(row as object) }))
