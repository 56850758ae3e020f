import { Hono } from 'hono'
import { ApiError } from '../contract/errors.ts'
import type { Services } from '../domain/context.ts'
import { answerError, standardHeaders } from './answer.ts'
import { mountAudit, mountJwks } from './bapi/audit.ts'
import { mountJwtTemplates } from './bapi/jwt-templates.ts'
import { mountRevocations } from './bapi/revocations.ts'
import { mountSessions } from './bapi/sessions.ts'
import { mountTokens } from './bapi/tokens.ts'
import { mountUsers } from './bapi/users.ts'
import { mountBanner } from './fapi/banner.ts'
import { mountClient } from './fapi/client.ts'
import { mountEnvironment } from './fapi/environment.ts'
import { mountHandshake } from './fapi/handshake.ts'
import { mountHealth } from './fapi/health.ts'
import { mountMe } from './fapi/me.ts'
import { mountNpm } from './fapi/npm.ts'
import { mountTickets } from './fapi/tickets.ts'
import { mountWellKnown } from './fapi/well-known.ts'
import type { HeaderReader } from './headers.ts'
import { routedPath } from './method-override.ts'
import type { Env, HttpOptions } from './mount.ts'
import { type Observer, observed, type Seen } from './observe.ts'
import { isAllowed } from './origin.ts'
import { errorPage, homePage, pageStyle, wantsPage } from './pages.ts'

/** The whole HTTP surface: a `Request → Response` function, served by Node or called in process. */
export function createApp(services: Services, options: HttpOptions, observer: Observer): Pick<Hono<Env>, 'fetch'> {
  // Paths mean what they say: `/v1/users/` is not `/v1/users`.
  const app = new Hono<Env>({ strict: true, getPath: routedPath })
  const http = { app, services, options, log: observer.log }
  mountTokens(http)
  mountUsers(http)
  mountHandshake(http)
  mountRevocations(http)
  mountSessions(http)
  mountJwtTemplates(http)
  mountAudit(http)
  mountJwks(http)
  mountTickets(http)
  mountClient(http)
  mountMe(http)
  mountEnvironment(http)
  mountWellKnown(http)
  mountHealth(http)
  mountNpm(http)
  mountBanner(http)

  const refuse = (error: unknown, request: Request, seen: Seen) => {
    const origin = request.headers.get('origin') ?? undefined
    return answerError(error, standardHeaders(seen.traceId, origin, options.allowedOrigins), seen)
  }
  // Asked by browsers before a request of another origin that is no plain form: with a header of its own, say.
  app.options('/v1/*', ({ req, env: { seen } }) => {
    const origin = req.header('origin')
    if (origin === undefined || !isAllowed(origin, options.allowedOrigins))
      return refuse(new ApiError('origin_invalid'), req.raw, seen)
    const headers = standardHeaders(seen.traceId, origin, options.allowedOrigins)
    return new Response(null, { status: 204, headers: { ...headers, ...PREFLIGHT } })
  })
  app.notFound(({ req, env: { seen } }) => {
    const error = notHere(req.method, req.path)
    const header: HeaderReader = name => req.header(name)
    if (!['GET', 'HEAD'].includes(req.method) || !wantsPage(header)) return refuse(error, req.raw, seen)
    const headers = standardHeaders(seen.traceId, req.header('origin'), options.allowedOrigins)
    const style = pageStyle(options.pages, header)
    return req.path === '/' ? homePage(headers, style) : errorPage(error, headers, seen, style)
  })
  app.onError((error, { req, env }) => refuse(error, req.raw, env.seen))
  return observed(app, services, observer)
}

/** Browser extensions show their client in Authorization; everything else is a form or a plain GET. */
const PREFLIGHT = {
  'access-control-allow-methods': 'GET, HEAD, POST, PATCH, PUT, DELETE',
  'access-control-allow-headers': 'Authorization, Content-Type',
  'access-control-max-age': '600',
}

function notHere(method: string, path: string): ApiError {
  return new ApiError('resource_not_found', {
    params: { what: `There is no ${method} ${path.slice(0, 200)} here.` },
    action: 'The addresses are listed in docs/reference/api.md.',
  })
}
