import { ApiError, invalidParam } from '../contract/errors.ts'

/** Maximum nesting depth: enough for any legitimate payload, and far below the limit of recursion. */
const MAX_DEPTH = 16

/**
 * Parses a body, and accepts only JSON that has the same meaning for every later reader: another parser, another
 * database, an auditor. It refuses duplicate members, `__proto__`, NUL and lone surrogates in strings, numbers that a
 * JavaScript number cannot represent exactly, and deep nesting (checked before any recursion).
 * @throws ApiError request_body_invalid if it is not JSON, form_param_value_invalid naming the field if it is refused
 */
export function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ApiError('request_body_invalid', {
      cause,
      action: 'Send the body as JSON (RFC 8259), UTF-8, without a byte order mark.',
    })
  }
  assertOneMeaning(text)
  return value
}

interface Level {
  /** Members so far; null in an array. */
  members: Set<string> | null
  member: string
}

/** Scans text that is known to be valid JSON, so it needs to check only strings, numbers and brackets. */
function assertOneMeaning(text: string): void {
  const levels: Level[] = []
  let at = 0
  while (at < text.length) {
    const char = text.charCodeAt(at)
    if (char === QUOTE) {
      at = checkString(text, at, levels)
    } else if (char === MINUS || (char >= ZERO && char <= NINE)) {
      at = checkNumber(text, at, levels)
    } else {
      if (char === OPEN_BRACE || char === OPEN_BRACKET) openLevel(char, levels)
      else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) levels.pop()
      at += 1
    }
  }
}

/** Checks the string that starts here. If it is the name of a member, records it. @returns the index after it */
function checkString(text: string, start: number, levels: Level[]): number {
  const end = endOfString(text, start)
  const string = content(text, start, end)
  const level = levels.at(-1)
  if (level?.members && nextCharCode(text, end) === COLON) {
    level.member = string
    if (string === '__proto__') throw refusal(levels, '`__proto__` is not allowed as a member.')
    if (level.members.has(string)) throw refusal(levels, `\`${string}\` is given twice.`)
    level.members.add(string)
  }
  if (string.includes('\0')) throw refusal(levels, 'The character U+0000 is not allowed.')
  if (!string.isWellFormed()) throw refusal(levels, 'Lone surrogates are not allowed: they are not Unicode text.')
  return end
}

/** Checks the number that starts here. @returns the index after it */
function checkNumber(text: string, start: number, levels: Level[]): number {
  const end = endOfNumber(text, start)
  if (isKept(text.slice(start, end))) return end
  const shown = text.slice(start, Math.min(end, start + 40))
  throw refusal(levels, `The number ${shown} cannot be stored exactly. Send it as a string.`)
}

function openLevel(bracket: number, levels: Level[]): void {
  if (levels.length >= MAX_DEPTH) throw refusal(levels, `Nested deeper than ${MAX_DEPTH} levels.`)
  levels.push({ members: bracket === OPEN_BRACE ? new Set() : null, member: '' })
}

/** Returns an error that names the current field. */
function refusal(levels: Level[], why: string): ApiError {
  const path = levels.filter(level => level.members).map(level => level.member)
  return invalidParam(path.slice(0, 3).join('.') || 'body', why)
}

/** Whether a number is not too large, is not rounded to 0, and, if it is whole, is exact. */
function isKept(spelt: string): boolean {
  const number = Number(spelt)
  if (!Number.isFinite(number) || Object.is(number, -0)) return false
  if (number === 0) return /^[0.]+(e|$)/i.test(spelt)
  return !Number.isInteger(number) || Number.isSafeInteger(number)
}

const QUOTE = 34
const COLON = 58
const BACKSLASH = 92
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93
const MINUS = 45
const ZERO = 48
const NINE = 57

function endOfString(text: string, start: number): number {
  let at = start + 1
  while (text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1
  return at + 1
}

function content(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end - 1)
  return raw.includes('\\') ? JSON.parse(text.slice(start, end)) : raw
}

function nextCharCode(text: string, from: number): number {
  let at = from
  while (' \t\n\r'.includes(text[at] ?? '.')) at++
  return text.charCodeAt(at)
}

function endOfNumber(text: string, start: number): number {
  let at = start
  while (at < text.length && '+-.0123456789eE'.includes(text[at] as string)) at++
  return at
}
