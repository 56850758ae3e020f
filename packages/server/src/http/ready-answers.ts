import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import { ApiError, type ErrorCode, errors } from '../contract/errors.ts'
import { type AnswerHeaders, standardHeaders } from './answer.ts'

export interface ReadyAnswersOptions {
  allowedOrigins: ReadonlySet<string>
  newTraceId(): string
  /** Told of each. */
  sentAway(refusal: SentAway): void
  log: Logger
}

/** A refusal at the door. Everything it says follows from its code, its seconds and its why. */
export interface SentAway {
  code: ErrorCode
  /** When to come back. */
  seconds?: number
  headers?: AnswerHeaders
  why?: string
  /** Who asks, as far as is known. */
  address?: string | null
}

interface Ready {
  body: string
  headers: string[]
}

/**
 * Answers those who are sent away before anything of their request is looked at, as cheaply as can be: an answer is made
 * once and given to all of one second. They are told one trace id, that of their one line in the log.
 */
export class ReadyAnswers {
  readonly #options: ReadyAnswersOptions
  readonly #ready = new Map<string, Ready>()
  readonly #counts = new Map<ErrorCode, number>()
  #traceId = ''
  #timer: NodeJS.Timeout | undefined

  constructor(options: ReadyAnswersOptions) {
    this.#options = options
  }

  sendAway(request: IncomingMessage, response: ServerResponse, refusal: SentAway): void {
    const { code, seconds, why } = refusal
    this.#timer ??= this.#newSecond()
    const key = `${code} ${seconds} ${why}`
    let ready = this.#ready.get(key)
    if (!ready) {
      ready = this.#made(refusal)
      this.#ready.set(key, ready)
    }
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1)
    this.#options.sentAway(refusal)
    const { origin } = request.headers
    // A page has to be allowed to read when it should come back.
    const headers = origin === undefined ? ready.headers : this.#headers(ready.body, refusal, origin)
    response.sendDate = false
    response.writeHead(errors[code].status, headers).end(ready.body)
  }

  /** Says in the log what came of a second. */
  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#counts.size === 0) return
    const counts = Object.fromEntries(this.#counts)
    this.#options.log.warn({ trace_id: this.#traceId, ...counts }, 'requests were sent away at the door')
    this.#counts.clear()
    this.#ready.clear()
  }

  #newSecond(): NodeJS.Timeout {
    this.#traceId = this.#options.newTraceId()
    return setTimeout(() => this.end(), 1_000).unref()
  }

  #made(refusal: SentAway): Ready {
    const { code, seconds, why } = refusal
    const error = new ApiError(code, {
      params: { ...(seconds === undefined ? {} : { seconds }), ...(why === undefined ? {} : { why }) },
      ...(code === 'too_many_requests' ? { meta: { resets_in: seconds } } : {}),
    })
    const body = JSON.stringify({ errors: [error], clerk_trace_id: this.#traceId })
    return { body, headers: this.#headers(body, refusal) }
  }

  /** As Node writes fastest: names and values in turn. */
  #headers(body: string, { seconds, headers }: SentAway, origin?: string): string[] {
    return Object.entries({
      ...standardHeaders(this.#traceId, origin, this.#options.allowedOrigins),
      ...headers,
      ...(seconds === undefined ? {} : { 'retry-after': String(seconds) }),
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    }).flat()
  }
}
