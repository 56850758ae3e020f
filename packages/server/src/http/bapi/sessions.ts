import * as clients from '../../contract/clients.ts'
import * as sessions from '../../contract/sessions.ts'
import { getClient, verifyClient } from '../../domain/clients.ts'
import { createSession, getSession, listSessions, mintSessionToken, revokeSession } from '../../domain/sessions.ts'
import { presentToken } from '../fapi/present.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentClient, presentSession } from './present.ts'

export function mountSessions(http: Http): void {
  mountList(http, sessions.listSessions, listSessions, presentSession)
  mount(http, sessions.createSession, {
    create: (ctx, { body }, once) => createSession(ctx, body, once),
    find: (ctx, id) => getSession(ctx, { id }),
    present: presentSession,
  })
  mount(http, sessions.getSession, async (ctx, { params }) =>
    presentSession(ctx, await getSession(ctx, { id: params.session_id })),
  )
  mount(http, sessions.revokeSession, async (ctx, { params, body }) =>
    presentSession(ctx, await revokeSession(ctx, { id: params.session_id, ...body })),
  )
  mount(http, sessions.createSessionToken, async (ctx, { params, body }) =>
    presentToken(
      await mintSessionToken(ctx, {
        id: params.session_id,
        expires_in_seconds: body.expires_in_seconds ?? undefined,
        counts: body.counts_as_use,
        understands: body.understands,
      }),
    ),
  )
  mount(http, sessions.createSessionTokenFromTemplate, async (ctx, { params, body }) =>
    presentToken(
      await mintSessionToken(ctx, {
        id: params.session_id,
        template: params.template_name,
        expires_in_seconds: body.expires_in_seconds ?? undefined,
        counts: body.counts_as_use,
        understands: body.understands,
      }),
    ),
  )
  mount(http, clients.getClient, async (ctx, { params }) =>
    presentClient(ctx, await getClient(ctx, { id: params.client_id })),
  )
  mount(http, clients.verifyClient, async (ctx, { body }) => presentClient(ctx, await verifyClient(ctx, body)))
}
