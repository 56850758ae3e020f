import type { ErrorCode } from './models/schemas.ts'

/** Codes of failures that no server answered with. */
export type ClientErrorCode =
  | 'secret_key_missing'
  | 'secret_key_invalid'
  | 'server_url_invalid'
  | 'connection_failed'
  | 'timeout'
  | 'aborted'
  | 'idempotency_key_invalid'
  | 'response_invalid'
  | 'ticket_unavailable'

/** One refusal of an answer; a request with three wrong fields has three. */
export interface ErrorDetail {
  code: ErrorCode | ClientErrorCode | (string & {})
  /** What is wrong, as a sentence: in our own words for a code whose words on the wire are Clerk's. */
  message: string
  /** The words of the wire, if a server sent them. */
  serverMessage?: string | undefined
  /** The field it is about, as the wire names it: `user_id`, `actor.sub`. */
  paramName: string | undefined
  /** What to do about it. */
  action: string | undefined
}

/**
 * The only error the client throws: the server's refusals, and failures on the way to it.
 *
 * `code` is what to decide on; `message` is for people. The secret key is in none of its members.
 *
 * @see docs/reference/errors.md for every code of the server
 * @example
 * try {
 *   await stagedoor.actorTokens.revoke('act_2f8d')
 * } catch (error) {
 *   if (error instanceof StagedoorError && error.code === 'resource_not_found') console.log('There is no such token.')
 *   else throw error
 * }
 */
export class StagedoorError extends Error {
  /** HTTP status of the answer; 0 if there was none. */
  readonly status: number
  /** Code of the first refusal. */
  readonly code: ErrorDetail['code']
  /** Every refusal. */
  readonly errors: readonly ErrorDetail[]
  /** Names this request in the server's log and audit log; undefined if there was no answer. */
  readonly traceId: string | undefined
  /** How long to wait before asking again, in seconds, if the server said so. */
  readonly retryAfter: number | undefined

  constructor(
    status: number,
    errors: readonly [ErrorDetail, ...ErrorDetail[]],
    options: { traceId?: string | undefined; retryAfter?: number | undefined; cause?: unknown } = {},
  ) {
    super(errors.map(sentence).join(' '), 'cause' in options ? { cause: options.cause } : {})
    this.name = 'StagedoorError'
    this.status = status
    this.code = errors[0].code
    this.errors = errors
    this.traceId = options.traceId
    this.retryAfter = options.retryAfter
  }

  /** The field the first refusal is about. */
  get paramName(): string | undefined {
    return this.errors[0]?.paramName
  }

  /** What to do about the first refusal. */
  get action(): string | undefined {
    return this.errors[0]?.action
  }
}

/** A failure that no server answered with. */
export function failure(code: ClientErrorCode, message: string, action: string, cause?: unknown): StagedoorError {
  return new StagedoorError(0, [{ code, message, action, paramName: undefined }], cause === undefined ? {} : { cause })
}

function sentence({ message, action }: ErrorDetail): string {
  const ended = /[.!?]$/.test(message) ? message : `${message}.`
  return action === undefined ? ended : `${ended} ${action}`
}
