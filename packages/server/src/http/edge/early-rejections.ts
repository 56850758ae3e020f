import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { ApiError, type ErrorCode, errors } from '../../contract/errors.ts'
import { type AnswerHeaders, standardHeaders } from '../answer.ts'
import { isConsolePath } from '../console/headers.ts'

export interface EarlyRejectionsOptions {
  allowedOrigins: ReadonlySet<string>
  newTraceId(): string
  /** Called for each rejection. */
  rejected(refusal: Rejection): void
  log: Logger
}

/** A rejection before the request reaches the app. Its code, seconds and reason determine the whole answer. */
export interface Rejection {
  code: ErrorCode
  /** Retry-After, in seconds. */
  seconds?: number
  headers?: AnswerHeaders
  why?: string
  /** `Caller.network` of the caller, if it is known. */
  network?: string | null
}

interface Ready {
  body: string
  headers: string[]
}

/**
 * Rejects requests before the app handles them, as cheaply as possible. An answer is built once and reused for one second. All
 * rejections of that second have the same trace id, which is also the trace id of their one line in the log.
 */
export class EarlyRejections {
  readonly #options: EarlyRejectionsOptions
  readonly #ready = new Map<string, Ready>()
  readonly #counts = new Map<ErrorCode, number>()
  #traceId = ''
  #timer: NodeJS.Timeout | undefined

  constructor(options: EarlyRejectionsOptions) {
    this.#options = options
  }

  reject(request: IncomingMessage, response: ServerResponse, refusal: Rejection): void {
    const { code, seconds, why } = refusal
    this.#timer ??= this.#newSecond()
    const key = `${code} ${seconds} ${why}`
    let ready = this.#ready.get(key)
    if (!ready) {
      ready = this.#made(refusal)
      this.#ready.set(key, ready)
    }
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1)
    this.#options.rejected(refusal)
    const origin = isConsolePath((request.url ?? '').split('?')[0] ?? '') ? undefined : request.headers.origin
    // CORS headers allow the page to read Retry-After.
    const headers = origin === undefined ? ready.headers : this.#headers(ready.body, refusal, origin)
    response.sendDate = false
    response.writeHead(errors[code].status, headers).end(ready.body)
  }

  /** Logs the rejections of the last second. */
  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#counts.size === 0) return
    const counts = Object.fromEntries(this.#counts)
    this.#options.log.warn({ trace_id: this.#traceId, ...counts }, 'requests were rejected early')
    this.#counts.clear()
    this.#ready.clear()
  }

  #newSecond(): NodeJS.Timeout {
    this.#traceId = this.#options.newTraceId()
    return setTimeout(() => this.end(), 1_000).unref()
  }

  #made(refusal: Rejection): Ready {
    const { code, seconds, why } = refusal
    const error = new ApiError(code, {
      params: { ...(seconds === undefined ? {} : { seconds }), ...(why === undefined ? {} : { why }) },
      ...(code === 'too_many_requests' ? { meta: { resets_in: seconds } } : {}),
    })
    const body = JSON.stringify({ errors: [error], clerk_trace_id: this.#traceId })
    return { body, headers: this.#headers(body, refusal) }
  }

  /** Returns alternating names and values, the form that Node writes fastest. */
  #headers(body: string, { seconds, headers }: Rejection, origin?: string): string[] {
    return Object.entries({
      ...standardHeaders(this.#traceId, origin, this.#options.allowedOrigins),
      ...headers,
      ...(seconds === undefined ? {} : { 'retry-after': String(seconds) }),
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    }).flat()
  }
}
