/** For Hono, on every runtime. */
import type { Context, MiddlewareHandler } from 'hono'
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { limitGuard } from './auth/limits.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { authOf, rememberAuth } from './auth/of-request.ts'
import { responseOf } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, ReadOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** The type of what `authenticate` adds to the context: `new Hono<AuthEnv>()` types `context.get('auth')`. */
export interface AuthEnv {
  Variables: { auth: Auth }
}

/**
 * Authenticates each request; read the result with `getAuth(context)` or `context.get('auth')`. In a session
 * that may only read, it refuses methods except GET, HEAD and OPTIONS: 403 `forbidden_while_acting`. Guards refuse everything
 * else.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the context, if your app keeps its own login. `reads` lists endpoints that only read although
 *   their method is not `GET`: `['POST /search']`
 * @returns a middleware; its auth is `{ userId, sessionId, actor, isActing, access, scopes, claims }`. If the request is signed out,
 *   `isActing` is false and the others are null
 * @throws TypeError if the options are invalid
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
  const limited = middleware(limitGuard(options))
  return async (context, next) => {
    const auth = await find(context, name => context.req.header(name))
    rememberAuth(context, auth)
    context.set('auth', auth)
    if (auth.access === 'read') return limited(context, next)
    await next()
  }
}

/**
 * Returns the user and the actor of a request.
 * @throws TypeError if the request did not pass through {@link authenticate}
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
 * Allows only signed-in requests, with or without an actor. Others get 401 `authentication_invalid`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireUser } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().get('/orders', requireUser, context => context.json([]))
 */
export const requireUser = middleware(guards.requireUser)

/**
 * Allows only users themselves, for sensitive actions. Requests with an actor get 403 `forbidden_while_acting`.
 * @see RFC 8693 §4.1
 * @example
 * import { forbidActing } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().post('/password', forbidActing, context => context.text('changed'))
 */
export const forbidActing = middleware(guards.forbidActing)

/**
 * Allows only requests with an actor. Others get 403 `acting_required`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireActing } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().get('/support/notes', requireActing, context => context.json([]))
 */
export const requireActing = middleware(guards.requireActing)

/**
 * Allows users, and actors only with GET, HEAD and OPTIONS. Other requests of actors get 403 `forbidden_while_acting`.
 * @see RFC 8693 §4.1
 * @example
 * import { readOnlyWhileActing } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().use('/settings/*', readOnlyWhileActing)
 */
export const readOnlyWhileActing = middleware(guards.readOnlyWhileActing)

/**
 * Allows users, and actors whose session has a scope or is not limited to scopes. Others get 403 `forbidden_while_acting`.
 *
 * @param scope a word of your app, as in the `scopes` of the actor token
 * @throws TypeError if it cannot be a scope
 * @see RFC 8693 §4.2
 * @example
 * import { requireScope } from '@stagedoor/sdk/hono'
 * import { Hono } from 'hono'
 *
 * new Hono().post('/invoices/:id/send', requireScope('invoices:send'), context => context.text('sent'))
 */
export function requireScope(scope: string): MiddlewareHandler {
  return middleware(guards.requireScope(scope))
}

/**
 * Refuses certain paths while acting, in every handler: a safety net in addition to {@link forbidActing} at the handlers.
 *
 * @param actions names of actions, each with its paths: {@link neverWhileActing}, and your own
 * @throws TypeError if a pattern is invalid
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

/** Reads the form of a request, because Hono's own method override reads `_method` from it. */
async function formOf(context: Context): Promise<FormData | object | undefined> {
  const type = context.req.header('content-type') ?? ''
  if (!/^(?:multipart\/form-data|application\/x-www-form-urlencoded)\b/i.test(type.trim())) return undefined
  const { raw } = context.req
  try {
    // If the app has already read the body, Hono has cached it. Otherwise read a copy, so that the app can read it later.
    return raw.bodyUsed ? await context.req.parseBody({ all: true }) : await raw.clone().formData()
  } catch {
    // The body is not a valid form, so no middleware can read a method from it.
    return undefined
  }
}
