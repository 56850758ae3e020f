import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright-core'
import { launchBrowser } from './support/browser.ts'
import { type App, startApp } from './support/processes.ts'
import { expectOk, type TestServer } from './support/server.ts'
import { type Site, startSite } from './support/site.ts'
import { patience } from './support/time.ts'

const example = fileURLToPath(new URL('../examples/bolt-on-express/', import.meta.url))

let site: Site<App>
let server: TestServer
let shop: string

/** Starts the example with its own server. */
async function started(sessions: string, options: { realTime: boolean }) {
  site = await startSite(
    ({ url, port, serverURL, secretKey }) =>
      startApp(['app.js'], {
        url,
        cwd: example,
        env: {
          PORT: `${port}`,
          STAGEDOOR_SERVER_URL: serverURL,
          STAGEDOOR_SECRET_KEY: secretKey,
          SESSIONS: sessions,
        },
        ready: /The shop is at/,
      }),
    { ...options, signInPath: '/acting/start', env: { STAGEDOOR_SESSION_IDLE_TIMEOUT_SECONDS: '60' } },
  )
  server = site.server
  shop = site.app.url
}
const stopped = () => site?.[Symbol.asyncDispose]()

async function logIn(page: Page, name: string) {
  await page.goto(`${shop}/login`)
  await page.getByLabel('E-mail').fill(`${name}@${name === 'olivia' ? 'shop' : 'mail'}.example`)
  await page.getByLabel('Password').fill(`${name}-password`)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.waitForURL(name === 'olivia' ? `${shop}/support` : `${shop}/`)
}
async function actAsCarl(page: Page) {
  const carl = page.getByRole('listitem').filter({ hasText: 'Carl Customer' })
  await carl.getByLabel('Why').fill('Order 1001 is late')
  await carl.getByRole('button').click()
  await page.getByRole('heading', { name: 'Act as Carl Customer?' }).waitFor()
  await page.getByRole('button', { name: 'Act as Carl Customer' }).click()
  await page.waitForURL(`${shop}/`)
  await seen(page).waitFor()
}
const seen = (page: Page) => page.getByRole('region', { name: /acting/i })
const sessionOf = async () =>
  expectOk(await server.call('GET', '/v1/sessions?limit=1'))[0] as { id: string; actor: object; status: string }
const cookieOf = async (context: BrowserContext) =>
  (await context.cookies(shop)).map(({ name, value }) => `${name}=${value}`).join('; ')

