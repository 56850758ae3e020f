/** Every screen of the console in every state, and what a test looks at in each. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { type Browser, launchBrowser } from './support/browser.ts'
import { type ConsoleSite, PEOPLE, type Person, seed, startConsoleSite } from './support/console.ts'
import { deep } from './support/deep.ts'
import { patience } from './support/time.ts'

interface State {
  name: string
  path: string
  /** Shown when the state is there. */
  text: string | RegExp
  /** Prepares what the server answers. */
  before?(page: Page, site: ConsoleSite): Promise<unknown>
  /** What a person does then. */
  act?(page: Page): Promise<unknown>
}

const API = '**/console/api/v1/**'
const ME = '**/console/api/me'

const errorBody = (code: string, long_message: string, meta: object = {}) => ({
  errors: [{ code, message: long_message, long_message, meta }],
})

/** Every request to the API fails as on a server that is overloaded. */
const overloaded = (page: Page) => page.route(API, route => route.fulfill({ status: 503, json: {} }))

/** Every list is empty. */
const empty = (page: Page) =>
  page.route(API, route => {
    const { pathname } = new URL(route.request().url())
    if (/(users|acting|sessions|actor_tokens|audit_events|versions|secret_keys|operators)$/.test(pathname))
      return route.fulfill({ json: { data: [], total_count: 0 } })
    return route.fallback()
  })

/** No request to the API is answered. */
const silent = (page: Page) => page.route(API, () => {})

interface Me {
  role: string
  personal_data?: string
  operations: string[]
}

const changeMe = (change: (me: Me) => Me) => async (page: Page, site: ConsoleSite) => {
  const json = change((await site.me()) as Me)
  await page.route(ME, route => route.fulfill({ json }))
}

/** The operator has a role that may do nothing but these operations. */
const only = (role: string, operations: string[]) => changeMe(me => ({ ...me, role, operations }))

/** The server masks personal data for the operator. */
const masked = changeMe(me => ({ ...me, role: 'viewer', personal_data: 'masked' }))

/** The operator may do one operation more. */
const also = (operation: string) => changeMe(me => ({ ...me, operations: [...me.operations, operation] }))

const signedOut = (meta: object) => (page: Page) =>
  page.route(ME, route => route.fulfill({ status: 401, json: errorBody('operator_session_invalid', 'Sign in.', meta) }))

const offline = (page: Page) => page.route('**/console/api/**', route => route.abort())

const stepUp = (page: Page) =>
  page.route('**/revoke', route =>
    route.fulfill({ status: 403, json: errorBody('step_up_required', 'Sign in again.') }),
  )

const press = (name: string | RegExp) => (page: Page) => page.getByRole('button', { name }).first().click()

const WITH_IDP = { sign_in: 'provider', idp_host: 'accounts.example.com' }

/** Returns the states, for users with these ids. */
function statesOf(ids: Record<Person, string>): State[] {
  return [
    ...liveStates(),
    ...actStates(ids),
    ...peopleStates(ids),
    ...auditStates(),
    ...policyStates(ids),
    ...settingsStates(),
    ...outsideStates(),
  ]
}

