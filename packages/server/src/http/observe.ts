import type { Hono } from 'hono'
import type { Services } from '../domain/context.ts'
import { answerError, standardHeaders } from './answer.ts'
import type { Env } from './env.ts'
import { type Observer, RequestLog } from './request-log.ts'

/** Wraps the app so that every request is logged and measured, even if no operation matches. An error fails only its own request. */
export function observed(app: Hono<Env>, services: Services, observer: Observer): Pick<Hono<Env>, 'fetch'> {
  return {
    async fetch(request, env) {
      const requestLog = new RequestLog(services, observer)
      let response: Response
      try {
        response = await app.fetch(request, { ...env, requestLog })
      } catch (error) {
        response = answerError(error, standardHeaders(requestLog.traceId, undefined, new Set()), requestLog)
      }
      requestLog.finish(request.method, response.status)
      return response
    },
  }
}
