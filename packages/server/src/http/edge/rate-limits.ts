import { hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Logger } from 'pino'
import { ApiError } from '../../contract/errors.ts'
import type { AnswerHeaders } from '../answer.ts'
import type { Rejection } from './early-rejections.ts'

/** `per_second`: sustained requests per second. `burst`: maximum requests at once after a pause. */
export interface RateLimit {
  per_second: number
  burst: number
}

/** Names per generation of a limiter; it keeps two generations. This bounds memory, even with a million callers. */
const REMEMBERED = 50_000
const WARN_INTERVAL = 60_000
/** Maximum number of keys that are remembered as being over their limit. */
const MAX_EMPTY = 1_000

/**
 * Limits requests per name with the generic cell rate algorithm (ITU-T I.371). The state of a bucket is one number: the
 * time at which it is full again, on a monotonic clock. When there are too many names, the limiter forgets those that sent
 * no request recently. A forgotten name starts again with a full bucket.
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

  /** Takes one request out of the bucket. `wait` is 0, or the time until the next request is allowed, in ms. */
  take(name: string): { wait: number; left: number; full: number } {
    const now = this.#now()
    const known = this.#lately.get(name) ?? this.#before.get(name) ?? now
    const next = Math.max(known, now) + this.#interval
    const wait = next - now - this.#capacity
    // Allow for rounding errors of floating-point sums.
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

/** The limits. A missing limit means no limit. */
export interface Limits {
  /** Requests of one operator to the console. */
  operator?: RateLimit | undefined
  /** Requests of one secret key to the Backend API. */
  key?: RateLimit | undefined
  /** Requests of one address to the Frontend API. */
  address?: RateLimit | undefined
  /** Tickets redeemed from one address. */
  redeem?: RateLimit | undefined
  /** Wrong secret keys from one address. */
  failures?: RateLimit | undefined
}

/** The rate limits of this process. Each node counts separately: behind a load balancer, n nodes allow n times as many requests. */
export class RateLimits {
  readonly #limiters: { [K in keyof Limits]?: { limiter: RateLimiter; policy: string; warned?: number } }
  readonly #log: Logger
  readonly #empty = new Map<string, { until: number; network: string | null; policy: string }>()

  constructor(limits: Limits, log: Logger) {
    this.#log = log
    this.#limiters = Object.fromEntries(
      Object.entries(limits)
        .filter((entry): entry is [string, RateLimit] => entry[1] !== undefined)
        .map(([name, limit]) => [name, { limiter: new RateLimiter(limit), policy: policyOf(name, limit) }]),
    )
  }

  /**
   * Counts a request of a secret key, and sets the rate limit headers (draft-ietf-httpapi-ratelimit-headers-10).
   * @param authorization the header with the key: while the key exceeds its limit, requests with it are rejected early
   * @throws ApiError too_many_requests
   */
  countKey(key: string, authorization: string, network: string | null, answer: AnswerHeaders): void {
    const wait = this.#take('key', key, answer)
    if (wait === 0) return
    // It is rare that this many keys exceed their limits at once. If they do, rejecting them only costs a little more.
    if (this.#empty.size >= MAX_EMPTY) this.#empty.clear()
    this.#empty.set(hash('sha256', authorization), {
      until: performance.now() + wait,
      network,
      policy: answer['ratelimit-policy'] ?? '',
    })
    throw tooMany(wait)
  }

  /**
   * Counts a request of an operator of the console, over all their sessions.
   * @throws ApiError too_many_requests
   */
  countOperator(id: string, answer: AnswerHeaders): void {
    const wait = this.#take('operator', id, answer)
    if (wait > 0) throw tooMany(wait)
  }

  /**
   * Counts a request of an address.
   * @param network `Caller.network`; null, and not counted, if the server is called in process
   * @throws ApiError too_many_requests
   */
  countAddress(what: 'address' | 'redeem' | 'failures', network: string | null, answer: AnswerHeaders): void {
    const wait = network === null ? 0 : this.#take(what, network, answer)
    if (wait > 0) throw tooMany(wait)
  }

  /** Returns the early rejection of a request whose key is known to be over its limit. It does not count the request again. */
  earlyRejection({ headers }: Pick<IncomingMessage, 'headers'>): Rejection | undefined {
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
      network: empty.network,
    }
  }

  /** Counts a request. @returns the time to wait, in ms; 0 if the request is allowed */
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

  /** Warns at most once a minute. The log names only the caller of that moment; there may be others. */
  #warn(what: keyof Limits, name: string): void {
    const limit = this.#limiters[what]
    const now = performance.now()
    if (!limit || (limit.warned !== undefined && now - limit.warned < WARN_INTERVAL)) return
    limit.warned = now
    const proxy =
      what === 'key' || what === 'operator' ? '' : '. If that is your proxy, name it in STAGEDOOR_TRUSTED_PROXIES'
    this.#log.warn({ limit: what, of: name }, `too many requests are answered 429${proxy}`)
  }

  /**
   * Counts a failed authentication of an address. Only failures count: a valid key always works, whatever else its address
   * sends. Otherwise a caller that shares an address with a backend could lock the backend out, especially behind a proxy
   * that is not trusted.
   * @param error what the authentication threw
   * @throws ApiError too_many_requests
   */
  countFailure(error: unknown, network: string | null, answer: AnswerHeaders): void {
    if (error instanceof ApiError && error.status === 401) this.countAddress('failures', network, answer)
  }
}

function tooMany(wait: number): ApiError {
  const seconds = Math.ceil(wait / 1_000)
  return new ApiError('too_many_requests', { params: { seconds }, meta: { resets_in: seconds } })
}

/** Formats a limit as a policy of the draft: a quota, and the seconds in which a full quota is restored. */
function policyOf(name: string, { per_second, burst }: RateLimit): string {
  return `"${name}";q=${burst};w=${Math.max(1, Math.ceil(burst / per_second))}`
}