function liveStates(): State[] {
  return [
    { name: 'live', path: '/live', text: '3 acting sessions now' },
    {
      name: 'live, grouped',
      path: '/live',
      text: '3 acting sessions',
      act: page => page.getByLabel('Group by actor').check(),
    },
    { name: 'live, a row', path: '/live', text: '3 acting', act: page => page.locator('.row-open').first().click() },
    { name: 'live, end', path: '/live', text: '3 acting', act: press('End session') },
    { name: 'live, end all', path: '/live', text: '3 acting', act: press('End all…') },
    { name: 'live, the menu', path: '/live', text: '3 acting', act: press(/: menu$/) },
    { name: 'live, keys', path: '/live', text: '3 acting', act: page => page.keyboard.press('?') },
    {
      name: 'live, sign in again',
      path: '/live',
      text: '3 acting',
      before: stepUp,
      async act(page) {
        await press('End session')(page)
        await page.locator('.popover').getByRole('button', { name: 'End session' }).click()
        await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
      },
    },
    {
      name: 'search',
      path: '/live',
      text: '3 acting',
      async act(page) {
        await page.keyboard.press('/')
        await page.keyboard.type('carl')
        await page.getByRole('option').first().waitFor()
      },
    },
    { name: 'live, empty', path: '/live', text: 'Nobody is acting as a user.', before: empty },
    { name: 'live, loading', path: '/live', text: '', before: silent },
    { name: 'live, error', path: '/live', text: 'The acting sessions could not be read.', before: overloaded },
    { name: 'live, viewer', path: '/live', text: '3 acting', before: only('viewer', ['ListActing']) },
  ]
}

function actStates(ids: Record<Person, string>): State[] {
  return [
    { name: 'act', path: '/act', text: 'What will happen' },
    { name: 'act, allowed', path: `/act?user=${ids.carl}`, text: 'Allowed' },
    { name: 'act, refused', path: `/act?user=${ids.root}`, text: 'Refused' },
    {
      name: 'act, scopes',
      path: `/act?user=${ids.carl}`,
      text: 'Allowed',
      act: page => page.locator('.segment', { hasText: 'Scopes' }).click(),
    },
    {
      name: 'act, no user matches',
      path: '/act',
      text: 'What will happen',
      async act(page) {
        await page.getByPlaceholder('Name, e-mail or ID').fill('no such name')
        await page.getByText('No user matches').waitFor()
      },
    },
    {
      name: 'act, error',
      path: `/act?user=${ids.carl}`,
      text: 'The policy did not answer',
      before: page => page.route('**/explain', route => route.fulfill({ status: 503, json: {} })),
    },
    { name: 'act, forbidden', path: '/act', text: 'This needs the role Support.', before: only('viewer', []) },
  ]
}

function peopleStates(ids: Record<Person, string>): State[] {
  return [
    { name: 'users', path: '/users', text: 'carl@customer.example' },
    { name: 'users, none matches', path: '/users?state=banned&query=zzzz', text: 'No user matches.' },
    { name: 'users, empty', path: '/users', text: 'There are no users yet.', before: empty },
    { name: 'users, error', path: '/users', text: 'The users could not be read.', before: overloaded },
    { name: 'users, forbidden', path: '/users', text: 'This needs the role', before: only('viewer', []) },
    { name: 'user', path: `/users/${ids.carl}`, text: 'Olivia Park' },
    { name: 'user, ban', path: `/users/${ids.carl}`, text: 'Olivia Park', act: press('Ban') },
    { name: 'user, own sessions', path: `/users/${ids.carl}?tab=own`, text: 'no session of their own' },
    { name: 'user, metadata', path: `/users/${ids.root}?tab=metadata`, text: 'Private', act: press('Show') },
    { name: 'user, masked', path: `/users/${ids.root}?tab=metadata`, text: 'Private', before: masked },
    {
      name: 'user, shown on request',
      path: `/users/${ids.root}?tab=metadata`,
      text: 'Private',
      before: masked,
      async act(page) {
        await press(/^Show the personal data/)(page)
        await page.getByText('The audit log records that you asked.').first().waitFor()
      },
    },
    { name: 'user, gone', path: '/users/user_0000', text: 'does not know this user' },
  ]
}

