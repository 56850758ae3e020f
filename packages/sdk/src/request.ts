/** For whatever speaks `Request` and `Response`: Workers, Bun, Deno, edge functions, frameworks without a file here. */
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { responseOf } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** Says whether a request may pass: undefined, or the answer that says why not. Return that. */
export type RequestGuard = (
  auth: Auth,
  request: Pick<Request, 'method' | 'url'> & Partial<Pick<Request, 'headers'>>,
) => Response | undefined

/**
 * Makes a function that finds out who a request is from. Make it once: it keeps the keys.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request, if your app keeps its own login
 * @returns a function from a `Request` to `{ userId, sessionId, actor, isActing, claims }`, null and false when signed
 *   out
 * @throws TypeError if the options make no sense
 * @see RFC 6750 §2.1, RFC 8693 §4.1
 * @example
 * import { createAuthenticator, forbidActing } from '@stagedoor/sdk/request'
 *
 * const authenticate = createAuthenticator({ issuer: 'http://127.0.0.1:4100' })
 *
 * export default {
 *   async fetch(request: Request): Promise<Response> {
 *     const auth = await authenticate(request)
 *     const refused = forbidActing(auth, request)
 *     if (refused) return refused
 *     return Response.json({ deleted: auth.userId })
 *   },
 * }
 */
export function createAuthenticator<Incoming extends Request = Request>(
  options: AuthOptions<Incoming>,
): (request: Incoming) => Promise<Auth> {
  const find = createAuthenticate(options)
  return request => find(request, name => request.headers.get(name))
}

/** Refuses those who are not signed in: 401 `authentication_invalid`. */
export const requireUser = answering(guards.requireUser)

/** Refuses all but users themselves: 403 `forbidden_while_acting` while somebody acts as them. For what is sensitive. */
export const forbidActing = answering(guards.forbidActing)

/** Refuses those who do not act as a user: 403 `acting_required`. */
export const requireActing = answering(guards.requireActing)

/** Refuses those who are not signed in; while acting, all but GET, HEAD and OPTIONS: 403 `forbidden_while_acting`. */
export const readOnlyWhileActing = answering(guards.readOnlyWhileActing)

/**
 * Makes a guard that refuses certain paths while acting: a net beneath {@link forbidActing} at the handlers.
 *
 * @param actions by name, the paths each is done at: {@link neverWhileActing}, with yours added
 * @throws TypeError if a pattern is none
 * @example
 * import { createAuthenticator, forbidActingOn, neverWhileActing } from '@stagedoor/sdk/request'
 *
 * const authenticate = createAuthenticator({ issuer: 'http://127.0.0.1:4100' })
 * const forbidden = forbidActingOn({ ...neverWhileActing, closeStore: ['POST /store/close'] })
 * const request = new Request('http://127.0.0.1:3000/account/password', { method: 'POST' })
 * const refused = forbidden(await authenticate(request), request)
 */
export function forbidActingOn(actions: ActionPatterns): RequestGuard {
  return answering(pathGuard(actions))
}

function answering(guard: guards.Guard): RequestGuard {
  return (auth, request) => {
    // A promise of an auth would be nobody acting.
    if (typeof auth?.isActing !== 'boolean' || typeof request?.method !== 'string') {
      throw new TypeError(
        'A guard takes who the request is from, and the request: guard(await authenticate(request), request)',
      )
    }
    const { method, url, headers } = request
    const methods = methodsOf({ actual: [method], header: name => headers?.get(name), urls: [url] })
    const refused = guard(auth, { methods, urls: [url] })
    return refused && responseOf(refused)
  }
}
