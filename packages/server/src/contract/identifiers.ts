import { z } from 'zod'

/**
 * Normalizes identifiers before they are stored or looked up: docs/concepts/identifiers.md. Every identifier passes
 * through these schemas, so two forms of one identifier never become two users.
 */

/** Normalizes your own id of a user: trims white space, converts to NFC. Case is significant. */
export const normalExternalId = (text: string): string => text.trim().normalize('NFC')

/** Normalizes a username: like an external id, and in lower case. */
export const normalUsername = (text: string): string => normalExternalId(text).toLowerCase().normalize('NFC')

/**
 * Normalizes an e-mail address: lower case, with its domain in the ASCII form that DNS uses (`münchen.example` is
 * `xn--mnchen-3ya.example`).
 * @returns the text, trimmed and in lower case, if it is not an address
 * @example normalEmail(' Ada@MÜNCHEN.example') // 'ada@xn--mnchen-3ya.example'
 */
export function normalEmail(text: string): string {
  const plain = normalUsername(text)
  const at = plain.lastIndexOf('@')
  const domain = asciiDomain(plain.slice(at + 1))
  return at < 1 || domain === '' ? plain : `${plain.slice(0, at)}@${domain}`
}

/** Returns the forms in which a part of an e-mail address may be stored. A domain with non-ASCII letters is stored in ASCII. */
export const emailParts = (part: string): string[] => [
  ...new Set([normalUsername(part), normalEmail(part), normalEmail(`x@${part}`).slice(2)]),
]

/** Removes spaces, brackets, dots and hyphens from a phone number. */
export const normalPhone = (text: string): string => text.replace(/[\s().-]/g, '')

/** Converts a domain to ASCII by the rules of URLs (UTS #46). @returns an empty string if it is not a valid domain */
function asciiDomain(domain: string): string {
  if (/^[\x21-\x7e]*$/.test(domain)) return domain
  // These characters would end the host of a URL, or be decoded in it.
  return /[\s%/\\?#:[\]@]/.test(domain) ? '' : (URL.parse(`http://${domain}`)?.hostname ?? '')
}

const isEmail = (text: string) => /^[^\s@]+@[\x21-\x3f\x41-\x7e]+$/.test(normalEmail(text))

const notBlank = z.string().max(255).regex(/\S/, { error: 'text that is not only white space' })

const text = (normal: (text: string) => string) => notBlank.transform(normal).pipe(z.string().min(1).max(255))

export const ExternalId = text(normalExternalId)
export const Username = text(normalUsername)

export const Email = z
  .string()
  .max(320)
  .regex(/^\s*[^\s@]+@[^\s@]+\s*$/, { error: 'an e-mail address' })
  .refine(isEmail, { params: { code: 'value' }, error: 'an e-mail address' })
  .transform(normalEmail)
  .pipe(z.string().max(320))

export const Phone = z
  .string()
  .max(64)
  .regex(/^[\s(]*\+[\s().-]*[1-9]([\s().-]*[0-9]){6,14}[\s)]*$/, {
    error: 'a phone number with its country code, +15555550100',
  })
  .transform(normalPhone)

/**
 * A filter by several identifiers. It also looks for the exact text of the request: an earlier version may have stored
 * an identifier that could not be normalized, because another user already had the normalized form.
 */
const anyOf = (normal: (text: string) => string) =>
  z
    .array(z.string().min(1).max(255))
    .max(500)
    .transform(values => [...new Set(values.flatMap(value => [normal(value), value.trim()]))])

export const identifierFilters = {
  email_address: anyOf(normalEmail).optional(),
  phone_number: anyOf(normalPhone).optional(),
  external_id: anyOf(normalExternalId).optional(),
  username: anyOf(normalUsername).optional(),
}
