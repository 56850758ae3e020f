import { type CreateOptions, type Http, path, type RequestOptions } from '../http.ts'
import type { AcceptedActorToken, ActorToken, CreatedActorToken, List } from '../models/components.ts'
import type {
  AcceptActorTokenRequestBody,
  CreateActorTokenRequestBody,
  GetActorTokenListQuery,
  RevokeRequestBody,
} from '../models/operations.ts'
import type * as schemas from '../models/schemas.ts'
import { withTicket } from '../with-ticket.ts'

/** One-time grants to act as a user. */
export class ActorTokens {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Creates an actor token: a one-time grant to act as a user. Its `token` (the ticket) is redeemed once, in a browser
   * by opening `url` or in a backend with {@link accept}. Only this answer has the ticket and the URL.
   *
   * @param request `userId`; `actor`, any JSON object with a string `sub`; seconds in `expiresInSeconds` (3600) and
   *   `sessionMaxDurationInSeconds` (1800); `reason` for the audit log
   * @throws StagedoorError `resource_not_found` (no such user), `user_banned`, `user_locked`, `actor_banned`,
   *   `form_param_missing`, `form_param_value_invalid`, `form_param_type_invalid`; `ticket_unavailable` (your
   *   idempotency key created it before, and it has been redeemed or revoked since)
   * @see `POST /v1/actor_tokens` (CreateActorToken, as at Clerk)
   * @example
   * const { id, url } = await stagedoor.actorTokens.create({ userId: 'user_29w83', actor: { sub: 'user_2OEpK' }, reason: 'ticket 4711' })
   */
  create(request: CreateActorTokenRequestBody, options?: CreateOptions): Promise<CreatedActorToken> {
    return this.#http.create<schemas.ActorToken>('/v1/actor_tokens', request, options).then(withTicket)
  }

  /**
   * Lists actor tokens, newest first, without their tickets.
   *
   * @param query `status` (`pending`, `accepted`, `revoked`), `userId`, `actorSub`; `limit` 1 to 500 (10);
   *   `startingAfter` (the `nextCursor` of a page) or `offset` (0)
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/actor_tokens` (Stagedoor only)
   * @example
   * const { data, totalCount } = await stagedoor.actorTokens.list({ status: 'pending', actorSub: 'user_2OEpK' })
   */
  list(query?: GetActorTokenListQuery, options?: RequestOptions): List<ActorToken> {
    return this.#http.list<schemas.ActorToken>('/v1/actor_tokens', query, options)
  }

  /**
   * Reads an actor token, without its ticket.
   *
   * @param id `act_…`
   * @throws StagedoorError `resource_not_found`
   * @see `GET /v1/actor_tokens/{id}` (Stagedoor only)
   * @example
   * const { status, sessionId } = await stagedoor.actorTokens.get('act_2f8d')
   */
  get(id: string, options?: RequestOptions): Promise<ActorToken> {
    return this.#http.get<schemas.ActorToken>(path`/v1/actor_tokens/${id}`, undefined, options)
  }

  /**
   * Revokes a pending actor token. If it was already redeemed, revoke the session that it started with `sessions.revoke`.
   *
   * @param id `act_…`
   * @param request `reason` for the audit log
   * @throws StagedoorError `actor_token_cannot_be_revoked_code` (it is not pending), `resource_not_found`
   * @see `POST /v1/actor_tokens/{id}/revoke` (RevokeActorToken, as at Clerk)
   * @example
   * await stagedoor.actorTokens.revoke('act_2f8d', { reason: 'no longer needed' })
   */
  revoke(id: string, request?: RevokeRequestBody, options?: RequestOptions): Promise<ActorToken> {
    return this.#http.post<schemas.ActorToken>(path`/v1/actor_tokens/${id}/revoke`, request, options)
  }

  /**
   * Redeems a ticket in a backend, without a browser: for apps that keep their own login. A ticket can be redeemed once. If
   * an answer is lost, the client repeats the request with the same idempotency key.
   *
   * @param request `ticket`: an actor token's `token`; `actorSub`: the actor you expect, which is the person who is
   *   signed in to your app. A ticket for a different actor is refused and stays pending
   * @returns the new session, and its first session token (60 seconds; get further ones with `sessions.getToken`)
   * @throws StagedoorError `ticket_invalid_code`, `ticket_expired_code`, `actor_token_already_used_code`,
   *   `actor_token_revoked_code`, `actor_token_subject_not_found`, `user_banned`, `user_locked`, `actor_banned`,
   *   `actor_mismatch` (the ticket is for a different actor)
   * @see `POST /v1/actor_tokens/accept` (Stagedoor only)
   * @example
   * const { token: ticket } = await stagedoor.actorTokens.create({ userId: 'user_29w83', actor: { sub: 'user_2OEpK' } })
   * const { session, token } = await stagedoor.actorTokens.accept({ ticket, actorSub: 'user_2OEpK' })
   * console.log(session.actor.sub, session.expireAt, token.jwt)
   */
  accept(request: AcceptActorTokenRequestBody, options?: CreateOptions): Promise<AcceptedActorToken> {
    return this.#http.create<schemas.AcceptedActorToken>('/v1/actor_tokens/accept', request, options)
  }
}
