import { ApiError } from '../contract/errors.ts'
import type { HeaderReader } from './headers.ts'

/**
 * The page asking. A state-changing call is taken from pages of the allowed origins only: forms need no preflight, so
 * CORS alone would not stop another site from posting its own ticket here (login CSRF).
 * @returns the Origin, undefined where there is none and none is needed
 * @throws ApiError origin_invalid
 */
export function allowedOrigin(header: HeaderReader, allowed: ReadonlySet<string>, safe: boolean): string | undefined {
  const origin = header('origin')
  if (origin !== undefined) {
    if (!isAllowed(origin, allowed)) throw new ApiError('origin_invalid')
    return origin
  }
  const site = header('sec-fetch-site')
  if (!safe && (site === 'cross-site' || site === 'same-site')) throw new ApiError('origin_invalid')
  return undefined
}

/** `LOOPBACK` in the set stands for any page on this machine: development only. */
export const LOOPBACK = 'loopback'

export function isAllowed(origin: string, allowed: ReadonlySet<string>): boolean {
  return (
    allowed.has(origin) ||
    (allowed.has(LOOPBACK) && /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/.test(origin))
  )
}
