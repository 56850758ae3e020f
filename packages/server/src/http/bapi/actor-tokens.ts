import * as contract from '../../contract/actor-tokens.ts'
import {
  acceptedSession,
  acceptTicket,
  createActorToken,
  findActorToken,
  listActorTokens,
  revokeActorToken,
} from '../../domain/actor-tokens.ts'
import { mintSessionToken } from '../../domain/sessions.ts'
import { getUser } from '../../domain/users.ts'
import { allowedRedirect } from '../browser/redirect.ts'
import { withPlainAddress } from '../caller.ts'
import { presentToken } from '../fapi/present.ts'
import { type Http, mount } from '../mount.ts'
import { mountList } from './lists.ts'
import { presentActingSession, presentActorToken, presentUser } from './present.ts'

const actor = { kind: 'actor_token' } as const

export function mountActorTokens(http: Http): void {
  mount(http, contract.createActorToken, {
    create(ctx, { body }, once) {
      const { allowedOrigins } = http.options
      // An operator comes back to the console.
      const origins = ctx.caller.operator ? new Set([...allowedOrigins, ctx.settings.console_url]) : allowedOrigins
      const return_url = body.return_url === undefined ? undefined : allowedRedirect(body.return_url, origins).href
      return createActorToken(ctx, { ...actor, ...withPlainAddress(body), return_url }, once)
    },
    find: (ctx, id) => findActorToken(ctx, { ...actor, id }),
    present: (ctx, record) => presentActorToken(ctx, record, record.status === 'pending'),
  })
  mountList(
    http,
    contract.listActorTokens,
    (ctx, input) => listActorTokens(ctx, { ...actor, ...input }),
    (ctx, record) => presentActorToken(ctx, record, false),
  )
  mount(http, contract.acceptActorToken, {
    async create(ctx, { body: { ticket, actor_sub, understands } }, once) {
      const input = { ...actor, ticket, actor_sub, recipient: { understands } }
      return (await acceptTicket(ctx, input, once)).session
    },
    find: (ctx, id) => acceptedSession(ctx, { id }),
    async present(ctx, session) {
      const [jwt, token, user] = await Promise.all([
        // Only a backend that understands the scope gets this far. A repeated request has the same body.
        mintSessionToken(ctx, { id: session.id, understands: ['scope'] }),
        findActorToken(ctx, { ...actor, id: session.actor_token_id ?? '' }),
        getUser(ctx, { id: session.user_id }),
      ])
      return {
        actor_token: presentActorToken(ctx, token, false),
        session: presentActingSession(ctx, session),
        user: presentUser(user),
        token: presentToken(jwt),
      }
    },
  })
  mount(http, contract.getActorToken, async (ctx, { params }) =>
    presentActorToken(ctx, await findActorToken(ctx, { ...actor, id: params.actor_token_id }), false),
  )
  mount(http, contract.revokeActorToken, async (ctx, { params, body }) =>
    presentActorToken(ctx, await revokeActorToken(ctx, { ...actor, id: params.actor_token_id, ...body }), false),
  )
}
