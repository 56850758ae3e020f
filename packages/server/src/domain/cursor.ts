/** One part of a position in a list: a sort value or an id. */
export type CursorPart = string | number | null

/**
 * Encodes a position in a list as an opaque cursor.
 * @example cursorOf(['created_at', 1767225600000, 'user_2f8d']) // 'WyJjcmVhdGVkX2F0Iiwx…'
 */
export function cursorOf(parts: CursorPart[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/**
 * Decodes what `cursorOf` encoded.
 * @returns undefined if the text is not a cursor
 * @example partsOf(cursorOf([1, 'a'])) // [1, 'a']
 */
export function partsOf(cursor: string): CursorPart[] | undefined {
  if (!/^[\w-]+$/.test(cursor)) return undefined
  try {
    const parts: unknown = JSON.parse(utf8.decode(Buffer.from(cursor, 'base64url')))
    return Array.isArray(parts) && parts.every(isPart) ? parts : undefined
  } catch {
    return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Databases cannot store U+0000 or lone surrogates. */
function isPart(part: unknown): part is CursorPart {
  if (typeof part === 'string') return !part.includes('\0') && part.isWellFormed()
  return part === null || Number.isSafeInteger(part)
}
