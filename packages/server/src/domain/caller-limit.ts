import { ApiError } from '../contract/errors.ts'
import type { Clock } from './clock.ts'

/** Maximum number of callers that are remembered. */
const MAX_CALLERS = 1_000

/** How often a caller may do something: at most `count` times in `ms` milliseconds. */
export interface CallerLimitOptions {
  count: number
  ms: number
}

/**
 * The remedies of refusals that are searched per caller: each search evaluates the policy up to ten times, and a caller could
 * send nothing but requests that are refused.
 */
export const NEEDS_LIMIT: CallerLimitOptions = { count: 5, ms: 1_000 }

/** The searches for people of each operator: nobody types more, and a program must not read all addresses in this way. */
export const SEARCH_LIMIT: CallerLimitOptions = { count: 60, ms: 60_000 }

/** The questions of each operator to the policy: the console sends one 250 ms after the last key press. */
export const EXPLAIN_LIMIT: CallerLimitOptions = { count: 5, ms: 1_000 }

/** Limits how often each caller does something. Each process counts separately. */
export class CallerLimit {
  readonly #clock: Pick<Clock, 'now'>
  readonly #options: CallerLimitOptions
  /** The last times of each caller, Unix ms, the oldest first. */
  readonly #times = new Map<string, number[]>()

  constructor(clock: Pick<Clock, 'now'>, options: CallerLimitOptions) {
    this.#clock = clock
    this.#options = options
  }

  /**
   * Counts one more time, if the caller may have it.
   *
   *     new CallerLimit(ctx.clock, { count: 5, ms: 1_000 }).take('key_1')   // 0
   *
   * @param caller for example the id of a secret key
   * @returns the time until the next one is allowed, in ms; 0 if this one is
   */
  take(caller: string): number {
    const { count, ms } = this.#options
    const now = this.#clock.now()
    const recent = (this.#times.get(caller) ?? []).filter(at => at > now - ms)
    const [first = now] = recent
    if (recent.length >= count) return first + ms - now
    this.#times.delete(caller)
    const [oldest] = this.#times.keys()
    if (this.#times.size >= MAX_CALLERS && oldest !== undefined) this.#times.delete(oldest)
    this.#times.set(caller, [...recent, now])
    return 0
  }
}

/** Counts one more time for a caller. @throws ApiError too_many_requests */
export function assertWithin(limit: CallerLimit, caller: string): void {
  const seconds = Math.ceil(limit.take(caller) / 1_000)
  if (seconds > 0) throw new ApiError('too_many_requests', { params: { seconds }, meta: { resets_in: seconds } })
}
