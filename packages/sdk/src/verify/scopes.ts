import type { SessionClaims } from './claims.ts'
import { TokenError } from './token-error.ts'

/** What an actor may do as the user. */
export interface Limits {
  /**
   * `read`, or `write`, which includes reading. Null if there is no actor: users may do in their own sessions whatever your app
   * allows them.
   */
  access: 'read' | 'write' | null
  /** All that the session may do, as scopes of your app. Null: unrestricted. Never an empty list. */
  scopes: readonly string[] | null
}

/** The limits of a session without an actor. */
export const NOT_ACTING: Limits = Object.freeze({ access: null, scopes: null })

const SCOPE = /^(?!act:)[a-z][a-z0-9:._-]{0,63}$/

/** Whether a text can be a scope. */
export const isScope = (scope: unknown): scope is string => typeof scope === 'string' && SCOPE.test(scope)

/**
 * Reads the claim `scope` of a session token: `act:read` or `act:write`, then scopes, separated by single spaces. A token with an
 * actor and without the claim is unrestricted. Anything else in the claim makes the token invalid, never unrestricted.
 *
 *     limitsOf({ act, scope: 'act:write invoices:read' })   // { access: 'write', scopes: ['invoices:read'] }
 *
 * @throws TokenError token-malformed
 */
export function limitsOf(claims: Pick<SessionClaims, 'act' | 'scope'>): Limits {
  if (claims.act === undefined) return NOT_ACTING
  if (!Object.hasOwn(claims, 'scope')) return { access: 'write', scopes: null }
  const { scope } = claims
  const [access, ...scopes] = typeof scope === 'string' ? scope.split(' ') : []
  const isRead = access === 'act:read'
  // `act:write` alone limits nothing, and no server sends it.
  const isLimit = isRead || (access === 'act:write' && scopes.length > 0)
  if (!isLimit || !areScopes(scopes)) throw new TokenError('token-malformed')
  return { access: isRead ? 'read' : 'write', scopes: scopes.length === 0 ? null : scopes }
}

/** Whether these are scopes without duplicates. */
export function areScopes(scopes: unknown): scopes is readonly string[] {
  return Array.isArray(scopes) && scopes.every(isScope) && new Set(scopes).size === scopes.length
}
