import type { BlockList } from 'node:net'
import type { Handler, Hono, Context as HonoContext } from 'hono'
import type { Logger } from 'pino'
import type { z } from 'zod'
import { ApiError } from '../contract/errors.ts'
import type { Operation } from '../contract/operation.ts'
import { recordingRefusals } from '../domain/audit/refusals.ts'
import type { Context, Services } from '../domain/context.ts'
import { doOnce, type Once, onceOf } from '../domain/idempotency.ts'
import { OutcomeUnknown, StoreUnavailable } from '../domain/store.ts'
import { type AnswerHeaders, answerError, answerJson, standardHeaders } from './answer.ts'
import { readBody } from './body.ts'
import { type Browser, identifyBrowser } from './browser/browser.ts'
import { errorPage, type PageOptions, pageStyle, wantsPage } from './browser/pages.ts'
import { authenticate, callerOf } from './caller.ts'
import type { RateLimits } from './edge/rate-limits.ts'
import type { Env } from './env.ts'
import { type HeaderReader, headerReader } from './headers.ts'
import { overridePath } from './method-override.ts'
import { queryReader, validate } from './validate.ts'

/** Options of the HTTP layer, in addition to the domain's services. */
export interface HttpOptions {
  allowedOrigins: ReadonlySet<string>
  trustedProxies: BlockList
  limits: RateLimits
  /** Check every answer against its schema; on in development and tests. */
  checkResponses: boolean
  /** Folder from which the npm packages with Clerk's browser builds are resolved. */
  packagesDirectory: string
  /** Languages and brand of the pages. */
  pages: PageOptions
}

export interface Http {
  app: Hono<Env>
  services: Services
  options: HttpOptions
  /** For errors that occur after an answer has started. */
  log: Logger
}

/** Input that has passed authentication and validation. */
export interface Input<B extends z.ZodType, Q extends z.ZodType> {
  /** The value of a path parameter. */
  param(name: string): string
  body: z.output<B>
  query: z.output<Q>
  /** Set only in operations of browsers. */
  browser: Browser
  header: HeaderReader
  /**
   * Creates something. If the request repeats an Idempotency-Key, returns what the first request created.
   * @param make gets the key, to store it together with the new object
   * @param again finds the object of the first request by its id
   */
  once<T>(make: (key: Once | undefined) => Promise<T>, again: (id: string) => Promise<T>): Promise<T>
  /** Headers of the answer. */
  headers: AnswerHeaders
}

/** Connects an operation to its handler: authenticate → validate → run → answer. */
export function mount<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType>(
  { app, services, options }: Http,
  operation: Operation<B, Q, R>,
  handler: (ctx: Context, input: Input<B, Q>) => Promise<z.input<NoInfer<R>> | Response>,
): void {
  const {
    action,
    auth,
    method,
    neverShed,
    rateLimit,
    idempotent,
    body: bodySchema,
    query: querySchema,
    bodyType = 'json',
    status = 200,
    page,
  } = operation
  const { limits } = options
  const readQuery = querySchema && queryReader(querySchema)
  const path = operation.path.replace(/\{(\w+)\}/g, ':$1')

  const handle: Handler<Env> = async http => {
    const { raw: request } = http.req
    const { incoming, requestLog } = http.env
    const header = headerReader(request, incoming)
    const traceId = requestLog.start(operation, header)
    const headers = standardHeaders(traceId, header('origin'), options.allowedOrigins)
    const cookies: string[] = []
    const ctx: Context = { ...services, caller: callerOf(header, incoming, options.trustedProxies, traceId) }
    requestLog.caller = ctx.caller

    const { address } = ctx.caller

    const run = async (): Promise<z.input<R> | Response> => {
      let browser: Browser | undefined
      if (auth === 'secret_key') {
        assertOneApiVersion(http)
        const key = await limits.authenticating(address, headers, () => authenticate(ctx, header, incoming))
        if (!neverShed) limits.takeOf(key.id, header('authorization') ?? '', address, headers)
      } else if (auth === 'client') {
        limits.takeFrom('address', address, headers)
        if (rateLimit === 'redeem') limits.takeFrom('redeem', address, headers)
        const { allowedOrigins } = options
        browser = await limits.authenticating(address, headers, () =>
          identifyBrowser(ctx, header, headers, cookies, { url: http.req.url, safe: method === 'get', allowedOrigins }),
        )
      }
      const query = querySchema && readQuery && validate(querySchema, readQuery(new URL(http.req.url).searchParams))
      const read = bodySchema && (await readBody(request, header, bodyType))
      const sent = bodySchema && (read ?? emptyBody(bodySchema, bodyType, read))
      const body = bodySchema && validate(bodySchema, sent)
      const key = idempotent && header('idempotency-key')
      return mapUnknownOutcome(action, handler)(ctx, {
        param: name => pathParam(http, name),
        body: body as z.output<B>,
        query: query as z.output<Q>,
        browser: browser as Browser,
        header,
        headers,
        once: async (make, again) => {
          if (key === undefined) return make(undefined)
          const owner = ctx.caller.principal.id ?? ''
          const once = onceOf({ key, owner, operation: operation.id, body: sent })
          const { made, replayed } = await doOnce(ctx, once, () => make(once), again)
          if (replayed) headers['idempotent-replayed'] = 'true'
          return made
        },
      })
    }
    try {
      const answer = await requestLog.run(() => recordingRefusals(ctx, action, run))
      if (answer instanceof Response) return request.method === 'HEAD' ? withoutBody(answer) : answer
      if (options.checkResponses) operation.response.parse(answer)
      const response = answer === null ? new Response(null, { status, headers }) : answerJson(answer, status, headers)
      return withCookies(response, cookies)
    } catch (error) {
      if (page && wantsPage(header)) return errorPage(error, headers, requestLog, pageStyle(options.pages, header))
      return answerError(error, headers, requestLog)
    }
  }
  app.on(method.toUpperCase(), path, handle)
  if (auth !== 'secret_key' && method !== 'get' && method !== 'post') app.post(overridePath(method, path), handle)
}

