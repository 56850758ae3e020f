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
  if (value === undefined || name === 'cookie') return value
  return request.headersDistinct?.[name]?.join(', ') ?? value
}
