import type * as schemas from './schemas.ts'

/** Types of requests, generated from the contract, in camelCase. Durations are whole seconds. */

export type { Actor, Claims, Metadata } from './schemas.ts'

/** A new actor token. */
export interface CreateActorTokenRequestBody extends schemas.CreateActorTokenRequestBody {}

/** The ticket: an actor token's `token`. */
export interface AcceptActorTokenRequestBody extends schemas.AcceptActorTokenRequestBody {}

/** The reason of a revocation, for the audit log. At most 500 characters. */
export interface RevokeRequestBody {
  reason?: string | undefined
}

/** What to revoke: exactly one of a user, an actor, or everything. */
export type RevokeAllSessionsRequestBody = RevokeRequestBody &
  ({ userId: string } | { actorSub: string } | { everything: true })

export interface CreateSignInTokenRequestBody extends schemas.CreateSignInTokenRequestBody {}

export interface CreateUserRequestBody extends schemas.CreateUserRequestBody {}

export interface UpdateUserRequestBody extends schemas.UpdateUserRequestBody {}

export interface UpdateUserMetadataRequestBody extends schemas.UpdateUserMetadataRequestBody {}

export interface CreateSessionRequestBody extends schemas.CreateSessionRequestBody {}

export interface CreateSessionTokenRequestBody {
  /** Lifetime of the token, in seconds. Default: 60. At least 30, and never past the end of the session. */
  expiresInSeconds?: number | undefined
  /** False does not extend the idle timeout of the session. Default: true. Stagedoor only. */
  countsAsUse?: boolean | undefined
}

/** A new JWT template. `lifetime` (60) and `allowedClockSkew` (5) are seconds. */
export interface CreateJwtTemplateRequestBody extends schemas.CreateJWTTemplateRequestBody {}

/** Changes of a JWT template; null restores a default. */
export interface UpdateJwtTemplateRequestBody extends schemas.UpdateJWTTemplateRequestBody {}

/** The value of a browser's `__client` cookie. */
export interface VerifyClientRequestBody extends schemas.VerifyClientRequestBody {}

export interface GetActorTokenListQuery extends Omit<schemas.GetActorTokenListQuery, 'paginated' | 'totalCount'> {}

export interface GetSignInTokenListQuery extends Omit<schemas.GetSignInTokenListQuery, 'paginated' | 'totalCount'> {}

export interface GetUserListQuery extends Omit<schemas.GetUserListQuery, 'paginated' | 'totalCount'> {}

export interface GetUsersCountQuery extends Omit<schemas.GetUsersCountQuery, 'limit' | 'offset' | 'orderBy'> {}

export interface GetSessionListQuery extends Omit<schemas.GetSessionListQuery, 'paginated' | 'totalCount'> {}

export interface ListJwtTemplatesQuery extends Omit<schemas.ListJWTTemplatesQuery, 'paginated' | 'totalCount'> {}

export interface GetAuditEventListQuery extends Omit<schemas.GetAuditEventListQuery, 'paginated' | 'totalCount'> {}

export interface GetRefusedRequestsListQuery
  extends Omit<schemas.GetRefusedRequestsListQuery, 'paginated' | 'totalCount'> {}

export interface FollowRevocationsQuery extends schemas.FollowRevocationsQuery {}
