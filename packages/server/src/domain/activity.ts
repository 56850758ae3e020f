import type { SessionRecord } from './records.ts'
import type { Store } from './store.ts'

/** Interval at which the last use is written for a session without an idle timeout, in ms. */
const DEFAULT_LAG = 60_000
/** Maximum sessions per transaction. */
const BATCH = 500

interface Use {
  at: number
  /** When to write it, Unix ms. */
  due: number
  lag: number
}

/**
 * Keeps the time of each session's last use in memory and writes it later, in batches, because a mint must not write.
 * The stored time lags by at most a tenth of the idle timeout. So other nodes, which know only the stored time, never
 * treat an active session as abandoned. A crash loses no more than that lag.
 */
export class Activity {
  readonly #uses = new Map<string, Use>()

  /** Records a use of a session. @param session as it is stored */
  record(session: SessionRecord, now: number): void {
    const recorded = this.#uses.get(session.id)
    if (recorded) {
      recorded.at = Math.max(recorded.at, now)
      return
    }
    const lag = session.idle_timeout_seconds === null ? DEFAULT_LAG : session.idle_timeout_seconds * 100
    this.#uses.set(session.id, { at: now, due: session.last_active_at + lag, lag })
  }

  /** Returns the last use that has not been written yet, Unix ms. */
  pending(sessionId: string): number | undefined {
    return this.#uses.get(sessionId)?.at
  }

  /** Returns the session with its last use, which may not have been written yet. */
  current<T extends SessionRecord>(session: T): T {
    const used = this.pending(session.id)
    if (used === undefined || used <= session.last_active_at) return session
    const { idle_timeout_seconds: idle } = session
    return { ...session, last_active_at: used, ...(idle === null ? {} : { abandon_at: used + idle * 1_000 }) }
  }

  /** Writes what is due at a time. By default writes everything. */
  async flush(store: Store, now = Number.POSITIVE_INFINITY): Promise<void> {
    const due: [string, Use][] = []
    for (const entry of this.#uses) if (entry[1].due <= now) due.push(entry)
    for (let first = 0; first < due.length; first += BATCH) {
      const batch = due.slice(first, first + BATCH).map(([id, use]) => ({ id, use, at: use.at }))
      await store.sessions.recordActivity(batch)
      for (const { id, use, at } of batch) {
        if (use.at === at) this.#uses.delete(id)
        // The session was used again during the write.
        else use.due = at + use.lag
      }
    }
  }
}
