import { camelOf, snakeOf } from './camel.ts'
import { type ErrorDetail, failure, StagedoorError } from './errors.ts'
import { listOf, type Page } from './list.ts'
import { errorTexts } from './models/error-texts.ts'
import type { TotalCount } from './models/schemas.ts'
import { retryAfterSeconds } from './retry-after.ts'
import { originOf } from './server-url.ts'
import { sleep } from './sleep.ts'

/** How to reach a server. */
export interface StagedoorOptions {
  /** `sk_…`: what `stagedoor keys create` prints. Keep it on servers. The environment's STAGEDOOR_SECRET_KEY unless given. */
  secretKey?: string | undefined
  /** The same, by the name that Clerk's generated SDKs have for it. */
  bearerAuth?: string | undefined
  /**
   * Where the server is, with or without `/v1`. The environment's STAGEDOOR_SERVER_URL, or `http://127.0.0.1:4100`, unless
   * given. `https://api.clerk.com` is Clerk itself, which has most of these operations.
   */
  serverURL?: string | undefined
  /** Instead of the global `fetch`: a proxy, a test, or a server in the same process. */
  fetch?: ((request: Request) => Response | Promise<Response>) | undefined
  /** How long one attempt may take, in milliseconds. 10000 unless given. */
  timeoutMs?: number | undefined
  /** How often what can safely be tried again is. 2 unless given; 0: never. */
  maxRetries?: number | undefined
}

/** What any method takes last. */
export interface RequestOptions {
  /** Gives up at once when it is aborted, also between two attempts; what has been sent may have been done. */
  signal?: AbortSignal | undefined
  /** How long one attempt may take, in milliseconds; the client's unless given. */
  timeoutMs?: number | undefined
  /** How often it is tried again; the client's unless given. */
  maxRetries?: number | undefined
}

/** What methods that create something take last. */
export interface CreateOptions extends RequestOptions {
  /**
   * Names this creation, so that it happens once however often it is asked for within 24 hours: 1 to 255 printable ASCII
   * characters. One is made for each call unless given; give one if your own job may run twice. Clerk's own API knows
   * none: there it is not sent, and creations are not tried again.
   */
  idempotencyKey?: string | undefined
}

interface ListKind {
  /** Where Clerk says how many there are, of a list that it answers with a bare array. */
  count?: string
  /** Rows can change their place in the list while it is read. */
  movable?: boolean
}

interface Sent {
  query?: object | undefined
  body?: object | undefined
  headers?: Record<string, string> | undefined
  /** Nothing is done twice by asking twice. */
  repeatable?: boolean
}

/** Before the second attempt, in milliseconds, and doubled for each one more; `Retry-After` goes before. */
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 5_000
/** Somebody on the way could not, or not now. */
const PASSING = new Set([502, 503, 504])
/** The API that the answers are read as. Stagedoor takes any. */
const CLERK_API_VERSION = '2026-05-12'

/** Browsers and some workers have none. */
const environment = (): Record<string, string | undefined> => globalThis.process?.env ?? {}

/** Sends requests and reads answers: the only place that knows the secret key, and the only one that retries. */
export class Http {
  readonly #secretKey: string
  readonly #origin: string
  readonly #fetch: (request: Request) => Response | Promise<Response>
  readonly #timeoutMs: number
  readonly #maxRetries: number
  /** Clerk has no idempotency keys: there, asking twice may make two. */
  /** Clerk's own API refuses what is only ours. */
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

  /** A POST that makes something: once, however often it is sent. */
  create<T>(path: string, body: object, { idempotencyKey, ...options }: CreateOptions = {}): Promise<T> {
    if (this.isClerk) return this.post(path, body, options)
    const headers = { 'idempotency-key': checkedIdempotencyKey(idempotencyKey ?? crypto.randomUUID()) }
    return this.#send('POST', path, { body, headers, repeatable: true }, options)
  }

  patch<T>(path: string, body: object, options?: RequestOptions): Promise<T> {
    return this.#send('PATCH', path, { body }, options)
  }

  delete<T>(path: string, options?: RequestOptions): Promise<T> {
    return this.#send('DELETE', path, {}, options)
  }

