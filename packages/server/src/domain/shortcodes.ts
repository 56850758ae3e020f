import { scopeClaim } from './policy-facts.ts'
import type { SessionRecord, UserWithIdentifiers } from './records.ts'

/**
 * Clerk's small language for the texts of a JWT template: `{{user.first_name || 'there'}}`. A path reads a fact about
 * the session or its user. If an operand is null or false, `||` uses the next one.
 */

const USER_FACTS = [
  'id',
  'external_id',
  'username',
  'first_name',
  'last_name',
  'full_name',
  'primary_email_address',
  'email_verified',
  'primary_phone_number',
  'phone_number_verified',
  'primary_web3_wallet',
  'image_url',
  'has_image',
  'two_factor_enabled',
  'created_at',
  'updated_at',
  'last_sign_in_at',
  'public_metadata',
  'unsafe_metadata',
] as const
const SESSION_FACTS = ['id', 'actor', 'scope', 'created_at', 'expire_at'] as const

/** Everything that shortcodes can read. `org.…` is also allowed and is always null: there are no organizations. */
const KNOWN = new Set([...USER_FACTS.map(fact => `user.${fact}`), ...SESSION_FACTS.map(fact => `session.${fact}`)])
/** Facts that are the app's own JSON: a path may lead into them. */
const OPEN = new Set(['user.public_metadata', 'user.unsafe_metadata', 'session.actor'])

export interface Facts {
  user: Record<(typeof USER_FACTS)[number], unknown>
  session: Record<(typeof SESSION_FACTS)[number], unknown>
}

/**
 * Returns what shortcodes can read. Times are Unix seconds, as everywhere in a JWT. Private metadata is not included.
 */
export function factsOf(session: SessionRecord, user: UserWithIdentifiers): Facts {
  const primary = (id: string | null) => user.identifiers.find(identifier => identifier.id === id)?.value ?? null
  const email = primary(user.primary_email_address_id)
  const phone = primary(user.primary_phone_number_id)
  return {
    user: {
      id: user.id,
      external_id: user.external_id,
      username: user.username,
      first_name: user.first_name,
      last_name: user.last_name,
      full_name: [user.first_name, user.last_name].filter(Boolean).join(' ') || null,
      primary_email_address: email,
      email_verified: email !== null,
      primary_phone_number: phone,
      phone_number_verified: phone !== null,
      primary_web3_wallet: null,
      image_url: '',
      has_image: false,
      two_factor_enabled: false,
      created_at: seconds(user.created_at),
      updated_at: seconds(user.updated_at),
      last_sign_in_at: user.last_sign_in_at === null ? null : seconds(user.last_sign_in_at),
      public_metadata: JSON.parse(user.public_metadata),
      unsafe_metadata: JSON.parse(user.unsafe_metadata),
    },
    session: {
      id: session.id,
      actor: session.actor === null ? null : JSON.parse(session.actor),
      scope: scopeClaim(session),
      created_at: seconds(session.created_at),
      expire_at: seconds(session.expire_at),
    },
  }
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1_000)
}

/**
 * Replaces the shortcodes in every text of a JSON value. Inserted values are not searched for shortcodes again.
 * @example rendered({ name: '{{user.full_name}}' }, facts) // { name: 'Ada Lovelace' }
 */
export function rendered(template: unknown, facts: Facts): unknown {
  if (typeof template === 'string') return renderedText(template, facts)
  if (Array.isArray(template)) return template.map(item => rendered(item, facts))
  if (typeof template !== 'object' || template === null) return template
  return Object.fromEntries(Object.entries(template).map(([member, value]) => [member, rendered(value, facts)]))
}

/** A text that is only one shortcode becomes its value, of any type. A shortcode inside other text becomes text. */
function renderedText(text: string, facts: Facts): unknown {
  if (!text.includes('{{')) return text
  const parts = partsOf(text)
  const [before, shortcode, after] = parts
  if (parts.length === 3 && before === '' && after === '') return firstOf(shortcode as Operand[], facts)
  return parts.map(part => (typeof part === 'string' ? part : asText(firstOf(part, facts)))).join('')
}

function asText(value: unknown): string {
  if (value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Returns the first operand that is neither null nor false; if all are, the last one. */
function firstOf(operands: Operand[], facts: Facts): unknown {
  let value: unknown = null
  for (const operand of operands) {
    value = 'path' in operand ? read(facts, operand.path) : operand.literal
    if (value !== null && value !== false) break
  }
  return value
}

/** Reads own members only, and array items by number: `constructor`, `__proto__` and `length` read nothing. */
function read(from: unknown, path: string[]): unknown {
  let value = from
  for (const member of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, member)) return null
    if (Array.isArray(value) && member === 'length') return null
    value = (value as Record<string, unknown>)[member]
  }
  return value
}

/** Returns what looks like a shortcode in the texts of a JSON value but is not one, as it is written there. */
export function wrongShortcodes(template: unknown): string[] {
  if (typeof template === 'string') return wrongInText(template)
  if (typeof template !== 'object' || template === null) return []
  return Object.values(template).flatMap(wrongShortcodes)
}

function wrongInText(text: string): string[] {
  if (!text.includes('{{')) return []
  return partsOf(text).flatMap(part => {
    if (typeof part !== 'string') return part.flatMap(operand => ('path' in operand ? wrongPath(operand.path) : []))
    const at = part.indexOf('{{')
    return at === -1 ? [] : [part.slice(at)]
  })
}

function wrongPath(path: string[]): string[] {
  const [from, fact, ...more] = path
  const known = from === 'org' ? fact !== undefined : KNOWN.has(`${from}.${fact}`)
  const goesOn = more.length === 0 || from === 'org' || OPEN.has(`${from}.${fact}`)
  return known && goesOn && !path.includes('') ? [] : [`{{${path.join('.')}}}`]
}

type Operand = { path: string[] } | { literal: string | number | boolean }

const OPERAND = `'[^']*'|"[^"]*"|[^\\s|'"{}]+`
const OPERANDS = new RegExp(OPERAND, 'g')
const SHORTCODE = new RegExp(`\\{\\{\\s*((?:${OPERAND})(?:\\s*\\|\\|\\s*(?:${OPERAND}))*)\\s*\\}\\}`, 'g')
const NUMBER = /^-?\d{1,15}(\.\d{1,15})?$/

/** Splits into a text, a shortcode, a text, and so on. There is always one text more than shortcodes. */
function partsOf(text: string): (string | Operand[])[] {
  const parts: (string | Operand[])[] = []
  let end = 0
  for (const match of text.matchAll(SHORTCODE)) {
    parts.push(text.slice(end, match.index), (match[1]?.match(OPERANDS) ?? []).map(operandOf))
    end = match.index + match[0].length
  }
  return [...parts, text.slice(end)]
}

function operandOf(spelt: string): Operand {
  if (/^['"]/.test(spelt)) return { literal: spelt.slice(1, -1) }
  if (spelt === 'true' || spelt === 'false') return { literal: spelt === 'true' }
  return NUMBER.test(spelt) ? { literal: Number(spelt) } : { path: spelt.split('.') }
}
