import type { ErrorCode } from './models/schemas.ts'

/** Codes of failures without an answer of the server. */
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

/** One error of an answer. A request with three wrong fields gets three. */
export interface ErrorDetail {
  code: ErrorCode | ClientErrorCode | (string & {})
  /** The problem, as a sentence. Where the text on the wire is Clerk's, this is Stagedoor's own text. */
  message: string
  /** The text on the wire, if the server answered. */
  serverMessage?: string | undefined
  /** The invalid field, by its wire name: `user_id`, `actor.sub`. */
  paramName: string | undefined
  /** What to do next. */
  action: string | undefined
  /** More about it, by wire names, if the server sent it: the rules that refused, and what would help. */
  meta?: Readonly<Record<string, unknown>> | undefined
}

/**
 * The only error that the client throws: for errors that the server returns, and for requests without an answer.
 *
 * Use `code` in your code; `message` is for people. No member contains the secret key.
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
  /** Code of the first error. */
  readonly code: ErrorDetail['code']
  /** Every error of the answer. */
  readonly errors: readonly ErrorDetail[]
  /** Identifies this request in the server's log and audit log; undefined if there was no answer. */
  readonly traceId: string | undefined
  /** How long to wait before a retry, in seconds, if the server sent Retry-After. */
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

  /** The invalid field of the first error. */
  get paramName(): string | undefined {
    return this.errors[0]?.paramName
  }

  /** What to do about the first error. */
  get action(): string | undefined {
    return this.errors[0]?.action
  }

  /**
   * More about the first error, by wire names.
   *
   * @example
   * try {
   *   await stagedoor.actorTokens.create({ userId: 'user_2OEp', actor: { sub: 'olivia@support' } })
   * } catch (error) {
   *   // [['ticket'], ['duration:900']]: with a ticket, or for at most 15 minutes, it would be allowed.
   *   if (error instanceof StagedoorError && error.code === 'acting_refused') console.log(error.meta.needs)
   * }
   */
  get meta(): Readonly<Record<string, unknown>> {
    return this.errors[0]?.meta ?? {}
  }
}

/** Creates the error for a failure without an answer of the server. */
export function failure(code: ClientErrorCode, message: string, action: string, cause?: unknown): StagedoorError {
  return new StagedoorError(0, [{ code, message, action, paramName: undefined }], cause === undefined ? {} : { cause })
}

function sentence({ message, action }: ErrorDetail): string {
  const ended = /[.!?]$/.test(message) ? message : `${message}.`
  return action === undefined ? ended : `${ended} ${action}`
}
