import type { Actor } from '../models/schemas.ts'
import type { SessionClaims, TokenErrorReason } from '../verify.ts'

/** The authentication of a request. Every request has one; `userId` is null if the request is signed out. */
export type Auth = SignedIn | SignedInActing | SignedOut

/** A user, in a session of their own. */
export interface SignedIn {
  userId: string
  /** Null only if the session is the app's own and has no id. */
  sessionId: string | null
  actor: null
  isActing: false
  /** Null: not acting. The user may do whatever your app allows them. */
  access: null
  scopes: null
  /** Claims of the session token, or the app's own claims if the session is the app's own. */
  claims: Partial<SessionClaims>
}

/** An actor, acting as a user. */
export interface SignedInActing {
  /** The user that the actor acts as. */
  userId: string
  sessionId: string | null
  /** Who is really acting. Base access decisions only on this outermost actor (RFC 8693 §4.1). */
  actor: Actor
  isActing: true
  /** What the actor may do: `read`, or `write`, which includes reading. `authenticate` enforces `read`. */
  access: 'read' | 'write'
  /** All that the session may do; null: unrestricted. `requireScope` checks it. */
  scopes: readonly string[] | null
  claims: Partial<SessionClaims>
}

/** A request without a valid session. */
export interface SignedOut {
  userId: null
  sessionId: null
  actor: null
  isActing: false
  access: null
  scopes: null
  claims: null
  reason: SignedOutReason
}

/** `not-signed-in` if the request has no token; otherwise why its token is not valid. */
export type SignedOutReason = 'not-signed-in' | TokenErrorReason

/** A session of the app's own login. */
export interface OwnSession {
  userId: string
  sessionId?: string | null | undefined
  /** Who is really acting as the user; null or undefined in the user's own sessions. */
  actor?: Actor | null | undefined
  /** `session.access` of the accepted token. With an actor and without this: `write`. */
  access?: 'read' | 'write' | null | undefined
  /** `session.scopes` of the accepted token; null or undefined: unrestricted. */
  scopes?: readonly string[] | null | undefined
  claims?: Record<string, unknown> | undefined
}

export function signedOut(reason: SignedOutReason): SignedOut {
  return {
    userId: null,
    sessionId: null,
    actor: null,
    isActing: false,
    access: null,
    scopes: null,
    claims: null,
    reason,
  }
}

export function signedIn(session: OwnSession): SignedIn | SignedInActing {
  const { userId, sessionId = null, actor, access, scopes, claims = {} } = session
  if (!actor) return { userId, sessionId, claims, actor: null, isActing: false, access: null, scopes: null }
  return { userId, sessionId, claims, actor, isActing: true, access: access ?? 'write', scopes: scopes ?? null }
}