/**
 * Wraps the handler of an operation that changes state. If the database connection is lost during a read, an earlier step
 * may already have made the change. The answer is then `outcome_unknown`, not "nothing was changed".
 */
function mapUnknownOutcome<A extends unknown[], T>(action: string | undefined, handler: (...args: A) => Promise<T>) {
  if (action === undefined) return handler
  return async (...args: A): Promise<T> => {
    try {
      return await handler(...args)
    } catch (error) {
      throw error instanceof StoreUnavailable && error.reading
        ? new OutcomeUnknown(error.message, { cause: error })
        : error
    }
  }
}

/** Cancels the body for HEAD. Otherwise an event stream that no client reads would run until the server stops. */
async function withoutBody(answer: Response): Promise<Response> {
  await answer.body?.cancel()
  return new Response(null, answer)
}

/** Adds cookies to an answer. The client's own cookie stays last, because Clerk's proxy for Express forwards only the last one. */
function withCookies(response: Response, cookies: string[]): Response {
  if (cookies.length === 0) return response
  const own = response.headers.getSetCookie()
  response.headers.delete('set-cookie')
  for (const cookie of [...cookies, ...own]) response.headers.append('set-cookie', cookie)
  return response
}

/** Replaces a missing body by an empty object, because Clerk's SDK for Node sends none. `null` is a body: if `{}` is valid, it is not replaced, so validation refuses it. */
function emptyBody(schema: z.ZodType, type: 'json' | 'form', sent: unknown): unknown {
  if (type === 'form') return {}
  if (schema.safeParse(undefined).success) return undefined
  // If the schema refuses an empty object, the answer names the missing members.
  return sent === null && schema.safeParse({}).success ? null : {}
}

function pathParam(http: HonoContext<Env>, name: string): string {
  const value = http.req.param(name) ?? ''
  // Reject malformed ids before they reach the database: callers sometimes paste secrets here, and databases log queries.
  // Names are printable ASCII.
  const form = name.endsWith('_id') ? /^[a-z]+_[0-9A-Za-z]{1,27}$/ : /^[\x21-\x7e]{1,255}$/
  if (!form.test(value)) throw new ApiError('resource_not_found', { params: { what: 'Resource not found' } })
  return value
}

function assertOneApiVersion(http: HonoContext<Env>): void {
  if (http.req.header('clerk-api-version') !== undefined && http.req.query('__clerk_api_version') !== undefined) {
    throw new ApiError('api_version_invalid')
  }
}
