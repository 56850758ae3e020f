/** The middlewares in an app whose pages have Clerk's script, in Chromium: the script writes the cookie. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { authenticate, forbidActing, getAuth } from '@stagedoor/sdk/express'
import express from 'express'
import { clerk, launchBrowser, signedIn, signedOut, type TestApp } from './support/browser.ts'
import type { TestServer } from './support/server.ts'
import { type Site, startClerkSite } from './support/site.ts'

const actor = { sub: 'olivia@support', name: 'Olivia' }

describe('the middlewares behind pages with Clerk’s script', () => {
  let site: Site<TestApp>
  let server: TestServer
  let serverURL: string
  let pages: TestApp

  before(async () => {
    site = await startClerkSite()
    ;({ server, serverURL, app: pages } = site)
  })
  after(() => site?.[Symbol.asyncDispose]())

  /** An API on the same host as the pages, so it gets their cookies. */
  async function backend(authorizedParties: string[]): Promise<TestApp> {
    const app = express()
    app.use(authenticate({ issuer: serverURL, authorizedParties }))
    app.get('/me', (request, response) => response.json(getAuth(request)))
    app.get('/account', forbidActing, (_request, response) => response.json('done'))
    const started = app.listen(0, '127.0.0.1')
    await once(started, 'listening')
    return {
      url: `http://127.0.0.1:${(started.address() as AddressInfo).port}`,
      async [Symbol.asyncDispose]() {
        started.closeAllConnections()
        started.close()
      },
    }
  }

  test('know who is acting by the cookie that the script keeps, as long as the session lasts', async () => {
    await using app = await backend([pages.url])
    await using elsewhere = await backend(['https://other.example.com'])
    await using browser = await launchBrowser()
    const { page } = browser
    const get = async (url: string) => {
      const answer = await page.context().request.get(url)
      return { status: answer.status(), body: await answer.json() }
    }
    assert.equal((await get(`${app.url}/me`)).body.reason, 'not-signed-in')

    const token = await server.createActorToken({ actor })
    await page.goto(token.url)
    await page.getByRole('button', { name: 'Act as' }).click()
    const { session_id } = await signedIn(page, token.user_id)
    await page.waitForFunction("document.cookie.includes('__session=')")

    const { claims, ...auth } = (await get(`${app.url}/me`)).body
    const limits = { access: 'write', scopes: null }
    assert.deepEqual(auth, { userId: token.user_id, sessionId: session_id, actor, isActing: true, ...limits })
    assert.equal(claims.azp, pages.url)
    const refused = await get(`${app.url}/account`)
    assert.deepEqual([refused.status, refused.body.errors[0].code], [403, 'forbidden_while_acting'])
    assert.equal((await get(`${elsewhere.url}/me`)).body.reason, 'token-wrong-party')

    await clerk(page, 'signOut()')
    await signedOut(page)
    assert.equal((await get(`${app.url}/me`)).body.userId, null)
  })
})
