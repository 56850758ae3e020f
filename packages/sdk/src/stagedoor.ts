import { Http, type StagedoorOptions } from './http.ts'
import { Resources } from './resources/index.ts'

/**
 * Client of a Stagedoor server, for backends.
 *
 * The client retries requests that read, and requests that create something (with an idempotency key per call): up to three
 * attempts if there is no connection or the answer is 502, 503 or 504, after the wait in `Retry-After`. It also retries any
 * request after 429. It retries nothing else, so no change is made twice. The last parameter of every method takes `signal`,
 * `timeoutMs` and `maxRetries`.
 *
 * @throws StagedoorError `secret_key_missing`, `secret_key_invalid`, `server_url_invalid`
 * @example
 * import { Stagedoor } from '@stagedoor/sdk'
 *
 * // With STAGEDOOR_SERVER_URL and STAGEDOOR_SECRET_KEY in the environment; or `{ serverURL, secretKey }`.
 * const stagedoor = new Stagedoor()
 * const { url } = await stagedoor.actorTokens.create({ userId: 'user_29w83', actor: { sub: 'user_2OEpK' } })
 */
export class Stagedoor extends Resources {
  constructor(options: StagedoorOptions = {}) {
    super(new Http(options))
  }
}
