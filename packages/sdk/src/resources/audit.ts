import type { Http, RequestOptions } from '../http.ts'
import type { AuditEvent, List, RefusedRequests as RefusedRequestsEntry } from '../models/components.ts'
import type { GetAuditEventListQuery, GetRefusedRequestsListQuery } from '../models/operations.ts'
import type * as schemas from '../models/schemas.ts'

/** The audit log: what was done or refused, by whom, and as which user. */
export class AuditEvents {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Reads the audit log, newest first: one page if awaited, every event with `for await`.
   *
   * @param query `action`, `outcome` (`done`, `refused`), `code`, `userId`, `sessionId`, `actorTokenId`, `actorSub`,
   *   `principalId`, `traceId`; `after` and `before` in Unix milliseconds; `beforeSeq`; `limit` 1 to 500 (10);
   *   `startingAfter` (the `nextCursor` of a page) or `offset` (0)
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/audit_events` (Stagedoor only)
   * @example
   * for await (const { at, action, userId } of stagedoor.auditEvents.list({ actorSub: 'user_2OEpK' })) {
   *   console.log(new Date(at).toISOString(), action, userId)
   * }
   */
  list(query?: GetAuditEventListQuery, options?: RequestOptions): List<AuditEvent> {
    return this.#http.list<schemas.AuditEvent>('/v1/audit_events', query, options)
  }
}

/** Refused requests that named nothing known to the server. They are counted, not stored one by one. */
export class RefusedRequests {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Counts refused requests per minute, address and code, newest minute first.
   *
   * @param query `limit` 1 to 500 (10); `startingAfter` (the `nextCursor` of a page) or `offset` (0)
   * @throws StagedoorError `form_param_value_invalid`
   * @see `GET /v1/refused_requests` (Stagedoor only)
   * @example
   * for await (const { address, code, count } of stagedoor.refusedRequests.list()) console.log(address, code, count)
   */
  list(query?: GetRefusedRequestsListQuery, options?: RequestOptions): List<RefusedRequestsEntry> {
    return this.#http.list<schemas.RefusedRequests>('/v1/refused_requests', query, options)
  }
}
