import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { ApiError } from '../contract/errors.ts'
import type { Caller, Context } from '../domain/context.ts'
import type { SecretKeyRecord } from '../domain/records.ts'
import { authenticateSecretKey } from '../domain/secret-keys.ts'
import type { HeaderReader } from './headers.ts'

const MAX_USER_AGENT = 256

/** Describes the caller from the connection and the headers. Authentication sets the principal later. */
export function callerOf(
  header: HeaderReader,
  incoming: IncomingMessage | undefined,
  trusted: BlockList,
  traceId: string,
): Caller {
  return {
    principal: { type: 'client', id: null },
    address: clientAddress(header, incoming?.socket.remoteAddress, trusted),
    user_agent: header('user-agent')?.slice(0, MAX_USER_AGENT) ?? null,
    trace_id: traceId,
  }
}

/** Returns the client's address. Reads X-Forwarded-For from the right, up to the first address that is not a trusted proxy. */
function clientAddress(header: HeaderReader, remote: string | undefined, trusted: BlockList): string | null {
  let address = plainAddress(remote ?? '')
  if (address === null) return null
  const forwarded =
    header('x-forwarded-for')
      ?.split(',')
      .map(part => plainAddress(part.trim())) ?? []
  while (forwarded.length > 0 && trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) {
    const before = forwarded.pop()
    if (!before) break
    address = before
  }
  return address
}

/** Normalizes an IP address to the form of RFC 5952. All forms of `::ffff:192.0.2.1` become 192.0.2.1. */
export function plainAddress(text: string): string | null {
  const kind = isIP(text)
  if (kind === 0) return null
  if (kind === 4) return text
  const written = URL.parse(`http://[${text}]`)?.hostname.slice(1, -1)
  // A zone (`fe80::1%eth0`) has no place in a URL.
  if (written === undefined) return text.toLowerCase()
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(written) ?? []
  if (high === undefined || low === undefined) return written
  const bytes = [high, low].flatMap(part => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 0xff])
  return bytes.join('.')
}

/** Creates the list of trusted proxies. @param list addresses and networks, such as `10.0.0.0/8` */
export function trustedProxies(list: readonly string[]): BlockList {
  const trusted = new BlockList()
  for (const entry of list) {
    const [address = '', prefix] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) trusted.addAddress(address, family)
    else trusted.addSubnet(address, Number(prefix), family)
  }
  return trusted
}

/**
 * Authenticates the proxy that Clerk's server SDKs run in front of the Frontend API, on the app's own origin. The proxy
 * sends the secret key.
 * @returns the URL at which the browser reaches this server, or undefined if there is no proxy
 * @throws ApiError proxy_request_missing_secret_key, proxy_request_invalid_secret_key, proxy_url_invalid
 */
export async function authenticateProxy(ctx: Context, header: HeaderReader): Promise<string | undefined> {
  const url = header('clerk-proxy-url')
  if (url === undefined) return undefined
  const secret = header('clerk-secret-key')
  if (!secret) throw new ApiError('proxy_request_missing_secret_key')
  await authenticateSecretKey(ctx, secret).catch(error => {
    if (error instanceof ApiError) throw new ApiError('proxy_request_invalid_secret_key')
    throw error
  })
  // This URL is used for forms and scripts, so a scheme like `javascript:` would run in the page.
  const parsed = /^https?:\/\/[^/?#@\\]+(\/[^?#\\]*)?$/i.test(url) ? URL.parse(url) : null
  if (!parsed) throw new ApiError('proxy_url_invalid')
  // With the lookbehind, the expression tries each run of slashes only once, not from every slash in it.
  return parsed.href.replace(/(?<!\/)\/+$/, '')
}

/**
 * Authenticates the secret key of the one Authorization header.
 * @throws ApiError authorization_header_format_invalid, clerk_key_invalid
 */
export async function authenticate(
  ctx: Context,
  header: HeaderReader,
  incoming: IncomingMessage | undefined,
): Promise<SecretKeyRecord> {
  ctx.caller.principal = { type: 'secret_key', id: null }
  const [, secret] = /^Bearer ([\x21-\x7e]+)$/i.exec(header('authorization') ?? '') ?? []
  // Refuse several Authorization headers: Node uses the first one, but a proxy may use the last one.
  const several =
    incoming &&
    incoming.rawHeaders.filter((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization').length > 1
  if (!secret || several) throw new ApiError('authorization_header_format_invalid')
  const key = await authenticateSecretKey(ctx, secret)
  ctx.caller.principal = { type: 'secret_key', id: key.id }
  return key
}
