import type { Actor } from '../models/schemas.ts'
import type { SessionClaims, TokenErrorReason } from '../verify.ts'

/** Who is behind a request. It is always there; `userId` says whether anybody is signed in. */
export type Auth = SignedIn | SignedInActing | SignedOut

/** A user, in a session of their own. */
export interface SignedIn {
  userId: string
  /** Null only if the session is the app's own and has no id. */
  sessionId: string | null
  actor: null
  isActing: false
  /** Of the session token; what the app itself says if the session is the app's own. */
  claims: Partial<SessionClaims>
}

/** Somebody else, as a user. */
export interface SignedInActing {
  /** The user acted as. */
  userId: string
  sessionId: string | null
  /** Who is really acting. Decide on this, the outermost actor, alone (RFC 8693 §4.1). */
  actor: Actor
  isActing: true
  claims: Partial<SessionClaims>
}

/** Nobody that can be relied on. */
export interface SignedOut {
  userId: null
  sessionId: null
  actor: null
  isActing: false
  claims: null
  reason: SignedOutReason
}

/** Nobody tried to be anybody (`not-signed-in`), or why the token that came must not be trusted. */
export type SignedOutReason = 'not-signed-in' | TokenErrorReason

/** A session that the app itself keeps: what its own login knows of a request. */
export interface OwnSession {
  userId: string
  sessionId?: string | null | undefined
  /** Who is really acting as the user; nothing in a session of the user's own. */
  actor?: Actor | null | undefined
  claims?: Record<string, unknown> | undefined
}

export function signedOut(reason: SignedOutReason): SignedOut {
  return { userId: null, sessionId: null, actor: null, isActing: false, claims: null, reason }
}

export function signedIn({ userId, sessionId = null, actor, claims = {} }: OwnSession): SignedIn | SignedInActing {
  const session = { userId, sessionId, claims }
  return actor ? { ...session, actor, isActing: true } : { ...session, actor: null, isActing: false }
}
