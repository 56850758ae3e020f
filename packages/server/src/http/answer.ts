import { ApiError, ApiErrors } from '../contract/errors.ts'
import { OutcomeUnknown, StoreUnavailable } from '../domain/store.ts'
import { isAllowed } from './browser/origin.ts'
import type { RequestLog } from './request-log.ts'

/** Headers of an answer. A plain object, which Node's server writes unchanged. */
export type AnswerHeaders = Record<string, string>

/** Returns the headers that every answer has. */
export function standardHeaders(
  traceId: string,
  origin: string | undefined,
  allowed: ReadonlySet<string>,
): AnswerHeaders {
  const headers: AnswerHeaders = {
    'clerk-trace-id': traceId,
    'cache-control': 'no-store, private',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    // Always set, so that no cache gives one origin's answer to another.
    vary: 'Origin',
  }
  if (origin !== undefined && isAllowed(origin, allowed)) {
    headers['access-control-allow-origin'] = origin
    headers['access-control-allow-credentials'] = 'true'
    headers['access-control-expose-headers'] = 'Authorization, Retry-After, Clerk-Trace-Id'
  }
  return headers
}

/** Answers with JSON, and with the content type without parameters that Clerk's SDKs expect. */
export function answerJson(value: unknown, status: number, headers: AnswerHeaders): Response {
  return new Response(JSON.stringify(value), { status, headers: { ...headers, 'content-type': 'application/json' } })
}

/** Answers with an error in Clerk's envelope. Any error that is not an ApiError is a bug: the caller gets only the trace id. */
export function answerError(error: unknown, headers: AnswerHeaders, requestLog: RequestLog): Response {
  const traceId = headers['clerk-trace-id']
  const errors = asApiErrors(error)
  const [refusal] = errors
  const { status } = refusal
  requestLog.refused(refusal, error)
  const body = { errors: errors.map(each => each.toJSON()), clerk_trace_id: traceId }
  return answerJson(body, status, status === 503 ? { 'retry-after': '1', ...headers } : headers)
}

export function asApiErrors(error: unknown): [ApiError, ...ApiError[]] {
  if (error instanceof ApiErrors) return error.errors
  if (error instanceof ApiError) return [error]
  if (error instanceof OutcomeUnknown) return [new ApiError('outcome_unknown', { cause: error })]
  if (error instanceof StoreUnavailable) return [new ApiError('service_unavailable', { cause: error })]
  return [new ApiError('internal_clerk_error', { cause: error })]
}
