import { StagedoorError } from '../errors.ts'
import { type CreateOptions, type Http, path, type RequestOptions } from '../http.ts'
import type { DeletedObject, List, User } from '../models/components.ts'
import type {
  CreateUserRequestBody,
  GetUserListQuery,
  GetUsersCountQuery,
  UpdateUserMetadataRequestBody,
  UpdateUserRequestBody,
} from '../models/operations.ts'
import type * as schemas from '../models/schemas.ts'

/** The users of your app, as whom actors can act. */
export class Users {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Creates a user. Stagedoor stores no passwords: your own login stays as it is.
   *
   * @param request all optional: `externalId` (your own id of the user, unique), `emailAddress` and `phoneNumber`
   *   (lists), `username`, `firstName`, `lastName`, `publicMetadata`, `privateMetadata`, `unsafeMetadata`, …
   * @throws StagedoorError `form_identifier_exists`, `form_param_value_invalid`, `form_param_type_invalid`
   * @see `POST /v1/users` (CreateUser, as at Clerk)
   * @example
   * const user = await stagedoor.users.create({ externalId: 'customer-17', emailAddress: ['ada@example.com'] })
   */
  create(request: CreateUserRequestBody = {}, options?: CreateOptions): Promise<User> {
    return this.#http.create<schemas.User>('/v1/users', request, options)
  }

  /**
   * Reads a user.
   *
   * @param id `user_…`
   * @throws StagedoorError `resource_not_found`
   * @see `GET /v1/users/{id}` (GetUser, as at Clerk)
   * @example
   * const { emailAddresses } = await stagedoor.users.get('user_29w83')
   */
  get(id: string, options?: RequestOptions): Promise<User> {
    return this.#http.get<schemas.User>(path`/v1/users/${id}`, undefined, options)
  }

  /**
   * Lists users, newest first by default (`orderBy`): one page if awaited, every user with `for await`.
   *
   * @param query lists of `userId`, `emailAddress`, `phoneNumber`, `externalId`, `username`; `query`, part of an id, a
   *   name or an address; times in Unix milliseconds; `orderBy` (`-created_at`); `limit` 1 to 500 (10);
   *   `startingAfter` (the `nextCursor` of a page) or `offset` (0)
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/users` (GetUserList, as at Clerk)
   * @example
   * const { data: [user] } = await stagedoor.users.list({ externalId: ['customer-17'] })
   * for await (const { id } of stagedoor.users.list({ banned: true })) console.log(id)
   */
  list(query?: GetUserListQuery, options?: RequestOptions): List<User> {
    return this.#http.list<schemas.User>('/v1/users', query, options, { count: '/v1/users/count', movable: true })
  }

  /**
   * Finds the user with your own id of them. Creates the user if there is none yet.
   *
   * @param request as for {@link create}; `externalId` is required
   * @throws StagedoorError `form_identifier_exists` (for example if another user has the e-mail address)
   * @see `GET /v1/users`, `POST /v1/users`
   * @example
   * const { id } = await stagedoor.users.findOrCreate({ externalId: 'customer_7', emailAddress: ['ada@example.com'] })
   */
  async findOrCreate(request: CreateUserRequestBody & { externalId: string }, options?: RequestOptions): Promise<User> {
    const find = async () => {
      const { data } = await this.list({ externalId: [request.externalId] }, options)
      return data.find(user => user.externalId === request.externalId) ?? data[0]
    }
    const known = await find()
    if (known) return known
    try {
      return await this.create(request, options)
    } catch (error) {
      // Another request has created the user since.
      const other = error instanceof StagedoorError && error.code === 'form_identifier_exists' && (await find())
      if (other) return other
      throw error
    }
  }

