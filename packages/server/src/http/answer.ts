import { ApiError, ApiErrors } from '../contract/errors.ts'
import type { ErrorFormat } from '../contract/operation.ts'
import { OutcomeUnknown, StoreUnavailable } from '../domain/store.ts'
import { isAllowed } from './browser/origin.ts'

/** Headers of an answer. A plain object, which Node's server writes unchanged. */
export type AnswerHeaders = Record<string, string>

/** Where an answer records its error: the log of the request. */
export interface RefusalLog {
  refused(refusal: ApiError, error: unknown): void
}

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
  return answerText(JSON.stringify(value), status, headers)
}

/** The same for text that is already JSON. */
export function answerText(json: string, status: number, headers: AnswerHeaders): Response {
  return new Response(json, { status, headers: { ...headers, 'content-type': 'application/json' } })
}

/** Answers with an error. Any error that is not an ApiError is a bug: the caller gets only the trace id. */
export function answerError(
  error: unknown,
  headers: AnswerHeaders,
  log: RefusalLog,
  format: ErrorFormat = 'clerk',
): Response {
  const errors = asApiErrors(error)
  const [refusal] = errors
  const { status } = refusal
  log.refused(refusal, error)
  const body = errorFormats[format](errors, headers['clerk-trace-id'])
  return answerJson(body, status, { ...retryAfter(refusal), ...headers })
}

/** How long to wait, for errors that pass: a limit knows it. */
function retryAfter({ status, options }: ApiError): AnswerHeaders {
  if (status === 503) return { 'retry-after': '1' }
  const seconds = status === 429 ? options.meta?.['resets_in'] : undefined
  return seconds === undefined ? {} : { 'retry-after': String(seconds) }
}

/** The forms of error answers: one entry for each value of `errorFormat` in the contract. */
const errorFormats: Record<ErrorFormat, (errors: [ApiError, ...ApiError[]], traceId: string | undefined) => object> = {
  clerk: (errors, traceId) => ({ errors: errors.map(error => error.toJSON()), clerk_trace_id: traceId }),
  // RFC 6749 §5.2. A caller of OAuth knows only its codes; the description has our own.
  oauth: ([error]) => {
    const { code, long_message } = error.toJSON()
    return { error: oauthCode(error.status), error_description: `${long_message} (${code})` }
  },
}

function oauthCode(status: number): string {
  if (status === 401) return 'invalid_client'
  if (status === 403) return 'unauthorized_client'
  if (status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

export function asApiErrors(error: unknown): [ApiError, ...ApiError[]] {
  if (error instanceof ApiErrors) return error.errors
  if (error instanceof ApiError) return [error]
  if (error instanceof OutcomeUnknown) return [new ApiError('outcome_unknown', { cause: error })]
  if (error instanceof StoreUnavailable) return [new ApiError('service_unavailable', { cause: error })]
  return [new ApiError('internal_clerk_error', { cause: error })]
}
