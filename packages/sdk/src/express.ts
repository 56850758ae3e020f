/** For Express, and whatever else takes `(request, response, next)`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { authOf, headerOf, rememberAuth } from './auth/of-request.ts'
import { type Refusal, RefusedError } from './auth/refusal.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** What Express calls a request handler. */
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

/**
 * Finds out who each request is from: `getAuth(request)`, and `request.auth`. It refuses nobody: guards do.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request, if your app keeps its own login
 * @returns a middleware; its auth is `{ userId, sessionId, actor, isActing, claims }`, null and false when signed out
 * @throws TypeError if the options make no sense
 * @see RFC 6750 §2.1, RFC 8693 §4.1
 * @example
 * import { authenticate, forbidActing, getAuth, requireUser } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * const app = express()
 * app.use(authenticate({ issuer: 'http://127.0.0.1:4100', authorizedParties: ['http://127.0.0.1:3000'] }))
 * app.get('/me', requireUser, (request, response) => void response.json(getAuth(request)))
 * app.delete('/account', forbidActing, (request, response) => void response.json({ deleted: getAuth(request).userId }))
 */
export function authenticate<Incoming extends IncomingMessage = IncomingMessage>(
  options: AuthOptions<Incoming>,
): Middleware {
  // What the middlewares before this one have made of a request, the app knows.
  const find = createAuthenticate(options as AuthOptions<IncomingMessage>)
  return async (request, _response, next) => {
    try {
      const auth = await find(request, name => headerOf(request, name))
      rememberAuth(request, auth)
      Object.assign(request, { auth })
    } catch (error) {
      next(error)
      return
    }
    next()
  }
}

/**
 * Who a request is from.
 * @throws TypeError if it never went through {@link authenticate}
 * @example
 * import { getAuth } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().get('/', (request, response) => {
 *   const { userId, actor } = getAuth(request)
 *   response.send(actor ? `${actor.sub} acting as ${userId}` : userId)
 * })
 */
export function getAuth(request: IncomingMessage): Auth {
  return authOf(request, "app.use(authenticate({ issuer: 'https://auth.example.com' }))")
}

/**
 * Lets only those pass who are signed in, whoever is acting; others get 401 `authentication_invalid`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireUser } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().get('/orders', requireUser, (_request, response) => void response.json([]))
 */
export const requireUser = middleware(guards.requireUser)

/**
 * Lets only users themselves pass: 403 `forbidden_while_acting` while somebody acts as them. For what is sensitive.
 * @see RFC 8693 §4.1
 * @example
 * import { forbidActing } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().post('/password', forbidActing, (_request, response) => void response.sendStatus(204))
 */
export const forbidActing = middleware(guards.forbidActing)

/**
 * Lets only those pass who act as a user; others get 403 `acting_required`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireActing } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().get('/support/notes', requireActing, (_request, response) => void response.json([]))
 */
export const requireActing = middleware(guards.requireActing)

/**
 * Lets users pass, while acting only with GET, HEAD and OPTIONS.
 * @see RFC 8693 §4.1
 * @example
 * import { readOnlyWhileActing } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().use('/settings', readOnlyWhileActing)
 */
export const readOnlyWhileActing = middleware(guards.readOnlyWhileActing)

/**
 * Refuses certain paths while acting, wherever they are handled: a net beneath {@link forbidActing} at the handlers.
 *
 * @param actions by name, the paths each is done at: {@link neverWhileActing}, with yours added
 * @throws TypeError if a pattern is none
 * @example
 * import { forbidActingOn, neverWhileActing } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().use(forbidActingOn({ ...neverWhileActing, closeStore: ['POST /store/close'] }))
 */
export function forbidActingOn(actions: ActionPatterns): Middleware {
  return middleware(pathGuard(actions))
}

function middleware(guard: guards.Guard): Middleware {
  return (request, response, next) => {
    let refused: Refusal | undefined
    try {
      const auth = getAuth(request)
      refused = guard(auth, guardedOf(request))
      // Nothing is forbidden to users themselves.
      if (!refused && (auth.isActing || auth.userId === null)) guardLaterMethods(request, auth, guard)
    } catch (error) {
      next(error)
      return
    }
    if (!refused) {
      next()
      return
    }
    response.statusCode = refused.status
    for (const [name, value] of Object.entries(refused.headers)) response.setHeader(name, value)
    response.end(JSON.stringify(refused.body))
  }
}

type AppRequest = IncomingMessage & { originalUrl?: string; baseUrl?: string; originalMethod?: string; body?: unknown }

/**
 * The address as it came; and as it is now, if a middleware has written another. Mounting cuts off what `baseUrl` has.
 * The methods are those that it came with, has now, and may have after an override.
 */
function guardedOf(request: AppRequest): guards.GuardedRequest {
  const { method, originalMethod, headers, body, url = '', originalUrl = url, baseUrl = '' } = request
  const urls = [...new Set([originalUrl, baseUrl + url, url])]
  return { urls, methods: methodsOf({ actual: [originalMethod, method], header: name => headers[name], urls, body }) }
}

/**
 * Guards a request again when something after the guard sets another method: by a header of its own name, or by a form
 * that was not read yet. What sets it gets a {@link RefusedError} of status 403, which Express answers with.
 */
function guardLaterMethods(request: AppRequest, auth: Auth, guard: guards.Guard): void {
  const { urls, methods } = guardedOf(request)
  const earlier = Object.getOwnPropertyDescriptor(request, 'method')
  let current = request.method
  Object.defineProperty(request, 'method', {
    configurable: true,
    enumerable: true,
    get: () => current,
    set(method: string) {
      const refused = guard(auth, { urls, methods: [...methods, String(method).toUpperCase()] })
      if (refused) throw new RefusedError(refused)
      // Another guard may watch too.
      earlier?.set?.call(request, method)
      current = method
    },
  })
}
