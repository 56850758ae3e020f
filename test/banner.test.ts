import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import type { StagedoorBanner } from '../packages/sdk/src/banner/index.ts'
import {
  ACTING,
  type Attributes,
  type BannerApp,
  bannerApp,
  inMinutes,
  OLIVIA,
  pageWith,
  ROBOT,
  STRICT,
  shown,
  underLeave,
} from './banner-app.ts'
import { type Browser, launchBrowser } from './support/browser.ts'

const axe = readFileSync(fileURLToPath(new URL('../node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8')
/** For pages of tests that need their own styles. */
const STYLED = `${STRICT}; style-src 'unsafe-inline'`
const LONG: Attributes = {
  session: 'sess_1',
  actor: { sub: 'x', name: 'Dr. Maximiliane Wolkenstein-Rodenegg von und zu Trostburg (Support, EMEA, on call)' },
  user: 'شركة الأمثلة 🧑‍🚀 carl.friedrich.hieronymus@averyveryveryveryveryveryverylongsubdomain.example.com',
  'reason-category': 'incident',
  ticket: `https://help.example.com/projects/${'support-emea/'.repeat(8)}tickets/4711?view=all`,
  reason: `See ${'x'.repeat(200)}. ${'The invoice of October is shown twice and the export to CSV stops after 1000 rows. '.repeat(6)}`,
}

describe('<stagedoor-banner>', () => {
  let browser: Browser
  let app: BannerApp
  let page: Page

  before(async () => {
    browser = await launchBrowser()
    app = await bannerApp()
  })
  after(async () => {
    await app?.[Symbol.asyncDispose]()
    await browser?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    app.requests.length = 0
    app.answers = {}
    app.pages = { '/after': () => '<!doctype html><title>After</title>' }
    browser.errors.length = 0
    page = await newPage()
  })
  afterEach(async () => {
    for (const each of page.context().pages()) if (each !== browser.page) await each.close()
  })

  async function newPage() {
    const made = await browser.page.context().newPage()
    made.setDefaultTimeout(5_000)
    made.on('pageerror', error => browser.errors.push(String(error)))
    made.on('console', message => message.type() === 'error' && browser.errors.push(message.text()))
    return made
  }

  /** Opens a page with this banner in it. */
  async function open(attributes: Attributes, inner: { body?: string; inside?: string; policy?: string } = {}) {
    app.pages['/'] = () => pageWith(attributes, inner)
    await page.goto(`${app.url}/${inner.policy ? `?policy=${encodeURIComponent(inner.policy)}` : ''}`)
    if ('actor' in attributes) await shown(page)
  }

  const banner = () => page.locator('stagedoor-banner')
  const button = () => page.getByRole('button', { name: 'Leave' })
  const text = () => page.evaluate(() => document.querySelector('stagedoor-banner')?.shadowRoot?.textContent ?? '')
  const announced = () => page.locator('stagedoor-banner [role=status]').textContent()
  /** Counts the documents that this page loads from now on. */
  function loads(of = page) {
    const count = { loads: 0 }
    of.on('domcontentloaded', () => {
      count.loads += 1
    })
    return count
  }

  describe('text', () => {
    test('shows who is acting as whom, why, and for how long', async () => {
      await open({ ...ACTING, 'expires-at': inMinutes(12.5) })
      const region = await shown(page)
      const said = (await region.innerText()).replace(/\s+/g, ' ')
      assert.match(said, /^Olivia Park is acting as carl@example\.com\. Reason: Ticket 1234 12:\d\d left Leave$/)
      assert.match(
        await region.ariaSnapshot(),
        /region "Acting as another user":\s+- paragraph: "Olivia Park is acting as carl@example\.com\. Reason: Ticket 1234"\s+- time: 1\d:\d\d left\s+- 'button "Leave: stop acting as carl@example\.com"/,
      )
    })

    test('shows the kind of reason and the ticket, which is a link if it is the address of a page', async () => {
      const why = { 'reason-category': 'incident', ticket: 'https://help.example/T-1?a="b"' }
      await open({ ...ACTING, ...why })
      assert.match(await text(), /\. Reason: incident: Ticket 1234Ticket: help\.example\/T-1\?a="b"/)
      const link = page.getByRole('link')
      const attributes = ['href', 'target', 'rel'].map(name => link.getAttribute(name))
      assert.deepEqual(await Promise.all(attributes), [
        'https://help.example/T-1?a=%22b%22',
        '_blank',
        'noopener noreferrer',
      ])
      await until(async () => (await announced()) !== '')
      assert.match((await announced()) ?? '', /Reason: incident: Ticket 1234 Ticket: help\.example/)

      await link.focus()
      await banner().evaluate((each: StagedoorBanner) => {
        each.reason = null
        each.lang = 'en'
      })
      await page.getByText('Reason: incident', { exact: true }).waitFor()
      assert.equal(
        await link.evaluate(each => each.getRootNode() instanceof ShadowRoot && each.matches(':focus')),
        true,
      )
      await banner().evaluate((each: StagedoorBanner) => {
        each.reasonCategory = null
        each.lang = 'de'
      })
      await page.getByText('handelt als').first().waitFor()
      assert.match(await text(), /^ Olivia Park handelt als carl@example\.com\. Ticket: help/)

      for (const ticket of [
        'T-1',
        'javascript:alert(1)',
        'http://help.example/T-1',
        '//help.example/T-1',
        'https://name:secret@help.example/',
      ]) {
        await open({ ...ACTING, ticket })
        assert.ok((await text()).includes(`Ticket: ${ticket}`), ticket)
        assert.equal(await link.count(), 0, ticket)
      }
    })

    test('shows the actor’s name, else the e-mail address, else the sub, else “someone”', async () => {
      for (const [actor, name] of [
        [OLIVIA, 'Olivia Park'],
        [{ sub: 'o', name: '', email: 'o@example.com' }, 'o@example.com'],
        [{ sub: 'olivia@support', name: 7 }, 'olivia@support'],
        [{}, 'Someone'],
      ] as const) {
        await open({ actor })
        assert.match(await text(), new RegExp(`^ ${name} is acting as another user\\.`))
      }
      await open({ actor: 'not json' as never })
      assert.match(await text(), /^ not json is acting/)
    })

    test('is in the language of its lang attribute, else of the browser', async () => {
      const left = { 'expires-at': inMinutes(65.5) }
      app.pages['/'] = () => pageWith({ ...ACTING, ...left, lang: 'de-CH' })
      await page.goto(app.url)
      await page.getByRole('button', { name: 'Beenden' }).waitFor()
      assert.match(
        await text(),
        /^ Olivia Park handelt als carl@example\.com\. Grund: Ticket 1234.*noch 1:05:\d\dBeenden/,
      )
      assert.equal(await page.getByRole('region', { name: 'Handeln als' }).getAttribute('lang'), 'de')
      await page.evaluate(() => document.querySelector('stagedoor-banner')?.setAttribute('lang', 'en'))
      await page.getByRole('button', { name: 'Leave' }).waitFor()
      await page.evaluate(() => {
        const element = document.querySelector('stagedoor-banner') as StagedoorBanner
        element.labels = { leave: 'Stop' }
        element.lang = 'de'
      })
      await page.getByText('Grund: Ticket 1234').first().waitFor()
      // The announcement for screen readers may follow.
      assert.match(await text(), /1:05:\d\dStop/, 'the labels of the app stay')

      await using german = await launchBrowser({ locale: 'de-AT' })
      app.pages['/'] = () => pageWith(ACTING)
      await german.page.goto(`${app.url}/`)
      await german.page.getByRole('button', { name: 'Beenden' }).waitFor()
      await open({ ...ACTING, lang: 'tlh' })
      assert.match(await text(), /is acting as/, 'an unknown language falls back to the browser’s')
    })

    test('shows the time even if the browser has no Intl.DurationFormat', async () => {
      await page.addInitScript(() => Reflect.deleteProperty(Intl, 'DurationFormat'))
      for (const [minutes, shows] of [
        [12.5, /^12:\d\d left$/],
        [65.5, /^1:05:\d\d left$/],
        [0.5, /^0:\d\d left$/],
      ] as const) {
        await open({ ...ACTING, 'expires-at': inMinutes(minutes) })
        assert.match(await page.locator('stagedoor-banner time').innerText(), shows)
      }
    })

    test('shows that the actor is an AI agent', async () => {
      await open({ ...ACTING, actor: ROBOT })
      assert.match(await text(), /^AI agent Refund helper is acting as carl@example\.com\./)
      const back = () =>
        page.evaluate(() => {
          const bar = document.querySelector('stagedoor-banner')?.shadowRoot?.querySelector('section')
          return getComputedStyle(bar as Element).backgroundColor
        })
      const agent = await back()
      await open(ACTING)
      assert.doesNotMatch(await text(), /AI agent/)
      assert.notEqual(await back(), agent)
    })

    test('is empty without an actor, and appears once there is one', async () => {
      for (const actor of [undefined, '', 'null']) {
        await open({ session: 'sess_1' })
        if (actor !== undefined) await banner().evaluate((each, value) => each.setAttribute('actor', value), actor)
        assert.equal(await banner().isVisible(), false)
        assert.equal(await paddingOf(page), 0)
      }
      await banner().evaluate((each: StagedoorBanner) => {
        each.actor = { sub: 'olivia@support' }
        each.user = 'carl@example.com'
        each.expiresAt = new Date(Date.now() + 90_000)
      })
      await shown(page)
      assert.match(await text(), /olivia@support is acting as carl@example\.com\..*1:\d\d left/)
      await banner().evaluate((each: StagedoorBanner) => {
        each.actor = null
      })
      await banner().waitFor({ state: 'hidden' })
      assert.equal(await paddingOf(page), 0)
    })

    test('follows its properties, which mirror its attributes', async () => {
      await open({
        ...ACTING,
        'leave-url': '/leave',
        'status-url': '/s',
        'return-url': '/after',
        'expires-at': '2100-01-01',
      })
      const values = await banner().evaluate((each: StagedoorBanner) => {
        const { session, actor, user, reason, expiresAt, leaveUrl, statusUrl, returnUrl, now, clerk } = each
        return { session, actor, user, reason, expiresAt, leaveUrl, statusUrl, returnUrl, now, clerk }
      })
      assert.deepEqual(values, {
        session: 'sess_1',
        actor: OLIVIA,
        user: 'carl@example.com',
        reason: 'Ticket 1234',
        expiresAt: Date.parse('2100-01-01'),
        leaveUrl: '/leave',
        statusUrl: '/s',
        returnUrl: '/after',
        now: null,
        clerk: false,
      })
      await banner().evaluate((each: StagedoorBanner) => {
        each.reason = 'Another'
        each.user = null
      })
      assert.match(await text(), /another user\. Reason: Another/)
      assert.equal(await banner().getAttribute('reason'), 'Another')
    })

    test('can be replaced by labels of the app', async () => {
      await open(ACTING)
      await banner().evaluate((each: StagedoorBanner) => {
        each.labels = { acting: 'Für {user} handelt {actor}.', leave: 'Beenden', region: 'Vertretung' }
      })
      await page.getByRole('region', { name: 'Vertretung' }).waitFor()
      assert.match(await text(), /Für carl@example\.com handelt Olivia Park\. Reason: Ticket 1234.*Beenden/)
    })

    test('shows markup as text, from every source', async () => {
      const attack = '<img src=x onerror="document.title=1">'
      await open({ session: attack, actor: { sub: 's', name: attack }, user: attack, reason: attack, ticket: attack })
      await banner().evaluate((each: StagedoorBanner, value) => {
        each.labels = { acting: `${value}{actor}{user}`, ticket: `${value}{ticket}`, leave: value }
      }, attack)
      assert.ok((await text()).split(attack).length >= 6, await text())
      const made = await page.evaluate(() =>
        document.querySelector('stagedoor-banner')?.shadowRoot?.querySelector('img'),
      )
      assert.equal(made, null)
      assert.equal(await page.title(), 'Orders')
    })
  })

  describe('in a page', () => {
    test('works under a strict Content-Security-Policy', async () => {
      app.answers = { '/status': { body: '{"active":true}' }, '/leave': { status: 303, location: '/after' } }
      await open({ ...ACTING, 'expires-at': inMinutes(5), 'status-url': '/status', 'leave-url': '/leave' })
      await banner().evaluate((each: StagedoorBanner) => each.check())
      assert.deepEqual(
        app.requests.map(({ path }) => path),
        ['/status'],
      )
      assert.equal(await backgroundOf(page), 'rgb(255, 192, 46)')
      await button().click()
      await page.waitForURL('**/after')
      assert.deepEqual(browser.errors, [])
    })

    const hostile = {
      'everything hidden': '* { display: none !important }',
      'itself hidden':
        'stagedoor-banner { display: none !important; visibility: hidden !important; opacity: 0 !important }',
      'all unset': '* { all: unset !important }',
      'moved away':
        'stagedoor-banner { position: absolute !important; top: -999px !important; transform: scale(0) !important }',
      'made nothing':
        '* { width: 0 !important; height: 0 !important; overflow: hidden !important; clip-path: inset(50%) !important }',
      unreachable: '* { pointer-events: none !important; user-select: none !important; z-index: -1 !important }',
      'under something': 'main { position: fixed; inset: 0; z-index: 2147483647; background: white }',
      'with a backdrop': '::backdrop { display: block !important; background: red !important }',
      'hidden body': 'body { display: none !important } html { visibility: hidden; opacity: 0; filter: opacity(0) }',
    }
    test('is visible under any style sheet of the page', async () => {
      for (const [name, css] of Object.entries(hostile)) {
        await open(ACTING, { body: `<style>${css}</style><h1>Orders</h1>`, policy: STYLED })
        const box = await banner().boundingBox()
        assert.ok(box && box.y === 0 && box.width > 1_000 && box.height > 50, `${name} ${JSON.stringify(box)}`)
        assert.equal(await underLeave(page), 'stagedoor-banner', name)
        assert.equal(await backgroundOf(page), 'rgb(255, 192, 46)', name)
        assert.equal(await banner().evaluate(each => getComputedStyle(each, '::backdrop').display), 'none', name)
        await button().click({ trial: true })
      }
    })

    test('does not hang a page that is hidden completely', async () => {
      await open(ACTING)
      await page.evaluate(() => document.documentElement.style.setProperty('display', 'none', 'important'))
      await page.waitForTimeout(1_100)
      await page.evaluate(() => document.documentElement.style.removeProperty('display'))
      await shown(page)
    })

    test('is visible with any attributes', async () => {
      await open(
        { ...ACTING, hidden: '', inert: '', 'aria-hidden': 'true', style: 'display:none !important' },
        { policy: STYLED },
      )
      await shown(page)
      await banner().evaluate((each: StagedoorBanner) => {
        each.hidden = true
        each.inert = true
        each.ariaHidden = 'true'
        each.style.cssText = 'display: none !important; opacity: 0 !important'
      })
      await shown(page)
      await button().click({ trial: true })
    })

    test('can be used even if its parent is inert or hidden', async () => {
      for (const attribute of ['inert', 'aria-hidden=true', 'hidden']) {
        await open(ACTING, { body: '<div id="root"></div>' })
        await page.evaluate(text => {
          const root = document.querySelector('#root') as Element
          root.append(document.querySelector('stagedoor-banner') as Element)
          const [name = '', value = ''] = text.split('=')
          root.setAttribute(name, value)
        }, attribute)
        await page.waitForFunction(
          () => document.querySelector('stagedoor-banner')?.parentElement?.localName === 'html',
        )
        await shown(page)
        await button().click({ trial: true })
      }
    })

    test('covers nothing, and frees its space when it hides', async () => {
      await open(ACTING, { body: '<style>html { padding-top: 10px }</style><h1>Orders</h1>', policy: STYLED })
      const height = Math.round((await banner().boundingBox())?.height ?? 0)
      const top = (await page.locator('main').boundingBox())?.y ?? 0
      assert.ok(top >= height + 10, `${top} ${height}`)
      const variable = "getComputedStyle(document.documentElement).getPropertyValue('--stagedoor-banner-height')"
      assert.equal(await page.evaluate(variable), `${height}px`)
      await banner().evaluate(each => each.removeAttribute('actor'))
      await banner().waitFor({ state: 'hidden' })
      assert.equal(await paddingOf(page), 10)
      assert.equal(await page.evaluate(variable), '')
    })

    test('has a button that can be pressed over any modal dialog', async () => {
      await open(ACTING, {
        body: `<dialog id="one"><button id="in-one">One</button></dialog><dialog id="two">Two</dialog>
          <div id="pop" popover><p>Menu</p></div><div id="host"></div>`,
      })
      const parent = () => page.evaluate(() => document.querySelector('stagedoor-banner')?.parentElement?.id)
      const reachable = async () => {
        await button().click({ trial: true })
        assert.equal(await underLeave(page), 'stagedoor-banner')
      }
      await page.evaluate("document.querySelector('#one').showModal()")
      await reachable()
      await page.locator('#in-one').click({ trial: true })
      await page.evaluate("document.querySelector('#two').showModal()")
      await reachable()
      assert.equal(await parent(), 'two')
      await page.evaluate("document.querySelector('#two').close()")
      await reachable()
      assert.equal(await parent(), 'one')
      await page.keyboard.press('Escape')
      await reachable()
      assert.equal(
        await page.evaluate("document.querySelector('stagedoor-banner').nextElementSibling.localName"),
        'main',
      )

      // A shadow tree fires no event and no mutation for it, so the banner notices within a second.
      await page.evaluate(() => {
        const root = document.querySelector('#host')?.attachShadow({ mode: 'open' })
        const dialog = document.createElement('dialog')
        root?.append(dialog)
        dialog.showModal()
      })
      await page.waitForFunction(() => document.querySelector('stagedoor-banner') === null)
      await button().click({ trial: true })
      await page.evaluate("document.querySelector('#host').remove()")
      await reachable()

      await page.evaluate(() => {
        const pop = document.querySelector<HTMLElement>('#pop')
        pop?.showPopover()
      })
      await reachable()
    })

    test('comes back when a script removes it, and stays away after acting has ended', async () => {
      await open(ACTING)
      // Immediately: before the page is painted without it.
      const emptied = page.evaluate(async () => {
        document.body.textContent = ''
        await Promise.resolve()
        return document.querySelector('stagedoor-banner') !== null
      })
      assert.equal(await emptied, true)
      await shown(page)
      await banner().evaluate(each => each.remove())
      await shown(page)
      assert.equal(await underLeave(page), 'stagedoor-banner')
      await page.evaluate("document.documentElement.replaceChild(document.createElement('body'), document.body)")
      await shown(page)
      await banner().evaluate(each => {
        each.removeAttribute('actor')
      })
      await banner().waitFor({ state: 'hidden' })
      await banner().evaluate(each => each.remove())
      await page.waitForTimeout(50)
      assert.equal(await banner().count(), 0)
    })

    test('gives up after a while against a script that keeps removing it', async () => {
      await open(ACTING)
      const times = await page.evaluate(async () => {
        let removed = 0
        const observer = new MutationObserver(() => {
          const each = document.querySelector('stagedoor-banner')
          if (each) removed += 1
          each?.remove()
        })
        observer.observe(document, { childList: true, subtree: true })
        document.querySelector('stagedoor-banner')?.remove()
        await new Promise(resolve => setTimeout(resolve, 300))
        observer.disconnect()
        return removed
      })
      assert.ok(times >= 2 && times <= 4, `${times}`)
      await shown(page)
    })

    test('is replaced by the app’s own banner when the app adds it again', async () => {
      await open(ACTING)
      await page.evaluate(() => {
        document.querySelector('stagedoor-banner')?.remove()
      })
      await shown(page)
      await page.evaluate(() => {
        const fresh = document.createElement('stagedoor-banner')
        fresh.id = 'fresh'
        document.body.append(fresh)
      })
      await page.waitForFunction(() => document.querySelectorAll('stagedoor-banner').length === 1)
      assert.equal(await banner().getAttribute('id'), 'fresh')
      assert.equal(await banner().isVisible(), false)
      assert.equal(await paddingOf(page), 0)
    })

    test('is printed', async () => {
      await open(ACTING)
      await page.evaluate("dispatchEvent(new Event('beforeprint'))")
      await page.emulateMedia({ media: 'print' })
      await (await shown(page)).waitFor()
      assert.equal(await banner().evaluate(each => getComputedStyle(each).position), 'static')
      assert.equal(await button().isVisible(), false)
      const [box, main] = [await banner().boundingBox(), await page.locator('main').boundingBox()]
      assert.ok(box && main && box.y + box.height <= main.y, JSON.stringify([box, main]))
      await page.emulateMedia({ media: null })
      await page.evaluate("dispatchEvent(new Event('afterprint'))")
      assert.equal(await underLeave(page), 'stagedoor-banner')
    })
  })

  describe('the remaining time', () => {
    test('counts down, and is announced at the start, at 5 minutes, at 1 minute and at the end', async () => {
      await page.clock.install()
      await open({ ...ACTING, 'expires-at': inMinutes(7) })
      await page.evaluate(() => {
        const root = document.querySelector('stagedoor-banner')?.shadowRoot
        const status = root?.querySelector('[role=status]') as Element
        Object.assign(window, { said: [status.textContent].filter(Boolean) })
        const note = () => (window as unknown as { said: string[] }).said.push(status.textContent ?? '')
        new MutationObserver(note).observe(status, { childList: true, characterData: true, subtree: true })
        document.addEventListener('stagedoor-end', event => event.preventDefault())
      })
      for (let i = 0; i < 8 * 60; i += 1) await page.clock.runFor(1_000)
      const said = await page.evaluate('said')
      assert.deepEqual(said, [
        'Olivia Park is acting as carl@example.com. Reason: Ticket 1234',
        '5 minutes left.',
        '1 minute left.',
        'Time is up.',
      ])
      assert.equal(await page.locator('stagedoor-banner time').textContent(), 'Time is up.')
    })

    test('when it is up, fires the event, then goes to the return-url', async () => {
      await page.clock.install()
      await open({ ...ACTING, 'expires-at': inMinutes(1), 'return-url': '/after' })
      await page.evaluate(() =>
        document.addEventListener('stagedoor-end', event => {
          const { detail } = event as CustomEvent
          // biome-ignore lint/suspicious/noDocumentCookie: as in apps, and synchronous
          document.cookie = `ended=${encodeURIComponent(JSON.stringify(detail))}`
        }),
      )
      await page.clock.fastForward(61_000)
      await page.waitForURL('**/after')
      const ended = decodeURIComponent(await page.evaluate(() => document.cookie))
      assert.match(ended, /ended=\{"session":"sess_1","reason":"expired"\}/)
    })

    test('when it is up without a return-url, reloads the page, a limited number of times', async () => {
      let loads = 0
      await open({ ...ACTING, 'expires-at': Date.now() - 1_000 })
      app.pages['/'] = () => {
        loads += 1
        return pageWith({ ...ACTING, 'expires-at': Date.now() - 1_000 })
      }
      await page.evaluate(() => sessionStorage.clear())
      await page.reload()
      await until(() => loads === 6)
      await page.waitForTimeout(400)
      assert.equal(loads, 6)
      assert.match(await text(), /Time is up\./)
      await button().click({ trial: true })
    })

    test('when it is up, lets the app prevent the default', async () => {
      await page.clock.install()
      await open({ ...ACTING, 'expires-at': inMinutes(1), 'return-url': '/after' })
      await page.evaluate(() => document.addEventListener('stagedoor-end', event => event.preventDefault()))
      await page.clock.fastForward(61_000)
      await page.waitForTimeout(300)
      assert.equal(new URL(page.url()).pathname, '/')
    })

    test('is up only when the server confirms it, if there is a status-url', async () => {
      app.answers = { '/status': { body: '{"active":true}' } }
      await page.clock.install()
      await open({ ...ACTING, 'expires-at': inMinutes(1), 'status-url': '/status', 'return-url': '/after' })
      await page.clock.fastForward(61_000)
      await until(() => app.requests.length === 1)
      await page.waitForTimeout(100)
      assert.equal(new URL(page.url()).pathname, '/')
      app.answers = { '/status': { body: '{"active":false}' } }
      await banner().evaluate((each: StagedoorBanner) => each.check())
      await page.waitForURL('**/after')
    })

    test('follows the server’s clock if the browser’s clock is wrong', async () => {
      const serverTime = inMinutes(-180)
      await open({ ...ACTING, 'expires-at': serverTime + 60_000 * 10 + 900, now: serverTime })
      assert.match(await text(), /(10:0\d|9:5\d) left/)
    })

    test('leads only to web pages', async () => {
      for (const url of ['javascript:document.title=1', 'data:text/html,x', 'file:///etc/passwd']) {
        await open({ ...ACTING, 'return-url': url, 'leave-url': url })
        const reloaded = page.waitForEvent('domcontentloaded')
        await banner().evaluate((each: StagedoorBanner) => each.end())
        await reloaded
        await shown(page)
        await button().click()
        await page.getByText('Leaving did not work.').waitFor()
        assert.equal(page.url(), `${app.url}/`)
        assert.equal(await page.title(), 'Orders')
      }
    })
  })

  describe('Leave', () => {
    test('posts a form to the leave-url, with the app’s cookie and its own fields', async () => {
      app.answers = { '/leave': { status: 303, location: '/after', delay: 300 } }
      await open({ ...ACTING, 'leave-url': '/leave' }, { inside: '<input type="hidden" name="csrf" value="t0ken&">' })
      await page.evaluate(() => {
        // biome-ignore lint/suspicious/noDocumentCookie: as in apps, and synchronous
        document.cookie = 'session=carl'
      })
      const pressed = await button().evaluate((leave: HTMLElement) => {
        let events = 0
        document.addEventListener('stagedoor-leave', () => {
          events += 1
        })
        for (let i = 0; i < 3; i += 1) leave.click()
        return [events, leave.textContent, leave.ariaDisabled]
      })
      assert.deepEqual(pressed, [1, 'Leaving…', 'true'])
      await page.waitForURL('**/after')
      assert.equal(app.requests.length, 1)
      const { method, path, cookie, body } = app.requests[0] as BannerApp['requests'][0]
      assert.deepEqual({ method, path, body }, { method: 'POST', path: '/leave', body: 'csrf=t0ken%26' })
      assert.match(cookie, /session=carl/)
    })

    test('fires an event first, whose default the app can prevent', async () => {
      await open({ ...ACTING, 'leave-url': '/leave' })
      await page.evaluate(() => {
        document.addEventListener('stagedoor-leave', event => {
          event.preventDefault()
          document.title = JSON.stringify((event as CustomEvent).detail)
        })
      })
      await button().click()
      await page.waitForFunction(() => document.title === '{"session":"sess_1"}')
      await page.getByRole('button', { name: 'Leaving…' }).waitFor()
      assert.deepEqual(app.requests, [])
    })

    test('shows when it failed, and can be tried again', async () => {
      await open({ ...ACTING, 'return-url': '/after' })
      await banner().evaluate((each: StagedoorBanner) => {
        let tries = 0
        each.handlers = {
          leave: async () => {
            tries += 1
            if (tries === 1) throw new Error('no network')
            location.assign('/after')
          },
        }
      })
      await button().click()
      await page.getByRole('alert').getByText('Leaving did not work. You are still acting.').waitFor()
      await page.getByRole('button', { name: 'Try again' }).click()
      await page.waitForURL('**/after')
    })

    test('stops waiting after a timeout', async () => {
      app.answers = { '/leave': { status: 204 } }
      await page.clock.install()
      await open({ ...ACTING, 'leave-url': '/leave' })
      await button().click()
      await page.getByRole('button', { name: 'Leaving…' }).waitFor()
      await page.clock.runFor(16_000)
      await page.getByRole('button', { name: 'Try again' }).click()
      await until(() => app.requests.length === 2)
    })

    test('works with the keyboard alone, and shows the focus', async () => {
      app.answers = { '/leave': { status: 303, location: '/after' } }
      await open({ ...ACTING, 'leave-url': '/leave' }, { body: '<a href="/x">Next</a>' })
      await page.keyboard.press('Tab')
      const outline = await page.evaluate(() => {
        const focused = document.activeElement?.shadowRoot?.activeElement
        return focused && `${focused.className} ${getComputedStyle(focused).outlineStyle}`
      })
      assert.equal(outline, 'leave solid')
      const box = await button().boundingBox()
      assert.ok(box && box.width >= 44 && box.height >= 44, JSON.stringify(box))
      await page.keyboard.press('Enter')
      await page.waitForURL('**/after')
    })
  })

  describe('status-url', () => {
    test('reloads the page when acting has ended or the server no longer knows the session', async () => {
      for (const over of [{ body: '{"active":false}' }, { status: 401 }, { status: 403 }, { status: 404 }]) {
        app.answers = { '/status': over }
        await open({ ...ACTING, 'status-url': '/status' })
        app.pages['/'] = () => pageWith({})
        await page.evaluate(() => {
          document.querySelector('stagedoor-banner')?.check()
        })
        await page.waitForFunction(() => document.querySelector('stagedoor-banner')?.actor === null)
        assert.equal(await banner().isVisible(), false)
      }
    })

    test('is requested every 10 seconds and when the page becomes visible; a failed request changes nothing', async t => {
      // The fake clock belongs to the whole browser: if it stayed paused, the pages of the next test would stop, too.
      const { clock } = page.context()
      t.after(() => clock.resume())
      await page.clock.install()
      const count = loads()
      await open({ ...ACTING, 'status-url': '/status' })
      await page.clock.pauseAt(Date.now() + 5_000)
      assert.equal(app.requests.length, 0)
      for (const [i, answer] of [
        { body: '{"active":true}' },
        { status: 500 },
        { body: 'x' },
        { body: '{}' },
      ].entries()) {
        app.answers = { '/status': answer }
        await page.clock.runFor(10_500)
        await until(() => app.requests.length === i + 1)
      }
      await page.clock.runFor(3_000)
      await page.evaluate("dispatchEvent(new Event('focus'))")
      await until(() => app.requests.length === 5)
      assert.equal(count.loads, 1)

      await hide(page)
      for (let i = 0; i < 3; i += 1) {
        await page.clock.runFor(10_500)
        await page.waitForTimeout(100)
      }
      assert.equal(app.requests.length, 5)
    })

    test('on another origin is never requested', async () => {
      await using other = await bannerApp()
      other.answers = { '/status': { body: '{"active":false}' } }
      await open({ ...ACTING, 'status-url': `${other.url}/status` }, { policy: 'default-src *' })
      await banner().evaluate((each: StagedoorBanner) => each.check())
      assert.deepEqual(other.requests, [])
      await shown(page)
    })
  })

  describe('other tabs', () => {
    /** The state of the app's server: who is acting in this browser. */
    let acting: string | null
    let tab: Page

    beforeEach(async () => {
      acting = null
      await page.goto(`${app.url}/after`)
      await page.evaluate(() => localStorage.clear())
      app.pages['/'] = () => pageWith(acting ? { ...ACTING, session: acting, 'leave-url': '/leave' } : {})
      tab = await newPage()
      await tab.goto(app.url)
    })

    test('follow when acting begins and when the actor leaves', async () => {
      acting = 'sess_1'
      await page.goto(app.url)
      await shown(page)
      await shown(tab)
      acting = null
      app.answers = { '/leave': { status: 303, location: '/after' } }
      await button().click()
      await page.waitForURL('**/after')
      await tab.locator('stagedoor-banner').waitFor({ state: 'hidden' })
    })

    test('ignore messages that are not from the banner', async () => {
      const count = loads(tab)
      await tab.evaluate(() => {
        const channel = new BroadcastChannel('stagedoor')
        for (const data of [null, 'x', 7, {}, { type: 'start' }, { session: 'sess_1' }]) channel.postMessage(data)
      })
      await tab.waitForTimeout(200)
      assert.equal(count.loads, 0)
      assert.deepEqual(browser.errors, [])
    })

    test('follow when acting ends, and when another session begins', async () => {
      acting = 'sess_1'
      await page.goto(app.url)
      await shown(tab)
      acting = 'sess_2'
      await page.reload()
      await tab.waitForFunction(() => document.querySelector('stagedoor-banner')?.session === 'sess_2')
      acting = null
      await banner().evaluate((each: StagedoorBanner) => each.end())
      await tab.locator('stagedoor-banner').waitFor({ state: 'hidden' })
    })

    test('wait until they become visible', async () => {
      await hide(tab)
      acting = 'sess_1'
      await page.goto(app.url)
      await shown(page)
      const count = loads(tab)
      await page.waitForTimeout(300)
      assert.equal(count.loads, 0)
      await hide(tab, false)
      await shown(tab)
    })

    test('that cannot follow do not reload each other endlessly', async () => {
      // Two pages that always show different sessions, however often they are loaded.
      let [loadsOfPage, loadsOfTab] = [0, 0]
      app.pages['/static'] = () => {
        loadsOfTab += 1
        return pageWith({ ...ACTING, session: `sess_other` })
      }
      app.pages['/'] = () => {
        loadsOfPage += 1
        return pageWith({ ...ACTING, session: 'sess_1' })
      }
      await tab.goto(`${app.url}/static`)
      await page.goto(app.url)
      await until(() => loadsOfTab === 2)
      await page.waitForTimeout(700)
      // The first tab reloads once, when the second announces its session.
      assert.deepEqual({ loadsOfPage, loadsOfTab }, { loadsOfPage: 1, loadsOfTab: 2 })
    })
  })

  describe('accessibility', () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const [kind, attributes] of Object.entries({
        person: ACTING,
        agent: { ...ACTING, actor: ROBOT },
        'long text': LONG,
      })) {
        test(`axe finds nothing: ${colorScheme}, ${kind}`, async () => {
          await page.emulateMedia({ colorScheme })
          await open({ ...attributes, 'expires-at': inMinutes(10), 'leave-url': '/leave' })
          await page.evaluate(axe)
          const { violations, passes } = (await page.evaluate('axe.run()')) as Record<string, { id: string }[]>
          assert.deepEqual(violations, [])
          assert.ok(passes?.some(({ id }) => id === 'color-contrast'))
        })
      }
    }

    test('fits every width, with all of the text reachable', async () => {
      for (const width of [320, 390, 1_280]) {
        await page.setViewportSize({ width, height: 600 })
        for (const attributes of [ACTING, LONG]) {
          await open({ ...attributes, 'expires-at': inMinutes(10) })
          const { scrolls, overflow } = await page.evaluate(() => {
            const root = document.querySelector('stagedoor-banner')?.shadowRoot as ShadowRoot
            const beyond = [...root.querySelectorAll('section *')].filter(
              each => each.getBoundingClientRect().right > innerWidth,
            )
            return { scrolls: document.documentElement.scrollWidth, overflow: beyond.map(each => each.className) }
          })
          assert.deepEqual({ width, scrolls, overflow }, { width, scrolls: width, overflow: [] })
          await button().click({ trial: true })
          const more = page.getByRole('button', { name: 'Show all' })
          assert.equal(await more.isVisible(), attributes === LONG, `${width}`)
          if (attributes === ACTING) continue
          await more.click()
          const cut = await page.evaluate(() => {
            const root = document.querySelector('stagedoor-banner')?.shadowRoot as ShadowRoot
            const names = [...root.querySelectorAll('.what bdi')]
            return names.filter(each => each.scrollWidth > each.clientWidth && each.clientWidth > 0).length
          })
          assert.equal(cut, 0)
          assert.ok(((await banner().boundingBox())?.height ?? 0) < 420)
          await page.getByRole('button', { name: 'Show less', expanded: true }).click()
        }
      }
    })

    test('stands out from the page in forced colours, and does not move under reduced motion', async () => {
      await page.emulateMedia({ forcedColors: 'active', reducedMotion: 'reduce' })
      await open({ ...ACTING, actor: ROBOT })
      const { border, edge, moving } = await page.evaluate(() => {
        const root = document.querySelector('stagedoor-banner')?.shadowRoot as ShadowRoot
        const style = (selector: string) => getComputedStyle(root.querySelector(selector) as Element)
        const { borderTopWidth, borderTopColor } = style('form button')
        const { backgroundColor } = style('form button')
        return {
          border: borderTopColor !== backgroundColor && borderTopWidth === '1px',
          edge: style('section').borderBottomWidth,
          moving: document.getAnimations().length,
        }
      })
      assert.deepEqual({ border, edge, moving }, { border: true, edge: '2px', moving: 0 })
      assert.match(await text(), /AI agent/)
    })

    test('announces that acting has begun', async () => {
      await open(ACTING)
      await until(async () => (await announced()) !== '')
      assert.equal(await announced(), 'Olivia Park is acting as carl@example.com. Reason: Ticket 1234')
      assert.equal(await page.locator('stagedoor-banner [role=status] time').count(), 0)
    })
  })
})

/** Waits for a condition outside the page. */
async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i += 1) {
    if (await check()) return
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  assert.fail(`never: ${String(check)}`)
}

function paddingOf(page: Page): Promise<number> {
  return page.evaluate(() => Number.parseFloat(getComputedStyle(document.documentElement).paddingTop))
}

function backgroundOf(page: Page): Promise<string | undefined> {
  return page.evaluate(() => {
    const bar = document.querySelector('stagedoor-banner')?.shadowRoot?.querySelector('section')
    return bar ? getComputedStyle(bar).backgroundColor : undefined
  })
}

/** Simulates another tab that covers the page: headless browsers treat every tab as visible. */
function hide(page: Page, hidden = true): Promise<void> {
  return page.evaluate(
    state => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state })
      document.dispatchEvent(new Event('visibilitychange'))
    },
    hidden ? 'hidden' : 'visible',
  )
}
