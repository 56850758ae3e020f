import { ApiError } from '../../contract/errors.ts'
import * as contract from '../../contract/frontend.ts'
import { anonymousClientToken, readClient, withSessions } from '../../domain/clients.ts'
import type { Context } from '../../domain/context.ts'
import type { ClientRecord, SessionRecord } from '../../domain/records.ts'
import { getOwnSession, leaveAllSessions, leaveSession, mintSessionToken, touchSession } from '../../domain/sessions.ts'
import { acceptTicket } from '../../domain/tickets.ts'
import { type Http, mount } from '../mount.ts'
import { presentFrontendClient, presentFrontendSession, presentSignIn, presentToken } from '../present.ts'

export function mountClient(http: Http): void {
  mount(http, contract.createSignIn, async (ctx, { body, browser, header }) => {
    const { client: claims, clientToken, origin, serverURL } = browser
    // Refused before anything is used up: the browser would not keep the cookie, and nobody would have the session.
    if (clientToken.kind === 'cookie' && header('sec-fetch-site') === 'cross-site')
      throw new ApiError('third_party_cookies_blocked', {
        params: { origin: origin ?? 'this page', server: new URL(serverURL).origin },
      })
    const { session, client } = await acceptTicket(ctx, {
      ticket: body.ticket,
      shown: { claims, client: await currentClient(ctx, clientToken.shown) },
    })
    clientToken.keep(client.token)
    return { response: presentSignIn(session), client: await frontendClient(ctx, client.record) }
  })

  mount(http, contract.getFrontendClient, async (ctx, { browser: { client: claims, clientToken } }) => {
    const client = await currentClient(ctx, clientToken.shown)
    if (!claims) clientToken.keep(anonymousClientToken(ctx))
    return { response: client ? await frontendClient(ctx, client.record) : null, client: null }
  })

  mount(http, contract.endAllSessions, async (ctx, { browser: { clientToken } }) => {
    const client = await currentClient(ctx, clientToken.shown)
    if (client) await leaveAllSessions(ctx, { client_id: client.record.id })
    return { response: client ? await frontendClient(ctx, client.record) : null, client: null }
  })
  mount(http, contract.deleteClient, async (ctx, { browser: { clientToken } }) => {
    const client = await currentClient(ctx, clientToken.shown)
    if (client) await leaveAllSessions(ctx, { client_id: client.record.id })
    clientToken.forget()
    return { response: null, client: null }
  })

  mount(http, contract.getFrontendSession, async (ctx, { param, browser: { client } }) => {
    const session = await getOwnSession(ctx, { id: param('session_id'), client })
    const ticket = session.ticket_id === null ? undefined : await ctx.store.tickets.find(session.ticket_id)
    const answer = await sessionAndClient(ctx, session)
    const { reason = null, return_url = null } = ticket ?? {}
    return { ...answer, response: { ...answer.response, reason, return_url } }
  })
  mount(http, contract.createFrontendSessionToken, async (ctx, { param, browser: { client, origin } }) =>
    presentToken(await mintSessionToken(ctx, { id: param('session_id'), client, origin })),
  )
  mount(http, contract.createFrontendSessionTokenFromTemplate, async (ctx, { param, browser: { client, origin } }) =>
    presentToken(
      await mintSessionToken(ctx, { id: param('session_id'), template: param('template_name'), client, origin }),
    ),
  )

  mount(http, contract.touchSession, async (ctx, { param, body, browser: { client } }) =>
    sessionAndClient(
      ctx,
      await touchSession(ctx, { id: param('session_id'), client, select: body.intent !== 'focus' }),
    ),
  )
  mount(http, contract.endSession, async (ctx, { param, browser: { client } }) =>
    sessionAndClient(ctx, await leaveSession(ctx, { id: param('session_id'), client, status: 'ended' })),
  )
  mount(http, contract.removeSession, async (ctx, { param, browser: { client } }) =>
    sessionAndClient(ctx, await leaveSession(ctx, { id: param('session_id'), client, status: 'removed' })),
  )
}

/** The client of the first token shown that is good. */
export async function currentClient(ctx: Context, shown: string[]) {
  for (const token of shown) {
    const client = await readClient(ctx, token)
    if (client) return client
  }
  return undefined
}

async function sessionAndClient(ctx: Context, session: SessionRecord) {
  const [client, user] = await Promise.all([
    ctx.store.clients.find(session.client_id),
    ctx.store.users.find(session.user_id),
  ])
  return {
    response: presentFrontendSession(ctx, { session, user: user ?? null }),
    client: client ? await frontendClient(ctx, client) : null,
  }
}

export async function frontendClient(ctx: Context, client: ClientRecord) {
  const { record, sessions } = await withSessions(ctx, client)
  const users = await Promise.all(sessions.map(session => ctx.store.users.find(session.user_id)))
  return presentFrontendClient(
    ctx,
    record,
    sessions.map((session, i) => ({ session, user: users[i] ?? null })),
  )
}
