import * as contract from '../../contract/audit.ts'
import { getJwks } from '../../contract/jwks.ts'
import { listAuditEvents } from '../../domain/audit/event.ts'
import { listRefusedRequests } from '../../domain/refused-requests.ts'
import { presentJwks } from '../fapi/present.ts'
import { type Http, mount } from '../mount.ts'
import { countedIn, presentAuditEvent, presentList, presentRefusedRequests } from './present.ts'

export function mountAudit(http: Http): void {
  mount(http, contract.listAuditEvents, async (ctx, { query }) =>
    presentList(await listAuditEvents(ctx, { ...query, ...countedIn(query) }), query, presentAuditEvent),
  )
  mount(http, contract.listRefusedRequests, async (ctx, { query }) => {
    await ctx.refusedRequests.flush(ctx.store)
    return presentList(await listRefusedRequests(ctx, { ...query, ...countedIn(query) }), query, presentRefusedRequests)
  })
}

export function mountJwks(http: Http): void {
  mount(http, getJwks, async ctx => presentJwks(await ctx.signing.jwks()))
}
