import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Answer, cookieOf, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { loadConfig } from '../src/config.ts'
import { fapi } from '../src/contract/fapi.ts'
import { errorCodesOf } from '../src/contract/openapi.ts'
import { catalogue } from '../src/http/browser/texts/index.ts'

const env = { STAGEDOOR_SIGNING_ALG: 'EdDSA' }
const BROWSER = { authorization: undefined, accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

const pathOf = (url: string) => new URL(url).pathname + new URL(url).search
const open = (server: TestServer, url: string, headers: Record<string, string | undefined> = {}, method = 'GET') =>
  server.call(method, pathOf(url), undefined, { ...BROWSER, ...headers })
const statusOf = async (server: TestServer, id: string) =>
  expectOk(await server.call('GET', `/v1/actor_tokens/${id}`)).status

/** Requests from programs that open links without a click: mail scanners, link previews, crawlers. */
const SCANNERS = [
  'Mozilla/5.0 (compatible; Barracuda Sentinel (EE))',
  'Mozilla/4.0 (compatible; ms-office; MSOffice 16)',
  'Microsoft Office Outlook 16.0.0 (Safe Links)',
  'ProofpointURLDefense/1.0',
  'Mimecast-URL-Protection/2.0',
  'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)',
  'Slack-ImgProxy (+https://api.slack.com/robots)',
  'Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)',
  'TelegramBot (like TwitterBot)',
  'WhatsApp/2.23.20.0',
  'facebookexternalhit/1.1',
  'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
]

for (const mode of ['confirm', 'redirect'] as const) {
  describe(`opening a ticket, STAGEDOOR_ACCEPT_PAGE=${mode}`, () => {
    it('R14 changes nothing, no matter what opens it or how often', async () => {
      await using server = await testServer({ env: { ...env, STAGEDOOR_ACCEPT_PAGE: mode } })
      const { id, url, token } = await server.createActorToken()
      const before = await server.auditEvents()
      for (const agent of SCANNERS) {
        for (const [method, headers] of [
          ['GET', {}],
          ['HEAD', {}],
          ['GET', { purpose: 'prefetch' }],
          ['GET', { 'sec-purpose': 'prefetch' }],
          ['HEAD', { 'sec-purpose': 'prefetch;prerender' }],
          ['GET', { 'sec-purpose': 'prefetch;prerender' }],
          ['GET', { 'x-moz': 'prefetch' }],
        ] as const) {
          const answer = await open(server, url, { 'user-agent': agent, ...headers }, method)
          const prepared = Object.keys(headers).length > 0
          assert.equal(answer.status, mode === 'redirect' && !prepared ? 303 : 200)
          assert.equal(answer.headers.get('cache-control'), 'no-store, private')
        }
      }
      assert.deepEqual(await server.auditEvents(), before, 'nothing happened')
      assert.equal(await statusOf(server, id), 'pending')
      assert.equal((await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token })).status, 200)
    })

    it('R16 sends no referrer, is not cached, cannot be framed, and loads nothing from elsewhere', async () => {
      await using server = await testServer({ env: { ...env, STAGEDOOR_ACCEPT_PAGE: mode } })
      const { url } = await server.createActorToken()
      for (const answer of [
        await open(server, url),
        await open(server, `${url}x`),
        await open(server, url, {}, 'HEAD'),
      ]) {
        const page = answer.headers.get('content-type')?.startsWith('text/html')
        assert.equal(answer.headers.get('referrer-policy'), page ? 'same-origin' : 'no-referrer')
        assert.equal(answer.headers.get('cache-control'), 'no-store, private')
        assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
        if (!page) continue
        const policy = answer.headers.get('content-security-policy') ?? ''
        assert.match(policy, /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; img-src data:; form-action /)
        assert.match(policy, /base-uri 'none'; frame-ancestors 'none'$/)
        assert.equal(answer.headers.get('x-frame-options'), 'DENY')
        assert.doesNotMatch(answer.text, /<script|javascript:| on\w+=| src=|<link(?! rel="icon" href="data:,")/i)
        assert.ok(Buffer.byteLength(answer.text) < 50_000)
      }
    })
  })
}

