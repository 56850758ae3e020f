import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createVerifier, followRevocations, remoteJwks } from '../packages/sdk/src/verify.ts'
import { type Browser, launchBrowser } from './support/browser.ts'
import { type ConsoleSite, startConsoleSite } from './support/console.ts'
import { goal, times } from './support/deep.ts'
import { expectOk, SECRET_KEY } from './support/server.ts'
import { promised, until } from './support/time.ts'

/** How long it takes, as a person and an app see it. */

/** Sessions that are shown at the same time. */
const AT_ONCE = 20

describe('how fast the console is', () => {
  let site: ConsoleSite
  let browser: Browser
  before(async () => {
    site = await startConsoleSite()
    browser = await launchBrowser()
    await site.signIn(browser.page)
  })
  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await site?.[Symbol.asyncDispose]()
  })

  test('from the click on End session to the first refusal at a follower: p99 below a second', async t => {
    const { server } = site
    const { page } = browser
    const revocations = followRevocations({ serverURL: server.url, secretKey: SECRET_KEY, whenLost: 'refuse' })
    await using _closing = { [Symbol.asyncDispose]: async () => revocations.close() }
    await revocations.current()
    const verify = createVerifier({ issuer: server.url, jwks: remoteJwks(server.url), revocations })
    const { id: user_id } = await server.createUser({ first_name: 'Carl' })
    const took: number[] = []
    const shown: string[] = []
    const count = times(AT_ONCE, 200)
    await page.goto(`${site.url}/live`)
    while (took.length < count) {
      const sessions = []
      for (let n = 0; n < Math.min(AT_ONCE, count - took.length); n++) {
        const name = `Actor number ${took.length + n}end`
        const { session_id } = await server.signIn({ user_id, actor: { sub: `actor-${took.length + n}`, name } })
        const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`, {}))
        sessions.push({ name, jwt })
      }
      for (const { name, jwt } of sessions) {
        await verify(jwt)
        const row = page.getByRole('row', { name: new RegExp(name) })
        await row.getByRole('button', { name: 'End session' }).click()
        const button = page.locator('.popover').getByRole('button', { name: 'End session' })
        await button.waitFor()
        const start = performance.now()
        const clicked = button.click()
        while (
          await verify(jwt).then(
            () => true,
            error => assert.equal(error.reason, 'session-revoked'),
          )
        )
          await sleep(1)
        took.push(performance.now() - start)
        await clicked
        const text = row.getByText(/^Ended \d\.\d s after the click, sent to 1 follower$/)
        await text.waitFor()
        shown.push(await text.innerText())
      }
    }
    const sorted = took.toSorted((a, b) => a - b)
    const at = (share: number) => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0)
    t.diagnostic(
      `${count} times: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms; the page: ${shown.at(-1)}`,
    )
    goal('C-end-p99-ms', at(0.99), '< 1,000', at(0.99) < 1_000)
    assert.ok(at(0.99) < promised(1_000), `p99 ${at(0.99)} ms`)
  })

  test('can be used within a second, as the browser measures it', async t => {
    const { page } = browser
    // The time at which the list, or what is instead of it, is in the page.
    await page.addInitScript(`new MutationObserver((_changes, observer) => {
      if (!/acting sessions? now|No acting sessions now/.test(document.querySelector('main')?.textContent ?? '')) return
      observer.disconnect()
      requestAnimationFrame(() => performance.mark('usable'))
    }).observe(document, { childList: true, subtree: true, characterData: true })`)
    const measure = async () => {
      await page.goto('about:blank')
      await page.goto(`${site.url}/live`)
      await until(() => page.evaluate(`performance.getEntriesByName('usable').length > 0`), 'no list')
      return JSON.parse(
        `${await page.evaluate(`JSON.stringify({
          usable: performance.getEntriesByName('usable')[0].startTime,
          paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
          loaded: performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd,
        })`)}`,
      ) as Record<'usable' | 'paint' | 'loaded', number>
    }
    const runs: Record<'usable' | 'paint' | 'loaded', number>[] = []
    for (let n = 0; n < times(3, 20); n++) runs.push(await measure())
    const median = (of: 'usable' | 'paint' | 'loaded') =>
      Math.round(runs.map(run => run[of]).sort((a, b) => a - b)[Math.floor(runs.length / 2)] ?? 0)
    t.diagnostic(
      `median: first paint ${median('paint')} ms, scripts ${median('loaded')} ms, list ${median('usable')} ms`,
    )
    goal('C-interactive-ms', median('usable'), '<= 1,000', median('usable') <= 1_000)
    assert.ok(median('usable') <= promised(1_000), `${median('usable')} ms`)
  })
})
