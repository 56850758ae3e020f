import type { IncomingMessage } from 'node:http'
import type { Auth } from './auth.ts'

/**
 * By request, and not in a member of it: other packages write a member `auth` too, and a guard that read theirs would
 * find nobody acting.
 */
const known = new WeakMap<object, Auth>()

export function rememberAuth(request: object, auth: Auth): void {
  known.set(request, auth)
}

/** @throws TypeError if the request never went through `authenticate` */
export function authOf(request: object, howToAuthenticate: string): Auth {
  const auth = known.get(request)
  if (auth) return auth
  throw new TypeError(`Nobody has found out who this request is from. Before this comes: ${howToAuthenticate}`)
}

/** A header of a request of Node. Node itself keeps only the first `Authorization`; two tokens are one too many. */
export function headerOf(request: IncomingMessage, name: 'authorization' | 'cookie'): string | undefined {
  const value = request.headers[name]
  if (value === undefined || name === 'cookie') return value
  return request.headersDistinct?.[name]?.join(', ') ?? value
}
