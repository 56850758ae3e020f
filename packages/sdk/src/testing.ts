/// <reference lib="esnext.disposable" preserve="true" />
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import type { Actor, JsonWebKey, JsonWebKeySet } from './models/components.ts'
import { Stagedoor } from './stagedoor.ts'

/** For the tests of apps: session tokens without a server, a signed-in browser, a server in the same process. */

/** Mints session tokens as a server does, with its own key. */
export interface TestIssuer {
  /** The `iss` of its tokens: pass it as `issuer` to `createVerifier`. */
  issuer: string
  /** Its public key: pass it as `jwks` to `createVerifier`. */
  jwks: JsonWebKeySet
  /** The same key as PEM: `publicKey` for `createVerifier`, `jwtKey` for Clerk's SDKs. */
  publicKey: string
  /** Mints a session token. */
  mint(session?: TestSession): Promise<string>
}

/** Contents of a token. All members have defaults. */
export interface TestSession {
  /** Default: `user_test`. */
  userId?: string | undefined
  /** Default: `sess_test`. */
  sessionId?: string | undefined
  /** Who is really acting: any JSON object with a string `sub`. Default: no actor. */
  actor?: Actor | undefined
  /** The page that the token is for (`azp`), as an origin. */
  authorizedParty?: string | undefined
  /** Lifetime of the token, in seconds. Default: 60. A negative value gives an expired token. */
  expiresInSeconds?: number | undefined
  /** When the token was minted, in Unix milliseconds. Default: now. */
  issuedAt?: number | undefined
  /** Further claims; they override the claims above. */
  claims?: Record<string, unknown> | undefined
}

/**
 * Creates an issuer of session tokens for tests, without a server or network. `@stagedoor/sdk/verify` and Clerk's SDKs
 * (`jwtKey`) accept its tokens if you pass them its key; nothing else trusts it.
 *
 * @param options `issuer` (`https://stagedoor.test`); `alg`: RS256 (default, as on servers), ES256 or EdDSA
 * @returns an issuer: `issuer`, `jwks`, `publicKey` (PEM) and `mint({ userId, actor, … })`
 * @see RFC 7519; the claims are those of Clerk's session tokens, version 2
 * @example
 * import { createTestIssuer } from '@stagedoor/sdk/testing'
 * import { createVerifier } from '@stagedoor/sdk/verify'
 *
 * const test = await createTestIssuer()
 * const verify = createVerifier({ issuer: test.issuer, jwks: test.jwks })
 * const { actor } = await verify(await test.mint({ userId: 'user_29w83', actor: { sub: 'user_2OEpK' } }))
 */
export async function createTestIssuer(
  options: { issuer?: string | undefined; alg?: 'RS256' | 'ES256' | 'EdDSA' | undefined } = {},
): Promise<TestIssuer> {
  const { issuer = 'https://stagedoor.test', alg = 'RS256' } = options
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const kid = `test_${randomHex(8)}`
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } as JsonWebKey
  return {
    issuer,
    jwks: { keys: [jwk] },
    publicKey: await exportSPKI(publicKey),
    async mint({
      userId = 'user_test',
      sessionId = 'sess_test',
      actor,
      authorizedParty,
      expiresInSeconds = 60,
      issuedAt = Date.now(),
      claims = {},
    } = {}) {
      const iat = Math.floor(issuedAt / 1_000)
      const payload = {
        ...(authorizedParty === undefined ? {} : { azp: authorizedParty }),
        exp: iat + expiresInSeconds,
        // The user has verified no factor in a session with an actor.
        fva: actor === undefined ? [0, -1] : [-1, -1],
        iat,
        iss: issuer,
        jti: randomHex(10),
        nbf: iat - 10,
        sid: sessionId,
        sts: 'active',
        sub: userId,
        v: 2,
        ...(actor === undefined ? {} : { act: actor }),
        ...claims,
      }
      return new SignJWT(payload).setProtectedHeader({ alg, cat: 'cl_B7d4PD111AAA', kid, typ: 'JWT' }).sign(privateKey)
    },
  }
}

