import { ApiError, type ErrorAbout } from '../contract/errors.ts'
import type { Context } from './context.ts'
import type { Access } from './policy-engine.ts'

/** What a session may do as the user: `read`, or a list of scopes. A session that is limited in either way has the claim `scope`. */

/** The limits of an actor token or a session, as stored. */
export interface Limits {
  access: Access
  /** JSON, sorted; null: unrestricted. */
  scopes: string | null
}

/** The limits of everything that has none. */
export const UNLIMITED: Limits = { access: 'write', scopes: null }

/** Returns the limits that a request asks for, as they are stored. */
export function limitsOf(
  { settings }: Pick<Context, 'settings'>,
  input: { access?: Access | undefined; scopes?: readonly string[] | undefined },
): Limits {
  const { access = settings.default_access, scopes } = input
  return { access, scopes: scopes === undefined ? null : JSON.stringify([...scopes].sort()) }
}

/** Returns the scopes of a token or session; null if it is unrestricted. */
export function scopesOf({ scopes }: Limits): string[] | null {
  return scopes === null ? null : JSON.parse(scopes)
}

/**
 * Returns the claim `scope` (RFC 8693 §4.2): the access, then the scopes. Null if nothing is limited.
 *
 *     scopeClaim({ access: 'write', scopes: '["invoices:read","invoices:send"]' })   // 'act:write invoices:read invoices:send'
 */
export function scopeClaim(limits: Limits): string | null {
  if (limits.access === 'write' && limits.scopes === null) return null
  return [`act:${limits.access}`, ...(scopesOf(limits) ?? [])].join(' ')
}

/** Who gets a session or a token: a browser at an origin, or a backend and what it says that it understands. */
export interface Recipient {
  origin?: string | undefined
  understands?: readonly string[] | undefined
}

/** Whether a recipient may get a session or token with these limits. Only an app that applies the claim `scope` may. */
export function isUnderstoodBy({ settings }: Pick<Context, 'settings'>, limits: Limits, recipient: Recipient): boolean {
  if (scopeClaim(limits) === null || recipient.understands?.includes('scope')) return true
  return recipient.origin !== undefined && settings.appliesScope(recipient.origin)
}

/** Returns the error for a recipient that does not understand the limits. */
export function scopeNotUnderstood({ origin }: Recipient, about: ErrorAbout): ApiError {
  return new ApiError('scope_not_understood', {
    about,
    ...(origin === undefined
      ? {}
      : { action: `If the app at ${origin} applies the claim \`scope\`, add that origin to STAGEDOOR_SCOPE_ORIGINS.` }),
  })
}
