import { getConsoleMe } from '../../contract/console.ts'
import { ApiError } from '../../contract/errors.ts'
import type { Operation } from '../../contract/operation.ts'
import type { Context, Settings } from '../../domain/context.ts'
import { authenticateOperator } from '../../domain/operator-sessions.ts'
import { assertRole } from '../../domain/operators.ts'
import type { Call } from '../call.ts'
import type { HeaderReader } from '../caller.ts'
import { cookiesNamed } from '../console/cookies.ts'

/** The guard of the console: who may send requests to `/console`, and with which session. docs/decisions/0026-console-guard.md says why. */

/** Cookie of an operator's session. The prefix keeps other hosts and pages without HTTPS from setting it (RFC 6265bis §4.1.3). */
export const SESSION_COOKIE = '__Host-stagedoor_operator'

/**
 * Checks that a page of the console itself sent the request. `SameSite` does not: another port or sub-domain is the same
 * site, and its requests carry the cookie.
 * @throws ApiError console_request_invalid, unsupported_content_type
 */
export function assertFromConsole(
  { console_url: origin, console_checks_host }: Settings,
  header: HeaderReader,
  url: string,
  { method, bodyType }: Pick<Operation, 'method' | 'bodyType'>,
): void {
  const invalid = () => new ApiError('console_request_invalid', { params: { url: `${origin}/console` } })
  if (console_checks_host && hostOf(header, url) !== new URL(origin).host) throw invalid()
  const site = header('sec-fetch-site')
  const from = header('origin')
  if (site === undefined ? from !== origin : site !== 'same-origin') throw invalid()
  if (method === 'get') {
    if (from !== undefined && from !== origin) throw invalid()
    return
  }
  if (from !== origin) throw invalid()
  // A form of another page could not send JSON without a preflight, which nobody answers here.
  const expected = bodyType === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'
  const actual = header('content-type') ?? ''
  if (actual.toLowerCase().split(';')[0]?.trim() !== expected)
    throw new ApiError('unsupported_content_type', { params: { actual: actual || '(none)', expected } })
}

/** Returns the host to which a request was sent. */
export function hostOf(header: HeaderReader, url: string): string {
  return (header('host') ?? new URL(url).host).toLowerCase()
}

/** Returns the secret of the operator's session. Several different ones are none. */
export function sessionSecret(header: HeaderReader): string | undefined {
  const [secret, ...others] = cookiesNamed(header, SESSION_COOKIE)
  return others.length === 0 ? secret : undefined
}

/**
 * Authenticates an operator of the console, and checks that the operator's role may call the operation.
 * @throws ApiError console_request_invalid, unsupported_content_type, operator_session_invalid, operator_not_allowed,
 *   too_many_requests
 */
export async function authenticateConsole(call: Call): Promise<undefined> {
  const { operation, ctx, url, header, headers, limits } = call
  ctx.caller.principal = { type: 'operator', id: null }
  assertFromConsole(ctx.settings, header, url, operation)
  const operator = await authenticateOperator(ctx, sessionSecret(header), !operation.stream).catch(async error => {
    throw operation.id === getConsoleMe.id ? await withWayIn(ctx, error) : error
  })
  if (!operation.neverShed) limits.countOperator(operator.id, headers)
  assertRole(operation, operator.role)
}

/** Adds how operators sign in, for the sign-in page: it has no session, and asks for it. */
async function withWayIn({ settings, store }: Context, error: unknown): Promise<unknown> {
  if (!(error instanceof ApiError) || error.code !== 'operator_session_invalid') return error
  const { idp_host } = settings
  const sign_in = idp_host !== null ? 'provider' : (await store.operators.exist()) ? 'passkey' : 'none'
  return new ApiError(error.code, { meta: { sign_in, idp_host } })
}

/** Checks a request of a page of the console that needs no session. @throws ApiError as `assertFromConsole`, and too_many_requests */
export async function authenticatePage(call: Call): Promise<undefined> {
  const { operation, ctx, url, header, headers, limits } = call
  ctx.caller.principal = { type: 'operator', id: null }
  limits.countAddress(operation.rateLimit ?? 'address', ctx.caller.network, headers)
  assertFromConsole(ctx.settings, header, url, operation)
}
