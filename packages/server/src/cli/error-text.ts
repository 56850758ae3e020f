import type { StagedoorError } from '@stagedoor/sdk'

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
  message: string
  action?: string | undefined
}

/** Returns the text of each error in the answer, and what to do. @example errorText(error) // 'Another user has this username.' */
export function errorText(error: StagedoorError): string {
  const { errors, code, status } = error
  const own = Object.hasOwn(CLIENT, code) && (status === 0 || code === 'response_invalid') ? CLIENT[code] : undefined
  if (own) return own(errors[0]?.message ?? '', causeOf(error))
  return errors.map(detailText).join(' ')
}

/** Returns the SDK's text, which is Stagedoor's own for each code whose text on the wire is Clerk's, and what to do. */
export function detailText({ message, action }: Detail): string {
  return [/[.!?]$/.test(message) ? message : `${message}.`, action].filter(Boolean).join(' ')
}
