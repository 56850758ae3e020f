import type { Clock } from './clock.ts'
import type { DecidedVersions, DecisionRow } from './store.ts'

/** Maximum number of sessions. A forgotten decision is made again. */
const MAX_REMEMBERED = 50_000

/** A decision that allows a session: on which versions, until when, and for which address. */
export interface RememberedDecision extends DecidedVersions {
  until: number | null
  ip: string | null
}

/** The last decisions of this process about sessions that started on other versions or from another address. */
export class RememberedDecisions {
  readonly #decisions = new Map<string, RememberedDecision>()

  set(sessionId: string, decision: RememberedDecision): void {
    this.#decisions.delete(sessionId)
    const [oldest] = this.#decisions.keys()
    if (this.#decisions.size >= MAX_REMEMBERED && oldest !== undefined) this.#decisions.delete(oldest)
    this.#decisions.set(sessionId, decision)
  }

  get(sessionId: string): RememberedDecision | undefined {
    return this.#decisions.get(sessionId)
  }
}

/** Maximum number of people whose facts are kept, and for how long, in ms. */
const MAX_READS = 1_000
const READ_MS = 60_000
/** Maximum length of a user's metadata in a kept row. */
const MAX_METADATA = 4_096

/**
 * What decisions of the last minute read about a user and an actor. A token is redeemed soon after it was created, and
 * the decision is about the same two. A row can be out of date, so it only serves callers whose write checks the versions.
 */
export class RecentReads {
  readonly #rows = new Map<string, { row: DecisionRow; at: number }>()
  readonly #clock: Pick<Clock, 'now'>
  #policyVersion = -1

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** Keeps what was just read. */
  set(people: { user_id: string; actor_sub: string }, row: DecisionRow): void {
    this.#policyVersion = row.policy_version
    const { 'users private_metadata': user, 'own private_metadata': own } = row
    if ((user?.length ?? 0) + (own?.length ?? 0) > MAX_METADATA) return
    const key = keyOf(people)
    this.#rows.delete(key)
    const [oldest] = this.#rows.keys()
    if (this.#rows.size >= MAX_READS && oldest !== undefined) this.#rows.delete(oldest)
    this.#rows.set(key, { row, at: this.#clock.now() })
  }

  /** Returns what was read in the last minute under the policy that was last seen in force; undefined if there is nothing. */
  get(people: { user_id: string; actor_sub: string }): DecisionRow | undefined {
    const key = keyOf(people)
    const read = this.#rows.get(key)
    if (read === undefined) return undefined
    const age = this.#clock.now() - read.at
    if (age >= 0 && age < READ_MS && read.row.policy_version === this.#policyVersion) return read.row
    this.#rows.delete(key)
    return undefined
  }
}

const keyOf = ({ user_id, actor_sub }: { user_id: string; actor_sub: string }) => `${user_id} ${actor_sub}`
