import { type CryptoKey, createLocalJWKSet } from 'jose'
import { originOf } from '../server-url.ts'

type LocalJwks = ReturnType<typeof createLocalJWKSet>

/** A server's keys, fetched on demand and cached: the result of {@link remoteJwks}, or of jose's own `createRemoteJWKSet`. */
export type RemoteJwks = (header: { alg: string; kid?: string }) => Promise<CryptoKey>

/** All in seconds. */
export interface RemoteJwksOptions {
  /** How long fetched keys are used. Default: 300, because a key is published five minutes before it signs anything. */
  maxAgeInSeconds?: number | undefined
  /** How long they are used if the server cannot be reached. Default: 3600. */
  maxStaleInSeconds?: number | undefined
  /** Minimum time between two attempts to fetch, so that senders of tokens cannot cause many requests. Default: 30. */
  coolDownInSeconds?: number | undefined
}

/** Minimum time between two attempts while there are no keys at all. */
const COOL_DOWN_WITHOUT_KEYS_MS = 1_000
const FETCH_TIMEOUT_MS = 5_000
/** Maximum time that a verification waits for a fetch if there are older keys. */
const PATIENCE_MS = 1_000

const known = new Map<string, RemoteJwks>()
const fetchers = new WeakMap<object, FetchedJwks>()

/** Returns a key if the key set is a result of {@link remoteJwks} and finds the key without fetching. */
export function cachedKey(set: object, name: { alg: string; kid?: string | undefined }): CryptoKey | undefined {
  return fetchers.get(set)?.cached(`${name.alg} ${name.kid}`)
}

/**
 * Returns the keys of a server. They are fetched when they are first needed, cached for five minutes, and fetched again
 * immediately (at most every 30 seconds) if a token names an unknown key. While the server is down, cached keys are used for
 * an hour. Calls for the same server share the same keys.
 *
 * @param serverURL URL of the server: `http://127.0.0.1:4100`
 * @param options `maxAgeInSeconds` (300), `maxStaleInSeconds` (3600), `coolDownInSeconds` (30)
 * @returns keys for `createVerifier` and `verifySessionToken`
 * @throws StagedoorError `server_url_invalid`
 * @see `GET /.well-known/jwks.json`, RFC 7517
 * @example
 * import { createVerifier, remoteJwks } from '@stagedoor/sdk/verify'
 *
 * const verify = createVerifier({ issuer: 'http://127.0.0.1:4100', jwks: remoteJwks('http://127.0.0.1:4100') })
 */
export function remoteJwks(serverURL: string, options: RemoteJwksOptions = {}): RemoteJwks {
  const { maxAgeInSeconds = 300, maxStaleInSeconds = 3_600, coolDownInSeconds = 30 } = options
  const address = `${originOf(serverURL)}/.well-known/jwks.json`
  const seconds = [maxAgeInSeconds, Math.max(maxAgeInSeconds, maxStaleInSeconds), coolDownInSeconds] as const
  if (!seconds.every(each => each >= 0)) throw new TypeError('The times of `remoteJwks` must be seconds, at least 0.')
  const label = [address, ...seconds].join(' ')
  let keys = known.get(label)
  if (!keys) {
    const fetched = new FetchedJwks(address, ...seconds)
    keys = header => fetched.find(header)
    fetchers.set(keys, fetched)
    known.set(label, keys)
  }
  return keys
}

class FetchedJwks {
  readonly #address: string
  readonly #maxAgeMs: number
  readonly #maxStaleMs: number
  readonly #coolDownMs: number
  #keys: { find: LocalJwks; found: Map<string, CryptoKey>; kids: Set<unknown>; at: number } | undefined
  #attempt: { at: number; done: Promise<void>; over: boolean; failed?: unknown } | undefined

  constructor(address: string, maxAge: number, maxStale: number, coolDown: number) {
    this.#address = address
    this.#maxAgeMs = maxAge * 1_000
    this.#maxStaleMs = maxStale * 1_000
    this.#coolDownMs = coolDown * 1_000
  }

  /** Returns a key that was found before and is not too old: exactly the keys that {@link find} returns without fetching. */
  cached(label: string): CryptoKey | undefined {
    return this.#keys && performance.now() - this.#keys.at <= this.#maxAgeMs ? this.#keys.found.get(label) : undefined
  }

  async find(header: Parameters<RemoteJwks>[0]): Promise<CryptoKey> {
    const age = this.#keys ? performance.now() - this.#keys.at : Number.POSITIVE_INFINITY
    if (age > this.#maxAgeMs || !this.#keys?.kids.has(header.kid)) await this.#fetchOnce()
    // A failed fetch matters only if there are no usable keys.
    if (!this.#keys || performance.now() - this.#keys.at > this.#maxStaleMs) throw this.#attempt?.failed
    const { find, found } = this.#keys
    const label = `${header.alg} ${header.kid}`
    const before = found.get(label)
    if (before) return before
    const key = await find(header as Parameters<LocalJwks>[0])
    // Cache existing keys only, so that tokens cannot fill the cache.
    found.set(label, key)
    return key
  }

  /** Fetches the keys, or waits for a fetch in progress, unless the last attempt is too recent. Never throws. */
  async #fetchOnce(): Promise<void> {
    const coolDown = this.#keys ? this.#coolDownMs : COOL_DOWN_WITHOUT_KEYS_MS
    if (!this.#attempt || performance.now() - this.#attempt.at > coolDown || (strangers && !this.#attempt.over)) {
      const attempt = { at: performance.now(), done: Promise.resolve(), over: false, failed: undefined as unknown }
      attempt.done = this.#fetch()
        .catch(cause => {
          attempt.failed = cause
        })
        .finally(() => {
          attempt.over = true
        })
      this.#attempt = attempt
    }
    if (!this.#attempt.over) await (this.#keys ? within(PATIENCE_MS, this.#attempt.done) : this.#attempt.done)
  }

  async #fetch(): Promise<void> {
    const response = await fetch(this.#address, {
      headers: { accept: 'application/json' },
      redirect: 'manual',
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    })
    if (response.status !== 200) throw new Error(`GET ${this.#address} was answered with ${response.status}.`)
    const set = (await response.json()) as Parameters<typeof createLocalJWKSet>[0]
    const find = createLocalJWKSet(set)
    this.#keys = { find, found: new Map(), kids: new Set(set.keys.map(key => key.kid)), at: performance.now() }
  }
}

/** On Cloudflare, a fetch may stop with the request that started it, so other requests cannot wait for it. */
const strangers = globalThis.navigator?.userAgent === 'Cloudflare-Workers'

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const patience = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, patience])
  clearTimeout(timer)
}
