import type { BlockList } from 'node:net'
import type { Hono, Handler as HonoHandler, HonoRequest } from 'hono'
import type { Logger } from 'pino'
import type { z } from 'zod'
import { forOperators } from '../contract/console.ts'
import { isForUsersOnly, type Operation, type ParamsOf } from '../contract/operation.ts'
import { recordRefusal } from '../domain/audit/refusals.ts'
import type { Context, Services } from '../domain/context.ts'
import { findCreated, type Once, onceOf } from '../domain/idempotency.ts'
import { assertNotActing } from '../domain/me.ts'
import { AlreadyCreated, OutcomeUnknown, StoreUnavailable } from '../domain/store.ts'
import { type AnswerHeaders, answerError, answerJson, standardHeaders } from './answer.ts'
import { authenticators } from './auth/authenticators.ts'
import type { Browser } from './browser/browser.ts'
import { errorPage, type PageOptions, pageStyle, wantsPage } from './browser/pages.ts'
import type { Call } from './call.ts'
import { callerOf, type HeaderReader, headerReader } from './caller.ts'
import { assertInput, assertMayName, inOwnName } from './console/api.ts'
import { CONSOLE_HEADERS, isConsolePath } from './console/headers.ts'
import { maskedOrRevealed } from './console/masking.ts'
import type { ConsoleOptions } from './console/options.ts'
import type { ListQueue } from './edge/list-queue.ts'
import type { RateLimits } from './edge/rate-limits.ts'
import { inputReader, overridePath } from './input.ts'
import type { Env } from './request-log.ts'

/** Options of the HTTP layer, in addition to the domain's services. */
export interface HttpOptions {
  allowedOrigins: ReadonlySet<string>
  trustedProxies: BlockList
  limits: RateLimits
  /** Every list is read in its turn. */
  lists: ListQueue
  /** Check every answer against its schema; on in development and tests. */
  checkResponses: boolean
  /** Folder from which the npm packages with Clerk's browser builds are resolved. */
  packagesDirectory: string
  /** Languages and brand of the pages. */
  pages: PageOptions
  /** Undefined if there is no console. */
  console?: ConsoleOptions | undefined
}

export interface Http {
  app: Hono<Env>
  services: Services
  options: HttpOptions
  /** For errors that occur after an answer has started. */
  log: Logger
}

/** Input that has passed authentication and validation. */
export interface Input<B extends z.ZodType, Q extends z.ZodType, P extends string> {
  /** The parameters of the path. */
  params: Record<ParamsOf<P>, string>
  body: z.output<B>
  query: z.output<Q>
  /** Set only in operations of browsers. */
  browser: Browser
  url: string
  header: HeaderReader
  /** Headers of the answer. */
  headers: AnswerHeaders
  /** Cookies of the answer. */
  cookies: string[]
}

/** Does the work of an operation. @returns what the contract promises, or a whole answer (a page, a stream) */
type Handler<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, P extends string> = (
  ctx: Context,
  input: Input<B, Q, P>,
) => Promise<z.input<NoInfer<R>> | Response>

/**
 * Does the work of an operation that creates something. If a request repeats an Idempotency-Key, `mount` calls `find`
 * instead of `create`.
 */
interface Creator<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, P extends string, T> {
  /** @param once the idempotency key, to store it in the transaction that creates the object */
  create(ctx: Context, input: Input<B, Q, P>, once: Once | undefined): Promise<T>
  /** Finds what the first request created, by its id. */
  find(ctx: Context, id: string): Promise<T>
  present(ctx: Context, created: T): z.input<NoInfer<R>> | Promise<z.input<NoInfer<R>>>
}

/**
 * Connects an operation to its handler: authenticate → validate → run → answer. An operation of the Backend API that has
 * roles is also connected for the operators of the console, at its path there.
 */
export function mount<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, P extends string, T>(
  http: Http,
  operation: Operation<B, Q, R, P>,
  handler: Handler<B, Q, R, P> | Creator<B, Q, R, P, T>,
): void {
  mountAt(http, operation, handler)
  const { auth, roles = [] } = operation
  if (http.options.console && auth === 'secret_key' && roles.length > 0) mountAt(http, forOperators(operation), handler)
}

