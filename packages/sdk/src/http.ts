import { type Camel, camelOf, snakeOf } from './camel.ts'
import { type ErrorDetail, failure, StagedoorError } from './errors.ts'
import { originOf } from './server-url.ts'

/** How to reach a server. */
export interface StagedoorOptions {
  /** `sk_…`: what `stagedoor keys create` prints. Keep it on servers. The environment's STAGEDOOR_SECRET_KEY unless given. */
  secretKey?: string | undefined
  /** Where the server is, with or without `/v1`. The environment's STAGEDOOR_SERVER_URL, or `http://127.0.0.1:4100`, unless given. */
  serverURL?: string | undefined
  /** Instead of the global `fetch`: a proxy, a test, or a server in the same process. */
  fetch?: ((request: Request) => Response | Promise<Response>) | undefined
  /** How long one attempt may take, in milliseconds. 10000 unless given. */
  timeoutMs?: number | undefined
}

interface Parameters {
  query?: object | undefined
  body?: object | undefined
}

/** Waits before the second and third attempt, in milliseconds; `Retry-After` goes before. */
const RETRY_WAITS_MS = [100, 400]

/** Browsers and some workers have none. */
const environment = (): Record<string, string | undefined> => globalThis.process?.env ?? {}

/** Sends requests and reads answers: the only place that knows the secret key, and the only one that retries. */
export class Http {
  readonly #secretKey: string
  readonly #origin: string
  readonly #fetch: (request: Request) => Response | Promise<Response>
  readonly #timeoutMs: number

  constructor({ secretKey, serverURL, fetch: send, timeoutMs = 10_000 }: StagedoorOptions) {
    this.#secretKey = checkedKey(secretKey ?? environment().STAGEDOOR_SECRET_KEY)
    this.#origin = originOf(serverURL ?? environment().STAGEDOOR_SERVER_URL ?? 'http://127.0.0.1:4100')
    this.#fetch = send ?? (request => fetch(request))
    this.#timeoutMs = timeoutMs
  }

  get<T>(path: string, query?: object): Promise<Camel<T>> {
    return this.#send('GET', path, { query })
  }

  list<T>(path: string, query?: object): Promise<{ data: Camel<T>[]; totalCount: number }> {
    return this.#send('GET', path, { query: { ...query, paginated: true } }) as Promise<never>
  }

  post<T>(path: string, body?: object): Promise<Camel<T>> {
    return this.#send('POST', path, { body })
  }

  patch<T>(path: string, body: object): Promise<Camel<T>> {
    return this.#send('PATCH', path, { body })
  }

  delete<T>(path: string): Promise<Camel<T>> {
    return this.#send('DELETE', path)
  }

  /**
   * A GET is tried again; anything else may have been done although its answer was lost. What was one request too many
   * (429) was not: that is tried again, whatever it is, if the wait is not too long.
   */
  async #send<T>(method: string, path: string, parameters: Parameters = {}): Promise<Camel<T>> {
    const url = `${this.#origin}${path}${search(parameters.query)}`
    const waits = [...RETRY_WAITS_MS]
    for (;;) {
      const { answer, error, retryAfterMs } = await this.#attempt(method, url, parameters.body)
      if (error === undefined) return camelOf(answer as T)
      const usual = waits.shift()
      const wait = retryAfterMs ?? usual
      const passing =
        error.status === 429 || (method === 'GET' && (error.code === 'connection_failed' || error.status === 503))
      if (!passing || usual === undefined || wait === undefined || wait > this.#timeoutMs) throw error
      await new Promise(resolve => setTimeout(resolve, wait))
    }
  }

  async #attempt(
    method: string,
    url: string,
    body: object | undefined,
  ): Promise<{ answer?: unknown; error?: StagedoorError; retryAfterMs?: number }> {
    const signal = AbortSignal.timeout(this.#timeoutMs)
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.#secretKey}`,
      accept: 'application/json',
      'user-agent': 'stagedoor-sdk-js',
    }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const request = new Request(url, {
      method,
      headers,
      signal,
      // A redirect is a wrong serverURL, and would turn a POST into a GET.
      redirect: 'manual',
      ...(body === undefined ? {} : { body: JSON.stringify(snakeOf(body)) }),
    })
    let response: Response
    let text: string
    try {
      response = await this.#fetch(request)
      text = await response.text()
    } catch (cause) {
      return {
        error: signal.aborted
          ? timedOut(method, url, this.#timeoutMs, cause)
          : notConnected(method, url, this.#origin, cause),
      }
    }
    const answer = parsed(text)
    if (response.ok && answer !== undefined) return { answer }
    const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN)
    return {
      error: refusal(method, url, response, answer),
      ...(retryAfter >= 0 ? { retryAfterMs: retryAfter * 1_000 } : {}),
    }
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

function notConnected(method: string, url: string, origin: string, cause: unknown): StagedoorError {
  const inner = (cause as { cause?: { code?: unknown } }).cause?.code
  const why = typeof inner === 'string' ? ` (${inner})` : ''
  return failure(
    'connection_failed',
    `${method} ${url} failed: no connection${why}`,
    `Is the server running at ${origin}? \`npx stagedoor dev\` starts one; \`serverURL\` says where it is.`,
    cause,
  )
}

function refusal(method: string, url: string, response: Response, answer: unknown): StagedoorError {
  const { errors, clerk_trace_id } = Object(answer) as { errors?: unknown; clerk_trace_id?: string }
  const traceId = clerk_trace_id ?? response.headers.get('clerk-trace-id') ?? undefined
  const [first, ...rest] = Array.isArray(errors) ? errors.map(detail) : []
  if (first !== undefined) return new StagedoorError(response.status, [first, ...rest], { traceId })
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
    { traceId },
  )
}

function detail(error: {
  code?: string
  message?: string
  long_message?: string
  meta?: { param_name?: string; action?: string }
}): ErrorDetail {
  return {
    code: error.code ?? 'response_invalid',
    message: error.long_message ?? error.message ?? 'The request was refused',
    paramName: error.meta?.param_name,
    action: error.meta?.action,
  }
}
