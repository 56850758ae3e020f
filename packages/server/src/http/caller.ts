import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import type { Caller } from '../domain/context.ts'

/** Reads one header of a request, by its lower-case name. */
export type HeaderReader = (name: string) => string | undefined

/** Creates a reader of a request's headers. It reads Node's parsed headers if possible, because building the Fetch headers costs time. */
export function headerReader(request: Request, incoming: IncomingMessage | undefined): HeaderReader {
  if (!incoming) return name => request.headers.get(name) ?? undefined
  const { headers } = incoming
  return name => {
    const value = headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
}

const MAX_USER_AGENT = 256

/** Describes the caller from the connection and the headers. Authentication sets the principal later. */
export function callerOf(
  header: HeaderReader,
  incoming: IncomingMessage | undefined,
  trusted: BlockList,
  traceId: string,
): Caller {
  const address = clientAddress(header, incoming?.socket.remoteAddress, trusted)
  return {
    principal: { type: 'client', id: null },
    address,
    network: address === null ? null : networkOf(address),
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

/** Returns a body whose `ip`, if it has one, has the form of `plainAddress`. */
export function withPlainAddress<T extends { ip?: string | undefined }>(body: T): T {
  return body.ip === undefined ? body : { ...body, ip: plainAddress(body.ip) ?? undefined }
}

/**
 * Returns the network that an address counts for: an IPv6 address counts as its /64, which one household or server
 * owns.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  return `${[...left, ...Array<string>(zeros).fill('0'), ...right].slice(0, 4).join(':')}::/64`
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
