import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { consoleBuild } from '../../../test/support/console-build.ts'
import { FROM_CONSOLE, operatorOf } from '../../../test/support/operators.ts'
import { expectOk, SECRET_KEY, testServer } from '../../../test/support/server.ts'

/** How the server serves the pages of the console. */

const PAGE = { authorization: undefined, host: 'localhost:4100', accept: 'text/html' }
const LIVE_KEY = SECRET_KEY.replace('sk_test', 'sk_live')
const PRODUCTION = {
  STAGEDOOR_ENVIRONMENT: 'production',
  STAGEDOOR_SECRET_KEY: LIVE_KEY,
  STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
}

describe('the pages of the console', () => {
  it('the shell is at every path of the pages, with the headers of the design', async () => {
    using build = consoleBuild()
    await using server = await testServer({ consoleFolder: build.folder })
    for (const path of [
      '/console',
      '/console/live',
      '/console/users/user_1',
      '/console/join',
      '/console/sign-in?x=1',
    ]) {
      // Another site may link to it: it holds no data.
      const answer = await server.call('GET', path, undefined, { ...PAGE, 'sec-fetch-site': 'cross-site' })
      assert.equal(answer.status, 200, path)
      assert.match(answer.text, /<title>Console<\/title>/)
      const policy = answer.headers.get('content-security-policy') ?? ''
      assert.equal(
        policy,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
      )
      const expected = {
        'cache-control': 'no-store',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
        'referrer-policy': 'same-origin',
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
      }
      for (const [name, value] of Object.entries(expected)) assert.equal(answer.headers.get(name), value)
      assert.match(answer.headers.get('permissions-policy') ?? '', /camera=\(\)/)
      assert.deepEqual(answer.headers.getSetCookie(), [])
    }
  })

  it('what is not a page is not the shell', async () => {
    using build = consoleBuild()
    await using server = await testServer({ consoleFolder: build.folder })
    const status = async (path: string, method = 'GET') =>
      (await server.call(method, path, undefined, { ...FROM_CONSOLE, accept: 'text/html' })).status
    for (const path of [
      '/console/login',
      '/console/logout',
      '/console/passkey/options',
      '/console/api',
      '/console/api/',
      '/console/api/v1/nothing',
      '/console/assets',
      '/console/assets/x.js',
      '/consolex',
    ])
      assert.equal(await status(path), 404, path)
    assert.equal(await status('/console/live', 'POST'), 405)
  })

  it('files of the manifest are compressed and immutable, and for the console only', async () => {
    using build = consoleBuild()
    await using server = await testServer({ consoleFolder: build.folder })
    const get = (name: string, headers: Record<string, string | undefined> = {}) =>
      server.stagedoor.fetch(
        new Request(`http://127.0.0.1:4100/console/${name}`, {
          headers: Object.entries({ host: 'localhost:4100', 'sec-fetch-site': 'same-origin', ...headers }).filter(
            (header): header is [string, string] => header[1] !== undefined,
          ),
        }),
      )
    const plain = await get(build.script)
    const text = await plain.text()
    assert.equal(plain.headers.get('cache-control'), 'public, max-age=31536000, immutable')
    assert.equal(plain.headers.get('content-type'), 'text/javascript; charset=utf-8')
    assert.equal(plain.headers.get('vary'), 'Accept-Encoding')
    for (const [accepted, encoding, decode] of [
      ['gzip, deflate, br', 'br', brotliDecompressSync],
      ['gzip', 'gzip', gunzipSync],
      ['br;q=0, gzip', 'gzip', gunzipSync],
    ] as const) {
      const answer = await get(build.script, { 'accept-encoding': accepted })
      assert.equal(answer.headers.get('content-encoding'), encoding)
      const bytes = Buffer.from(await answer.arrayBuffer())
      assert.ok(bytes.length < text.length / 4)
      assert.equal(decode(bytes).toString(), text)
    }
    assert.equal((await get(build.script, { 'sec-fetch-site': 'same-site' })).status, 403)
    assert.equal((await get(build.script, { 'sec-fetch-site': 'cross-site' })).status, 403)
    assert.equal((await get(build.script, { 'sec-fetch-site': undefined })).status, 403)
    const licences = await get('assets/licences.txt')
    assert.deepEqual([licences.status, licences.headers.get('cache-control')], [200, 'no-cache'])
    for (const name of [
      'assets/not-in-the-manifest.js',
      'assets/../index.html',
      'assets/..%2findex.html',
      'assets/%2e%2e/manifest.json',
      'manifest.json',
      'index.html',
    ]) {
      const answer = await get(name)
      const body = await answer.text()
      assert.ok(!body.includes('secret') && !body.includes('"files"'), name)
      if (name.startsWith('assets/n')) assert.equal(answer.status, 404)
    }
  })

  it('without a build, and at another address, a page explains the next step', async () => {
    await using server = await testServer({ consoleFolder: undefined as never })
    using build = consoleBuild()
    await using built = await testServer({ consoleFolder: build.folder })
    const elsewhere = await built.call('GET', '/console/live?x=1', undefined, { ...PAGE, host: '127.0.0.1:4100' })
    assert.equal(elsewhere.status, 404)
    assert.match(elsewhere.text, /href="http:\/\/localhost:4100\/console\/live\?x=1"/)
    const answer = await server.call('GET', '/console', undefined, PAGE)
    // A copy in which the console was built has it.
    if (answer.status !== 200) {
      assert.equal(answer.status, 503)
      assert.match(answer.text, /npm run build:console/)
    }
  })

  it('C6: in production there is no console until an operator can sign in, and the first visitor gets no role', async () => {
    using build = consoleBuild()
    await using server = await testServer({ consoleFolder: build.folder, env: PRODUCTION })
    const there = { ...FROM_CONSOLE, host: 'auth.example.com', origin: 'https://auth.example.com' }
    const shell = () => server.call('GET', '/console', undefined, { ...there, accept: 'text/html' })
    assert.equal((await shell()).status, 404)
    for (const [path, body] of [
      ['/console/join', { token: 'x' }],
      ['/console/passkey/verify', { purpose: 'register', response: {} }],
      ['/console/passkey/options', { purpose: 'register' }],
    ] as const)
      assert.equal((await server.call('POST', path, body, there)).status, 400)
    const form = { ...there, 'content-type': 'application/x-www-form-urlencoded' }
    assert.equal((await server.call('POST', '/console/login', '', form)).status, 404)
    const nobody = async () => (await server.call('GET', '/console/api/me', undefined, there)).body.errors[0].meta
    assert.equal((await nobody()).sign_in, 'none')
    assert.deepEqual(
      expectOk(await server.call('GET', '/v1/operators', undefined, { authorization: `Bearer ${LIVE_KEY}` })),
      [],
    )
    const invited = await server.call(
      'POST',
      '/v1/operators',
      { email: 'olivia@example.com', role: 'admin' },
      { authorization: `Bearer ${LIVE_KEY}` },
    )
    assert.match(expectOk(invited).link, /^https:\/\/auth\.example\.com\/console\/join#[\w-]{43}$/)
    assert.equal((await shell()).status, 200)
    assert.equal((await nobody()).sign_in, 'passkey')
  })

  it('off is off, and with an address of its own it is only there', async () => {
    using build = consoleBuild()
    await using off = await testServer({ consoleFolder: build.folder, env: { STAGEDOOR_CONSOLE: 'off' } })
    for (const path of [
      '/console',
      '/console/live',
      '/console/api/me',
      '/console/api/v1/users',
      `/console/${build.script}`,
    ])
      assert.equal((await off.call('GET', path, undefined, FROM_CONSOLE)).status, 404, path)
    const env = { ...PRODUCTION, STAGEDOOR_CONSOLE: 'on', STAGEDOOR_CONSOLE_URL: 'https://console.example.com' }
    await using own = await testServer({ consoleFolder: build.folder, env })
    const operator = await operatorOf(own, 'viewer')
    const at = async (host: string, path: string) =>
      (
        await own.call('GET', path, undefined, {
          ...FROM_CONSOLE,
          cookie: operator.cookie,
          host,
          origin: 'https://console.example.com',
        })
      ).status
    assert.deepEqual(
      [await at('console.example.com', '/console'), await at('console.example.com', '/console/api/me')],
      [200, 200],
    )
    assert.deepEqual(
      [await at('auth.example.com', '/console'), await at('auth.example.com', '/console/api/me')],
      [404, 403],
    )
  })
})

describe('one-time links', () => {
  const join = (server: Awaited<ReturnType<typeof testServer>>, token: string) =>
    server.call('POST', '/console/join', { token }, FROM_CONSOLE)
  const invite = async (server: Awaited<ReturnType<typeof testServer>>, fields: object = {}) => {
    const invited = expectOk(
      await server.call('POST', '/v1/operators', { email: 'olivia@example.com', role: 'support', ...fields }),
    )
    return { ...invited, token: new URL(invited.link).hash.slice(1) }
  }

  it('C5: work once, for an hour, and one of 50 at the same moment succeeds', async () => {
    await using server = await testServer()
    const { token, id } = await invite(server)
    const answers = await Promise.all(Array.from({ length: 50 }, () => join(server, token)))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(49).fill(400)])
    const won = answers.find(({ status }) => status === 200)
    assert.deepEqual([won?.body.next, won?.body.operator.id, won?.body.operator.role], ['passkey', id, 'support'])
    assert.ok(!won?.headers.getSetCookie().join().includes('stagedoor_operator'))
    const late = await invite(server)
    server.clock.advance(3_601)
    const texts = [await join(server, late.token), await join(server, token), await join(server, 'x'.repeat(43))].map(
      answer => answer.body.errors[0].long_message,
    )
    assert.equal(new Set(texts).size, 1)
    assert.ok(!JSON.stringify(await server.auditEvents()).includes(token))
  })

  it('a second invitation of an address is for the same operator, whatever its letters', async () => {
    await using server = await testServer()
    const first = await invite(server)
    const second = await invite(server, { email: 'Olivia@EXAMPLE.com', role: 'admin' })
    assert.equal(second.id, first.id)
    assert.equal(expectOk(await server.call('GET', '/v1/operators')).length, 1)
    const many = await Promise.all(Array.from({ length: 10 }, () => invite(server, { email: 'otto@example.com' })))
    assert.equal(new Set(many.map(({ id }) => id)).size, 1)
    expectOk(await server.call('POST', `/v1/operators/${first.id}/disable`))
    assert.deepEqual((await join(server, first.token)).codes, ['operator_disabled'])
    const again = await server.call('POST', '/v1/operators', { email: 'olivia@example.com', role: 'support' })
    assert.deepEqual(again.codes, ['operator_disabled'])
  })

  it('the link of a development server signs in as an admin once, who steps up without anything', async () => {
    const { developmentLink } = await import('../src/domain/operators.ts')
    await using server = await testServer()
    const context = () => server.stagedoor.context({ type: 'command_line', id: null })
    const token = new URL(await developmentLink(context())).hash.slice(1)
    const answer = await join(server, token)
    assert.deepEqual([answer.body.next, answer.body.operator.role], ['console', 'admin'])
    assert.equal((await join(server, token)).status, 400)
    const cookie = answer.headers
      .getSetCookie()
      .find(each => each.startsWith('__Host-stagedoor_operator='))
      ?.split(';')[0]
    const me = async (of = cookie) =>
      (await server.call('GET', '/console/api/me', undefined, { ...FROM_CONSOLE, cookie: of })).body
    assert.equal((await me()).operator.name, 'Developer')
    server.clock.advance(301)
    assert.equal((await me()).step_up_until, null)
    const form = { ...FROM_CONSOLE, cookie, 'content-type': 'application/x-www-form-urlencoded' }
    const renewed = await server.call('POST', '/console/login', 'step_up=1&return_to=/console/policy', form)
    assert.deepEqual([renewed.status, renewed.headers.get('location')], [303, '/console/policy'])
    const next = renewed.headers.getSetCookie()[0]?.split(';')[0]
    assert.ok((await me(next)).step_up_until > server.clock.now())
    assert.equal((await me()).errors[0].code, 'operator_session_invalid')
    // The second start signs in as the same operator.
    await developmentLink(context())
    assert.equal(expectOk(await server.call('GET', '/v1/operators')).length, 1)

    await using production = await testServer({ env: PRODUCTION })
    await assert.rejects(developmentLink(production.stagedoor.context({ type: 'command_line', id: null })))
  })
})
