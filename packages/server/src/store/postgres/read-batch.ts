/** The values for a query. */
export type Args = Record<string, unknown>
type Rows = unknown[]

/** Takes the waiting reads and returns the rows for each of them. On a retry, `take` returns the same reads. */
export type Send = (take: () => Args[]) => Promise<(Rows | Promise<Rows>)[]>

interface Waiter {
  resolve(rows: Rows | Promise<Rows>): void
  reject(error: unknown): void
}

/** Reads that wait to be sent in one statement. */
class Batch {
  readonly since = performance.now()
  /** Identical reads share one entry. */
  readonly wanted = new Map<string, { args: Args; waiters: Waiter[] }>()
  size = 0
  begun = false
}

/**
 * Batches the reads of one query. A few statements run at the same time, each as soon as it is requested. Reads that
 * arrive while they run form the next batch. A read never joins a statement that was already sent, so it sees
 * everything that was committed before it arrived.
 */
export class ReadBatcher {
  readonly #atOnce: number
  readonly #send: Send
  readonly #waiting: Set<{ since: number; size: number }>
  #underWay = 0
  #next: Batch | undefined

  /** @param waiting receives the batch that waits to be sent */
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
      // Each caller gets its own copy of the rows.
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
