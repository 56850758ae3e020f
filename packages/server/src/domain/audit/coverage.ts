/** Maximum trees whose times are kept. */
const KEPT = 1_000

/**
 * Knows up to when every event is covered by a checkpoint. It does so without reading the times of events, which their
 * writers set: an event that was committed before a tick began is in the tree after that tick.
 */
export class Coverage {
  /** Trees that had every event at a time, and that no sufficient checkpoint covers yet; ascending. */
  #waiting: { size: number; at: number }[] = []
  #coveredAt: number

  /** @param now nothing is known about the time before, Unix ms */
  constructor(now: number) {
    this.#coveredAt = now
  }

  /** The tree of this size has every event that was committed at a time. */
  sequenced(size: number, at: number): void {
    const last = this.#waiting.at(-1)
    if (last?.size === size) last.at = at
    else if (this.#waiting.length < KEPT) this.#waiting.push({ size, at })
  }

  /** A sufficient checkpoint has this size. */
  signed(size: number): void {
    while (this.#waiting[0] && this.#waiting[0].size <= size)
      this.#coveredAt = Math.max(this.#coveredAt, this.#waiting.shift()?.at ?? 0)
  }

  /** Whether there are trees that no sufficient checkpoint covers. */
  isBehind(): boolean {
    return this.#waiting.length > 0
  }

  /** Returns for how long events may have been without a checkpoint, in ms. */
  age(now: number): number {
    return Math.max(0, now - this.#coveredAt)
  }
}
