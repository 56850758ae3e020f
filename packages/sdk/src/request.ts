/** For everything that uses `Request` and `Response`: Workers, Bun, Deno, edge functions, and frameworks without a file here. */
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { responseOf } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** Returns undefined if a request is allowed, otherwise the answer with the refusal, which your handler returns. */
export type RequestGuard = (
  auth: Auth,
  request: Pick<Request, 'method' | 'url'> & Partial<Pick<Request, 'headers'>>,
) => Response | undefined

/**
 * Creates a function that authenticates requests. Create it once, because it caches the keys.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request, if your app keeps its own login
 * @returns a function from a `Request` to `{ userId, sessionId, actor, isActing, claims }`; if the request is signed out,
 *   `isActing` is false and the others are null
 * @throws TypeError if the options are invalid
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
  return async request => find(request, name => request.headers.get(name))
}

/** Refuses signed-out requests: 401 `authentication_invalid`. */
export const requireUser = answering(guards.requireUser)

/** Allows only users themselves, for sensitive actions. Requests with an actor get 403 `forbidden_while_acting`. */
export const forbidActing = answering(guards.forbidActing)

/** Refuses requests without an actor: 403 `acting_required`. */
export const requireActing = answering(guards.requireActing)

/** Refuses signed-out requests, and requests of actors with methods except GET, HEAD and OPTIONS: 403 `forbidden_while_acting`. */
export const readOnlyWhileActing = answering(guards.readOnlyWhileActing)

/**
 * Creates a guard that refuses certain paths while acting: a safety net in addition to {@link forbidActing} at the handlers.
 *
 * @param actions names of actions, each with its paths: {@link neverWhileActing}, and your own
 * @throws TypeError if a pattern is invalid
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
    // Reject a promise of an auth: it would look like a request without an actor.
    if (typeof auth?.isActing !== 'boolean' || typeof request?.method !== 'string') {
      throw new TypeError(
        'A guard takes the auth of a request, and the request: guard(await authenticate(request), request)',
      )
    }
    const { method, url, headers } = request
    const methods = methodsOf({ actual: [method], header: name => headers?.get(name), urls: [url] })
    const refused = guard(auth, { methods, urls: [url] })
    return refused && responseOf(refused)
  }
}
