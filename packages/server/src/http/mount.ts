import type { IncomingMessage } from 'node:http'
import type { BlockList } from 'node:net'
import type { Handler, Hono, Context as HonoContext } from 'hono'
import type { Logger } from 'pino'
import type { z } from 'zod'
import { ApiError } from '../contract/errors.ts'
import type { Operation } from '../contract/operation.ts'
import type { Context, Services } from '../domain/context.ts'
import { doOnce, type Once, onceOf } from '../domain/idempotency.ts'
import { recordingRefusals } from '../domain/refusals.ts'
import { OutcomeUnknown, StoreUnavailable } from '../domain/store.ts'
import { type AnswerHeaders, answerError, answerJson, standardHeaders } from './answer.ts'
import { readBody } from './body.ts'
import { askingBrowser, type Browser } from './browser.ts'
import { authenticate, callerOf } from './caller.ts'
import { type HeaderReader, headerReader } from './headers.ts'
import { overridePath } from './method-override.ts'
import type { Seen } from './observe.ts'
import { errorPage, type PageOptions, pageStyle, wantsPage } from './pages.ts'
import type { RateLimits } from './rate-limits.ts'
import { queryReader, validate } from './validate.ts'

export interface Env {
  Bindings: { incoming?: IncomingMessage; seen: Seen }
}

/** What the HTTP layer knows beside the domain's services. */
export interface HttpOptions {
  allowedOrigins: ReadonlySet<string>
  trustedProxies: BlockList
  limits: RateLimits
  /** Check every answer against its schema: on in development and tests. */
  checkResponses: boolean
  /** Where the npm packages with Clerk's browser builds are looked for. */
  packagesDirectory: string
  /** Languages and brand of the pages. */
  pages: PageOptions
}

export interface Http {
  app: Hono<Env>
  services: Services
  options: HttpOptions
  /** For what goes wrong after an answer has begun. */
  log: Logger
}

/** Input that has passed authentication and validation. */
export interface Input<B extends z.ZodType, Q extends z.ZodType> {
  /** The value of a path parameter. */
  param(name: string): string
  body: z.output<B>
  query: z.output<Q>
  /** In operations of browsers only. */
  browser: Browser
  header: HeaderReader
  /**
   * Makes something; with an Idempotency-Key once, and what was made then is found again.
   * @param make is given the key, to store it together with what it makes
   */
  once<T>(make: (key: Once | undefined) => Promise<T>, again: (id: string) => Promise<T>): Promise<T>
  /** What the answer says beside its body. */
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
    urgent,
    redeems,
    makes,
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
    const { incoming, seen } = http.env
    const header = headerReader(request, incoming)
    const traceId = seen.began(operation, header)
    const headers = standardHeaders(traceId, header('origin'), options.allowedOrigins)
    const cookies: string[] = []
    const ctx: Context = { ...services, caller: callerOf(header, incoming, options.trustedProxies, traceId) }
    seen.caller = ctx.caller

    const { address } = ctx.caller

    const run = async (): Promise<z.input<R> | Response> => {
      let browser: Browser | undefined
      if (auth === 'secret_key') {
        assertOneApiVersion(http)
        const key = await limits.authenticating(address, headers, () => authenticate(ctx, header, incoming))
        if (!urgent) limits.takeOf(key.id, header('authorization') ?? '', address, headers)
      } else if (auth === 'client') {
        limits.takeFrom('address', address, headers)
        if (redeems) limits.takeFrom('redeem', address, headers)
        const { allowedOrigins } = options
        browser = await limits.authenticating(address, headers, () =>
          askingBrowser(ctx, header, headers, cookies, { url: http.req.url, safe: method === 'get', allowedOrigins }),
        )
      }
      const query = querySchema && readQuery && validate(querySchema, readQuery(new URL(http.req.url).searchParams))
      const read = bodySchema && (await readBody(request, header, bodyType))
      const sent = bodySchema && (read ?? emptyBody(bodySchema, bodyType, read))
      const body = bodySchema && validate(bodySchema, sent)
      const key = makes && header('idempotency-key')
      return unsure(action, handler)(ctx, {
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
      const answer = await seen.inside(() => recordingRefusals(ctx, action, run))
      if (answer instanceof Response) return request.method === 'HEAD' ? withoutBody(answer) : answer
      if (options.checkResponses) operation.response.parse(answer)
      const response = answer === null ? new Response(null, { status, headers }) : answerJson(answer, status, headers)
      return withCookies(response, cookies)
    } catch (error) {
      if (page && wantsPage(header)) return errorPage(error, headers, seen, pageStyle(options.pages, header))
      return answerError(error, headers, seen)
    }
  }
  app.on(method.toUpperCase(), path, handle)
  if (auth !== 'secret_key' && method !== 'get' && method !== 'post') app.post(overridePath(method, path), handle)
}

/**
 * If the database is lost while something is read in the course of changing something, the change may have been made
 * before: the caller is not told that nothing was done.
 */
function unsure<A extends unknown[], T>(action: string | undefined, handler: (...args: A) => Promise<T>) {
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

/** Ends a body that is never read: an event stream would follow the feed until the server stops. */
async function withoutBody(answer: Response): Promise<Response> {
  await answer.body?.cancel()
  return new Response(null, answer)
}

/** The client's own cookie stays last: of several, Clerk's proxy for Express hands on the last. */
function withCookies(response: Response, cookies: string[]): Response {
  if (cookies.length === 0) return response
  const own = response.headers.getSetCookie()
  response.headers.delete('set-cookie')
  for (const cookie of [...cookies, ...own]) response.headers.append('set-cookie', cookie)
  return response
}

/** Clerk's SDK for Node sends no body in place of an empty object. `null` is a body, and not one that may be empty. */
function emptyBody(schema: z.ZodType, type: 'json' | 'form', sent: unknown): unknown {
  if (type === 'form') return {}
  if (schema.safeParse(undefined).success) return undefined
  // Where an empty object is refused, the answer names the members that are missing.
  return sent === null && schema.safeParse({}).success ? null : {}
}

function pathParam(http: HonoContext<Env>, name: string): string {
  const value = http.req.param(name) ?? ''
  // Names are printable ASCII. What cannot be an id is asked of no database: secrets end up there, and some log it all.
  const form = name.endsWith('_id') ? /^[a-z]+_[0-9A-Za-z]{1,27}$/ : /^[\x21-\x7e]{1,255}$/
  if (!form.test(value)) throw new ApiError('resource_not_found', { params: { what: 'Resource not found' } })
  return value
}

function assertOneApiVersion(http: HonoContext<Env>): void {
  if (http.req.header('clerk-api-version') !== undefined && http.req.query('__clerk_api_version') !== undefined) {
    throw new ApiError('api_version_invalid')
  }
}
