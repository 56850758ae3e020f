import type { StagedoorError } from '@stagedoor/sdk'
import type { ErrorCode } from '../contract/errors.ts'

/**
 * The command line's text for error codes whose text on the wire is Clerk's. Clerk's texts are for Clerk's clients: they
 * mention Clerk or a page in a browser. All other codes already have Stagedoor's own text on the wire.
 */
const OWN: Partial<Record<ErrorCode, string>> = {
  authorization_header_format_invalid: 'The secret key was not sent as the server expects it.',
  clerk_key_invalid: 'The server does not know this secret key, or the key was revoked.',
  authentication_invalid: 'The session has ended or its user is blocked, so the server mints no token for it.',
  request_body_invalid: 'The server could not read the request.',
  form_identifier_exists: 'Another user has this {param}.',
  form_param_unknown: 'The server has no field {param}.',
  ticket_invalid_code: 'This ticket is incomplete, was altered, or was issued by a different server.',
  too_many_requests: 'This key or address sends more requests than the server allows.',
  internal_clerk_error: 'The server failed on this request. Its log has the reason under the trace id {trace}.',
}

/**
 * Texts for requests without an answer. The SDK's texts name its options; the command line names settings instead. Each
 * entry gets the SDK's text, which includes the URL, and the cause.
 */
const CLIENT: Record<string, (message: string, why: string) => string> = {
  secret_key_missing: () => `There is no secret key. Set STAGEDOOR_SECRET_KEY.`,
  secret_key_invalid: () =>
    'STAGEDOOR_SECRET_KEY contains a space, a line break or another character that is not valid in a key.',
  server_url_invalid: () =>
    'STAGEDOOR_SERVER_URL is not a valid server URL. Use a URL like http://127.0.0.1:4100, without user name, query or fragment.',
  connection_failed: (message, why) => {
    const origin = originIn(message)
    if (isTlsMismatch(why))
      return `The server at ${origin} does not speak TLS. Set STAGEDOOR_SERVER_URL=${origin.replace('https:', 'http:')}.`
    return `Nothing answers at ${origin} (${why}). Start the server there, or set STAGEDOOR_SERVER_URL to its address.`
  },
  response_invalid: message =>
    `${message}. Check STAGEDOOR_SERVER_URL, and any proxy before the server. A server that speaks TLS needs https://.`,
}

const originIn = (message: string) => /https?:\/\/[^/\s]+/.exec(message)?.[0] ?? 'that address'

/** Whether this is Node's error code for https:// to a server that speaks plain HTTP. */
export const isTlsMismatch = (why: string): boolean => /ERR_SSL|EPROTO|WRONG_VERSION|PACKET_LENGTH/.test(why)

/** Returns the code of the deepest cause (ECONNREFUSED, ERR_SSL_…), or its message if it has no code. */
export function causeOf(error: unknown): string {
  const { cause, code, message } = Object(error) as { cause?: unknown; code?: unknown; message?: unknown }
  if (cause !== undefined && cause !== null) return causeOf(cause)
  return String(code ?? message ?? error)
}

interface Detail {
  code: string
  message: string
  paramName?: string | undefined
  action?: string | undefined
}

/** Returns the text of each error in the answer, and what to do. @example wordsOf(error) // 'Another user has this username.' */
export function wordsOf(error: StagedoorError): string {
  const { errors, code, status, traceId } = error
  const own = Object.hasOwn(CLIENT, code) && (status === 0 || code === 'response_invalid') ? CLIENT[code] : undefined
  if (own) return own(errors[0]?.message ?? '', causeOf(error))
  return errors.map(detail => wordsOfDetail(detail, traceId)).join(' ')
}

export function wordsOfDetail({ code, message, paramName, action }: Detail, traceId?: string): string {
  const values: Record<string, string | undefined> = { param: paramName, trace: traceId }
  const own = Object.hasOwn(OWN, code) ? OWN[code as ErrorCode] : undefined
  const isFilled = own !== undefined && [...own.matchAll(/\{(\w+)\}/g)].every(([, name = '']) => values[name])
  const text = isFilled ? own.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '') : message
  return [/[.!?]$/.test(text) ? text : `${text}.`, action].filter(Boolean).join(' ')
}
