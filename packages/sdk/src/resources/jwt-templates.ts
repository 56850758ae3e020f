import { type CreateOptions, type Http, path, type RequestOptions } from '../http.ts'
import type { DeletedObject, JwtTemplate, List } from '../models/components.ts'
import type {
  CreateJwtTemplateRequestBody,
  ListJwtTemplatesQuery,
  UpdateJwtTemplateRequestBody,
} from '../models/operations.ts'
import type * as schemas from '../models/schemas.ts'

/** Templates of tokens for other services. `sessions.getToken(id, name)` mints such a token. */
export class JwtTemplates {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Lists JWT templates, newest first.
   *
   * @param query `limit` 1 to 500 (10); `startingAfter` (the `nextCursor` of a page) or `offset` (0)
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/jwt_templates` (ListJWTTemplates, as at Clerk)
   * @example
   * const { data, totalCount } = await stagedoor.jwtTemplates.list({ limit: 100 })
   */
  list(query?: ListJwtTemplatesQuery, options?: RequestOptions): List<JwtTemplate> {
    return this.#http.list<schemas.JWTTemplate>('/v1/jwt_templates', query, options)
  }

  /**
   * Reads a JWT template.
   *
   * @param id `jtmp_…`
   * @throws StagedoorError `resource_not_found`
   * @see `GET /v1/jwt_templates/{id}` (GetJWTTemplate, as at Clerk)
   * @example
   * const { name, claims } = await stagedoor.jwtTemplates.get('jtmp_2f8d')
   */
  get(id: string, options?: RequestOptions): Promise<JwtTemplate> {
    return this.#http.get<schemas.JWTTemplate>(path`/v1/jwt_templates/${id}`, undefined, options)
  }

  /**
   * Creates a JWT template.
   *
   * @param request `name`, unique; `claims`, any JSON object, with shortcodes like `{{user.id}}` in its strings;
   *   `lifetime` (60) and `allowedClockSkew` (5) in seconds
   * @throws StagedoorError `form_param_value_invalid` (for example an unknown shortcode), `jwt_template_reserved_claim`,
   *   `form_identifier_exists` (the name is taken)
   * @see `POST /v1/jwt_templates` (CreateJWTTemplate, as at Clerk)
   * @example
   * await stagedoor.jwtTemplates.create({ name: 'supabase', claims: { role: 'authenticated', act: '{{session.actor}}' } })
   */
  create(request: CreateJwtTemplateRequestBody, options?: CreateOptions): Promise<JwtTemplate> {
    return this.#http.create<schemas.JWTTemplate>('/v1/jwt_templates', request, options)
  }

  /**
   * Changes a JWT template. Omitted members keep their values. Tokens that are already minted do not change.
   *
   * @param id `jtmp_…`
   * @param request as for {@link create}
   * @throws StagedoorError `resource_not_found`, and as {@link create}
   * @see `PATCH /v1/jwt_templates/{id}` (UpdateJWTTemplate, as at Clerk)
   * @example
   * await stagedoor.jwtTemplates.update('jtmp_2f8d', { lifetime: 300 })
   */
  update(id: string, request: UpdateJwtTemplateRequestBody, options?: RequestOptions): Promise<JwtTemplate> {
    return this.#http.patch<schemas.JWTTemplate>(path`/v1/jwt_templates/${id}`, request, options)
  }

  /**
   * Deletes a JWT template. Tokens that are already minted stay valid until they expire.
   *
   * @param id `jtmp_…`
   * @throws StagedoorError `resource_not_found`
   * @see `DELETE /v1/jwt_templates/{id}` (DeleteJWTTemplate, as at Clerk)
   * @example
   * await stagedoor.jwtTemplates.delete('jtmp_2f8d')
   */
  delete(id: string, options?: RequestOptions): Promise<DeletedObject> {
    return this.#http.delete<schemas.DeletedObject>(path`/v1/jwt_templates/${id}`, options)
  }
}
