import type { Clock } from './context.ts'
import type { NotBeforeRecord, RevokedSession } from './records.ts'
import type { Store } from './store.ts'

/** A change is visible at most so much later than the time it bears: a transaction takes that long at most, ms. */
const COMMIT_LAG = 10_000
const PAGE = 1_000

/** What verifiers should refuse from now on. `at` is also the place in the feed to go on from. */
export type Revocation =
  | { kind: 'session'; at: number; session: RevokedSession }
  | { kind: 'stamp'; at: number; stamp: NotBeforeRecord }

/**
 * Tells followers what has been revoked, by whichever node, each thing once or, after an interruption, more than once.
 * It reads what is stored, behind the last place and somewhat before it, so nothing is missed: the calls of the
 * database only say when it is worth looking.
 */
export class RevocationFeed {
  readonly #store: Store
  readonly #clock: Clock
  readonly #followers = new Set<(revocation: Revocation) => void>()
  /** What was told, by when it happened. */
  readonly #told = new Map<string, number>()
  #from = 0
  #reading: Promise<void> | undefined
  #again = false
  #quiet: (() => void) | undefined

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  get followers(): number {
    return this.#followers.size
  }

  /**
   * First everything since a time and a little before, then whatever comes.
   * @param since Unix ms
   * @param current called once, when everything up to now has been told
   * @returns what ends it
   */
  async follow(since: number, tell: (revocation: Revocation) => void, current: () => void): Promise<() => void> {
    const early: Revocation[] = []
    let hear = (revocation: Revocation): void => {
      early.push(revocation)
    }
    const follower = (revocation: Revocation) => hear(revocation)
    if (this.#followers.size === 0) {
      this.#from = this.#clock.now()
      this.#quiet = this.#store.revocations.onChange(() => void this.look().catch(() => {}))
    }
    this.#followers.add(follower)
    const leave = () => {
      if (!this.#followers.delete(follower) || this.#followers.size > 0) return
      this.#quiet?.()
      this.#told.clear()
    }
    try {
      await this.#read(since - COMMIT_LAG, tell)
    } catch (error) {
      leave()
      throw error
    }
    for (const revocation of early) tell(revocation)
    hear = tell
    current()
    return leave
  }

  /** Looks for news, if anybody wants to know. */
  look(): Promise<void> {
    if (this.#followers.size === 0) return Promise.resolve()
    if (this.#reading) {
      this.#again = true
      return this.#reading
    }
    this.#reading = this.#news().finally(() => {
      this.#reading = undefined
      if (!this.#again) return
      this.#again = false
      void this.look().catch(() => {})
    })
    return this.#reading
  }

  async #news(): Promise<void> {
    const now = this.#clock.now()
    await this.#read(this.#from - COMMIT_LAG, revocation => {
      const key = keyOf(revocation)
      if (this.#told.has(key)) return
      this.#told.set(key, revocation.at)
      for (const follower of this.#followers) follower(revocation)
    })
    this.#from = now
    // In the order they were told in, which is about that of time.
    for (const [key, at] of this.#told) {
      if (at >= now - 2 * COMMIT_LAG) break
      this.#told.delete(key)
    }
  }

  async #read(since: number, tell: (revocation: Revocation) => void): Promise<void> {
    for (const stamp of await this.#store.revocations.stamps({ since })) tell({ kind: 'stamp', at: stamp.at, stamp })
    let last = { updated_at: since, id: '' }
    for (;;) {
      const page = await this.#store.revocations.endedSince(last.updated_at, last.id, PAGE)
      for (const session of page) tell({ kind: 'session', at: session.updated_at, session })
      if (page.length < PAGE) return
      last = page.at(-1) ?? last
    }
  }
}

function keyOf(revocation: Revocation): string {
  if (revocation.kind === 'session') return revocation.session.id
  const { scope, subject, at } = revocation.stamp
  return `${scope} ${subject} ${at}`
}
