import { getPath } from 'hono/utils/url'

/** Which requests are for the console, and what every answer to them says. */

/** Whether a path is one of the console. */
export const isConsolePath = (path: string): boolean => path === '/console' || path.startsWith('/console/')

/** The same for a request, in whatever way its path is encoded. */
export const isForConsole = (request: Request): boolean => isConsolePath(getPath(request))

/** No other page may read an answer of the console, or show it. There are no CORS headers either. */
export const CONSOLE_HEADERS = {
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
}
