/** All reasons why a token is refused, with their texts. */
const reasons = {
  'token-malformed':
    'This is not a session token: it is too long, is not a valid JWT, or lacks a claim that session tokens have.',
  'token-wrong-kind':
    'This is a token of another kind. Session tokens come from the browser (`__session`) or from sessions.getToken.',
  'token-wrong-algorithm':
    'The algorithm of the token does not match the key. RS256, ES256 and EdDSA are accepted, each with its own keys.',
  'key-unknown': 'None of the keys signed the token: it is from another server, or its key was removed.',
  'keys-unavailable': 'The keys that verify the token could not be fetched, or cannot be used; see `cause`.',
  'token-invalid-signature': 'The signature is not valid: the token was changed, or was signed with another key.',
  'token-wrong-issuer':
    'Another server issued the token. `issuer` must be exactly the STAGEDOOR_PUBLIC_URL of the server.',
  'token-wrong-party': 'The page of the token (`azp`) is not in `authorizedParties`, or the token has none.',
  'token-expired': 'The token has expired. Session tokens are valid for a minute: get a new one.',
  'token-not-active-yet': 'The token is not valid yet. Check the clocks of both machines.',
  'session-not-active': 'The session is not active.',
  'session-revoked': 'The session has been revoked, though the token has not expired.',
  'revocations-unavailable':
    'It is unknown whether the session was revoked: the stream of revocations is not connected (`whenLost`), or the token is older than `longestTokenInSeconds`.',
} as const

export type TokenErrorReason = keyof typeof reasons

/** The token is not valid. Treat the caller as signed out, and log the `reason`. */
export class TokenError extends Error {
  readonly reason: TokenErrorReason

  constructor(reason: TokenErrorReason, cause?: unknown) {
    super(reasons[reason], cause === undefined ? {} : { cause })
    this.name = 'TokenError'
    this.reason = reason
  }
}
