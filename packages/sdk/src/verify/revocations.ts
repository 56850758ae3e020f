/// <reference lib="esnext.disposable" preserve="true" />
import { eventsOf, type ServerSentEvent } from '../event-stream.ts'
import { originOf } from '../server-url.ts'
import { sleep } from '../sleep.ts'
import type { SessionClaims } from './claims.ts'

export interface FollowRevocationsOptions {
  /** URL of the server: `http://127.0.0.1:4100`. */
  serverURL: string
  /** `sk_…`: only servers can read the stream. */
  secretKey: string
  /**
   * How to treat tokens while revocations are unknown: before the stream has started, and when it has sent nothing for ten
   * seconds. `accept`: a token is valid until it expires, as without the stream. `refuse`: every token is refused
   * (`revocations-unavailable`).
   */
  whenLost: 'accept' | 'refuse'
  /** Maximum lifetime of a session token, in seconds. Default: 60. Raise it if you mint longer ones (`expiresInSeconds`). */
  longestTokenInSeconds?: number | undefined
  /** Called when the stream is lost, with the cause, and when it is current again. */
  onChange?: ((status: 'current' | 'lost', cause?: unknown) => void) | undefined
}

/** The result for one token. `unknown`: the stream cannot tell. */
export type RevocationVerdict = 'good' | 'revoked' | 'unknown'

/** After this time without any event, the stream counts as lost. The server sends one every five seconds. */
const SILENCE_MS = 10_000
/** Additional time for which revocations are kept, because clocks differ. */
const LEEWAY_MS = 65_000
const SHORTEST_WAIT_MS = 100
const LONGEST_WAIT_MS = 2_000
/** Interval between deletions of old revocations, in ms. */
const SWEEP_MS = 10_000

/**
 * Follows the revocations of a server, so that a verifier refuses the unexpired tokens of a revoked session within a second.
 * Pass the result to `createVerifier` as `revocations`; all verifiers can share it. It reconnects automatically, and then
 * receives all revocations that it has missed.
 *
 * @param options `serverURL`, `secretKey`; `whenLost`: `accept` or `refuse`; `longestTokenInSeconds` (60); `onChange`
 * @returns a follower; `await follower.current()` at the start, `follower.close()` at the end
 * @throws StagedoorError `server_url_invalid`; TypeError if the options are invalid
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

/** The result of {@link followRevocations}. */
export class RevocationFollower {
  readonly whenLost: 'accept' | 'refuse'
  readonly #address: string
  readonly #secretKey: string
  readonly #keepMs: number
  readonly #onChange: NonNullable<FollowRevocationsOptions['onChange']>
  readonly #closed = new AbortController()
  /** Sessions that ended before they expired, with the time, in Unix ms. */
  readonly #sessions = new Map<string, number>()
  /** Cutoffs: tokens minted up to this time are revoked, by user, by actor, and for the whole server. */
  readonly #users = new Map<string, number>()
  readonly #actors = new Map<string, number>()
  #everything = Number.NEGATIVE_INFINITY
  /** All revocations since this time are known, in Unix ms. */
  #since: number
  #lastEventId: string | undefined
  #heardAt = Number.NEGATIVE_INFINITY
  #status: 'waiting' | 'current' | 'lost' = 'waiting'
  #sweptAt = 0
  /** Called when the status may have changed. */
  readonly #waiting = new Set<() => void>()

  constructor({ serverURL, secretKey, whenLost, longestTokenInSeconds = 60, onChange }: FollowRevocationsOptions) {
    if (whenLost !== 'accept' && whenLost !== 'refuse') {
      throw new TypeError('`whenLost` must be `accept` or `refuse`: how to treat tokens while the stream is lost.')
    }
    if (typeof secretKey !== 'string' || !/^[\x21-\x7e]+$/.test(secretKey)) {
      throw new TypeError('`secretKey` is missing or has an invalid character: pass the sk_… of the server.')
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

  /** `current` if all revocations are known, otherwise `waiting` or `lost`. */
  get status(): 'waiting' | 'current' | 'lost' {
    return this.#status
  }

  /** Waits until all revocations are known. @throws the signal's reason; Error if the follower is closed */
  async current(signal?: AbortSignal): Promise<void> {
    while (this.#status !== 'current') {
      signal?.throwIfAborted()
      if (this.#closed.signal.aborted) throw new Error('The follower of revocations is closed.')
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

  /** Stops following. From then on, the status is `lost`. */
  close(): void {
    this.#closed.abort()
    this.#become('lost')
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Returns whether a session token is revoked, from its claims. `now` is in Unix ms. */
  verdict({ sid, sub, act, iat }: SessionClaims, now: number): RevocationVerdict {
    // Tokens have times in whole seconds, so a token minted in the same second after a revocation is refused too.
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

  /** Reads one connection until it ends. */
  async #listen(): Promise<void> {
    const silence = new AbortController()
    const tooQuiet = () => {
      const cause = new Error('The stream of revocations has sent nothing for ten seconds.')
      this.#become('lost', cause)
      silence.abort(cause)
    }
    // The rest of the ten seconds. If they have passed, the stream is already lost and gets another ten seconds to start.
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

  /** Deletes revocations that concern no unexpired token. */
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

/** Keeps the later time: events may arrive twice, or out of order. */
function later(times: Map<string, number>, key: string, time: number): void {
  times.set(key, Math.max(time, times.get(key) ?? time))
}
