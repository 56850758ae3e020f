/**
 * Encodes a value as canonical JSON, which has one encoding for each value (RFC 8785, JCS): members sorted by UTF-16
 * code units, no white space, numbers as ECMAScript writes them. Equal values give equal bytes, so a hash of the text
 * is a hash of the value.
 * @throws TypeError on what JSON cannot represent: NaN, Infinity, undefined, functions, lone surrogates.
 * @example canonicalJson({ b: 1, a: [true, null] }) // '{"a":[true,null],"b":1}'
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.keys(value)
      .sort()
      .map(key => `${text(key)}:${canonicalJson((value as Record<string, unknown>)[key])}`)
    return `{${members.join(',')}}`
  }
  if (typeof value === 'string') return text(value)
  if (typeof value === 'boolean' || value === null) return String(value)
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  throw new TypeError(`canonical JSON cannot represent ${String(value)}`)
}

function text(value: string): string {
  if (!value.isWellFormed()) throw new TypeError('canonical JSON cannot represent a lone surrogate')
  return JSON.stringify(value)
}