for (const sessions of ['express-session', 'cookie-session']) {
  describe(`the bolt-on example, with ${sessions}`, () => {
    // Tests that do not depend on the session library run with one library only.
    const once = sessions === 'cookie-session' ? test : () => undefined
    before(() => started(sessions, { realTime: true }))
    after(stopped)

    test('the operator acts, is shown as acting, is refused sensitive actions, leaves, and is themselves again', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await logIn(page, 'olivia')
      await actAsCarl(page)
      assert.match(await page.getByRole('main').innerText(), /Order 1001, for Carl Customer/)
      const banner = (await seen(page).innerText()).replace(/\s+/g, ' ')
      assert.match(banner, /Olivia Operator.*Carl Customer.*Order 1001 is late.*(29|30):\d\d/)

      const session = await sessionOf()
      assert.deepEqual(session.actor, { sub: 'olivia', name: 'Olivia Operator' })
      await page.getByRole('button', { name: 'Delete my account' }).click()
      assert.match(await page.getByRole('main').innerText(), /Not while acting/)
      await seen(page).waitFor()
      await page.getByRole('link', { name: 'Back' }).click()
      await page.waitForURL(`${shop}/`)
      await page.goto(`${shop}/support`)
      await page.waitForURL(`${shop}/`)

      await page.getByRole('button', { name: /leave/i }).click()
      await page.waitForURL(`${shop}/support`)
      assert.match(await page.getByRole('main').innerText(), /Olivia Operator/)
      assert.equal(await seen(page).isVisible(), false)
      assert.equal((await sessionOf()).status, 'revoked')
      assert.deepEqual(
        browser.errors.filter(error => !error.includes('403')),
        [],
      )
    })

    once('after a revocation the open page returns to the operator, and so does every other tab', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await logIn(page, 'olivia')
      const other = await page.context().newPage()
      await other.goto(`${shop}/support`)
      await page.bringToFront()
      await actAsCarl(page)
      await other.bringToFront()
      await seen(other).waitFor()
      assert.match(await other.getByRole('main').innerText(), /Carl Customer/, 'other tabs follow')

      expectOk(await server.call('POST', `/v1/sessions/${(await sessionOf()).id}/revoke`))
      for (const tab of [other, page]) {
        await tab.bringToFront()
        await tab.waitForURL(`${shop}/support`, { timeout: patience(15_000) })
        assert.match(await tab.getByRole('main').innerText(), /Olivia Operator/)
      }
    })

    test('after a revocation every next request ends acting', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await logIn(page, 'olivia')
      await actAsCarl(page)
      const cookie = await cookieOf(page.context())
      const post = (path: string) =>
        fetch(`${shop}${path}`, { method: 'POST', headers: { cookie }, redirect: 'manual' })
      assert.equal((await post('/account/delete')).status, 403)
      expectOk(await server.call('POST', `/v1/sessions/${(await sessionOf()).id}/revoke`))
      // A request with the old cookie does nothing, in the customer's name or in the operator's.
      const paths = ['/account/delete', '/support/act-as/carl']
      for (const path of paths) {
        const answer = await post(path)
        // express-session has destroyed the session of this cookie.
        const isGone = sessions === 'express-session' && path !== paths[0]
        assert.equal(answer.status, isGone ? 403 : 303, path)
        if (!isGone) assert.equal(answer.headers.get('location'), '/support', path)
      }
      assert.match(await (await fetch(`${shop}/login`)).text(), /carl@mail\.example/)
      assert.equal((await sessionOf()).status, 'revoked')
    })

    once('a link for another operator, a used link and a missing link sign no user in', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      const carl = expectOk(await server.call('GET', '/v1/users?external_id=carl'))[0]
      const foreign = await server.createActorToken({ user_id: carl.id, actor: { sub: 'mallory' } })
      const start = (ticket: string) => `${shop}/acting/start?__clerk_ticket=${ticket}`
      // Not signed in; signed in as a customer; signed in as support.
      assert.equal((await page.goto(start(foreign.token)))?.status(), 403)
      await logIn(page, 'dora')
      assert.equal((await page.goto(start(foreign.token)))?.status(), 403)
      assert.equal(expectOk(await server.call('GET', `/v1/actor_tokens/${foreign.id}`)).status, 'pending')
      await logIn(page, 'olivia')
      assert.equal((await page.goto(start(foreign.token)))?.status(), 403)
      await page.goto(`${shop}/support`)
      assert.match(await page.getByRole('main').innerText(), /Olivia Operator/, 'still herself')
      for (const ticket of [foreign.token, 'x', '']) {
        await page.goto(start(ticket))
        assert.match(await page.locator('body').innerText(), /used|incomplete|must/i)
      }
      assert.equal(await page.evaluate('document.body.innerText.includes("    at ")'), false, 'no stack')
    })

    once('only support acts, and forms of other sites do nothing', async () => {
      await using browser = await launchBrowser()
      await logIn(browser.page, 'dora')
      const cookie = await cookieOf(browser.page.context())
      const post = (headers: Record<string, string>) =>
        fetch(`${shop}/support/act-as/carl`, { method: 'POST', headers, redirect: 'manual' })
      assert.equal((await post({ cookie })).status, 403)
      assert.equal((await post({ cookie, origin: 'https://evil.example' })).status, 403)
    })

    test('logging out while acting leaves', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await logIn(page, 'olivia')
      await actAsCarl(page)
      await page.getByRole('button', { name: 'Log out' }).click()
      await page.waitForURL(`${shop}/support`)
      assert.match(await page.getByRole('main').innerText(), /Olivia Operator/)
    })

    test('a link for a second user while acting shows the current user and offers to switch', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await logIn(page, 'olivia')
      await actAsCarl(page)
      const first = await sessionOf()
      const { id: user_id } = await server.createUser({ external_id: 'dora', first_name: 'Dora' })
      const { url, id } = await server.createActorToken({ user_id, actor: { sub: 'olivia', name: 'Olivia Operator' } })
      await page.goto(url)
      await page.getByRole('button', { name: /^Act as/ }).click()
      await page.getByRole('heading', { name: 'You are acting as Carl Customer' }).waitFor()
      await seen(page).getByText('Carl Customer').first().waitFor()
      assert.equal(
        expectOk(await server.call('GET', `/v1/actor_tokens/${id}`)).status,
        'pending',
        'the ticket is not used up',
      )
      await page.getByRole('link', { name: 'Continue as Carl Customer' }).click()
      assert.match(await page.getByRole('main').innerText(), /Order 1001, for Carl Customer/)

      await page.goto(url)
      await page.getByRole('button', { name: /^Act as/ }).click()
      await page.getByRole('button', { name: 'Stop acting as Carl Customer, and open the new link' }).click()
      await page.waitForURL(`${shop}/`)
      assert.match(await page.getByRole('main').innerText(), /Order 1001, for Dora Customer/)
      await seen(page).getByText('Dora Customer').first().waitFor()
      assert.equal(expectOk(await server.call('GET', `/v1/sessions/${first.id}`)).status, 'revoked')
      assert.equal(expectOk(await server.call('GET', `/v1/actor_tokens/${id}`)).status, 'accepted')
      // From a support page opened before: no token is created.
      const cookie = await cookieOf(page.context())
      const again = await fetch(`${shop}/support/act-as/carl`, { method: 'POST', headers: { cookie } })
      assert.equal(again.status, 409)
      assert.match(await again.text(), /You are acting as Dora Customer/)
      await page.getByRole('button', { name: /leave/i }).click()
      await page.waitForURL(`${shop}/support`)
      assert.match(await page.getByRole('main').innerText(), /Olivia Operator/)
    })

    test('a link opened again, by a double click or the back button, leads to the same session', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await logIn(page, 'olivia')
      const cookie = await cookieOf(page.context())
      await page.goto(`${shop}/support`)
      const carl = page.getByRole('listitem').filter({ hasText: 'Carl Customer' })
      await carl.getByLabel('Why').fill('Twice')
      await carl.getByRole('button').click()
      const button = page.getByRole('button', { name: 'Act as Carl Customer' })
      await button.waitFor()
      const start = `${shop}/acting/start?__clerk_ticket=${new URL(page.url()).searchParams.get('ticket')}`
      // The second click aborts the first navigation, so wait for the page and not for a navigation.
      await button.dblclick()
      await seen(page).waitFor()
      assert.equal(page.url(), `${shop}/`)
      // Simulates a lost answer, with its cookie.
      assert.equal((await fetch(start, { headers: { cookie }, redirect: 'manual' })).headers.get('location'), '/')
      await page.goto(start)
      await page.waitForURL(`${shop}/`)
      assert.equal(expectOk(await server.call('GET', '/v1/sessions?status=active')).length, 1)
      await page.getByRole('button', { name: /leave/i }).click()
      await page.waitForURL(`${shop}/support`)
    })

    once('is light or dark, like the browser', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await page.emulateMedia({ colorScheme: 'dark' })
      await page.goto(`${shop}/login`)
      assert.equal(await page.evaluate('getComputedStyle(document.documentElement).colorScheme'), 'light dark')
      assert.match((await page.evaluate('getComputedStyle(document.body).color')) as string, /255, 255, 255/)
    })
  })

  describe(`the idle limit of the bolt-on example, with ${sessions}`, () => {
    before(() => started(sessions, { realTime: false }))
    after(stopped)

    test('ends acting even if the banner polls; requests of a person extend it', async () => {
      let cookie = ''
      const send = async (method: string, path: string, form?: Record<string, string>) => {
        const body = form && { body: new URLSearchParams(form) }
        const answer = await fetch(`${shop}${path}`, { method, headers: { cookie }, redirect: 'manual', ...body })
        const cookies = answer.headers.getSetCookie().map(each => each.split(';')[0] ?? '')
        if (cookies.length > 0) cookie = cookies.join('; ')
        return answer
      }
      const isActive = async () => ((await (await send('GET', '/acting/status')).json()) as { active: boolean }).active
      await send('POST', '/login', { email: 'olivia@shop.example', password: 'olivia-password' })
      const made = await send('POST', '/support/act-as/carl', { reason: 'Idle' })
      const ticket = new URL(made.headers.get('location') ?? '').searchParams.get('ticket')
      assert.equal((await send('GET', `/acting/start?__clerk_ticket=${ticket}`)).headers.get('location'), '/')
      for (let seconds = 0; seconds < 120; seconds += 30) {
        server.clock.advance(30)
        assert.equal((await send('GET', '/')).status, 200, 'a person uses the app')
      }
      for (let seconds = 0; seconds < 50; seconds += 10) {
        server.clock.advance(10)
        assert.equal(await isActive(), true)
      }
      server.clock.advance(10)
      assert.equal(await isActive(), false)
      assert.equal((await sessionOf()).status, 'abandoned')
      assert.equal((await send('GET', '/')).headers.get('location'), '/support')
      assert.match(await (await send('GET', '/support')).text(), /Olivia Operator/)
    })
  })
}

describe('the guide to the bolt-on', () => {
  test('shows the files of the example unchanged', () => {
    const guide = readFileSync(fileURLToPath(new URL('../docs/guides/bolt-on.md', import.meta.url)), 'utf8')
    for (const file of ['stagedoor.ts', 'session.ts', 'cookie-session.ts'])
      assert.ok(guide.includes(readFileSync(`${example}${file}`, 'utf8').trim()), file)
  })
})
