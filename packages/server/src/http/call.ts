import type { IncomingMessage } from 'node:http'
import type { Operation } from '../contract/operation.ts'
import type { Context } from '../domain/context.ts'
import type { AnswerHeaders } from './answer.ts'
import type { HeaderReader } from './caller.ts'
import type { RateLimits } from './edge/rate-limits.ts'

/** One request of a mounted operation, as an authenticator sees it. */
export interface Call {
  operation: Operation
  /** Its `caller.principal` is set by the authenticator. */
  ctx: Context
  url: string
  header: HeaderReader
  /** Node's own request; undefined if the server is called in process. */
  incoming: IncomingMessage | undefined
  /** Headers of the answer. */
  headers: AnswerHeaders
  /** Further cookies of the answer, in addition to the one in `headers`. */
  cookies: string[]
  allowedOrigins: ReadonlySet<string>
  limits: RateLimits
}
