import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { clerk, launchBrowser, publishableKey } from './support/browser.ts'
import { runningClock, type TestClock } from './support/clock.ts'
import { claimsOf } from './support/jwt.ts'
import { noNginx } from './support/nginx.ts'
import { type Opened, PlainBrowser } from './support/plain-browser.ts'
import { type App, startApp } from './support/processes.ts'
import { expectOk, SECRET_KEY, type TestServer } from './support/server.ts'
import { type Site, startSite } from './support/site.ts'

/**
 * Clerk's server SDKs, unmodified, each in an app in a separate process (sdk-apps.ts), against a real server: the pages in
 * Chromium, and the requests on the wire.
 */

const SDKS = ['express', 'fastify', 'hono'] as const
const KINDS = ['test', 'live'] as const
/** The largest actor payload: with the default setting, and with the largest setting. */
const USUAL_BYTES = 1_024
const MOST_BYTES = 2_434
const actor = { sub: 'user_operator', iss: 'https://admin.example.com', n: 1.5, nested: { list: [1, 'ü', null, true] } }

type Kind = (typeof KINDS)[number]

interface Setting extends Site<App> {
  clock: TestClock
}

interface SettingOptions {
  /** Environment of the server. */
  env?: Record<string, string>
  /** Environment of the app. */
  appEnv?: Record<string, string>
  /** The app proxies the Frontend API and is on localhost, which for a browser is another site than the server's. */
  proxied?: boolean
  /** The settings of an nginx in front of both. */
  nginx?: string
}

/** Starts a server, and an app that knows only its address. */
async function setUp(sdk: string, kind: Kind, options: SettingOptions = {}): Promise<Setting> {
  const { env = {}, appEnv = {}, proxied = false, nginx } = options
  const clock = runningClock()
  const appHost = proxied ? 'localhost' : '127.0.0.1'
  const site = await startSite(
    ({ url, port, serverURL, secretKey, publishableKey }) =>
      startApp([fileURLToPath(new URL('sdk-apps.ts', import.meta.url)), sdk, `${port}`, appHost], {
        url,
        ready: /listening/,
        env: {
          CLERK_API_URL: serverURL,
          CLERK_SECRET_KEY: secretKey,
          CLERK_PUBLISHABLE_KEY: publishableKey,
          CLERK_TELEMETRY_DISABLED: '1',
          ...(proxied ? { APP_PROXY: '1', CLERK_FAPI_URL: serverURL } : { CLERK_PROXY_URL: serverURL }),
          ...appEnv,
        },
      }),
    { clock, kind, appHost, env, ...(nginx === undefined ? {} : { nginx }) },
  )
  return { ...site, clock }
}

/** An actor payload of exactly this many bytes of JSON. */
function actorOf(bytes: number) {
  const payload = { sub: 'user_operator', pad: '' }
  payload.pad = 'x'.repeat(bytes - JSON.stringify(payload).length)
  return payload
}

/** Returns the data on the protected page. */
function said({ text }: { text: string }) {
  return JSON.parse(/<pre>(.*)<\/pre>/.exec(text)?.[1] ?? 'null')
}

const NOBODY = { userId: null, sessionId: null, actor: null }

/** The state after a sign-in in the browser: the server's cookie, and the session token that clerk-js sets for the app's pages. */
async function plainBrowser({ server, app }: Setting, signedIn: { session_id: string; cookie: string }) {
  const { session_id, cookie } = signedIn
  const minted = await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie, origin: app.url })
  return new PlainBrowser({ __client: cookie.replace('__client=', ''), __session: expectOk(minted).jwt })
}

/** Loads a page with clerk-js while signed in, and checks that the session cookie is there all the time. */
async function clerkPage(page: Page, app: App): Promise<void> {
  await page.addInitScript(
    'missing = 0; setInterval(() => { missing += !/(^|; )__session=/.test(document.cookie) }, 1)',
  )
  await page.goto(`${app.url}/sign-in?stay`)
  await page.waitForFunction('window.Clerk?.loaded')
  await clerk(page, 'session.touch()')
  assert.equal(await page.evaluate('missing'), 0)
}

/** Signs out. clerk-js then navigates to the app's start page. */
async function signOut(page: Page): Promise<void> {
  await Promise.all([page.waitForURL(url => url.pathname !== '/sign-in'), clerk(page, 'signOut()')])
}

