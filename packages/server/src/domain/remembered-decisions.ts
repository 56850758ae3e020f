import type { DecidedVersions } from './store.ts'

/** Maximum number of sessions. A forgotten decision is made again. */
const MAX_REMEMBERED = 50_000

/** A decision that allows a session: on which versions, until when, and for which address. */
export interface RememberedDecision extends DecidedVersions {
  until: number | null
  ip: string | null
}

/** The last decisions of this process about sessions that started on other versions or from another address. */
export class RememberedDecisions {
  readonly #decisions = new Map<string, RememberedDecision>()

  set(sessionId: string, decision: RememberedDecision): void {
    this.#decisions.delete(sessionId)
    const [oldest] = this.#decisions.keys()
    if (this.#decisions.size >= MAX_REMEMBERED && oldest !== undefined) this.#decisions.delete(oldest)
    this.#decisions.set(sessionId, decision)
  }

  get(sessionId: string): RememberedDecision | undefined {
    return this.#decisions.get(sessionId)
  }
}
