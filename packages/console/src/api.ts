/** Calls the Backend API as the operator who is signed in: same paths and shapes, under `/console/api`. */
import type { Session } from './wire.ts'

/** An answer that is not 2xx, or none at all. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  /** What to do next. */
  readonly action: string | undefined
  readonly meta: Record<string, unknown>
  readonly traceId: string | undefined

  constructor(status: number, body: ErrorBody | undefined, retryAfter: string | null) {
    const [first] = body?.errors ?? []
    super(first?.long_message ?? first?.message ?? textOf(status))
    this.status = status
    this.code = first?.code ?? (status === 0 ? 'offline' : 'unknown')
    this.meta = first?.meta ?? {}
    const action = this.meta['action']
    const wait = retryAfter === null ? undefined : `Try again in ${retryAfter} s.`
    this.action = typeof action === 'string' ? action : wait
    this.traceId = body?.clerk_trace_id
  }

  /** The roles that may do what was refused. */
  get roles(): string[] {
    const roles = this.meta['roles']
    return Array.isArray(roles) ? roles.map(String) : []
  }
}

interface ErrorBody {
  errors?: { code: string; message: string; long_message?: string; meta?: Record<string, unknown> }[]
  clerk_trace_id?: string
}

function textOf(status: number): string {
  if (status === 0) return 'The server does not answer.'
  if (status === 503 || status === 502 || status === 504) return 'The server is overloaded or restarts.'
  return `The server answered with ${status}.`
}

export type Query = Record<string, string | number | boolean | undefined | null>

/** Returns a path with its query. Empty values are omitted. */
export function pathOf(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '')
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return text === '' ? path : `${path}?${text}`
}

const BASE = '/console/api'

/** Called with each 401, which ends what the page can do. */
let onSignedOut: () => void = () => {}
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener
}

async function send<T>(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  onHeaders?: (headers: Headers) => void,
): Promise<T> {
  const headers = { accept: 'application/json', ...(method === 'GET' ? {} : { 'content-type': 'application/json' }) }
  const answer = await fetch(`${BASE}${path}`, {
    method,
    headers,
    credentials: 'same-origin',
    cache: 'no-store',
    ...(method === 'GET' ? {} : { body: JSON.stringify(body ?? {}) }),
    ...(signal ? { signal } : {}),
  }).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, undefined, null)
  })
  const json = await answer.json().catch(() => undefined)
  if (answer.ok) {
    onHeaders?.(answer.headers)
    return json as T
  }
  const error = new ApiError(answer.status, json as ErrorBody | undefined, answer.headers.get('retry-after'))
  if (error.status === 401 && error.code === 'operator_session_invalid') onSignedOut()
  throw error
}

export const api = {
  get: <T>(path: string, query?: Query, signal?: AbortSignal) => send<T>('GET', pathOf(path, query), undefined, signal),
  post: <T>(path: string, body?: unknown, signal?: AbortSignal) => send<T>('POST', path, body, signal),
  /** Ends a session. `followers`: to how many followers of the server its end was sent; undefined if that is not known. */
  async endSession(id: string, reason: string): Promise<{ session: Session; followers: number | undefined }> {
    let followers: number | undefined
    const session = await send<Session>('POST', `/v1/sessions/${id}/revoke`, { reason }, undefined, headers => {
      const text = headers.get('stagedoor-followers')
      followers = text === null ? undefined : Number(text)
    })
    return { session, followers }
  },
  put: <T>(path: string, body?: unknown) => send<T>('PUT', path, body),
}

/** Sends JSON to one of the console’s own addresses, which are not part of the API: `/console/join`. */
export async function postOwn<T>(path: string, body: unknown): Promise<T> {
  const answer = await fetch(`/console${path}`, {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    credentials: 'same-origin',
    cache: 'no-store',
    body: JSON.stringify(body),
  }).catch(() => {
    throw new ApiError(0, undefined, null)
  })
  const json = await answer.json().catch(() => undefined)
  if (!answer.ok) throw new ApiError(answer.status, json as ErrorBody | undefined, answer.headers.get('retry-after'))
  return json as T
}

/** Whether a request failed because the server cannot be reached. */
export const isOffline = (error: unknown) => error instanceof ApiError && error.status === 0
