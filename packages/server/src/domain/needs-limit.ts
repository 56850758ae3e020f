import type { Clock } from './clock.ts'

/** Maximum number of refusals per caller and second whose remedies are searched. */
export const MAX_NEEDS_PER_SECOND = 5
const SECOND = 1_000
/** Maximum number of callers that are remembered. */
const MAX_CALLERS = 1_000

/**
 * Limits how often the remedies of a refusal are searched: each search evaluates the policy up to ten times, and a caller
 * could send nothing but requests that are refused. Each process counts separately.
 */
export class NeedsLimit {
  readonly #clock: Pick<Clock, 'now'>
  /** The times of the last searches of each caller, Unix ms, the oldest first. */
  readonly #searches = new Map<string, number[]>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /**
   * Counts a search, if the caller may have one.
   *
   *     new NeedsLimit(ctx.clock).take('key_1')   // true
   *
   * @param caller for example the id of a secret key
   */
  take(caller: string): boolean {
    const now = this.#clock.now()
    const recent = (this.#searches.get(caller) ?? []).filter(at => at > now - SECOND)
    if (recent.length >= MAX_NEEDS_PER_SECOND) return false
    this.#searches.delete(caller)
    const [oldest] = this.#searches.keys()
    if (this.#searches.size >= MAX_CALLERS && oldest !== undefined) this.#searches.delete(oldest)
    this.#searches.set(caller, [...recent, now])
    return true
  }
}
