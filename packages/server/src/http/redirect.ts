import { ApiError } from '../contract/errors.ts'
import { isAllowed } from './origin.ts'

/** What one reader of URLs takes for the host and another does not; and what could end a header. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
const AMBIGUOUS = /[\\\x00-\x20\x7f]/

/**
 * Where a browser asks to be sent: a whole http(s) URL on one of the allowed origins, nothing else. Parsed by the
 * WHATWG rules, as browsers do; what is sent is the parsed form, not the text that was given.
 * @throws ApiError invalid_redirect_url, prohibited_redirect_url
 * @example allowedRedirect('https://app.example.com/users', allowed).href
 */
export function allowedRedirect(text: string, allowed: ReadonlySet<string>): URL {
  const url = /^https?:\/\/[^/?#@]+([/?#]|$)/i.test(text) && !AMBIGUOUS.test(text) ? URL.parse(text) : null
  if (!url) throw new ApiError('invalid_redirect_url')
  if (!isAllowed(url.origin, allowed))
    throw new ApiError('prohibited_redirect_url', { params: { origin: url.origin.slice(0, 200) } })
  return url
}
