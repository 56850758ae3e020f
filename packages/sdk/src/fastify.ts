/** For Fastify 5. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { limitGuard } from './auth/limits.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { authOf, headerOf, rememberAuth } from './auth/of-request.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, ReadOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** A hook of a route or of an app: `onRequest`, before the body is read, or `preHandler`. */
export type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/**
 * Fastify plugin that authenticates each request; read the result with `getAuth(request)` or `request.auth`. In a session that
 * may only read, it refuses methods except GET, HEAD and OPTIONS: 403 `forbidden_while_acting`. Guards refuse everything else. It also applies to routes and plugins that are registered after it in the same app.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request, if your app keeps its own login. `reads` lists endpoints that only read although
 *   their method is not `GET`: `['POST /search']`
 * @throws TypeError if the options make no sense
 * @see RFC 6750 §2.1, RFC 8693 §4.1
 * @example
 * import { authenticate, forbidActing, getAuth, requireUser } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * const app = fastify()
 * await app.register(authenticate, { issuer: 'http://127.0.0.1:4100', authorizedParties: ['http://127.0.0.1:3000'] })
 * app.get('/me', { onRequest: requireUser }, async request => getAuth(request))
 * app.delete('/account', { onRequest: forbidActing }, async request => ({ deleted: getAuth(request).userId }))
 */
export async function authenticate(app: FastifyInstance, options: AuthOptions<FastifyRequest>): Promise<void> {
  const find = createAuthenticate(options)
  const limited = hook(limitGuard(options))
  app.decorateRequest('auth', null as never)
  app.addHook('onRequest', async (request, reply) => {
    const auth = await find(request, name => headerOf(request.raw, name) ?? request.headers[name])
    rememberAuth(request, auth)
    Object.assign(request, { auth })
    return auth.access === 'read' ? limited(request, reply) : undefined
  })
}

// As fastify-plugin does: the plugin extends the app in which it is registered, without a scope of its own.
Object.assign(authenticate, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@stagedoor/sdk',
  [Symbol.for('plugin-meta')]: { name: '@stagedoor/sdk', fastify: '5.x' },
})

/**
 * Returns the user and the actor of a request.
 * @throws TypeError if the request did not pass through {@link authenticate}
 * @example
 * import { getAuth } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().get('/', async request => {
 *   const { userId, actor } = getAuth(request)
 *   return actor ? `${actor.sub} acting as ${userId}` : userId
 * })
 */
export function getAuth(request: FastifyRequest): Auth {
  return authOf(request, "await app.register(authenticate, { issuer: 'https://auth.example.com' })")
}

/**
 * Allows only signed-in requests, with or without an actor. Others get 401 `authentication_invalid`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireUser } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().get('/orders', { onRequest: requireUser }, async () => [])
 */
export const requireUser = hook(guards.requireUser)

/**
 * Allows only users themselves, for sensitive actions. Requests with an actor get 403 `forbidden_while_acting`.
 * @see RFC 8693 §4.1
 * @example
 * import { forbidActing } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().post('/password', { onRequest: forbidActing }, async () => 'changed')
 */
export const forbidActing = hook(guards.forbidActing)

/**
 * Allows only requests with an actor. Others get 403 `acting_required`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireActing } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().get('/support/notes', { onRequest: requireActing }, async () => [])
 */
export const requireActing = hook(guards.requireActing)

/**
 * Allows users, and actors only with GET, HEAD and OPTIONS. Other requests of actors get 403 `forbidden_while_acting`.
 * @see RFC 8693 §4.1
 * @example
 * import { readOnlyWhileActing } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().addHook('onRequest', readOnlyWhileActing)
 */
export const readOnlyWhileActing = hook(guards.readOnlyWhileActing)

/**
 * Allows users, and actors whose session has a scope or is not limited to scopes. Others get 403 `forbidden_while_acting`.
 *
 * @param scope a word of your app, as in the `scopes` of the actor token
 * @throws TypeError if it cannot be a scope
 * @see RFC 8693 §4.2
 * @example
 * import { requireScope } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().post('/invoices/:id/send', { onRequest: requireScope('invoices:send') }, async () => 'sent')
 */
export function requireScope(scope: string): Hook {
  return hook(guards.requireScope(scope))
}

/**
 * Refuses certain paths while acting, in every handler: a safety net in addition to {@link forbidActing} at the handlers.
 *
 * @param actions names of actions, each with its paths: {@link neverWhileActing}, and your own
 * @throws TypeError if a pattern is invalid
 * @example
 * import { forbidActingOn, neverWhileActing } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().addHook('onRequest', forbidActingOn({ ...neverWhileActing, closeStore: ['POST /store/close'] }))
 */
export function forbidActingOn(actions: ActionPatterns): Hook {
  return hook(pathGuard(actions))
}

function hook(guard: guards.Guard): Hook {
  return async (request, reply) => {
    const { method, url, originalUrl, headers, body, raw } = request
    const urls = [originalUrl, url]
    const { originalMethod } = raw as { originalMethod?: string }
    const methods = methodsOf({ actual: [method, originalMethod], header: name => headers[name], urls, body })
    const refused = guard(getAuth(request), { methods, urls })
    if (!refused) return
    // Send the text unchanged: the route's schema and serializer are for its own answers.
    return reply.code(refused.status).headers(refused.headers).serializer(String).send(JSON.stringify(refused.body))
  }
}