/** Returns an expired session token. */
async function oldToken({ server, clock }: Setting, sessionId: string): Promise<string> {
  clock.advance(-120)
  // The server's clock goes back once it has stored everything that expired by the later time.
  while (server.stagedoor.services.clock.now() > clock.now()) await new Promise(resolve => setTimeout(resolve, 5))
  const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${sessionId}/tokens`))
  clock.advance(120)
  return jwt
}

/** The target of each request, app or server, and its status. */
function route({ hops }: Opened, { app, serverURL }: Setting): string[] {
  return hops.map(({ url, status }) => {
    if (url.startsWith(`${serverURL}/v1/client/handshake?`)) return `handshake ${status}`
    assert.ok(url.startsWith(`${app.url}/`), url)
    return `app ${status}`
  })
}

/** With pk_test_ one more redirect removes the answer from the address bar. */
const handshake = (kind: Kind, end: number) => [
  'app 307',
  'handshake 307',
  ...(kind === 'test' ? ['app 307'] : []),
  `app ${end}`,
]

/** S13: no session data is in a URL, and every URL is short enough for common limits. */
function assertDiscreet({ hops }: Opened): void {
  for (const { url } of hops) {
    assert.ok(url.length < 2_048, `${url.length} bytes of URL: ${url}`)
    for (const [jwt] of url.matchAll(/ey[\w-]+\.[\w-]+\.[\w-]+/g)) {
      const { typ } = JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString())
      assert.equal(typ, 'handshake+jwt')
      const { sub, act } = claimsOf(jwt)
      assert.deepEqual({ sub, act }, { sub: undefined, act: undefined })
    }
  }
}

for (const sdk of SDKS) {
  for (const kind of KINDS) {
    describe(`@clerk/${sdk} with pk_${kind}_`, () => {
      let setting: Setting
      let server: TestServer
      let app: App

      before(async () => {
        setting = await setUp(sdk, kind, { env: { STAGEDOOR_ACTOR_MAX_BYTES: `${MOST_BYTES}` } })
        ;({ server, app } = setting)
      })
      after(() => setting?.[Symbol.asyncDispose]())

      it('accepts a session token as bearer, with user, session and actor, value for value', async () => {
        const { session_id, user_id } = await server.signIn({ actor })
        const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
        const ask = async (authorization: string) => {
          const answer = await fetch(`${app.url}/api/me`, { headers: { authorization } })
          return { status: answer.status, body: await answer.json() }
        }
        assert.deepEqual(await ask(`Bearer ${jwt}`), {
          status: 200,
          body: { userId: user_id, sessionId: session_id, actor },
        })
        const [head, body, signature = ''] = jwt.split('.')
        const forged = `${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
        for (const authorization of ['', `Bearer ${forged}`, `Bearer ${SECRET_KEY}`])
          assert.deepEqual(await ask(authorization), { status: 401, body: NOBODY })
      })

      it('restores a page’s session by handshake when the cookie is gone or expired', async () => {
        const signedIn = await server.signIn({ actor })
        const browser = await plainBrowser(setting, signedIn)
        const expected = { userId: signedIn.user_id, sessionId: signedIn.session_id, actor }

        // On the first page, cookies are missing that only the handshake sets.
        const first = await browser.open(`${app.url}/`)
        assert.deepEqual(route(first, setting), handshake(kind, 200))
        assert.deepEqual(said(first), expected)
        assert.deepEqual(route(await browser.open(`${app.url}/`), setting), ['app 200'])

        browser.forget('__session')
        const gone = await browser.open(`${app.url}/?tab=1&q=%C3%BC#top`)
        assert.deepEqual(route(gone, setting), handshake(kind, 200))
        assert.deepEqual(said(gone), expected)
        assert.equal(gone.url.replace('#top', ''), `${app.url}/?tab=1&q=%C3%BC`)
        assertDiscreet(gone)
        assert.ok(!browser.cookies.has('__clerk_handshake_nonce'))

        const jwt = await oldToken(setting, signedIn.session_id)
        for (const name of browser.cookies.keys()) {
          if (name.startsWith('__session')) browser.cookies.set(name, jwt)
          if (name.startsWith('__client_uat')) browser.cookies.set(name, String(claimsOf(jwt).iat - 1))
        }
        browser.forget('__clerk_redirect_count')
        const old = await browser.open(`${app.url}/`)
        assert.deepEqual(route(old, setting), handshake(kind, 200))
        assert.deepEqual(said(old), expected)
        assert.deepEqual(route(await browser.open(`${app.url}/`), setting), ['app 200'])
      })

      it('accepts the handshake as a signed token too, for SDKs without nonce support', async () => {
        const signedIn = await server.signIn({ actor })
        const answer = await fetch(
          `${setting.serverURL}/v1/client/handshake?redirect_url=${encodeURIComponent(`${app.url}/?tab=1`)}${kind === 'test' ? '&__clerk_db_jwt=dvb_1' : ''}`,
          { headers: { cookie: signedIn.cookie }, redirect: 'manual' },
        )
        assert.equal(answer.status, 307)
        const back = new URL(answer.headers.get('location') ?? '')
        assert.ok(back.searchParams.has('__clerk_handshake'))
        const browser = new PlainBrowser()
        const opened = await browser.open(back.href)
        assert.deepEqual(said(opened), { userId: signedIn.user_id, sessionId: signedIn.session_id, actor })
        assert.deepEqual(route(opened, setting), kind === 'test' ? ['app 307', 'app 200'] : ['app 200'])
        if (kind === 'test') assert.equal(opened.url, `${app.url}/?tab=1`)
        assert.deepEqual(route(await browser.open(`${app.url}/`), setting), ['app 200'])
      })

      it('learns once that no user is signed in, and does not start another handshake', async () => {
        const browser = new PlainBrowser(kind === 'test' ? {} : { __client_uat: '1700000000' })
        const opened = await browser.open(`${app.url}/`)
        assert.deepEqual(route(opened, setting), handshake(kind, 401))
        assert.deepEqual(said(opened), NOBODY)
        assertDiscreet(opened)
        assert.deepEqual(route(await browser.open(`${app.url}/`), setting), ['app 401'])
      })

      it('gets the operator’s session, or none, at the next handshake after the acting session is revoked', async () => {
        const operator = await server.createUser()
        const own = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: operator.id }))
        const parked = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: own.token })
        const token = await server.createActorToken({ actor })
        const acting = await server.post(
          '/v1/client/sign_ins',
          { strategy: 'ticket', ticket: token.token },
          { cookie: parked.headers.get('set-cookie')?.split(';')[0] },
        )
        const session_id = expectOk(acting).response.created_session_id
        const cookie = acting.headers.get('set-cookie')?.split(';')[0] ?? ''
        const alone = await server.signIn({ actor })
        for (const [signedIn, user_id, then] of [
          [{ session_id, cookie }, token.user_id, { userId: operator.id, actor: null }],
          [alone, alone.user_id, { userId: null, actor: null }],
        ] as const) {
          const browser = await plainBrowser(setting, signedIn)
          assert.equal(said(await browser.open(`${app.url}/`)).userId, user_id)
          expectOk(await server.call('POST', `/v1/sessions/${signedIn.session_id}/revoke`))
          browser.forget('__session')
          const opened = await browser.open(`${app.url}/`)
          const { userId, actor: seen } = said(opened)
          assert.deepEqual({ userId, actor: seen }, then)
          assert.deepEqual(route(opened, setting), handshake(kind, userId ? 200 : 401))
        }
      })

      it('has room for the largest actor in a cookie, in a request and in an answer', async () => {
        for (const bytes of [USUAL_BYTES, MOST_BYTES]) {
          const large = actorOf(bytes)
          const signedIn = await server.signIn({ actor: large })
          const browser = await plainBrowser(setting, signedIn)
          await browser.open(`${app.url}/`)
          browser.forget('__session')
          browser.forget('__clerk_redirect_count')
          const opened = await browser.open(`${app.url}/`)
          assert.deepEqual(said(opened).actor, large)
          assert.deepEqual(route(opened, setting), handshake(kind, 200))
          assertDiscreet(opened)
          assert.deepEqual(route(await browser.open(`${app.url}/`), setting), ['app 200'])
          // For proxies in front of the app: nginx accepts 4 kB of answer headers, and the app needs some for its own.
          const answer = Math.max(...opened.hops.map(hop => hop.responseHeaderBytes))
          assert.ok(answer < (bytes === USUAL_BYTES ? 3_200 : 5_200), `${answer} bytes`)
        }
      })

      it('in Chromium: works from the link of an actor token to signing out, through handshakes', async () => {
        await using browser = await launchBrowser()
        const { page } = browser
        const cookies = page.context()
        const token = await server.createActorToken({ actor })
        await page.goto(token.url)
        const asked: string[] = []
        page.on('request', request => asked.push(new URL(request.url()).pathname))
        await page.getByRole('button', { name: 'Act as' }).click()
        await page.waitForURL(`${app.url}/`)
        const first = said({ text: await page.content() })
        assert.deepEqual({ userId: first.userId, actor: first.actor }, { userId: token.user_id, actor })
        // The app's server knows at once, without a handshake: a fetch cannot be redirected to one.
        assert.ok(!asked.slice(asked.indexOf('/v1/client/sign_ins')).includes('/v1/client/handshake'), asked.join('\n'))
        const me = await page.evaluate(async () => (await fetch('/api/me')).json())
        assert.deepEqual(me, first)

        const jwt = await oldToken(setting, first.sessionId)
        const spoil = {
          gone: () => cookies.clearCookies({ name: /^__session/ }),
          old: async () => {
            const stale = (await cookies.cookies()).filter(({ name }) => name.startsWith('__session'))
            assert.ok(stale.length >= 1)
            await cookies.addCookies(stale.map(cookie => ({ ...cookie, value: jwt })))
            const times = (await cookies.cookies()).filter(({ name }) => name.startsWith('__client_uat'))
            const before = String(claimsOf(jwt).iat - 1)
            await cookies.addCookies(times.map(cookie => ({ ...cookie, value: before })))
          },
        }
        for (const [what, spoiling] of Object.entries(spoil)) {
          await spoiling()
          await cookies.clearCookies({ name: '__clerk_redirect_count' })
          const statuses: number[] = []
          const count = (response: { request(): { isNavigationRequest(): boolean }; status(): number }) =>
            response.request().isNavigationRequest() && statuses.push(response.status())
          page.on('response', count)
          await page.goto(`${app.url}/?tab=1`)
          page.off('response', count)
          assert.deepEqual(said({ text: await page.content() }), first, what)
          assert.deepEqual(statuses, kind === 'test' ? [307, 307, 307, 200] : [307, 307, 200], what)
          assert.equal(page.url(), `${app.url}/?tab=1`)
        }

        await clerkPage(page, app)
        assert.equal((await clerk(page, 'session.actor')).sub, actor.sub)
        await signOut(page)
        await page.goto(`${app.url}/`)
        assert.deepEqual(said({ text: await page.content() }), NOBODY)
        assert.equal(expectOk(await server.call('GET', `/v1/sessions/${first.sessionId}`)).status, 'ended')
      })

      it('logged no redirect loop, and called no other server', () => {
        assert.doesNotMatch(app.output(), /loop|blocked by the test/i)
      })
    })
  }
}

