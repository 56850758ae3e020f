import type { Actor } from './models/schemas.ts'
import { decodeJwt, jsonOf, MAX_TOKEN_LENGTH } from './verify/jwt.ts'
import { type FindKey, type KeyName, type KeyOptions, keyFinder, keyNameOf } from './verify/keys.ts'
import type { RevocationFollower } from './verify/revocations.ts'
import { signatureMatches } from './verify/signature.ts'
import { TokenError } from './verify/token-error.ts'

export type { Actor, JsonWebKey, JsonWebKeySet } from './models/schemas.ts'
export type { KeyOptions } from './verify/keys.ts'
export { type RemoteJwks, type RemoteJwksOptions, remoteJwks } from './verify/remote-jwks.ts'
export { type FollowRevocationsOptions, followRevocations, type RevocationFollower } from './verify/revocations.ts'
export { TokenError, type TokenErrorReason } from './verify/token-error.ts'

/** What a token must be to be accepted. */
export type VerifyOptions = KeyOptions & {
  /** Who must have issued it: the server's STAGEDOOR_PUBLIC_URL, letter for letter. */
  issuer: string
  /**
   * The pages it may have been made for, as origins: `['https://app.example.com']`. Give it wherever tokens come from
   * browsers. A token that names no page (one minted with a secret key) is then refused.
   */
  authorizedParties?: readonly string[] | undefined
  /** How far apart the clocks may be, in seconds. 5 unless given. */
  clockSkewInSeconds?: number | undefined
  /**
   * How many tokens are remembered once their signature was found good, each for at most a minute; everything else is
   * checked each time. 0 unless given: no token is remembered. A token takes a kilobyte or two.
   */
  cacheSize?: number | undefined
  /** What `followRevocations` gives: tokens of sessions revoked since they were minted are refused too. */
  revocations?: RevocationFollower | undefined
  /** The time, in Unix milliseconds: `Date.now` unless given. */
  now?: (() => number) | undefined
}

/** The claims of a session token. Times are Unix seconds. */
export interface SessionClaims {
  iss: string
  /** The user. */
  sub: string
  /** The session. */
  sid: string
  exp: number
  iat: number
  nbf: number
  /** The page the token was made for, as an origin. */
  azp?: string
  /** The actor payload, value for value: who is really acting. */
  act?: Actor
  [claim: string]: unknown
}

/** Whom a token stands for. Where tokens are remembered (`cacheSize`), all of it is frozen: everyone who shows one gets the same. */
export interface VerifiedSession {
  userId: string
  sessionId: string
  /**
   * Who is really acting as the user; undefined in a session of the user's own. Decide on this, the outermost actor,
   * alone: an `act` inside it is history and must not decide access (RFC 8693 §4.1).
   */
  actor: Actor | undefined
  claims: SessionClaims
}

/** Checks a session token. @throws TokenError */
export type Verifier = (token: string) => Promise<VerifiedSession>

/** Clerk's category of session tokens: `cat` in the header. */
const SESSION_TOKEN_CATEGORY = 'cl_B7d4PD111AAA'

/** A signature found good is believed for so long, ms: then its key may have been removed. */
const REMEMBERED_MS = 60_000
/** The headers of good tokens, which are few: one for each key. */
const MAX_HEADERS = 16

/** Header members that would change what the signature means, or bring a key along (RFC 7515 §4.1, RFC 8725 §3.5). */
const REFUSED_HEADERS = ['crit', 'b64', 'zip', 'enc', 'jku', 'jwk', 'x5u', 'x5c']

