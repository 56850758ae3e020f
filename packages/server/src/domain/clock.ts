export interface Clock {
  /** Unix time in milliseconds. */
  now(): number
}

/** Largest backward step that this clock bridges by standing still until the system clock has caught up, in ms. */
const SLACK = 2_000

/**
 * A clock that stands still when the system clock is set back. It goes back only after everything that had expired by
 * the later time is stored as expired, usually within milliseconds. So a token or session whose expiry nothing has
 * recorded yet does not become valid again.
 */
export class MonotonicClock implements Clock {
  readonly #clock: Clock
  #latest: number
  #writing = false
  /** Stores as expired everything that has expired by the time of this clock. */
  persistDue: (() => Promise<void>) | undefined

  /** @param latest the latest time that is known from an earlier run, Unix ms */
  constructor(clock: Clock, latest = Number.NEGATIVE_INFINITY) {
    this.#clock = clock
    this.#latest = latest
  }

  now(): number {
    const time = this.#clock.now()
    if (time >= this.#latest) this.#latest = time
    else if (this.#latest - time > SLACK) this.#goBack()
    return this.#latest
  }

  /** Tells this clock a time that has already passed, for example the time of the last audit event. */
  advanceTo(time: number): void {
    this.#latest = Math.max(this.#latest, time)
  }

  #goBack(): void {
    if (this.#writing || !this.persistDue) return
    this.#writing = true
    this.persistDue()
      .then(
        () => {
          this.#latest = this.#clock.now()
        },
        // The database is unavailable: the next call of `now` tries again.
        () => {},
      )
      .finally(() => {
        this.#writing = false
      })
  }
}
