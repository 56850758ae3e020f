/**
 * Docstrings of the types of the TypeScript SDK, for schemas without a description in the contract. A schema with neither
 * has no docstring.
 */
export const typeTexts: Record<string, string> = {
  AcceptActorTokenRequestBody: "The ticket: an actor token's `token`.",
  AcceptedActorToken: 'Result of redeeming a ticket: the session, and its first session token.',
  ActingSession: 'A session that an actor token started: it always has an `actor`.',
  ActorToken: 'A one-time grant to act as a user. `token` is the ticket; only creation returns it.',
  AuditEvent: 'One entry of the audit log.',
  Client: 'A browser (or backend) that holds sessions.',
  CreateActorTokenRequestBody: 'A new actor token.',
  CreateJWTTemplateRequestBody: 'A new JWT template. `lifetime` (60) and `allowedClockSkew` (5) are seconds.',
  CreatedActorToken: 'A created actor token: `token` is the ticket, `url` opens it in a browser.',
  CreatedSignInToken: 'A created sign-in token: `token` is the ticket, `url` opens it in a browser.',
  HandshakePayload: 'Cookies to set, as values of `Set-Cookie`.',
  JWTTemplate: 'Defines the claims of tokens that are requested by its `name`. `claims` is stored unchanged.',
  RefusedRequests: 'Refused requests that named nothing known to the server, counted per minute, address and code.',
  Revocation: 'Result of the kill switch: everything that was created up to `notBefore` is revoked.',
  Session: "A session. `actor` is who is really acting; null in the user's own sessions.",
  SessionToken: 'A short-lived JWT (`jwt`) that proves a session. Verify it with `@stagedoor/sdk/verify`.',
  SignInToken: 'A one-time grant to sign in as a user, without an actor.',
  UpdateJWTTemplateRequestBody: 'Changes of a JWT template; null restores a default.',
  User: 'A user. Metadata is stored unchanged.',
  VerifyClientRequestBody: "The value of a browser's `__client` cookie.",
}