/** The members of Playwright's `Page` that are used here. */
export interface PlaywrightPage {
  goto(url: string): Promise<unknown>
  url(): string
  getByRole(role: 'button', options: { name: RegExp }): { click(): Promise<void> }
  waitForURL(isThere: (url: URL) => boolean): Promise<void>
}

/** Options of `signInAs`. */
export interface SignInAs {
  /** The client that creates the ticket. */
  stagedoor: Stagedoor
  /** The user. */
  userId: string
  /** Who is really acting. Without it, the browser signs in as the user, without an actor. */
  actor?: Actor | undefined
  /** Maximum duration of a session with an actor, in seconds. Default: 1800. */
  sessionMaxDurationInSeconds?: number | undefined
  /** Timeout for the app to redeem the ticket, in milliseconds. Default: 15000. */
  timeoutMs?: number | undefined
}

/**
 * Signs a browser in as a user, in the same way as people do: it opens a ticket, confirms it, and the app's own sign-in
 * page redeems it. Works with any app that redeems tickets, including Clerk's components.
 *
 * @param page Playwright's page
 * @param options `stagedoor`, a client; `userId`; `actor`, who is really acting; `timeoutMs` (15000)
 * @returns the session's id, once the ticket is redeemed
 * @throws StagedoorError if the ticket cannot be created; Error if it is not redeemed in time
 * @example
 * import { Stagedoor } from '@stagedoor/sdk'
 * import { signInAs } from '@stagedoor/sdk/testing'
 * import { chromium } from 'playwright-core'
 *
 * const page = await (await chromium.launch()).newPage() // In Playwright's own tests, use the `page` fixture
 * await signInAs(page, { stagedoor: new Stagedoor(), userId: 'user_29w83', actor: { sub: 'user_2OEpK' } })
 * await page.getByText('acting as').waitFor()
 */
