import type { SignedOutReason } from './auth.ts'

/** Why a guard blocks a request. */
export type RefusalCode = 'authentication_invalid' | 'keys_unavailable' | 'forbidden_while_acting' | 'acting_required'

/** The answer to a blocked request: status, headers, and a body in the envelope of Clerk's API. */
export interface Refusal {
  status: 401 | 403 | 503
  headers: Record<string, string>
  body: { errors: [{ code: RefusalCode; message: string; long_message: string; meta: Record<string, string> }] }
}

const refusals = {
  authentication_invalid: {
    status: 401,
    message: 'Invalid authentication',
    long_message: 'Unable to authenticate the request, you need to supply an active session',
    action: 'Sign in, or send a new session token: `Authorization: Bearer …`, or the `__session` cookie.',
  },
  keys_unavailable: {
    status: 503,
    message: 'Session tokens cannot be checked now',
    long_message: 'The app could not fetch what it needs to check session tokens. The token may be valid.',
    action: 'Retry in a few seconds. If that does not help, tell the operator of the app.',
  },
  forbidden_while_acting: {
    status: 403,
    message: 'Not allowed while acting as a user',
    long_message: 'Only the user can do this, in their own session. You are acting as the user.',
    action: 'Leave, and ask the user to do it.',
  },
  acting_required: {
    status: 403,
    message: 'Only while acting as a user',
    long_message: 'Only an actor can do this, while acting as a user. You are in your own session.',
    action: 'Act as the user first, with an actor token.',
  },
} as const

/** Thrown by a guard that cannot answer itself: in server actions, in server components, and after it has allowed a request. */
export class RefusedError extends Error {
  readonly code: RefusalCode
  readonly status: number
  readonly #refusal: Refusal

  constructor(refusal: Refusal) {
    const { status, body } = refusal
    const [{ code, long_message, meta }] = body.errors
    super(`${long_message}. ${meta['action'] ?? ''}`.replace('..', '.'))
    this.name = 'RefusedError'
    this.code = code
    this.status = status
    this.#refusal = refusal
  }

  /** Returns the answer to the request, for handlers that return a `Response`. */
  toResponse(): Response {
    return responseOf(this.#refusal)
  }
}

/** Creates a refusal. @param because further details: the reason, or the rule that forbids the request; its own `action` */
export function refusal(code: RefusalCode, because: Record<string, string> = {}): Refusal {
  const { status, message, long_message, action } = refusals[code]
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headersOf(code, because['reason']) },
    body: { errors: [{ code, message, long_message, meta: { ...because, action: because['action'] ?? action } }] },
  }
}

/** Creates the refusal for a signed-out request. */
export function refusedAsSignedOut(reason: SignedOutReason): Refusal {
  return refusal(isPassing(reason) ? 'keys_unavailable' : 'authentication_invalid', { reason })
}

/** Whether the reason is temporary: the token itself may be valid. */
export function isPassing(reason: SignedOutReason): boolean {
  return reason === 'keys-unavailable' || reason === 'revocations-unavailable'
}

function headersOf(code: RefusalCode, reason: string | undefined): Record<string, string> {
  if (code === 'keys_unavailable') return { 'retry-after': '5' }
  if (code !== 'authentication_invalid') return {}
  // RFC 6750 §3.1: without credentials in the request, the header names no error.
  return { 'www-authenticate': reason === 'not-signed-in' ? 'Bearer' : 'Bearer error="invalid_token"' }
}

export function responseOf({ status, headers, body }: Refusal): Response {
  return new Response(JSON.stringify(body), { status, headers })
}