describe('the accept page and the policy', () => {
  const TICKETS = `@id("t") permit (principal, action in Action::"act", resource)
when { context has reason && context.reason has ticket };`
  const apply = async (server: TestServer, text: string) =>
    expectOk(await server.call('PUT', '/v1/policy', { text, off: ['base.reason'], expect_refused: 100 }))

  it('shows the category, the reason and the ticket: as a link if it is the address of a page', async () => {
    await using server = await testServer({ env })
    for (const [ticket, shown] of [
      ['T-1 <b>', 'T-1 &lt;b&gt;'],
      [
        'https://help.example/T-1?a=1&b="',
        '<a href="https://help.example/T-1?a=1&amp;b=%22" target="_blank" rel="noopener noreferrer">https://help.example/T-1?a=1&amp;b=&quot;</a>',
      ],
      ['javascript:alert(1)', 'javascript:alert(1)'],
      ['http://help.example/T-1', 'http://help.example/T-1'],
      ['https://name:secret@help.example/', 'https://name:secret@help.example/'],
    ] as const) {
      const fields = { reason: 'The export fails', reason_category: 'incident', ticket }
      const token = await server.createActorToken(fields)
      const { text } = await open(server, token.url)
      assert.ok(text.includes(`<dd>${shown}</dd>`), text)
      assert.ok(text.includes('<dd>incident: The export fails</dd>'), text)
      const read = expectOk(await server.call('GET', `/v1/actor_tokens/${token.id}`))
      assert.deepEqual([read.reason, read.reason_category, read.ticket], Object.values(fields))
      const [event] = await server.auditEvents({ actor_token_id: token.id })
      assert.deepEqual((event as { details?: { reason: object } }).details?.reason, { category: 'incident', ticket })
    }
    const { url } = await server.createActorToken({ reason_category: 'change' })
    assert.match((await open(server, url)).text, /<dd>change<\/dd>/)
  })

  it('refuses before the click what the policy no longer allows, without naming the rule', async () => {
    await using server = await testServer({ env })
    const refused = await server.createActorToken()
    const allowed = await server.createActorToken({ ticket: 'T-1' })
    await apply(server, TICKETS)
    const page = await open(server, refused.url)
    assert.equal(page.status, 403)
    assert.match(page.text, /You may not act as this user/)
    assert.doesNotMatch(page.text, /determined|ticket is|@id|permit|"t"/)
    const confirmed = await server.post('/v1/tickets/accept', { ticket: refused.token }, { accept: 'text/html' })
    assert.equal(confirmed.status, 403)
    assert.equal(await statusOf(server, refused.id), 'pending')
    assert.equal((await open(server, allowed.url)).status, 200)
    await apply(server, '@id("all") permit (principal, action in Action::"act", resource);')
    assert.equal((await open(server, refused.url)).status, 200)
  })
})

