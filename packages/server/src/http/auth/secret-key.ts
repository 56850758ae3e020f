import { ApiError } from '../../contract/errors.ts'
import { assertMayCall, authenticateSecretKey, rightsOf } from '../../domain/secret-keys.ts'
import type { Call } from '../call.ts'

/**
 * Authenticates a server by the secret key in its one Authorization header. Some operations need none if a setting says
 * so.
 * @throws ApiError authorization_header_format_invalid, clerk_key_invalid, key_not_allowed, too_many_requests,
 *   api_version_invalid
 */
export async function authenticateKey({ operation, ctx, url, header, incoming, headers, limits }: Call) {
  if (operation.publicIf && ctx.settings[operation.publicIf] && header('authorization') === undefined) {
    ctx.caller.principal = { type: 'client', id: null }
    limits.countAddress('address', ctx.caller.network, headers)
    return undefined
  }
  ctx.caller.principal = { type: 'secret_key', id: null }
  if (header('clerk-api-version') !== undefined && namesApiVersion(url)) throw new ApiError('api_version_invalid')
  const authorization = header('authorization') ?? ''
  const [, secret] = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization) ?? []
  // Refuse several Authorization headers: Node uses the first one, but a proxy may use the last one.
  const several =
    incoming &&
    incoming.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length > 1
  if (!secret || several) throw new ApiError('authorization_header_format_invalid')
  const key = await authenticateSecretKey(ctx, secret)
  ctx.caller.principal = { type: 'secret_key', id: key.id }
  ctx.caller.key_name = key.name
  ctx.caller.rights = rightsOf(key)
  if (!operation.neverShed) limits.countKey(key.id, authorization, ctx.caller.network, headers)
  assertMayCall(operation, key)
  return undefined
}

/** Whether the query has an API version too. It could be another one than the header's. */
function namesApiVersion(url: string): boolean {
  return url.includes('__clerk_api_version') && new URL(url).searchParams.has('__clerk_api_version')
}
