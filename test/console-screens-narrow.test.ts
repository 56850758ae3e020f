import { after, before, describe, test } from 'node:test'
import { checkState, reportViolations, type State, statesOf } from './console-states.ts'
import { type Browser, launchBrowser } from './support/browser.ts'
import { type ConsoleSite, PEOPLE, seed, startConsoleSite } from './support/console.ts'

describe('the console on a narrow screen, in each state, in light and dark', () => {
  let site: ConsoleSite
  let browser: Browser
  let states: State[]
  before(async () => {
    site = await startConsoleSite()
    states = statesOf(await seed(site))
    browser = await launchBrowser()
    await site.signIn(browser.page)
    await browser.page.setViewportSize({ width: 390, height: 844 })
    await reportViolations(browser)
  })
  after(async () => {
    await browser?.[Symbol.asyncDispose]()
    await site?.[Symbol.asyncDispose]()
  })

  const names = Object.fromEntries(Object.keys(PEOPLE).map(name => [name, name])) as Parameters<typeof statesOf>[0]
  for (const [index, { name }] of statesOf(names).entries())
    test(name, () => checkState(states[index] as State, site, browser))
})
