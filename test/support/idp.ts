import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import Provider, { type Configuration } from 'oidc-provider'
import { close, freePort } from './ports.ts'

/** An OpenID Connect identity provider, in this process: oidc-provider, with its own sign-in form replaced by a choice. */
export interface TestProvider extends AsyncDisposable {
  issuer: string
  client_id: string
  client_secret: string
  /** Who signs in next, and how. */
  next: { sub: string; groups?: unknown; name?: string; email?: string; cancel?: boolean; ago?: number; extra?: object }
  /** The requests to its endpoints: `POST /token`. */
  requests: string[]
  /** Replaces its signing keys. */
  rotate(): Promise<void>
  /** Stops answering, and starts again. */
  stop(): Promise<void>
  start(): Promise<void>
}

const jwk = (kid: string) => ({
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
  kid,
  use: 'sig',
  alg: 'ES256',
})

/**
 * Starts an identity provider at `localhost`, which is another site than 127.0.0.1.
 * @param redirectUri of the console: `http://localhost:4100/console/callback`
 */
export async function startProvider(
  redirectUri: string,
  options: { host?: string; userinfoOnly?: boolean; post?: boolean } = {},
): Promise<TestProvider> {
  const port = await freePort()
  const issuer = `http://${options.host ?? '127.0.0.1'}:${port}`
  const client_id = 'stagedoor'
  const client_secret = 'a-secret-of-the-provider-0123456789'
  let keys = [jwk('one')]
  let generation = 1
  const configuration = (): Configuration => ({
    jwks: { keys } as never,
    clients: [
      {
        client_id,
        client_secret,
        redirect_uris: [redirectUri],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        id_token_signed_response_alg: 'ES256',
        token_endpoint_auth_method: options.post ? 'client_secret_post' : 'client_secret_basic',
      },
    ],
    ...(options.post ? { clientAuthMethods: ['client_secret_post'] } : {}),
    claims: { openid: ['sub', 'amr', 'groups', 'realm_access'], profile: ['name'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: options.userinfoOnly ?? false,
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    cookies: { keys: ['for tests'] },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: (_ctx, sub) => ({
      accountId: sub,
      claims: () => ({
        sub,
        groups: provider.next.groups ?? [],
        name: provider.next.name ?? 'Olivia Operator',
        email: provider.next.email ?? 'olivia@example.com',
        email_verified: true,
        ...provider.next.extra,
      }),
    }),
    ttl: { Session: 3_600, Grant: 3_600, Interaction: 600, AccessToken: 600, IdToken: 600, AuthorizationCode: 60 },
  })
  const create = () => {
    const oidc = new Provider(issuer, configuration())
    const handle = oidc.callback()
    return createServer(async (request, response) => {
      const { pathname } = new URL(request.url ?? '/', issuer)
      provider.requests.push(`${request.method} ${pathname}`)
      if (!pathname.startsWith('/interaction/')) return handle(request, response)
      const { prompt, params, grantId } = (await oidc.interactionDetails(request, response)) as never as {
        prompt: { name: string }
        params: { client_id: string; scope: string }
        grantId?: string
      }
      const { cancel, sub, ago } = provider.next
      if (cancel) return oidc.interactionFinished(request, response, { error: 'access_denied' })
      const ts = Math.floor(Date.now() / 1_000) - (ago ?? 0)
      const login = { accountId: sub, amr: ['pwd', 'otp'], ts }
      if (prompt.name === 'login') return oidc.interactionFinished(request, response, { login })
      const existing = grantId === undefined ? undefined : await oidc.Grant.find(grantId)
      const grant = existing ?? new oidc.Grant({ accountId: sub, clientId: params.client_id })
      grant.addOIDCScope(params.scope)
      const consent = { grantId: await grant.save() }
      return oidc.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true })
    })
  }
  let server: ReturnType<typeof createServer> | undefined
  const provider: TestProvider = {
    issuer,
    client_id,
    client_secret,
    next: { sub: 'olivia' },
    requests: [],
    async start() {
      server = create()
      await new Promise<void>(resolve => server?.listen(port, '127.0.0.1', resolve))
    },
    async stop() {
      if (server) await close(server)
      server = undefined
    },
    async rotate() {
      await provider.stop()
      generation += 1
      keys = [jwk(`key-${generation}`)]
      await provider.start()
    },
    [Symbol.asyncDispose]: () => provider.stop(),
  }
  await provider.start()
  return provider
}

/** A browser without a screen: it follows redirects, and keeps cookies by host name, as browsers do. */
export class CookieJar {
  readonly #cookies = new Map<string, Map<string, string>>()

  cookies(host: string): Map<string, string> {
    const known = this.#cookies.get(host) ?? new Map()
    this.#cookies.set(host, known)
    return known
  }

  /** Sends one request. @param fromSite whether cookies with SameSite=Strict are sent too */
  async send(url: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const { hostname } = new URL(url)
    const jar = this.cookies(hostname)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, {
      redirect: 'manual',
      ...init,
      headers: { accept: 'text/html', ...init.headers, ...(cookie ? { cookie } : {}) },
    })
    for (const text of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? []
      if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(text)) jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }

  /** Follows redirects until an address matches. @returns that address, without requesting it */
  async follow(url: string, until: RegExp): Promise<string> {
    let next = url
    for (let hop = 0; hop < 20; hop++) {
      if (until.test(next)) return next
      const response = await this.send(next)
      const location = response.headers.get('location')
      if (location === null)
        throw new Error(`${next} answered ${response.status}: ${(await response.text()).slice(0, 500)}`)
      next = new URL(location, next).href
    }
    throw new Error('too many redirects')
  }
}
