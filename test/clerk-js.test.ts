import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { type Browser, clerk, launchBrowser, signedIn, signedOut, type TestApp } from './support/browser.ts'
import { times } from './support/deep.ts'
import { claimsOf } from './support/jwt.ts'
import { expectOk, type TestServer } from './support/server.ts'
import { type Site, startClerkSite } from './support/site.ts'
import { until } from './support/time.ts'

const actor = { sub: 'user_operator', iss: 'https://admin.example.com', reason: 'ticket 4711', nested: { a: [1, 'ü'] } }

for (const kind of ['test', 'live'] as const) {
  describe(`clerk-js and <SignIn/> with pk_${kind}_`, () => {
    let site: Site<TestApp>
    let server: TestServer
    let app: TestApp
    let serverURL: string

    before(async () => {
      site = await startClerkSite({
        kind,
        env: { STAGEDOOR_ACCEPT_PAGE: kind === 'test' ? 'redirect' : 'confirm', STAGEDOOR_ACTOR_MAX_BYTES: '2434' },
      })
      ;({ server, app, serverURL } = site)
    })
    after(() => site?.[Symbol.asyncDispose]())

    async function actAs({ page }: Browser, fields: object = {}) {
      const token = await server.createActorToken({ actor, ...fields })
      await open(page, token.url)
      return signedIn(page, token.user_id)
    }
    /** Opens a link, and confirms if the page asks. */
    async function open(page: Page, url: string) {
      await page.goto(url)
      if (kind === 'live') await page.getByRole('button', { name: /^(Act|Sign in) as/ }).click()
    }
    async function signInAsOneself({ page }: Browser) {
      const operator = await server.createUser({ first_name: 'Olivia' })
      const own = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: operator.id }))
      await open(page, own.url)
      return signedIn(page, operator.id)
    }
    /** The cookie that clerk-js writes once it has a token. */
    async function sessionCookie(page: Page) {
      const value = async () => (await page.context().cookies(app.url)).find(({ name }) => name === '__session')?.value
      return `${await until(value, 'there is no __session cookie')}`
    }
    const statusOf = async (id: string) => expectOk(await server.call('GET', `/v1/sessions/${id}`)).status

    test('opening the url of an actor token signs in as its user, with its actor', async () => {
      await using browser = await launchBrowser()
      const token = await server.createActorToken({ actor })
      await open(browser.page, token.url)
      const shown = await signedIn(browser.page, token.user_id)
      assert.deepEqual(shown.actor, actor)
      assert.equal(new URL(browser.page.url()).searchParams.get('__clerk_ticket'), null)

      await browser.page.reload()
      assert.deepEqual(await signedIn(browser.page, token.user_id), shown)
      assert.deepEqual(browser.errors, [])
    })

    test('getToken returns a token with act', async () => {
      await using browser = await launchBrowser()
      const { user_id, session_id } = await actAs(browser)
      const { sub, sid, act, iss, azp } = claimsOf(await clerk(browser.page, 'session.getToken()'))
      assert.deepEqual(
        { sub, sid, act, iss, azp },
        { sub: user_id, sid: session_id, act: actor, iss: serverURL, azp: app.url },
      )
    })

    test('getToken with a template returns a token of that template, with the page’s origin', async () => {
      await using browser = await launchBrowser()
      const name = `template_${kind}`
      expectOk(await server.call('POST', '/v1/jwt_templates', { name, claims: { acting: '{{session.actor.sub}}' } }))
      const { user_id } = await actAs(browser)
      const token = await clerk(browser.page, `session.getToken({ template: '${name}' })`)
      const { sub, acting, azp, sid } = claimsOf(token)
      assert.deepEqual([sub, acting, azp, sid], [user_id, actor.sub, app.url, undefined])
    })

    test('user.getSessions shows the user who acted', async () => {
      await using browser = await launchBrowser()
      const { session_id } = await actAs(browser)
      const shown =
        'user.getSessions().then(all => all.map(each => [each.id, each.actor, each.latestActivity.isMobile]))'
      assert.deepEqual(await clerk(browser.page, shown), [[session_id, actor, false]])
    })

    test('a revoked session is signed out of the page when it requests its next token', async () => {
      await using browser = await launchBrowser()
      const { session_id } = await actAs(browser)
      expectOk(await server.call('POST', `/v1/sessions/${session_id}/revoke`))
      await clerk(browser.page, 'session.getToken({ skipCache: true }).catch(() => null)')
      await signedOut(browser.page)
      await browser.page.reload()
      await signedOut(browser.page)
    })

    test('signOut signs out, in the page and on the server', async () => {
      await using browser = await launchBrowser()
      const { session_id } = await actAs(browser)
      await clerk(browser.page, 'signOut()')
      await signedOut(browser.page)
      await browser.page.goto(app.url)
      await signedOut(browser.page)
      const { status } = expectOk(await server.call('GET', `/v1/sessions/${session_id}`))
      assert.ok(['ended', 'removed'].includes(status), status)
    })

    test('acting while signed in as another user, and back', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      const first = await signInAsOneself(browser)
      assert.equal(first.actor, null)

      const acting = await actAs(browser)
      assert.deepEqual(acting.actor, actor)
      assert.notEqual(acting.session_id, first.session_id)
      await page.reload()
      assert.deepEqual(await signedIn(page, acting.user_id), acting)

      await clerk(page, 'session.remove()')
      await page.goto(app.url)
      assert.deepEqual(await signedIn(page, first.user_id), first)
      assert.equal(claimsOf(await clerk(page, 'session.getToken()')).act, undefined)
    })

    test('touch and end, and the remaining session', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      const first = await signInAsOneself(browser)
      const acting = await actAs(browser)
      await clerk(page, 'session.touch()')
      assert.equal(await statusOf(acting.session_id), 'active')
      await clerk(page, 'session.end()')
      assert.equal(await statusOf(acting.session_id), 'ended')
      assert.equal(await statusOf(first.session_id), 'active')
      await page.goto(app.url)
      assert.deepEqual(await signedIn(page, first.user_id), first)
    })

    test('Clerk’s own impersonation button is shown, and leaves to the page that the app sets', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      const first = await signInAsOneself(browser)
      const acting = await actAs(browser)
      const button = page.locator('.cl-impersonationFab, [class*=impersonationFab]').first()
      await button.waitFor({ state: 'attached' })
      assert.match((await button.innerText()).replace(/\s+/g, ' '), /Signed in as/)
      await button.hover()
      await page.getByText('Sign out', { exact: true }).click()
      await page.waitForURL(`${app.url}/left`)
      assert.deepEqual(await signedIn(page, first.user_id), first)
      assert.equal(await statusOf(acting.session_id), 'removed')
      assert.equal(await statusOf(first.session_id), 'active')
    })

    const once = kind === 'live' || times(0, 1) === 1
    test('clerk-js renews its tokens after their 60 seconds', { skip: !once }, async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      await actAs(browser)
      const expiry = async () => claimsOf(await clerk(page, 'session.getToken()')).exp
      const first = await expiry()
      // The first minute has passed: only clerk-js can have requested the token in the cookie.
      await page.waitForTimeout(63_000)
      const { exp, act } = claimsOf(await sessionCookie(page))
      assert.ok(exp > first, `${exp} is not after ${first}`)
      assert.ok(exp > Date.now() / 1_000)
      assert.deepEqual(act, actor)
    })

    for (const limit of [1_024, 2_434]) {
      test(`P10 the largest actor of ${limit} bytes signs in and fits the cookie`, async () => {
        await using browser = await launchBrowser()
        const { page } = browser
        const room = limit - Buffer.byteLength(JSON.stringify({ sub: 'user_operator', x: '' }))
        const largest = { sub: 'user_operator', x: 'é'.repeat(Math.floor(room / 2)) + 'x'.repeat(room % 2) }
        const shown = await actAs(browser, { actor: largest })
        assert.deepEqual(shown.actor, largest)
        await clerk(page, 'session.getToken()')
        const cookie = await sessionCookie(page)
        assert.deepEqual(claimsOf(cookie).act, largest)
        assert.ok('__session='.length + cookie.length <= 4_096, `${cookie.length}`)
        await page.reload()
        assert.deepEqual(await signedIn(page, shown.user_id), shown)
      })
    }

    test('P10 one byte more is refused when the token is created, with the reason', async () => {
      const user = await server.createUser()
      const room = 2_434 - Buffer.byteLength(JSON.stringify({ sub: 'user_operator', x: '' }))
      const answer = await server.call('POST', '/v1/actor_tokens', {
        user_id: user.id,
        actor: { sub: 'user_operator', x: 'x'.repeat(room + 1) },
      })
      assert.deepEqual([answer.status, answer.codes], [422, ['form_param_value_invalid']])
      assert.match(
        answer.body.errors[0].meta.action,
        /2435 bytes as JSON and at most 2434 are allowed.*must fit into a cookie/,
      )
    })
  })
}
