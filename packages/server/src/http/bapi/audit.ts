import * as contract from '../../contract/audit.ts'
import { getJwks } from '../../contract/keys.ts'
import { listAuditEvents } from '../../domain/audit.ts'
import { type Http, mount } from '../mount.ts'
import { presentAuditEvent, presentJwks, presentList, presentRefusedRequests } from '../present.ts'

export function mountAudit(http: Http): void {
  mount(http, contract.listAuditEvents, async (ctx, { query }) =>
    presentList(await listAuditEvents(ctx, { ...query, counted: query.paginated }), query.paginated, presentAuditEvent),
  )
  mount(http, contract.listRefusedRequests, async (ctx, { query }) => {
    await ctx.refusedRequests.flush(ctx.store)
    return (await ctx.store.refusedRequests.list(query)).map(presentRefusedRequests)
  })
}

export function mountJwks(http: Http): void {
  mount(http, getJwks, async ctx => presentJwks(await ctx.signing.jwks()))
}
