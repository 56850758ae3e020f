import { andThen, isPending, type MaybePromise } from '../maybe-promise.ts'
import { createCheck, type VerifiedSession, type VerifyOptions } from '../verify/check.ts'
import type { KeyOptions } from '../verify/keys.ts'
import { remoteJwks } from '../verify/remote-jwks.ts'
import { areScopes } from '../verify/scopes.ts'
import { TokenError } from '../verify/token-error.ts'
import { type Auth, type OwnSession, type SignedOutReason, signedIn, signedOut } from './auth.ts'

/** How requests are authenticated: with a session token, or with a session of the app's own login. */
export type AuthOptions<Incoming> = (TokenOptions | SessionOptions<Incoming>) & ReadOptions

/** What actors whose session may only read may do. */
export interface ReadOptions {
  /**
   * Endpoints that only read although their method is not GET, HEAD or OPTIONS: `['POST /search']`. The patterns are those of
   * `forbidActingOn`, without `!`.
   */
  reads?: readonly string[] | undefined
}

/** Session tokens from `Authorization: Bearer`, or else from `__session` cookies. Options as for `createVerifier`, except the keys. */
export type TokenOptions = Omit<VerifyOptions, keyof KeyOptions> & {
  /** A key set, or `remoteJwks(serverURL)`. Default, without `publicKey` too: keys fetched from the issuer. */
  jwks?: KeyOptions['jwks']
  /** One key, as PEM, instead of `jwks`. */
  publicKey?: string | undefined
  /** Called for every refused token, so that you can log its `reason` and `cause`. The error does not contain the token. */
  onInvalidToken?: ((error: TokenError) => void) | undefined
}

/** For apps that keep their own login. */
export interface SessionOptions<Incoming> {
  /** Returns the app's own session; null or undefined if the request is signed out. */
  session: (request: Incoming) => MaybePromise<OwnSession | null | undefined>
}

/** Reads a header of the request. The two headers are never lists. */
export type ReadHeader = (name: 'authorization' | 'cookie') => string | null | undefined

/**
 * Authenticates a request. Returns a promise only if it has to wait for a key, for Web Crypto or for the app's own `session`
 * function. An invalid token means signed out; only the app's own functions can throw.
 */
export type Authenticate<Incoming> = (request: Incoming, header: ReadHeader) => MaybePromise<Auth>

/** Creates the function behind every framework's `authenticate`. @throws TypeError if the options are invalid */
export function createAuthenticate<Incoming>(options: AuthOptions<Incoming>): Authenticate<Incoming> {
  if (!('session' in options)) return byToken(options)
  if (typeof options.session !== 'function' || 'issuer' in options) {
    throw new TypeError('Pass either `session`, a function, for your own sessions; or `issuer`, for session tokens.')
  }
  return bySession(options)
}

/**
 * Authenticates with session tokens. If there is a bearer token, only that counts. Otherwise every `__session` cookie is
 * tried, because a request may have several. The first valid one counts, but a session with an actor takes precedence. If
 * none is valid, the first one gives the reason.
 */
function byToken<Incoming>({ onInvalidToken, ...options }: TokenOptions): Authenticate<Incoming> {
  const check = createCheck(withKeys(options))
  /** Returns the session of a token, or why the token is refused. Rejects with errors that are not about the token. */
  const outcomeOf = (token: string): MaybePromise<Outcome> => {
    try {
      const session = check(token)
      return isPending(session) ? session.catch(asRefused) : session
    } catch (error) {
      return asRefused(error)
    }
  }
  const authOf = (outcomes: readonly Outcome[]): Auth => {
    let session: VerifiedSession | undefined
    let reason: SignedOutReason | undefined
    for (const outcome of outcomes) {
      if (outcome instanceof TokenError) {
        onInvalidToken?.(outcome)
        reason ??= outcome.reason
      } else if (!session || (!session.actor && outcome.actor)) session = outcome
    }
    return session ? signedIn(session) : signedOut(reason ?? 'not-signed-in')
  }
  return (_request, header) => {
    const bearer = bearerOf(header('authorization'))
    const tokens = bearer === undefined ? cookiesOf(header('cookie'), '__session') : [bearer]
    const outcomes = tokens.map(outcomeOf)
    return outcomes.some(isPending) ? Promise.all(outcomes).then(authOf) : authOf(outcomes as Outcome[])
  }
}

type Outcome = VerifiedSession | TokenError

function asRefused(error: unknown): MaybePromise<TokenError> {
  return error instanceof TokenError ? error : Promise.reject(error)
}

function withKeys(options: Omit<TokenOptions, 'onInvalidToken'>): VerifyOptions {
  if (options.jwks !== undefined || options.publicKey !== undefined) return options as VerifyOptions
  // Without an issuer there are no keys; createVerifier then reports the missing issuer.
  const jwks = options.issuer ? remoteJwks(options.issuer) : { keys: [] }
  return { ...options, publicKey: undefined, jwks }
}

/** Returns the bearer token (RFC 6750 §2.1). If there is one, cookies are ignored, even if the token is invalid. */
function bearerOf(authorization: string | null | undefined): string | undefined {
  if (!authorization) return undefined
  const scheme = /^bearer(?: +|$)/i.exec(authorization)
  return scheme ? authorization.slice(scheme[0].length) : undefined
}

/**
 * Returns the values of all cookies with a name, in order, without empty values and duplicates. Some servers join several
 * `Cookie` headers with commas; the value of a session cookie never has a comma.
 */
function cookiesOf(header: string | null | undefined, name: string): string[] {
  if (!header) return []
  const values: string[] = []
  for (const pair of header.split(/[;,]/)) {
    const equals = pair.indexOf('=')
    if (equals === -1 || pair.slice(0, equals).trim() !== name) continue
    const value = pair.slice(equals + 1).trim()
    const unquoted = /^"(.*)"$/s.exec(value)?.[1] ?? value
    if (unquoted !== '') values.push(unquoted)
  }
  return values.length > 1 ? [...new Set(values)] : values
}

function bySession<Incoming>({ session }: SessionOptions<Incoming>): Authenticate<Incoming> {
  return request =>
    andThen(session(request), found => {
      if (found === undefined || found === null) return signedOut('not-signed-in')
      assertOwnSession(found)
      return signedIn(found)
    })
}

/** Checks an app's session. An unreadable actor must be an error: the session must not count as the user's own. */
function assertOwnSession({ userId, sessionId, actor, access, scopes }: OwnSession): void {
  const isText = (id: unknown) => typeof id === 'string' && id !== ''
  const isNone = (value: unknown) => value === undefined || value === null
  const isActor = (value: typeof actor) => typeof value?.sub === 'string'
  // An unreadable limit must be an error too: the session must not count as unrestricted. An empty list is no limit anybody set.
  const isLimit =
    (isNone(access) || access === 'read' || access === 'write') &&
    (isNone(scopes) || (areScopes(scopes) && scopes.length > 0))
  if (isText(userId) && (isNone(sessionId) || isText(sessionId)) && (isNone(actor) || isActor(actor)) && isLimit) return
  throw new TypeError(
    '`session` must return { userId, sessionId, actor, access, scopes }: ids as strings, an actor with a `sub` or none, and the access and scopes of the accepted token. It must return undefined if the request is signed out.',
  )
}
