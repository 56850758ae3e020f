import type { SessionRecord } from './records.ts'
import type { Store } from './store.ts'

/** The last use of a session that does not end from being idle is written this often, ms. */
const USUAL_LAG = 60_000
/** So many are written in one transaction. */
const BATCH = 500

interface Use {
  at: number
  /** When it is to be written. */
  due: number
  lag: number
}

/**
 * When each session was last used, kept here and written later, many at once: a mint must not write. What is written
 * lags behind by a tenth of the idle time at most, so that other nodes, which know only what is written, never take a
 * session in use for an abandoned one. A crash loses no more than that.
 */
export class Activity {
  readonly #uses = new Map<string, Use>()

  /** @param session as it is stored */
  note(session: SessionRecord, now: number): void {
    const noted = this.#uses.get(session.id)
    if (noted) {
      noted.at = Math.max(noted.at, now)
      return
    }
    const lag = session.idle_timeout_seconds === null ? USUAL_LAG : session.idle_timeout_seconds * 100
    this.#uses.set(session.id, { at: now, due: session.last_active_at + lag, lag })
  }

  /** Last use not yet written, Unix ms. */
  pending(sessionId: string): number | undefined {
    return this.#uses.get(sessionId)?.at
  }

  /** The session as it is now, with its last use that may not have been written yet. */
  current<T extends SessionRecord>(session: T): T {
    const used = this.pending(session.id)
    if (used === undefined || used <= session.last_active_at) return session
    const { idle_timeout_seconds: idle } = session
    return { ...session, last_active_at: used, ...(idle === null ? {} : { abandon_at: used + idle * 1_000 }) }
  }

  /** Writes what is due at a time, or everything. */
  async flush(store: Store, now = Number.POSITIVE_INFINITY): Promise<void> {
    const due: [string, Use][] = []
    for (const entry of this.#uses) if (entry[1].due <= now) due.push(entry)
    for (let first = 0; first < due.length; first += BATCH) {
      const batch = due.slice(first, first + BATCH).map(([id, use]) => ({ id, use, at: use.at }))
      await store.sessions.noteActivity(batch)
      for (const { id, use, at } of batch) {
        if (use.at === at) this.#uses.delete(id)
        // Used again while it was written.
        else use.due = at + use.lag
      }
    }
  }
}