function auditStates(): State[] {
  return [
    { name: 'audit', path: '/audit', text: 'may not act as' },
    {
      name: 'audit, a row',
      path: '/audit',
      text: 'may not act as',
      act: page => page.locator('.row-open').nth(1).click(),
    },
    {
      name: 'audit, a masked row',
      path: '/audit',
      text: 'may not act as',
      before: masked,
      async act(page) {
        await page.locator('.row-open').nth(1).click()
        await page.getByText('Personal data is masked.').waitFor()
      },
    },
    { name: 'audit, filter', path: '/audit?outcome=refused', text: 'may not act as', act: press('Filter') },
    { name: 'audit, nothing matches', path: '/audit?action=user.delete', text: 'No event matches.' },
    { name: 'audit, error', path: '/audit', text: 'The audit log could not be read.', before: overloaded },
    { name: 'audit, forbidden', path: '/audit', text: 'This needs the role', before: only('viewer', []) },
  ]
}

function policyStates(ids: Record<Person, string>): State[] {
  const write = async (page: Page, text: string) => {
    await page.getByRole('textbox', { name: 'The rules, in Cedar' }).fill(text)
  }
  return [
    { name: 'policy', path: '/policy', text: 'no problems' },
    {
      name: 'policy, errors',
      path: '/policy',
      text: 'no problems',
      async act(page) {
        await write(page, '@id("a")\npermit (principal;')
        await page
          .getByText(/^Line 2/)
          .first()
          .waitFor()
      },
    },
    {
      name: 'policy, save',
      path: '/policy',
      text: 'no problems',
      async act(page) {
        await press('Support only looks')(page)
        await page.getByRole('button', { name: 'Save policy' }).click()
        await page.getByText('This ends 3 acting sessions at once.').waitFor()
      },
    },
    {
      name: 'policy, explain',
      path: '/policy?tab=explain',
      text: 'The decision appears here',
      async act(page) {
        await page.getByLabel('User', { exact: true }).fill(ids.root)
        await page.getByRole('button', { name: 'Explain' }).click()
        await page.getByText('base.protected').first().waitFor()
      },
    },
    { name: 'policy, what if', path: '/policy?tab=what-if', text: 'There is no draft.' },
    { name: 'policy, versions', path: '/policy?tab=versions', text: 'Nobody has changed the policy yet.' },
    { name: 'policy, error', path: '/policy', text: 'The policy could not be read.', before: overloaded },
    { name: 'policy, reader', path: '/policy', text: 'Only admins', before: only('viewer', ['GetPolicy']) },
  ]
}

function settingsStates(): State[] {
  return [
    { name: 'settings', path: '/settings', text: 'STAGEDOOR_SECRET_KEY' },
    {
      name: 'settings, create a key',
      path: '/settings',
      text: 'Secret keys',
      before: also('CreateSecretKey'),
      act: press('Create key'),
    },
    { name: 'settings, empty', path: '/settings', text: 'There are no secret keys yet.', before: empty },
    { name: 'settings, operators', path: '/settings?tab=operators', text: 'From the identity provider' },
    { name: 'settings, instance', path: '/settings?tab=instance', text: 'STAGEDOOR_PUBLIC_URL' },
    { name: 'settings, forbidden', path: '/settings', text: 'This needs the role Admin.', before: only('support', []) },
    { name: 'my sessions', path: '/sessions', text: 'This one' },
  ]
}

function outsideStates(): State[] {
  return [
    { name: 'sign in', path: '/sign-in', text: 'Continue with accounts.example.com', before: signedOut(WITH_IDP) },
    {
      name: 'sign in, no operators',
      path: '/live',
      text: 'Ask the person who runs this server for access',
      before: signedOut({ sign_in: 'none', idp_host: null }),
    },
    { name: 'join', path: '/join#token', text: 'This link works once' },
    { name: 'nowhere', path: '/nowhere', text: 'This page does not exist' },
    { name: 'offline', path: '/live', text: 'The server does not answer', before: offline },
  ]
}

/** Reports violations of the page’s policy as errors. Call it before the first page. */
export async function reportViolations({ page }: Browser): Promise<void> {
  await page.addInitScript(`document.addEventListener('securitypolicyviolation', event =>
    console.error('CSP: ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sourceFile))`)
}

