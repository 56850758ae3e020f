import { StagedoorError } from '../errors.ts'
import { type CreateOptions, type Http, path, type RequestOptions } from '../http.ts'
import type { List, Revocation, Session, SessionToken } from '../models/components.ts'
import type {
  CreateSessionRequestBody,
  CreateSessionTokenRequestBody,
  GetSessionListQuery,
  RevokeAllSessionsRequestBody,
  RevokeRequestBody,
} from '../models/operations.ts'
import type * as schemas from '../models/schemas.ts'

/** Error codes that mean that the server mints no more tokens for a session. */
const OVER = new Set<string>(['authentication_invalid', 'resource_not_found'])

/** Sessions of users, and sessions of actors who act as a user. */
export class Sessions {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Lists sessions, newest first.
   *
   * @param query `userId`, `clientId`, `actorSub` (sessions in which this actor acts), `status`; `limit` 1 to 500 (10);
   *   `startingAfter` (the `nextCursor` of a page) or `offset` (0)
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/sessions` (GetSessionList, as at Clerk)
   * @example
   * for await (const { id } of stagedoor.sessions.list({ actorSub: 'user_2OEpK', status: 'active' })) {
   *   await stagedoor.sessions.revoke(id)
   * }
   */
  list(query?: GetSessionListQuery, options?: RequestOptions): List<Session> {
    return this.#http.list<schemas.Session>('/v1/sessions', query, options)
  }

  /**
   * Reads a session. Does not count as use.
   *
   * @param id `sess_…`
   * @throws StagedoorError `resource_not_found`
   * @see `GET /v1/sessions/{id}` (GetSession, as at Clerk)
   * @example
   * const { status, actor, expireAt } = await stagedoor.sessions.get('sess_2f8d')
   */
  get(id: string, options?: RequestOptions): Promise<Session> {
    return this.#http.get<schemas.Session>(path`/v1/sessions/${id}`, undefined, options)
  }

  /**
   * Revokes a session: once the server has answered, no new token is minted for it. A session that has already ended is
   * returned unchanged.
   *
   * @param id `sess_…`
   * @param request `reason` for the audit log
   * @throws StagedoorError `resource_not_found`
   * @see `POST /v1/sessions/{id}/revoke` (RevokeSession, as at Clerk)
   * @example
   * await stagedoor.sessions.revoke('sess_2f8d', { reason: 'done' })
   */
  revoke(id: string, request?: RevokeRequestBody, options?: RequestOptions): Promise<Session> {
    return this.#http.post<schemas.Session>(path`/v1/sessions/${id}/revoke`, request, options)
  }

  /**
   * The kill switch: revokes every session and every pending token of a user, of an actor, or of the whole server. Once the
   * server has answered, no node mints or redeems anything for them, no matter how many there are.
   *
   * @param request exactly one of `userId`, `actorSub`, `everything: true`; `reason` for the audit log
   * @returns `notBefore` (Unix ms): everything created up to then is revoked. `complete` is false if some sessions have not
   *   been marked yet; they are already revoked. `matched` is false if this actor has never had a token or a session;
   *   `similarActorSubs` then has actors that differ only in case, white space or Unicode normalization
   * @throws StagedoorError `resource_not_found` (no such user), `form_param_value_invalid`
   * @see `POST /v1/sessions/revoke_all` (Stagedoor's own)
   * @example
   * const { revokedSessions } = await stagedoor.sessions.revokeAll({ actorSub: 'user_2OEpK', reason: 'laptop stolen' })
   */
  revokeAll(request: RevokeAllSessionsRequestBody, options?: RequestOptions): Promise<Revocation> {
    return this.#http.post<schemas.Revocation>('/v1/sessions/revoke_all', request, options)
  }

  /**
   * Starts a session as the user, without an actor and without a ticket: for tests, on development instances only.
   *
   * @param request `userId`
   * @throws StagedoorError `development_only`, `resource_not_found`, `user_banned`, `user_locked`
   * @see `POST /v1/sessions` (createSession, as at Clerk)
   * @example
   * const session = await stagedoor.sessions.create({ userId: 'user_29w83' })
   */
  create(request: CreateSessionRequestBody, options?: CreateOptions): Promise<Session> {
    return this.#http.create<schemas.Session>('/v1/sessions', request, options)
  }

  /**
   * Returns whether a session is active: it has not ended, and neither its user nor its actor is banned or locked. It does
   * not count as use, so the session still ends at its idle timeout. Use it in a page that polls the status, as the banner
   * does. When a person uses the session, call {@link touch} instead.
   *
   * @param id `sess_…`
   * @throws StagedoorError if the status is unknown, for example without a connection; then treat the session as ended
   * @see `POST /v1/sessions/{id}/tokens`
   * @example
   * const isActive = await stagedoor.sessions.isActive('sess_2f8d')
   */
  isActive(id: string, options?: RequestOptions): Promise<boolean> {
    // Clerk's API has no such member, and no idle timeout that a token would extend.
    return this.#mints(id, this.#http.isClerk ? {} : { countsAsUse: false }, options)
  }

  /**
   * Counts as use of a session, which restarts its idle timeout, and returns whether the session is active. If your app
   * keeps its own session, call this on every request that a person sends while acting. `getToken` also counts as use;
   * `isActive`, `get` and `list` do not.
   *
   * @param id `sess_…`
   * @throws StagedoorError if the status is unknown, for example without a connection; then treat the session as ended
   * @see `POST /v1/sessions/{id}/tokens`
   * @example
   * if (!(await stagedoor.sessions.touch('sess_2f8d'))) console.log('The session has ended.')
   */
  touch(id: string, options?: RequestOptions): Promise<boolean> {
    return this.#mints(id, {}, options)
  }

  /** Whether the server still mints a token for a session. */
  async #mints(id: string, request: CreateSessionTokenRequestBody, options?: RequestOptions): Promise<boolean> {
    try {
      await this.getToken(id, request, options)
      return true
    } catch (error) {
      if (error instanceof StagedoorError && OVER.has(error.code)) return false
      throw error
    }
  }

  /**
   * Mints a session token. This counts as use of the session, unless `countsAsUse` is false. The token has no page (`azp`).
   *
   * @param id `sess_…`
   * @param request `expiresInSeconds`: default 60, at least 30, and never past the end of the session; `countsAsUse`
   * @throws StagedoorError `authentication_invalid` (the session has ended), `resource_not_found`
   * @see `POST /v1/sessions/{id}/tokens` (CreateSessionToken, as at Clerk)
   * @example
   * const { jwt } = await stagedoor.sessions.getToken('sess_2f8d', { expiresInSeconds: 120 })
   */
  getToken(id: string, request?: CreateSessionTokenRequestBody, options?: RequestOptions): Promise<SessionToken>
  /**
   * Mints a token from a JWT template, for another service; without a template, a session token. It counts as use.
   *
   * @param id `sess_…`
   * @param template the name of a JWT template
   * @param expiresInSeconds default: the template's `lifetime`; at least 30, and never past the end of the session
   * @throws StagedoorError `authentication_invalid` (the session has ended), `resource_not_found` (no such session, or no
   *   such template), `request_invalid` (the token would be too large)
   * @see `POST /v1/sessions/{id}/tokens/{template_name}` (CreateSessionTokenFromTemplate, as at Clerk)
   * @example
   * const { jwt } = await stagedoor.sessions.getToken('sess_2f8d', 'supabase')
   */
  getToken(
    id: string,
    template: string | undefined,
    expiresInSeconds?: number,
    options?: RequestOptions,
  ): Promise<SessionToken>
  getToken(
    id: string,
    what?: string | CreateSessionTokenRequestBody,
    more?: number | RequestOptions,
    options = typeof more === 'object' ? more : undefined,
  ): Promise<SessionToken> {
    const tokens = path`/v1/sessions/${id}/tokens`
    const body = typeof what === 'object' ? what : typeof more === 'number' ? { expiresInSeconds: more } : undefined
    const address = typeof what === 'string' ? tokens + path`/${what}` : tokens
    return this.#http.post<schemas.SessionToken>(address, body, options)
  }
}
