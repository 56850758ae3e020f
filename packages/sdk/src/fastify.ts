/** For Fastify 5. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Auth } from './auth/auth.ts'
import { type AuthOptions, createAuthenticate } from './auth/authenticate.ts'
import * as guards from './auth/guards.ts'
import { methodsOf } from './auth/methods.ts'
import { type ActionPatterns, pathGuard } from './auth/never-while-acting.ts'
import { authOf, headerOf, rememberAuth } from './auth/of-request.ts'

export type { Auth, OwnSession, SignedIn, SignedInActing, SignedOut, SignedOutReason } from './auth/auth.ts'
export type { AuthOptions, SessionOptions, TokenOptions } from './auth/authenticate.ts'
export { type ActionPatterns, neverWhileActing } from './auth/never-while-acting.ts'

/** A hook of a route or of an app: `onRequest`, before the body is read, or `preHandler`. */
export type Hook = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/**
 * The plugin. Finds out who each request is from: `getAuth(request)`, and `request.auth`. It refuses nobody: guards do.
 * What is registered beside it and after it has it too.
 *
 * @param options `issuer`, the server's STAGEDOOR_PUBLIC_URL, and `authorizedParties`, your app's origins; or
 *   `session`, a function of the request, if your app keeps its own login
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
  app.decorateRequest('auth', null as never)
  app.addHook('onRequest', async request => {
    const auth = await find(request, name => headerOf(request.raw, name) ?? request.headers[name])
    rememberAuth(request, auth)
    Object.assign(request, { auth })
  })
}

// What fastify-plugin does: the plugin is part of the app it is registered in, not an app inside.
Object.assign(authenticate, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@stagedoor/sdk',
  [Symbol.for('plugin-meta')]: { name: '@stagedoor/sdk', fastify: '5.x' },
})

/**
 * Who a request is from.
 * @throws TypeError if it never went through {@link authenticate}
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
 * Lets only those pass who are signed in, whoever is acting; others get 401 `authentication_invalid`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireUser } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().get('/orders', { onRequest: requireUser }, async () => [])
 */
export const requireUser = hook(guards.requireUser)

/**
 * Lets only users themselves pass: 403 `forbidden_while_acting` while somebody acts as them. For what is sensitive.
 * @see RFC 8693 §4.1
 * @example
 * import { forbidActing } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().post('/password', { onRequest: forbidActing }, async () => 'changed')
 */
export const forbidActing = hook(guards.forbidActing)

/**
 * Lets only those pass who act as a user; others get 403 `acting_required`.
 * @see RFC 8693 §4.1
 * @example
 * import { requireActing } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().get('/support/notes', { onRequest: requireActing }, async () => [])
 */
export const requireActing = hook(guards.requireActing)

/**
 * Lets users pass, while acting only with GET, HEAD and OPTIONS: 403 `forbidden_while_acting` for all else.
 * @see RFC 8693 §4.1
 * @example
 * import { readOnlyWhileActing } from '@stagedoor/sdk/fastify'
 * import fastify from 'fastify'
 *
 * fastify().addHook('onRequest', readOnlyWhileActing)
 */
export const readOnlyWhileActing = hook(guards.readOnlyWhileActing)

/**
 * Refuses certain paths while acting, wherever they are handled: a net beneath {@link forbidActing} at the handlers.
 *
 * @param actions by name, the paths each is done at: {@link neverWhileActing}, with yours added
 * @throws TypeError if a pattern is none
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
    // The text as it is: a schema or serializer of the route is for its own answers.
    return reply.code(refused.status).headers(refused.headers).serializer(String).send(JSON.stringify(refused.body))
  }
}