/**
 * Makes a function that checks session tokens: signature, kind, issuer, times and, if told, the page. The keys are
 * read once, so this is the way for a server. Nothing is fetched when the keys are given as a key set or as PEM.
 *
 * A valid token says who was signed in when it was minted, at most a minute ago; a session revoked since then is
 * refused from the next token on.
 *
 * @param options `issuer`; the keys, as `jwks` or `publicKey`; `authorizedParties`; `clockSkewInSeconds` (5)
 * @returns a function from a token to `{ userId, sessionId, actor, claims }`; it throws {@link TokenError}
 * @throws TypeError if the options make no sense
 * @see RFC 7519 §7.2, RFC 8725, RFC 8693 §4.1
 * @example
 * import { createVerifier, remoteJwks, TokenError } from '@stagedoor/sdk/verify'
 *
 * const verify = createVerifier({
 *   issuer: 'http://127.0.0.1:4100',
 *   jwks: remoteJwks('http://127.0.0.1:4100'),
 *   authorizedParties: ['http://localhost:3000'],
 * })
 * try {
 *   const { userId, actor } = await verify('eyJhbGciOiJSUzI1NiIs…')
 *   console.log(actor ? `${actor.sub} acting as ${userId}` : userId)
 * } catch (error) {
 *   if (!(error instanceof TokenError)) throw error
 *   console.log(`signed out: ${error.reason}`)
 * }
 */
export function createVerifier(options: VerifyOptions): Verifier {
  assertOptions(options)
  const {
    issuer,
    authorizedParties,
    clockSkewInSeconds: skew = 5,
    cacheSize = 0,
    revocations,
    now = Date.now,
  } = options
  const genuine = rememberingGenuine(cacheSize, genuineBy(keyFinder(options), issuer))

  return async token => {
    const time = now()
    const session = genuine.known(token, time) ?? (await genuine.check(token, time))

    // The issuer said it. What depends on the moment is looked at each time; a comparison with anything odd is a refusal.
    const { claims } = session
    const seconds = time / 1_000
    if (!(seconds < claims.exp + skew)) throw new TokenError('token-expired')
    if (!(claims.nbf <= seconds + skew && claims.iat <= seconds + skew)) throw new TokenError('token-not-active-yet')
    if (authorizedParties && !authorizedParties.includes(claims.azp ?? '')) throw new TokenError('token-wrong-party')
    if (claims.sts !== undefined && claims.sts !== 'active') throw new TokenError('session-not-active')
    if (revocations) {
      const verdict = revocations.verdict(claims, time)
      if (verdict === 'revoked') throw new TokenError('session-revoked')
      if (verdict === 'unknown' && revocations.whenLost !== 'accept') throw new TokenError('revocations-unavailable')
    }
    return session
  }
}

/** Whether the issuer made this very token, whenever that was; if so, what it says. */
function genuineBy(findKey: FindKey, issuer: string): Verifier {
  const headers = new Map<string, KeyName>()
  return async token => {
    const { header, claims, signature, signed } = decodeJwt(token)
    const name = headers.get(header) ?? keyNameIn(jsonOf(header))
    const key = await findKey(name)
    const matches = await signatureMatches(name.alg, key, signature, signed)
    if (matches !== true) throw new TokenError('token-invalid-signature')
    if (headers.size < MAX_HEADERS) headers.set(header, name)

    assertSessionClaims(claims)
    if (claims.iss !== issuer) throw new TokenError('token-wrong-issuer')
    return { userId: claims.sub, sessionId: claims.sid, actor: claims.act, claims }
  }
}

/** Remembers so many tokens that were found genuine, by all of their text, the oldest of them forgotten first. */
function rememberingGenuine(size: number, genuine: Verifier) {
  const remembered = new Map<string, { session: VerifiedSession; since: number }>()
  return {
    known(token: string, now: number): VerifiedSession | undefined {
      // Nothing long is looked up: that takes time too.
      if (size === 0 || typeof token !== 'string' || token.length > MAX_TOKEN_LENGTH) return undefined
      const { session, since = Number.NaN } = remembered.get(token) ?? {}
      const age = now - since
      return age >= 0 && age < REMEMBERED_MS ? session : undefined
    },
    async check(token: string, now: number): Promise<VerifiedSession> {
      const session = await genuine(token)
      if (size === 0) return session
      remembered.delete(token)
      if (remembered.size >= size) remembered.delete(remembered.keys().next().value as string)
      // What one of those who show this token does to it must not be what the next one gets.
      remembered.set(token, { session: deepFreeze(session), since: now })
      return session
    },
  }
}