describe('the confirmation page', () => {
  const actor = { sub: 'user_operator', name: 'Olivia Operator', email: 'olivia@support.example' }

  it('shows the actor, the user, the duration and the reason', async () => {
    await using server = await testServer({ env })
    const user = await server.createUser({
      first_name: 'Carl',
      last_name: 'Customer',
      email_address: ['carl@customer.example'],
    })
    const { url } = await server.createActorToken({
      user_id: user.id,
      actor,
      reason: 'Ticket 4711: the export fails',
      session_max_duration_in_seconds: 900,
    })
    const { status, text } = await open(server, url)
    assert.equal(status, 200)
    for (const words of [
      'Act as Carl Customer?',
      'Olivia Operator',
      'user_operator',
      'carl@customer.example',
      user.id,
      'Ticket 4711: the export fails',
      'At most 15 minutes; it ends after 10 minutes without use',
      'Opens once, within 1 hour.',
      'You go on to 127.0.0.1:4101.',
    ])
      assert.ok(text.includes(words), words)
  })

  it('shows an AI agent as one', async () => {
    await using server = await testServer({ env })
    const { url } = await server.createActorToken({ actor: { sub: 'agent_1', type: 'agent', name: 'Billing bot' } })
    const { text } = await open(server, url)
    assert.match(text, /An AI agent acts as a user/)
    assert.match(text, /<dt>AI agent<\/dt><dd><strong><bdi>Billing bot/)
  })

  it('shows all values as text, even if they look like markup', async () => {
    await using server = await testServer({ env })
    const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
    const user = await server.createUser({ first_name: evil, last_name: '\u202Eevil' })
    const { url } = await server.createActorToken({
      user_id: user.id,
      actor: { sub: evil, name: evil, type: evil },
      reason: evil,
    })
    const { text } = await open(server, url)
    assert.ok(text.includes('&lt;script&gt;alert(1)'))
    assert.doesNotMatch(text, /<script|<img|onerror=alert\(1\)>/)
    const title = await open(server, url.replace('ticket=', `x=${encodeURIComponent(evil)}&ticket=`))
    assert.doesNotMatch(title.text, /<script|<img/)
  })

  it('has its own text for a sign-in token', async () => {
    await using server = await testServer({ env })
    const user = await server.createUser({ first_name: 'Carl' })
    const { url } = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id: user.id }))
    const { text } = await open(server, url)
    assert.match(text, /Sign in as Carl\?/)
    assert.doesNotMatch(text, /Acting/)
  })

  it('has a button that redirects the browser to the app and redeems nothing', async () => {
    await using server = await testServer({ env })
    const { id, url, token } = await server.createActorToken()
    const page = await open(server, url)
    const cookie = cookieOf(page)
    assert.match(cookie, /^__client=/, 'the cookie identifies the browser from now on')
    assert.match(page.text, /<form method="post" action="http:\/\/127\.0\.0\.1:4100\/v1\/tickets\/accept">/)
    const answer = await server.post(
      '/v1/tickets/accept',
      { ticket: token },
      { origin: 'http://127.0.0.1:4100', 'sec-fetch-site': 'same-origin', cookie },
    )
    assert.equal(answer.status, 303)
    const to = new URL(answer.headers.get('location') ?? '')
    assert.deepEqual(
      [to.origin, to.pathname, Object.fromEntries(to.searchParams)],
      ['http://127.0.0.1:4101', '/sign-in', { __clerk_ticket: token, __clerk_status: 'sign_in' }],
    )
    assert.equal(answer.headers.get('referrer-policy'), 'no-referrer')
    assert.equal(await statusOf(server, id), 'pending')
  })

  it('keeps the existing query of the sign-in page’s URL', async () => {
    await using server = await testServer({
      env: { ...env, STAGEDOOR_ACCEPT_PAGE: 'redirect', STAGEDOOR_SIGN_IN_URL: 'http://127.0.0.1:4101/in?a=b&c=d#e' },
    })
    const { url, token } = await server.createActorToken()
    const to = new URL((await open(server, url)).headers.get('location') ?? '')
    assert.deepEqual(Object.fromEntries(to.searchParams), {
      a: 'b',
      c: 'd',
      __clerk_ticket: token,
      __clerk_status: 'sign_in',
    })
  })

  it('R19 has a button that other sites cannot submit', async () => {
    await using server = await testServer({
      env: { ...env, STAGEDOOR_ENVIRONMENT: 'production', STAGEDOOR_SECRET_KEY: '' },
    })
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const answer = await server.post('/v1/tickets/accept', { ticket: 'x' }, { ...headers, accept: 'text/html' })
      assert.equal(answer.status, 400)
      assert.match(answer.text, /This is not the address of this server/)
      assert.match(answer.text, /origin_invalid/)
    }
  })
})

