import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { launchBrowser, openUnwatched, signedIn, type TestApp, testApp } from './support/browser.ts'
import { freePort } from './support/ports.ts'
import { expectOk, type TestServer, testServer } from './support/server.ts'
import { type Site, startClerkSite } from './support/site.ts'
import { until } from './support/time.ts'

const actor = { sub: 'user_operator', name: 'Olivia Operator', email: 'olivia@support.example' }

let site: Site<TestApp>
let server: TestServer
let app: TestApp
let serverURL: string

before(async () => {
  site = await startClerkSite()
  ;({ server, app, serverURL } = site)
})
after(() => site?.[Symbol.asyncDispose]())

async function actorToken(at = server, fields: object = {}) {
  const user = await at.createUser({
    first_name: 'Carl',
    last_name: 'Customer',
    email_address: [`carl${Math.random()}@customer.example`],
  })
  return at.createActorToken({ user_id: user.id, actor, reason: 'Ticket 4711: the export fails', ...fields })
}
const statusOf = async (id: string, at = server) => expectOk(await at.call('GET', `/v1/actor_tokens/${id}`)).status

/** Records the requests of a page, to check that it loads nothing else. */
function watch(page: Page) {
  const requests: string[] = []
  page.on('request', it => it.url().startsWith('data:') || requests.push(`${it.method()} ${it.url()}`))
  return requests
}

describe('the accept page, in Chromium', () => {
  test('R15 loading it redeems nothing; a click redeems, and then the app has the session', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const { id, url, token, user_id } = await actorToken()
    const requests = watch(page)
    await page.goto(url)
    await page.waitForTimeout(500)
    assert.deepEqual(requests, [`GET ${url}`], 'the page needs one request only')
    assert.equal(await statusOf(id), 'pending')
    await page.getByRole('button', { name: 'Act as Carl Customer' }).click()
    const shown = await signedIn(page, user_id)
    assert.deepEqual(shown.actor, actor)
    assert.equal(await statusOf(id), 'accepted')
    assert.deepEqual(browser.errors, [])

    await page.goto(`${app.url}/sign-in?__clerk_ticket=${token}&__clerk_status=sign_in`)
    assert.deepEqual(await signedIn(page, user_id), shown, 'a reload gets the same session')
  })

  test('works without scripts, appears at once, is small, and sends no referrer to other sites', async () => {
    await using browser = await launchBrowser({ javaScriptEnabled: false })
    const { page } = browser
    const { url } = await actorToken()
    const answer = await page.goto(url)
    const weight = (await answer?.body())?.length ?? 0
    assert.ok(weight > 1_000 && weight < 50_000, `${weight} bytes`)
    await page.getByRole('heading', { name: 'Act as Carl Customer?' }).waitFor()
    const sent = page.waitForRequest(it => it.url().startsWith(`${app.url}/sign-in`))
    await page.getByRole('button').click()
    const headers = await (await sent).allHeaders()
    assert.equal(headers['referer'], undefined, 'R16')
  })

  test('shows who acts as whom first, even on a small screen, and works with the keyboard alone', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const { id, url, user_id } = await actorToken(server, { return_url: `${app.url}/operator` })
    await page.setViewportSize({ width: 320, height: 568 })
    await page.goto(url)
    assert.equal(await page.evaluate('scrollY'), 0)
    for (const text of ['Act as Carl Customer?', 'Olivia Operator', user_id]) {
      const box = await page.getByText(text, { exact: true }).first().boundingBox()
      assert.ok(box && box.y >= 0 && box.y + box.height <= 568, `${text}: ${JSON.stringify(box)}`)
    }
    assert.equal(await page.evaluate('document.activeElement.tagName'), 'BODY', 'no element has the focus')
    const sizeOf = async (selector: string) =>
      Number.parseFloat(`${await page.evaluate(`getComputedStyle(document.querySelector('${selector}')).fontSize`)}`)
    assert.ok((await sizeOf('dd .id')) < (await sizeOf('dd strong')) - 3, 'ids are smaller than names')

    const focused = () => page.evaluate('document.activeElement.textContent')
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'Act as Carl Customer')
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'Cancel')
    await page.keyboard.press('Enter')
    await page.waitForURL(`${app.url}/operator`)
    assert.equal(await statusOf(id), 'pending', 'the ticket is not used up')
    await page.goto(url)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await signedIn(page, user_id)
  })

  test('is in German for a German browser, and so are other pages', async () => {
    await using browser = await launchBrowser({ locale: 'de-DE' })
    const { page } = browser
    const { url } = await actorToken()
    for (const [address, title] of [
      [url, 'Als Carl Customer handeln?'],
      [`${url}x`, 'Dieser Link funktioniert nicht'],
      [serverURL, 'Sie brauchen einen Link'],
      [`${serverURL}/nothing`, 'Seite nicht gefunden'],
    ] as const) {
      await page.goto(address)
      assert.equal(await page.getByRole('heading').innerText(), title)
      assert.equal(await page.title(), title)
      assert.deepEqual(await axe(page), [])
    }
  })

  for (const [width, height] of [
    [320, 568],
    [390, 800],
    [1_280, 800],
  ] as const) {
    test(`R15 fits ${width} px, in light and dark, with long words`, async () => {
      await using browser = await launchBrowser()
      const { page } = browser
      const long = await actorToken(server, {
        actor: { sub: 'x'.repeat(200), name: 'Donaudampfschifffahrtsgesellschaftskapitän'.repeat(3) },
        reason: 'https://support.example/tickets/'.repeat(12),
      })
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize({ width, height })
        for (const { url } of [await actorToken(), long, { url: `${long.url}x` }]) {
          await page.goto(url)
          const wide = Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth'))
          assert.ok(wide <= 0, `${wide} px too wide`)
          const violations = await axe(page)
          assert.deepEqual(violations, [])
        }
      }
    })
  }

  test('with STAGEDOOR_ACCEPT_PAGE=redirect the link leads directly to the app, as with Clerk', async () => {
    await using redirecting = await startClerkSite({ kind: 'live', env: { STAGEDOOR_ACCEPT_PAGE: 'redirect' } })
    await using browser = await launchBrowser()
    const { url, user_id } = await actorToken(redirecting.server)
    await browser.page.goto(url)
    assert.deepEqual((await signedIn(browser.page, user_id)).actor, actor)
  })
})

