import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Logger } from 'pino'
import { ApiError } from '../contract/errors.ts'
import { network } from '../domain/refused-requests.ts'
import type { AnswerHeaders } from './answer.ts'
import type { SentAway } from './ready-answers.ts'

/** So many requests a second on the long run, and so many at once after a pause. */
export interface RateLimit {
  per_second: number
  burst: number
}

/** So many names are remembered at least: a million strangers fill no memory. */
const REMEMBERED = 50_000
const WARN_INTERVAL = 60_000
/** Keys that are known to be empty. */
const MAX_EMPTY = 1_000

/**
 * A bucket for each name, by the generic cell rate algorithm (ITU-T I.371): all there is to know of a bucket is when it
 * is full again. The clock is one that never jumps. Of too many names those go first that asked for nothing lately; at
 * worst such a one begins with a full bucket.
 */
export class RateLimiter {
  readonly #interval: number
  readonly #capacity: number
  readonly #now: () => number
  #lately = new Map<string, number>()
  #before = new Map<string, number>()

  constructor({ per_second, burst }: RateLimit, now: () => number = () => performance.now()) {
    this.#interval = 1_000 / per_second
    this.#capacity = burst * this.#interval
    this.#now = now
  }

  /** Takes one out of the bucket. `wait`: 0, or how long until there is one, ms. */
  take(name: string): { wait: number; left: number; full: number } {
    const now = this.#now()
    const known = this.#lately.get(name) ?? this.#before.get(name) ?? now
    const next = Math.max(known, now) + this.#interval
    const wait = next - now - this.#capacity
    // Sums of fractions are never quite even.
    const refused = wait > 1e-6
    const until = refused ? known : next
    this.#remember(name, until)
    const left = Math.max(0, Math.floor((this.#capacity - (until - now)) / this.#interval + 1e-6))
    return { wait: refused ? wait : 0, left, full: until - now }
  }

  get size(): number {
    return this.#lately.size + this.#before.size
  }

  #remember(name: string, until: number): void {
    if (this.#lately.size >= REMEMBERED && !this.#lately.has(name)) {
      this.#before = this.#lately
      this.#lately = new Map()
    }
    this.#lately.set(name, until)
  }
}

/** What is limited; a limit that is not given is none. */
export interface Limits {
  /** Requests of one secret key to the Backend API. */
  key?: RateLimit | undefined
  /** Requests of one address to the Frontend API. */
  address?: RateLimit | undefined
  /** Tickets redeemed from one address. */
  redeem?: RateLimit | undefined
  /** Wrong secret keys from one address. */
  failures?: RateLimit | undefined
}

/** The limits of this process. Each node counts for itself: behind a balancer n nodes allow n times as much. */
export class RateLimits {
  readonly #limiters: { [K in keyof Limits]?: { limiter: RateLimiter; policy: string; warned?: number } }
  readonly #log: Logger
  readonly #empty = new Map<string, { until: number; address: string | null; policy: string }>()

  constructor(limits: Limits, log: Logger) {
    this.#log = log
    this.#limiters = Object.fromEntries(
      Object.entries(limits)
        .filter((entry): entry is [string, RateLimit] => entry[1] !== undefined)
        .map(([name, limit]) => [name, { limiter: new RateLimiter(limit), policy: policyOf(name, limit) }]),
    )
  }

  /**
   * Counts a request of a secret key, and says so in the answer (draft-ietf-httpapi-ratelimit-headers-10).
   * @param authorization the header with the key: until there is room again, requests with it get no further than the door
   * @throws ApiError too_many_requests
   */
  takeOf(key: string, authorization: string, address: string | null, answer: AnswerHeaders): void {
    const wait = this.#take('key', key, answer)
    if (wait === 0) return
    // As many keys as that are never limited at once; should they be, each costs a little more.
    if (this.#empty.size >= MAX_EMPTY) this.#empty.clear()
    this.#empty.set(hash('sha256', authorization), {
      until: performance.now() + wait,
      address,
      policy: answer['ratelimit-policy'] ?? '',
    })
    throw tooMany(wait)
  }

  /** Counts a request of an address; IPv6 by its /64, which one household or server has for itself. @throws ApiError too_many_requests */
  takeFrom(what: 'address' | 'redeem' | 'failures', address: string | null, answer: AnswerHeaders): void {
    // Nobody is there if the server is called in process.
    const wait = address === null ? 0 : this.#take(what, network(address), answer)
    if (wait > 0) throw tooMany(wait)
  }

  /** What a request is told whose key was found empty a moment ago. Not counted again: that would be for nothing. */
  atTheDoor({ headers }: Pick<IncomingMessage, 'headers'>): SentAway | undefined {
    if (this.#empty.size === 0) return undefined
    const name = hash('sha256', headers.authorization ?? '')
    const empty = this.#empty.get(name)
    if (!empty) return undefined
    const wait = empty.until - performance.now()
    if (wait <= 0) {
      this.#empty.delete(name)
      return undefined
    }
    const seconds = Math.ceil(wait / 1_000)
    return {
      code: 'too_many_requests',
      seconds,
      headers: { 'ratelimit-policy': empty.policy, ratelimit: `"key";r=0;t=${seconds}` },
      address: empty.address,
    }
  }

  /** @returns how long there will be none, ms; 0 if it was counted */
  #take(what: keyof Limits, name: string, answer: AnswerHeaders): number {
    const limit = this.#limiters[what]
    if (!limit) return 0
    const { wait, left, full } = limit.limiter.take(name)
    answer['ratelimit-policy'] = limit.policy
    answer.ratelimit = `"${what}";r=${left};t=${Math.ceil(full / 1_000)}`
    if (wait === 0) return 0
    this.#warn(what, name)
    answer['retry-after'] = String(Math.ceil(wait / 1_000))
    return wait
  }

  /** Once a minute: who it is then may not be the only one. */
  #warn(what: keyof Limits, name: string): void {
    const limit = this.#limiters[what]
    const now = performance.now()
    if (!limit || (limit.warned !== undefined && now - limit.warned < WARN_INTERVAL)) return
    limit.warned = now
    const proxy = what === 'key' ? '' : '. If that is your proxy, name it in STAGEDOOR_TRUSTED_PROXIES'
    this.#log.warn({ limit: what, of: name }, `too many requests are answered 429${proxy}`)
  }

  /**
   * Counts failures only. Who shows the right key is let in whatever was tried from the same address: otherwise anyone
   * who shares it with a backend could lock that out, behind a proxy that is not trusted above all.
   * @throws ApiError what `authenticate` throws, or too_many_requests
   */
  async authenticating<T>(address: string | null, answer: AnswerHeaders, authenticate: () => Promise<T>): Promise<T> {
    try {
      return await authenticate()
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.takeFrom('failures', address, answer)
      throw error
    }
  }
}

function tooMany(wait: number): ApiError {
  const seconds = Math.ceil(wait / 1_000)
  return new ApiError('too_many_requests', { params: { seconds }, meta: { resets_in: seconds } })
}

/** A bucket, as the draft has it: a quota, and the seconds in which it is made up for. */
function policyOf(name: string, { per_second, burst }: RateLimit): string {
  return `"${name}";q=${burst};w=${Math.max(1, Math.ceil(burst / per_second))}`
}
