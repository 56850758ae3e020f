import { createCheck, type VerifiedSession, type VerifyOptions } from './verify/check.ts'

export type { Actor, JsonWebKey, JsonWebKeySet } from './models/schemas.ts'
export type { VerifiedSession, VerifyOptions } from './verify/check.ts'
export type { SessionClaims } from './verify/claims.ts'
export type { KeyOptions } from './verify/keys.ts'
export {
  AuditProofError,
  type InclusionProof,
  type VerifiedCheckpoint,
  verifyCheckpoint,
  verifyConsistency,
  verifyInclusion,
} from './verify/merkle.ts'
export { type RemoteJwks, type RemoteJwksOptions, remoteJwks } from './verify/remote-jwks.ts'
export { type FollowRevocationsOptions, followRevocations, type RevocationFollower } from './verify/revocations.ts'
export { TokenError, type TokenErrorReason } from './verify/token-error.ts'

/** Checks a session token. @throws TokenError */
export type Verifier = (token: string) => Promise<VerifiedSession>

/**
 * Creates a function that verifies session tokens: signature, kind, issuer, times and, with `authorizedParties`, the page.
 * Use it in servers, because it imports the keys only once. With a key set or a PEM, it sends no requests.
 *
 * A valid token proves who was signed in when it was minted, at most a minute ago. If the session was revoked since then,
 * its next token is refused.
 *
 * @param options `issuer`; the keys, as `jwks` or `publicKey`; `authorizedParties`; `clockSkewInSeconds` (5)
 * @returns a function from a token to `{ userId, sessionId, actor, claims }`; it throws {@link TokenError}
 * @throws TypeError if the options are invalid
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
  const check = createCheck(options)
  return async token => check(token)
}

/**
 * Verifies one session token, like {@link createVerifier}, for code that cannot keep a verifier. Keys are imported only once
 * per `jwks` object or PEM, so pass the same object each time.
 *
 * @param token the JWT: the value of the `__session` cookie, or the text after `Bearer `
 * @param options as for {@link createVerifier}
 * @returns `{ userId, sessionId, actor, claims }`
 * @throws TokenError with a `reason`; TypeError if the options are invalid
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
