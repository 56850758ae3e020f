/// <reference lib="esnext.disposable" preserve="true" />
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import type { Actor, JsonWebKey, JsonWebKeySet } from './models/components.ts'
import { Stagedoor } from './stagedoor.ts'

/** For the tests of apps: tokens without a server, a browser that is signed in, a server in the same process. */

/** Makes session tokens as a server does, with a key of its own. */
export interface TestIssuer {
  /** What `iss` says: `issuer` for `createVerifier`. */
  issuer: string
  /** Its public key, as `jwks` for `createVerifier`. */
  jwks: JsonWebKeySet
  /** The same as PEM: `publicKey` for `createVerifier`, `jwtKey` for Clerk's SDKs. */
  publicKey: string
  /** Makes a session token. */
  mint(session?: TestSession): Promise<string>
}

/** What a token says; everything has a default. */
export interface TestSession {
  /** `user_test` unless given. */
  userId?: string | undefined
  /** `sess_test` unless given. */
  sessionId?: string | undefined
  /** Who is really acting: any JSON object with a string `sub`. Nobody unless given. */
  actor?: Actor | undefined
  /** The page it is made for (`azp`), as an origin. */
  authorizedParty?: string | undefined
  /** Life of the token, in seconds: 60 unless given. Less than 0: it has expired. */
  expiresInSeconds?: number | undefined
  /** When it was made, in Unix milliseconds: now unless given. */
  issuedAt?: number | undefined
  /** Other claims, and other values of those above. */
  claims?: Record<string, unknown> | undefined
}

/**
 * Makes an issuer of session tokens for tests: no server, no network. What it makes passes `@stagedoor/sdk/verify`, and
 * Clerk's SDKs (`jwtKey`), if they are told of its key; nothing else trusts it.
 *
 * @param options `issuer` (`https://stagedoor.test`); `alg`: RS256 as servers have it unless told, ES256 or EdDSA
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
        // Nobody has proved anything of a user that somebody else acts as.
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

/** What is needed of Playwright's `Page`. */
export interface PlaywrightPage {
  goto(url: string): Promise<unknown>
  url(): string
  getByRole(role: 'button', options: { name: RegExp }): { click(): Promise<void> }
  waitForURL(isThere: (url: URL) => boolean): Promise<void>
}

/** Who signs in, and as whom. */
export interface SignInAs {
  /** The client that makes the ticket. */
  stagedoor: Stagedoor
  /** The user. */
  userId: string
  /** Who really acts; without it the user signs in as themselves. */
  actor?: Actor | undefined
  /** The longest the session may last, in seconds: 1800 unless given. Of acting only. */
  sessionMaxDurationInSeconds?: number | undefined
  /** How long the app may take to redeem the ticket, in milliseconds. 15000 unless given. */
  timeoutMs?: number | undefined
}

/**
 * Signs a browser in as a user, the way people are: through a ticket, the page that asks, and the app's own sign-in page,
 * which redeems it. Works with any app that redeems tickets, Clerk's components included.
 *
 * @param page Playwright's page
 * @param options `stagedoor`, a client; `userId`; `actor`, who really acts; `timeoutMs` (15000)
 * @returns the session's id, once the ticket has been redeemed
 * @throws StagedoorError of creating the ticket; Error if it is not redeemed in time
 * @example
 * import { Stagedoor } from '@stagedoor/sdk'
 * import { signInAs } from '@stagedoor/sdk/testing'
 * import { chromium } from 'playwright-core'
 *
 * const page = await (await chromium.launch()).newPage() // Playwright's own tests are given one
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
  // Without the ticket, which is in the query.
  const { protocol, origin, pathname } = new URL(page.url())
  const place = protocol.startsWith('http') ? `at ${origin}${pathname}` : 'at a page that could not be opened'
  throw new Error(
    `The ticket was not redeemed within ${timeoutMs} ms. The browser is ${place}: STAGEDOOR_SIGN_IN_URL should name the page of the app that redeems tickets.`,
  )
}

/** The session that a ticket has become, if it has. The audit log knows of every kind of ticket. */
async function redeemed(stagedoor: Stagedoor, ticketId: string): Promise<string | undefined> {
  const { data } = await stagedoor.auditEvents.list({ ticketId, outcome: 'done', limit: 10 })
  return data.find(event => event.sessionId !== null)?.sessionId ?? undefined
}

/** A real server, in this process. */
export interface RunningStagedoor extends AsyncDisposable {
  /** Where it is: `serverURL`, the issuer of its tokens, and Clerk's `apiUrl`. */
  url: string
  /** `sk_test_…`: its secret key. */
  secretKey: string
  /** `pk_test_…`: for Clerk's SDKs. */
  publishableKey: string
  /** A client of it. */
  stagedoor: Stagedoor
  /** Ends it; what it has stored is gone, unless it was told to keep it. */
  close(): Promise<void>
}

/** Of `@stagedoor/server`, which is installed beside this only where it is run. */
interface ServerPackage {
  loadConfig(env: Record<string, string | undefined>): unknown
  createStagedoor(config: unknown): Promise<{ listen(): Promise<{ port: number }>; close(): Promise<void> }>
}

/**
 * Starts the real server in this process, on 127.0.0.1, in memory, with keys made for it: for tests. Needs
 * `@stagedoor/server` (`npm install --save-dev ./stagedoor-server-0.1.0.tgz`) and Node 22.18 or newer.
 *
 * @param options `port`, a free one unless given; `env`, settings by their names (`STAGEDOOR_SIGN_IN_URL`,
 *   `STAGEDOOR_DATABASE_URL`, …)
 * @returns `url`, `secretKey`, `publishableKey`, a client (`stagedoor`), and `close()`
 * @throws Error if `@stagedoor/server` is not installed, or a setting makes no sense
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
  // Not a name that bundlers or types could follow: this package does not bring the server along.
  const name = ['@stagedoor', 'server'].join('/')
  try {
    return (await import(name)) as ServerPackage
  } catch (cause) {
    const why =
      'startStagedoor needs @stagedoor/server and Node 22.18 or newer. Run `npm run pack` in a clone of Stagedoor, and install the file that it writes.'
    throw new Error(why, { cause })
  }
}

/** A port that nobody listens on, as far as can be told: the server's address is in its settings before it listens. */
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
