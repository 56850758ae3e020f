import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { claimsOf, expectOk, type TestServer, testServer } from '../packages/server/test/support.ts'
import { type Browser, clerk, freePort, launchBrowser, signedIn, signedOut, type TestApp, testApp } from './browser.ts'

const actor = { sub: 'user_operator', iss: 'https://admin.example.com', reason: 'ticket 4711', nested: { a: [1, 'ü'] } }

for (const kind of ['test', 'live'] as const) {
  describe(`clerk-js and <SignIn/> with pk_${kind}_`, () => {
    let server: TestServer
    let app: TestApp
    let serverURL: string

    before(async () => {
      const [port, appPort] = [await freePort(), await freePort()]
      serverURL = `http://127.0.0.1:${port}`
      server = await testServer({
        realTime: true,
        env: {
          STAGEDOOR_PORT: `${port}`,
          STAGEDOOR_PUBLIC_URL: serverURL,
          STAGEDOOR_SIGN_IN_URL: `http://127.0.0.1:${appPort}/sign-in`,
          STAGEDOOR_PACKAGES_DIRECTORY: fileURLToPath(new URL('.', import.meta.url)),
        },
      })
      await server.listen()
      app = await testApp({ serverURL, kind, port: appPort })
    })
    after(async () => {
      await app?.[Symbol.asyncDispose]()
      await server?.[Symbol.asyncDispose]()
    })

    async function actAs({ page }: Browser, fields: object = {}) {
      const token = await server.createActorToken({ actor, ...fields })
      await page.goto(token.url)
      return signedIn(page, token.user_id)
    }

    test('opening the url of an actor token signs in as its user, with its actor', async () => {
      await using browser = await launchBrowser()
      const token = await server.createActorToken({ actor })
      await browser.page.goto(token.url)
      const shown = await signedIn(browser.page, token.user_id)
      assert.deepEqual(shown.actor, actor)
      assert.equal(new URL(browser.page.url()).searchParams.get('__clerk_ticket'), null)

      await browser.page.reload()
      assert.deepEqual(await signedIn(browser.page, token.user_id), shown)
      assert.deepEqual(browser.errors, [])
    })

    test('getToken gives a token with act', async () => {
      await using browser = await launchBrowser()
      const { user_id, session_id } = await actAs(browser)
      const { sub, sid, act, iss, azp } = claimsOf(await clerk(browser.page, 'session.getToken()'))
      assert.deepEqual(
        { sub, sid, act, iss, azp },
        { sub: user_id, sid: session_id, act: actor, iss: serverURL, azp: app.url },
      )
    })

    test('getToken with a template gives a token of that template, from its page', async () => {
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

    test('a revoked session is signed out of the page at its next token', async () => {
      await using browser = await launchBrowser()
      const { session_id } = await actAs(browser)
      expectOk(await server.call('POST', `/v1/sessions/${session_id}/revoke`))
      await clerk(browser.page, 'session.getToken({ skipCache: true }).catch(() => null)')
      await signedOut(browser.page)
      await browser.page.reload()
      await signedOut(browser.page)
    })

    test('signOut signs out, here and on the server', async () => {
      await using browser = await launchBrowser()
      const { session_id } = await actAs(browser)
      await clerk(browser.page, 'signOut()')
      await signedOut(browser.page)
      await browser.page.goto(app.url)
      await signedOut(browser.page)
      const { status } = expectOk(await server.call('GET', `/v1/sessions/${session_id}`))
      assert.ok(['ended', 'removed'].includes(status), status)
    })

    test('acting while signed in as oneself, and back', async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      const operator = await server.createUser()
      const own = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: operator.id }))
      await page.goto(`${app.url}/sign-in?__clerk_ticket=${own.token}&__clerk_status=sign_in`)
      const first = await signedIn(page, operator.id)
      assert.equal(first.actor, null)

      const acting = await actAs(browser)
      assert.deepEqual(acting.actor, actor)
      assert.notEqual(acting.session_id, first.session_id)
      await page.reload()
      assert.deepEqual(await signedIn(page, acting.user_id), acting)

      await clerk(page, 'session.remove()')
      await page.goto(app.url)
      assert.deepEqual(await signedIn(page, operator.id), first)
      assert.equal(claimsOf(await clerk(page, 'session.getToken()')).act, undefined)
    })
  })
}
