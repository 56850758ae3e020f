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
  claims: Partial<SessionClaims>
}

/** A request without a valid session. */
export interface SignedOut {
  userId: null
  sessionId: null
  actor: null
  isActing: false
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
  claims?: Record<string, unknown> | undefined
}

export function signedOut(reason: SignedOutReason): SignedOut {
  return { userId: null, sessionId: null, actor: null, isActing: false, claims: null, reason }
}

export function signedIn({ userId, sessionId = null, actor, claims = {} }: OwnSession): SignedIn | SignedInActing {
  if (actor) return { userId, sessionId, claims, actor, isActing: true }
  return { userId, sessionId, claims, actor: null, isActing: false }
}
