import {
  type Context,
  context,
  createTraceState,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { Operation } from '../contract/operation.ts'

/** The caller's position in its own trace. */
export interface TraceParent {
  traceId: string
  spanId: string
  traceFlags: number
  /** The caller's `tracestate`, unchanged. */
  state: string | undefined
}

/**
 * Creates spans with the OpenTelemetry SDK that the process was started with. Spans contain names of operations, never
 * request data.
 */
export class Tracing {
  readonly #tracer: Tracer

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  /** Returns undefined if no SDK is registered. Then nothing is traced, at no cost. */
  static find(): Tracing | undefined {
    const tracer = trace.getTracer('stagedoor')
    return isSpanContextValid(tracer.startSpan('').spanContext()) ? new Tracing(tracer) : undefined
  }

  /**
   * Starts the span of a request.
   * @param input.start `performance.now()` when the request arrived
   * @param input.parent the caller's span, if the trace is the caller's
   * @param input.link the caller's span, if it is known
   */
  request(input: {
    operation: Operation | undefined
    start: number
    parent: TraceParent | undefined
    link: TraceParent | undefined
  }): RequestSpan {
    const { operation, start, parent, link } = input
    const from = parent ? trace.setSpanContext(ROOT_CONTEXT, remote(parent)) : ROOT_CONTEXT
    const span = this.#tracer.startSpan(
      operation?.id ?? 'none',
      {
        kind: SpanKind.SERVER,
        startTime: start,
        attributes: operation ? { 'http.route': operation.path } : {},
        links: link && !parent ? [{ context: remote(link) }] : [],
      },
      from,
    )
    return new RequestSpan(span, trace.setSpan(from, span))
  }

  /** Runs a part of a request in its own span. Work outside of a request has no span. */
  async work<T>(name: string, kind: 'database' | 'signature', work: () => Promise<T> | T): Promise<T> {
    if (!trace.getActiveSpan()) return work()
    const span = this.#tracer.startSpan(name, {
      kind: kind === 'database' ? SpanKind.CLIENT : SpanKind.INTERNAL,
      attributes: kind === 'database' ? { 'db.operation.name': name } : {},
    })
    try {
      return await work()
    } catch (error) {
      // Without the error's message: it could contain anything.
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  }
}

/** The span of one request. */
export class RequestSpan {
  readonly traceId: string
  readonly #span: Span
  readonly #context: Context

  constructor(span: Span, within: Context) {
    this.traceId = span.spanContext().traceId
    this.#span = span
    this.#context = within
  }

  run<T>(work: () => T): T {
    return context.with(this.#context, work)
  }

  end(method: string, status: number, code: string | undefined): void {
    this.#span.setAttributes({ 'http.request.method': method, 'http.response.status_code': status })
    if (code !== undefined) this.#span.setAttribute('stagedoor.error_code', code)
    if (status >= 500) this.#span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', code ?? '500')
    this.#span.end()
  }
}

function remote({ traceId, spanId, traceFlags, state }: TraceParent): SpanContext {
  return {
    traceId,
    spanId,
    traceFlags,
    isRemote: true,
    ...(state === undefined ? {} : { traceState: createTraceState(state) }),
  }
}
