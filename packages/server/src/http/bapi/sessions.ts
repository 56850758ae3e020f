import { setTimeout as sleep } from 'node:timers/promises'
import * as clients from '../../contract/clients.ts'
import * as sessions from '../../contract/sessions.ts'
import { getClient, verifyClient } from '../../domain/clients.ts'
import type { Context } from '../../domain/context.ts'
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
  mount(http, sessions.revokeSession, async (ctx, { params, body, headers }) => {
    const revoked = await revokeSession(ctx, { id: params.session_id, ...body })
    if (ctx.caller.operator) Object.assign(headers, await followersOf(ctx, revoked.id))
    return presentSession(ctx, revoked)
  })
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

/** The longest that the answer to an operator waits for the revocation feed, in ms. */
const FEED_WAIT = 300

/** Returns the header that tells to how many followers of this server the end of a session was sent, if that is known. */
async function followersOf({ revocationFeed }: Context, sessionId: string): Promise<Record<string, string>> {
  const late = new AbortController()
  const waited = sleep(FEED_WAIT, undefined, { signal: late.signal, ref: false }).catch(() => undefined)
  // The session has ended, whatever happens to the feed.
  const sent = await Promise.race([revocationFeed.sentTo(sessionId).catch(() => undefined), waited])
  late.abort()
  return sent === undefined ? {} : { 'stagedoor-followers': String(sent) }
}
