import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { pino } from 'pino'
import type { Page } from 'playwright-core'
import { developmentLink } from '../packages/server/src/domain/operators.ts'
import { launchBrowser } from './support/browser.ts'
import { runningClock } from './support/clock.ts'
import { type ConsoleBuild, consoleBuild } from './support/console-build.ts'
import { startProvider, type TestProvider } from './support/idp.ts'
import { close, freePort, listen } from './support/ports.ts'
import { expectOk, type TestServer, testServer } from './support/server.ts'
import { until } from './support/time.ts'

/** The guard and the sign-in of the console in Chromium. The page is a small one: the screens have their own tests. */

/** What the page of the tests can do. `passkey` does what the screens do with `navigator.credentials`. */
const SCRIPT = `
const post = (path, body) => fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  .then(async answer => ({ status: answer.status, body: await answer.json() }))
window.post = post
window.get = path => fetch(path).then(async answer => ({ status: answer.status, body: await answer.json() }))
window.join = () => post('/console/join', { token: location.hash.slice(1) })
window.passkey = async (purpose, change = options => options) => {
  const { body, status } = await post('/console/passkey/options', { purpose })
  if (status !== 200) return { status, body }
  const options = change(body.options)
  const registers = purpose === 'register'
  const credential = registers
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })
  return post('/console/passkey/verify', { purpose, response: credential.toJSON() })
}
window.violations = []
document.addEventListener('securitypolicyviolation', event => window.violations.push(event.violatedDirective))
window.login = (fields = {}) => {
  const form = document.createElement('form')
  form.method = 'post'
  form.action = '/console/login'
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement('input')
    field.name = name
    field.value = value
    form.append(field)
  }
  document.body.append(form)
  form.submit()
}
document.title = 'ready'
`

// biome-ignore lint/suspicious/noExplicitAny: what the page returns
const run = (page: Page, code: string): Promise<any> => page.evaluate(code)

let build: ConsoleBuild
let provider: TestProvider
let server: TestServer
let url: string
const requests: { operation: string; status: number; method: string }[] = []

before(async () => {
  build = consoleBuild(SCRIPT)
  const port = await freePort()
  url = `http://localhost:${port}`
  provider = await startProvider(`${url}/console/callback`)
  server = await testServer({
    consoleFolder: build.folder,
    clock: runningClock(),
    log: pino({ level: 'info' }, { write: line => requests.push(JSON.parse(line)) }),
    env: {
      STAGEDOOR_PORT: `${port}`,
      STAGEDOOR_PUBLIC_URL: `http://127.0.0.1:${port}`,
      STAGEDOOR_OPERATOR_ISSUER: provider.issuer,
      STAGEDOOR_OPERATOR_CLIENT_ID: provider.client_id,
      STAGEDOOR_OPERATOR_CLIENT_SECRET: provider.client_secret,
      STAGEDOOR_OPERATOR_ROLES: 'admin:sd-admins',
    },
  })
  await server.listen()
})
after(async () => {
  await server?.[Symbol.asyncDispose]()
  await provider?.[Symbol.asyncDispose]()
  build?.[Symbol.dispose]()
})

const context = () => server.stagedoor.context({ type: 'command_line', id: null })

async function open(page: Page, path = '/console') {
  await page.goto(url + path)
  await page.waitForFunction('document.title === "ready"')
}

/** Opens the console, signed in as an admin. */
async function signedIn(page: Page) {
  const { pathname, hash } = new URL(await developmentLink(context()))
  await open(page, pathname + hash)
  assert.equal((await run(page, 'join()')).status, 200)
}

