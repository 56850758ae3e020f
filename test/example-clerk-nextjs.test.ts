import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { launchBrowser } from './support/browser.ts'
import { PlainBrowser } from './support/plain-browser.ts'
import { type App, runNode, startApp } from './support/processes.ts'
import { expectOk, type TestServer } from './support/server.ts'
import { type Site, startSite } from './support/site.ts'

const example = fileURLToPath(new URL('../examples/clerk-nextjs/', import.meta.url))
const next = fileURLToPath(new URL('../node_modules/next/dist/bin/next', import.meta.url))
const read = (file: string) => readFileSync(join(example, file), 'utf8')
const sample = parseEnv(read('.env.example')) as Record<string, string>
const actor = { sub: 'user_operator', name: 'Olivia', nested: { list: [1, 'ü', null] } }

describe('examples/clerk-nextjs', () => {
  it('its README names existing commands and settings', () => {
    const { name, scripts } = JSON.parse(read('package.json'))
    const text = read('README.md')
    const commands = [...text.matchAll(/^npm (?:run )?(\w+) --workspace=(\S+)/gm)]
    assert.deepEqual(
      commands.map(([, script]) => script),
      ['install', 'build', 'start'],
    )
    for (const [, script = '', workspace] of commands) {
      assert.equal(workspace, `examples/${name}`)
      assert.ok(script === 'install' || script in scripts, script)
    }
    for (const [setting] of text.matchAll(/\b(NEXT_PUBLIC_)?CLERK_[A-Z_]+\b/g)) assert.ok(setting in sample, setting)
  })

  // Building takes a minute, and Next.js is installed for the deep run only.
  if (process.env.TEST_DEEP !== undefined) builtAndServed()
})

function builtAndServed() {
  for (const kind of ['test', 'live'] as const) {
    describe(`built and served, with pk_${kind}_`, () => {
      let site: Site<App>
      let server: TestServer
      let app: App

      before(async () => {
        site = await startSite(
          async ({ url, port, serverURL, secretKey, publishableKey }) => {
            const env = Object.fromEntries(
              Object.entries({
                ...sample,
                CLERK_SECRET_KEY: secretKey,
                NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY: publishableKey,
              }).map(([name, value]) => [name, value.replace('http://127.0.0.1:4100', serverURL)]),
            )
            await runNode([next, 'build'], { cwd: example, env })
            return startApp([next, 'start', '--port', `${port}`], { url, cwd: example, env, ready: /Ready in/ })
          },
          { kind, env: { STAGEDOOR_PACKAGES_DIRECTORY: example } },
        )
        ;({ server, app } = site)
      })
      after(() => site?.[Symbol.asyncDispose]())

      /** Returns the text of the page; React writes quotes as entities. */
      const said = (text: string) =>
        JSON.parse((/<pre>(.*?)<\/pre>/s.exec(text)?.[1] ?? 'null').replaceAll('&quot;', '"'))

      it('accepts a session token as bearer, and refuses a request without one', async () => {
        const { session_id, user_id } = await server.signIn({ actor })
        const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
        const headers = { authorization: `Bearer ${jwt}` }
        const me = await fetch(`${app.url}/api/me`, { headers })
        assert.deepEqual([me.status, await me.json()], [200, { userId: user_id, sessionId: session_id, actor }])
        assert.equal((await fetch(`${app.url}/api/me`, { headers, method: 'DELETE' })).status, 403)
        assert.equal((await fetch(`${app.url}/api/me`)).status, 401)
      })

      it('redirects a visitor who is not signed in to its sign-in page, after one handshake', async () => {
        const opened = await new PlainBrowser(kind === 'live' ? { __client_uat: '1700000000' } : {}).open(`${app.url}/`)
        assert.ok(opened.url.startsWith(`${app.url}/sign-in`), opened.url)
        assert.equal(opened.hops.filter(hop => hop.url.includes('/v1/client/handshake?')).length, 1)
      })

      it('in Chromium: leads from the link to the page, and back by handshake when the cookie is gone', async () => {
        await using browser = await launchBrowser()
        const { page } = browser
        const token = await server.createActorToken({ actor })
        await page.goto(token.url)
        await page.getByRole('button', { name: 'Act as' }).click()
        await page.waitForURL(`${app.url}/`)
        const first = JSON.parse(await page.locator('pre').innerText())
        assert.deepEqual({ userId: first.userId, actor: first.actor }, { userId: token.user_id, actor })
        assert.equal(await page.locator('main [role=status]').innerText(), 'Olivia is acting.')
        assert.deepEqual(await page.evaluate(async () => (await fetch('/api/me')).json()), first)

        await page.goto('about:blank')
        await page.context().clearCookies({ name: /^__session|redirect_count$/ })
        const asked: string[] = []
        page.on('request', request => request.isNavigationRequest() && asked.push(new URL(request.url()).pathname))
        const response = await page.goto(`${app.url}/?tab=1`)
        assert.deepEqual(said((await response?.text()) ?? ''), first)
        assert.equal(asked.filter(path => path === '/v1/client/handshake').length, 1)
        assert.equal(page.url(), `${app.url}/?tab=1`)

        expectOk(await server.call('POST', `/v1/sessions/${first.sessionId}/revoke`))
        await page.context().clearCookies({ name: /^__session|redirect_count$/ })
        await page.goto(`${app.url}/`)
        assert.match(page.url(), /\/sign-in/)
        assert.doesNotMatch(app.output(), /infinite redirect|blocked by the test/)
      })
    })
  }
}