describe('the texts of the pages', () => {
  const german = { 'accept-language': 'de-AT,de;q=0.9,en;q=0.5' }
  const page = async (settings: Record<string, string>, headers: Record<string, string>) => {
    await using server = await testServer({ env: { ...env, ...settings } })
    const user = await server.createUser({ first_name: 'Carl' })
    const { url } = await server.createActorToken({ user_id: user.id, session_max_duration_in_seconds: 5_400 })
    return await open(server, url, headers)
  }

  it('are in the language of the browser or of the setting', async () => {
    const [en, de] = [/<html lang="en">[\s\S]*Act as Carl\?/, /<html lang="de">[\s\S]*Als Carl handeln\?/]
    for (const [languages, accepted, expected] of [
      ['en,de', undefined, en],
      ['en,de', 'de', de],
      ['en,de', 'DE-at', de],
      ['en,de', 'fr, de;q=0.8, en;q=0.5', de],
      ['en,de', 'de;q=0, en;q=0.1', en],
      ['en,de', 'fr', en],
      ['en,de', '*', en],
      ['en,de', ';;;,q=,de;q=x', en],
      ['de,en', 'fr', de],
      ['de,en', 'en-GB', en],
      ['de', 'en', de],
    ] as const) {
      const headers = accepted === undefined ? {} : { 'accept-language': accepted }
      const answer = await page({ STAGEDOOR_LANGUAGES: languages }, headers as Record<string, string>)
      assert.match(answer.text, expected, `${languages}, ${accepted}`)
      assert.equal(answer.headers.get('content-language'), expected === de ? 'de' : 'en')
      assert.match(answer.headers.get('vary') ?? '', /Accept-Language/)
    }
  })

  it('show durations in that language', async () => {
    assert.match((await page({}, german)).text, /Höchstens 1 Stunde, 30 Minuten\.[\s\S]*Noch gültig: 1 Stunde\./)
    assert.match((await page({}, {})).text, /At most 1 hour, 30 minutes;/)
  })

  it('exist in every language, for every error that a page can show', () => {
    const pages = fapi.filter(operation => operation.page)
    const codes = new Set([...pages.flatMap(errorCodesOf), 'resource_not_found', 'internal_clerk_error'])
    const keysOf = (value: unknown, path = ''): string[] =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).flatMap(([key, inner]) => keysOf(inner, `${path}.${key}`))
        : [path]
    for (const [language, texts] of Object.entries(catalogue)) {
      const missing = [...codes].filter(code => !(code in texts.errors))
      assert.deepEqual(missing, [], language)
      assert.deepEqual(keysOf(texts).sort(), keysOf(catalogue.en).sort(), language)
      assert.doesNotMatch(JSON.stringify({ ...texts, errors: Object.values(texts.errors) }), /clerk/i, language)
    }
    const { languages } = loadConfig({})
    assert.deepEqual(languages, Object.keys(catalogue))
  })

  it('never mention Clerk', async () => {
    await using server = await testServer({ env })
    const { url } = await server.createActorToken()
    const failing = await testServer({ env })
    const broken = await failing.createActorToken()
    failing.stagedoor.services.store.actorTokens.find = () => Promise.reject(new Error('broken'))
    const pages = [
      await open(server, url),
      await open(server, `${url}x`),
      await open(server, url.replace(/ticket=.*/, '')),
      await open(server, 'http://127.0.0.1:4100/'),
      await open(failing, broken.url),
    ]
    await failing[Symbol.asyncDispose]()
    assert.deepEqual(
      pages.map(({ status }) => status),
      [200, 400, 422, 404, 500],
    )
    for (const { text } of pages) assert.doesNotMatch(text, /clerk/i)
  })

  it('show the name and the logo from the settings, inside the page', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'stagedoor-logo-'))
    const file = (name: string, content: string | Buffer) => {
      writeFileSync(join(directory, name), content)
      return join(directory, name)
    }
    const png = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      'base64',
    )
    const svg = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for (const [path, type] of [
      [file('logo.png', png), 'image/png'],
      [file('logo', svg), 'image/svg+xml'],
    ] as const) {
      const { text } = await page({ STAGEDOOR_BRAND_NAME: 'Acme <Support>', STAGEDOOR_BRAND_LOGO: path }, {})
      assert.match(text, /<span>Acme &lt;Support&gt;<\/span>/)
      assert.ok(text.includes(`<img src="data:${type};base64,`), path)
      assert.doesNotMatch(text, /<script/)
    }
    for (const [path, words] of [
      [join(directory, 'missing.png'), /STAGEDOOR_BRAND_LOGO: ENOENT/],
      [file('page.svg', '<html><svg></svg></html>'), /STAGEDOOR_BRAND_LOGO: .* is not an image/],
      [file('large.svg', `<svg>${' '.repeat(30_000)}</svg>`), /at most 24000/],
    ] as const)
      await assert.rejects(testServer({ env: { ...env, STAGEDOOR_BRAND_LOGO: path } }), words)
    rmSync(directory, { recursive: true })
  })

  it('offer a way back that does not use up the ticket', async () => {
    await using server = await testServer({ env })
    const cancelOf = ({ text }: Answer) => /<a class="cancel" href="([^"]+)">Cancel<\/a>/.exec(text)?.[1]
    const { url } = await server.createActorToken()
    assert.equal(cancelOf(await open(server, url)), 'http://127.0.0.1:4101/')
    const from = await server.createActorToken({ return_url: 'http://127.0.0.1:4101/users/7?tab=1&x=2' })
    assert.equal(cancelOf(await open(server, from.url)), 'http://127.0.0.1:4101/users/7?tab=1&amp;x=2')
    assert.doesNotMatch((await open(server, url)).text, /autofocus/)
  })
})

