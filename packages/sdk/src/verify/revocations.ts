/// <reference lib="esnext.disposable" preserve="true" />
import { eventsOf, type ServerSentEvent } from '../event-stream.ts'
import { originOf } from '../server-url.ts'
import { sleep } from '../sleep.ts'
import type { SessionClaims } from '../verify.ts'

export interface FollowRevocationsOptions {
  /** Where the server is: `http://127.0.0.1:4100`. */
  serverURL: string
  /** `sk_…`: the feed is for servers. */
  secretKey: string
  /**
   * What becomes of tokens while it is not known what has been revoked: before the feed has begun, and when nothing was
   * heard of it for ten seconds. `accept`: as without the feed, a token is good until it expires. `refuse`: nobody gets
   * in (`revocations-unavailable`).
   */
  whenLost: 'accept' | 'refuse'
  /** The longest life of a session token, in seconds: 60 unless you mint longer ones (`expiresInSeconds`). */
  longestTokenInSeconds?: number | undefined
  /** Told when the feed is lost, and why; and when it is back. */
  onChange?: ((status: 'current' | 'lost', cause?: unknown) => void) | undefined
}

/** What a verifier asks about each token. `unknown`: the feed cannot say. */
export type RevocationVerdict = 'good' | 'revoked' | 'unknown'

/** The server says something every five seconds. */
const SILENCE_MS = 10_000
/** Clocks differ, and what is revoked is kept somewhat longer than tokens live. */
const LEEWAY_MS = 65_000
const SHORTEST_WAIT_MS = 100
const LONGEST_WAIT_MS = 2_000
/** How often what is too old to matter is let go, ms. */
const SWEEP_MS = 10_000

/**
 * Follows what a server revokes, so that a verifier refuses the tokens of a session that has been revoked within a
 * second, though they have not expired. Give it to `createVerifier` as `revocations`; one will do for all verifiers.
 * It connects again by itself, and misses nothing that happened meanwhile.
 *
 * @param options `serverURL`, `secretKey`; `whenLost`: `accept` or `refuse`; `longestTokenInSeconds` (60); `onChange`
 * @returns a follower; `await follower.current()` at the start, `follower.close()` at the end
 * @throws StagedoorError `server_url_invalid`; TypeError if the options make no sense
 * @see `GET /v1/revocations`; events named after OpenID CAEP
 * @example
 * import { createVerifier, followRevocations, remoteJwks } from '@stagedoor/sdk/verify'
 *
 * const serverURL = 'http://127.0.0.1:4100'
 * const revocations = followRevocations({ serverURL, secretKey: 'sk_live_…', whenLost: 'accept' })
 * const verify = createVerifier({ issuer: serverURL, jwks: remoteJwks(serverURL), revocations })
 * await revocations.current()
 */
export function followRevocations(options: FollowRevocationsOptions): RevocationFollower {
  return new RevocationFollower(options)
}

/** What {@link followRevocations} gives. */
export class RevocationFollower {
  readonly whenLost: 'accept' | 'refuse'
  readonly #address: string
  readonly #secretKey: string
  readonly #keepMs: number
  readonly #onChange: NonNullable<FollowRevocationsOptions['onChange']>
  readonly #closed = new AbortController()
  /** Sessions that have ended before their time, and when, Unix ms. */
  readonly #sessions = new Map<string, number>()
  /** What was minted up to then is revoked: of a user, of an actor, of everybody. */
  readonly #users = new Map<string, number>()
  readonly #actors = new Map<string, number>()
  #everything = Number.NEGATIVE_INFINITY
  /** What was revoked since then is known, Unix ms. */
  #since: number
  #lastEventId: string | undefined
  #heardAt = Number.NEGATIVE_INFINITY
  #status: 'waiting' | 'current' | 'lost' = 'waiting'
  #sweptAt = 0
  /** Told when the status may have become another. */
  readonly #waiting = new Set<() => void>()

  constructor({ serverURL, secretKey, whenLost, longestTokenInSeconds = 60, onChange }: FollowRevocationsOptions) {
    if (whenLost !== 'accept' && whenLost !== 'refuse') {
      throw new TypeError('`whenLost` is missing: say `accept` or `refuse`, for while the feed cannot be reached.')
    }
    if (typeof secretKey !== 'string' || !/^[\x21-\x7e]+$/.test(secretKey)) {
      throw new TypeError('`secretKey` is missing, or holds a character no key has: the sk_… of the server.')
    }
    if (!(longestTokenInSeconds > 0)) throw new TypeError('`longestTokenInSeconds` must be more than 0.')
    this.whenLost = whenLost
    this.#address = `${originOf(serverURL)}/v1/revocations`
    this.#secretKey = secretKey
    this.#keepMs = longestTokenInSeconds * 1_000 + LEEWAY_MS
    this.#since = Date.now() - this.#keepMs
    this.#onChange = onChange ?? (() => {})
    void this.#follow()
  }

  /** Whether everything that was revoked is known, as far as can be told. */
  get status(): 'waiting' | 'current' | 'lost' {
    return this.#status
  }

