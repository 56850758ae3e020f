import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { settingsOf } from './clerk-express.ts'
import { type Browser, launchBrowser } from './support/browser.ts'
import { type App, runNode, startApp } from './support/processes.ts'
import { expectOk, type TestServer } from './support/server.ts'
import { type Site, startSite } from './support/site.ts'

const example = fileURLToPath(new URL('../examples/clerk-express/', import.meta.url))
const read = (file: string) => readFileSync(join(example, file), 'utf8')
const sample = parseEnv(read('.env.example')) as Record<string, string>

describe('examples/clerk-express', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stagedoor-example-'))
  let site: Site<App>
  let server: TestServer
  let app: App

  before(async () => {
    site = await startSite(({ url, ...place }) => {
      // As in the README: .env.example with the two keys filled in; only the ports differ.
      const lines = Object.entries(settingsOf(sample, place)).map(([name, value]) => `${name}=${value}`)
      writeFileSync(join(folder, '.env'), lines.join('\n'))
      return startApp([join(example, 'app.js')], { url, cwd: folder, ready: /^http:/m })
    })
    ;({ server, app } = site)
  })
  after(async () => {
    await site?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Returns the link that `app.js --seed` prints. */
  async function seed(): Promise<string> {
    const printed = await runNode([join(example, 'app.js'), '--seed'], { cwd: folder })
    return /^http:.*$/m.exec(printed)?.[0] ?? ''
  }

  async function userOf(externalId: string) {
    const [user] = expectOk(await server.call('GET', `/v1/users?external_id=${externalId}`))
    return user as { id: string } | undefined
  }

  async function signIn({ page }: Browser, link: string) {
    await page.goto(link)
    await page.getByRole('button', { name: 'Sign in as' }).click()
    await page.waitForURL(`${app.url}/`)
  }

  it('support signs in, acts as a customer, cannot delete the account, leaves, and is back', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await signIn(browser, await seed())
    const [olivia, carl] = [await userOf('olivia'), await userOf('carl')]
    assert.equal(await page.locator('#user-id').innerText(), olivia?.id)
    await page.getByRole('button', { name: 'Open user menu' }).waitFor()

    await page.getByRole('link', { name: 'Support' }).click()
    await page.getByRole('button', { name: 'Act as Carl' }).click()
    assert.match(await page.locator('dl').innerText(), /Olivia/)
    await page.getByRole('button', { name: 'Act as Carl' }).click()
    await page.waitForURL(`${app.url}/`)
    assert.equal(await page.locator('#user-id').innerText(), carl?.id)
    const banner = page.getByRole('region', { name: /acting/i })
    await banner.waitFor()
    assert.match((await banner.innerText()).replace(/\s+/g, ' '), /Olivia is acting as carl@example.com.*(29|30):\d\d/)

    await page.getByRole('button', { name: 'Delete my account' }).click()
    await page.getByText('Not while acting as another user.').waitFor()
    assert.equal((await userOf('carl'))?.id, carl?.id)
    const refused = await page.goto(`${app.url}/support`)
    assert.equal(refused?.status(), 403)

    await page.getByRole('button', { name: 'Leave' }).click()
    await page.waitForURL(`${app.url}/support`)
    await page.getByRole('button', { name: 'Act as Carl' }).waitFor()
    await page.goto(app.url)
    assert.equal(await page.locator('#user-id').innerText(), olivia?.id)
    assert.equal(await banner.isVisible(), false)

    const [session] = expectOk(await server.call('GET', `/v1/sessions?user_id=${carl?.id}`))
    assert.deepEqual(session.actor, { sub: olivia?.id, name: 'Olivia' })
    assert.equal(session.status, 'removed')
    assert.doesNotMatch(app.output(), /loop|blocked by the test|Error/)
  })

  it('Clerk’s own button for leaving returns to the operator too', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    await signIn(browser, await seed())
    await page.goto(`${app.url}/support`)
    await page.getByRole('button', { name: 'Act as Carl' }).click()
    await page.getByRole('button', { name: 'Act as Carl' }).click()
    await page.waitForURL(`${app.url}/`)
    await page.locator('[class*=impersonationFab]').first().hover()
    await page.getByText('Signed in as Carl').waitFor()
    await page.getByText('Sign out', { exact: true }).click()
    await page.waitForURL(`${app.url}/support`)
    await page.getByRole('button', { name: 'Act as Carl' }).waitFor()
  })

  it('a customer cannot see the support page, and can delete their own account', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const customer = await server.createUser({ external_id: 'dora', first_name: 'Dora' })
    const { url } = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: customer.id }))
    await signIn(browser, url)
    assert.equal((await page.goto(`${app.url}/support`))?.status(), 403)
    await page.goto(app.url)
    await page.getByRole('button', { name: 'Delete my account' }).click()
    await page.waitForURL(`${app.url}/`)
    assert.equal(await userOf('dora'), undefined)
  })

  it('only support can act', async () => {
    const carl = await userOf('carl')
    const answer = await fetch(`${app.url}/support/act-as/${carl?.id}`, { method: 'POST', redirect: 'manual' })
    assert.deepEqual([answer.status, answer.headers.get('location')], [302, '/sign-in'])
  })

  it('its README names existing commands and settings', () => {
    const { name, scripts } = JSON.parse(read('package.json'))
    const text = read('README.md')
    const commands = [...text.matchAll(/^npm \S+ --workspace=(\S+)/gm)]
    assert.equal(commands.length, 3)
    for (const [, workspace] of commands) assert.equal(workspace, `examples/${name}`)
    assert.equal(scripts.start, 'node app.js')
    for (const [setting] of text.matchAll(/\bCLERK_[A-Z_]+\b/g)) assert.ok(setting in sample, setting)
    const sdk = fileURLToPath(new URL('.', import.meta.resolve('@clerk/express')))
    const builds = readdirSync(sdk).filter(file => file.endsWith('.mjs'))
    const known = [read('app.js'), ...builds.map(file => readFileSync(join(sdk, file), 'utf8'))].join()
    for (const setting of Object.keys(sample)) assert.ok(known.includes(setting), setting)
  })
})