/**
 * Checks one session token. The same as {@link createVerifier}, for where there is no place to keep a verifier; keys
 * are still imported only once for the same `jwks` object or PEM, so give the same object each time.
 *
 * @param token the JWT: the `__session` cookie, or what follows `Bearer `
 * @param options as for {@link createVerifier}
 * @returns `{ userId, sessionId, actor, claims }`
 * @throws TokenError its `reason` says why; TypeError if the options make no sense
 * @see RFC 7519 §7.2, RFC 8725, RFC 8693 §4.1
 * @example
 * import { remoteJwks, verifySessionToken } from '@stagedoor/sdk/verify'
 *
 * const { userId, sessionId, actor } = await verifySessionToken('eyJhbGciOiJSUzI1NiIs…', {
 *   issuer: 'http://127.0.0.1:4100',
 *   jwks: remoteJwks('http://127.0.0.1:4100'),
 * })
 */
export async function verifySessionToken(token: string, options: VerifyOptions): Promise<VerifiedSession> {
  return createVerifier(options)(token)
}

function assertOptions({ issuer, authorizedParties, clockSkewInSeconds = 5, cacheSize = 0 }: VerifyOptions): void {
  if (typeof issuer !== 'string' || issuer === '') {
    throw new TypeError('`issuer` is missing: give the STAGEDOOR_PUBLIC_URL of the server whose tokens are accepted.')
  }
  // An empty text would let in tokens that name no page.
  if (authorizedParties && (authorizedParties.length === 0 || authorizedParties.includes(''))) {
    throw new TypeError('`authorizedParties` names no page: give the origins of your app, or leave it out.')
  }
  if (!(clockSkewInSeconds >= 0 && clockSkewInSeconds <= 300)) {
    throw new TypeError('`clockSkewInSeconds` must be from 0 to 300.')
  }
  if (!(Number.isSafeInteger(cacheSize) && cacheSize >= 0 && cacheSize <= 1_000_000)) {
    throw new TypeError('`cacheSize` must be a whole number of tokens, from 0 to 1000000.')
  }
}

/** The key that a session token's header names. @throws TokenError */
function keyNameIn(header: Record<string, unknown>): KeyName {
  if (REFUSED_HEADERS.some(name => Object.hasOwn(header, name))) throw new TokenError('token-malformed')
  const name = keyNameOf(header)
  if (header.typ !== 'JWT' || header.cat !== SESSION_TOKEN_CATEGORY) throw new TokenError('token-wrong-kind')
  return name
}

function assertSessionClaims(claims: Record<string, unknown>): asserts claims is SessionClaims {
  const { iss, sub, sid, exp, iat, nbf, azp, act, aud } = claims
  const named = [iss, sub, sid].every(text => typeof text === 'string' && text !== '')
  const timed = [exp, iat, nbf].every(time => Number.isSafeInteger(time) && (time as number) >= 0)
  if (!named || !timed || (azp !== undefined && typeof azp !== 'string')) throw new TokenError('token-malformed')
  // Never taken for a session of the user's own because its actor cannot be read.
  if (Object.hasOwn(claims, 'act') && !isActor(act)) throw new TokenError('token-malformed')
  // RFC 7519 §4.1.3: a token for named recipients is refused by anyone who is none of them.
  if (aud !== undefined) throw new TokenError('token-wrong-kind')
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const member in value) if (typeof value[member] === 'object') deepFreeze(value[member])
  return Object.freeze(value)
}

function isActor(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Actor>).sub === 'string'
}
