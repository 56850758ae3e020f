import type { Clock } from './clock.ts'
import { ksuid } from './random.ts'
import type { ActingRecord, EndedStatus, KnownActing } from './records.ts'
import type { Revocation, RevocationFeed } from './revocation-feed.ts'
import type { ActingNews, Store } from './store.ts'

/** Maximum time between the timestamp of a change and the moment it becomes visible, in ms: as in the revocation feed. */
const COMMIT_LAG = 10_000
/** Maximum rows per query. */
const PAGE = 500

/** The end of a session in which an actor acted. */
export interface EndedActing {
  session_id: string
  status: EndedStatus
  /** Unix ms. */
  ended_at: number
}

export type ActingEvent = { event: 'begun' | 'changed'; acting: ActingRecord } | { event: 'ended'; ended: EndedActing }

interface Follower {
  report(event: ActingEvent): void
}

/**
 * Tells followers which acting sessions began, changed or ended, on any node. One query per interval finds what began and
 * changed, however many followers there are. The revocation feed reports what ended early, and the times of expiry are
 * known. Without followers, the feed reads nothing.
 *
 * An event may be reported twice, and the end of a session whose beginning was not.
 */
export class ActingFeed {
  readonly #store: Store
  readonly #clock: Clock
  readonly #revocations: RevocationFeed
  readonly #followers = new Set<Follower>()
  /** The sessions that are active, as far as the followers know. */
  readonly #known = new Map<string, KnownActing>()
  /** Sessions whose end was reported, with the time of the report. */
  readonly #ended = new Map<string, number>()
  /** Changes of users and actors that were found before, with their times. */
  readonly #changes = new Map<string, number>()
  #from = 0
  #starting: Promise<void> | undefined
  #isStarted = false
  #polling: Promise<void> | undefined
  #leaveRevocations: (() => void) | undefined

  constructor(store: Store, clock: Clock, revocations: RevocationFeed) {
    this.#store = store
    this.#clock = clock
    this.#revocations = revocations
  }

  get followers(): number {
    return this.#followers.size
  }

  /**
   * Reports every event from now on.
   * @param ready called once: a list that is read after this call, together with the events, has every session
   * @returns a function that ends the subscription
   */
  async follow(report: (event: ActingEvent) => void, ready: () => void): Promise<() => void> {
    let isReady = false
    const follower: Follower = { report: event => isReady && report(event) }
    this.#followers.add(follower)
    const leave = () => {
      if (this.#followers.delete(follower) && this.#followers.size === 0 && this.#isStarted) this.#stop()
    }
    this.#starting ??= this.#start()
    try {
      await this.#starting
    } catch (error) {
      leave()
      throw error
    }
    isReady = true
    if (this.#followers.has(follower)) ready()
    return leave
  }

  /** Reads what began and changed, if there are followers. Called at an interval. */
  poll(): Promise<void> {
    if (!this.#isStarted) return Promise.resolve()
    this.#polling ??= this.#read().finally(() => {
      this.#polling = undefined
    })
    return this.#polling
  }

  async #start(): Promise<void> {
    try {
      this.#from = this.#clock.now()
      this.#leaveRevocations = await this.#revocations.follow(
        this.#from,
        revocation => this.#revoked(revocation),
        () => {},
        { isOwn: true },
      )
      for (const change of (await this.#news()).changes) this.#isNew(change)
      let after: string | undefined
      do {
        const page = await this.#store.acting.known(PAGE, after)
        for (const session of page) if (!this.#ended.has(session.id)) this.#known.set(session.id, session)
        after = page.length === PAGE ? page.at(-1)?.id : undefined
      } while (after !== undefined)
      this.#isStarted = true
    } catch (error) {
      this.#stop()
      throw error
    }
    // Everybody may have left in the meantime.
    if (this.#followers.size === 0) this.#stop()
  }

  #stop(): void {
    this.#leaveRevocations?.()
    this.#leaveRevocations = undefined
    this.#isStarted = false
    this.#starting = undefined
    for (const memory of [this.#known, this.#ended, this.#changes]) memory.clear()
  }

  async #read(): Promise<void> {
    const now = this.#clock.now()
    for (const { id, expire_at } of this.#known.values()) if (expire_at <= now) this.#end(id, 'expired', expire_at)
    const { sessions, changes } = await this.#news()
    const began = sessions.filter(id => !this.#known.has(id) && !this.#ended.has(id))
    const changed = this.#affected(changes.filter(change => this.#isNew(change)))
    await this.#report('begun', began)
    await this.#report('changed', changed)
    this.#from = now
    for (const memory of [this.#ended, this.#changes])
      for (const [key, at] of memory) if (at < now - 2 * COMMIT_LAG) memory.delete(key)
  }

  /** Returns what began or changed since the last time, and somewhat before. */
  #news(): Promise<ActingNews> {
    const since = this.#from - COMMIT_LAG
    return this.#store.acting.news({ since, since_id: `sess_${ksuid(since, NO_RANDOM)}` })
  }

  #isNew({ kind, id, at }: ActingNews['changes'][number]): boolean {
    const key = `${kind} ${id} ${at}`
    if (this.#changes.has(key)) return false
    this.#changes.set(key, at)
    return true
  }

  /** Returns the known sessions of users and actors that changed. */
  #affected(changes: ActingNews['changes']): string[] {
    if (changes.length === 0) return []
    const named = new Set(changes.map(({ kind, id }) => `${kind} ${id}`))
    return [...this.#known.values()]
      .filter(({ user_id, actor_sub }) => named.has(`user ${user_id}`) || named.has(`actor ${actor_sub}`))
      .map(({ id }) => id)
  }

  async #report(event: 'begun' | 'changed', ids: string[]): Promise<void> {
    for (let first = 0; first < ids.length && this.#isStarted; first += PAGE) {
      for (const acting of await this.#store.acting.find(ids.slice(first, first + PAGE))) {
        // It may have ended while it was read.
        if (this.#ended.has(acting.id) || !this.#isStarted) continue
        this.#known.set(acting.id, acting)
        this.#tell({ event, acting })
      }
    }
  }

  #revoked(revocation: Revocation): void {
    if (revocation.kind === 'session') {
      const { id, actor_sub, status, updated_at } = revocation.session
      if (actor_sub !== null) this.#end(id, status, updated_at)
      return
    }
    const { scope, subject, at } = revocation.cutoff
    for (const { id, user_id, actor_sub, written_at } of this.#known.values()) {
      const isCovered = scope === 'everything' || subject === (scope === 'user' ? user_id : actor_sub)
      if (isCovered && written_at <= at) this.#end(id, 'revoked', at)
    }
  }

  #end(session_id: string, status: EndedStatus, ended_at: number): void {
    if (this.#ended.has(session_id)) return
    this.#ended.set(session_id, this.#clock.now())
    this.#known.delete(session_id)
    this.#tell({ event: 'ended', ended: { session_id, status, ended_at } })
  }

  #tell(event: ActingEvent): void {
    for (const follower of this.#followers) follower.report(event)
  }
}

const NO_RANDOM = Buffer.alloc(16)
