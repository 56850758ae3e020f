import { ApiError } from '../../contract/errors.ts'
import { isAllowed } from './origin.ts'

/** Characters that URL parsers interpret differently when they find the host, and characters that could end a header. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern has to match control characters
const AMBIGUOUS = /[\\\x00-\x20\x7f]/

/**
 * Parses a redirect URL: a complete http(s) URL on one of the allowed origins. It follows the WHATWG rules, as browsers
 * do. The answer uses the parsed form, not the original text.
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