describe('an address without a page', () => {
  const browsers = ['text/html,application/xhtml+xml,*/*;q=0.8', 'TEXT/HTML', 'application/json;q=0.5, text/html']
  const clients = [undefined, '*/*', 'application/json', 'text/html;q=0, application/json', 'application/xhtml+xml']

  it('returns a page in the browser’s language to a browser, and JSON to an API client', async () => {
    await using server = await testServer({ env })
    for (const path of ['/', '/nothing', '/v1/nothing', '/v1/users/', '/v1/tickets', '/%2e%2e/x']) {
      for (const accept of browsers) {
        const answer = await server.call('GET', path, undefined, { ...BROWSER, accept, 'accept-language': 'de' })
        assert.equal(answer.status, 404, path)
        assert.match(answer.headers.get('content-type') ?? '', /^text\/html/)
        assert.match(answer.text, path === '/' ? /Sie brauchen einen Link/ : /Seite nicht gefunden/)
        assert.match(answer.headers.get('content-security-policy') ?? '', /^default-src 'none'/)
      }
      for (const accept of clients) {
        const answer = await server.call('GET', path, undefined, { ...BROWSER, accept })
        assert.equal(answer.status, 404, `${path} ${accept}`)
        assert.deepEqual(answer.codes, ['resource_not_found'])
      }
      const sent = await server.call('POST', path, {}, BROWSER)
      assert.match(sent.headers.get('content-type') ?? '', /^application\/json/, 'a form post gets no page')
    }
    assert.equal((await open(server, 'http://x/', {}, 'HEAD')).headers.get('content-language'), 'en')
  })
})