describe('the console in Chromium', () => {
  it('signs in with the link of a development server, and signs out', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await signedIn(page)
    assert.equal((await run(page, 'get("/console/api/me")')).body.role, 'admin')
    const [cookie] = (await page.context().cookies(url)).filter(({ name }) => name.endsWith('operator'))
    assert.deepEqual([cookie?.httpOnly, cookie?.secure, cookie?.sameSite, cookie?.path], [true, true, 'Strict', '/'])
    assert.equal((await run(page, 'post("/console/logout", {})')).status, 200)
    assert.equal((await run(page, 'get("/console/api/me")')).status, 401)
    assert.deepEqual(await run(page, 'violations'), [])
  })

  it('signs in at an identity provider of another site, and the page after it has the session', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    provider.next = { sub: 'olivia', groups: ['sd-admins'] }
    await open(page)
    await run(page, 'login({ return_to: "/console/audit" })')
    await page.waitForURL(`${url}/console/audit`)
    await page.waitForFunction('document.title === "ready"')
    assert.equal((await run(page, 'get("/console/api/me")')).body.operator.sub, 'olivia')
    assert.deepEqual(browser.errors, [])
    // Step-up in another tab: the session of this one is renewed.
    const tab = await page.context().newPage()
    await open(tab)
    await run(tab, 'login({ step_up: "1", return_to: "/console/done" })')
    await tab.waitForURL(`${url}/console/done`)
    assert.ok((await run(page, 'get("/console/api/me")')).body.step_up_until > Date.now())
  })

  it('blocks inline scripts, styles and HTML from strings', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await open(page)
    const tried = await run(
      page,
      `(() => {
        const refused = []
        const attempt = (name, work) => { try { work() } catch { refused.push(name) } }
        const image = document.createElement('img')
        attempt('handler', () => image.setAttribute('onerror', 'window.owned = true'))
        attempt('html', () => document.body.insertAdjacentHTML('beforeend', '<b>x</b>'))
        attempt('script', () => { const script = document.createElement('script'); script.text = 'window.owned = true'; document.body.append(script) })
        attempt('policy', () => trustedTypes.createPolicy('any', {}))
        return refused
      })()`,
    )
    assert.deepEqual(tried, ['handler', 'html', 'script', 'policy'])
    await page.waitForTimeout(200)
    assert.deepEqual(await run(page, '[typeof window.owned, document.querySelector("b")]'), ['undefined', null])
  })

  it('C4: a page that opens the console has no hold of its window', async () => {
    await using browser = await launchBrowser()
    await signedIn(browser.page)
    await using attacker = await page('127.0.0.1', '')
    await browser.page.goto(attacker.url)
    await run(browser.page, `void (window.it = open('${url}/console/live'))`)
    // Cross-Origin-Opener-Policy puts the console into another group of windows: the handle says that it is closed.
    await until(() => run(browser.page, 'it.closed'), 'the handle still works')
    const found = await run(
      browser.page,
      `(() => { try { return it.location.href } catch (error) { return error.name } })()`,
    )
    assert.ok(!`${found}`.includes('/console'), found)
  })

  it('C4: an answer of the API, the callback and the sign-in cannot be framed either', async () => {
    for (const [method, path] of [
      ['GET', '/console/api/me'],
      ['GET', '/console/callback?code=x&state=y'],
      ['POST', '/console/login'],
    ] as const) {
      const headers = {
        'content-type': 'application/x-www-form-urlencoded',
        origin: url,
        'sec-fetch-site': 'same-origin',
      }
      const answer = await fetch(url + path, {
        method,
        headers,
        redirect: 'manual',
        ...(method === 'POST' && { body: '' }),
      })
      assert.match(answer.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/, path)
      assert.equal(answer.headers.get('x-frame-options'), 'DENY', path)
    }
  })

  it('C15: the back button after a sign-out shows nothing, and no answer may be stored', async () => {
    await using browser = await launchBrowser()
    const { page: tab } = browser
    await signedIn(tab)
    const cacheOf = async (path: string) =>
      run(tab, `fetch(${JSON.stringify(path)}).then(answer => answer.headers.get('cache-control'))`)
    for (const path of [
      '/console',
      '/console/live',
      '/console/api/me',
      '/console/api/v1/users',
      '/console/api/v1/nothing',
    ])
      assert.match(await cacheOf(path), /no-store/, path)
    await open(tab, '/console/live')
    const before = (await run(tab, 'get("/console/api/me")')).status
    await tab.goto('about:blank')
    const other = await tab.context().newPage()
    await open(other)
    assert.equal((await run(other, 'post("/console/logout", {})')).status, 200)
    await tab.goBack()
    await tab.waitForFunction('document.title === "ready"').catch(() => {})
    assert.deepEqual([before, (await run(tab, 'get("/console/api/me")')).status], [200, 401])
  })

  it('continues at another origin of the provider, with a policy that allows forms only to itself', async () => {
    await using browser = await launchBrowser()
    await using elsewhere = await page('127.0.0.1', '<p>The sign-in page')
    const port = await freePort()
    const issuer = `http://localhost:${port}`
    const front = createServer((request, response) => {
      const isMetadata = request.url?.startsWith('/.well-known')
      if (!isMetadata) return response.writeHead(302, { location: `${elsewhere.url}/further` }).end()
      const metadata = { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(metadata))
    })
    await new Promise<void>(resolve => front.listen(port, '127.0.0.1', resolve))
    const consolePort = await freePort()
    await using there = await testServer({
      consoleFolder: build.folder,
      env: {
        STAGEDOOR_PORT: `${consolePort}`,
        STAGEDOOR_PUBLIC_URL: `http://127.0.0.1:${consolePort}`,
        STAGEDOOR_OPERATOR_ISSUER: issuer,
        STAGEDOOR_OPERATOR_CLIENT_ID: 'stagedoor',
        STAGEDOOR_OPERATOR_CLIENT_SECRET: 'a secret',
        STAGEDOOR_OPERATOR_ROLES: 'admin:sd-admins',
      },
    })
    await there.listen()
    await browser.page.goto(`http://localhost:${consolePort}/console`)
    await run(browser.page, 'login()')
    await browser.page.waitForURL(`${elsewhere.url}/further`)
    assert.deepEqual(
      browser.errors.filter(text => /form-action|Content Security/.test(text)),
      [],
    )
    await close(front)
  })

  it('C4: cannot be framed', async () => {
    await using browser = await launchBrowser()
    await using attacker = await page('localhost', `<iframe src="${url}/console"></iframe>`)
    await browser.page.goto(attacker.url)
    await browser.page.waitForTimeout(500)
    const [, frame] = browser.page.frames()
    assert.ok(!(await frame?.content().catch(() => ''))?.includes('main-0123abcd'))
  })
})

