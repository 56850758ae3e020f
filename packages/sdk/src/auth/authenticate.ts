import {
  createVerifier,
  type KeyOptions,
  remoteJwks,
  TokenError,
  type VerifiedSession,
  type VerifyOptions,
} from '../verify.ts'
import { type Auth, type OwnSession, type SignedOutReason, signedIn, signedOut } from './auth.ts'

/** How requests say who they are from: by a session token, or by the session of the app's own login. */
export type AuthOptions<Incoming> = TokenOptions | SessionOptions<Incoming>

/** Session tokens: `Authorization: Bearer`, else the `__session` cookies. As for `createVerifier`, but for the keys. */
export type TokenOptions = Omit<VerifyOptions, keyof KeyOptions> & {
  /** A key set, or `remoteJwks(serverURL)`. Without it and `publicKey`, the keys are fetched from the issuer. */
  jwks?: KeyOptions['jwks']
  /** One key, as PEM, instead of `jwks`. */
  publicKey?: string | undefined
  /** Told of every token that is refused, to log its `reason` and `cause`. The token itself is not in it. */
  onInvalidToken?: ((error: TokenError) => void) | undefined
}

/** For apps that keep their own login. */
export interface SessionOptions<Incoming> {
  /** What the app's own session says; nothing when nobody is signed in. */
  session: (request: Incoming) => MaybePromise<OwnSession | null | undefined>
}

type MaybePromise<T> = T | Promise<T>

/** Reads a header of the request; the two that are asked for are never lists. */
export type ReadHeader = (name: 'authorization' | 'cookie') => string | null | undefined

/** Finds out who is behind a request. An invalid token is nobody; only the app's own `session` can throw. */
export type Authenticate<Incoming> = (request: Incoming, header: ReadHeader) => Promise<Auth>

/** What every framework's `authenticate` is made of. @throws TypeError if the options make no sense */
export function createAuthenticate<Incoming>(options: AuthOptions<Incoming>): Authenticate<Incoming> {
  if (!('session' in options)) return byToken(options)
  if (typeof options.session !== 'function' || 'issuer' in options) {
    throw new TypeError('Give `session`, a function, for sessions of your own; or `issuer`, for session tokens.')
  }
  return bySession(options)
}

/**
 * A bearer token decides alone. Without one, each `__session` cookie is tried, because a request may have several: the
 * first that verifies counts, but one of an actor goes before one of a user's own. If none verifies, the first one gives
 * the reason.
 */
function byToken<Incoming>({ onInvalidToken, ...options }: TokenOptions): Authenticate<Incoming> {
  const verify = createVerifier(withKeys(options))
  return async (_request, header) => {
    const bearer = bearerOf(header('authorization'))
    const tokens = bearer === undefined ? cookiesOf(header('cookie'), '__session') : [bearer]
    const verified: VerifiedSession[] = []
    let reason: SignedOutReason | undefined
    for (const token of tokens) {
      try {
        verified.push(await verify(token))
      } catch (error) {
        if (!(error instanceof TokenError)) throw error
        onInvalidToken?.(error)
        reason ??= error.reason
      }
    }
    const session = verified.find(each => each.actor !== undefined) ?? verified[0]
    return session ? signedIn(session) : signedOut(reason ?? 'not-signed-in')
  }
}

function withKeys(options: Omit<TokenOptions, 'onInvalidToken'>): VerifyOptions {
  if (options.jwks !== undefined || options.publicKey !== undefined) return options as VerifyOptions
  // Without an issuer there are none: createVerifier says that it is missing.
  const jwks = options.issuer ? remoteJwks(options.issuer) : { keys: [] }
  return { ...options, publicKey: undefined, jwks }
}

/** RFC 6750 §2.1. Who sends one means it: the cookie is not looked at, whatever the token turns out to be. */
function bearerOf(authorization: string | null | undefined): string | undefined {
  return /^bearer(?: +(.*))?$/is
    .exec(authorization ?? '')
    ?.slice(1)
    .map(token => token ?? '')[0]
}

/**
 * The values of all cookies of a name, in order, without empty ones and repetitions. Some servers join several `Cookie`
 * headers with commas; no value of a session cookie has one.
 */
function cookiesOf(header: string | null | undefined, name: string): string[] {
  const values = new Set<string>()
  for (const pair of (header ?? '').split(/[;,]/)) {
    const [found = '', ...rest] = pair.split('=')
    const value = rest.join('=').trim()
    if (found.trim() === name) values.add(/^"(.*)"$/s.exec(value)?.[1] ?? value)
  }
  values.delete('')
  return [...values]
}

function bySession<Incoming>({ session }: SessionOptions<Incoming>): Authenticate<Incoming> {
  return async request => {
    const found = await session(request)
    if (found === undefined || found === null) return signedOut('not-signed-in')
    assertOwnSession(found)
    return signedIn(found)
  }
}

/** Never taken for a session of the user's own because its actor cannot be read. */
function assertOwnSession({ userId, sessionId, actor }: OwnSession): void {
  const isText = (id: unknown) => typeof id === 'string' && id !== ''
  const isNone = (value: unknown) => value === undefined || value === null
  const isActor = (value: typeof actor) => typeof value?.sub === 'string'
  if (isText(userId) && (isNone(sessionId) || isText(sessionId)) && (isNone(actor) || isActor(actor))) return
  throw new TypeError(
    '`session` must give { userId, sessionId, actor }: ids as texts, an actor with a `sub`; no actor for a session of the user’s own, and undefined when nobody is signed in.',
  )
}