function mountAt<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, P extends string, T>(
  { app, services, options }: Http,
  operation: Operation<B, Q, R, P>,
  handler: Handler<B, Q, R, P> | Creator<B, Q, R, P, T>,
): void {
  const { action, auth, method, page, status = 200 } = operation
  if ((operation.idempotent ?? false) !== 'create' in handler)
    throw new Error(`${operation.id}: an idempotent operation needs a creator, and no other operation may have one`)
  const forUsersOnly = isForUsersOnly(operation)
  const read = inputReader(operation)
  const path = routeOf(operation.path)
  const ofConsole = isConsolePath(operation.path)

  const handle: HonoHandler<Env> = async http => {
    const { raw: request } = http.req
    const { incoming, requestLog } = http.env
    const header = headerReader(request, incoming)
    const traceId = requestLog.start(operation, header)
    const headers = standardHeaders(traceId, ofConsole ? undefined : header('origin'), options.allowedOrigins)
    if (ofConsole) Object.assign(headers, CONSOLE_HEADERS)
    const ctx: Context = { ...services, caller: callerOf(header, incoming, options.trustedProxies, traceId) }
    requestLog.caller = ctx.caller
    const { url } = request
    const cookies: string[] = []
    const common = { url, header, headers, cookies }
    const { allowedOrigins, limits } = options
    const call: Call = { ...common, operation, ctx, incoming, allowedOrigins, limits }
    try {
      const answer = await requestLog.run(async () => {
        const browser = await authenticate(call)
        if (browser && forUsersOnly) await assertNotActing(ctx, { ...browser, session_ids: namedIn(http.req) })
        const { operator } = ctx.caller
        if (operator) await assertMayName(ctx, operation, operator, http.req.param())
        const { sent, ...input } = await read(http, header, operator && (it => inOwnName(ctx, operation, operator, it)))
        if (operator) input.query = await assertInput(ctx, operation, operator, input)
        const answer = await run(handler, call, { ...input, ...common, browser: browser as Browser }, sent)
        // Lists and files mask their rows themselves.
        if (!operator || answer instanceof Response) return answer
        return maskedOrRevealed(ctx, operation, input.query, answer)
      })
      if (answer instanceof Response) return request.method === 'HEAD' ? withoutBody(answer) : answer
      if (options.checkResponses) operation.response.parse(answer)
      const response = answer === null ? new Response(null, { status, headers }) : answerJson(answer, status, headers)
      return withCookies(response, call.cookies)
    } catch (thrown) {
      const error = await requestLog.run(() => recorded(thrown, ctx, action))
      if (page && wantsPage(header)) return errorPage(error, headers, requestLog, pageStyle(options.pages, header))
      return answerError(error, headers, requestLog, operation.errorFormat)
    }
  }
  app.on(method.toUpperCase(), path, handle)
  if (auth !== 'secret_key' && !ofConsole && method !== 'get' && method !== 'post')
    app.post(overridePath(method, path), handle)
}

/** Returns the path as the router reads it. A parameter whose name ends with `_path` has slashes. */
const routeOf = (path: string) => path.replace(/\{(\w+_path)\}/g, ':$1{.+}').replace(/(?<=\/)\{(\w+)\}/g, ':$1')

/** Returns the sessions that a browser's request names: in the path, and as Clerk's scripts do in the query. */
const namedIn = (request: HonoRequest) => [request.param('session_id'), ...(request.queries('_clerk_session_id') ?? [])]

async function authenticate(call: Call): Promise<Browser | undefined> {
  try {
    return await authenticators[call.operation.auth](call)
  } catch (error) {
    call.limits.countFailure(error, call.ctx.caller.network, call.headers)
    throw error
  }
}

/** Records a refusal. @returns the error to answer with: if the refusal could not be recorded, the reason of that */
async function recorded(error: unknown, ctx: Context, action: string | undefined): Promise<unknown> {
  try {
    await recordRefusal(ctx, action, error)
    return error
  } catch (failure) {
    return failure
  }
}

/** Runs the handler; for a creator, only once per idempotency key. @param sent the body as it was sent */
async function run<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, P extends string, T>(
  handler: Handler<B, Q, R, P> | Creator<B, Q, R, P, T>,
  { operation, ctx, header, headers }: Call,
  input: Input<B, Q, P>,
  sent: unknown,
): Promise<z.input<R> | Response> {
  const key = 'create' in handler ? header('idempotency-key') : undefined
  const owner = ctx.caller.principal.id ?? ''
  const once = key === undefined ? undefined : onceOf({ key, owner, operation: operation.id, body: sent })
  try {
    if (!('create' in handler)) return await handler(ctx, input)
    const created = await (once
      ? createOnce(handler, ctx, input, once, headers)
      : handler.create(ctx, input, undefined))
    return await handler.present(ctx, created)
  } catch (error) {
    // If the connection is lost during a read, an earlier step may already have made the change.
    if (operation.action !== undefined && error instanceof StoreUnavailable && error.reading)
      throw new OutcomeUnknown(error.message, { cause: error })
    throw error
  }
}

/**
 * Creates something once. If several requests with the same key arrive at once, in any process, one of them creates it;
 * the others wait and return what it created.
 */
async function createOnce<B extends z.ZodType, Q extends z.ZodType, R extends z.ZodType, P extends string, T>(
  creator: Creator<B, Q, R, P, T>,
  ctx: Context,
  input: Input<B, Q, P>,
  once: Once,
  headers: AnswerHeaders,
): Promise<T> {
  let id = await findCreated(ctx, once)
  if (id === undefined) {
    try {
      return await creator.create(ctx, input, once)
    } catch (error) {
      id = error instanceof AlreadyCreated ? await findCreated(ctx, once) : undefined
      if (id === undefined) throw error
    }
  }
  const found = await creator.find(ctx, id)
  headers['idempotent-replayed'] = 'true'
  return found
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