/** A page of another origin on this machine. `localhost` with another port is the same site. */
async function page(host: string, html: string) {
  const attacker = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://attacker')
    if (pathname === '/redirect')
      return response.writeHead(Number(searchParams.get('status')), { location: searchParams.get('to') ?? '' }).end()
    response.setHeader('content-type', 'text/html').end(`<!doctype html><title>Attacker</title>${html}`)
  })
  const port = await listen(attacker)
  return { url: `http://${host}:${port}`, [Symbol.asyncDispose]: () => close(attacker) }
}

/** Tries everything that a page can send. Returns how many requests that were. */
const ATTACK = `async ({ read, change, origin, user_id }) => {
  let count = 0
  const attempt = async work => {
    count += 1
    await Promise.race([
      Promise.resolve()
        .then(work)
        .catch(() => {}),
      new Promise(done => setTimeout(done, 1_000)),
    ])
  }
  const json = '{}'
  for (const mode of ['no-cors', 'cors'])
    for (const target of [read, change, \`\${origin}/console/api/me\`]) {
      await attempt(() => fetch(target, { mode, credentials: 'include' }))
      await attempt(() => fetch(target, { mode, credentials: 'include', method: 'POST', body: json }))
      await attempt(() =>
        fetch(target, { mode, credentials: 'include', method: 'POST', body: new URLSearchParams({ a: 'b' }) }),
      )
      await attempt(() =>
        fetch(target, { mode, credentials: 'include', keepalive: true, method: 'POST', body: json }),
      )
    }
  for (const method of ['POST', 'PATCH', 'PUT', 'DELETE'])
    await attempt(() =>
      fetch(change, {
        method,
        credentials: 'include',
        body: json,
        headers: { 'content-type': 'application/json' },
      }),
    )
  await attempt(() => navigator.sendBeacon(change, new Blob([json], { type: 'text/plain' })))
  await attempt(() => navigator.sendBeacon(\`\${origin}/console/logout\`, new Blob([json])))
  for (const name of ['img', 'script', 'iframe', 'embed', 'audio'])
    await attempt(() => {
      const element = document.createElement(name)
      element.setAttribute('src', read)
      document.body.append(element)
      return new Promise(done => setTimeout(done, 100))
    })
  for (const enctype of ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain'])
    for (const target of [
      change,
      \`\${origin}/console/login\`,
      \`\${origin}/console/logout\`,
      \`\${origin}/console/join\`,
    ])
      await attempt(() => {
        const form = document.createElement('form')
        Object.assign(form, { method: 'post', action: target, enctype, target: 'target' })
        const field = document.createElement('input')
        Object.assign(field, { name: '{"user_id":"', value: \`\${user_id}"}\` })
        form.append(field)
        document.body.append(form)
        form.submit()
        return new Promise(done => setTimeout(done, 100))
      })
  for (const status of [302, 307, 308]) {
    const to = encodeURIComponent(change)
    for (const mode of ['no-cors', 'cors'])
      await attempt(() =>
        fetch(\`/redirect?status=\${status}&to=\${to}\`, {
          mode,
          method: 'POST',
          credentials: 'include',
          body: json,
        }),
      )
    await attempt(() =>
      fetch(\`/redirect?status=\${status}&to=\${encodeURIComponent(read)}\`, {
        mode: 'no-cors',
        credentials: 'include',
      }),
    )
  }
  await attempt(() => {
    const socket = new WebSocket(change.replace('http', 'ws'))
    return new Promise(done => {
      socket.onerror = done
      socket.onopen = done
    })
  })
  await attempt(() => {
    const link = document.createElement('a')
    Object.assign(link, { href: '#', ping: change })
    document.body.append(link)
    link.click()
    return new Promise(done => setTimeout(done, 100))
  })
  await attempt(() => {
    const link = document.createElement('link')
    Object.assign(link, { rel: 'prefetch', href: read })
    document.head.append(link)
    return new Promise(done => setTimeout(done, 100))
  })
  return count
}`

