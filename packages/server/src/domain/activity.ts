import type { SessionRecord } from './records.ts'
import type { Store } from './store.ts'

/**
 * When each session was last used, kept here and written all together now and then: a mint must not write.
 * At most one write a session each time `flush` is called; a crash loses no more than that interval.
 */
export class Activity {
  #lastActive = new Map<string, number>()

  note(sessionId: string, now: number): void {
    this.#lastActive.set(sessionId, now)
  }

  /** Last use not yet written, Unix ms. */
  pending(sessionId: string): number | undefined {
    return this.#lastActive.get(sessionId)
  }

  /** The session as it is now, with its last use that may not have been written yet. */
  current<T extends SessionRecord>(session: T): T {
    const used = this.#lastActive.get(session.id)
    if (used === undefined || used <= session.last_active_at) return session
    const { idle_timeout_seconds: idle } = session
    return { ...session, last_active_at: used, ...(idle === null ? {} : { abandon_at: used + idle * 1_000 }) }
  }

  async flush(store: Store): Promise<void> {
    if (this.#lastActive.size === 0) return
    const noted = this.#lastActive
    this.#lastActive = new Map()
    try {
      await store.sessions.noteActivity([...noted].map(([id, at]) => ({ id, at })))
    } catch (error) {
      for (const [id, at] of noted) if (!this.#lastActive.has(id)) this.#lastActive.set(id, at)
      throw error
    }
  }
}
