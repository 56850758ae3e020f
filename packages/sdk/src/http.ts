import { camelOf, snakeOf } from './camel.ts'
import { type ErrorDetail, failure, StagedoorError } from './errors.ts'
import { listOf, type Page } from './list.ts'
import { errorTexts } from './models/error-texts.ts'
import type { TotalCount } from './models/schemas.ts'
import { retryAfterSeconds } from './retry-after.ts'
import { originOf } from './server-url.ts'
import { sleep } from './sleep.ts'

/** Options of the client. */
export interface StagedoorOptions {
  /** `sk_…`, as `stagedoor keys create` prints it. Keep it on servers. Default: the environment's STAGEDOOR_SECRET_KEY. */
  secretKey?: string | undefined
  /** Same as `secretKey`, under its name in Clerk's generated SDKs. */
  bearerAuth?: string | undefined
  /**
   * URL of the server, with or without `/v1`. Default: the environment's STAGEDOOR_SERVER_URL, or `http://127.0.0.1:4100`.
   * `https://api.clerk.com` is Clerk itself, which has most of these operations.
   */
  serverURL?: string | undefined
  /** Replaces the global `fetch`, for a proxy, a test, or a server in the same process. */
  fetch?: ((request: Request) => Response | Promise<Response>) | undefined
  /** Timeout of one attempt, in milliseconds. Default: 10000. */
  timeoutMs?: number | undefined
  /** Maximum number of retries of requests that are safe to retry. Default: 2; 0 turns retries off. */
  maxRetries?: number | undefined
}

/** The last parameter of every method. */
export interface RequestOptions {
  /** Aborts the request or the wait between two attempts. A request that was already sent may have been processed. */
  signal?: AbortSignal | undefined
  /** Timeout of one attempt, in milliseconds. Default: the client's. */
  timeoutMs?: number | undefined
  /** Maximum number of retries. Default: the client's. */
  maxRetries?: number | undefined
}

/** The last parameter of methods that create something. */
export interface CreateOptions extends RequestOptions {
  /**
   * Identifies this creation: within 24 hours, requests with the same key create only one object. 1 to 255 printable ASCII
   * characters. Default: a new key per call. Pass a key if your own job may run twice. Clerk's API has no idempotency keys:
   * there it is not sent, and creations are not retried.
   */
  idempotencyKey?: string | undefined
}

interface ListKind {
  /** Clerk's path for the count of a list, which Clerk answers with an array only. */
  count?: string
  /** Rows can change their position in the list while it is read. */
  movable?: boolean
}

interface Sent {
  query?: object | undefined
  body?: object | undefined
  headers?: Record<string, string> | undefined
  /** The request is safe to retry: sending it twice has the same effect as once. */
  repeatable?: boolean
}

/** Default wait before the first retry, in milliseconds. It doubles for each further one. `Retry-After` takes precedence. */
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5_000
/** Temporary failures of the server or a proxy. */
const PASSING = new Set([502, 503, 504])
/** The version of Clerk's API whose answers this client reads. Stagedoor accepts any version. */
const CLERK_API_VERSION = '2026-05-12'

/** Returns the environment variables. Browsers and some workers have none. */
const environment = (): Record<string, string | undefined> => globalThis.process?.env ?? {}

/** Sends requests and reads answers. Only this class knows the secret key, and only this class retries. */
export class Http {
  readonly #secretKey: string
  readonly #origin: string
  readonly #fetch: (request: Request) => Response | Promise<Response>
  readonly #timeoutMs: number
  readonly #maxRetries: number
  /** Whether the server is Clerk's own API. It has no idempotency keys, and refuses members that only Stagedoor has. */
  readonly isClerk: boolean