describe('C1: a page of another origin uses the console with the cookie of the operator', () => {
  for (const host of ['localhost', '127.0.0.1'])
    it(`from ${host}, another port: no request reaches a handler`, async () => {
      await using browser = await launchBrowser()
      const { page: tab } = browser
      await signedIn(tab)
      const user = await server.createUser()
      await using attacker = await page(host, '<iframe name="target"></iframe>')
      const read = `${url}/console/api/v1/users`
      const change = `${url}/console/api/v1/users/${user.id}/lock`
      const before = requests.length
      await tab.goto(attacker.url)
      const sent = await run(tab, `(${ATTACK})(${JSON.stringify({ read, change, origin: url, user_id: user.id })})`)
      assert.ok(sent >= 50, `${sent}`)
      await tab.waitForTimeout(300)
      const reached = requests.slice(before).filter(({ operation, status }) => operation !== 'none' && status < 400)
      assert.deepEqual(reached, [])
      const refusals = requests.slice(before).filter(({ status }) => status >= 400)
      assert.ok(refusals.length >= 30, `${refusals.length} of ${sent} arrived`)
      assert.equal(expectOk(await server.call('GET', `/v1/users/${user.id}`)).locked, false)
      // The session is as it was, and the console itself can do what the attacker could not.
      await open(tab)
      assert.equal((await run(tab, `post("/console/api/v1/users/${user.id}/lock", {})`)).status, 200)
    })

  it('a navigation of another site to the API shows nothing', async () => {
    await using browser = await launchBrowser()
    await signedIn(browser.page)
    await using attacker = await page('localhost', `<a href="${url}/console/api/v1/users">x</a>`)
    await browser.page.goto(attacker.url)
    await browser.page.click('a')
    await browser.page.waitForURL(/console/)
    assert.match(await browser.page.content(), /console_request_invalid/)
    const typed = await browser.page.goto(`${url}/console/api/v1/users`)
    assert.equal(typed?.status(), 403)
  })
})

/** Adds an authenticator to a page, as a security key or a phone would be. */
async function authenticator(tab: Page, options: object = {}) {
  const devtools = await tab.context().newCDPSession(tab)
  await devtools.send('WebAuthn.enable')
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
      ...options,
    },
  })
  return { devtools, authenticatorId }
}

async function invited(email: string, role = 'admin') {
  const invitation = expectOk(await server.call('POST', '/v1/operators', { email, role }))
  const { pathname, hash } = new URL(invitation.link)
  return { id: invitation.id as string, path: pathname + hash }
}

