import { getHandshakePayload } from '../../contract/clients.ts'
import { ApiError } from '../../contract/errors.ts'
import { handshakeClient } from '../../contract/frontend-client.ts'
import { currentClient } from '../../domain/clients.ts'
import {
  handshakeDirectives,
  handshakeToken,
  NONCE_COOKIE,
  readHandshake,
  startHandshake,
} from '../../domain/handshakes.ts'
import { clientUatCookie } from '../auth/client.ts'
import { allowedRedirect } from '../browser/redirect.ts'
import type { HeaderReader } from '../caller.ts'
import { type Http, mount } from '../mount.ts'

export function mountHandshake(http: Http): void {
  mount(http, handshakeClient, async (ctx, { query, browser: { presented, serverURL }, header, headers }) => {
    assertNavigation(header)
    const back = allowedRedirect(query.redirect_url, http.options.allowedOrigins)
    const claims = await startHandshake(ctx, {
      client: await currentClient(ctx, presented),
      redirect: back,
      key: keyOf(query.__clerk_hs_reason, query.__clerk_db_jwt),
      dev_browser: /^[\w.-]{1,200}$/.test(query.__clerk_db_jwt ?? '') ? query.__clerk_db_jwt : undefined,
    })
    if (query.format === 'token') {
      back.searchParams.set('__clerk_handshake', await handshakeToken(ctx, claims))
    } else if (claims.key === 'live' && back.hostname === new URL(serverURL).hostname) {
      // Use a cookie: a production app does not remove the nonce from its URL, so a reload would send an old nonce.
      const secure = claims.azp.startsWith('https:') ? '; Secure' : ''
      headers['set-cookie'] =
        `${NONCE_COOKIE}=${ctx.signing.handshakeNonce(claims)}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax${secure}`
    } else {
      back.searchParams.set('__clerk_handshake_nonce', ctx.signing.handshakeNonce(claims))
    }
    // If both are on one domain, that domain also has this server's cookie, which must agree with the app's own.
    const cookie =
      back.hostname !== new URL(serverURL).hostname && clientUatCookie(claims.uat, back, new URL(serverURL))
    if (cookie) headers['set-cookie'] = cookie
    headers.location = back.href
    return null
  })

  mount(http, getHandshakePayload, async (ctx, { query }) => ({
    directives: await handshakeDirectives(ctx, readHandshake(ctx, query.nonce)),
  }))
}

/** Refuses requests of a script or an image, if the browser sends `Sec-Fetch-Dest`: the redirect has a session in its URL. */
function assertNavigation(header: HeaderReader): void {
  const loads = header('sec-fetch-dest')
  if (loads !== undefined && !['document', 'iframe', 'frame'].includes(loads)) throw new ApiError('navigation_required')
}

/** Returns the app's kind of key. Apps with a `pk_test_` key also use a browser id, which shows in the request; apps with `pk_live_` have none. */
function keyOf(reason: string | undefined, devBrowser: string | undefined): 'test' | 'live' {
  return devBrowser !== undefined || reason?.startsWith('dev-browser') ? 'test' : 'live'
}
