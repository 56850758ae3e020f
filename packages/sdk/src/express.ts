/** For Express, and frameworks whose middlewares take `(request, response, next)`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { limitGuard } from './auth/limits.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { authOf, headerOf, rememberAuth } from './auth/of-request.ts'
import { type Refusal, RefusedError } from './auth/refusal.ts'
import { isPending } from './maybe-promise.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, ReadOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** A request handler of Express. */
export type Middleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void

/**
 * Authenticates each request; read the result with `getAuth(request)` or `request.auth`. In a session that may only read, it
 * refuses methods except GET, HEAD and OPTIONS: 403 `forbidden_while_acting`. Guards refuse everything else.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request, if your app keeps its own login. `reads` lists endpoints that only read although
 *   their method is not `GET`: `['POST /search']`
 * @returns a middleware; its auth is `{ userId, sessionId, actor, isActing, access, scopes, claims }`. If the request is signed out,
 *   `isActing` is false and the others are null
 * @throws TypeError if the options are invalid
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
  // The cast is safe: the app knows what its earlier middlewares added to the request.
  const find = createAuthenticate(options as AuthOptions<IncomingMessage>)
  const limit = limitGuard(options)
  const limited: Middleware = (request, response, next) => apply(limit, request, response, next)
  const keep = (request: IncomingMessage, auth: Auth) => {
    rememberAuth(request, auth)
    Object.assign(request, { auth })
    return auth.access === 'read'
  }
  return (request, response, next) => {
    let isLimited: boolean
    try {
      const auth = find(request, name => headerOf(request, name))
      if (isPending(auth)) {
        return auth
          .then(auth => keep(request, auth))
          .then(isLimited => (isLimited ? limited(request, response, next) : next()), next)
      }
      isLimited = keep(request, auth)
    } catch (error) {
      next(error)
      return
    }
    if (isLimited) limited(request, response, next)
    else next()
  }
}

/**
 * Returns the user and the actor of a request.
 * @throws TypeError if the request did not pass through {@link authenticate}
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
 * Allows only signed-in requests, with or without an actor. Others get 401 `authentication_invalid`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireUser } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().get('/orders', requireUser, (_request, response) => void response.json([]))
 */
export const requireUser = middleware(guards.requireUser)

/**
 * Allows only users themselves, for sensitive actions. Requests with an actor get 403 `forbidden_while_acting`.
 * @see RFC 8693 §4.1
 * @example
 * import { forbidActing } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().post('/password', forbidActing, (_request, response) => void response.sendStatus(204))
 */
export const forbidActing = middleware(guards.forbidActing)

/**
 * Allows only requests with an actor. Others get 403 `acting_required`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireActing } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().get('/support/notes', requireActing, (_request, response) => void response.json([]))
 */
export const requireActing = middleware(guards.requireActing)

/**
 * Allows users, and actors only with GET, HEAD and OPTIONS. Other requests of actors get 403 `forbidden_while_acting`.
 * @see RFC 8693 §4.1
 * @example
 * import { readOnlyWhileActing } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().use('/settings', readOnlyWhileActing)
 */
export const readOnlyWhileActing = middleware(guards.readOnlyWhileActing)

/**
 * Allows users, and actors whose session has a scope or is not limited to scopes. Others get 403 `forbidden_while_acting`.
 *
 * @param scope a word of your app, as in the `scopes` of the actor token
 * @throws TypeError if it cannot be a scope
 * @see RFC 8693 §4.2
 * @example
 * import { requireScope } from '@stagedoor/sdk/express'
 * import express from 'express'
 *
 * express().post('/invoices/:id/send', requireScope('invoices:send'), (_request, response) => void response.sendStatus(204))
 */
export function requireScope(scope: string): Middleware {
  return middleware(guards.requireScope(scope))
}

/**
 * Refuses certain paths while acting, in every handler: a safety net in addition to {@link forbidActing} at the handlers.
 *
 * @param actions names of actions, each with its paths: {@link neverWhileActing}, and your own
 * @throws TypeError if a pattern is invalid
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
  return (request, response, next) => apply(guard, request, response, next)
}

function apply(guard: guards.Guard, ...[request, response, next]: Parameters<Middleware>): void {
  let refused: Refusal | undefined
  try {
    const auth = getAuth(request)
    refused = guard(auth, guardedOf(request))
    // Guards never block users themselves because of a method.
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

type AppRequest = IncomingMessage & { originalUrl?: string; baseUrl?: string; originalMethod?: string; body?: unknown }

/**
 * Returns the request's URLs and methods for guards. The URLs are the received one and the current one, which a middleware
 * may have changed; mounting moves its first part to `baseUrl`. The methods are the received one, the current one, and
 * possible overrides.
 */
function guardedOf(request: AppRequest): guards.GuardedRequest {
  const { method, originalMethod, headers, body, url = '', originalUrl = url, baseUrl = '' } = request
  const urls = [...new Set([originalUrl, baseUrl + url, url])]
  return { urls, methods: methodsOf({ actual: [originalMethod, method], header: name => headers[name], urls, body }) }
}

/**
 * Guards a request again if a later middleware sets another method: from a header with an unusual name, or from a form that
 * was not read yet. Setting a blocked method throws a {@link RefusedError} with status 403, with which Express answers.
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
      // An earlier guard may watch the method too.
      earlier?.set?.call(request, method)
      current = method
    },
  })
}