  /** The body of an answer that goes on, as it comes. Not tried again. */
  async stream(
    path: string,
    query: object | undefined,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
  ): Promise<ReadableStream<Uint8Array>> {
    const sent = { query, headers: { ...headers, accept: 'text/event-stream' } }
    const url = this.#url(path, sent)
    const request = this.#request('GET', url, sent, signal)
    let response: Response
    try {
      response = await this.#fetch(request)
    } catch (cause) {
      if (signal?.aborted) throw aborted('GET', url, cause)
      throw notConnected('GET', url, this.#origin, cause)
    }
    if (response.status === 200 && response.body) return response.body
    throw refusal('GET', url, response, parsed(await response.text()))
  }

  /**
   * What can be asked twice without being done twice is tried again when there was no connection, or somebody on the way
   * could not. Anything else may have been done although its answer was lost. What was one request too many (429) was not
   * done: that is tried again, whatever it is, if the wait is not too long.
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
      // A redirect is a wrong serverURL, and would turn a POST into a GET.
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

/** A path with its ids encoded. @example path`/v1/users/${id}/ban` */
export function path(texts: TemplateStringsArray, ...ids: string[]): string {
  return texts.map((text, index) => (index === 0 ? '' : segment(ids[index - 1])) + text).join('')
}

function segment(id: unknown): string {
  // URLs resolve dots even when they are encoded: such an id would name another address.
  if (typeof id !== 'string' || id === '' || id === '.' || id === '..') {
    const detail = {
      code: 'resource_not_found',
      message: `${JSON.stringify(id) ?? 'undefined'} is not an id`,
      action: 'Give the `id` of what is meant.',
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
      'Pass `secretKey`, the sk_… that `stagedoor keys create` prints (`stagedoor dev` prints one too), usually from an environment variable.',
    )
  }
  // Checked here because the platform's own error about a bad header quotes the header.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw failure(
      'secret_key_invalid',
      'The secret key holds a space, a line break or another character no key has',
      'Copy it again, whole and alone.',
    )
  }
  return key
}

function checkedIdempotencyKey(key: string): string {
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return key
  throw failure(
    'idempotency_key_invalid',
    'The idempotency key must be 1 to 255 printable ASCII characters',
    'Name the creation by something short that is the same each time it is tried, such as the id of your own record.',
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
      ? 'Try again, or give a longer `timeoutMs`.'
      : 'It may have been done all the same: look before trying again, or give a longer `timeoutMs`.'
  return failure('timeout', `${method} ${url} was not answered within ${timeoutMs} ms`, action, cause)
}

function aborted(method: string, url: string, cause: unknown): StagedoorError {
  return failure(
    'aborted',
    `${method} ${url} was given up, as its \`signal\` asked for`,
    method === 'GET' ? 'Ask again when it is wanted.' : 'It may have been done all the same: look before trying again.',
    cause,
  )
}

function notConnected(method: string, url: string, origin: string, cause: unknown): StagedoorError {
  const inner = (cause as { cause?: { code?: unknown } }).cause?.code
  const why = typeof inner === 'string' ? ` (${inner})` : ''
  return failure(
    'connection_failed',
    `${method} ${url} failed: no connection${why}`,
    `Is the server running at ${origin}? \`stagedoor dev\` starts one. Give its address as \`serverURL\` or in STAGEDOOR_SERVER_URL.`,
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
  const what = location === null ? '' : `, sending on to ${location}`
  return new StagedoorError(
    response.status,
    [
      {
        code: 'response_invalid',
        message: `${method} ${url} answered ${response.status}${what}, which is no answer of Stagedoor's`,
        action: 'Check `serverURL`, and any proxy before the server.',
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
  meta?: { param_name?: string; action?: string }
}): ErrorDetail {
  const { code = 'response_invalid', long_message: serverMessage = error.message, meta } = error
  return {
    code,
    message: ownText(code, meta?.param_name) ?? serverMessage ?? 'The request was refused',
    serverMessage,
    paramName: meta?.param_name,
    action: meta?.action,
  }
}

/** Our own words for a code whose words on the wire are Clerk's. */
function ownText(code: string, paramName: string | undefined): string | undefined {
  const text = Object.hasOwn(errorTexts, code) ? errorTexts[code] : undefined
  if (!text?.includes('{param_name}')) return text
  return paramName === undefined ? undefined : text.replace('{param_name}', () => paramName)
}
