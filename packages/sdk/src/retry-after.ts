/** The three forms of an HTTP date (RFC 9110 §5.6.7). `Date.parse` alone would accept almost any text. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/,
]

/**
 * Returns the wait of a `Retry-After` header in seconds, at least 0. The header has a number of seconds or an HTTP date
 * (RFC 9110 §10.2.3). Returns undefined for any other value.
 *
 * @param now Unix time, in ms
 */
export function retryAfterSeconds(header: string | null, now: number): number | undefined {
  const text = header?.trim() ?? ''
  if (/^\d+$/.test(text)) return Number(text)
  if (!HTTP_DATES.some(form => form.test(text))) return undefined
  // The oldest form has no time zone; it is UTC.
  const seconds = (Date.parse(text.endsWith('GMT') ? text : `${text} GMT`) - now) / 1_000
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds)
}