  constructor({ secretKey, bearerAuth, serverURL, fetch: send, timeoutMs = 10_000, maxRetries = 2 }: StagedoorOptions) {
    this.#secretKey = checkedKey(secretKey ?? bearerAuth ?? environment().STAGEDOOR_SECRET_KEY)
    this.#origin = originOf(serverURL ?? environment().STAGEDOOR_SERVER_URL ?? 'http://127.0.0.1:4100')
    this.#fetch = send ?? (request => fetch(request))
    this.#timeoutMs = timeoutMs
    this.#maxRetries = maxRetries
    this.isClerk = /(^|\.)clerk\.(com|dev)$/.test(new URL(this.#origin).hostname)
  }

  get<T>(path: string, query?: object, options?: RequestOptions): Promise<T> {
    return this.#send('GET', path, { query, repeatable: true }, options)
  }

  list<T>(path: string, query: object = {}, options?: RequestOptions, { count, movable }: ListKind = {}) {
    const read = async (part: object): Promise<{ page: Page<T>; byOffset: boolean }> => {
      const sent = { query: { ...part, paginated: true }, repeatable: true }
      const answer: unknown = await this.#send('GET', path, sent, options)
      if (!Array.isArray(answer)) return { page: answer as Page<T>, byOffset: false }
      const { limit: _, offset = 0, orderBy: __, startingAfter: ___, ...filter } = part as Record<string, unknown>
      const totalCount =
        count === undefined
          ? Number(offset) + answer.length
          : (await this.get<TotalCount>(count, filter, options)).totalCount
      return { page: { data: answer, totalCount }, byOffset: true }
    }
    return listOf<T>(query, read, movable)
  }

  post<T>(path: string, body?: object, options?: RequestOptions): Promise<T> {
    return this.#send('POST', path, { body }, options)
  }

  /** Sends a POST that creates something, with an idempotency key, so that retries create nothing more. */
  create<T>(path: string, body: object, { idempotencyKey, ...options }: CreateOptions = {}): Promise<T> {
    if (this.isClerk) return this.post(path, body, options)
    const headers = { 'idempotency-key': checkedIdempotencyKey(idempotencyKey ?? crypto.randomUUID()) }
    return this.#send('POST', path, { body, headers, repeatable: true }, options)
  }

  patch<T>(path: string, body: object, options?: RequestOptions): Promise<T> {
    return this.#send('PATCH', path, { body }, options)
  }

  /** Replaces something: sending it twice has the same effect as once. */
  put<T>(path: string, body?: object, options?: RequestOptions): Promise<T> {
    return this.#send('PUT', path, { body, repeatable: true }, options)
  }

  delete<T>(path: string, options?: RequestOptions): Promise<T> {
    return this.#send('DELETE', path, {}, options)
  }

  /** Returns the body of a streamed answer. Does not retry. */
  async stream(
    path: string,
    query: object | undefined,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<ReadableStream<Uint8Array>> {
    return (await this.open(path, query, { accept: 'text/event-stream', ...headers }, signal)).body
  }

  /** Returns a successful answer whose body has not been read. Does not retry. */
  async open(
    path: string,
    query: object | undefined,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<{ body: ReadableStream<Uint8Array>; headers: Headers }> {
    const sent = { query, headers }
    const url = this.#url(path, sent)
    const request = this.#request('GET', url, sent, signal)
    let response: Response
    try {
      response = await this.#fetch(request)
    } catch (cause) {
      if (signal?.aborted) throw aborted('GET', url, cause)
      throw notConnected('GET', url, this.#origin, cause)
    }
    if (response.status === 200 && response.body) return { body: response.body, headers: response.headers }
    throw refusal('GET', url, response, parsed(await response.text()))
  }

  /**
   * Sends a request. Retries requests that are safe to retry after a lost connection or a temporary failure. Other requests
   * may have been processed although the answer was lost, so they are not retried. A request that was answered 429 was not
   * processed, so it is always retried, unless the requested wait is longer than the timeout.
   */
  async #send<T>(method: string, path: string, sent: Sent, options: RequestOptions = {}): Promise<T> {
    const { signal, timeoutMs = this.#timeoutMs, maxRetries = this.#maxRetries } = options
    const url = this.#url(path, sent)
    for (let retries = 0; ; retries++) {
      const { answer, error } = await this.#attempt(method, url, sent, timeoutMs, signal)
      if (error === undefined) return camelOf(answer) as T
      const usual = Math.min(FIRST_WAIT_MS * 2 ** retries, LONGEST_WAIT_MS) * (0.5 + Math.random())
      const wait = error.retryAfter === undefined ? usual : error.retryAfter * 1_000
      const lost = error.code === 'connection_failed' || PASSING.has(error.status)
      const passing = error.status === 429 || (sent.repeatable === true && lost)
      if (!passing || retries >= maxRetries || wait > timeoutMs) throw error
      await sleep(wait, signal)
      if (signal?.aborted) throw aborted(method, url, signal.reason)
    }
  }

  #url(path: string, { query }: Sent): string {
    return `${this.#origin}${path}${search(query)}`
  }

  #request(method: string, url: string, { body, headers }: Sent, signal: AbortSignal | undefined): Request {
    return new Request(url, {
      method,
      headers: {
        authorization: `Bearer ${this.#secretKey}`,
        accept: 'application/json',
        'user-agent': 'stagedoor-sdk-js',
        'clerk-api-version': CLERK_API_VERSION,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      // A redirect means that serverURL is wrong. Following it would turn a POST into a GET.
      redirect: 'manual',
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined ? {} : { body: JSON.stringify(snakeOf(body)) }),
    })
  }

  async #attempt(
    method: string,
    url: string,
    sent: Sent,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ answer?: unknown; error?: StagedoorError }> {
    const late = AbortSignal.timeout(timeoutMs)
    const request = this.#request(method, url, sent, signal ? AbortSignal.any([signal, late]) : late)
    let response: Response
    let text: string
    try {
      response = await this.#fetch(request)
      text = await response.text()
    } catch (cause) {
      if (signal?.aborted) return { error: aborted(method, url, cause) }
      const error = late.aborted
        ? timedOut(method, url, timeoutMs, cause)
        : notConnected(method, url, this.#origin, cause)
      return { error }
    }
    const answer = parsed(text)
    return response.ok && answer !== undefined ? { answer } : { error: refusal(method, url, response, answer) }
  }
}

/** Builds a path, and encodes the ids in it. @example path`/v1/users/${id}/ban` */
export function path(texts: TemplateStringsArray, ...ids: string[]): string {
  return texts.map((text, index) => (index === 0 ? '' : segment(ids[index - 1])) + text).join('')
}

function segment(id: unknown): string {
  // URLs resolve `.` and `..` even if they are encoded, so such an id would change the path.
  if (typeof id !== 'string' || id === '' || id === '.' || id === '..') {
    const detail = {
      code: 'resource_not_found',
      message: `${JSON.stringify(id) ?? 'undefined'} is not an id`,
      action: 'Pass the `id` of the object.',
      paramName: undefined,
    }
    throw new StagedoorError(404, [detail])
  }
  return encodeURIComponent(id)
}

function search(query: object | undefined): string {
  const given = Object.entries(snakeOf(query ?? {}) as object).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter(each => each !== undefined && each !== null)
      .map((each): [string, string] => [name, String(each)]),
  )
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}

function checkedKey(key: string | undefined): string {
  if (typeof key !== 'string' || key === '') {
    throw failure(
      'secret_key_missing',
      'There is no secret key',
      'Pass `secretKey`: the sk_… that `stagedoor keys create` or `stagedoor dev` prints, usually from an environment variable.',
    )
  }
  // Check the key here, because the platform's error for an invalid header would include the header's value.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw failure(
      'secret_key_invalid',
      'The secret key contains a space, a line break or another character that is not valid in a key',
      'Copy the complete key again, without anything before or after it.',
    )
  }
  return key
}

