/** For Hono, wherever it runs. */
import type { Context, MiddlewareHandler } from 'hono'
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { authOf, rememberAuth } from './auth/of-request.ts'
import { responseOf } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** What `authenticate` adds to the context: `new Hono<AuthEnv>()` knows `context.get('auth')`. */
export interface AuthEnv {
  Variables: { auth: Auth }
}

/**
 * Finds out who each request is from: `getAuth(context)`, and `context.get('auth')`. It refuses nobody: guards do.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the context, if your app keeps its own login
 * @returns a middleware; its auth is `{ userId, sessionId, actor, isActing, claims }`, null and false when signed out
 * @throws TypeError if the options make no sense
 * @see RFC 6750 §2.1, RFC 8693 §4.1
 * @example
 * import { authenticate, forbidActing, getAuth, requireUser } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * const app = new Hono()
 * app.use(authenticate({ issuer: 'http://127.0.0.1:4100', authorizedParties: ['http://127.0.0.1:3000'] }))
 * app.get('/me', requireUser, context => context.json(getAuth(context)))
 * app.delete('/account', forbidActing, context => context.json({ deleted: getAuth(context).userId }))
 */
export function authenticate(options: AuthOptions<Context>): MiddlewareHandler<AuthEnv> {
  const find = createAuthenticate(options)
  return async (context, next) => {
    const auth = await find(context, name => context.req.header(name))
    rememberAuth(context, auth)
    context.set('auth', auth)
    await next()
  }
}

/**
 * Who a request is from.
 * @throws TypeError if it never went through {@link authenticate}
 * @example
 * import { getAuth } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().get('/', context => {
 *   const { userId, actor } = getAuth(context)
 *   return context.text(actor ? `${actor.sub} acting as ${userId}` : `${userId}`)
 * })
 */
export function getAuth(context: Context): Auth {
  return authOf(context, "app.use(authenticate({ issuer: 'https://auth.example.com' }))")
}

/**
 * Lets only those pass who are signed in, whoever is acting; others get 401 `authentication_invalid`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireUser } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().get('/orders', requireUser, context => context.json([]))
 */
export const requireUser = middleware(guards.requireUser)

/**
 * Lets only users themselves pass: 403 `forbidden_while_acting` while somebody acts as them. For what is sensitive.
 * @see RFC 8693 §4.1
 * @example
 * import { forbidActing } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().post('/password', forbidActing, context => context.text('changed'))
 */
export const forbidActing = middleware(guards.forbidActing)

/**
 * Lets only those pass who act as a user; others get 403 `acting_required`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireActing } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().get('/support/notes', requireActing, context => context.json([]))
 */
export const requireActing = middleware(guards.requireActing)

/**
 * Lets users pass, while acting only with GET, HEAD and OPTIONS.
 * @see RFC 8693 §4.1
 * @example
 * import { readOnlyWhileActing } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().use('/settings/*', readOnlyWhileActing)
 */
export const readOnlyWhileActing = middleware(guards.readOnlyWhileActing)

/**
 * Refuses certain paths while acting, wherever they are handled: a net beneath {@link forbidActing} at the handlers.
 *
 * @param actions by name, the paths each is done at: {@link neverWhileActing}, with yours added
 * @throws TypeError if a pattern is none
 * @example
 * import { forbidActingOn, neverWhileActing } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().use(forbidActingOn({ ...neverWhileActing, closeStore: ['POST /store/close'] }))
 */
export function forbidActingOn(actions: ActionPatterns): MiddlewareHandler {
  return middleware(pathGuard(actions))
}

function middleware(guard: guards.Guard): MiddlewareHandler {
  return async (context, next) => {
    const auth = getAuth(context)
    const { method, url, path } = context.req
    const urls = [url, path]
    const body = auth.isActing ? await formOf(context) : undefined
    const methods = methodsOf({ actual: [method], header: name => context.req.header(name), urls, body })
    const refused = guard(auth, { methods, urls })
    if (refused) return responseOf(refused)
    await next()
  }
}

/** The form of a request: Hono's own method override reads `_method` from it, and hands the request to another app. */
async function formOf(context: Context): Promise<FormData | object | undefined> {
  const type = context.req.header('content-type') ?? ''
  if (!/^(?:multipart\/form-data|application\/x-www-form-urlencoded)\b/i.test(type.trim())) return undefined
  const { raw } = context.req
  try {
    // Read by the app already, Hono has kept it; otherwise it stays there for the app to read.
    return raw.bodyUsed ? await context.req.parseBody({ all: true }) : await raw.clone().formData()
  } catch {
    // Not a form after all: nothing can read a method from it.
    return undefined
  }
}
