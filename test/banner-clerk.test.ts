import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Clerk } from '@clerk/clerk-js'
import type { Page } from 'playwright-core'
import type { ClerkLike } from '../packages/sdk/src/banner/index.ts'
import { bannerJs, shown } from './banner-app.ts'
import { type Browser, clerk, launchBrowser, signedIn, type TestApp } from './support/browser.ts'
import { expectOk, type TestServer } from './support/server.ts'
import { type Site, startClerkSite } from './support/site.ts'

/** The compiler checks that clerk-js fits this type. */
export const itself = (real: Clerk): ClerkLike => real

const actor = { sub: 'olivia@support', name: 'Olivia Park', reason: 'Ticket 1234' }

describe('<stagedoor-banner clerk> with clerk-js', () => {
  let site: Site<TestApp>
  let server: TestServer
  let app: TestApp
  let olivia: { id: string }
  let carl: { id: string }

  before(async () => {
    site = await startClerkSite(
      { env: { STAGEDOOR_ACCEPT_PAGE: 'redirect' } },
      {
        inside: '<stagedoor-banner clerk></stagedoor-banner><script type="module" src="/banner.js"></script>',
        scripts: { '/banner.js': bannerJs },
      },
    )
    ;({ server, app } = site)
    olivia = await server.createUser({ email_address: ['olivia@example.com'] })
    carl = await server.createUser({ email_address: ['carl@example.com'], first_name: 'Carl' })
  })
  after(() => site?.[Symbol.asyncDispose]())

  /** The operator, signed in and on a page of the app. */
  async function operator({ page }: Browser, path = '/customers/42?tab=orders') {
    const { id } = olivia
    const own = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: id }))
    await page.goto(`${app.url}/sign-in?__clerk_ticket=${own.token}&__clerk_status=sign_in`)
    const { session_id } = await signedIn(page, id)
    await page.goto(`${app.url}${path}`)
    await signedIn(page, id)
    await page.waitForFunction(end => localStorage.getItem('stagedoor:from')?.endsWith(end), path)
    return { id, session_id, path }
  }

  async function actAs(page: Page, fields: object = {}) {
    const token = await server.createActorToken({ actor, user_id: carl.id, ...fields })
    await page.goto(token.url)
    const { session_id } = await signedIn(page, carl.id)
    await shown(page)
    return { user_id: carl.id, session_id }
  }

  async function isBack(page: Page, { id, session_id, path }: Awaited<ReturnType<typeof operator>>) {
    await page.waitForURL(`${app.url}${path}`)
    const now = await signedIn(page, id)
    assert.deepEqual({ session: now.session_id, actor: now.actor }, { session: session_id, actor: null })
    await page.locator('stagedoor-banner').waitFor({ state: 'hidden' })
    assert.equal(await clerk(page, 'session.getToken().then(jwt => typeof jwt)'), 'string')
  }

  const leave = (page: Page) => page.getByRole('button', { name: 'Leave: stop acting' }).click()
  const text = (page: Page) => page.locator('stagedoor-banner section').innerText()

  test('shows nothing in the user’s own session; while acting, shows who acts as whom, why and for how long', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await operator(browser)
    assert.equal(await page.locator('stagedoor-banner').isVisible(), false)
    const { session_id } = await actAs(page, { session_max_duration_in_seconds: 600 })
    const said = (await text(page)).replace(/\s+/g, ' ')
    assert.match(said, /^Olivia Park is acting as carl@example\.com\. Reason: Ticket 1234 (0?9:\d\d|10:00) left Leave$/)
    assert.equal(await page.locator('stagedoor-banner').getAttribute('session'), session_id)
    assert.deepEqual(browser.errors, [])
  })

  test('Leave ends only this session: the operator is signed in again, on the page they came from', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    const { session_id } = await actAs(page)
    await page.goto(`${app.url}/orders`)
    await shown(page)
    await leave(page)
    await isBack(page, own)
    const { status } = expectOk(await server.call('GET', `/v1/sessions/${session_id}`))
    assert.equal(status, 'removed')
    assert.deepEqual(browser.errors, [])
  })

  test('a revoked session returns to the operator’s session', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    const { session_id } = await actAs(page)
    expectOk(await server.call('POST', `/v1/sessions/${session_id}/revoke`))
    const ended = page.evaluate(async () => {
      let ended = false
      document.addEventListener('stagedoor-end', () => {
        ended = true
      })
      await document.querySelector('stagedoor-banner')?.check()
      return ended
    })
    assert.equal(await ended, true)
    await isBack(page, own)
  })

  test('a revoked session returns to the operator’s session when clerk-js notices first', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    const { session_id } = await actAs(page)
    await page.evaluate(() => {
      const each = document.querySelector('stagedoor-banner')
      if (each) each.handlers = { ...each.handlers, check: async () => undefined }
    })
    expectOk(await server.call('POST', `/v1/sessions/${session_id}/revoke`))
    await page.evaluate('Clerk.session.getToken({ skipCache: true }).catch(() => null)').catch(() => {})
    await isBack(page, own)
  })

  test('an expired session returns to the operator’s session', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    await actAs(page, { session_max_duration_in_seconds: 4 })
    await isBack(page, own)
  })

  test('without an own session, Leave signs out and goes to the return-url', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await actAs(page)
    await page.evaluate(() => document.querySelector('stagedoor-banner')?.setAttribute('return-url', '/done'))
    await leave(page)
    await page.waitForURL(`${app.url}/done`)
    await page.locator('main[data-status=signed-out]').waitFor({ state: 'attached' })
  })

  test('shows the reason, its kind and the ticket of the actor token', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await operator(browser)
    const ticket = 'https://help.example/T-1'
    await actAs(page, { reason: 'The export fails', reason_category: 'incident', ticket })
    await page.getByText('Reason: incident: The export fails').first().waitFor()
    assert.equal(await page.getByRole('link', { name: 'help.example/T-1' }).getAttribute('href'), ticket)
    assert.deepEqual(browser.errors, [])
  })

  test('goes to the return URL of the session and shows its reason', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    // Simulates a server that returns both with the session.
    await page.context().route(/\/v1\/client\/sessions\/sess_\w+(\?.*)?$/, async route => {
      const answer = await route.fetch()
      const json = await answer.json()
      const response = { ...json.response, reason: 'Ticket 99', return_url: `${app.url}/desk` }
      await route.fulfill({ response: answer, json: { ...json, response } })
    })
    await actAs(page)
    await page.getByText('Reason: Ticket 99').waitFor()
    await leave(page)
    await isBack(page, { ...own, path: '/desk' })
  })

  test('shows when leaving failed, and offers to try again', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    await actAs(page)
    const remove = /\/v1\/client\/sessions\/\w+\/remove/
    await page.context().route(remove, route => route.fulfill({ status: 500, json: { errors: [] } }))
    await leave(page)
    await page.getByRole('alert').getByText('Leaving did not work.').waitFor()
    await page.context().unroute(remove)
    await page.getByRole('button', { name: 'Try again' }).click()
    await isBack(page, own)
  })

  test('other tabs follow when acting begins and ends', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    const tab = await page.context().newPage()
    await tab.goto(`${app.url}/customers/7`)
    await signedIn(tab, own.id)
    await tab.waitForFunction(() => localStorage.getItem('stagedoor:from')?.endsWith('/customers/7'))
    const { user_id } = await actAs(page)
    await signedIn(tab, user_id)
    await shown(tab)
    await leave(page)
    await isBack(page, { ...own, path: '/customers/7' })
    await signedIn(tab, own.id)
    await tab.locator('stagedoor-banner').waitFor({ state: 'hidden' })
  })
  test('a hidden tab follows when it becomes visible, and does not change the other tabs', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const own = await operator(browser)
    const tab = await page.context().newPage()
    await tab.goto(`${app.url}/customers/7`)
    await signedIn(tab, own.id)
    await tab.locator('stagedoor-banner').waitFor({ state: 'attached' })
    await hide(tab)
    const { user_id } = await actAs(page)
    const reloaded = tab.waitForEvent('domcontentloaded')
    await tab.evaluate(() => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'visible' })
      document.dispatchEvent(new Event('visibilitychange'))
      dispatchEvent(new Event('focus'))
    })
    await reloaded
    await signedIn(tab, user_id)
    await page.reload()
    await signedIn(page, user_id)
  })
})

/** Simulates another tab that covers the page: headless browsers treat every tab as visible. */
function hide(page: Page): Promise<void> {
  return page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' })
    document.dispatchEvent(new Event('visibilitychange'))
  })
}
