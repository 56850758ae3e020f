import type { Logger } from 'pino'
import type { ApiError } from '../contract/errors.ts'
import type { Operation } from '../contract/operation.ts'
import type { Caller, Services } from '../domain/context.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { RequestSpan, Tracing } from '../telemetry/tracing.ts'
import type { HeaderReader } from './headers.ts'
import { traceparent } from './traceparent.ts'

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