describe('the largest actor', () => {
  for (const kind of KINDS) {
    it(`in Chromium, with pk_${kind}_: the browser keeps its cookies`, async () => {
      await using setting = await setUp('express', kind, { env: { STAGEDOOR_ACTOR_MAX_BYTES: `${MOST_BYTES}` } })
      await using browser = await launchBrowser()
      const { server, app } = setting
      const { page } = browser
      const large = actorOf(MOST_BYTES)
      const token = await server.createActorToken({ actor: large })
      await page.goto(token.url)
      await page.getByRole('button', { name: 'Act as' }).click()
      await page.waitForURL(`${app.url}/`)
      assert.deepEqual(said({ text: await page.content() }).actor, large)
      await page.context().clearCookies({ name: /^__session|redirect_count$/ })
      await page.reload()
      assert.deepEqual(said({ text: await page.content() }).actor, large)
    })
  }

  // Tests with nginx itself, for its real limits.
  if (process.env.TEST_DEEP !== undefined) {
    for (const [name, bytes, settings] of [
      ['default buffers and the default setting', USUAL_BYTES, ''],
      ['default buffers and the limit in the reference', 1_600, ''],
      [
        'larger buffers and the largest setting',
        MOST_BYTES,
        'proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k; large_client_header_buffers 4 16k;',
      ],
    ] as const) {
      for (const kind of KINDS) {
        it(`S13 through nginx with ${name}, with pk_${kind}_`, { skip: noNginx }, async () => {
          await using setting = await setUp('express', kind, {
            nginx: settings,
            env: { STAGEDOOR_ACTOR_MAX_BYTES: `${MOST_BYTES}` },
          })
          await using browser = await launchBrowser()
          const { server, app } = setting
          const { page } = browser
          const large = actorOf(bytes)
          const token = await server.createActorToken({ actor: large })
          await page.goto(token.url)
          await page.getByRole('button', { name: 'Act as' }).click()
          await page.waitForURL(`${app.url}/`)
          const first = said({ text: await page.content() })
          assert.deepEqual(first.actor, large)
          await page.goto(`${app.url}/sign-in?stay`)
          await page.waitForFunction('window.Clerk?.loaded')
          await page.context().clearCookies({ name: /^__session|redirect_count$/ })
          const before = setting.accessLog().length
          await page.goto(`${app.url}/`)
          assert.deepEqual(said({ text: await page.content() }), first)
          const since = setting.accessLog().slice(before)
          assert.match(since, /GET \/v1\/client\/handshake\?/)
          const tokens = [...since.matchAll(/ey[\w-]+\.(ey[\w-]+)\.[\w-]+/g)]
          for (const [jwt] of tokens) assert.equal(claimsOf(jwt).sub, undefined)
        })
      }
    }
  }
})

