import { Hono } from 'hono'
import type { Services } from '../domain/context.ts'
import { answerError, standardHeaders } from './answer.ts'
import { mountActing } from './bapi/acting.ts'
import { mountActorTokens } from './bapi/actor-tokens.ts'
import { mountActors } from './bapi/actors.ts'
import { mountAudit, mountJwks } from './bapi/audit.ts'
import { mountGroups } from './bapi/groups.ts'
import { mountInstance } from './bapi/instance.ts'
import { mountJwtTemplates } from './bapi/jwt-templates.ts'
import { mountOperators } from './bapi/operators.ts'
import { mountPolicy } from './bapi/policy.ts'
import { mountRevocations } from './bapi/revocations.ts'
import { mountSearch } from './bapi/search.ts'
import { mountSecretKeys } from './bapi/secret-keys.ts'
import { mountSessions } from './bapi/sessions.ts'
import { mountSignInTokens } from './bapi/sign-in-tokens.ts'
import { mountSigningKeys } from './bapi/signing-keys.ts'
import { mountStats } from './bapi/stats.ts'
import { mountUsers } from './bapi/users.ts'
import { mountConsole } from './console/console.ts'
import { isForConsole } from './console/headers.ts'
import { mountBanner } from './fapi/banner.ts'
import { mountEnvironment } from './fapi/environment.ts'
import { mountClient } from './fapi/frontend-client.ts'
import { mountHandshake } from './fapi/handshake.ts'
import { mountHealth } from './fapi/health.ts'
import { mountMe } from './fapi/me.ts'
import { mountNpm } from './fapi/npm.ts'
import { mountTickets } from './fapi/tickets.ts'
import { mountWellKnown } from './fapi/well-known.ts'
import { routedPath } from './input.ts'
import type { HttpOptions } from './mount.ts'
import type { Env } from './request-log.ts'
import { logged, type Observer, type RequestLog } from './request-log.ts'
import { Unmatched } from './unmatched.ts'

/** Creates the complete HTTP app: a `Request → Response` function that Node serves, or that is called in process. */
export function createApp(services: Services, options: HttpOptions, observer: Observer): Pick<Hono<Env>, 'fetch'> {
  // Paths match exactly: `/v1/users/` is not `/v1/users`.
  const app = new Hono<Env>({ strict: true, getPath: routedPath })
  const http = { app, services, options, log: observer.log }
  const refuse = (error: unknown, request: Request, requestLog: RequestLog) => {
    const origin = isForConsole(request) ? undefined : (request.headers.get('origin') ?? undefined)
    return answerError(error, standardHeaders(requestLog.traceId, origin, options.allowedOrigins), requestLog)
  }
  const unmatched = new Unmatched(app, options)
  app.options('*', ({ req, env }) => unmatched.options(req.raw, env.requestLog))
  unmatched.keepLiteralPaths()
  mountActorTokens(http)
  mountSignInTokens(http)
  mountUsers(http)
  mountActors(http)
  mountGroups(http)
  mountPolicy(http)
  mountHandshake(http)
  mountActing(http)
  mountRevocations(http)
  mountSessions(http)
  mountJwtTemplates(http)
  mountSearch(http)
  mountSecretKeys(http)
  mountSigningKeys(http)
  mountOperators(http)
  mountInstance(http)
  mountAudit(http)
  mountStats(http)
  mountJwks(http)
  mountTickets(http)
  mountClient(http)
  mountMe(http)
  mountEnvironment(http)
  mountWellKnown(http)
  mountHealth(http)
  mountNpm(http)
  mountBanner(http)
  mountConsole(http)

  app.notFound(({ req, env }) => unmatched.refuse(req.raw, env.requestLog))
  app.onError((error, { req, env }) => refuse(error, req.raw, env.requestLog))
  return logged(app, services, observer)
}
