/** Distinguishes random keys from passphrases, samples and patterns. */

/** The 50 most frequent pairs of letters in English; other European languages share most of them. */
const FREQUENT_PAIRS = new Set(
  'th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur'.split(
    ' ',
  ),
)
/**
 * The highest `wordiness` that is accepted as random. Of random 32-byte keys in base64, 4 in a million exceed it.
 * Passphrases have 0.14 to 0.5.
 */
const MAX_WORDINESS = 0.12
/** The same for keys of any length and alphabet. */
export const MAX_WORDINESS_OF_ANY_KEY = 0.35
/** Digits that stand for letters in passphrases. */
const LEET: Record<string, string> = { 0: 'o', 1: 'l', 3: 'e', 4: 'a', 5: 's', 7: 't', '@': 'a', $: 's' }
const MIN_DISTINCT_CHARACTERS = 10
/** Maximum fraction of neighbours with the same difference, as in `abcdef…` or `000102…`. */
const MAX_SAME_STEP = 0.4

/**
 * Decodes base64, base64url or hex. The text must be exactly the encoding of the bytes, with or without padding.
 * @returns undefined if the text is in none of these encodings
 * @example decodeKey('00ff') // <Buffer 00 ff>
 */
export function decodeKey(text: string): Buffer | undefined {
  if (/^([0-9a-f]{2})+$/i.test(text)) return Buffer.from(text, 'hex')
  for (const encoding of ['base64', 'base64url'] as const) {
    const bytes = Buffer.from(text, encoding)
    const encoded = bytes.toString(encoding)
    const padded = encoded.padEnd(Math.ceil(encoded.length / 4) * 4, '=')
    if (bytes.length > 0 && [encoded, padded, padded.replace(/=+$/, '')].includes(text)) return bytes
  }
  return undefined
}

/**
 * Returns why a secret does not look random.
 * @returns the end of a sentence that begins with the name of the secret; undefined if the secret looks random
 * @example guessable('correcthorsebatterystaple') // 'consists of words'
 */
export function guessable(secret: string, maxWordiness = MAX_WORDINESS): string | undefined {
  if (isPeriodic(secret)) return 'repeats itself'
  if (new Set(secret.toLowerCase()).size < MIN_DISTINCT_CHARACTERS) return 'has too few different characters'
  const codes = [...secret].map(character => character.charCodeAt(0))
  const bytes = decodeKey(secret)
  if (hasSameSteps(codes) || (bytes && hasSameSteps([...bytes]))) return 'counts up or down'
  if (bytes && isPeriodic(bytes.toString('latin1'))) return 'repeats itself'
  const inner = bytes?.toString('latin1') ?? ''
  // Base64 of readable text is only as strong as that text.
  if (inner.length > 0 && /^[\t\r\n\x20-\x7e]+$/.test(inner)) return guessable(inner.trim(), maxWordiness)
  // Hex digits cannot form words, but their few letters are frequent ones.
  const isHex = /^[0-9a-f]+$/i.test(secret)
  return !isHex && wordiness(secret) > maxWordiness ? 'consists of words' : undefined
}

/** Whether a text repeats one part. The last repetition may be incomplete. */
function isPeriodic(text: string): boolean {
  const plain = text.replace(/=+$/, '')
  for (let period = 1; period <= plain.length / 2; period++)
    if (plain.slice(period) === plain.slice(0, plain.length - period)) return true
  return false
}

function hasSameSteps(values: number[]): boolean {
  const counts = new Map<number, number>()
  for (let i = 1; i < values.length; i++) {
    const step = (values[i] ?? 0) - (values[i - 1] ?? 0)
    counts.set(step, (counts.get(step) ?? 0) + 1)
  }
  return Math.max(0, ...counts.values()) > MAX_SAME_STEP * (values.length - 1)
}

/**
 * Returns how much a text looks like words: many frequent pairs of letters, few changes between upper and lower case.
 * From -1 to 1.
 */
function wordiness(text: string): number {
  return frequentPairs(text) - caseChanges(text)
}

/** Returns the fraction of neighbouring characters that are a frequent pair of letters. */
function frequentPairs(text: string): number {
  const letters = [...text.toLowerCase()].map(character => LEET[character] ?? character).join('')
  const plain = letters.replace(/[^a-z]/g, '')
  // Text that is mostly letters counts without its other characters.
  const counted = plain.length > 0.8 * letters.length ? plain : letters
  let frequent = 0
  for (let i = 1; i < counted.length; i++) if (FREQUENT_PAIRS.has(counted.slice(i - 1, i + 1))) frequent++
  return frequent / Math.max(1, counted.length - 1)
}

/** Returns the fraction of neighbouring letters that differ in case. */
function caseChanges(text: string): number {
  const neighbours = [...text.matchAll(/(?=([a-zA-Z])([a-zA-Z]))/g)]
  const isUpper = (letter = '') => letter < 'a'
  const changes = neighbours.filter(([, left, right]) => isUpper(left) !== isUpper(right))
  return changes.length / Math.max(1, neighbours.length)
}