  /**
   * Counts users.
   *
   * @param query the filters of {@link list}
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/users/count` (GetUsersCount, as at Clerk)
   * @example
   * const banned = await stagedoor.users.count({ banned: true })
   */
  async count(query?: GetUsersCountQuery, options?: RequestOptions): Promise<number> {
    return (await this.#http.get<schemas.TotalCount>('/v1/users/count', query, options)).totalCount
  }

  /**
   * Changes a user. Omitted members keep their values; null clears a member.
   *
   * @param id `user_…`
   * @param request as for {@link create}, and `primaryEmailAddressId`, `primaryPhoneNumberId`. Metadata in this request
   *   replaces the stored metadata; {@link updateMetadata} merges
   * @throws StagedoorError `resource_not_found`, `form_identifier_exists`, `form_param_value_invalid`
   * @see `PATCH /v1/users/{id}` (UpdateUser, as at Clerk)
   * @example
   * await stagedoor.users.update('user_29w83', { firstName: 'Ada', locale: null })
   */
  update(id: string, request: UpdateUserRequestBody, options?: RequestOptions): Promise<User> {
    return this.#http.patch<schemas.User>(path`/v1/users/${id}`, request, options)
  }

  /**
   * Merges into a user's metadata, deeply. A member that is null in the request is removed (RFC 7396).
   *
   * @param id `user_…`
   * @param request `publicMetadata`, `privateMetadata`, `unsafeMetadata`: JSON objects
   * @throws StagedoorError `resource_not_found`, `form_param_type_invalid`
   * @see `PATCH /v1/users/{id}/metadata` (UpdateUserMetadata, as at Clerk)
   * @example
   * await stagedoor.users.updateMetadata('user_29w83', { publicMetadata: { plan: 'pro', trial_ends: null } })
   */
  updateMetadata(id: string, request: UpdateUserMetadataRequestBody, options?: RequestOptions): Promise<User> {
    return this.#http.patch<schemas.User>(path`/v1/users/${id}/metadata`, request, options)
  }

  /**
   * Deletes a user. Revokes the user's sessions and pending tokens, and those in which the user is the actor.
   *
   * @param id `user_…`
   * @throws StagedoorError `resource_not_found`
   * @see `DELETE /v1/users/{id}` (DeleteUser, as at Clerk)
   * @example
   * await stagedoor.users.delete('user_29w83')
   */
  delete(id: string, options?: RequestOptions): Promise<DeletedObject> {
    return this.#http.delete<schemas.DeletedObject>(path`/v1/users/${id}`, options)
  }

  /**
   * Bans a user. Revokes the user's sessions and pending tokens, and those in which the user is the actor.
   *
   * @param id `user_…`
   * @throws StagedoorError `resource_not_found`
   * @see `POST /v1/users/{id}/ban` (BanUser, as at Clerk)
   * @example
   * await stagedoor.users.ban('user_29w83')
   */
  ban(id: string, options?: RequestOptions): Promise<User> {
    return this.#http.post<schemas.User>(path`/v1/users/${id}/ban`, undefined, options)
  }

  /**
   * Lifts a ban. What the ban revoked stays revoked.
   *
   * @param id `user_…`
   * @throws StagedoorError `resource_not_found`
   * @see `POST /v1/users/{id}/unban` (UnbanUser, as at Clerk)
   * @example
   * await stagedoor.users.unban('user_29w83')
   */
  unban(id: string, options?: RequestOptions): Promise<User> {
    return this.#http.post<schemas.User>(path`/v1/users/${id}/unban`, undefined, options)
  }

  /**
   * Locks a user: until {@link unlock}, no session can be started as the user and no session token is minted.
   *
   * @param id `user_…`
   * @throws StagedoorError `resource_not_found`
   * @see `POST /v1/users/{id}/lock` (LockUser, as at Clerk)
   * @example
   * await stagedoor.users.lock('user_29w83')
   */
  lock(id: string, options?: RequestOptions): Promise<User> {
    return this.#http.post<schemas.User>(path`/v1/users/${id}/lock`, undefined, options)
  }

  /**
   * Unlocks a user. Sessions that have not ended since can be used again.
   *
   * @param id `user_…`
   * @throws StagedoorError `resource_not_found`
   * @see `POST /v1/users/{id}/unlock` (UnlockUser, as at Clerk)
   * @example
   * await stagedoor.users.unlock('user_29w83')
   */
  unlock(id: string, options?: RequestOptions): Promise<User> {
    return this.#http.post<schemas.User>(path`/v1/users/${id}/unlock`, undefined, options)
  }
}
