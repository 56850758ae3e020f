import type { IncomingMessage } from 'node:http'
import type { Auth } from './auth.ts'

/**
 * Stores auth by request, not in a member of the request. Other packages also write a member `auth`, and a guard that read
 * theirs would find no actor.
 */
const known = new WeakMap<object, Auth>()

export function rememberAuth(request: object, auth: Auth): void {
  known.set(request, auth)
}

/** @throws TypeError if the request never went through `authenticate` */
export function authOf(request: object, howToAuthenticate: string): Auth {
  const auth = known.get(request)
  if (auth) return auth
  throw new TypeError(`This request was not authenticated. First call: ${howToAuthenticate}`)
}

/** Reads a header of a Node request. Joins several `Authorization` headers, of which Node keeps only the first, so that two tokens are refused. */
export function headerOf(request: IncomingMessage, name: 'authorization' | 'cookie'): string | undefined {
  const value = request.headers[name]
  if (value === undefined || name === 'cookie' || isOnly(value, name, request.rawHeaders)) return value
  return request.headersDistinct?.[name]?.join(', ') ?? value
}

/** Whether a header was received once, with this value. Finding out is cheaper than `headersDistinct`, which copies all headers. */
function isOnly(value: string, name: string, rawHeaders: readonly string[] | undefined): boolean {
  let found: string | undefined
  for (let i = 0; rawHeaders && i < rawHeaders.length; i += 2) {
    const each = rawHeaders[i] as string
    if (each.length !== name.length || each.toLowerCase() !== name) continue
    if (found !== undefined) return false
    found = rawHeaders[i + 1]
  }
  return found === value
}
