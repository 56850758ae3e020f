import type { AuditRecord } from '../domain/records.ts'
import type { CommitListener } from './query.ts'

/** The listeners of a database that receive the audit events of each committed transaction. */
export class CommitListeners {
  readonly #listeners = new Set<CommitListener>()
  readonly #warn: (message: string) => void

  /** @param warn is called with the error of a listener */
  constructor(warn: (message: string) => void) {
    this.#warn = warn
  }

  /** Adds a listener. @returns a function that removes it */
  add(listener: CommitListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls every listener. Never throws: the transaction is already committed. */
  report(events: readonly AuditRecord[]): void {
    if (events.length === 0) return
    for (const listener of this.#listeners) {
      try {
        listener(events)
      } catch (error) {
        this.#warn(`A listener for committed audit events failed: ${error instanceof Error ? error.stack : error}`)
      }
    }
  }
}
