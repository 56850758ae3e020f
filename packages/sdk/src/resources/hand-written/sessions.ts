/** Methods of `Sessions` that mint tokens. `npm run generate` adds each exported function to the class. */
import { StagedoorError } from '../../errors.ts'
import { type Http, path, type RequestOptions } from '../../http.ts'
import type { SessionToken } from '../../models/components.ts'
import type { CreateSessionTokenRequestBody } from '../../models/operations.ts'

/** Error codes that mean that the server mints no more tokens for a session. */
const OVER = new Set<string>(['authentication_invalid', 'resource_not_found'])

/** For requests whose token is not used. */
const UNDERSTANDS: CreateSessionTokenRequestBody = { understands: ['scope'] }

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
export function isActive(http: Http, id: string, options?: RequestOptions): Promise<boolean> {
  // Clerk's API has no such member, and no idle timeout that a token would extend.
  return canMint(http, id, http.isClerk ? {} : { countsAsUse: false, ...UNDERSTANDS }, options)
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
export function touch(http: Http, id: string, options?: RequestOptions): Promise<boolean> {
  return canMint(http, id, http.isClerk ? {} : UNDERSTANDS, options)
}

/**
 * Mints a session token. This counts as use of the session, unless `countsAsUse` is false. The token has no page (`azp`).
 *
 * @param id `sess_…`
 * @param request `expiresInSeconds`: default 60, at least 30, and never past the end of the session; `countsAsUse`;
 *   `understands`: `['scope']` if your app enforces the limits of the session, without which a limited one gets no token
 * @throws StagedoorError `authentication_invalid` (the session has ended), `resource_not_found`, `scope_not_understood`
 * @see `POST /v1/sessions/{id}/tokens` (CreateSessionToken, as at Clerk)
 * @example
 * const { jwt } = await stagedoor.sessions.getToken('sess_2f8d', { expiresInSeconds: 120 })
 */
export function getToken(
  http: Http,
  id: string,
  request?: CreateSessionTokenRequestBody,
  options?: RequestOptions,
): Promise<SessionToken>
/**
 * Mints a token from a JWT template, for another service; without a template, a session token. It counts as use.
 *
 * @param id `sess_…`
 * @param template the name of a JWT template
 * @param expiresInSeconds default: the template's `lifetime`; at least 30, and never past the end of the session. Or a request,
 *   as without a template
 * @throws StagedoorError `authentication_invalid` (the session has ended), `resource_not_found` (no such session, or no
 *   such template), `request_invalid` (the token would be too large)
 * @see `POST /v1/sessions/{id}/tokens/{template_name}` (CreateSessionTokenFromTemplate, as at Clerk)
 * @example
 * const { jwt } = await stagedoor.sessions.getToken('sess_2f8d', 'supabase')
 */
export function getToken(
  http: Http,
  id: string,
  template: string | undefined,
  expiresInSeconds?: number | CreateSessionTokenRequestBody,
  options?: RequestOptions,
): Promise<SessionToken>
export function getToken(
  http: Http,
  id: string,
  what?: string | CreateSessionTokenRequestBody,
  more?: number | CreateSessionTokenRequestBody | RequestOptions,
  last?: RequestOptions,
): Promise<SessionToken> {
  const tokens = path`/v1/sessions/${id}/tokens`
  const isTemplate = typeof what === 'string'
  const request = isTemplate ? more : what
  const body = typeof more === 'number' ? { expiresInSeconds: more } : typeof request === 'object' ? request : undefined
  const options = last ?? (!isTemplate && typeof more === 'object' ? (more as RequestOptions) : undefined)
  return http.post<SessionToken>(isTemplate ? tokens + path`/${what}` : tokens, body, options)
}

/** Returns whether the server still mints a token for a session. */
async function canMint(
  http: Http,
  id: string,
  request: CreateSessionTokenRequestBody,
  options?: RequestOptions,
): Promise<boolean> {
  try {
    await getToken(http, id, request, options)
    return true
  } catch (error) {
    if (error instanceof StagedoorError && OVER.has(error.code)) return false
    throw error
  }
}
