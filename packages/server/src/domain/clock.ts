import type { Clock } from './context.ts'

/** A step back that is so small is waited for, ms. */
const SLACK = 2_000

/**
 * A clock that does not go back before everything that was over by the later time has been written down as over: so no
 * ticket or session whose end nobody had noticed comes to life again. Until that is done, in milliseconds mostly, it
 * stands still.
 */
export class SteadyClock implements Clock {
  readonly #clock: Clock
  #latest: number
  #writing = false
  /** Writes down what is over by the time of this clock. */
  writeDown: (() => Promise<void>) | undefined

  /** @param latest the latest time known from before, Unix ms */
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

  /** It was later than this clock knows. */
  wasAt(time: number): void {
    this.#latest = Math.max(this.#latest, time)
  }

  #goBack(): void {
    if (this.#writing || !this.writeDown) return
    this.#writing = true
    this.writeDown()
      .then(
        () => {
          this.#latest = this.#clock.now()
        },
        // The database is away: the next who asks for the time tries again.
        () => {},
      )
      .finally(() => {
        this.#writing = false
      })
  }
}