for (const [sdk, kind] of [
  ['express', 'test'],
  ['express', 'live'],
  ['fastify', 'test'],
  ['hono', 'test'],
] as const) {
  describe(`the proxy of @clerk/${sdk}, on the app’s own origin, with pk_${kind}_`, () => {
    let setting: Setting

    before(async () => {
      setting = await setUp(sdk, kind, { proxied: true })
    })
    after(() => setting?.[Symbol.asyncDispose]())

    it('in Chromium: the whole flow works, and every cookie is on the app’s origin', async () => {
      const { server, app } = setting
      await using browser = await launchBrowser()
      const { page } = browser
      const cookies = page.context()
      const token = await server.createActorToken({ actor })
      await page.goto(token.url)
      await page.getByRole('button', { name: 'Act as' }).click()
      await page.waitForURL(`${app.url}/`)
      const first = said({ text: await page.content() })
      assert.deepEqual({ userId: first.userId, actor: first.actor }, { userId: token.user_id, actor })
      const kept = await cookies.cookies(app.url)
      for (const name of ['__client', '__session', '__client_uat'])
        assert.ok(kept.find(cookie => cookie.name === name)?.domain === 'localhost', name)

      await cookies.clearCookies({ name: /^__session|redirect_count$/ })
      const asked: string[] = []
      page.on('request', request => asked.push(new URL(request.url()).origin))
      await page.goto(`${app.url}/?tab=1`)
      assert.deepEqual(said({ text: await page.content() }), first)
      assert.equal(page.url(), `${app.url}/?tab=1`)
      await clerkPage(page, app)
      await signOut(page)
      await page.goto(`${app.url}/`)
      assert.deepEqual(said({ text: await page.content() }), NOBODY)
      assert.deepEqual([...new Set(asked)], [app.url])
      assert.doesNotMatch(app.output(), /loop|blocked by the test/i)
    })

    // @clerk/fastify sends its address without the port, so forms would be posted to the wrong address.
    if (sdk !== 'fastify') {
      it('in Chromium: a link opened under the proxy’s address stays there', async () => {
        const { server, app } = setting
        await using browser = await launchBrowser()
        const { page } = browser
        const token = await server.createActorToken({ actor })
        const { pathname, search } = new URL(token.url)
        await page.goto(`${app.url}/__clerk${pathname}${search}`)
        await page.getByRole('button', { name: 'Act as' }).click()
        await page.waitForURL(`${app.url}/`)
        assert.equal(said({ text: await page.content() }).userId, token.user_id)
        const hosts = (await page.context().cookies()).map(cookie => cookie.domain)
        assert.deepEqual([...new Set(hosts)], ['localhost'])
      })
    }
  })
}

