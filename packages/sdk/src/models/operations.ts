import type { Camel } from '../camel.ts'
import type * as wire from '../wire.ts'

/** What requests are made of, made from the contract: the wire's own types in camelCase. Durations are whole seconds. */

export type { Actor, Claims, Metadata } from '../wire.ts'

/** A new actor token. */
export interface CreateActorTokenRequestBody extends Camel<wire.CreateActorTokenRequestBody> {
  /** The ID of the user being impersonated. */
  userId: string
  /**
   * The actor payload: who is really acting. It needs a `sub`, the ID of the actor; every other member is yours. The
   * whole payload is included in the session tokens, as `act`.
   */
  actor: wire.Actor
  /** How long the token can be redeemed, in seconds. 3600 (an hour) unless given. */
  expiresInSeconds?: number | undefined
  /** The longest the session it starts may last, in seconds. 1800 (30 minutes) unless given. */
  sessionMaxDurationInSeconds?: number | undefined
  /** Why: for the audit log, and for whoever reads it later. At most 500 characters. */
  reason?: string | undefined
}

/** The ticket: an actor token's `token`. */
export interface AcceptActorTokenRequestBody extends Camel<wire.AcceptActorTokenRequestBody> {}

/** Why something is revoked, for the audit log. At most 500 characters. */
export interface RevokeRequestBody {
  reason?: string | undefined
}

/** Whose: exactly one of a user, an actor, or everybody. */
export type RevokeAllSessionsRequestBody = RevokeRequestBody &
  ({ userId: string } | { actorSub: string } | { everything: true })

export interface CreateSignInTokenRequestBody extends Camel<wire.CreateSignInTokenRequestBody> {}

export interface CreateUserRequestBody extends Camel<wire.CreateUserRequestBody> {}

export interface UpdateUserRequestBody extends Camel<wire.UpdateUserRequestBody> {}

export interface UpdateUserMetadataRequestBody extends Camel<wire.UpdateUserMetadataRequestBody> {}

export interface CreateSessionRequestBody extends Camel<wire.CreateSessionRequestBody> {}

export interface CreateSessionTokenRequestBody {
  /** Life of the token, in seconds: 60 unless given, at least 30, and never past the end of the session. */
  expiresInSeconds?: number | undefined
}

/** A new JWT template. `lifetime` (60) and `allowedClockSkew` (5) are seconds. */
export interface CreateJwtTemplateRequestBody extends Camel<wire.CreateJWTTemplateRequestBody> {}

/** What changes of a JWT template; null brings back a default. */
export interface UpdateJwtTemplateRequestBody extends Camel<wire.UpdateJWTTemplateRequestBody> {}

/** The value of a browser's `__client` cookie. */
export interface VerifyClientRequestBody extends Camel<wire.VerifyClientRequestBody> {}

export interface GetActorTokenListQuery extends Omit<Camel<wire.GetActorTokenListQuery>, 'paginated'> {}

export interface GetUserListQuery extends Omit<Camel<wire.GetUserListQuery>, 'paginated'> {}

export interface GetUsersCountQuery extends Omit<Camel<wire.GetUsersCountQuery>, 'limit' | 'offset' | 'orderBy'> {}

export interface GetSessionListQuery extends Omit<Camel<wire.GetSessionListQuery>, 'paginated'> {}

export interface ListJwtTemplatesQuery extends Omit<Camel<wire.ListJWTTemplatesQuery>, 'paginated'> {}

export interface GetAuditEventListQuery extends Omit<Camel<wire.GetAuditEventListQuery>, 'paginated'> {}

export interface GetRefusedRequestsListQuery extends Camel<wire.GetRefusedRequestsListQuery> {}

export interface FollowRevocationsQuery extends Camel<wire.FollowRevocationsQuery> {}
