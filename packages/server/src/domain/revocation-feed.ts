import type { Clock } from './clock.ts'
import type { CutoffRecord, RevokedSession } from './records.ts'
import type { Store } from './store.ts'

/**
 * Maximum time between the timestamp of a change and the moment it becomes visible, in ms: the longest that a
 * transaction takes.
 */
const COMMIT_LAG = 10_000
const PAGE = 1_000

/** A revocation that verifiers should enforce from now on. `at` is also the position in the feed to continue from. */
export type Revocation =
  | { kind: 'session'; at: number; session: RevokedSession }
  | { kind: 'cutoff'; at: number; cutoff: CutoffRecord }

/**
 * Tells followers what any node has revoked. Each revocation is reported once; after an interruption it may be reported
 * again. The feed reads the database from somewhat before its last position, so it misses nothing: the notifications of
 * the database only tell when to read.
 */
export class RevocationFeed {
  readonly #store: Store
  readonly #clock: Clock
  readonly #followers = new Set<(revocation: Revocation) => void>()
  /** Those of them that are the server itself. */
  readonly #own = new Set<(revocation: Revocation) => void>()
  /** Revocations that were reported, with their times and to how many followers. */
  readonly #reported = new Map<string, { at: number; followers: number }>()
  #from = 0
  #reading: Promise<void> | undefined
  #pollAgain = false
  #unsubscribe: (() => void) | undefined

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  get followers(): number {
    return this.#followers.size
  }

  /**
   * Reports everything since a time (and slightly before), then each new revocation.
   * @param since Unix ms
   * @param current called once, when everything up to now has been reported
   * @param options.isOwn whether it is the server itself, not a verifier
   * @returns a function that ends the subscription
   */
  async follow(
    since: number,
    report: (revocation: Revocation) => void,
    current: () => void,
    { isOwn = false } = {},
  ): Promise<() => void> {
    const early: Revocation[] = []
    let receive = (revocation: Revocation): void => {
      early.push(revocation)
    }
    const follower = (revocation: Revocation) => receive(revocation)
    if (this.#followers.size === 0) {
      this.#from = this.#clock.now()
      this.#unsubscribe = this.#store.revocations.onChange(() => void this.poll().catch(() => {}))
    }
    this.#followers.add(follower)
    if (isOwn) this.#own.add(follower)
    const leave = () => {
      this.#own.delete(follower)
      if (!this.#followers.delete(follower) || this.#followers.size > 0) return
      this.#unsubscribe?.()
      this.#reported.clear()
    }
    try {
      await this.#read(since - COMMIT_LAG, report)
    } catch (error) {
      leave()
      throw error
    }
    for (const revocation of early) report(revocation)
    receive = report
    current()
    return leave
  }

  /** Reads new revocations, if there are followers. */
  poll(): Promise<void> {
    if (this.#followers.size === 0) return Promise.resolve()
    if (this.#reading) {
      this.#pollAgain = true
      return this.#reading
    }
    this.#reading = this.#readNew().finally(() => {
      this.#reading = undefined
      if (!this.#pollAgain) return
      this.#pollAgain = false
      void this.poll().catch(() => {})
    })
    return this.#reading
  }

  /**
   * Sends the end of a session now, if that has not happened yet.
   * @returns the number of verifiers that follow this process, to which it was sent; undefined if it was not read
   */
  async sentTo(sessionId: string): Promise<number | undefined> {
    if (this.#followers.size === 0) return 0
    // A read that has begun may have come too early.
    for (let reads = 0; reads < 2 && !this.#reported.has(sessionId); reads++) await this.poll()
    return this.#reported.get(sessionId)?.followers
  }

  async #readNew(): Promise<void> {
    const now = this.#clock.now()
    await this.#read(this.#from - COMMIT_LAG, revocation => {
      const key = keyOf(revocation)
      if (this.#reported.has(key)) return
      this.#reported.set(key, { at: revocation.at, followers: this.#followers.size - this.#own.size })
      for (const follower of this.#followers) follower(revocation)
    })
    this.#from = now
    // Ordered by the time of the report, which is about the time of the revocation.
    for (const [key, { at }] of this.#reported) {
      if (at >= now - 2 * COMMIT_LAG) break
      this.#reported.delete(key)
    }
  }

  async #read(since: number, report: (revocation: Revocation) => void): Promise<void> {
    for (const cutoff of await this.#store.revocations.cutoffs({ since }))
      report({ kind: 'cutoff', at: cutoff.at, cutoff })
    let last = { updated_at: since, id: '' }
    for (;;) {
      const page = await this.#store.revocations.endedSince(last.updated_at, last.id, PAGE)
      for (const session of page) report({ kind: 'session', at: session.updated_at, session })
      if (page.length < PAGE) return
      last = page.at(-1) ?? last
    }
  }
}

function keyOf(revocation: Revocation): string {
  if (revocation.kind === 'session') return revocation.session.id
  const { scope, subject, at } = revocation.cutoff
  return `${scope} ${subject} ${at}`
}
