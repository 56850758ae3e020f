import type { TraceParent } from '../telemetry/tracing.ts'

/**
 * Reads the header of W3C Trace Context (https://www.w3.org/TR/trace-context/#traceparent-header).
 * @returns undefined if the header is not valid; the request then starts a new trace
 * @example traceparent('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')?.traceId // 0af7651916cd43dd8448eb211c80319c
 */
export function traceparent(text: string | undefined, state?: string): TraceParent | undefined {
  if (text === undefined || text.length > MAX_LENGTH) return undefined
  const [, version, traceId = '', spanId = '', flags = '', more] = FORM.exec(text) ?? []
  // A later version may append more fields; version 00 may not.
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), state }
}

const FORM = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/
const MAX_LENGTH = 256
