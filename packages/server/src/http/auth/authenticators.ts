import type { Operation } from '../../contract/operation.ts'
import type { Browser } from '../browser/browser.ts'
import type { Call } from '../call.ts'
import { authenticateClient } from './client.ts'
import { authenticateConsole, authenticatePage } from './operator.ts'
import { authenticateKey } from './secret-key.ts'

/** How callers prove who they are: one entry for each value of `auth` in the contract. */

/**
 * Authenticates a call, counts it towards its rate limits, and sets `ctx.caller.principal`.
 * @returns the browser, for operations of browsers
 */
type Authenticator = (call: Call) => Promise<Browser | undefined>

export const authenticators: Record<Operation['auth'], Authenticator> = {
  secret_key: authenticateKey,
  client: authenticateClient,
  none: async () => undefined,
  operator: authenticateConsole,
  console: authenticatePage,
}
