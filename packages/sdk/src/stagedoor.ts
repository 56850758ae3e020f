import { Http, type StagedoorOptions } from './http.ts'
import { ActorTokens } from './resources/actor-tokens.ts'
import { AuditEvents, RefusedRequests } from './resources/audit.ts'
import { Clients } from './resources/clients.ts'
import { Jwks } from './resources/jwks.ts'
import { JwtTemplates } from './resources/jwt-templates.ts'
import { Revocations } from './resources/revocations.ts'
import { Sessions } from './resources/sessions.ts'
import { SignInTokens } from './resources/sign-in-tokens.ts'
import { Users } from './resources/users.ts'

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
export class Stagedoor {
  readonly actorTokens: ActorTokens
  readonly signInTokens: SignInTokens
  readonly users: Users
  readonly sessions: Sessions
  readonly revocations: Revocations
  readonly jwtTemplates: JwtTemplates
  readonly clients: Clients
  readonly jwks: Jwks
  readonly auditEvents: AuditEvents
  readonly refusedRequests: RefusedRequests

  constructor(options: StagedoorOptions = {}) {
    const http = new Http(options)
    this.actorTokens = new ActorTokens(http)
    this.signInTokens = new SignInTokens(http)
    this.users = new Users(http)
    this.sessions = new Sessions(http)
    this.revocations = new Revocations(http)
    this.jwtTemplates = new JwtTemplates(http)
    this.clients = new Clients(http)
    this.jwks = new Jwks(http)
    this.auditEvents = new AuditEvents(http)
    this.refusedRequests = new RefusedRequests(http)
  }
}
