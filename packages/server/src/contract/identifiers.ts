import { z } from 'zod'

/**
 * The one spelling in which each identifier is stored and looked up: docs/concepts/identifiers.md. Everything that
 * takes an identifier passes through these schemas, so two spellings of one identifier are never two users.
 */

/** Your own id of a user: without white space around it, NFC. Upper and lower case stay different. */
export const normalExternalId = (text: string): string => text.trim().normalize('NFC')

/** As an external id, and in lower case. */
export const normalUsername = (text: string): string => normalExternalId(text).toLowerCase().normalize('NFC')

/**
 * An e-mail address in lower case, its domain as DNS has it (`münchen.example` is `xn--mnchen-3ya.example`).
 * @returns the text itself, trimmed and in lower case, if it is not an address
 * @example normalEmail(' Ada@MÜNCHEN.example') // 'ada@xn--mnchen-3ya.example'
 */
export function normalEmail(text: string): string {
  const plain = normalUsername(text)
  const at = plain.lastIndexOf('@')
  const domain = asciiDomain(plain.slice(at + 1))
  return at < 1 || domain === '' ? plain : `${plain.slice(0, at)}@${domain}`
}

/** How a part of an e-mail address may be stored: a domain with other letters than ASCII is stored as DNS has it. */
export const emailParts = (part: string): string[] => [
  ...new Set([normalUsername(part), normalEmail(part), normalEmail(`x@${part}`).slice(2)]),
]

/** A phone number without spaces, brackets, dots and hyphens. */
export const normalPhone = (text: string): string => text.replace(/[\s().-]/g, '')

/** By the rules of URLs (UTS #46). @returns empty if there is no such domain */
function asciiDomain(domain: string): string {
  if (/^[\x21-\x7e]*$/.test(domain)) return domain
  // What would end the host of a URL, or be decoded in it.
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
 * A filter by several identifiers. It also finds what is stored exactly as it was asked for: an identifier that an
 * earlier version stored, and that could not be rewritten because another user has the normal spelling.
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
