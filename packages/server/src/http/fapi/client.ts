import * as contract from '../../contract/frontend.ts'
import { readClient, withSessions } from '../../domain/clients.ts'
import type { Context } from '../../domain/context.ts'
import type { ClientRecord, SessionRecord } from '../../domain/records.ts'
import { getOwnSession, leaveAllSessions, leaveSession, mintSessionToken, touchSession } from '../../domain/sessions.ts'
import { acceptTicket } from '../../domain/tickets.ts'
import { forgetClientCookie, setClientCookie } from '../cookies.ts'
import { type Http, mount } from '../mount.ts'
import { presentFrontendClient, presentFrontendSession, presentSignIn, presentToken } from '../present.ts'

export function mountClient(http: Http): void {
  mount(http, contract.createSignIn, async (ctx, { body, cookies, headers }) => {
    const { session, client } = await acceptTicket(ctx, {
      ticket: body.ticket,
      client: await currentClient(ctx, cookies),
    })
    headers['set-cookie'] = setClientCookie(client.token, ctx.settings.public_url.startsWith('https:'))
    return { response: presentSignIn(session), client: await frontendClient(ctx, client.record) }
  })

  mount(http, contract.getFrontendClient, async (ctx, { cookies }) => {
    const client = await currentClient(ctx, cookies)
    return { response: client ? await frontendClient(ctx, client.record) : null, client: null }
  })

  mount(http, contract.endAllSessions, async (ctx, { cookies }) => {
    const client = await currentClient(ctx, cookies)
    if (client) await leaveAllSessions(ctx, { client_id: client.record.id })
    return { response: client ? await frontendClient(ctx, client.record) : null, client: null }
  })
  mount(http, contract.deleteClient, async (ctx, { cookies, headers }) => {
    const client = await currentClient(ctx, cookies)
    if (client) await leaveAllSessions(ctx, { client_id: client.record.id })
    headers['set-cookie'] = forgetClientCookie(ctx.settings.public_url.startsWith('https:'))
    return { response: null, client: null }
  })

  mount(http, contract.getFrontendSession, async (ctx, { param, client }) =>
    sessionAndClient(ctx, await getOwnSession(ctx, { id: param('session_id'), client })),
  )
  mount(http, contract.createFrontendSessionToken, async (ctx, { param, client, origin }) =>
    presentToken(await mintSessionToken(ctx, { id: param('session_id'), client, origin })),
  )
  mount(http, contract.createFrontendSessionTokenFromTemplate, async (ctx, { param, client, origin }) =>
    presentToken(
      await mintSessionToken(ctx, { id: param('session_id'), template: param('template_name'), client, origin }),
    ),
  )

  mount(http, contract.touchSession, async (ctx, { param, client }) =>
    sessionAndClient(ctx, await touchSession(ctx, { id: param('session_id'), client })),
  )
  mount(http, contract.endSession, async (ctx, { param, client }) =>
    sessionAndClient(ctx, await leaveSession(ctx, { id: param('session_id'), client, status: 'ended' })),
  )
  mount(http, contract.removeSession, async (ctx, { param, client }) =>
    sessionAndClient(ctx, await leaveSession(ctx, { id: param('session_id'), client, status: 'removed' })),
  )
}

export async function currentClient(ctx: Context, cookies: string[]) {
  for (const cookie of cookies) {
    const client = await readClient(ctx, cookie)
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