describe('a ticket that does not work, in the app’s own sign-in page', () => {
  const cases: Record<string, (token: { id: string; token: string; user_id: string }) => Promise<unknown>> = {
    'has already been used': ({ token }) => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }),
    'has been revoked': ({ id }) => server.call('POST', `/v1/actor_tokens/${id}/revoke`),
    'is locked and cannot be signed in': ({ user_id }) => server.call('POST', `/v1/users/${user_id}/lock`),
    'has expired': () => new Promise(resolve => setTimeout(resolve, 1_100)),
  }
  for (const [words, spoil] of Object.entries(cases)) {
    test(`it ${words}: <SignIn/> shows the reason`, async () => {
      await using browser = await launchBrowser()
      const token = await actorToken(server, words === 'has expired' ? { expires_in_seconds: 1 } : {})
      await spoil(token)
      await browser.page.goto(`${app.url}/sign-in?__clerk_ticket=${token.token}&__clerk_status=sign_in`)
      await browser.page.getByText(words).first().waitFor()
    })
  }

  test('on another site than the server’s: the page shows the reason and uses nothing up', async () => {
    await using browser = await launchBrowser()
    const { page } = browser
    const { id, token, user_id } = await actorToken()
    const path = `/sign-in?__clerk_ticket=${token}&__clerk_status=sign_in`
    await page.goto(app.url.replace('127.0.0.1', 'localhost') + path)
    await page.getByText('Your browser blocks cookies between').first().waitFor()
    assert.equal(await statusOf(id), 'pending')
    await page.goto(app.url + path)
    await signedIn(page, user_id)
  })
})

