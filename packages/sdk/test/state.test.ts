/** No identity outlives its request, even if connections, event loops or streamed answers live longer. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { ask, type HttpApp, httpApps, type Options, type Shown } from './http-apps.ts'

const file = new URL('../../../test/vectors/session-cookies.json', import.meta.url)
const { issuer, jwks, now, tokens } = JSON.parse(readFileSync(file, 'utf8'))
// With a cache of tokens, which outlives requests and is keyed by the token.
const options: Options = { issuer, jwks, now: () => now * 1_000, cacheSize: 10 }

type Name = 'own' | 'other' | 'acting' | 'expired' | 'nobody'
const headersOf = (name: Name) => (name === 'nobody' ? [] : ['authorization', `Bearer ${tokens[name]}`])
const expected: Record<Name, Shown> = {
  own: { userId: 'user_carl', actor: null, reason: null },
  other: { userId: 'user_dora', actor: null, reason: null },
  acting: { userId: 'user_carl', actor: 'olivia@support', reason: null },
  expired: { userId: null, actor: null, reason: 'token-expired' },
  nobody: { userId: null, actor: null, reason: 'not-signed-in' },
}

function keptAgent(): Agent & Disposable {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() })
}

for (const [framework, start] of Object.entries(httpApps)) {
  describe(`no identity outlives its request: ${framework}`, () => {
    let app: HttpApp
    before(async () => {
      app = await start(options)
    })
    after(() => app[Symbol.asyncDispose]())

    const current = async (name: Name, agent?: Agent) => {
      const { text } = await ask(app.port, '/current', { headers: headersOf(name), ...(agent ? { agent } : {}) })
      return JSON.parse(text)
    }

    it('on one connection', async () => {
      using agent = keptAgent()
      for (const name of ['own', 'nobody', 'acting', 'nobody', 'other', 'expired', 'own', 'nobody'] as const)
        assert.deepEqual(await current(name, agent), expected[name])
      for (const [name, status] of [
        ['own', 200],
        ['nobody', 401],
        ['acting', 403],
        ['own', 200],
        ['acting', 403],
        ['nobody', 401],
      ] as const) {
        const asked = { method: 'DELETE', headers: headersOf(name), agent }
        assert.equal((await ask(app.port, '/sensitive', asked)).status, status, name)
      }
    })

    it('in simultaneous requests', async () => {
      const names = Array.from({ length: 60 }, (_, index) => Object.keys(expected)[index % 5] as Name)
      const answers = await Promise.all(names.map(name => current(name)))
      assert.deepEqual(
        answers,
        names.map(name => expected[name]),
      )
    })

    it('while an answer is streamed', async () => {
      const others: Promise<unknown>[] = []
      const onPart = () => others.push(current('own'), current('nobody'), current('other'))
      const { text } = await ask(app.port, '/stream', { headers: headersOf('acting'), onPart })
      assert.deepEqual(
        text
          .trim()
          .split('\n')
          .map(line => JSON.parse(line)),
        [expected.acting, expected.acting],
      )
      assert.deepEqual((await Promise.all(others)).slice(0, 3), [expected.own, expected.nobody, expected.other])
      assert.ok(others.length >= 6, 'the answer arrived in two parts')
    })
  })
}