/** Returns the errors of a page without those of requests, which these states fail on purpose. */
export const errorsOf = ({ errors }: Browser) => errors.filter(text => !text.startsWith('Failed to load resource'))

/** Its own minified form takes half as long to load. */
const AXE = readFileSync(new URL('axe.min.js', import.meta.resolve('axe-core')), 'utf8')

type Size = 'wide' | 'narrow'

/** Every rule, with the one that is off by default. */
const ALL = { rules: { 'target-size': { enabled: true } } }
/** Rules whose answer depends on the size of the screen. The structure of a page is the same on each. */
const OF_SIZE = { runOnly: ['color-contrast', 'target-size'] }
const OF_COLOURS = { runOnly: ['color-contrast'] }
/** The width in CSS pixels of a window of 1,280 pixels at 200 % zoom. */
const ZOOMED = 640

/** Checks every state on a screen of this size. There is one file for each size, so that they run at the same time. */
export function checkScreens(size: Size, viewport: { width: number; height: number }): void {
  describe(`the console on a ${size} screen, in each state, in light and dark`, () => {
    let site: ConsoleSite
    let browser: Browser
    let states: State[]
    before(async () => {
      site = await startConsoleSite()
      states = statesOf(await seed(site))
      browser = await launchBrowser()
      await site.signIn(browser.page)
      await browser.page.setViewportSize(viewport)
      await reportViolations(browser)
      // Once for all pages: the browser then keeps it compiled.
      await browser.page.addInitScript(AXE)
    })
    after(async () => {
      await browser?.[Symbol.asyncDispose]()
      await site?.[Symbol.asyncDispose]()
    })

    const names = Object.fromEntries(Object.keys(PEOPLE).map(name => [name, name])) as Record<Person, string>
    for (const [index, { name }] of statesOf(names).entries())
      test(name, () => checkState(states[index] as State, { site, browser, size, viewport }))
  })
}

interface Look {
  site: ConsoleSite
  browser: Browser
  size: Size
  viewport: { width: number; height: number }
}

/**
 * Opens a state, and checks it in light and dark: axe, errors, violations of the policy, and whether it fits. The rules
 * about the structure are checked on a wide screen; in the deep run on both sizes and in both colours.
 */
async function checkState(state: State, { site, browser, size, viewport }: Look): Promise<void> {
  const { page } = browser
  page.setDefaultTimeout(patience(4_000))
  browser.errors.length = 0
  try {
    await page.emulateMedia({ colorScheme: 'light' })
    await state.before?.(page, site)
    await page.goto(site.url + state.path)
    await page.locator('h1, .skeleton').first().waitFor()
    if (state.text !== '') await page.getByText(state.text).first().waitFor()
    await state.act?.(page)
    assert.equal(await excess(page), 0, 'px too wide')
    assert.deepEqual(errorsOf(browser), [])
    assert.deepEqual(await violations(page, size === 'wide' || deep ? ALL : OF_SIZE), [])
    await page.emulateMedia({ colorScheme: 'dark' })
    assert.deepEqual(await violations(page, deep ? ALL : OF_COLOURS), [], 'dark')
    if (size === 'wide') {
      await page.setViewportSize({ width: ZOOMED, height: viewport.height / 2 })
      assert.equal(await excess(page), 0, 'px too wide at 200 % zoom')
    }
  } finally {
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await page.setViewportSize(viewport)
  }
}

/** Returns by how many pixels the page is wider than the window. */
const excess = async (page: Page) =>
  Math.max(0, Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth')))

interface Violation {
  id: string
  nodes: { html: string; failureSummary: string }[]
}

async function violations(page: Page, options: object): Promise<string[]> {
  const only = JSON.stringify({ ...options, resultTypes: ['violations'] })
  const found = (await page.evaluate(`axe.run(${only}).then(({ violations }) => violations)`)) as Violation[]
  return found.flatMap(({ id, nodes }) => nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`))
}
