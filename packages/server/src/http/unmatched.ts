import type { Hono } from 'hono'
import { getPath } from 'hono/utils/url'
import { bapi } from '../contract/bapi.ts'
import { CONSOLE_API, consoleOperations } from '../contract/console.ts'
import { ApiError } from '../contract/errors.ts'
import { fapi } from '../contract/fapi.ts'
import type { Operation } from '../contract/operation.ts'
import { answerError, standardHeaders } from './answer.ts'
import { isAllowed } from './browser/origin.ts'
import { errorPage, homePage, pageStyle, wantsPage } from './browser/pages.ts'
import type { HeaderReader } from './caller.ts'
import { isForConsole } from './console/headers.ts'
import { isInRoom, requestedMethod } from './input.ts'
import type { HttpOptions } from './mount.ts'
import type { Env, RequestLog } from './request-log.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

/** Methods of the paths without parameters. For no method is `/v1/users/count` a user with the id `count`. */
function literalPaths(operations: readonly Operation[]): Map<string, string[]> {
  const literal = operations.filter(({ path }) => !path.includes('{'))
  const byPath = Map.groupBy(literal, ({ path }) => path)
  return new Map([...byPath].map(([path, of]) => [path, of.map(({ method }) => method.toUpperCase())]))
}

/** The pages of the console have any other path. */
const inConsole = consoleOperations.filter(({ path }) => path.startsWith(`${CONSOLE_API}/`))

/** Methods and headers of cross-origin requests. Browser extensions send their client token in Authorization. */
const PREFLIGHT = {
  'access-control-allow-methods': 'GET, HEAD, POST, PATCH, PUT, DELETE',
  'access-control-allow-headers': 'Authorization, Content-Type',
  'access-control-max-age': '600',
}

/** Answers requests that no operation matches: OPTIONS, methods that a path does not have, and unknown paths. */
export class Unmatched {
  readonly #app: Hono<Env>
  readonly #origins: ReadonlySet<string>
  readonly #pages: HttpOptions['pages']
  readonly #literalPaths: Map<string, string[]>

  constructor(app: Hono<Env>, options: Pick<HttpOptions, 'allowedOrigins' | 'pages' | 'console'>) {
    const { allowedOrigins, pages } = options
    this.#app = app
    this.#origins = allowedOrigins
    this.#pages = pages
    this.#literalPaths = literalPaths([...bapi, ...fapi, ...(options.console ? inConsole : [])])
  }

  /** Called before anything is mounted. For a literal path, prevents routes with parameters from matching its other methods. */
  keepLiteralPaths(): void {
    for (const [path, methods] of this.#literalPaths) {
      const others = METHODS.filter(method => !methods.includes(method))
      this.#app.on(others, path, ({ req, env }) => this.refuse(req.raw, env.requestLog))
    }
  }

  /** Answers 405 with `Allow` if the path has other methods, otherwise 404. */
  refuse(request: Request, requestLog: RequestLog): Response {
    const path = plainPath(request)
    const allow = this.#allow(path)
    const headers = this.#headers(request, requestLog)
    // Check both the overriding method and the method of the request itself.
    const methods = [requestedMethod(request.method, request.url), request.method]
    const wrong = methods.find(method => allow?.split(', ').includes(method) === false)
    // The handler of static files calls this too, for a missing file.
    if (allow === undefined || wrong === undefined) return this.#nothingHere(request, path, requestLog)
    return answerError(methodNotAllowed(wrong, allow), { ...headers, allow }, requestLog)
  }

  /** Answers 404: with a page for a person in a browser, with JSON for all other callers. */
  #nothingHere(request: Request, path: string | undefined, requestLog: RequestLog): Response {
    const error = nothingHere(request.method, path)
    const headers = this.#headers(request, requestLog)
    const header: HeaderReader = name => request.headers.get(name) ?? undefined
    if (!['GET', 'HEAD'].includes(request.method) || !wantsPage(header)) return answerError(error, headers, requestLog)
    const style = pageStyle(this.#pages, header)
    return path === '/' ? homePage(headers, style) : errorPage(error, headers, requestLog, style)
  }

  /**
   * Answers with the methods of a path. A browser sends OPTIONS (a preflight) before a cross-origin request that is not a
   * simple form. Pages of origins that are not allowed are refused.
   */
  options(request: Request, requestLog: RequestLog): Response {
    // No page of another origin may use the console.
    const origin = isForConsole(request) ? null : request.headers.get('origin')
    const path = plainPath(request)
    const allow = this.#allow(path)
    // A preflight for an unknown path is answered like any other, so that the page can read the 404 that follows.
    const known = allow !== undefined || (origin !== null && path?.startsWith('/v1/') === true)
    if (!known) return this.refuse(request, requestLog)
    const headers = { ...this.#headers(request, requestLog), ...(allow === undefined ? {} : { allow }) }
    if (origin === null) return new Response(null, { status: 204, headers })
    if (!isAllowed(origin, this.#origins)) return answerError(new ApiError('origin_invalid'), headers, requestLog)
    return new Response(null, { status: 204, headers: { ...headers, ...PREFLIGHT } })
  }

  #headers(request: Request, requestLog: RequestLog) {
    const origin = isForConsole(request) ? undefined : (request.headers.get('origin') ?? undefined)
    return standardHeaders(requestLog.traceId, origin, this.#origins)
  }

  /** Returns the `Allow` header of a path (RFC 9110 §10.2.1), or undefined if the path has no operation. */
  #allow(path: string | undefined): string | undefined {
    if (path === undefined) return undefined
    const matched = (method: string) => this.#app.router.match(method, path)[0].length > 0
    const methods = this.#literalPaths.get(path) ?? METHODS.filter(matched)
    if (methods.length === 0) return undefined
    const sorted = METHODS.filter(method => methods.includes(method))
    return [...sorted.flatMap(method => (method === 'GET' ? ['GET', 'HEAD'] : [method])), 'OPTIONS'].join(', ')
  }
}

/** Returns the path of the request, or undefined for internal paths of overridden requests, which no request may name. */
function plainPath(request: Request): string | undefined {
  const path = getPath(request)
  return isInRoom(path) ? undefined : path
}

function methodNotAllowed(method: string, allow: string): ApiError {
  const what = METHODS.includes(method) || method === 'HEAD' ? method : 'This method'
  return new ApiError('method_not_allowed', { params: { method: what, allow } })
}

function nothingHere(method: string, path = ''): ApiError {
  return new ApiError('resource_not_found', {
    params: { what: `There is no ${method} ${path.slice(0, 200)} here.` },
    action: 'See docs/reference/api.md for all paths.',
  })
}