describe('prefetching and prerendering', () => {
  /** Everything on one origin, as behind a proxy: only there does Chromium prerender freely. */
  async function oneOrigin() {
    const port = await freePort()
    const origin = `http://127.0.0.1:${port}`
    const single = await testServer({
      realTime: true,
      env: {
        STAGEDOOR_SIGNING_ALG: 'RS256',
        STAGEDOOR_PUBLIC_URL: origin,
        STAGEDOOR_SIGN_IN_URL: `${origin}/sign-in`,
        STAGEDOOR_ACCEPT_PAGE: 'redirect',
      },
    })
    const upstream = await single.listen()
    const behind = await testApp({ serverURL: origin, kind: 'test' })
    const seen: { method: string | undefined; path: string; purpose: string | undefined }[] = []
    const front = createServer((incoming, outgoing) => {
      const { pathname, searchParams } = new URL(incoming.url ?? '', origin)
      seen.push({ method: incoming.method, path: pathname, purpose: incoming.headers['sec-purpose'] as string })
      if (pathname !== '/links') return pass(incoming, outgoing, /^\/(v1|npm)\//.test(pathname) ? upstream : behind.url)
      const url = searchParams.get('url') ?? ''
      const rules = { [searchParams.get('way') ?? '']: [{ urls: [url], eagerness: 'immediate' }] }
      outgoing.setHeader('content-type', 'text/html; charset=utf-8')
      outgoing.end(
        `<!doctype html><title>Links</title><link rel="icon" href="data:,"><script type="speculationrules">${JSON.stringify(rules)}</script><a href="${url.replaceAll('&', '&amp;')}">Go</a>`,
      )
    })
    await new Promise<void>(resolve => front.listen(port, '127.0.0.1', resolve))
    return {
      single,
      seen,
      links: (way: 'prefetch' | 'prerender', url: string) => `${origin}/links?${new URLSearchParams({ way, url })}`,
      signIn: (token: string) => `${origin}/sign-in?__clerk_ticket=${token}&__clerk_status=sign_in`,
      async [Symbol.asyncDispose]() {
        front.closeAllConnections()
        await new Promise(resolve => front.close(resolve))
        await behind[Symbol.asyncDispose]()
        await single[Symbol.asyncDispose]()
      },
    }
  }
  /** Waits until Chromium has finished prefetching or prerendering. */
  async function quiet(seen: unknown[]) {
    for (let before = -1; before !== seen.length; await new Promise(resolve => setTimeout(resolve, 2_000)))
      before = seen.length
  }

  test('R15 prefetching redeems nothing; a later click works', async () => {
    await using site = await oneOrigin()
    await using browser = await launchBrowser()
    const { page } = browser
    for (const way of ['link', 'sign-in page'] as const) {
      const { id, url, token, user_id } = await actorToken(site.single)
      site.seen.length = 0
      await page.goto(site.links('prefetch', way === 'link' ? url : site.signIn(token)))
      await quiet(site.seen)
      assert.ok(
        site.seen.some(({ purpose }) => purpose?.includes('prefetch')),
        `Chromium prefetched nothing: ${JSON.stringify(site.seen)}`,
      )
      assert.equal(await statusOf(id, site.single), 'pending')
      await page.getByRole('link').click()
      if (way === 'link') await page.getByRole('button', { name: /^Act as/ }).click()
      await signedIn(page, user_id)
    }
  })

  test('R15 prerendering redeems nothing, although the app’s sign-in page runs and tries', async () => {
    await using site = await oneOrigin()
    for (const way of ['link', 'sign-in page'] as const) {
      const { id, url, token } = await actorToken(site.single)
      site.seen.length = 0
      await using _browser = openUnwatched(site.links('prerender', way === 'link' ? url : site.signIn(token)))
      await until(() => site.seen.length > 0, 'Chromium requested nothing', 10_000)
      await quiet(site.seen)
      const prerendered = site.seen.filter(({ purpose }) => purpose?.includes('prerender'))
      assert.ok(prerendered.length > 0, `Chromium prerendered nothing: ${JSON.stringify(site.seen)}`)
      const tried = prerendered.some(({ method, path }) => method === 'POST' && path === '/v1/client/sign_ins')
      assert.equal(tried, way === 'sign-in page', JSON.stringify(site.seen))
      assert.equal(await statusOf(id, site.single), 'pending')
    }
  })
})

/** Forwards a request. */
function pass(incoming: IncomingMessage, outgoing: ServerResponse, to: string): void {
  const { method, headers } = incoming
  const onward = request(`${to}${incoming.url}`, { method, headers }, answer => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(outgoing)
  })
  onward.on('error', () => outgoing.destroy())
  incoming.pipe(onward)
}

async function axe(page: Page): Promise<string[]> {
  const { source } = (await import('axe-core')).default
  // Through the debugger, because the page's own policy blocks scripts.
  await page.evaluate(source)
  const { violations } = (await page.evaluate('axe.run()')) as {
    violations: { id: string; nodes: { html: string }[] }[]
  }
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' ')}`)
}
