import type { Http, RequestOptions } from '../http.ts'
import type { JsonWebKeySet } from '../models/components.ts'

/** The public keys that verify session tokens. */
export class Jwks {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Reads the public keys as a key set (RFC 7517). To verify tokens, prefer `remoteJwks` of `@stagedoor/sdk/verify`, which
   * needs no secret key and handles key rotation.
   *
   * @throws StagedoorError `clerk_key_invalid`
   * @see `GET /v1/jwks` (GetJWKS, as at Clerk)
   * @example
   * const { keys } = await stagedoor.jwks.get()
   */
  get(options?: RequestOptions): Promise<JsonWebKeySet> {
    return this.#http.get<JsonWebKeySet>('/v1/jwks', undefined, options)
  }
}
