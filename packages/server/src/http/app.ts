import { Hono } from 'hono'
import type { Logger } from 'pino'
import { ApiError, ApiErrors } from '../contract/errors.ts'
import type { Services } from '../domain/context.ts'
import { StoreUnavailable } from '../domain/store.ts'
import { mountAudit, mountJwks } from './bapi/audit.ts'
import { mountSessions } from './bapi/sessions.ts'
import { mountTokens } from './bapi/tokens.ts'
import { mountUsers } from './bapi/users.ts'
import { mountClient } from './fapi/client.ts'
import { mountTickets } from './fapi/tickets.ts'
import { mountWellKnown } from './fapi/well-known.ts'
import type { Env, HttpOptions } from './mount.ts'
import { isAllowed } from './origin.ts'

/** The whole HTTP surface: a `Request → Response` function, served by Node or called in process. */
export function createApp(services: Services, options: HttpOptions, log: Logger): Hono<Env> {
  // Paths mean what they say: `/v1/users/` is not `/v1/users`.
  const app = new Hono<Env>({ strict: true })

  app.use(async (http, next) => {
    const traceId = services.random.bytes(16).toString('hex')
    http.set('traceId', traceId)
    http.header('clerk-trace-id', traceId)
    http.header('cache-control', 'no-store, private')
    http.header('x-content-type-options', 'nosniff')
    http.header('referrer-policy', 'no-referrer')
    // Always, so that no cache gives one origin's answer to another.
    http.header('vary', 'Origin')
    const origin = http.req.header('origin')
    if (origin !== undefined && isAllowed(origin, options.allowedOrigins)) {
      http.header('access-control-allow-origin', origin)
      http.header('access-control-allow-credentials', 'true')
      http.header('access-control-expose-headers', 'Authorization, Retry-After, Clerk-Trace-Id')
    }
    await next()
  })

  const http = { app, services, options }
  mountTokens(http)
  mountUsers(http)
  mountSessions(http)
  mountAudit(http)
  mountJwks(http)
  mountTickets(http)
  mountClient(http)
  mountWellKnown(http)

  app.notFound(http => http.json(envelope([notHere(http.req.method, http.req.path)], http.get('traceId')), 404))

  app.onError((error, http) => {
    const traceId = http.get('traceId')
    const errors = asApiErrors(error)
    const [first] = errors
    if (first.status >= 500)
      log.error({ err: error, trace_id: traceId, method: http.req.method, path: http.req.path }, 'request failed')
    if (first.status === 503) http.header('retry-after', '1')
    return http.json(envelope(errors, traceId), first.status)
  })

  return app
}

function envelope(errors: ApiError[], traceId: string) {
  return { errors: errors.map(error => error.toJSON()), clerk_trace_id: traceId }
}

function notHere(method: string, path: string): ApiError {
  return new ApiError('resource_not_found', {
    params: { what: `There is no ${method} ${path.slice(0, 200)} here.` },
    action: 'The addresses are listed in docs/reference/api.md.',
  })
}

/** Anything not thrown on purpose is a bug: the caller is told no more than the trace id. */
function asApiErrors(error: Error): [ApiError, ...ApiError[]] {
  if (error instanceof ApiErrors) return error.errors
  if (error instanceof ApiError) return [error]
  if (error instanceof StoreUnavailable) return [new ApiError('service_unavailable', { cause: error })]
  return [new ApiError('internal_clerk_error', { cause: error })]
}
