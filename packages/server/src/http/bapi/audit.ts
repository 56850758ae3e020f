import * as contract from '../../contract/audit.ts'
import { getJwks } from '../../contract/jwks.ts'
import { getAuditEvent, listAuditEvents } from '../../domain/audit/event.ts'
import { listRefusedRequests } from '../../domain/refused-requests.ts'
import { presentJwks } from '../fapi/present.ts'
import { type Http, mount } from '../mount.ts'
import { mountAuditExport } from './audit-export.ts'
import { mountAuditLog } from './audit-log.ts'
import { mountList } from './lists.ts'
import { presentAuditEvent, presentRefusedRequests } from './present.ts'

export function mountAudit(http: Http): void {
  mountList(http, contract.listAuditEvents, listAuditEvents, (_ctx, event) => presentAuditEvent(event))
  mountAuditExport(http)
  mountAuditLog(http)
  mount(http, contract.getAuditEvent, async (ctx, { params }) =>
    presentAuditEvent(await getAuditEvent(ctx, { id: params.audit_event_id })),
  )
  mountList(
    http,
    contract.listRefusedRequests,
    async (ctx, input) => {
      await ctx.refusedRequests.flush(ctx.store)
      return listRefusedRequests(ctx, input)
    },
    (_ctx, counts) => presentRefusedRequests(counts),
  )
}

export function mountJwks(http: Http): void {
  mount(http, getJwks, async ctx => presentJwks(await ctx.signing.jwks()))
}