function checkedIdempotencyKey(key: string): string {
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return key
  throw failure(
    'idempotency_key_invalid',
    'The idempotency key must be 1 to 255 printable ASCII characters',
    'Use a short text that is the same for each attempt, such as the id of your own record.',
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function timedOut(method: string, url: string, timeoutMs: number, cause: unknown): StagedoorError {
  const action =
    method === 'GET'
      ? 'Try again, or set a longer `timeoutMs`.'
      : 'The request may have been processed: check before you try again, or set a longer `timeoutMs`.'
  return failure('timeout', `${method} ${url} was not answered within ${timeoutMs} ms`, action, cause)
}

function aborted(method: string, url: string, cause: unknown): StagedoorError {
  return failure(
    'aborted',
    `${method} ${url} was aborted by its \`signal\``,
    method === 'GET'
      ? 'Send it again if you need it.'
      : 'The request may have been processed: check before you try again.',
    cause,
  )
}

function notConnected(method: string, url: string, origin: string, cause: unknown): StagedoorError {
  const inner = (cause as { cause?: { code?: unknown } }).cause?.code
  const why = typeof inner === 'string' ? ` (${inner})` : ''
  return failure(
    'connection_failed',
    `${method} ${url} failed: no connection${why}`,
    `Is the server running at ${origin}? \`stagedoor dev\` starts one. Set its URL with \`serverURL\` or STAGEDOOR_SERVER_URL.`,
    cause,
  )
}

function refusal(method: string, url: string, response: Response, answer: unknown): StagedoorError {
  const { errors, clerk_trace_id } = Object(answer) as { errors?: unknown; clerk_trace_id?: string }
  const traceId = clerk_trace_id ?? response.headers.get('clerk-trace-id') ?? undefined
  const [first, ...rest] = Array.isArray(errors) ? errors.map(detail) : []
  const retryAfter = retryAfterSeconds(response.headers.get('retry-after'), Date.now())
  if (first !== undefined) return new StagedoorError(response.status, [first, ...rest], { traceId, retryAfter })
  const location = response.headers.get('location')
  const what = location === null ? '' : `, a redirect to ${location}`
  return new StagedoorError(
    response.status,
    [
      {
        code: 'response_invalid',
        message: `${method} ${url} answered ${response.status}${what}, which is not an answer of Stagedoor`,
        action: 'Check `serverURL`, and any proxy in front of the server.',
        paramName: undefined,
      },
    ],
    { traceId, retryAfter },
  )
}

function detail(error: {
  code?: string
  message?: string
  long_message?: string
  meta?: { param_name?: string; action?: string; [member: string]: unknown }
}): ErrorDetail {
  const { code = 'response_invalid', long_message: serverMessage = error.message, meta } = error
  return {
    code,
    message: ownText(code, meta?.param_name) ?? serverMessage ?? 'The request was refused',
    serverMessage,
    paramName: meta?.param_name,
    action: meta?.action,
    meta,
  }
}

/** Returns Stagedoor's own text for a code whose text on the wire is Clerk's. */
function ownText(code: string, paramName: string | undefined): string | undefined {
  const text = Object.hasOwn(errorTexts, code) ? errorTexts[code] : undefined
  if (!text?.includes('{param_name}')) return text
  return paramName === undefined ? undefined : text.replace('{param_name}', () => paramName)
}
