import { CONSOLE_API } from '../../contract/console.ts'
import { invalidParam } from '../../contract/errors.ts'
import type { Operation } from '../../contract/operation.ts'
import type { Context } from '../../domain/context.ts'
import { recordReveal } from '../../domain/reveal.ts'

/**
 * Hides personal data in what the console sends to operators with the role `viewer`. Presenters do not know it: it works
 * on the wire format, by the names of members, so that a new operation is masked too.
 */

const HIDDEN = '•••'
/** Members that are hidden whole. */
const HIDDEN_MEMBERS = new Set(['address', 'ip', 'network', 'user_agent'])
/** Members with the app's own data. Their names stay. */
const APP_DATA = new Set(['private_metadata', 'unsafe_metadata'])
/** What stays of an actor payload, with the actors behind it in `act`. */
const SHOWN_OF_ACTOR = new Set(['sub', 'iss', 'kind', 'name', 'user_id'])
/** Identifiers stay as they are. */
const IDENTIFIER = /^(id|sub|iss|[a-z]+_sub|.*(?<!external)_id|object|leaf_hash|trace_id)$/
/** Contact data in a text. */
const EMAIL = /(?<![^\s<>"'(),;:@])[^\s<>"'(),;:@]+@[^\s<>"'(),;:@]+/gu
const PHONE = /\+\d[\d ().-]{5,20}\d/g
const IP_ADDRESS = /\b\d{1,3}(?:\.\d{1,3}){3}\b|(?:[0-9a-f]{0,4}:){3,7}[0-9a-f.]{0,15}/gi
/** Orders of lists whose cursor has the value of a masked member. */
const PERSONAL_ORDER = /(email_address|phone_number|username)$/

type Json = null | boolean | number | string | Json[] | { [member: string]: Json }

/** Whether the answer to a call is masked: the operator is a viewer, and it is not about the operator's own sessions. */
export function isMasked({ caller }: Pick<Context, 'caller'>, { path, own = [] }: Operation): boolean {
  if (caller.operator?.role !== 'viewer' || own.includes('viewer')) return false
  // A handler knows the operation at its path in the Backend API. `/console/api/me` is about the operator. The text of a
  // policy has no users' data, and is only right as it is.
  return /^\/v1\/(?!policy)/.test(path.replace(CONSOLE_API, ''))
}

/**
 * Returns an object of the wire as the caller may see it.
 * @example masked(ctx, contract.getUser, presentUser(user)).email_addresses[0].email_address // 'c•••@•••'
 */
export function masked<T>(ctx: Pick<Context, 'caller'>, operation: Operation, value: T): T {
  return isMasked(ctx, operation) ? (mask('', value as Json) as T) : value
}

/**
 * Checks that a list is not ordered by what is masked: its cursor, and the order itself, would say it.
 * @throws ApiError form_param_value_invalid
 */
export function assertMaskedOrder(ctx: Context, operation: Operation, query: unknown): void {
  const { order_by } = (query ?? {}) as { order_by?: string }
  if (order_by === undefined || !PERSONAL_ORDER.test(order_by) || !isMasked(ctx, operation)) return
  throw invalidParam('order_by', 'Your role does not see these values, so it cannot order by them.')
}

/**
 * Returns the answer to a read of one object. With `reveal=true` nothing is masked, and an audit event has the operator,
 * the user and the members that were shown. If it cannot be written, the read is refused.
 * @throws ApiError too_many_requests
 */
export async function maskedOrRevealed<T>(ctx: Context, operation: Operation, query: unknown, answer: T): Promise<T> {
  const { reveal = false } = (query ?? {}) as { reveal?: boolean }
  if (!reveal || !ctx.caller.operator) return masked(ctx, operation, answer)
  const shown = answer as { [member: string]: Json }
  const members = Object.keys(shown).filter(name => {
    const value = shown[name] as Json
    return JSON.stringify(mask(name, value)) !== JSON.stringify(value)
  })
  await recordReveal(ctx, { object: shown as { object: string; id: string; user_id?: string | null }, members })
  return answer
}

function mask(name: string, value: Json): Json {
  if (value === null || typeof value === 'boolean') return value
  if (HIDDEN_MEMBERS.has(name)) return HIDDEN
  if (typeof value === 'number') return value
  if (typeof value === 'string') return IDENTIFIER.test(name) ? value : maskText(value)
  if (Array.isArray(value)) return value.map(each => mask(name, each))
  if (name === 'actor') return maskActor(value)
  if (APP_DATA.has(name)) return mapMembers(value, (member, its) => (member === 'stagedoor' ? its : HIDDEN))
  // The text that an operator searched for is personal as a whole.
  const searched = value['object'] === 'audit_event' && value['action'] === 'console.search'
  return mapMembers(value, (member, its) =>
    searched && member === 'reason' && its !== null ? HIDDEN : mask(member, its),
  )
}

function maskActor(actor: { [member: string]: Json }): Json {
  return mapMembers(actor, (member, its) => {
    if (member === 'act' && typeof its === 'object' && its !== null && !Array.isArray(its)) return maskActor(its)
    return SHOWN_OF_ACTOR.has(member) ? mask(member, its) : its === null ? null : HIDDEN
  })
}

function mapMembers(value: { [member: string]: Json }, change: (member: string, its: Json) => Json) {
  return Object.fromEntries(Object.entries(value).map(([member, its]) => [member, change(member, its)]))
}

/** Hides the e-mail addresses, phone numbers and IP addresses in a text. */
function maskText(text: string): string {
  return text
    .replace(EMAIL, address => `${address.indexOf('@') > 2 ? address.slice(0, 1) : ''}${HIDDEN}@${HIDDEN}`)
    .replace(PHONE, number => `${HIDDEN}${number.slice(-2)}`)
    .replace(IP_ADDRESS, HIDDEN)
}
