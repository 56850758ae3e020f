import type * as schemas from './schemas.ts'

/** Types of answers, generated from the contract, in camelCase. Times are Unix milliseconds. */

export type { Actor, Claims, ErrorCode, JsonWebKey, JsonWebKeySet, Metadata, Milliseconds } from './schemas.ts'

/** A one-time grant to act as a user. `token` is the ticket; only creation returns it. */
export interface ActorToken extends schemas.ActorToken {}

/** A created actor token: `token` is the ticket, `url` opens it in a browser. */
export interface CreatedActorToken extends schemas.ActorToken {
  token: string
  url: string
}

/** A session that an actor token started: it always has an `actor`. */
export interface ActingSession extends schemas.ActingSession {}

/** Result of redeeming a ticket: the session, and its first session token. */
export interface AcceptedActorToken extends schemas.AcceptedActorToken {}

/** A one-time grant to sign in as a user, without an actor. */
export interface SignInToken extends schemas.SignInToken {}

/** A created sign-in token: `token` is the ticket, `url` opens it in a browser. */
export interface CreatedSignInToken extends schemas.SignInToken {
  token: string
  url: string
}

/** A session. `actor` is who is really acting; null in the user's own sessions. */
export interface Session extends schemas.Session {}

/** Result of the kill switch: everything that was created up to `notBefore` is revoked. */
export interface Revocation extends schemas.Revocation {}

/** An event of the stream of revocations. Times are Unix milliseconds. */
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
  /** All revocations up to now have been sent. */
  | { event: 'current'; id: string; data: { at: number } }
  | { event: 'heartbeat'; id: undefined; data: { at: number } }

/** A short-lived JWT (`jwt`) that proves a session. Verify it with `@stagedoor/sdk/verify`. */
export interface SessionToken extends schemas.SessionToken {}

/** Defines the claims of tokens that are requested by its `name`. `claims` is stored unchanged. */
export interface JwtTemplate extends schemas.JWTTemplate {}

/** A user. Metadata is stored unchanged. */
export interface User extends schemas.User {}

export interface EmailAddress extends schemas.EmailAddress {}

export interface PhoneNumber extends schemas.PhoneNumber {}

export interface DeletedObject extends schemas.DeletedObject {}

/** A browser (or backend) that holds sessions. */
export interface Client extends schemas.Client {}

/** Cookies to set, as values of `Set-Cookie`. */
export interface HandshakePayload extends schemas.HandshakePayload {}

/** One entry of the audit log. */
export interface AuditEvent extends schemas.AuditEvent {}

/** Refused requests that named nothing known to the server, counted per minute, address and code. */
export interface RefusedRequests extends schemas.RefusedRequests {}

export type { List, Page } from '../list.ts'
