import * as contract from '../../contract/me.ts'
import { currentClient } from '../../domain/clients.ts'
import type { Context } from '../../domain/context.ts'
import { listMySessions, readMe } from '../../domain/me.ts'
import type { Browser } from '../browser/browser.ts'
import { type Http, mount } from '../mount.ts'
import { frontendClient } from './frontend-client.ts'
import { presentFrontendUser, presentSessionWithActivities } from './present.ts'

export function mountMe(http: Http): void {
  mount(http, contract.getMe, async (ctx, input) => {
    const { user, client } = await me(ctx, input)
    return { response: presentFrontendUser(user), client: await frontendClient(ctx, client, input.browser) }
  })
  for (const [operation, active] of [
    [contract.listMySessions, false],
    [contract.listMyActiveSessions, true],
  ] as const) {
    mount(http, operation, async (ctx, input) => {
      const { user } = await me(ctx, input)
      const sessions = await listMySessions(ctx, { user_id: user.id, active })
      return sessions.map(session => presentSessionWithActivities(ctx, { session, user }))
    })
  }
  mount(
    http,
    contract.listMyEmailAddresses,
    async (ctx, input) => presentFrontendUser((await me(ctx, input)).user).email_addresses,
  )
  mount(
    http,
    contract.listMyPhoneNumbers,
    async (ctx, input) => presentFrontendUser((await me(ctx, input)).user).phone_numbers,
  )
  mount(http, contract.listMyOrganizationMemberships, async (ctx, input) => {
    const { client } = await me(ctx, input)
    return {
      response: input.query.paginated ? { data: [], total_count: 0 } : [],
      client: await frontendClient(ctx, client, input.browser),
    }
  })
}

async function me(ctx: Context, input: { browser: Browser; query: { _clerk_session_id?: string | undefined } }) {
  const client = await currentClient(ctx, input.browser.presented)
  return readMe(ctx, { client, session_id: input.query._clerk_session_id })
}
