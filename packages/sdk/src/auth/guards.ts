import { isScope } from '../verify/scopes.ts'
import type { Auth } from './auth.ts'
import { type Refusal, refusal, refusedAsSignedOut } from './refusal.ts'

/** The parts of a request that guards check, in addition to its auth. */
export interface GuardedRequest {
  /** Every method as which the request may be handled: {@link methodsOf}. */
  methods: readonly string[]
  /** Its URL as received, and further ones if a middleware has changed it. */
  urls: readonly string[]
}

/** Returns undefined if a request is allowed, otherwise the refusal. Each framework converts it to its own form. */
export type Guard = (auth: Auth, request: GuardedRequest) => Refusal | undefined

export const requireUser: Guard = auth => {
  if (auth.userId === null) return refusedAsSignedOut(auth.reason)
}

export const forbidActing: Guard = auth => {
  if (auth.userId === null) return refusedAsSignedOut(auth.reason)
  if (auth.isActing) return refusal('forbidden_while_acting')
}

export const requireActing: Guard = auth => {
  if (auth.userId === null) return refusedAsSignedOut(auth.reason)
  if (!auth.isActing) return refusal('acting_required')
}

/** Returns a guard for sessions that are limited to scopes: without this one, they get 403 `forbidden_while_acting`. */
export function requireScope(scope: string): Guard {
  if (!isScope(scope))
    throw new TypeError(`requireScope: ${JSON.stringify(scope)} is not a scope. Write 'invoices:send'.`)
  return auth => {
    if (auth.userId === null) return refusedAsSignedOut(auth.reason)
    if (auth.scopes !== null && !auth.scopes.includes(scope))
      return refusal('forbidden_while_acting', {
        rule: 'scope',
        scope,
        action: 'Act with a token that has this scope.',
      })
  }
}

/** The safe methods (RFC 9110 §9.2.1), except TRACE. */
export const READING = ['GET', 'HEAD', 'OPTIONS']

export const readOnlyWhileActing: Guard = (auth, { methods }) => {
  if (auth.userId === null) return refusedAsSignedOut(auth.reason)
  const onlyReads = methods.length > 0 && methods.every(method => READING.includes(method))
  if (auth.isActing && !onlyReads) return refusal('forbidden_while_acting', { rule: 'read-only' })
}
