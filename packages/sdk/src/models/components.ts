import type { Camel } from '../camel.ts'
import type * as wire from '../wire.ts'

/** What the server answers with, made from the contract: the wire's own types in camelCase. Times are Unix milliseconds. */

export type { Actor, Claims, ErrorCode, JsonWebKey, JsonWebKeySet, Metadata, Milliseconds } from '../wire.ts'

/** A one-time grant to act as a user. `token` is the ticket; it is shown on creation only. */
export interface ActorToken extends Camel<wire.ActorToken> {}

/** What redeeming a ticket gives: the session, and its first session token. */
export interface AcceptedActorToken extends Camel<wire.AcceptedActorToken> {}

/** A one-time grant to sign in as oneself. */
export interface SignInToken extends Camel<wire.SignInToken> {}

/** A session. `actor` says who is really acting; null in a session of the user's own. */
export interface Session extends Camel<wire.Session> {}

/** What the kill switch did: everything that was there up to `notBefore` is revoked. */
export interface Revocation extends Camel<wire.Revocation> {}

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
export interface SessionToken extends Camel<wire.SessionToken> {}

/** Says what is in the tokens asked for by its `name`. `claims` is kept as it was given. */
export interface JwtTemplate extends Camel<wire.JWTTemplate> {}

/** A user. Metadata is kept as it was given. */
export interface User extends Camel<wire.User> {}

export interface EmailAddress extends Camel<wire.EmailAddress> {}

export interface PhoneNumber extends Camel<wire.PhoneNumber> {}

export interface DeletedObject extends Camel<wire.DeletedObject> {}

/** A browser (or backend) that holds sessions. */
export interface Client extends Camel<wire.Client> {}

/** Cookies to set, as `Set-Cookie` has them. */
export interface HandshakePayload extends Camel<wire.HandshakePayload> {}

/** One entry of the audit log. */
export interface AuditEvent extends Camel<wire.AuditEvent> {}

/** Requests that named nothing known, counted per minute, address and code. */
export interface RefusedRequests extends Camel<wire.RefusedRequests> {}

export type { List, Page } from '../list.ts'
