import { post } from '../http.ts'

/** What all products have in common that are not started here: the user installs them and gives their address. */

/** One kind of work of an external product. */
export interface ExternalWork {
  name: string
  /** Returns complete requests to send in turn, with credentials that last for a round. */
  requests(): Promise<string[]>
  origin: string
  /** The member of each answer that must be a text. */
  member: string
}

export interface External extends AsyncDisposable {
  works: ExternalWork[]
  /** Process ids, if the user gave them and the product runs on this machine. */
  pids: number[]
  databasePids: number[]
}

interface Question {
  method?: string
  body?: unknown
  form?: Record<string, string>
  token?: string
  /** The expected status. */
  status: number
}

/** Sends one request that prepares a measurement. @throws Error if the status is not the expected one */
export async function ask(url: string, { method = 'POST', body, form, token, status }: Question): Promise<Response> {
  const response = await fetch(url, {
    method,
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
  })
  if (response.status === status) return response
  throw new Error(`${method} ${url}: expected status ${status}, got ${response.status}: ${await response.text()}`)
}

/** Returns a request as text for the load, with the Host that the product expects. */
export function requestTo(url: string, type: 'json' | 'x-www-form-urlencoded', body: string, headers = ''): string {
  const { host, pathname } = new URL(url)
  return post(pathname, type, body, headers).replace('Host: 127.0.0.1', `Host: ${host}`)
}
