import { andThen, type MaybePromise } from '../maybe-promise.ts'
import type { Actor } from '../models/schemas.ts'
import type { SessionClaims } from './claims.ts'
import { decodeJwt, jsonOf, MAX_TOKEN_LENGTH } from './jwt.ts'
import { type FindKey, type KeyName, type KeyOptions, keyFinder, keyNameOf } from './keys.ts'
import type { RevocationFollower } from './revocations.ts'
import { type Limits, limitsOf } from './scopes.ts'
import { signatureMatches } from './signature.ts'
import { TokenError } from './token-error.ts'

/** Requirements for an accepted token. */
export type VerifyOptions = KeyOptions & {
  /** The expected issuer: exactly the server's STAGEDOOR_PUBLIC_URL. */
  issuer: string
  /**
   * The pages that a token may be for, as origins: `['https://app.example.com']`. Set it whenever tokens come from
   * browsers. Tokens without a page (those minted with a secret key) are then refused.
   */
  authorizedParties?: readonly string[] | undefined
  /** Maximum difference between the clocks, in seconds. Default: 5. */
  clockSkewInSeconds?: number | undefined
  /**
   * Maximum number of tokens whose valid signature is cached, each for at most a minute. All other checks run every time.
   * Default: 0, which turns the cache off. A token takes one to two kilobytes.
   */
  cacheSize?: number | undefined
  /** The result of `followRevocations`: also refuses tokens of sessions that were revoked after the token was minted. */
  revocations?: RevocationFollower | undefined
  /** Returns the time, in Unix milliseconds. Default: `Date.now`. */
  now?: (() => number) | undefined
}

/** The session of a valid token. With `cacheSize`, it is frozen, because all requests with the same token share it. */
export interface VerifiedSession extends Limits {
  userId: string
  sessionId: string
  /**
   * Who is really acting as the user; undefined in the user's own sessions. Base access decisions only on this outermost
   * actor: a nested `act` is history and must not affect access (RFC 8693 §4.1).
   */
  actor: Actor | undefined
  claims: SessionClaims
}

/**
 * Checks a session token. Returns a promise only if it has to wait for a key or for Web Crypto; then errors reject the promise.
 * @throws TokenError
 */
export type Check = (token: string) => MaybePromise<VerifiedSession>

/** Clerk's category of session tokens: `cat` in the header. */
const SESSION_TOKEN_CATEGORY = 'cl_B7d4PD111AAA'

/** How long a valid signature is cached, in ms. After that, its key may have been removed. */
const REMEMBERED_MS = 60_000
/** Maximum number of cached headers of valid tokens. There are few of them: one per key. */
const MAX_HEADERS = 16

/** Header members that would change the meaning of the signature, or provide a key (RFC 7515 §4.1, RFC 8725 §3.5). */
const REFUSED_HEADERS = ['crit', 'b64', 'zip', 'enc', 'jku', 'jwk', 'x5u', 'x5c']

/** Creates the function behind every verifier. @throws TypeError if the options are invalid */
export function createCheck(options: VerifyOptions): Check {
  assertOptions(options)
  const { issuer, authorizedParties, clockSkewInSeconds = 5, cacheSize = 0, revocations, now = Date.now } = options
  const requirements = { authorizedParties, clockSkewInSeconds, revocations }
  const genuine = genuineBy(keyFinder(options), issuer)
  const find = cacheSize === 0 ? genuine : remembering(cacheSize, genuine)

  return token => {
    const time = now()
    // The token is genuine. Check everything that depends on time on each call.
    return andThen(find(token, time), session => {
      assertAcceptable(session.claims, time, requirements)
      return session
    })
  }
}

/** The options that every check of a token depends on. */
type Requirements = Pick<VerifyOptions, 'authorizedParties' | 'revocations'> & { clockSkewInSeconds: number }

/** Checks the claims of a genuine token at a time, in Unix ms. The conditions also refuse NaN. @throws TokenError */
function assertAcceptable(claims: SessionClaims, time: number, requirements: Requirements): void {
  const { authorizedParties, clockSkewInSeconds: skew, revocations } = requirements
  const seconds = time / 1_000
  if (!(seconds < claims.exp + skew)) throw new TokenError('token-expired')
  if (!(claims.nbf <= seconds + skew && claims.iat <= seconds + skew)) throw new TokenError('token-not-active-yet')
  if (authorizedParties && !authorizedParties.includes(claims.azp ?? '')) throw new TokenError('token-wrong-party')
  if (claims.sts !== undefined && claims.sts !== 'active') throw new TokenError('session-not-active')
  const verdict = revocations?.verdict(claims, time)
  if (verdict === 'revoked') throw new TokenError('session-revoked')
  if (verdict === 'unknown' && revocations?.whenLost !== 'accept') throw new TokenError('revocations-unavailable')
}

