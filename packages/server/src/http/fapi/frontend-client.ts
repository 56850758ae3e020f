import { ApiError } from '../../contract/errors.ts'
import * as contract from '../../contract/frontend-client.ts'
import { acceptTicket } from '../../domain/actor-tokens.ts'
import { anonymousClientToken, type ClientWithSessions, currentClient, withSessions } from '../../domain/clients.ts'
import type { Context } from '../../domain/context.ts'
import { statedReason } from '../../domain/policy.ts'
import type { ClientRecord, SessionRecord } from '../../domain/records.ts'
import {
  getOwnSession,
  leaveAllSessions,
  leaveSession,
  mintIfUsable,
  mintSessionToken,
  touchSession,
} from '../../domain/sessions.ts'
import type { Browser } from '../browser/browser.ts'
import { isPrefetch } from '../browser/origin.ts'
import { type Http, mount } from '../mount.ts'
import { presentFrontendClient, presentFrontendSession, presentSignIn, presentToken } from './present.ts'

export function mountClient(http: Http): void {
  mount(http, contract.createSignIn, async (ctx, { body, browser, header }) => {
    const { presented, clientToken, origin, serverURL } = browser
    // Refuse before the ticket is used: the browser would not store the cookie, so the session would be lost.
    if (clientToken.kind === 'cookie' && header('sec-fetch-site') === 'cross-site')
      throw new ApiError('third_party_cookies_blocked', {
        params: { origin: origin ?? 'this page', server: new URL(serverURL).origin },
      })
    const { session, client, isNew } = await acceptTicket(ctx, {
      ticket: body.ticket,
      recipient: { origin },
      browser: { presented, client: await currentClient(ctx, presented) },
    })
    clientToken.keep(client.token)
    return {
      response: presentSignIn(session),
      client: isNew
        ? await presentedClient(ctx, { record: client.record, sessions: [session] }, browser)
        : await frontendClient(ctx, client.record, browser),
    }
  })

  mount(http, contract.getFrontendClient, async (ctx, { browser, header }) => {
    const client = await currentClient(ctx, browser.presented)
    if (browser.presented.length === 0) browser.clientToken.keep(anonymousClientToken(ctx))
    // A page sends this when it loads. It then has a token and may send no further request, so this counts as use.
    const counts = !isPrefetch(header)
    if (!client) browser.setClientUat(0)
    return { response: client ? await frontendClient(ctx, client, browser, counts) : null, client: null }
  })

  mount(http, contract.endAllSessions, async (ctx, { browser }) => {
    const client = await currentClient(ctx, browser.presented)
    if (client) await leaveAllSessions(ctx, { client_id: client.id })
    return { response: client ? await frontendClient(ctx, client, browser) : null, client: null }
  })
  mount(http, contract.deleteClient, async (ctx, { browser }) => {
    const client = await currentClient(ctx, browser.presented)
    if (client) await leaveAllSessions(ctx, { client_id: client.id })
    browser.clientToken.forget()
    browser.setClientUat(0)
    return { response: null, client: null }
  })

  mount(http, contract.getFrontendSession, async (ctx, { params, browser }) => {
    const session = await getOwnSession(ctx, { id: params.session_id, presented: browser.presented })
    const token = session.actor_token_id === null ? undefined : await ctx.store.actorTokens.find(session.actor_token_id)
    const answer = await sessionAndClient(ctx, session, browser)
    const { category: reason_category = null, ticket = null } = statedReason(session)
    const { reason = null, return_url = null } = token ?? {}
    return { ...answer, response: { ...answer.response, reason, reason_category, ticket, return_url } }
  })
  mount(http, contract.createFrontendSessionToken, async (ctx, { params, browser: { presented, origin } }) =>
    presentToken(await mintSessionToken(ctx, { id: params.session_id, presented, origin })),
  )
  mount(
    http,
    contract.createFrontendSessionTokenFromTemplate,
    async (ctx, { params, browser: { presented, origin } }) =>
      presentToken(
        await mintSessionToken(ctx, { id: params.session_id, template: params.template_name, presented, origin }),
      ),
  )

  mount(http, contract.touchSession, async (ctx, { params, body, browser }) => {
    const select = body.intent !== 'focus'
    const session = await touchSession(ctx, { id: params.session_id, presented: browser.presented, select })
    return sessionAndClient(ctx, session, browser)
  })
  for (const [operation, status] of [
    [contract.endSession, 'ended'],
    [contract.removeSession, 'removed'],
  ] as const) {
    mount(http, operation, async (ctx, { params, browser }) => {
      const session = await leaveSession(ctx, { id: params.session_id, presented: browser.presented, status })
      return sessionAndClient(ctx, session, browser)
    })
  }
}

async function sessionAndClient(ctx: Context, session: SessionRecord, browser: Browser) {
  const [record, user] = await Promise.all([
    ctx.store.clients.find(session.client_id),
    ctx.store.users.find(session.user_id),
  ])
  const client = record ? await frontendClient(ctx, record, browser) : null
  const token = client?.sessions.find(({ id }) => id === session.id)?.last_active_token?.jwt
  return { response: presentFrontendSession(ctx, { session, user: user ?? null, token }), client }
}

/**
 * Presents the client with a new token for each of its sessions. From every answer, clerk-js takes the token of the
 * session that its tab shows. Without one, it removes the page's session cookie until it has fetched another token.
 * @param counts whether this counts as use of the selected session
 */
export async function frontendClient(ctx: Context, client: ClientRecord, browser: Browser, counts = false) {
  return presentedClient(ctx, await withSessions(ctx, client), browser, counts)
}

async function presentedClient(
  ctx: Context,
  { record, sessions }: ClientWithSessions,
  { clientToken, origin, setClientUat }: Browser,
  counts = false,
) {
  setClientUat(sessions.length === 0 ? 0 : Math.floor(record.updated_at / 1_000))
  // A token for a cookie must name its page's origin, so it cannot be minted without an origin.
  const minting = origin !== undefined || clientToken.kind === 'header'
  const shown = sessions.map(async session => ({
    session,
    user: (await ctx.store.users.find(session.user_id)) ?? null,
    token: minting
      ? await mintIfUsable(ctx, {
          id: session.id,
          origin,
          counts: counts && session.id === record.last_active_session_id,
        })
      : undefined,
  }))
  return presentFrontendClient(ctx, record, await Promise.all(shown))
}
