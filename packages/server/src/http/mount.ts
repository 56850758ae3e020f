import type { IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import type { Hono, Context as HonoContext } from 'hono'
import type { z } from 'zod'
import { ApiError } from '../contract/errors.ts'
import type { Operation } from '../contract/operation.ts'
import { readClientClaims } from '../domain/clients.ts'
import type { ClientClaims, Context, Services } from '../domain/context.ts'
import { recordingRefusals } from '../domain/refusals.ts'
import { readBody } from './body.ts'
import { authenticate, callerOf } from './caller.ts'
import { clientCookies } from './cookies.ts'
import { allowedOrigin } from './origin.ts'
import { queryReader, validate } from './validate.ts'

export interface Env {
  Bindings: { incoming?: IncomingMessage }
  Variables: { traceId: string }
}

/** What the HTTP layer knows beside the domain's services. */
export interface HttpOptions {
  allowedOrigins: ReadonlySet<string>
  trustedProxies: BlockList
  /** Check every answer against its schema: on in development and tests. */
  checkResponses: boolean
}

export interface Http {
  app: Hono<Env>
  services: Services
  options: HttpOptions
}

/** Input that has passed authentication and validation. */
export interface Input<B extends z.ZodType, Q extends z.ZodType> {
  /** The value of a path parameter. */
  param(name: string): string
  body: z.output<B>
  query: z.output<Q>
  /** What the browser's cookie says; undefined without one of ours. */
  client: ClientClaims | undefined
  /** The page asking, if it is one that may. */
  origin: string | undefined
  http: HonoContext<Env>
}

/** Connects an operation to its handler: authenticate → validate → run → answer. */
export function mount<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType>(
  { app, services, options }: Http,
  operation: Operation<B, Q, R>,
  handler: (ctx: Context, input: Input<B, Q>) => Promise<z.input<NoInfer<R>> | Response>,
): void {
  const { action, body: bodySchema, query: querySchema, bodyType = 'json' } = operation
  const readQuery = querySchema && queryReader(querySchema)
  const path = operation.path.replace(/\{(\w+)\}/g, ':$1')

  app.on(operation.method.toUpperCase(), path, async http => {
    const { headers } = http.req.raw
    const incoming = http.env?.incoming
    const caller = callerOf(headers, incoming, options.trustedProxies, http.get('traceId'))
    const ctx: Context = { ...services, caller }

    return recordingRefusals(ctx, action, async () => {
      let client: ClientClaims | undefined
      let origin: string | undefined
      if (operation.auth === 'secret_key') {
        assertOneApiVersion(http)
        await authenticate(ctx, headers, incoming)
      } else if (operation.auth === 'client') {
        origin = allowedOrigin(http.req.raw, options.allowedOrigins, operation.method === 'get')
        client = clientCookies(headers)
          .map(cookie => readClientClaims(ctx, cookie))
          .find(claims => claims !== undefined)
        caller.principal = { type: 'client', id: client?.id ?? null }
      }
      const query = (
        querySchema && readQuery ? validate(querySchema, readQuery(new URL(http.req.url).searchParams)) : undefined
      ) as z.output<Q>
      const body = (
        bodySchema
          ? validate(bodySchema, (await readBody(http.req.raw, bodyType)) ?? emptyBody(bodySchema, bodyType))
          : undefined
      ) as z.output<B>
      const param = (name: string) => pathParam(http, name)
      const answer = await handler(ctx, { param, body, query, client, origin, http })
      if (answer instanceof Response) return answer
      if (options.checkResponses) operation.response.parse(answer)
      return http.json(answer as object)
    })
  })
}

/** No body is an empty form; as JSON it is nothing at all, which most operations refuse. */
function emptyBody(schema: z.ZodType, type: 'json' | 'form'): unknown {
  if (type === 'form') return {}
  return schema.safeParse(undefined).success ? undefined : {}
}

function pathParam(http: HonoContext<Env>, name: string): string {
  const value = http.req.param(name) ?? ''
  // Ids are printable ASCII; anything else names nothing, in any database.
  if (!/^[\x21-\x7e]{1,255}$/.test(value))
    throw new ApiError('resource_not_found', { params: { what: 'Resource not found' } })
  return value
}

function assertOneApiVersion(http: HonoContext<Env>): void {
  if (http.req.header('clerk-api-version') !== undefined && http.req.query('__clerk_api_version') !== undefined) {
    throw new ApiError('api_version_invalid')
  }
}
