import type { IncomingMessage } from 'node:http'
import type { RequestLog } from './request-log.ts'

/** What every handler finds with the request. */
export interface Env {
  Bindings: { incoming?: IncomingMessage; requestLog: RequestLog }
}