describe('the proxy’s secret key', () => {
  it('is required and must be right', async () => {
    await using setting = await setUp('express', 'test', {
      proxied: true,
      appEnv: { CLERK_SECRET_KEY: `sk_test_${'0123456789abcdef'.repeat(3)}` },
    })
    const refusal = async (url: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(url, { headers })
      const { errors } = (await answer.json()) as { errors: { code: string }[] }
      return [answer.status, errors.map(error => error.code)]
    }
    const { serverURL, app } = setting
    const proxy = { 'clerk-proxy-url': `${app.url}/__clerk` }
    const [missing, invalid] = ['proxy_request_missing_secret_key', 'proxy_request_invalid_secret_key']
    assert.deepEqual(await refusal(`${serverURL}/v1/client`, proxy), [400, [missing]])
    const wrong = { ...proxy, 'clerk-secret-key': `${SECRET_KEY}0` }
    assert.deepEqual(await refusal(`${serverURL}/v1/client`, wrong), [401, [invalid]])
    assert.deepEqual(await refusal(`${app.url}/__clerk/v1/client`), [401, [invalid]])
    const right = { ...proxy, 'clerk-secret-key': SECRET_KEY }
    assert.equal((await fetch(`${serverURL}/v1/client`, { headers: right })).status, 200)
  })
})

