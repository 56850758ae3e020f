import type { IncomingMessage } from 'node:http'
import type { Hono } from 'hono'
import type { Logger } from 'pino'
import type { ApiError } from '../contract/errors.ts'
import type { Operation } from '../contract/operation.ts'
import type { Caller, Services } from '../domain/context.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { RequestSpan, TraceParent, Tracing } from '../telemetry/tracing.ts'
import { answerError, standardHeaders } from './answer.ts'
import type { HeaderReader } from './caller.ts'

/** Receivers of request data: the log, and metrics and traces if they are on. */
export interface Observer {
  log: Logger
  metrics: Metrics | undefined
  tracing: Tracing | undefined
}

/** Collects the log data of one request: operation, caller and outcome. It keeps nothing of the request's contents. */
export class RequestLog {
  caller: Caller | undefined
  readonly #services: Services
  readonly #observer: Observer
  readonly #start = performance.now()
  #operation: Operation | undefined
  #refusal: ApiError | undefined
  #error: unknown
  #span: RequestSpan | undefined
  #traceId: string | undefined

  constructor(services: Services, observer: Observer) {
    this.#services = services
    this.#observer = observer
    observer.metrics?.requestStarted()
  }

  /** Identifies the request in its answer, the log, the audit log and the traces. */
  get traceId(): string {
    this.#traceId ??= this.#startSpan()
    return this.#traceId
  }

  /**
   * Records the operation, and returns the trace id. A caller with a secret key continues its own trace. Other callers
   * cannot choose their id in the audit log: their requests start a new trace, which links to the trace that they name.
   */
  start(operation: Operation, header: HeaderReader): string {
    this.#operation = operation
    this.#traceId = this.#startSpan(header)
    return this.#traceId
  }

  #startSpan(header?: HeaderReader): string {
    const operation = this.#operation
    const named = header && traceparent(header('traceparent'), header('tracestate'))
    const parent = operation?.auth === 'secret_key' ? named : undefined
    this.#span = this.#observer.tracing?.request({ operation, start: this.#start, parent, link: parent ?? named })
    return this.#span?.traceId ?? parent?.traceId ?? this.#services.random.bytes(16).toString('hex')
  }

  /** Runs the work of the request inside its span, so that the spans of the work become its children. */
  run<T>(work: () => T): T {
    return this.#span ? this.#span.run(work) : work()
  }

  refused(refusal: ApiError, error: unknown): void {
    this.#refusal = refusal
    // Log the causes of server errors only. For other errors, the answer tells the caller what is wrong.
    if (refusal.status >= 500) this.#error = error
  }

  finish(asked: string, status: number): void {
    const { traceId } = this
    const { log, metrics } = this.#observer
    const milliseconds = performance.now() - this.#start
    const operation = this.#operation?.id ?? 'none'
    const method = this.#operation?.method.toUpperCase() ?? (METHODS.includes(asked) ? asked : 'other')
    const code = this.#refusal?.code
    metrics?.requestFinished({ operation, method, status, seconds: milliseconds / 1_000, code })
    this.#span?.end(method, status, code)

    const level = this.#level(status)
    if (!log.isLevelEnabled(level)) return
    const { principal, address } = this.caller ?? {}
    log[level](
      {
        trace_id: traceId,
        operation,
        method,
        status,
        duration_ms: Math.round(milliseconds * 1_000) / 1_000,
        code,
        principal: principal?.type,
        key_id: principal?.type === 'secret_key' ? principal.id : undefined,
        address,
        err: this.#error,
      },
      status >= 500 ? 'request failed' : 'request',
    )
  }

  /** Load balancers check health every few seconds, even while the server is stopping, so those requests get a lower level. */
  #level(status: number): 'error' | 'warn' | 'info' | 'debug' {
    if (this.#operation?.tag === 'Health') return status >= 500 ? 'warn' : 'debug'
    return status >= 500 ? 'error' : 'info'
  }
}

/** Methods that are logged as they are for requests that match no operation. All others are `other`, because callers can invent them. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** What every handler finds with the request. */
export interface Env {
  Bindings: { incoming?: IncomingMessage; requestLog: RequestLog }
}

/** Wraps the app so that every request is logged and measured, even if no operation matches. An error fails only its own request. */
export function logged(app: Hono<Env>, services: Services, observer: Observer): Pick<Hono<Env>, 'fetch'> {
  return {
    async fetch(request, env) {
      const requestLog = new RequestLog(services, observer)
      let response: Response
      try {
        response = await app.fetch(request, { ...env, requestLog })
      } catch (error) {
        response = answerError(error, standardHeaders(requestLog.traceId, undefined, new Set()), requestLog)
      }
      requestLog.finish(request.method, response.status)
      return response
    },
  }
}

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
