import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { createAuthenticator } from '@stagedoor/sdk/request'
import { promised } from '../../../test/support/time.ts'
import { ask, type HttpApp, httpApps, type Options, type Shown } from './http-apps.ts'

/** Which `__session` cookie counts. The Python package is tested with the same vectors. */
const file = new URL('../../../test/vectors/session-cookies.json', import.meta.url)
const { issuer, jwks, now, tokens, groups } = JSON.parse(readFileSync(file, 'utf8')) as {
  issuer: string
  jwks: NonNullable<Options['jwks']>
  now: number
  tokens: Record<string, string>
  groups: { name: string; tests: { comment: string; cookies: string[]; token?: string; reason?: string }[] }[]
}
const options: Options = { issuer, jwks, now: () => now * 1_000 }
const filled = (text: string) => text.replace(/\{(\w+)\}/g, (_, name: string) => tokens[name] ?? '')

/** The expected answer of the app for a valid token. */
function expectedOf(token: string): Shown {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  return { userId: claims.sub, actor: claims.act?.sub ?? null, reason: null }
}

for (const [name, start] of Object.entries(httpApps)) {
  describe(`cookies of one name: ${name}`, () => {
    let app: HttpApp
    const agent = new Agent({ keepAlive: true })
    before(async () => {
      app = await start(options)
    })
    after(async () => {
      agent.destroy()
      await app[Symbol.asyncDispose]()
    })

    for (const group of groups) {
      it(group.name, async () => {
        for (const { comment, cookies, token, reason = null } of group.tests) {
          const headers = cookies.flatMap(each => ['cookie', filled(each)])
          const expected = token === undefined ? { userId: null, actor: null, reason } : expectedOf(tokens[token] ?? '')
          const { text } = await ask(app.port, '/current', { headers, agent })
          assert.deepEqual(JSON.parse(text), expected, comment)
          const { status } = await ask(app.port, '/sensitive', { headers, agent, method: 'POST' })
          const allowed = expected.userId === null ? 401 : expected.actor === null ? 200 : 403
          assert.equal(status, allowed, comment)
        }
      })
    }

    it('a bearer token takes precedence over all cookies', async () => {
      const cookie = ['cookie', filled('__session={acting}; __session={own}')]
      const own = await ask(app.port, '/current', { headers: [...cookie, 'authorization', filled('Bearer {own}')] })
      assert.deepEqual(JSON.parse(own.text), expectedOf(tokens['own'] ?? ''))
      const wrong = await ask(app.port, '/current', { headers: [...cookie, 'authorization', 'Bearer x'] })
      assert.equal(JSON.parse(wrong.text).reason, 'token-malformed')
    })
  })
}

describe('cookies of one name', () => {
  const asking = (cookie: string) => new Request('https://app.example.com/', { headers: { cookie } })

  it('each refused one is passed to onInvalidToken', async () => {
    const told: string[] = []
    const find = createAuthenticator({ ...options, onInvalidToken: error => told.push(error.reason) })
    const auth = await find(asking(filled('__session=x; __session={own}; __session={expired}; __session=')))
    assert.equal(auth.userId, 'user_carl')
    assert.deepEqual(told, ['token-malformed', 'token-expired'])
  })

  it('a long header is parsed fast', async () => {
    const find = createAuthenticator(options)
    for (const many of [
      '__session=x; '.repeat(50_000),
      ' '.repeat(500_000),
      '='.repeat(500_000),
      ';'.repeat(500_000),
    ]) {
      const began = performance.now()
      assert.equal((await find(asking(`${many}; ${filled('__session={own}')}`))).userId, 'user_carl')
      assert.ok(performance.now() - began < promised(2_000), many.slice(0, 20))
    }
  })
})