/** The symptoms of wrong settings, as docs/guides/clerk.md describes them. */
describe('a wrong setting', () => {
  /** The results of a bearer token and of a page while signed in. */
  async function tried(sdk: string, options: SettingOptions, ...told: RegExp[]) {
    await using setting = await setUp(sdk, 'test', options)
    const { server, app } = setting
    const signedIn = await server.signIn({ actor })
    const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${signedIn.session_id}/tokens`))
    const bearer = await fetch(`${app.url}/api/me`, { headers: { authorization: `Bearer ${jwt}` } })
    const opened = await (await plainBrowser(setting, signedIn)).open(`${app.url}/`)
    for (const pattern of told) await app.printed(pattern)
    return {
      bearer: bearer.status,
      reason: bearer.headers.get('x-clerk-auth-reason'),
      message: bearer.headers.get('x-clerk-auth-message') ?? '',
      page: opened.status,
      handshakes: opened.hops.filter(hop => hop.url.includes('/v1/client/handshake?')).length,
    }
  }

  /** What Clerk's SDKs print when they detect a redirect loop. */
  const LOOP = /infinite redirect loop.*keys do not match/
  const ASKED_CLERK = /blocked by the test: https:\/\/api\.clerk\.com\/v1\/jwks/

  it('@clerk/fastify without apiUrl calls Clerk instead, and signs every user out', async () => {
    const seen = await tried('fastify', { appEnv: { APP_FORGETS: 'apiUrl' } }, ASKED_CLERK, LOOP)
    assert.deepEqual(seen, { bearer: 401, reason: 'unexpected-error', message: '', page: 401, handshakes: 3 })
  })

  it('so do the others without CLERK_API_URL', async () => {
    for (const sdk of ['express', 'hono']) {
      const { bearer, page } = await tried(sdk, { appEnv: { CLERK_API_URL: '' } }, ASKED_CLERK)
      assert.deepEqual([bearer, page], [401, 401])
    }
  })

  it('a wrong secret key is named in the error', async () => {
    const CLERK_SECRET_KEY = `sk_test_${'0123456789abcdef'.repeat(3)}`
    const { message, ...seen } = await tried('express', { appEnv: { CLERK_SECRET_KEY } }, /clerk_key_invalid/)
    assert.deepEqual(seen, { bearer: 401, reason: 'secret-key-invalid', page: 401, handshakes: 3 })
    assert.match(message, /Clerk Secret Key is invalid/)
  })

  it('with a publishable key of another server, tokens work and cookies do not', async () => {
    const CLERK_PUBLISHABLE_KEY = publishableKey('http://auth.example.com', 'test')
    const { bearer, page, handshakes } = await tried('express', { appEnv: { CLERK_PUBLISHABLE_KEY } }, LOOP)
    assert.deepEqual({ bearer, page, handshakes }, { bearer: 200, page: 401, handshakes: 3 })
  })

  it('with an algorithm that is not RS256 no user is signed in, and the SDK reports why', async () => {
    const { message, ...seen } = await tried('express', { env: { STAGEDOOR_SIGNING_ALG: 'ES256' } })
    assert.deepEqual([seen.bearer, seen.reason, seen.page], [401, 'token-invalid-algorithm', 401])
    assert.match(message, /Invalid JWT algorithm "ES256"/)
  })

  it('without CLERK_PROXY_URL browsers are redirected to https', async () => {
    await using setting = await setUp('express', 'test', { appEnv: { CLERK_PROXY_URL: '' } })
    const headers = { accept: 'text/html' }
    const answer = await fetch(setting.app.url, { headers, redirect: 'manual' })
    assert.equal(answer.status, 307)
    assert.ok(answer.headers.get('location')?.startsWith(setting.serverURL.replace('http:', 'https:')))
  })

  it('a publishable key for localhost is refused, because its host needs a dot', async () => {
    await using setting = await setUp('express', 'test', {
      appEnv: { CLERK_PUBLISHABLE_KEY: publishableKey('http://localhost:4100', 'test') },
    })
    assert.equal((await fetch(setting.app.url)).status, 500)
    await setting.app.printed(/Publishable key not valid/)
  })
})
