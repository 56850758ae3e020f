import type * as schemas from './schemas.ts'

/** What the server answers with, made from the contract, in camelCase. Times are Unix milliseconds. */

export type { Actor, Claims, ErrorCode, JsonWebKey, JsonWebKeySet, Metadata, Milliseconds } from './schemas.ts'

/** A one-time grant to act as a user. `token` is the ticket; it is shown on creation only. */
export interface ActorToken extends schemas.ActorToken {}

/** An actor token as creating it gives it: `token` is the ticket, `url` opens it in a browser. */
export interface CreatedActorToken extends schemas.ActorToken {
  token: string
  url: string
}

/** A session that an actor token started: `actor` is always there. */
export interface ActingSession extends schemas.ActingSession {}

/** What redeeming a ticket gives: the session, and its first session token. */
export interface AcceptedActorToken extends schemas.AcceptedActorToken {}

/** A one-time grant to sign in as oneself. */
export interface SignInToken extends schemas.SignInToken {}

/** A sign-in token as creating it gives it: `token` is the ticket, `url` opens it in a browser. */
export interface CreatedSignInToken extends schemas.SignInToken {
  token: string
  url: string
}

/** A session. `actor` says who is really acting; null in a session of the user's own. */
export interface Session extends schemas.Session {}

/** What the kill switch did: everything that was there up to `notBefore` is revoked. */
export interface Revocation extends schemas.Revocation {}

/** What the feed of revocations says. Times are Unix milliseconds. */
export type RevocationEvent =
  | {
      event: 'session-revoked'
      id: string
      data: { sid: string; sub: string; actorSub: string | null; reason: string; at: number }
    }
  | {
      event: 'sessions-revoked-before'
      id: string
      data: { sub: string | null; actorSub: string | null; everything: boolean; notBefore: number }
    }
  /** Everything up to now has been said. */
  | { event: 'current'; id: string; data: { at: number } }
  | { event: 'heartbeat'; id: undefined; data: { at: number } }

/** A short-lived JWT (`jwt`) that proves a session. Check it with `@stagedoor/sdk/verify`. */
export interface SessionToken extends schemas.SessionToken {}

/** Says what is in the tokens asked for by its `name`. `claims` is kept as it was given. */
export interface JwtTemplate extends schemas.JWTTemplate {}

/** A user. Metadata is kept as it was given. */
export interface User extends schemas.User {}

export interface EmailAddress extends schemas.EmailAddress {}

export interface PhoneNumber extends schemas.PhoneNumber {}

export interface DeletedObject extends schemas.DeletedObject {}

/** A browser (or backend) that holds sessions. */
export interface Client extends schemas.Client {}

/** Cookies to set, as `Set-Cookie` has them. */
export interface HandshakePayload extends schemas.HandshakePayload {}

/** One entry of the audit log. */
export interface AuditEvent extends schemas.AuditEvent {}

/** Requests that named nothing known, counted per minute, address and code. */
export interface RefusedRequests extends schemas.RefusedRequests {}

export type { List, Page } from '../list.ts'
