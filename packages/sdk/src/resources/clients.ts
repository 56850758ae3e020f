import { type Http, path, type RequestOptions } from '../http.ts'
import type { Client, HandshakePayload } from '../models/components.ts'
import type { VerifyClientRequestBody } from '../models/operations.ts'
import type * as schemas from '../models/schemas.ts'

/** Browsers (and backends) that hold sessions. */
export class Clients {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Reads a client and its active sessions.
   *
   * @param id `client_…`
   * @throws StagedoorError `resource_not_found`
   * @see `GET /v1/clients/{id}` (GetClient, as at Clerk)
   * @example
   * const { sessions, lastActiveSessionId } = await stagedoor.clients.get('client_2f8d')
   */
  get(id: string, options?: RequestOptions): Promise<Client> {
    return this.#http.get<schemas.Client>(path`/v1/clients/${id}`, undefined, options)
  }

  /**
   * Verifies a `__client` cookie, and returns its client.
   *
   * @param request `token`: the cookie's value
   * @throws StagedoorError `authentication_invalid` (the cookie is not of this server, or its client no longer exists)
   * @see `POST /v1/clients/verify` (VerifyClient, as at Clerk)
   * @example
   * const client = await stagedoor.clients.verify({ token: 'eyJhbGciOi…' })
   */
  verify(request: VerifyClientRequestBody, options?: RequestOptions): Promise<Client> {
    return this.#http.post<schemas.Client>('/v1/clients/verify', request, options)
  }

  /**
   * Exchanges a browser's handshake nonce for the cookies to set, as Clerk's server SDKs do.
   *
   * @param nonce the query parameter `__clerk_handshake_nonce`
   * @throws StagedoorError `invalid_handshake` (the nonce is unknown or has expired)
   * @see `GET /v1/clients/handshake_payload` (GetHandshakePayload, as Clerk's SDKs request it)
   * @example
   * const { directives } = await stagedoor.clients.getHandshakePayload('2f8d…')
   */
  getHandshakePayload(nonce: string, options?: RequestOptions): Promise<HandshakePayload> {
    return this.#http.get<schemas.HandshakePayload>('/v1/clients/handshake_payload', { nonce }, options)
  }
}
