import { isCurrent, readClientClaims } from '../../domain/clients.ts'
import type { ClientClaims, Context } from '../../domain/context.ts'
import type { AnswerHeaders } from '../answer.ts'
import { authenticateProxy } from '../caller.ts'
import type { HeaderReader } from '../headers.ts'
import { type ClientToken, clientCookie, clientHeader } from './client-token.ts'
import { clientUatCookie } from './client-uat.ts'
import { allowedOrigin, rejectPrefetch } from './origin.ts'

/** The browser that sent a request: its page, its route to this server, and its client. */
export interface Browser {
  /** Origin of the page that sent the request, if it is an allowed one. */
  origin: string | undefined
  /** URL at which the browser reaches this server. Behind Clerk's proxy, it is an address of the app. */
  serverURL: string
  /** How the browser presents its client token. */
  clientToken: ClientToken
  /** The claims of every presented client token that this server signed, in the order of the cookies. */
  presented: readonly ClientClaims[]
  /** Sets the cookie that tells the app's server when the client last changed, in seconds; 0 means signed out. */
  setClientUat(clientUat: number): void
}

/**
 * Identifies the browser that sent a request.
 * @param cookies receives further cookies of the answer, in addition to the client's
 * @param request.safe whether the request changes nothing
 * @throws ApiError origin_invalid, not_while_prefetching, proxy_request_missing_secret_key, …
 */
export async function identifyBrowser(
  ctx: Context,
  header: HeaderReader,
  answer: AnswerHeaders,
  cookies: string[],
  request: { url: string; safe: boolean; allowedOrigins: ReadonlySet<string> },
): Promise<Browser> {
  const { safe } = request
  const proxyURL = await authenticateProxy(ctx, header)
  const serverURL = proxyURL ?? ctx.settings.public_url
  // If the server is under a path, other apps of the same host must not see the cookie.
  const path = proxyURL === undefined ? new URL(serverURL).pathname : '/'
  const native = isNative(request.url)
  const origin = allowedOrigin(header, request.allowedOrigins, { safe, native })
  if (!safe) rejectPrefetch(header)
  const clientToken = native
    ? clientHeader(header, answer)
    : clientCookie(header, answer, { secure: serverURL.startsWith('https:'), path })
  const presented = clientToken.shown.flatMap(token => readClientClaims(ctx, token) ?? [])
  ctx.caller.principal = { type: 'client', id: await clientIdOf(ctx, presented) }
  const setClientUat = (clientUat: number) => {
    const cookie = origin !== undefined && !native && clientUatCookie(clientUat, new URL(origin), new URL(serverURL))
    if (cookie) cookies.push(cookie)
  }
  return { origin, serverURL, clientToken, presented, setClientUat }
}

/** Returns the client id of the first current token. There may be several, because another site of the domain can set a cookie. */
async function clientIdOf(ctx: Context, [first, ...more]: readonly ClientClaims[]): Promise<string | null> {
  if (!first) return null
  for (const claims of more.length > 0 ? [first, ...more] : []) {
    const record = await ctx.store.clients.find(claims.id)
    if (record && isCurrent(record, claims)) return claims.id
  }
  return first.id
}

/** Whether this is an app without cookies. Clerk's SDKs for such apps send `_is_native` in the query. */
function isNative(url: string): boolean {
  return url.includes('_is_native=') && ['1', 'true'].includes(new URL(url).searchParams.get('_is_native') ?? '')
}