export async function signInAs(page: PlaywrightPage, options: SignInAs): Promise<{ sessionId: string }> {
  const { stagedoor, userId, actor, sessionMaxDurationInSeconds, timeoutMs = 15_000 } = options
  const ticket = actor
    ? await stagedoor.actorTokens.create({ userId, actor, sessionMaxDurationInSeconds })
    : await stagedoor.signInTokens.create({ userId })
  await page.goto(ticket.url as string)
  const asks = () => new URL(page.url()).pathname.endsWith('/v1/tickets/accept')
  if (asks()) await page.getByRole('button', { name: /^(Act|Sign in) as / }).click()
  await page.waitForURL(url => !url.pathname.endsWith('/v1/tickets/accept'))

  for (const start = Date.now(); Date.now() - start < timeoutMs; ) {
    const sessionId = await redeemed(stagedoor, ticket.id)
    if (sessionId !== undefined) return { sessionId }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  // Do not include the query in the message: it has the ticket.
  const { protocol, origin, pathname } = new URL(page.url())
  const place = protocol.startsWith('http') ? `at ${origin}${pathname}` : 'at a page that could not be opened'
  throw new Error(
    `The ticket was not redeemed within ${timeoutMs} ms. The browser is ${place}. Set STAGEDOOR_SIGN_IN_URL to the page of the app that redeems tickets.`,
  )
}

/** Returns the session that a ticket has started, if any. It reads the audit log, which covers both kinds of ticket. */
async function redeemed(stagedoor: Stagedoor, actorTokenId: string): Promise<string | undefined> {
  const { data } = await stagedoor.auditEvents.list({ actorTokenId, outcome: 'done', limit: 10 })
  return data.find(event => event.sessionId !== null)?.sessionId ?? undefined
}

/** A real server in this process. */
export interface RunningStagedoor extends AsyncDisposable {
  /** Its URL: use it as `serverURL`, as issuer of its tokens, and as Clerk's `apiUrl`. */
  url: string
  /** `sk_test_…`: its secret key. */
  secretKey: string
  /** `pk_test_…`: for Clerk's SDKs. */
  publishableKey: string
  /** A client for the server. */
  stagedoor: Stagedoor
  /** Stops the server. Its data is lost, unless you have set STAGEDOOR_DATABASE_URL. */
  close(): Promise<void>
}

/** The used exports of `@stagedoor/server`, which is an optional package. */
interface ServerPackage {
  loadConfig(env: Record<string, string | undefined>): unknown
  createStagedoor(config: unknown): Promise<{ listen(): Promise<{ port: number }>; close(): Promise<void> }>
}

/**
 * Starts a real server for tests in this process: on 127.0.0.1, with an in-memory database and new keys. Needs
 * `@stagedoor/server` (`npm install --save-dev ./stagedoor-server-0.1.0.tgz`) and Node 22.18 or newer.
 *
 * @param options `port` (default: a free one); `env`, settings by their names (`STAGEDOOR_SIGN_IN_URL`,
 *   `STAGEDOOR_DATABASE_URL`, …)
 * @returns `url`, `secretKey`, `publishableKey`, a client (`stagedoor`), and `close()`
 * @throws Error if `@stagedoor/server` is not installed, or a setting is invalid
 * @see docs/reference/config.md
 * @example
 * import { startStagedoor } from '@stagedoor/sdk/testing'
 *
 * await using server = await startStagedoor({ env: { STAGEDOOR_SIGN_IN_URL: 'http://127.0.0.1:3000/sign-in' } })
 * const user = await server.stagedoor.users.create({ firstName: 'Ada' })
 */
export async function startStagedoor(
  options: { port?: number | undefined; env?: Record<string, string> | undefined } = {},
): Promise<RunningStagedoor> {
  const { createStagedoor, loadConfig } = await serverPackage()
  const port = options.port ?? (await freePort())
  const url = `http://127.0.0.1:${port}`
  const secretKey = options.env?.STAGEDOOR_SECRET_KEY ?? `sk_test_${randomHex(24)}`
  const server = await createStagedoor(
    loadConfig({
      STAGEDOOR_DATABASE_URL: 'sqlite::memory:',
      STAGEDOOR_ENVIRONMENT: 'development',
      STAGEDOOR_LOG_LEVEL: 'error',
      STAGEDOOR_MASTER_KEY: `dev_${btoa(randomHex(16))}`,
      STAGEDOOR_SECRET_KEY: secretKey,
      STAGEDOOR_HOST: '127.0.0.1',
      STAGEDOOR_PORT: `${port}`,
      STAGEDOOR_PUBLIC_URL: url,
      ...options.env,
    }),
  )
  const close = () => server.close()
  try {
    await server.listen()
  } catch (error) {
    await close()
    throw error
  }
  return {
    url,
    secretKey,
    publishableKey: `pk_test_${btoa(`127.0.0.1:${port}$`).replace(/=+$/, '')}`,
    stagedoor: new Stagedoor({ secretKey, serverURL: url }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function serverPackage(): Promise<ServerPackage> {
  // Build the name at run time, so that bundlers and TypeScript do not resolve it: the server is an optional package.
  const name = ['@stagedoor', 'server'].join('/')
  try {
    return (await import(name)) as ServerPackage
  } catch (cause) {
    const why =
      'startStagedoor needs @stagedoor/server and Node 22.18 or newer. Run `npm run pack` in a clone of Stagedoor, and install the file that it writes.'
    throw new Error(why, { cause })
  }
}

/** Finds a free port. The server's settings need its URL before it listens, so another process could still take the port. */
async function freePort(): Promise<number> {
  const { createServer } = process.getBuiltinModule('node:net')
  const probe = createServer()
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as { port: number }
  await new Promise(resolve => probe.close(resolve))
  return port
}

function randomHex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), byte => byte.toString(16).padStart(2, '0')).join('')
}
