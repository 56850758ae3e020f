/** For Next.js 15 and later, app router: server components, route handlers, server actions. */
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { limitGuard } from './auth/limits.ts'
import { methodsOf } from './auth/methods.ts'
import { RefusedError, responseOf } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, ReadOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { RefusedError } from './auth/refusal.ts'

/** Wraps a handler with a guard. A blocked route handler answers with the refusal; a blocked server action or component throws. */
export type Wrap = <Args extends unknown[], Result>(
  handler: (...args: Args) => Result,
) => (...args: Args) => Promise<Args extends [Request, ...unknown[]] ? Awaited<Result> | Response : Awaited<Result>>

/** Auth and guards of a Next.js app, which exports them from one of its files. */
export interface NextAuth {
  /** Returns the auth of the current request. Use it in server components, route handlers and server actions. */
  auth(): Promise<Auth>
  /** Allows only signed-in requests, with or without an actor. Others get 401 `authentication_invalid`. */
  requireUser: Wrap
  /** Allows only users themselves, for sensitive actions. Requests with an actor get 403 `forbidden_while_acting`. */
  forbidActing: Wrap
  /** Allows only requests with an actor. Others get 403 `acting_required`. */
  requireActing: Wrap
  /** Allows users, and actors only with GET, HEAD and OPTIONS. Actors cannot call server actions. */
  readOnlyWhileActing: Wrap
  /** Allows users, and actors whose session has this scope or is not limited to scopes. */
  requireScope: (scope: string) => Wrap
}

/**
 * Creates `auth()` and the guards of an app. Call it once, in a file that your other files import.
 *
 * In a session that may only read, every guard refuses methods except GET, HEAD and OPTIONS, and `auth()` refuses server
 * actions. `auth()` alone does not know the method of a route handler, so wrap those that change something.
 *
 * Wrap the handler itself with a guard. Do not put guards in `proxy.js` (`middleware.js`), which may read a path
 * differently than the router.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request's headers, if your app keeps its own login. `reads` lists route handlers that only
 *   read although their method is not `GET`: `['POST /search']`
 * @returns `auth`, and the guards, which wrap handlers
 * @throws TypeError if the options are invalid
 * @see RFC 6750 §2.1, RFC 8693 §4.1
 * @example
 * // app/auth.js
 * import { authenticate } from '@stagedoor/sdk/next'
 *
 * export const { auth, requireUser, forbidActing } = authenticate({ issuer: 'http://127.0.0.1:4100' })
 *
 * // app/api/account/route.js
 * export const DELETE = forbidActing(async () => Response.json({ deleted: (await auth()).userId }))
 */
export function authenticate(options: AuthOptions<Headers>): NextAuth {
  const find = createAuthenticate(options)
  const limit = limitGuard(options)
  const authFrom = (headers: Headers) => find(headers, name => headers.get(name))

  const wrap =
    (guard: guards.Guard): Wrap =>
    handler =>
    async (...args) => {
      const [request] = args
      // A server action is always a POST, and its arguments cannot be a Request.
      const asked = request instanceof Request ? request : undefined
      const auth = await authFrom(asked?.headers ?? (await headersAtHand()))
      const urls = asked ? [asked.url] : []
      const methods = methodsOf({ actual: [asked?.method ?? 'POST'], header: name => asked?.headers.get(name), urls })
      const refused = limit(auth, { methods, urls }) ?? guard(auth, { methods, urls })
      if (!refused) return (await handler(...args)) as never
      if (asked) return responseOf(refused) as never
      throw new RefusedError(refused)
    }

  return {
    auth: async () => {
      const headers = await headersAtHand()
      const auth = await authFrom(headers)
      // Next.js sends this with a server action. Otherwise the method is not known here: guards know it.
      const refused = headers.has('next-action') && limit(auth, { methods: ['POST'], urls: [] })
      if (refused) throw new RefusedError(refused)
      return auth
    },
    requireUser: wrap(guards.requireUser),
    forbidActing: wrap(guards.forbidActing),
    requireActing: wrap(guards.requireActing),
    readOnlyWhileActing: wrap(guards.readOnlyWhileActing),
    requireScope: scope => wrap(guards.requireScope(scope)),
  }
}

/** Reads the headers of the current request. The import is here because it works only inside Next.js. */
async function headersAtHand(): Promise<Headers> {
  const { headers } = await import('next/headers.js')
  return headers()
}
