/** For everything that uses `Request` and `Response`: Workers, Bun, Deno, edge functions, and frameworks without a file here. */
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { limitGuard } from './auth/limits.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { RefusedError, responseOf } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, ReadOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'
export { RefusedError } from './auth/refusal.ts'

/** Returns undefined if a request is allowed, otherwise the answer with the refusal, which your handler returns. */
export type RequestGuard = (
  auth: Auth,
  request: Pick<Request, 'method' | 'url'> & Partial<Pick<Request, 'headers'>>,
) => Response | undefined

/**
 * Creates a function that authenticates requests. Create it once, because it caches the keys.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request, if your app keeps its own login. `reads` lists endpoints that only read although
 *   their method is not `GET`: `['POST /search']`
 * @returns a function from a `Request` to `{ userId, sessionId, actor, isActing, access, scopes, claims }`. If the request is signed out,
 *   `isActing` is false and the others are null. In a session that may only read it throws {@link RefusedError} for methods
 *   except GET, HEAD and OPTIONS; `error.toResponse()` is the answer
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
  const limit = limitGuard(options)
  return async request => {
    const auth = await find(request, name => request.headers.get(name))
    const refused = auth.access === 'read' && limit(auth, guardedOf(request))
    if (refused) throw new RefusedError(refused)
    return auth
  }
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
 * Creates a guard that allows users, and actors whose session has a scope or is not limited to scopes. Others get 403
 * `forbidden_while_acting`.
 *
 * @param scope a word of your app, as in the `scopes` of the actor token
 * @throws TypeError if it cannot be a scope
 * @see RFC 8693 §4.2
 * @example
 * import { createAuthenticator, requireScope } from '@stagedoor/sdk/request'
 *
 * const authenticate = createAuthenticator({ issuer: 'http://127.0.0.1:4100' })
 * const maySend = requireScope('invoices:send')
 * const request = new Request('http://127.0.0.1:3000/invoices/7/send', { method: 'POST' })
 * const refused = maySend(await authenticate(request), request)
 */
export function requireScope(scope: string): RequestGuard {
  return answering(guards.requireScope(scope))
}

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
    const refused = guard(auth, guardedOf(request))
    return refused && responseOf(refused)
  }
}

function guardedOf({ method, url, headers }: Parameters<RequestGuard>[1]): guards.GuardedRequest {
  return { methods: methodsOf({ actual: [method], header: name => headers?.get(name), urls: [url] }), urls: [url] }
}
