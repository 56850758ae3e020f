/** Types that the schemas of the contract do not express. `operations.ts` and `components.ts` export them. */

/** The reason of a revocation, for the audit log. At most 500 characters. */
export interface RevokeRequestBody {
  reason?: string | undefined
}

/** What to revoke: exactly one of a user, an actor, or everything. */
export type RevokeAllSessionsRequestBody = RevokeRequestBody &
  ({ userId: string } | { actorSub: string } | { everything: true })

export interface CreateSessionTokenRequestBody {
  /** Lifetime of the token, in seconds. Default: 60. At least 30, and never past the end of the session. */
  expiresInSeconds?: number | undefined
  /** False does not extend the idle timeout of the session. Default: true. Stagedoor only. */
  countsAsUse?: boolean | undefined
  /** `['scope']` if your app enforces the access and the scopes of the session. A limited session needs it. Stagedoor only. */
  understands?: 'scope'[] | undefined
}

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
