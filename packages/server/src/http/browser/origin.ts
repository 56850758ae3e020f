import { ApiError } from '../../contract/errors.ts'
import type { HeaderReader } from '../caller.ts'

/**
 * Checks the origin of the page that sent a request. Requests that change state are accepted only from pages of allowed
 * origins. CORS alone would not stop another site from posting its own ticket here (login CSRF), because forms need no
 * preflight.
 * @param request.safe whether the request changes nothing
 * @param request.native whether it has the client token in a header, which no other site can make a browser send
 * @returns the origin, or undefined if there is none and none is needed
 * @throws ApiError origin_invalid, origin_authorization_headers_conflict
 */
export function allowedOrigin(
  header: HeaderReader,
  allowed: ReadonlySet<string>,
  { safe, native }: { safe: boolean; native: boolean },
): string | undefined {
  const origin = header('origin')
  if (origin !== undefined) {
    if (!isAllowed(origin, allowed))
      throw new ApiError(native ? 'origin_authorization_headers_conflict' : 'origin_invalid')
    return origin
  }
  const site = header('sec-fetch-site')
  // Behind a proxy on the app's own origin, a GET has no Origin header.
  if (safe && site === 'same-origin') {
    const page = URL.parse(header('referer') ?? '')?.origin
    if (page !== undefined && isAllowed(page, allowed)) return page
  }
  if (!safe && !native && (site === 'cross-site' || site === 'same-site')) throw new ApiError('origin_invalid')
  return undefined
}

/**
 * Rejects requests of a page that the browser only prepares (prefetch, prerender), because no person sees it yet.
 * @throws ApiError not_while_prefetching
 */
export function rejectPrefetch(header: HeaderReader): void {
  if (isPrefetch(header)) throw new ApiError('not_while_prefetching')
}

export function isPrefetch(header: HeaderReader): boolean {
  return /prefetch|prerender|preview/i.test(
    `${header('sec-purpose') ?? ''} ${header('purpose') ?? ''} ${header('x-moz') ?? ''}`,
  )
}

/** `LOOPBACK` in the set stands for any page on this machine: development only. */
export const LOOPBACK = 'loopback'

export function isAllowed(origin: string, allowed: ReadonlySet<string>): boolean {
  return (
    (origin !== LOOPBACK && allowed.has(origin)) ||
    (allowed.has(LOOPBACK) && /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/.test(origin))
  )
}