describe('passkeys in Chromium', () => {
  it('join, sign in, step up, and a new link after a lost passkey', async () => {
    await using browser = await launchBrowser()
    const { page: tab } = browser
    const { id, path } = await invited('olivia@example.com', 'support')
    await authenticator(tab)
    await open(tab, path)
    const joined = await run(tab, 'join()')
    assert.deepEqual([joined.status, joined.body.next], [200, 'passkey'])
    assert.equal((await run(tab, 'get("/console/api/me")')).status, 401)
    const registered = await run(tab, 'passkey("register")')
    assert.deepEqual([registered.status, registered.body.return_to], [200, '/console'], JSON.stringify(registered.body))
    const me = (await run(tab, 'get("/console/api/me")')).body
    assert.deepEqual([me.operator.id, me.operator.sub, me.role], [id, id, 'support'])
    assert.ok(me.step_up_until > Date.now())
    // The registration is used up.
    assert.equal((await run(tab, 'passkey("register")')).status, 400)

    await run(tab, 'post("/console/logout", {})')
    assert.equal((await run(tab, 'get("/console/api/me")')).status, 401)
    const again = await run(tab, 'passkey("sign_in")')
    assert.equal(again.status, 200, JSON.stringify(again.body))
    const before = (await tab.context().cookies(url)).find(({ name }) => name.endsWith('operator'))?.value
    assert.equal((await run(tab, 'passkey("step_up")')).status, 200)
    const renewed = (await tab.context().cookies(url)).find(({ name }) => name.endsWith('operator'))?.value
    assert.notEqual(renewed, before)
    const [session] = expectOk(await server.call('GET', `/v1/operator_sessions?operator_id=${id}`))
    assert.ok(session.amr.includes('hwk'))

    // The passkey is lost: the link makes another one, and the lost one no longer works.
    const lost = await invited('olivia@example.com', 'support')
    assert.equal(lost.id, id)
    await using elsewhere = await launchBrowser()
    await authenticator(elsewhere.page)
    await open(elsewhere.page, lost.path)
    await run(elsewhere.page, 'join()')
    assert.equal((await run(elsewhere.page, 'passkey("register")')).status, 200)
    assert.equal((await run(tab, 'get("/console/api/me")')).status, 401)
    const refused = await run(tab, 'passkey("sign_in")')
    assert.deepEqual([refused.status, refused.body.errors[0].code], [400, 'passkey_invalid'])
    assert.deepEqual(await run(tab, 'violations'), [])
  })

  it('without user verification it is refused', async () => {
    await using browser = await launchBrowser()
    const { page: tab } = browser
    await authenticator(tab, { hasUserVerification: false, isUserVerified: false })
    const { path } = await invited('unverified@example.com')
    await open(tab, path)
    await run(tab, 'join()')
    // The page asks for less than the server wants.
    const answer = await run(
      tab,
      'passkey("register", options => ({ ...options, authenticatorSelection: { ...options.authenticatorSelection, userVerification: "discouraged", residentKey: "discouraged", requireResidentKey: false } }))',
    )
    assert.deepEqual([answer.status, answer.body.errors[0].code], [400, 'passkey_invalid'])
    assert.match(answer.body.errors[0].long_message, /did not check that it is you/)
    assert.equal((await run(tab, 'get("/console/api/me")')).status, 401)
    // The link is used, but the operator may try again.
    assert.equal((await run(tab, 'post("/console/passkey/options", { purpose: "register" })')).status, 200)
  })

  it('a copy of a passkey, and another challenge, are refused', async () => {
    await using browser = await launchBrowser()
    const { page: tab } = browser
    const { devtools, authenticatorId } = await authenticator(tab)
    const { path, id } = await invited('cloned@example.com')
    await open(tab, path)
    await run(tab, 'join()')
    assert.equal((await run(tab, 'passkey("register")')).status, 200)
    const challenge = await run(
      tab,
      'passkey("sign_in", options => ({ ...options, challenge: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }))',
    )
    assert.deepEqual([challenge.status, challenge.body.errors[0].code], [400, 'passkey_invalid'])
    for (let use = 0; use < 3; use++) assert.equal((await run(tab, 'passkey("sign_in")')).status, 200)
    // The copy was made before: it counts from there.
    const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId })
    const [credential] = credentials
    assert.ok(credential && credential.signCount >= 3)
    await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: credential.credentialId })
    await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...credential, signCount: 1 } })
    const cloned = await run(tab, 'passkey("sign_in")')
    assert.deepEqual([cloned.status, cloned.body.errors[0].code], [400, 'passkey_invalid'])
    assert.match(cloned.body.errors[0].long_message, /copy/)
    const [event] = await server.auditEvents({ action: 'operator.sign_in', code: 'passkey_invalid' })
    // The server does not know who tried it, so it counts it and records no event.
    assert.equal(event, undefined)
    assert.ok(id)
  })

  it('an answer to a sign-in works once', async () => {
    await using browser = await launchBrowser()
    const { page: tab } = browser
    await authenticator(tab)
    const { path } = await invited('replayed@example.com')
    await open(tab, path)
    await run(tab, 'join()')
    assert.equal((await run(tab, 'passkey("register")')).status, 200)
    const answers = await run(
      tab,
      `(async () => {
        const { body } = await post('/console/passkey/options', { purpose: 'sign_in' })
        const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(body.options) })
        const send = () => post('/console/passkey/verify', { purpose: 'sign_in', response: credential.toJSON() })
        const first = await send()
        return [first.status, (await send()).status]
      })()`,
    )
    assert.deepEqual(answers, [200, 400])
  })
})