describe('the page for a ticket that does not work', () => {
  const cases: Record<string, (server: TestServer) => Promise<{ url: string }>> = {
    'actor_token_already_used_code: This link has been used': async server => {
      const token = await server.createActorToken()
      expectOk(await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token }))
      return token
    },
    'ticket_expired_code: This link is too old': async server => {
      const token = await server.createActorToken({ expires_in_seconds: 60 })
      server.clock.advance(61)
      return token
    },
    'actor_token_revoked_code: This link was taken back': async server => {
      const token = await server.createActorToken()
      expectOk(await server.call('POST', `/v1/actor_tokens/${token.id}/revoke`))
      return token
    },
    'user_banned: This user may not be signed in': async server => {
      const token = await server.createActorToken()
      // A ban revokes pending tokens, so this test uses locks.
      const user = await server.createUser()
      const other = await server.createActorToken({ user_id: user.id })
      expectOk(await server.call('POST', `/v1/users/${token.user_id}/lock`))
      expectOk(await server.call('POST', `/v1/users/${user.id}/lock`))
      return other
    },
    'ticket_invalid_code: This link does not work': async server => {
      const { url } = await server.createActorToken()
      return { url: `${url.slice(0, -1)}${url.endsWith('A') ? 'B' : 'A'}` }
    },
    'ticket_invalid_code: This link does not work (another server’s)': async () => {
      await using other = await testServer({ env })
      return await other.createActorToken()
    },
    'actor_banned: You may not act as anyone': async server => {
      const operator = await server.createUser()
      const token = await server.createActorToken({ actor: { sub: operator.id } })
      expectOk(await server.call('POST', `/v1/users/${operator.id}/lock`))
      return token
    },
  }
  for (const [name, prepare] of Object.entries(cases)) {
    const [code = '', title = ''] = name.replace(/ \(.*/, '').split(': ')
    const expected = code === 'user_banned' ? 'user_locked' : code
    it(`${title}: ${expected}, on GET and on the button, and JSON for API clients`, async () => {
      await using server = await testServer({ env })
      const { url } = await prepare(server)
      const before = await server.auditEvents()
      const ticket = new URL(url).searchParams.get('ticket') ?? ''
      const button = await server.post('/v1/tickets/accept', { ticket }, { accept: 'text/html' })
      for (const answer of [await open(server, url), button]) {
        assert.ok([400, 403].includes(answer.status), answer.text)
        assert.match(answer.headers.get('content-type') ?? '', /^text\/html/)
        assert.ok(answer.text.includes(`<h1>${title}</h1>`), answer.text)
        assert.ok(answer.text.includes(expected), 'the page shows the error code for the server’s operator')
        assert.ok(answer.text.includes(answer.headers.get('clerk-trace-id') ?? '?'))
      }
      assert.deepEqual((await open(server, url, { accept: '*/*' })).codes, [expected])
      assert.deepEqual(await server.auditEvents(), before, 'opening the page changes nothing')
    })
  }

  it('a deleted user', async () => {
    await using server = await testServer({ env })
    const { url, user_id } = await server.createActorToken()
    expectOk(await server.call('DELETE', `/v1/users/${user_id}`))
    // Deleting a user revokes the pending tokens of that user.
    const answer = await open(server, url)
    assert.match(answer.text, /This link was taken back|There is no such user any more/)
  })

  it('R28 shows the same page again to the browser that redeemed the ticket a moment ago', async () => {
    await using server = await testServer({ env })
    const { url, token } = await server.createActorToken()
    const redeemed = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token })
    assert.equal((await open(server, url, { cookie: cookieOf(redeemed) })).status, 200)
    server.clock.advance(61)
    assert.equal((await open(server, url, { cookie: cookieOf(redeemed) })).status, 400)
  })

  it('refuses third-party cookies that the browser would not keep, before the ticket is used up', async () => {
    await using server = await testServer({ env })
    const { id, token } = await server.createActorToken()
    const form = { strategy: 'ticket', ticket: token }
    const answer = await server.post('/v1/client/sign_ins', form, {
      origin: 'http://localhost:3000',
      'sec-fetch-site': 'cross-site',
    })
    assert.deepEqual([answer.status, answer.codes], [400, ['third_party_cookies_blocked']])
    const [{ long_message, meta }] = answer.body.errors
    assert.match(long_message, /between http:\/\/localhost:3000 and http:\/\/127\.0\.0\.1:4100/)
    assert.match(meta.action, /127\.0\.0\.1 and neither as localhost/)
    assert.equal(await statusOf(server, id), 'pending')
    const same = { origin: 'http://127.0.0.1:3000', 'sec-fetch-site': 'same-site' }
    assert.equal((await server.post('/v1/client/sign_ins', form, same)).status, 200)
  })

  it('R15 redeems nothing when the browser only prefetches the page', async () => {
    await using server = await testServer({ env })
    const { id, token } = await server.createActorToken()
    const form = { strategy: 'ticket', ticket: token }
    for (const headers of [{ 'sec-purpose': 'prefetch;prerender' }, { purpose: 'prefetch' }, { 'x-moz': 'prefetch' }]) {
      const answer = await server.post('/v1/client/sign_ins', form, headers as Record<string, string>)
      assert.deepEqual([answer.status, answer.codes], [400, ['not_while_prefetching']])
    }
    assert.equal(await statusOf(server, id), 'pending')
  })
})

