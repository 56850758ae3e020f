import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { BrowserContext, Page } from 'playwright-core'
import { expectOk, SECRET_KEY, type TestServer, testServer } from '../packages/server/test/support.ts'
import { freePort, launchBrowser } from './browser.ts'
import { startApp } from './processes.ts'

const example = fileURLToPath(new URL('../examples/bolt-on-express/', import.meta.url))

let server: TestServer
let app: AsyncDisposable
let shop: string

before(async () => {
  const [port, appPort] = [await freePort(), await freePort()]
  shop = `http://127.0.0.1:${appPort}`
  const serverURL = `http://127.0.0.1:${port}`
  server = await testServer({
    realTime: true,
    env: {
      STAGEDOOR_PORT: `${port}`,
      STAGEDOOR_PUBLIC_URL: serverURL,
      STAGEDOOR_SIGN_IN_URL: `${shop}/acting/start`,
      STAGEDOOR_SESSION_IDLE_TIMEOUT_SECONDS: '60',
    },
  })
  await server.listen()
  app = await startApp(['app.js'], {
    url: shop,
    cwd: example,
    env: { PORT: `${appPort}`, STAGEDOOR_SERVER_URL: serverURL, STAGEDOOR_SECRET_KEY: SECRET_KEY },
    ready: /The shop is at/,
  })
})
after(async () => {
  await app?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
})

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

describe('the bolt-on example', () => {
  test('act, be seen to act, be refused what matters, leave, and be oneself again', async () => {
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
    assert.match(await page.locator('body').innerText(), /Not while acting/)
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

  test('a revoked session: the open page goes back by itself, and so does every other tab', async () => {
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
      await tab.waitForURL(`${shop}/support`, { timeout: 30_000 })
      assert.match(await tab.getByRole('main').innerText(), /Olivia Operator/)
    }
  })

  test('a session that is over ends the next request, whatever it is', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await logIn(page, 'olivia')
    await actAsCarl(page)
    const cookie = await cookieOf(page.context())
    const post = (path: string) => fetch(`${shop}${path}`, { method: 'POST', headers: { cookie }, redirect: 'manual' })
    assert.equal((await post('/account/delete')).status, 403)
    expectOk(await server.call('POST', `/v1/sessions/${(await sessionOf()).id}/revoke`))
    // The same cookie, kept by whoever had it: nothing is done in the customer's name, nor in the operator's.
    for (const path of ['/account/delete', '/support/act-as/carl']) {
      const answer = await post(path)
      assert.deepEqual([answer.status, answer.headers.get('location')], [303, '/support'], path)
    }
    assert.equal((await sessionOf()).status, 'revoked')
  })

  test('a link made for somebody else, a used one, and no link sign nobody in', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const carl = expectOk(await server.call('GET', '/v1/users?external_id=carl'))[0]
    const foreign = await server.createActorToken({ user_id: carl.id, actor: { sub: 'mallory' } })
    const start = (ticket: string) => `${shop}/acting/start?__clerk_ticket=${ticket}`
    // Not signed in; signed in as a customer; as support.
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

  test('only support acts, and other sites’ forms do nothing', async () => {
    await using browser = await launchBrowser()
    await logIn(browser.page, 'dora')
    const cookie = await cookieOf(browser.page.context())
    const post = (headers: Record<string, string>) =>
      fetch(`${shop}/support/act-as/carl`, { method: 'POST', headers, redirect: 'manual' })
    assert.equal((await post({ cookie })).status, 403)
    assert.equal((await post({ cookie, origin: 'https://evil.example' })).status, 403)
  })

  test('logging out while acting is leaving', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await logIn(page, 'olivia')
    await actAsCarl(page)
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.waitForURL(`${shop}/support`)
    assert.match(await page.getByRole('main').innerText(), /Olivia Operator/)
  })

  test('what Stagedoor adds is under 30 lines, and stands in the guide as it is', () => {
    const code = readFileSync(`${example}stagedoor.js`, 'utf8')
    const lines = code.split('\n').filter(line => !/^\s*(\/\/.*|\/\*\*.*\*\/)?$/.test(line))
    assert.ok(lines.length < 30, `${lines.length}`)
    const guide = readFileSync(fileURLToPath(new URL('../docs/guides/bolt-on.md', import.meta.url)), 'utf8')
    assert.ok(guide.includes(code.trim()))
  })
})
