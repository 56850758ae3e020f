import { isCurrent, readClientClaims } from '../domain/clients.ts'
import type { ClientClaims, Context } from '../domain/context.ts'
import type { AnswerHeaders } from './answer.ts'
import { authenticateProxy } from './caller.ts'
import { type ClientToken, clientCookie, clientHeader } from './client-token.ts'
import { clientUatCookie } from './client-uat.ts'
import type { HeaderReader } from './headers.ts'
import { allowedOrigin, assertSomebodyLooks } from './origin.ts'

/** The browser that asks: from which page, by which way, as which client. */
export interface Browser {
  /** The page asking, if it is one that may. */
  origin: string | undefined
  /** Where the browser sees this server: behind Clerk's proxy that is an address of the app. */
  serverURL: string
  /** How the browser shows which client it is. */
  clientToken: ClientToken
  /** The claims of every client token that it presented and this server signed, in the order of the cookies. */
  presented: readonly ClientClaims[]
  /** Has the app's server told when the client was last changed, in seconds; 0 if nobody is signed in. */
  tellApp(clientUat: number): void
}

/**
 * @param cookies of the answer, beside that of the client
 * @param request.safe it changes nothing
 * @throws ApiError origin_invalid, not_while_prefetching, proxy_request_missing_secret_key, …
 */
export async function askingBrowser(
  ctx: Context,
  header: HeaderReader,
  answer: AnswerHeaders,
  cookies: string[],
  request: { url: string; safe: boolean; allowedOrigins: ReadonlySet<string> },
): Promise<Browser> {
  const { safe } = request
  const proxyURL = await authenticateProxy(ctx, header)
  const serverURL = proxyURL ?? ctx.settings.public_url
  // Under a path, other apps of the same host are not to see the cookie.
  const path = proxyURL === undefined ? new URL(serverURL).pathname : '/'
  const native = isNative(request.url)
  const origin = allowedOrigin(header, request.allowedOrigins, { safe, native })
  if (!safe) assertSomebodyLooks(header)
  const clientToken = native
    ? clientHeader(header, answer)
    : clientCookie(header, answer, { secure: serverURL.startsWith('https:'), path })
  const presented = clientToken.shown.flatMap(token => readClientClaims(ctx, token) ?? [])
  ctx.caller.principal = { type: 'client', id: await clientIdOf(ctx, presented) }
  const tellApp = (clientUat: number) => {
    const cookie = origin !== undefined && !native && clientUatCookie(clientUat, new URL(origin), new URL(serverURL))
    if (cookie) cookies.push(cookie)
  }
  return { origin, serverURL, clientToken, presented, tellApp }
}

/** Another site of the domain may have planted a cookie: of several tokens the first current one names the client. */
async function clientIdOf(ctx: Context, [first, ...more]: readonly ClientClaims[]): Promise<string | null> {
  if (!first) return null
  for (const claims of more.length > 0 ? [first, ...more] : []) {
    const record = await ctx.store.clients.find(claims.id)
    if (record && isCurrent(record, claims)) return claims.id
  }
  return first.id
}

/** Apps without cookies say so in the query, as Clerk's SDKs for them do. */
function isNative(url: string): boolean {
  return url.includes('_is_native=') && ['1', 'true'].includes(new URL(url).searchParams.get('_is_native') ?? '')
}
