import type { Http, RequestOptions } from '../http.ts'
import type { JsonWebKeySet } from '../models/components.ts'

/** The public keys session tokens are checked with. */
export class Jwks {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Reads the public keys, as RFC 7517 has them. For checking tokens prefer `remoteJwks` of `@stagedoor/sdk/verify`:
   * it needs no secret key and follows rotation.
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
