import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Stagedoor } from '@stagedoor/sdk'
import { freePort } from './support/ports.ts'
import { type App, startApp } from './support/processes.ts'
import { type ListeningServer, SECRET_KEY, startServer } from './support/server.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const guide = readFileSync(`${root}docs/guides/quick-starts.md`, 'utf8')
const actor = { sub: 'olivia@support', name: 'Olivia' }

let server: ListeningServer
let serverURL: string
let userId: string
let own: string
let acting: string

before(async () => {
  server = await startServer()
  serverURL = server.url
  const stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL })
  userId = (await stagedoor.users.create()).id
  own = (await stagedoor.sessions.getToken((await stagedoor.sessions.create({ userId })).id)).jwt
  const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId, actor })
  acting = (await stagedoor.actorTokens.accept({ ticket })).token.jwt
})
after(() => server?.[Symbol.asyncDispose]())

for (const name of ['express', 'fastify', 'hono', 'request']) {
  describe(`examples/${name}`, () => {
    const example = `${root}examples/${name}/`
    let app: App

    before(async () => {
      const port = await freePort()
      app = await startApp(['app.js'], {
        url: `http://127.0.0.1:${port}`,
        cwd: example,
        env: { PORT: `${port}`, STAGEDOOR_SERVER_URL: serverURL },
        ready: /^http:/m,
      })
    })
    after(() => app?.[Symbol.asyncDispose]())

    const call = async (method: string, path: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(`${app.url}${path}`, { method, headers })
      const text = await answer.text()
      return { status: answer.status, text, ...(text.startsWith('{') ? JSON.parse(text) : {}) }
    }
    const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
    const cookie = (token: string) => ({ cookie: `__session=${token}` })

    it('shows who the user is, by token and by cookie', async () => {
      assert.equal((await call('GET', '/')).text, 'You are nobody.\n')
      for (const as of [bearer, cookie]) {
        assert.equal((await call('GET', '/', as(own))).text, `You are ${userId}.\n`)
        assert.equal((await call('GET', '/', as(acting))).text, `You are olivia@support, acting as ${userId}.\n`)
      }
    })

    it('refuses an actor what only the user may do, and records the actor instead of the user', async () => {
      const seen = async (token: string) => (await call('GET', '/me', bearer(token))).lastSeen
      assert.deepEqual((await call('GET', '/me', bearer(acting))).actor, actor)
      assert.equal(await seen(acting), null)
      const last = await seen(own)
      assert.ok(Math.abs(Date.now() - last) < 60_000)
      assert.equal(await seen(acting), last)

      for (const [method, path] of [
        ['DELETE', '/account'],
        ['PUT', '/settings/theme'],
      ] as const) {
        const { status, errors } = await call(method, path, bearer(acting))
        assert.deepEqual([status, errors[0].code], [403, 'forbidden_while_acting'])
        assert.equal((await call(method, path)).status, 401)
        assert.equal((await call(method, path, bearer(own))).status, 200)
      }
    })

    it('works with the commands of the guide', async context => {
      if (spawnSync('curl', ['--version']).status !== 0) return context.skip('curl is not installed')
      const [, script = ''] = /```sh\n(call\(\)[\s\S]*?)```/.exec(guide) ?? []
      const child = spawn('sh', ['-e'], {
        env: { PATH: process.env['PATH'], STAGEDOOR_SERVER_URL: serverURL, STAGEDOOR_SECRET_KEY: SECRET_KEY },
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      child.stdin.end(script.replaceAll('http://127.0.0.1:3000', app.url))
      let printed = ''
      for await (const chunk of child.stdout) printed += chunk
      const [, user = ''] = /^You are olivia@support, acting as (user_\w+)\.$/m.exec(printed) ?? []
      assert.notEqual(user, '', printed)
      assert.match(printed, /"code":"forbidden_while_acting"/)
    })

    it('its README names existing commands, and the guide shows it', () => {
      const { scripts } = JSON.parse(readFileSync(`${example}package.json`, 'utf8'))
      const commands = readFileSync(`${example}README.md`, 'utf8').matchAll(/^npm (\w+) --workspace=(\S+)/gm)
      const named = [...commands].map(([, script = '', workspace]) => ({ script, workspace }))
      assert.deepEqual(
        named.map(({ script }) => script),
        ['install', 'start'],
      )
      for (const { workspace } of named) assert.equal(workspace, `examples/${name}`)
      assert.equal(scripts.start, 'node app.js')
      assert.match(guide, new RegExp(`<!-- in examples/${name}/(app|worker).js -->`))
    })
  })
}
