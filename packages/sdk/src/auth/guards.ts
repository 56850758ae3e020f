import type { Auth } from './auth.ts'
import { type Refusal, refusal, refusedAsSignedOut } from './refusal.ts'

/** What guards look at in a request, apart from who sent it. */
export interface GuardedRequest {
  /** Every method that it may be handled as: {@link methodsOf}. */
  methods: readonly string[]
  /** Its address, as it came; several if something on the way has changed it. */
  urls: readonly string[]
}

/** Says whether a request may pass: undefined, or why not. Each framework puts it into its own shape. */
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

/** Those that are read-only by definition (RFC 9110 §9.2.1), but for TRACE. */
const READING = ['GET', 'HEAD', 'OPTIONS']

export const readOnlyWhileActing: Guard = (auth, { methods }) => {
  if (auth.userId === null) return refusedAsSignedOut(auth.reason)
  const onlyReads = methods.length > 0 && methods.every(method => READING.includes(method))
  if (auth.isActing && !onlyReads) return refusal('forbidden_while_acting', { rule: 'read-only' })
}
