/** Why a token is refused, and what that means: the whole list. */
const reasons = {
  'token-malformed':
    'This is not a session token: it is too long, not written as a JWT must be, or lacks what every session token has.',
  'token-wrong-kind':
    'This is a token of another kind. Session tokens come from the browser (`__session`) or from sessions.getToken.',
  'token-wrong-algorithm':
    'The token is not signed with the algorithm of the key. RS256, ES256 and EdDSA are accepted, each with its own keys.',
  'key-unknown': 'None of the keys has signed the token: it is of another server, or its key has been removed.',
  'keys-unavailable': 'The keys to check the token with could not be fetched, or cannot be used; see `cause`.',
  'token-invalid-signature': 'The signature is not valid: the token was changed, or someone else has made it.',
  'token-wrong-issuer':
    'Another server issued the token. `issuer` must be the STAGEDOOR_PUBLIC_URL of the server, letter for letter.',
  'token-wrong-party': 'The token was made for another page (`azp`) than those in `authorizedParties`, or for none.',
  'token-expired': 'The token has expired. Session tokens live for a minute: get a new one.',
  'token-not-active-yet': 'The token is not valid yet. Are the clocks of both machines right?',
  'session-not-active': 'The session is not active.',
  'session-revoked': 'The session has been revoked, though the token has not expired.',
  'revocations-unavailable':
    'It is not known whether the session has been revoked: the feed of revocations cannot be reached (`whenLost`), or the token is older than `longestTokenInSeconds`.',
} as const

export type TokenErrorReason = keyof typeof reasons

/** A token that must not be trusted. Treat the caller as signed out, and log the `reason`. */
export class TokenError extends Error {
  readonly reason: TokenErrorReason

  constructor(reason: TokenErrorReason, cause?: unknown) {
    super(reasons[reason], cause === undefined ? {} : { cause })
    this.name = 'TokenError'
    this.reason = reason
  }
}
