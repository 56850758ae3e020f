import { isIP } from 'node:net'

const YEAR_SECONDS = 31_536_000

/**
 * Creates the `__client_uat` cookie. It tells an app's server when its browser last signed in; 0 means signed out. In
 * development clerk-js writes it. In production Clerk's server writes it, and so does Stagedoor. If an app's server sees a
 * session without this cookie, it starts a handshake for pages, and treats every other request as signed out.
 * @param page the page that sent the request
 * @param server the URL at which the browser reaches this server
 * @returns a Set-Cookie value, or undefined if the page's domain cannot get the cookie
 */
export function clientUatCookie(seconds: number, page: URL, server: URL): string | undefined {
  const domain = page.hostname === server.hostname ? '' : sharedDomain(page.hostname, server.hostname)
  if (domain === undefined) return undefined
  const secure = server.protocol === 'https:' ? '; Secure' : ''
  return `__client_uat=${seconds}; Path=/; Max-Age=${YEAR_SECONDS}; SameSite=Lax${domain && `; Domain=${domain}`}${secure}`
}

/** Returns the shared domain: `example.com` for app.example.com and auth.example.com. Browsers refuse cookies for public suffixes (co.uk). */
function sharedDomain(a: string, b: string): string | undefined {
  if (isIP(a) || isIP(b)) return undefined
  const [left, right] = [a, b].map(host => host.split('.').reverse()) as [string[], string[]]
  const end = left.findIndex((label, i) => label !== right[i])
  const shared = end === -1 ? left : left.slice(0, end)
  return shared.length < 2 ? undefined : shared.reverse().join('.')
}
