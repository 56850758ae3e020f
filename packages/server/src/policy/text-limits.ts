import type { PolicyRefusal } from '../domain/policy-engine.ts'

/**
 * Limits of a policy text, checked before the engine sees it: WebAssembly has no guard around its stack, and a text that
 * overflows it breaks the engine for good (cedar#1457).
 */

/** Maximum size of a text, in bytes of UTF-8. */
export const MAX_BYTES = 256 * 1024
/** Maximum number of policies. */
export const MAX_POLICIES = 200
/** Maximum number of brackets, `if` and unary operators around an expression. */
export const MAX_NESTING = 64

/** Where a policy is in its text: from its first token to its semicolon. */
export interface Span {
  start: number
  end: number
}

/** A limit that a text exceeds, and where. */
export interface ExceededLimit {
  refusal: PolicyRefusal
  message: string
  /** Index in the text. */
  at: number
}

/** A text that is within the limits, in its policies. */
export interface ScannedText {
  policies: Span[]
  exceeded: ExceededLimit | null
}

/**
 * The tokens of a text, comments among them. A comment ends at a carriage return too: the engine reads it so, and nothing may
 * hide in what is one only for us.
 */
export const TOKEN = /\/\/[^\n\r]*|"(?:\\[\s\S]|[^"\\])*"?|[A-Za-z_]\w*|[()[\]{}]|[!=<>]=|&&|\|\||\S/gu

/**
 * Splits a text into its policies, and checks its limits. Understands only as much of Cedar as that needs.
 *
 *     scanText('permit (principal, action, resource);').policies   // [{ start: 0, end: 37 }]
 */
export function scanText(text: string): ScannedText {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    const message = `The text is larger than ${MAX_BYTES / 1024} KB.`
    return { policies: [], exceeded: { refusal: 'policy_too_large', message, at: 0 } }
  }
  const policies: Span[] = []
  const nesting = new Nesting()
  let start: number | undefined
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token.startsWith('//')) continue
    start ??= index
    if (nesting.add(token) > MAX_NESTING) {
      const message = `An expression is nested more than ${MAX_NESTING} levels deep.`
      return { policies, exceeded: { refusal: 'policy_invalid', message, at: index } }
    }
    if (token !== ';') continue
    policies.push({ start, end: index + 1 })
    start = undefined
    if (policies.length <= MAX_POLICIES) continue
    const message = `There are more than ${MAX_POLICIES} policies.`
    return { policies, exceeded: { refusal: 'policy_too_large', message, at: index } }
  }
  return { policies, exceeded: null }
}

/** Counts what is open around a token: brackets, the `if`s inside each, and unary operators before the token. */
class Nesting {
  /** The open brackets, each with the unary operators before it and the `if`s around it in the same bracket. */
  #open: { operators: number; ifs: number }[] = []
  #levels = 0
  #ifs = 0
  #operators = 0

  /** Adds a token. @returns the depth at it */
  add(token: string): number {
    const operators = this.#operators
    this.#operators = token === '!' || token === '-' ? operators + 1 : 0
    if (/^[([{]$/.test(token)) this.#enter(operators)
    else if (/^[)\]}]$/.test(token)) this.#leave()
    else if (token === 'if') this.#ifs += 1
    else if (token === ',') this.#ifs = 0
    else if (token === ';') {
      this.#open = []
      this.#levels = 0
      this.#ifs = 0
    }
    return this.#levels + this.#ifs + this.#operators
  }

  #enter(operators: number): void {
    this.#open.push({ operators, ifs: this.#ifs })
    this.#levels += 1 + operators + this.#ifs
    this.#ifs = 0
  }

  #leave(): void {
    const { operators, ifs } = this.#open.pop() ?? { operators: -1, ifs: 0 }
    this.#levels -= 1 + operators + ifs
    this.#ifs = ifs
  }
}

/** Returns the position of an index in a text, from 1. */
export function positionAt(text: string, index: number): { line: number; column: number } {
  const before = text.slice(0, index)
  return { line: before.split('\n').length, column: index - before.lastIndexOf('\n') }
}

/** Returns the index in a text of an offset in its UTF-8 bytes, which is what the engine reports. */
export function indexOfByte(text: string, offset: number): number {
  return Buffer.from(text).subarray(0, offset).toString('utf8').length
}
