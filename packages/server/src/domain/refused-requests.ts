import { invalidParam } from '../contract/errors.ts'
import { partsOf } from './cursor.ts'
import type { Found, Page } from './lists.ts'
import type { RefusedRequestsRecord } from './records.ts'
import type { Store } from './store.ts'

const MINUTE = 60_000
/** Maximum counters (pairs of address and code) per minute. Further ones are counted together. */
const MAX_COUNTERS = 1_000

/** Counts refusals per minute, network and code, and writes the counts to the store once a second. */
export class RefusedRequestCounter {
  #counts = new Map<string, { minute: number; address: string; code: string; count: number }>()
  #minute = 0
  #seen = new Set<string>()
  #written: Promise<void> = Promise.resolve()

  /** @param network `Caller.network`: an IPv4 address, or the /64 of an IPv6 address; null if it is unknown */
  count(now: number, network: string | null, code: string): void {
    const minute = now - (now % MINUTE)
    if (minute !== this.#minute) {
      this.#minute = minute
      this.#seen.clear()
    }
    let from = network ?? 'unknown'
    if (this.#seen.size >= MAX_COUNTERS && !this.#seen.has(`${from} ${code}`)) from = 'others'
    this.#seen.add(`${from} ${code}`)
    const key = `${minute} ${from} ${code}`
    const counted = this.#counts.get(key)
    if (counted) counted.count += 1
    else this.#counts.set(key, { minute, address: from, code, count: 1 })
  }

  /** Writes the counts to the store, after those that are being written. */
  async flush(store: Store): Promise<void> {
    const write = this.#written.then(() => this.#write(store))
    this.#written = write.catch(() => {})
    return write
  }

  async #write(store: Store): Promise<void> {
    if (this.#counts.size === 0) return
    const counts = this.#counts
    this.#counts = new Map()
    try {
      await store.refusedRequests.add([...counts.values()])
    } catch (error) {
      for (const [key, counted] of counts) {
        const newer = this.#counts.get(key)
        if (newer) newer.count += counted.count
        // Limited, so that memory does not fill up while the store is unavailable.
        else if (this.#counts.size < 10 * MAX_COUNTERS) this.#counts.set(key, counted)
      }
      throw error
    }
  }
}

/**
 * Lists the counts, newest minute first. The cursor follows the primary key, because counts change while they are read;
 * within a page the largest counts of a minute come first.
 * @throws ApiError form_param_value_invalid if the cursor is not one of this list
 */
export async function listRefusedRequests(
  ctx: { store: Store },
  input: Page & { counted: boolean },
): Promise<Found<RefusedRequestsRecord>> {
  const { starting_after } = input
  if (starting_after !== undefined) {
    const types = partsOf(starting_after)?.map(part => typeof part)
    if (types?.join() !== 'number,string,string')
      throw invalidParam('starting_after', '`starting_after` must be the `next_cursor` of a page of this list.')
  }
  const found = await ctx.store.refusedRequests.list(input, input)
  return { ...found, rows: found.rows.sort(byMinuteAndCount) }
}

function byMinuteAndCount(a: RefusedRequestsRecord, b: RefusedRequestsRecord): number {
  const key = ({ address, code }: RefusedRequestsRecord) => `${address} ${code}`
  return b.minute - a.minute || b.count - a.count || (key(a) < key(b) ? -1 : 1)
}