describe('the return URL (R22)', () => {
  const allowed = [
    'https://app.example.com/',
    'https://app.example.com/users/@carl?email=a@b.c#top',
    'https://app.example.com:443/x',
    'HTTPS://APP.EXAMPLE.COM/x',
    'https://app.example.com?x=https://evil.example',
    'https://admin.example.com:8443/users?tab=1',
    'https://app.example.com/%5c%5cevil.example',
    'https://app.example.com/../../x',
  ]
  const refused = [
    '',
    '/',
    'x',
    '//evil.example',
    '///evil.example',
    '////evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '\\/evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    'https:evil.example',
    'https:/evil.example',
    'https:///evil.example',
    'https:\\\\evil.example',
    'https:\\\\app.example.com\\@evil.example',
    'https://app.example.com\\@evil.example',
    'https://app.example.com\\.evil.example',
    'https://evil.example\\@app.example.com',
    'https://app.example.com@evil.example',
    'https://app.example.com:443@evil.example/',
    'https://user:password@app.example.com/',
    'https://@app.example.com/',
    'https://:@app.example.com/',
    'https://app.example.com.evil.example/',
    'https://evil.example/app.example.com',
    'https://evil.example?https://app.example.com',
    'https://evil.example#https://app.example.com',
    'https://evilapp.example.com/',
    'https://appXexample.com/',
    'https://app.example.com:444/',
    'https://app.example.com:80/',
    'http://app.example.com/',
    'https://admin.example.com/',
    'https://app.example.comx/',
    'https://app.example.com%2eevil.example/',
    'https://app.example.com%00.evil.example/',
    'https://app.example.com%0d%0a.evil.example/',
    'https://app.example.com\0.evil.example/',
    'https://app.example.com\r\nSet-Cookie: a=b',
    'https://app.example.com/\r\nSet-Cookie: a=b',
    'https://app.example.com/\0',
    'https://app.example.com/a b',
    ' https://app.example.com/',
    '\thttps://app.example.com/',
    'https://app.example.com/\u007f',
    'ht\ntps://app.example.com/',
    'https://аpp.example.com/',
    'https://xn--pp-6kc.example.com/',
    'https://app。example。com.evil.example/',
    'https://[::1]/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://localhost/',
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)//https://app.example.com',
    'java\nscript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://app.example.com/x',
    'ftp://app.example.com/',
    'ws://app.example.com/',
    'about:blank',
    'intent://app.example.com#Intent;scheme=https;end',
    'https://app.example.com.',
    `https://app.example.com.${'a'.repeat(300)}.evil.example/`,
    'https%3A%2F%2Fapp.example.com',
    'https%253A%252F%252Fevil.example',
    '%2F%2Fevil.example',
    'null',
    'undefined',
    '*',
    'https://*.example.com/',
  ]
  const production = {
    ...env,
    STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
    STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
    STAGEDOOR_ALLOWED_ORIGINS: 'https://admin.example.com:8443',
    STAGEDOOR_ENVIRONMENT: 'production',
    STAGEDOOR_SECRET_KEY: `sk_live_${'0123456789abcdefABCDEF'.repeat(2)}`,
  }
  const key = { authorization: `Bearer ${production.STAGEDOOR_SECRET_KEY}` }

  it(`${allowed.length} URLs on the allowed origins, as browsers parse them, are accepted; ${refused.length} URLs that leave them are refused`, async () => {
    await using server = await testServer({ env: production })
    const { id: user_id } = expectOk(await server.call('POST', '/v1/users', {}, key))
    const handshake = (url: string) =>
      server.call('GET', `/v1/client/handshake?redirect_url=${encodeURIComponent(url)}`, undefined, {
        authorization: undefined,
      })
    const create = (return_url: string) =>
      server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub: 'a' }, return_url }, key)
    const origins = ['https://app.example.com', 'https://admin.example.com:8443']

    for (const url of allowed) {
      const sent = await handshake(url)
      assert.equal(sent.status, 307, url)
      assert.ok(origins.includes(new URL(sent.headers.get('location') ?? '').origin), url)
      const created = await create(url)
      assert.equal(created.body.return_url, new URL(url).href)
    }
    for (const url of refused) {
      for (const answer of [await handshake(url), await create(url)]) {
        assert.equal(answer.headers.get('location'), null, url)
        assert.ok(answer.status >= 400 && answer.status < 500, `${url}: ${answer.status}`)
        assert.deepEqual(answer.headers.getSetCookie(), [], 'R23')
        assert.ok(
          ['invalid_redirect_url', 'prohibited_redirect_url', 'form_param_value_invalid'].includes(
            answer.codes[0] ?? '',
          ),
          `${url}: ${answer.text}`,
        )
      }
    }
    assert.ok(refused.length >= 60)
  })
})

