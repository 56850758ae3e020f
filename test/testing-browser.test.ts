import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { signInAs, startStagedoor } from '@stagedoor/sdk/testing'
import { settingsOf } from './clerk-express.ts'
import { launchBrowser } from './support/browser.ts'
import { freePort } from './support/ports.ts'
import { startApp } from './support/processes.ts'

const example = fileURLToPath(new URL('../examples/clerk-express/', import.meta.url))

/** As in an app's end-to-end tests: the real server in process, the app unchanged, one line to sign in. */
for (const acceptPage of ['confirm', 'redirect']) {
  test(`signInAs signs a browser in to an app with Clerk’s components, accept page: ${acceptPage}`, async () => {
    const appPort = await freePort()
    const url = `http://127.0.0.1:${appPort}`
    await using server = await startStagedoor({
      env: { STAGEDOOR_SIGN_IN_URL: `${url}/sign-in`, STAGEDOOR_ACCEPT_PAGE: acceptPage },
    })
    const { stagedoor } = server
    const sample = parseEnv(readFileSync(join(example, '.env.example'), 'utf8')) as Record<string, string>
    const settings = settingsOf(sample, { ...server, serverURL: server.url, port: appPort })
    await using _ = await startApp([join(example, 'app.js')], { url, env: settings, ready: /^http:/m })
    const user = await stagedoor.users.create({ firstName: 'Carl', lastName: 'Customer' })
    for (const actor of [{ sub: 'olivia', name: 'Olivia' }, undefined]) {
      await using browser = await launchBrowser()
      const { sessionId } = await signInAs(browser.page, { stagedoor, userId: user.id, actor })
      const session = await stagedoor.sessions.get(sessionId)
      assert.deepEqual([session.userId, session.status, session.actor], [user.id, 'active', actor ?? null])
      await browser.page.waitForURL(`${url}/`)
    }
  })
}

test('signInAs reports the browser’s address if the ticket is not redeemed', async () => {
  const app = createServer((_, response) => response.end('Sign in'))
  await new Promise<void>(resolve => app.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(app.address() as AddressInfo).port}`
  try {
    await using server = await startStagedoor({ env: { STAGEDOOR_SIGN_IN_URL: `${url}/sign-in` } })
    const user = await server.stagedoor.users.create()
    await using browser = await launchBrowser()
    const options = { stagedoor: server.stagedoor, userId: user.id, actor: { sub: 'olivia' }, timeoutMs: 500 }
    await assert.rejects(signInAs(browser.page, options), (error: Error) => {
      assert.match(error.message, /not redeemed within 500 ms.*STAGEDOOR_SIGN_IN_URL/)
      assert.ok(error.message.includes(`at ${url}/sign-in.`), error.message)
      return true
    })
  } finally {
    app.closeAllConnections()
    app.close()
  }
})
