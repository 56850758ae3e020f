import * as oidc from 'openid-client'
import { ApiError } from '../../contract/errors.ts'
import { derived, type Identity } from '../../domain/operator-sessions.ts'
import { roleOfGroups } from '../../domain/operators.ts'
import type { ProviderOptions } from './options.ts'

/** Maximum time that the identity provider takes to answer, in seconds. */
const TIMEOUT = 10
/** How long its metadata is used, in ms. Its keys are fetched again as soon as an unknown one is used. */
const METADATA_LIFETIME = 3_600_000
/** Maximum age of a sign-in that a step-up accepts, in seconds. */
const STEP_UP_AGE = 300

/**
 * The identity provider with which operators sign in: OpenID Connect with the code flow, PKCE, `state`, `nonce` and the check
 * of `iss` (RFC 9207).
 */
export class IdentityProvider {
  readonly #options: ProviderOptions
  readonly #redirectUri: string
  readonly #now: () => number
  #found: { config: Promise<oidc.Configuration>; at: number } | undefined

  /** @param redirectUri where the provider sends the browser back to */
  constructor(options: ProviderOptions, redirectUri: string, now: () => number) {
    this.#options = options
    this.#redirectUri = redirectUri
    this.#now = now
  }

  /**
   * Returns the address at which the browser signs in.
   * @param secret of the sign-in, from which `state`, `nonce` and the verifier are made
   * @throws ApiError identity_provider_unavailable
   */
  async signInUrl(secret: string, { stepUp }: { stepUp: boolean }): Promise<URL> {
    return oidc.buildAuthorizationUrl(await this.#config(), {
      redirect_uri: this.#redirectUri,
      scope: this.#options.scopes,
      state: derived(secret, 'state'),
      nonce: derived(secret, 'nonce'),
      code_challenge: await oidc.calculatePKCECodeChallenge(derived(secret, 'verifier')),
      code_challenge_method: 'S256',
      // Both: some providers know only one of them.
      ...(stepUp ? { prompt: 'login', max_age: String(STEP_UP_AGE) } : {}),
    })
  }

  /**
   * Finds out who signed in.
   * @param query of the address to which the provider sent the browser
   * @throws ApiError identity_provider_unavailable, operator_sign_in_refused
   */
  async identity(query: string, secret: string, { stepUp }: { stepUp: boolean }): Promise<Identity> {
    const config = await this.#config()
    try {
      const tokens = await oidc.authorizationCodeGrant(config, new URL(query, this.#redirectUri), {
        expectedState: derived(secret, 'state'),
        expectedNonce: derived(secret, 'nonce'),
        pkceCodeVerifier: derived(secret, 'verifier'),
        idTokenExpected: true,
        ...(stepUp ? { maxAge: STEP_UP_AGE } : {}),
      })
      const claims = tokens.claims()
      if (!claims) throw refused('there is no ID token')
      return this.#identityOf(await this.#complete(config, tokens.access_token, claims))
    } catch (error) {
      throw asRefusal(error)
    }
  }

  /** Adds the claims of the userinfo endpoint if the ID token has no groups: some providers keep it small. */
  async #complete(config: oidc.Configuration, accessToken: string, claims: oidc.IDToken): Promise<Claims> {
    const { role_claim } = this.#options
    if (claimOf(claims, role_claim) !== undefined || !config.serverMetadata().userinfo_endpoint) return claims
    // It can add claims, and replaces none: the ID token is signed for this sign-in.
    return { ...(await oidc.fetchUserInfo(config, accessToken, claims.sub)), ...claims } as Claims
  }

  #identityOf(claims: Claims): Identity {
    const { role_claim, roles, actor_sub } = this.#options
    const groups = textsOf(claimOf(claims, role_claim))
    const email = textOf(claims['email'])
    if (actor_sub === 'email' && (email === null || claims['email_verified'] === false))
      throw refused('the identity provider gives no verified e-mail address, with which you would act')
    if (role_claim === 'email' && claims['email_verified'] === false)
      throw refused('your e-mail address is not verified, and roles depend on it')
    return {
      iss: claims.iss,
      sub: claims.sub,
      actor_sub: actor_sub === 'email' && email !== null ? email.toLowerCase() : claims.sub,
      name: textOf(claims['name']) ?? textOf(claims['preferred_username']),
      email,
      groups,
      role: roleOfGroups(groups, roles),
      auth_at: typeof claims['auth_time'] === 'number' ? claims['auth_time'] * 1_000 : null,
      amr: textsOf(claims['amr'])
        .slice(0, 16)
        .map(method => method.slice(0, 32)),
    }
  }

  /** Reads the provider's metadata. A failure is not remembered. @throws ApiError identity_provider_unavailable */
  async #config(): Promise<oidc.Configuration> {
    if (this.#found === undefined || this.#now() - this.#found.at > METADATA_LIFETIME)
      this.#found = { config: this.#discover(), at: this.#now() }
    try {
      return await this.#found.config
    } catch (cause) {
      this.#found = undefined
      throw new ApiError('identity_provider_unavailable', { cause })
    }
  }

  async #discover(): Promise<oidc.Configuration> {
    const { issuer, client_id, client_secret } = this.#options
    const address = new URL(issuer)
    const execute = address.protocol === 'http:' ? [oidc.allowInsecureRequests] : []
    const found = await oidc.discovery(address, client_id, client_secret, undefined, { execute, timeout: TIMEOUT })
    const { token_endpoint_auth_methods_supported: methods = ['client_secret_basic'] } = found.serverMetadata()
    const byHeader = methods.includes('client_secret_basic')
    const authentication = (byHeader ? oidc.ClientSecretBasic : oidc.ClientSecretPost)(client_secret)
    const config = new oidc.Configuration(found.serverMetadata(), client_id, client_secret, authentication)
    config.timeout = TIMEOUT
    for (const each of execute) each(config)
    return config
  }
}

type Claims = { iss: string; sub: string; [claim: string]: unknown }

/** Returns a claim by its name, or by its path: `realm_access.roles`. */
function claimOf(claims: object, name: string): unknown {
  if (Object.hasOwn(claims, name)) return (claims as Record<string, unknown>)[name]
  return name.split('.').reduce<unknown>((value, part) => {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, part)
      ? (value as Record<string, unknown>)[part]
      : undefined
  }, claims)
}

const textOf = (value: unknown) => (typeof value === 'string' && value.trim() !== '' ? value : null)

const textsOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter(each => typeof each === 'string')

const refused = (why: string, cause?: unknown) => new ApiError('operator_sign_in_refused', { params: { why }, cause })

/** Converts an error of the flow. The texts of the provider are not shown: anybody could have written them. */
function asRefusal(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  if (error instanceof oidc.AuthorizationResponseError)
    return error.error === 'access_denied' ? refused('it was cancelled', error) : refused('it was not completed', error)
  const code = (error as { code?: unknown }).code
  if (code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED')
    return refused('the clocks of the identity provider and of this server differ', error)
  if (error instanceof oidc.ResponseBodyError && error.status < 500)
    return refused('its answer was not accepted', error)
  if (typeof code === 'string' && code.startsWith('OAUTH_') && !UNREACHABLE.includes(code))
    return refused('its answer does not fit this sign-in', error)
  return new ApiError('identity_provider_unavailable', { cause: error })
}

/** Codes of the library that say nothing about this sign-in. */
const UNREACHABLE = ['OAUTH_TIMEOUT', 'OAUTH_ABORT', 'OAUTH_RESPONSE_IS_NOT_CONFORM', 'OAUTH_RESPONSE_IS_NOT_JSON']
