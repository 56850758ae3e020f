import type { z } from 'zod'
import * as contract from '../../contract/audit.ts'
import { type AuditExport, exportAuditEvents } from '../../domain/audit/export.ts'
import type { Context } from '../../domain/context.ts'
import type { AnswerHeaders } from '../answer.ts'
import { masked } from '../console/masking.ts'
import { type Http, mount } from '../mount.ts'
import { presentAuditEvent } from './present.ts'

type Event = z.input<typeof contract.AuditEvent>
type Format = 'jsonl' | 'csv'

export function mountAuditExport(http: Http): void {
  mount(http, contract.exportAuditEvents, async (ctx, { query: { format, ...filter }, headers }) => {
    const whole = await exportAuditEvents(ctx, filter)
    return download(http, ctx, { whole, format, headers })
  })
}

/** Answers with a file. The server reads each slice when the client has taken the one before. */
function download(
  { options, log }: Http,
  ctx: Context,
  { whole, format, headers }: { whole: AuditExport; format: Format; headers: AnswerHeaders },
): Response {
  const encoder = new TextEncoder()
  const { type, first, line } = FORMATS[format]
  const body = new ReadableStream<Uint8Array>(
    {
      start: controller => controller.enqueue(encoder.encode(first)),
      async pull(controller) {
        try {
          for (;;) {
            const events = await options.lists.run(whole.read)
            if (events === undefined) return controller.close()
            if (events.length === 0) continue
            const presented = events.map(event => masked(ctx, contract.exportAuditEvents, presentAuditEvent(event)))
            if (options.checkResponses) for (const event of presented) contract.AuditEvent.parse(event)
            return controller.enqueue(encoder.encode(presented.map(line).join('')))
          }
        } catch (err) {
          // The client notices that the answer is incomplete, because it has no regular end.
          log.warn({ err, trace_id: ctx.caller.trace_id }, 'an export of audit events was interrupted')
          controller.error(err)
        }
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, {
    headers: {
      ...headers,
      'content-type': type,
      'content-disposition': `attachment; filename="audit-events.${format}"`,
      ...(whole.next === undefined ? {} : { 'stagedoor-next-cursor': whole.next }),
    },
  })
}

/** The columns of CSV, which are the members of an event; those of its principal are columns of their own. */
const COLUMNS: [name: string, value: (event: Event) => unknown][] = [
  ['seq', event => event.seq],
  ['id', event => event.id],
  ['at', event => new Date(event.at).toISOString()],
  ['action', event => event.action],
  ['outcome', event => event.outcome],
  ['code', event => event.code],
  ['principal_type', event => event.principal.type],
  ['principal_id', event => event.principal.id],
  ['actor_sub', event => event.actor_sub],
  ['actor', event => event.actor],
  ['actor_token_id', event => event.actor_token_id],
  ['session_id', event => event.session_id],
  ['user_id', event => event.user_id],
  ['target_id', event => event.target_id],
  ['reason', event => event.reason],
  ['details', event => event.details],
  ['address', event => event.address],
  ['user_agent', event => event.user_agent],
  ['trace_id', event => event.trace_id],
  ['leaf_hash', event => event.leaf_hash],
  ['leaf_index', event => event.leaf_index],
]

const rowOf = (cells: unknown[]) => `${cells.map(cellOf).join(',')}\r\n`

/** Returns one cell (RFC 4180). Spreadsheets run what begins with `=`, `+`, `-`, `@`, a tab or a line break as a formula. */
function cellOf(value: unknown): string {
  if (value === null) return ''
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const FORMATS: Record<Format, { type: string; first: string; line: (event: Event) => string }> = {
  jsonl: { type: 'application/x-ndjson', first: '', line: event => `${JSON.stringify(event)}\n` },
  csv: {
    type: 'text/csv; charset=utf-8',
    first: rowOf(COLUMNS.map(([name]) => name)),
    line: event => rowOf(COLUMNS.map(([, value]) => value(event))),
  },
}
