/** Times, people and payloads as text. */
import type { Acting, User } from './wire.ts'

const dateTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
const shortTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })
const shortDate = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'long' })

export const absolute = (at: number) => dateTime.format(at)
export const clock = (at: number) => shortTime.format(at)
export const day = (at: number) => shortDate.format(at)

/** “4 minutes ago”, “yesterday”. */
export function ago(at: number, now: number): string {
  const seconds = Math.round((at - now) / 1_000)
  const size = Math.abs(seconds)
  if (size < 10) return 'just now'
  if (size < 60) return relative.format(seconds, 'second')
  if (size < 3_600) return relative.format(Math.trunc(seconds / 60), 'minute')
  if (size < 86_400) return relative.format(Math.trunc(seconds / 3_600), 'hour')
  if (size < 2_592_000) return relative.format(Math.trunc(seconds / 86_400), 'day')
  return day(at)
}

/** “12:36”, or “1:02:36”. */
export function left(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000))
  const two = (value: number) => String(value).padStart(2, '0')
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60]
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

const text = (value: unknown) => (typeof value === 'string' && value.trim() !== '' ? value : undefined)

/** Returns the name of an actor payload: its `name`, `email` or `sub`. */
export function actorName(actor: { sub: string; [member: string]: unknown }): string {
  return text(actor['name']) ?? text(actor['email']) ?? actor.sub
}

/** Returns what the list shows below an actor’s name, unless it is the same. */
export function actorDetail(actor: { sub: string; [member: string]: unknown }): string | undefined {
  const detail = text(actor['email']) ?? actor.sub
  return detail === actorName(actor) ? undefined : detail
}

/** Returns the actors that are behind an actor, nearest first. */
export function chainOf(actor: {
  sub: string
  [member: string]: unknown
}): { sub: string; [member: string]: unknown }[] {
  const act = actor['act']
  const next = typeof act === 'object' && act !== null && typeof (act as { sub?: unknown }).sub === 'string'
  return next ? [actor, ...chainOf(act as { sub: string })] : [actor]
}

export const isAgent = (actor: { [member: string]: unknown } | null) => actor?.['kind'] === 'agent'

export function emailOf(user: User): string | undefined {
  const primary = user.email_addresses.find(({ id }) => id === user.primary_email_address_id)
  return (primary ?? user.email_addresses[0])?.email_address
}

/** Returns a user’s name, or the best identifier. */
export function userName(user: User): string {
  const name = [user.first_name, user.last_name].filter(Boolean).join(' ')
  return name || emailOf(user) || user.username || user.external_id || user.id
}

/** Returns what a list shows below a user’s name, unless it is the same. */
export function userDetail(user: User): string | undefined {
  const detail = emailOf(user) ?? user.username ?? user.external_id ?? user.id
  return detail === userName(user) ? undefined : detail
}

/** Returns the name for a button: “Carl”. */
export const shortName = (user: User) => user.first_name || userName(user)

export const actingName = ({ user }: Acting) => user.name ?? user.email ?? user.id
export const actingDetail = ({ user }: Acting) => (user.name === null ? undefined : (user.email ?? user.id))

export function isProtected(user: User): boolean {
  const own = user.private_metadata['stagedoor']
  return typeof own === 'object' && own !== null && (own as { protected?: unknown }).protected === true
}

/** Returns an address that a link may lead to, or undefined: text from the database never becomes another kind of link. */
export function httpsLink(address: string): string | undefined {
  const url = URL.canParse(address) ? new URL(address) : undefined
  return url?.protocol === 'https:' && url.username === '' && url.password === '' ? url.href : undefined
}
