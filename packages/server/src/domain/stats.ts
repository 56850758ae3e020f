import { MINUTES } from '../contract/stats.ts'
import type { MinuteCounts } from './audit-store.ts'
import type { Clock } from './clock.ts'
import type { Store } from './store.ts'

const MINUTE = 60_000
/** Time for which an answer is repeated, in ms. */
const REMEMBERED = 5_000
/** Maximum time between the timestamp of an event and the moment it becomes visible, in ms. */
const COMMIT_LAG = 10_000

export interface MinuteStats extends MinuteCounts {
  /** Sessions in which an actor acted at the end of the minute. */
  acting: number
}

/**
 * Counts what happened in the last minutes. A past minute is counted once per process, so that a screen that asks
 * every few seconds costs one short range of an index.
 */
export class Stats {
  readonly #store: Store
  readonly #clock: Clock
  /** Counts of minutes that cannot change any more, by their start. */
  readonly #over = new Map<number, MinuteCounts>()
  #latest: { at: number; minutes: Promise<MinuteStats[]> } | undefined

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Returns the last minutes, oldest first. The last one is not over yet. */
  read(): Promise<MinuteStats[]> {
    const now = this.#clock.now()
    if (this.#latest !== undefined && Math.abs(now - this.#latest.at) < REMEMBERED) return this.#latest.minutes
    const minutes = this.#count(now)
    const latest = { at: now, minutes }
    this.#latest = latest
    // A failure is not repeated.
    minutes.catch(() => {
      if (this.#latest === latest) this.#latest = undefined
    })
    return minutes
  }

  async #count(now: number): Promise<MinuteStats[]> {
    const last = now - (now % MINUTE)
    const starts = Array.from({ length: MINUTES }, (_, i) => last - (MINUTES - 1 - i) * MINUTE)
    const since = starts.find(at => !this.#over.has(at)) ?? last
    const counted = await this.#store.audit.countByMinute(since)
    const { total } = await this.#store.acting.list({ counted: true }, { limit: 1, offset: 0 })
    const found = new Map(counted.map(counts => [counts.at, counts]))
    for (const at of this.#over.keys()) if (at < (starts[0] ?? last)) this.#over.delete(at)
    for (const at of starts) {
      if (at < since || at + MINUTE + COMMIT_LAG > now) continue
      this.#over.set(at, found.get(at) ?? nothing(at))
    }
    const minutes = starts.map(at => ({ ...(found.get(at) ?? this.#over.get(at) ?? nothing(at)), acting: 0 }))
    let acting = total
    for (const minute of minutes.toReversed()) {
      minute.acting = acting
      acting = Math.max(0, acting - minute.redeemed + minute.ended)
    }
    return minutes
  }
}

const nothing = (at: number): MinuteCounts => ({ at, created: 0, redeemed: 0, refused: 0, ended: 0 })
