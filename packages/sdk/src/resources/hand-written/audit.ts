/** The method of `AuditEvents` that downloads a file. `npm run generate` adds each exported function to the class. */
import { StagedoorError } from '../../errors.ts'
import type { Http } from '../../http.ts'
import type { ExportAuditEventsQuery } from '../../models/operations.ts'

/**
 * Downloads audit events as text, newest first: JSON Lines, or CSV whose cells are no formulas. It sends as many requests as
 * needed, and yields pieces of text of any length. CSV has one header line.
 *
 * @param query `format` (`jsonl`, `csv`), the filters of {@link list}, `startingAfter` (a `seq`)
 * @param options `signal` aborts the download
 * @throws StagedoorError `form_param_value_invalid`, `connection_failed` (also if the connection is lost later), `aborted`
 * @see `GET /v1/audit_events/export` (Stagedoor only)
 * @example
 * for await (const text of stagedoor.auditEvents.download({ format: 'csv', action: 'actor_token.create' })) {
 *   process.stdout.write(text)
 * }
 */
export function download(
  http: Http,
  query: ExportAuditEventsQuery = {},
  options?: { signal?: AbortSignal | undefined },
): AsyncGenerator<string, void, undefined> {
  return textOf(http, query, options?.signal)
}

async function* textOf(http: Http, query: ExportAuditEventsQuery, signal: AbortSignal | undefined) {
  let startingAfter = query.startingAfter
  let isFirst = true
  do {
    const sent = { ...query, ...(startingAfter === undefined ? {} : { startingAfter }) }
    const { body, headers } = await http.open('/v1/audit_events/export', sent, { accept: '*/*' }, signal)
    try {
      yield* decoded(body, query.format === 'csv' && !isFirst)
    } catch (cause) {
      const [code, message] = signal?.aborted
        ? (['aborted', 'The export was aborted by its `signal`'] as const)
        : (['connection_failed', 'The connection of the export was lost'] as const)
      const action = 'Start the export again.'
      throw new StagedoorError(0, [{ code, message, action, paramName: undefined }], { cause })
    }
    startingAfter = headers.get('stagedoor-next-cursor') ?? undefined
    isFirst = false
  } while (startingAfter !== undefined)
}

/** Yields a body as text. @param skipsLine whether to leave out the first line */
async function* decoded(body: ReadableStream<Uint8Array>, skipsLine: boolean): AsyncGenerator<string> {
  const reader = body.getReader()
  const utf8 = new TextDecoder()
  let skips = skipsLine
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      let text = utf8.decode(value, { stream: true })
      if (skips) {
        const end = text.indexOf('\n')
        skips = end === -1
        text = end === -1 ? '' : text.slice(end + 1)
      }
      if (text !== '') yield text
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
