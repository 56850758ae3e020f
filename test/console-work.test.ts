import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { errorsOf, reportViolations } from './console-states.ts'
import { type Browser, launchBrowser } from './support/browser.ts'
import { type ConsoleSite, type Person, seed, startConsoleSite } from './support/console.ts'
import { promised, until } from './support/time.ts'

describe('the console, at work', () => {
  let site: ConsoleSite
  let browser: Browser
  let ids: Record<Person, string>
  before(async () => {
    site = await startConsoleSite()
    ids = await seed(site)
  })
  after(() => site?.[Symbol.asyncDispose]())
  beforeEach(async () => {
    browser = await launchBrowser()
    await site.signIn(browser.page)
    await reportViolations(browser)
  })
  afterEach(() => browser?.[Symbol.asyncDispose]())

  async function open(path: string, heading: string): Promise<Page> {
    const { page } = browser
    await page.goto(site.url + path)
    await page.getByRole('heading', { name: heading, exact: true }).waitFor()
    return page
  }

  /** Waits for the page to confirm, which opens in another tab. */
  function confirmation(page: Page) {
    return page
      .context()
      .waitForEvent('page')
      .then(async tab => {
        await tab.waitForURL(/\/v1\/tickets\/accept/)
        return { tab, heading: await tab.getByRole('heading').innerText(), opener: await tab.evaluate('opener') }
      })
  }

  test('acts in three clicks: user, reason, button', async () => {
    const page = await open('/act', 'Act as a user')
    let clicks = 0
    await page.exposeFunction('clicked', () => {
      clicks += 1
    })
    await page.evaluate(`addEventListener('pointerdown', () => clicked(), true)`)
    await page.keyboard.type('carl')
    const began = performance.now()
    await page.getByRole('option', { name: /Carl Customer/ }).click()
    await page.locator('.chip', { hasText: 'Support request' }).click()
    const opened = confirmation(page)
    await page.getByRole('button', { name: 'Act as Carl for 15 minutes' }).click()
    const { tab, heading, opener } = await opened
    assert.equal(heading, 'Act as Carl Customer?')
    assert.equal(opener, null, 'the page to confirm cannot reach the console')
    assert.ok(performance.now() - began < promised(15_000))
    assert.equal(clicks, 3)
    await tab.close()
    await page.getByText('opened in a new tab').waitFor()
    const [token] = (await site.server.call('GET', '/v1/actor_tokens?limit=1')).body
    assert.equal(token.actor.sub, site.operatorSub)
    assert.equal(token.reason_category, 'support')
    assert.equal(token.access, 'read')
    assert.deepEqual(errorsOf(browser), [])
  })

  test('acts with the keyboard alone, with at most 12 keys after the name', async () => {
    const page = await open('/live', 'Live')
    await page.keyboard.press('g')
    await page.keyboard.press('a')
    await page.getByRole('heading', { name: 'Act as a user' }).waitFor()
    await page.keyboard.type('dana')
    await page.getByRole('option', { name: /Dana Reyes/ }).waitFor()
    let keys = 0
    const press = async (key: string) => {
      keys += 1
      await page.keyboard.press(key)
    }
    await press('Enter')
    const focused = () => page.evaluate('document.activeElement.value ?? document.activeElement.textContent')
    while ((await focused()) !== 'support' && keys < 9) await press('Tab')
    await press('Space')
    await page.locator('.note.ok').waitFor()
    await page.locator('[type=submit]:enabled').waitFor()
    const opened = confirmation(page)
    await press('Control+Enter')
    assert.equal((await opened).heading, 'Act as Dana Reyes?')
    assert.ok(keys <= 12, `${keys} keys`)
  })

  test('shows what the policy needs, as buttons that fill the field', async () => {
    await browser.page.route('**/explain', async route => {
      const answer = await route.fetch()
      const decision = (await answer.json()) as { access: string }
      const refused = { decision: 'refused', needs: [['read'], ['ticket'], ['login']], determined_by: [] }
      await route.fulfill({ json: { ...decision, ...(decision.access === 'write' ? refused : {}) } })
    })
    const page = await open(`/act?user=${ids.carl}`, 'Act as a user')
    await page.locator('.segment', { hasText: 'Look and change' }).click()
    await page.getByText('This would help').waitFor()
    const button = page.getByRole('button', { name: /^Act as Carl/ })
    assert.equal(await button.isDisabled(), true)
    await page.getByRole('button', { name: 'Add a ticket' }).click()
    assert.equal(await page.evaluate('document.activeElement.labels[0].textContent'), 'Ticket')
    await page.getByRole('button', { name: 'Sign in again' }).click()
    await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Look only' }).click()
    await page.getByText('Allowed').waitFor()
    assert.equal(await button.isEnabled(), true)
  })

  test('shows a viewer personal data only after a request, with the keyboard, which is an event', async () => {
    const { page } = browser
    await site.signIn(page, 'viewer')
    await open(`/users/${ids.carl}?tab=metadata`, 'Carl Customer')
    assert.equal(await page.getByText('carl@customer.example').count(), 0)
    await page.getByText('c•••@•••').waitFor()
    const show = page.getByRole('button', { name: 'Show the personal data of this user' })
    await show.focus()
    await page.keyboard.press('Enter')
    await page.getByText('carl@customer.example').waitFor()
    const done = page.getByText('The audit log records that you asked.').first()
    await done.waitFor()
    assert.match(
      `${await page.evaluate('document.activeElement.textContent')}`,
      /audit log records/,
      'the focus is there',
    )
    assert.equal(await show.count(), 0)
    const [event] = await site.server.auditEvents({ action: 'console.reveal', user_id: ids.carl })
    assert.equal(event?.principal.type, 'operator')
    // It is shown until the page is left, and no longer.
    await page.getByRole('link', { name: 'Users' }).first().click()
    await page.getByText('c•••@•••').waitFor()
    assert.equal(await page.getByText('carl@customer.example').count(), 0)
    assert.equal((await site.server.auditEvents({ action: 'console.reveal' })).length, 1)
    // If the server refuses, the page shows the refusal, and the data stays hidden.
    await page.route('**/v1/audit_events/*', route => route.fulfill({ status: 429, json: {} }))
    await open('/audit', 'Audit')
    await page.locator('.row-open').first().click()
    await page.getByText('Personal data is masked.').waitFor()
    await page.getByRole('button', { name: 'Show the personal data of this event' }).press('Enter')
    await page.getByRole('dialog').getByRole('alert').waitFor()
    await page.unrouteAll()
    await page.getByRole('button', { name: 'Show the personal data of this event' }).press('Enter')
    await page.getByRole('dialog').getByText('The audit log records that you asked.').waitFor()
    assert.deepEqual(errorsOf(browser), [])
  })

  test('marks programs, which the payload names as agents', async () => {
    const page = await open('/live', 'Live')
    const tagged = (name: RegExp) => page.getByRole('row', { name }).getByText('Agent', { exact: true }).count()
    await page.getByRole('row', { name: /Billing agent/ }).waitFor()
    assert.deepEqual([await tagged(/Billing agent/), await tagged(/Sam Okafor/)], [1, 0])
  })

  test('ends a session: its row shows that within a second, and disappears', async () => {
    const { session_id } = await site.server.signIn({
      user_id: ids.carl,
      actor: { sub: 'leaver@support.example', name: 'Lea Leaver' },
    })
    const page = await open('/live', 'Live')
    const row = page.getByRole('row', { name: /Lea Leaver/ })
    await row.getByRole('button', { name: 'End session' }).press('Enter')
    await page.getByLabel('More about the reason').fill('left the company')
    const clicked = performance.now()
    await page.keyboard.press('Enter')
    await row.getByText(/^Ended \d\.\d s after the click/).waitFor()
    assert.ok(performance.now() - clicked < promised(1_000))
    const session = (await site.server.call('GET', `/v1/sessions/${session_id}`)).body
    assert.equal(session.status, 'revoked')
    const [event] = await site.server.auditEvents({ session_id, action: 'session.revoke' })
    assert.equal(event?.reason, 'The work is done: left the company')
    await row.waitFor({ state: 'detached' })
  })

  test('shows a session as soon as it begins, and selects and opens rows with keys', async () => {
    const page = await open('/live', 'Live')
    await page.getByText(/acting sessions now/).waitFor()
    await site.server.signIn({ user_id: ids.dana, actor: { sub: 'new@support.example', name: 'Nora New' } })
    await page.getByRole('row', { name: /Nora New/ }).waitFor({ timeout: promised(2_000) })
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await page.getByRole('button', { name: 'End 2 sessions' }).waitFor()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').getByRole('heading', { name: 'Who is really acting' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    assert.match(`${await page.evaluate('document.activeElement.className')}`, /row-open/, 'the focus is back')
    const before = page.url()
    await page.keyboard.press('/')
    await page.keyboard.type('g a j x ?')
    assert.equal(page.url(), before, 'keys are text in a field')
  })

  test('shows a session that begins while the list is being read', async () => {
    const { page } = browser
    let reads = 0
    let isRead = false
    await page.route(/\/v1\/acting\?/, async route => {
      reads += 1
      const isSecond = reads === 2
      const headers = { ...(await route.request().allHeaders()), 'sec-fetch-site': 'same-origin' }
      const answer = await route.fetch({ headers })
      assert.equal(answer.status(), 200)
      if (isSecond) {
        // It was read before this session began, and arrives after the stream has reported it.
        await site.server.signIn({ user_id: ids.dana, actor: { sub: 'between@support.example', name: 'Ben Between' } })
        await page.waitForTimeout(1_500)
      }
      await route.fulfill({ response: answer }).catch(() => {})
      isRead ||= isSecond
    })
    await open('/live', 'Live')
    await until(() => isRead, 'the list is not read again')
    await page.getByRole('row', { name: /Ben Between/ }).waitFor()
    await page.waitForTimeout(300)
    assert.equal(await page.getByRole('row', { name: /Ben Between/ }).count(), 1)
    assert.equal(reads, 2, 'the page read it again')
  })

  test('keeps what was typed when the server asks for another sign-in', async () => {
    const { page } = browser
    let refusals = 1
    await page.route('**/v1/actor_tokens', route => {
      if (route.request().method() !== 'POST' || refusals === 0) return route.fallback()
      refusals -= 1
      const errors = [{ code: 'step_up_required', message: 'Sign in again.', long_message: 'Sign in again.' }]
      return route.fulfill({ status: 403, json: { errors } })
    })
    await open(`/act?user=${ids.carl}`, 'Act as a user')
    await page.getByLabel('In a sentence').fill('The invoice of May')
    const button = page.getByRole('button', { name: 'Act as Carl for 15 minutes' })
    await page.locator('[type=submit]:enabled').first().waitFor()
    await button.click()
    await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
    const opened = page.context().waitForEvent('page')
    // The other tab comes back from the identity provider.
    await page.evaluate(`new BroadcastChannel('stagedoor.signed-in').postMessage('signed-in')`)
    await opened
    await page.getByText('opened in a new tab').waitFor()
    assert.equal(await page.getByLabel('In a sentence').inputValue(), 'The invoice of May')
    const [token] = (await site.server.call('GET', '/v1/actor_tokens?limit=1')).body
    assert.equal(token.reason, 'The invoice of May')
  })

  test('keeps filters in the URL, and a link shows the same events', async () => {
    const page = await open('/audit', 'Audit')
    await page.getByRole('button', { name: 'Filter', exact: true }).click()
    await page.getByLabel('What').selectOption('outcome')
    await page.getByLabel('Is', { exact: true }).selectOption('refused')
    await page.getByRole('button', { name: 'Add filter' }).click()
    await page.waitForURL(/outcome=refused/)
    await page.getByText('Done', { exact: true }).first().waitFor({ state: 'detached' })
    const rows = await page.getByRole('row').count()
    assert.ok(rows > 1)
    await page.goto(page.url())
    await page.getByText('may not act as').first().waitFor()
    assert.equal(await page.getByText('Done', { exact: true }).count(), 0)
  })

  test('scrolls through a long log with few rows in the page', async () => {
    const { page } = browser
    await page.route('**/v1/audit_events?**', async route => {
      const query = new URL(route.request().url()).searchParams
      const from = Number(query.get('starting_after') ?? 5_001)
      const data = Array.from({ length: 200 }, (_, index) => eventOf(from - 1 - index))
      await route.fulfill({ json: { data, ...(from > 201 ? { next_cursor: String(from - 200) } : {}) } })
    })
    await open('/audit', 'Audit')
    await page.getByText('5,000', { exact: true }).waitFor()
    for (let times = 0; times < 4; times++) {
      await page.evaluate('scrollTo(0, document.documentElement.scrollHeight)')
      await page.waitForTimeout(150)
    }
    const rows = await page.getByRole('row').count()
    assert.ok(rows < 80, `${rows} rows`)
    assert.ok(Number(await page.evaluate('scrollY')) > 5_000)
    assert.deepEqual(errorsOf(browser), [])
  })

  test('saves the policy after the number of sessions was typed, and restores the one before', async () => {
    const page = await open('/policy', 'Policy')
    await page.getByRole('button', { name: 'Support only looks' }).click()
    await page.getByRole('button', { name: 'Save policy' }).click()
    const dialog = page.getByRole('dialog')
    const save = dialog.getByRole('button', { name: 'Save policy' })
    const [, number = ''] = /This ends (\d+) acting session/.exec(await dialog.getByText(/This ends/).innerText()) ?? []
    assert.equal(await save.isDisabled(), true)
    await dialog.getByLabel(`Type ${number} to confirm`).fill(number)
    await dialog.getByLabel('Reason').fill('support tiers')
    await save.click()
    await page.getByText(/^Version 1, since/).waitFor()
    const policy = (await site.server.call('GET', '/v1/policy')).body
    assert.match(policy.text, /support\.read/)
    assert.equal(policy.reason, 'support tiers')
    await site.server.call('POST', '/v1/policy/rollback', { version: 0 })
    assert.deepEqual(errorsOf(browser), [])
  })

  test('asks before a change of the policy is lost', async () => {
    const page = await open('/policy', 'Policy')
    await page.getByRole('textbox', { name: 'The rules, in Cedar' }).fill('// mine')
    await page.getByText('Not saved').waitFor()
    await page.getByRole('link', { name: 'Audit' }).first().click()
    await page.getByRole('heading', { name: 'Leave without saving?' }).waitFor()
    await page.getByRole('button', { name: 'Stay' }).click()
    assert.match(page.url(), /\/policy$/)
  })

  test('shows texts of others as text: nothing that they contain is run or becomes a link', async () => {
    const payload = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>`
    const { page } = browser
    const user = await site.server.createUser({ first_name: payload, last_name: '"><svg onload=alert(1)>' })
    await site.server.signIn({
      user_id: user.id,
      actor: { sub: payload, name: payload, email: payload },
      reason: payload,
      ticket: 'javascript:document.title="run"',
    })
    for (const [path, heading] of [
      ['/live', 'Live'],
      ['/users', 'Users'],
      ['/audit', 'Audit'],
    ] as const) {
      await open(path, heading)
      await page.getByText('onerror=').first().waitFor()
      assert.equal(await page.locator('img, main script, a[href^=javascript]').count(), 0, path)
      assert.notEqual(await page.title(), 'run', path)
    }
    assert.deepEqual(errorsOf(browser), [])
  })

  test('changes theme and density, and keeps them', async () => {
    const page = await open('/live', 'Live')
    await page.getByRole('button', { name: /: menu$/ }).click()
    await page.locator('.segment', { hasText: 'Dark' }).click()
    await page.getByLabel('Dense rows').check()
    await page.reload()
    await page.getByRole('heading', { name: 'Live' }).waitFor()
    assert.equal(await page.evaluate('getComputedStyle(document.documentElement).colorScheme'), 'dark')
    assert.equal(await page.evaluate('document.documentElement.dataset.density'), 'dense')
  })

  test('can be used within a second', async () => {
    await open('/live', 'Live')
    const { page } = browser
    await page.reload()
    await page.getByText(/acting sessions? now|No acting sessions now/).waitFor()
    const took = Number(await page.evaluate('performance.now()'))
    assert.ok(took < promised(1_000), `${took} ms`)
  })
})

function eventOf(seq: number): object {
  return {
    object: 'audit_event',
    id: `evt_${seq}`,
    seq,
    at: 1_790_000_000_000 + seq * 1_000,
    action: 'actor_token.create',
    outcome: 'done',
    code: null,
    principal: { type: 'secret_key', id: 'key_1' },
    actor_sub: 'olivia',
    actor: { sub: 'olivia' },
    actor_token_id: null,
    session_id: null,
    user_id: null,
    target_id: null,
    reason:
      seq % 7 === 0 ? 'A reason that is longer than one line of the table can show, so that it is cut there' : null,
    details: null,
    address: null,
    user_agent: null,
    trace_id: 'trace',
    leaf_hash: 'ab'.repeat(32),
  }
}
