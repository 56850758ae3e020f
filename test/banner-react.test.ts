import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ActingBanner, type ActingBannerProps } from '@stagedoor/sdk/react'
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { type BannerApp, bannerApp, OLIVIA, shown } from './banner-app.ts'
import { type Browser, launchBrowser } from './support/browser.ts'

const PROPS: ActingBannerProps = { session: 'sess_1', actor: OLIVIA, user: 'carl@example.com', reason: 'Ticket 1234' }

/** An ordinary app whose props the test can change from outside. */
const APP = `
  import { createElement as h, StrictMode, useState } from 'react'
  import { createRoot, hydrateRoot } from 'react-dom/client'
  import { ActingBanner } from '@stagedoor/sdk/react'

  function App({ first }) {
    const [props, setProps] = useState(first)
    window.show = setProps
    return h(StrictMode, null, h('main', null, h('dialog', null, 'Dialog'), props && h(ActingBanner, props), h('h1', null, 'Orders')))
  }
  const root = document.getElementById('root')
  const first = JSON.parse(root.dataset.props)
  if (root.firstChild) hydrateRoot(root, h(App, { first }))
  else createRoot(root).render(h(App, { first }))
`

describe('<ActingBanner/> on a server', () => {
  const render = (props: ActingBannerProps) => renderToString(createElement(ActingBanner, props))

  test('renders the element with its attributes, and a plain sentence until the script runs', () => {
    assert.equal(typeof globalThis.window, 'undefined')
    const why = { reasonCategory: 'incident', ticket: 'T-1' }
    const html = render({
      ...PROPS,
      ...why,
      expiresAt: new Date(5),
      now: 4,
      leaveUrl: '/l',
      statusUrl: '/s',
      returnUrl: '/r',
    })
    assert.equal(
      html,
      '<div><stagedoor-banner session="sess_1" actor="{&quot;sub&quot;:&quot;olivia@support&quot;,&quot;name&quot;:&quot;Olivia Park&quot;,&quot;email&quot;:&quot;olivia@example.com&quot;}" user="carl@example.com" reason="Ticket 1234" reason-category="incident" ticket="T-1" expires-at="5" now="4" leave-url="/l" status-url="/s" return-url="/r">Olivia Park is acting as carl@example.com.</stagedoor-banner></div>',
    )
  })

  test('follows Clerk without an actor prop, and renders nothing for a null actor', () => {
    assert.equal(render({}), '<div><stagedoor-banner clerk="true"></stagedoor-banner></div>')
    assert.equal(
      render({ actor: null, leaveUrl: '/l' }),
      '<div><stagedoor-banner leave-url="/l"></stagedoor-banner></div>',
    )
  })
})

describe('<ActingBanner/> in a browser', () => {
  let browser: Browser
  let app: BannerApp
  let page: Page
  let script: string

  before(async () => {
    browser = await launchBrowser()
    app = await bannerApp()
    const { outputFiles } = await build({
      stdin: { contents: APP, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
      bundle: true,
      write: false,
      format: 'esm',
      define: { 'process.env.NODE_ENV': '"development"' },
    })
    script = outputFiles[0]?.text ?? ''
    page = browser.page
  })
  after(async () => {
    await app?.[Symbol.asyncDispose]()
    await browser?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    browser.errors.length = 0
  })

  async function open(props: ActingBannerProps, html = '') {
    const json = JSON.stringify(props).replaceAll('&', '&amp;').replaceAll("'", '&#39;')
    app.answers = { '/app.js': { type: 'text/javascript', body: script } }
    app.pages['/'] = () =>
      `<!doctype html><html lang="en"><title>App</title><div id="root" data-props='${json}'>${html}</div><script type="module" src="/app.js"></script>`
    await page.goto(app.url)
    await page.waitForFunction('customElements.get("stagedoor-banner") && window.show')
  }
  /** Renders with other props, written as JavaScript. */
  const show = (props: string) => page.evaluate(`show(${props})`)
  const says = (text: string) => page.locator('stagedoor-banner section', { hasText: text }).waitFor()
  const json = JSON.stringify(PROPS)

  test('shows its props, follows their changes and hides', async () => {
    await open({ ...PROPS, expiresAt: Date.now() + 60_000 })
    await shown(page)
    await says('Olivia Park is acting as carl@example.com. Reason: Ticket 1234')
    await show(`{ ...${json}, reason: undefined, user: 'dora@example.com', labels: { leave: 'Beenden' } }`)
    await says('Olivia Park is acting as dora@example.com.')
    assert.doesNotMatch(await page.locator('stagedoor-banner section').innerText(), /Reason/)
    await says('Beenden')
    await show('{ actor: null }')
    await page.locator('stagedoor-banner').waitFor({ state: 'hidden' })
    await show(json)
    await shown(page)
  })

  test('hydrates server-rendered HTML without a warning', async () => {
    const body = `<main><dialog>Dialog</dialog>${renderToString(createElement(ActingBanner, PROPS))}<h1>Orders</h1></main>`
    await open(PROPS, body)
    await shown(page)
    await says('Reason: Ticket 1234')
    assert.deepEqual(browser.errors, [])
  })

  test('stays when it is unmounted while acting, even in a dialog, and is replaced by the next one', async () => {
    await open(PROPS)
    await shown(page)
    await page.evaluate("document.querySelector('dialog').showModal()")
    await page.waitForFunction(() => document.querySelector('dialog stagedoor-banner'))
    await show('null')
    await shown(page)
    await page.evaluate("document.querySelector('dialog').close()")
    await shown(page)
    await show('{ actor: null }')
    await page.waitForFunction(() => document.querySelectorAll('stagedoor-banner').length === 1)
    assert.equal(await page.locator('stagedoor-banner').isVisible(), false)
    assert.deepEqual(browser.errors, [])
  })

  test('leaves through the app’s own handler, and shows when that failed', async () => {
    await open(PROPS)
    await show(`{ ...${json}, onLeave: async () => { throw new Error('no') } }`)
    await page.getByRole('button', { name: 'Leave' }).click()
    await page.getByRole('alert').getByText('Leaving did not work.').waitFor()
    await show(`{ ...${json}, onLeave: () => show({ actor: null }) }`)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.locator('stagedoor-banner').waitFor({ state: 'hidden' })
  })

  test('follows the Clerk object in its props', async () => {
    await open({ actor: null })
    app.answers['/fapi/v1/client/sessions/sess_9'] = { body: '{"response":{"status":"active"}}' }
    // An object with the shape of clerk-js; banner-clerk.test.ts uses the real one.
    await page.evaluate(`
      window.given = {
        frontendApi: '', proxyUrl: '/fapi', client: { sessions: [] },
        session: { id: 'sess_9', status: 'active', actor: { sub: 'olivia@support' }, expireAt: new Date(Date.now() + 60000),
          user: { id: 'user_1', fullName: 'Carl', username: null, primaryEmailAddress: null } },
        addListener(listener) { listener(this); return () => {} },
        async signOut({ sessionId }) { localStorage.setItem('left', sessionId); history.pushState(null, '', '/left') },
        async setActive() {},
      }
      show({ clerk: window.given, reason: 'By hand' })
    `)
    await says('olivia@support is acting as Carl. Reason: By hand')
    await page.getByRole('button', { name: 'Leave' }).click()
    // A router changed the page without loading it: the banner loads the next page a moment later.
    await page.waitForFunction(() => localStorage.getItem('left') === 'sess_9' && location.pathname === '/')
  })
})
