// Imported first: modules loaded after it cannot send requests to other machines.
import '../support/offline.ts'
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { clerk, clerkSetup, createAgentTestingTask, setupClerkTestingToken } from '@clerk/testing/playwright'
import { launchBrowser, publishableKey, signedIn, signedOut, type TestApp } from '../support/browser.ts'
import { expectOk, SECRET_KEY, type TestServer } from '../support/server.ts'
import { type Site, startClerkSite } from '../support/site.ts'

/** Clerk's unmodified helpers for tests in Playwright: what works with Stagedoor, and what does not. */

const actor = { sub: 'user_operator', reason: 'ticket 4711', nested: { a: [1, 'ü'] } }

describe('@clerk/testing', () => {
  let site: Site<TestApp>
  let server: TestServer
  let app: TestApp
  let serverURL: string

  before(async () => {
    site = await startClerkSite()
    ;({ server, app, serverURL } = site)
    Object.assign(process.env, {
      CLERK_API_URL: serverURL,
      CLERK_SECRET_KEY: SECRET_KEY,
      CLERK_PUBLISHABLE_KEY: publishableKey(serverURL, 'test'),
      CLERK_TELEMETRY_DISABLED: '1',
      CLERK_TESTING_TOKEN: 'none',
    })
  })
  after(() => site?.[Symbol.asyncDispose]())

  it('clerkSetup works with any CLERK_TESTING_TOKEN; without it, it requests one, and the server has none', async () => {
    await clerkSetup({ dotenv: false })
    assert.equal(process.env.CLERK_FAPI, new URL(serverURL).host)
    delete process.env.CLERK_TESTING_TOKEN
    await assert.rejects(clerkSetup({ dotenv: false }), { status: 404 })
    process.env.CLERK_TESTING_TOKEN = 'none'
  })

  it('clerk.signIn with the ticket of an actor token makes the page act; clerk.signOut ends it', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await clerkSetup({ dotenv: false })
    // The types of playwright and of playwright-core are equal, but two separate declarations.
    const given = { page: page as never }
    await setupClerkTestingToken(given)
    await page.goto(app.url)
    await clerk.loaded(given)
    const { token, user_id } = await server.createActorToken({ actor })
    await clerk.signIn({ ...given, signInParams: { strategy: 'ticket', ticket: token } })
    const shown = await signedIn(page, user_id)
    assert.deepEqual(shown.actor, actor)
    await clerk.signOut(given)
    await signedOut(page)
    assert.notEqual(expectOk(await server.call('GET', `/v1/sessions/${shown.session_id}`)).status, 'active')
    assert.deepEqual(browser.errors, [])
  })

  it('a used ticket signs no user in', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const { ticket } = await server.signIn({ actor })
    const given = { page: page as never }
    await page.goto(app.url)
    const again = clerk.signIn({ ...given, signInParams: { strategy: 'ticket', ticket } })
    await assert.rejects(again, /Failed to sign in: .*already/i)
    await signedOut(page)
  })

  it('the parameter that it adds to https addresses is ignored', async () => {
    const { status } = await server.call('GET', '/v1/client?__clerk_testing_token=none')
    assert.equal(status, 200)
  })

  it('clerk.signIn with an e-mail address calls Clerk itself, even if CLERK_API_URL is set', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await page.goto(app.url)
    const told: string[] = []
    const { error } = console
    console.error = (line: string) => told.push(line)
    const signIn = clerk.signIn({ page: page as never, emailAddress: 'ada@example.com' })
    await assert.rejects(signIn, /Failed to sign in with email/).finally(() => {
      console.error = error
    })
    assert.deepEqual(
      told,
      ['users', 'users/count'].map(path => `blocked by the test: https://api.clerk.com/v1/${path}`),
    )
  })

  it('agent tasks are not supported', async () => {
    const task = { onBehalfOf: { identifier: 'ada' }, permissions: '*', agentName: 'a', taskDescription: 'b' } as const
    await assert.rejects(
      createAgentTestingTask({ ...task, redirectUrl: app.url }),
      /Failed to create agent task: Not Found/,
    )
  })
})