/** Returns the contents of a token that the issuer minted, at any time. @param now Unix ms @throws TokenError */
type FindGenuine = (token: string, now: number) => MaybePromise<VerifiedSession>

function genuineBy(findKey: FindKey, issuer: string): FindGenuine {
  const headers = new Map<string, KeyName>()
  return token => {
    const { header, claims, signature, signed } = decodeJwt(token)
    const name = headers.get(header) ?? keyNameIn(jsonOf(header))
    const matches = andThen(findKey(name), key => signatureMatches(name.alg, key, signature, signed))
    return andThen(matches, matches => {
      if (matches !== true) throw new TokenError('token-invalid-signature')
      if (headers.size < MAX_HEADERS) headers.set(header, name)

      assertSessionClaims(claims)
      if (claims.iss !== issuer) throw new TokenError('token-wrong-issuer')
      return { userId: claims.sub, sessionId: claims.sid, actor: claims.act, ...limitsOf(claims), claims }
    })
  }
}

/** Caches genuine tokens by their complete text, up to a maximum number. The oldest one is removed first. */
function remembering(size: number, genuine: FindGenuine): FindGenuine {
  const remembered = new Map<string, { session: VerifiedSession; since: number }>()
  const known = (token: string, now: number): VerifiedSession | undefined => {
    // Do not look up long texts, because that takes time.
    if (typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH) return undefined
    const { session, since = Number.NaN } = remembered.get(token) ?? {}
    const age = now - since
    return age >= 0 && age < REMEMBERED_MS ? session : undefined
  }
  return (token, now) =>
    known(token, now) ??
    andThen(genuine(token, now), session => {
      remembered.delete(token)
      if (remembered.size >= size) remembered.delete(remembered.keys().next().value as string)
      // Freeze the result, so that one request cannot change what the next one gets.
      remembered.set(token, { session: deepFreeze(session), since: now })
      return session
    })
}

function assertOptions({ issuer, authorizedParties, clockSkewInSeconds = 5, cacheSize = 0 }: VerifyOptions): void {
  if (typeof issuer !== 'string' || issuer === '') {
    throw new TypeError('`issuer` is missing: set it to the STAGEDOOR_PUBLIC_URL of the server.')
  }
  // An empty string would accept tokens without a page.
  if (authorizedParties && (authorizedParties.length === 0 || authorizedParties.includes(''))) {
    throw new TypeError('`authorizedParties` names no page: set it to the origins of your app, or omit it.')
  }
  if (!(clockSkewInSeconds >= 0 && clockSkewInSeconds <= 300)) {
    throw new TypeError('`clockSkewInSeconds` must be from 0 to 300.')
  }
  if (!(Number.isSafeInteger(cacheSize) && cacheSize >= 0 && cacheSize <= 1_000_000)) {
    throw new TypeError('`cacheSize` must be a whole number of tokens, from 0 to 1000000.')
  }
}

/** Returns the key that a session token's header names. @throws TokenError */
function keyNameIn(header: Record<string, unknown>): KeyName {
  if (REFUSED_HEADERS.some(name => Object.hasOwn(header, name))) throw new TokenError('token-malformed')
  const name = keyNameOf(header)
  if (header.typ !== 'JWT' || header.cat !== SESSION_TOKEN_CATEGORY) throw new TokenError('token-wrong-kind')
  return name
}

function assertSessionClaims(claims: Record<string, unknown>): asserts claims is SessionClaims {
  const { iss, sub, sid, exp, iat, nbf, azp, act, aud } = claims
  const named = isText(iss) && isText(sub) && isText(sid)
  const timed = isTime(exp) && isTime(iat) && isTime(nbf)
  if (!named || !timed || (azp !== undefined && typeof azp !== 'string')) throw new TokenError('token-malformed')
  // Refuse an unreadable actor: the session must not count as the user's own.
  if (Object.hasOwn(claims, 'act') && !isActor(act)) throw new TokenError('token-malformed')
  // RFC 7519 §4.1.3: refuse a token with an audience, because this verifier is not in it.
  if (aud !== undefined) throw new TokenError('token-wrong-kind')
}

const isText = (value: unknown) => typeof value === 'string' && value !== ''
const isTime = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const member in value) if (typeof value[member] === 'object') deepFreeze(value[member])
  return Object.freeze(value)
}

function isActor(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Actor>).sub === 'string'
}