  /** Waits until everything that was revoked is known. @throws the signal's reason; Error once it is closed */
  async current(signal?: AbortSignal): Promise<void> {
    while (this.#status !== 'current') {
      signal?.throwIfAborted()
      if (this.#closed.signal.aborted) throw new Error('Nothing follows the revocations any more: it was closed.')
      await new Promise<void>(resolve => {
        const go = () => {
          this.#waiting.delete(go)
          signal?.removeEventListener('abort', go)
          resolve()
        }
        this.#waiting.add(go)
        signal?.addEventListener('abort', go)
      })
    }
  }

  /** Stops following: from then on nothing is known. */
  close(): void {
    this.#closed.abort()
    this.#become('lost')
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** What is known of a session token's claims. `now` is Unix ms. */
  verdict({ sid, sub, act, iat }: SessionClaims, now: number): RevocationVerdict {
    // To the second, as the token has it: who signs in anew in the second of a revocation has to wait for the next token.
    const minted = iat * 1_000
    const before = (time: number | undefined) => time !== undefined && minted <= time
    if (this.#sessions.has(sid) || before(this.#everything) || before(this.#users.get(sub))) return 'revoked'
    if (act && before(this.#actors.get(act.sub))) return 'revoked'
    const known = Math.max(this.#since, now - this.#keepMs)
    return this.#status === 'current' && minted >= known ? 'good' : 'unknown'
  }

  async #follow(): Promise<void> {
    let wait = SHORTEST_WAIT_MS
    while (!this.#closed.signal.aborted) {
      let cause: unknown
      try {
        await this.#listen()
        wait = SHORTEST_WAIT_MS
      } catch (error) {
        cause = error
      }
      await sleep(wait * (0.5 + Math.random() / 2), this.#closed.signal)
      if (performance.now() - this.#heardAt >= SILENCE_MS) this.#become('lost', cause)
      wait = Math.min(wait * 2, LONGEST_WAIT_MS)
    }
  }

  /** One connection, until it ends. */
  async #listen(): Promise<void> {
    const silence = new AbortController()
    const tooQuiet = () => {
      const cause = new Error('Nothing was heard of the feed for ten seconds.')
      this.#become('lost', cause)
      silence.abort(cause)
    }
    // What is left of the ten seconds; when they are over it is lost already, and has as long to begin.
    const left = SILENCE_MS - (performance.now() - this.#heardAt)
    let timer = setTimeout(tooQuiet, left > 0 ? left : SILENCE_MS)
    try {
      const response = await fetch(
        this.#lastEventId === undefined ? `${this.#address}?since=${this.#since}` : this.#address,
        {
          headers: {
            authorization: `Bearer ${this.#secretKey}`,
            accept: 'text/event-stream',
            ...(this.#lastEventId === undefined ? {} : { 'last-event-id': this.#lastEventId }),
          },
          redirect: 'manual',
          signal: AbortSignal.any([this.#closed.signal, silence.signal]),
        },
      )
      if (response.status !== 200 || !response.body) {
        await response.body?.cancel()
        throw new Error(`GET ${this.#address} was answered with ${response.status}.`)
      }
      for await (const event of eventsOf(response.body)) {
        clearTimeout(timer)
        timer = setTimeout(tooQuiet, SILENCE_MS)
        this.#heardAt = performance.now()
        this.#hear(event)
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #hear({ event, id, data }: ServerSentEvent): void {
    const what = JSON.parse(data) as {
      sid?: string
      at?: number
      sub?: string | null
      actor_sub?: string | null
      everything?: boolean
      not_before?: number
    }
    if (event === 'session-revoked' && what.sid !== undefined) this.#sessions.set(what.sid, what.at ?? Date.now())
    if (event === 'sessions-revoked-before' && what.not_before !== undefined) {
      if (what.everything) this.#everything = Math.max(this.#everything, what.not_before)
      if (typeof what.sub === 'string') later(this.#users, what.sub, what.not_before)
      if (typeof what.actor_sub === 'string') later(this.#actors, what.actor_sub, what.not_before)
    }
    if (id !== undefined) this.#lastEventId = id
    if (event === 'current') this.#become('current')
    this.#sweep()
  }

  /** Lets go of what concerns no token that may still be alive. */
  #sweep(): void {
    const now = Date.now()
    if (now - this.#sweptAt < SWEEP_MS) return
    this.#sweptAt = now
    for (const known of [this.#sessions, this.#users, this.#actors]) {
      for (const [key, at] of known) if (at < now - this.#keepMs) known.delete(key)
    }
  }

  #become(status: 'current' | 'lost', cause?: unknown): void {
    const before = this.#status
    this.#status = status
    for (const go of [...this.#waiting]) go()
    if (before !== status && !(before === 'waiting' && status === 'lost' && this.#closed.signal.aborted))
      this.#onChange(status, cause)
  }
}

/** Events may come twice, and an older one after a newer. */
function later(times: Map<string, number>, key: string, time: number): void {
  times.set(key, Math.max(time, times.get(key) ?? time))
}
