import { isIP } from 'node:net'

const YEAR_SECONDS = 31_536_000

/**
 * `__client_uat` tells an app's server when its browser last signed in, 0 for not at all. In development clerk-js writes
 * it; in production Clerk's server does, and so do we. A server that sees a session without it sends pages on a
 * handshake, and takes every other request for signed out.
 * @param page the page asking
 * @param server where the browser sees this server
 * @returns a Set-Cookie value, undefined if the page would not get it
 */
export function clientUatCookie(seconds: number, page: URL, server: URL): string | undefined {
  const domain = page.hostname === server.hostname ? '' : sharedDomain(page.hostname, server.hostname)
  if (domain === undefined) return undefined
  const secure = server.protocol === 'https:' ? '; Secure' : ''
  return `__client_uat=${seconds}; Path=/; Max-Age=${YEAR_SECONDS}; SameSite=Lax${domain && `; Domain=${domain}`}${secure}`
}

/** `example.com` of app.example.com and auth.example.com. If it is everybody's (co.uk), the browser refuses the cookie. */
function sharedDomain(a: string, b: string): string | undefined {
  if (isIP(a) || isIP(b)) return undefined
  const [left, right] = [a, b].map(host => host.split('.').reverse()) as [string[], string[]]
  const end = left.findIndex((label, i) => label !== right[i])
  const shared = end === -1 ? left : left.slice(0, end)
  return shared.length < 2 ? undefined : shared.reverse().join('.')
}