describe('cross-origin requests (S1 S2)', () => {
  const production = {
    ...env,
    STAGEDOOR_ENVIRONMENT: 'production',
    STAGEDOOR_SECRET_KEY: '',
    STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
    STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
    STAGEDOOR_ALLOWED_ORIGINS: `https://admin.example.com:8443,chrome-extension://${'abcdefghijklmnop'.repeat(2)}`,
  }
  const listed = [
    'https://auth.example.com',
    'https://app.example.com',
    'https://admin.example.com:8443',
    `chrome-extension://${'abcdefghijklmnop'.repeat(2)}`,
  ]
  const others = [
    'null',
    'https://evil.example',
    'https://app.example.com.evil.example',
    'https://evilapp.example.com',
    'https://appXexample.com',
    'https://sub.app.example.com',
    'http://app.example.com',
    'https://app.example.com:444',
    'https://app.example.com/',
    'HTTPS://APP.EXAMPLE.COM',
    'http://localhost:3000',
    'http://127.0.0.1',
    `chrome-extension://${'p'.repeat(32)}`,
    '*',
    'https://app.example.com, https://evil.example',
  ]
  const checkHeaders = (answer: Answer, origin: string, yes: boolean) => {
    assert.equal(answer.headers.get('access-control-allow-origin'), yes ? origin : null, origin)
    assert.equal(answer.headers.get('access-control-allow-credentials'), yes ? 'true' : null, origin)
    assert.equal(answer.headers.get('vary'), 'Origin')
  }

  it('are allowed for the listed origins only, with and without a preflight', async () => {
    await using server = await testServer({ env: production })
    const none = { authorization: undefined }
    for (const [origins, yes] of [
      [listed, true],
      [others, false],
    ] as const) {
      for (const origin of origins) {
        const plain = await server.call('GET', '/v1/client', undefined, { ...none, origin })
        assert.equal(plain.status, yes ? 200 : 400)
        checkHeaders(plain, origin, yes)
        const preflight = await server.call('OPTIONS', '/v1/client', undefined, {
          ...none,
          origin,
          'access-control-request-method': 'GET',
          'access-control-request-headers': 'authorization',
        })
        assert.equal(preflight.status, yes ? 204 : 400)
        checkHeaders(preflight, origin, yes)
        assert.equal(preflight.headers.get('access-control-allow-headers'), yes ? 'Authorization, Content-Type' : null)
        const post = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: 'x' }, { origin })
        assert.deepEqual(post.codes, [yes ? 'ticket_invalid_code' : 'origin_invalid'])
      }
    }
  })
})
