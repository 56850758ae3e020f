import { isIP } from 'node:net'
import { ApiError } from '../../contract/errors.ts'
import { findCurrentClient, readClientClaims } from '../../domain/clients.ts'
import type { ClientClaims, Context } from '../../domain/context.ts'
import { authenticateSecretKey, mayCall, rightsOf } from '../../domain/secret-keys.ts'
import type { AnswerHeaders } from '../answer.ts'
import type { Browser, ClientToken } from '../browser/browser.ts'
import { allowedOrigin, rejectPrefetch } from '../browser/origin.ts'
import type { Call } from '../call.ts'
import type { HeaderReader } from '../caller.ts'

/** Browsers keep a cookie for at most 400 days. */
const MAX_AGE_SECONDS = 34_560_000
const YEAR_SECONDS = 31_536_000
/** A proxy passes on the sessions of browsers. */
const PROXYING = { rights: ['act'] } as const

/**
 * Identifies the browser that sent a request, by the client token in its cookie or, for apps without cookies, in its
 * Authorization header. The rules decide what an unknown browser may do.
 * @throws ApiError origin_invalid, not_while_prefetching, too_many_requests, proxy_request_missing_secret_key, …
 */
export async function authenticateClient(call: Call): Promise<Browser> {
  const { operation, ctx, header, headers, cookies, limits } = call
  limits.countAddress('address', ctx.caller.network, headers)
  if (operation.rateLimit === 'redeem') limits.countAddress('redeem', ctx.caller.network, headers)
  const proxyURL = await authenticateProxy(ctx, header)
  const serverURL = proxyURL ?? ctx.settings.public_url
  // If the server is under a path, other apps of the same host must not see the cookie.
  const path = proxyURL === undefined ? new URL(serverURL).pathname : '/'
  const native = isNative(call.url)
  const safe = operation.method === 'get'
  const origin = allowedOrigin(header, call.allowedOrigins, { safe, native })
  if (!safe) rejectPrefetch(header)
  const clientToken = native
    ? clientHeader(header, headers)
    : clientCookie(header, headers, { secure: serverURL.startsWith('https:'), path })
  const presented = clientToken.presented.flatMap(token => readClientClaims(ctx, token) ?? [])
  ctx.caller.principal = { type: 'client', id: await clientIdOf(ctx, presented) }
  const setClientUat = (clientUat: number) => {
    const cookie = origin !== undefined && !native && clientUatCookie(clientUat, new URL(origin), new URL(serverURL))
    if (cookie) cookies.push(cookie)
  }
  return { origin, serverURL, clientToken, presented, setClientUat }
}

/** Returns the client id of the first current token. There may be several, because another site of the domain can set a cookie. */
async function clientIdOf(ctx: Context, presented: readonly ClientClaims[]): Promise<string | null> {
  const [first, second] = presented
  const client = second && (await findCurrentClient(ctx, presented))
  return client?.id ?? first?.id ?? null
}

/** Whether this is an app without cookies. Clerk's SDKs for such apps send `_is_native` in the query. */
function isNative(url: string): boolean {
  return url.includes('_is_native=') && ['1', 'true'].includes(new URL(url).searchParams.get('_is_native') ?? '')
}

/**
 * Authenticates the proxy that Clerk's server SDKs run in front of the Frontend API, on the app's own origin. The proxy
 * sends the secret key, which needs the right to act.
 * @returns the URL at which the browser reaches this server, or undefined if there is no proxy
 * @throws ApiError proxy_request_missing_secret_key, proxy_request_invalid_secret_key, proxy_url_invalid
 */
async function authenticateProxy(ctx: Context, header: HeaderReader): Promise<string | undefined> {
  const url = header('clerk-proxy-url')
  if (url === undefined) return undefined
  const secret = header('clerk-secret-key')
  if (!secret) throw new ApiError('proxy_request_missing_secret_key')
  const key = await authenticateSecretKey(ctx, secret).catch(error => {
    if (error instanceof ApiError) throw new ApiError('proxy_request_invalid_secret_key')
    throw error
  })
  if (!mayCall(PROXYING, rightsOf(key))) throw new ApiError('proxy_request_invalid_secret_key')
  // This URL is used for forms and scripts, so a scheme like `javascript:` would run in the page.
  const parsed = /^https?:\/\/[^/?#@\\]+(\/[^?#\\]*)?$/i.test(url) ? URL.parse(url) : null
  if (!parsed) throw new ApiError('proxy_url_invalid')
  // With the lookbehind, the expression tries each run of slashes only once, not from every slash in it.
  return parsed.href.replace(/(?<!\/)\/+$/, '')
}

/** Uses the `__client` cookie. Scripts cannot read it, and requests of other sites do not send it, except for navigation. */
function clientCookie(
  header: HeaderReader,
  answer: AnswerHeaders,
  { secure, path }: { secure: boolean; path: string },
): ClientToken {
  const set = (value: string, maxAge: number) => {
    answer['set-cookie'] =
      `__client=${value}; Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  }
  return {
    kind: 'cookie',
    presented: (header('cookie') ?? '')
      .split(';')
      .map(pair => pair.trim())
      .filter(pair => pair.startsWith('__client='))
      .map(pair => pair.slice('__client='.length)),
    keep: token => set(token, MAX_AGE_SECONDS),
    forget: () => set('', 0),
  }
}

/** For apps without cookies (`_is_native=1`): the token is in the Authorization header of request and answer. Cookies are ignored. */
function clientHeader(header: HeaderReader, answer: AnswerHeaders): ClientToken {
  const token = header('authorization')
  return {
    kind: 'header',
    presented: token ? [token] : [],
    keep: kept => {
      answer.authorization = kept
    },
    forget: () => {
      answer.authorization = ''
    },
  }
}

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
