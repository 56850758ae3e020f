/** For Next.js 15 and later, app router: server components, route handlers, server actions. */
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { methodsOf } from './auth/methods.ts'
import { RefusedError, responseOf } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { RefusedError } from './auth/refusal.ts'

/** Puts a guard before a route handler, which then answers, or before a server action or component, which throws. */
export type Wrap = <Args extends unknown[], Result>(
  handler: (...args: Args) => Result,
) => (...args: Args) => Promise<Args extends [Request, ...unknown[]] ? Awaited<Result> | Response : Awaited<Result>>

/** What an app of Next.js imports from one file of its own. */
export interface NextAuth {
  /** Who the request at hand is from. In server components, route handlers and server actions. */
  auth(): Promise<Auth>
  /** Lets only those pass who are signed in, whoever is acting; others get 401 `authentication_invalid`. */
  requireUser: Wrap
  /** Lets only users themselves pass: 403 `forbidden_while_acting` while somebody acts as them. For what is sensitive. */
  forbidActing: Wrap
  /** Lets only those pass who act as a user; others get 403 `acting_required`. */
  requireActing: Wrap
  /** Lets users pass, while acting only with GET, HEAD and OPTIONS, and to no server action. */
  readOnlyWhileActing: Wrap
}

/**
 * Makes `auth()` and the guards of an app. Call it once, in a file that the others import.
 *
 * A guard stands at what it guards, and not in a `proxy.js` (`middleware.js`) before it, whose idea of a path may be
 * another than the router's.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request's headers, if your app keeps its own login
 * @returns `auth`, and the guards, which wrap what they guard
 * @throws TypeError if the options make no sense
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
  const authFrom = (headers: Headers) => find(headers, name => headers.get(name))

  const wrap =
    (guard: guards.Guard): Wrap =>
    handler =>
    async (...args) => {
      const [request] = args
      // A server action is always a POST, and no argument of it can be a Request.
      const asked = request instanceof Request ? request : undefined
      const auth = await authFrom(asked?.headers ?? (await headersAtHand()))
      const urls = asked ? [asked.url] : []
      const methods = methodsOf({ actual: [asked?.method ?? 'POST'], header: name => asked?.headers.get(name), urls })
      const refused = guard(auth, { methods, urls })
      if (!refused) return (await handler(...args)) as never
      if (asked) return responseOf(refused) as never
      throw new RefusedError(refused)
    }

  return {
    auth: async () => authFrom(await headersAtHand()),
    requireUser: wrap(guards.requireUser),
    forbidActing: wrap(guards.forbidActing),
    requireActing: wrap(guards.requireActing),
    readOnlyWhileActing: wrap(guards.readOnlyWhileActing),
  }
}

/** Imported where it is called: only inside Next.js can it be. */
async function headersAtHand(): Promise<Headers> {
  const { headers } = await import('next/headers.js')
  return headers()
}
