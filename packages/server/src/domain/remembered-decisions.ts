import type { DecidedVersions } from './store.ts'

/** Maximum number of sessions. A forgotten decision is made again. */
const MAX_REMEMBERED = 50_000

/** The last decisions of this process about sessions that started on other versions: on which versions, and until when. */
export class RememberedDecisions {
  readonly #decisions = new Map<string, DecidedVersions & { until: number | null }>()

  set(sessionId: string, decision: DecidedVersions & { until: number | null }): void {
    this.#decisions.delete(sessionId)
    const [oldest] = this.#decisions.keys()
    if (this.#decisions.size >= MAX_REMEMBERED && oldest !== undefined) this.#decisions.delete(oldest)
    this.#decisions.set(sessionId, decision)
  }

  get(sessionId: string) {
    return this.#decisions.get(sessionId)
  }
}
