import { type CreateOptions, type Http, path, type RequestOptions } from '../http.ts'
import type { CreatedSignInToken, List, SignInToken } from '../models/components.ts'
import type { CreateSignInTokenRequestBody, GetSignInTokenListQuery, RevokeRequestBody } from '../models/operations.ts'
import type * as schemas from '../models/schemas.ts'
import { withTicket } from '../with-ticket.ts'

/** One-time grants to sign in as a user, without an actor. */
export class SignInTokens {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Creates a sign-in token. It is like an actor token, but its session is the user's own and has no actor.
   *
   * @param request `userId`; `expiresInSeconds` (2592000, which is 30 days)
   * @throws StagedoorError `resource_not_found` (no such user), `user_banned`, `user_locked`, `form_param_missing`,
   *   `form_param_value_invalid`
   * @see `POST /v1/sign_in_tokens` (CreateSignInToken, as at Clerk)
   * @example
   * const { url } = await stagedoor.signInTokens.create({ userId: 'user_29w83', expiresInSeconds: 600 })
   */
  create(request: CreateSignInTokenRequestBody, options?: CreateOptions): Promise<CreatedSignInToken> {
    return this.#http.create<schemas.SignInToken>('/v1/sign_in_tokens', request, options).then(withTicket)
  }

  /**
   * Lists sign-in tokens, newest first, without their tickets.
   *
   * @param query `status` (`pending`, `accepted`, `revoked`), `userId`; `limit` 1 to 500 (10);
   *   `startingAfter` (the `nextCursor` of a page) or `offset` (0)
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/sign_in_tokens` (Stagedoor only)
   * @example
   * for await (const { id } of stagedoor.signInTokens.list({ status: 'pending' })) await stagedoor.signInTokens.revoke(id)
   */
  list(query?: GetSignInTokenListQuery, options?: RequestOptions): List<SignInToken> {
    return this.#http.list<schemas.SignInToken>('/v1/sign_in_tokens', query, options)
  }

  /**
   * Revokes a pending sign-in token.
   *
   * @param id the sign-in token's id
   * @param request `reason` for the audit log
   * @throws StagedoorError `sign_in_token_cannot_be_revoked_code` (it is not pending), `resource_not_found`
   * @see `POST /v1/sign_in_tokens/{id}/revoke` (RevokeSignInToken, as at Clerk)
   * @example
   * await stagedoor.signInTokens.revoke('sit_2f8d')
   */
  revoke(id: string, request?: RevokeRequestBody, options?: RequestOptions): Promise<SignInToken> {
    return this.#http.post<schemas.SignInToken>(path`/v1/sign_in_tokens/${id}/revoke`, request, options)
  }
}
