import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Stagedoor } from '@stagedoor/sdk'
import { type App, runNode, startApp } from './support/processes.ts'
import { SECRET_KEY } from './support/server.ts'
import { type Site, startSite } from './support/site.ts'

const example = fileURLToPath(new URL('../examples/next/', import.meta.url))
const next = fileURLToPath(new URL('../node_modules/next/dist/bin/next', import.meta.url))
const actor = { sub: 'olivia@support', name: 'Olivia' }

describe('examples/next', () => {
  it('its README names existing commands', () => {
    const { scripts } = JSON.parse(readFileSync(`${example}package.json`, 'utf8'))
    const commands = readFileSync(`${example}README.md`, 'utf8').matchAll(/^npm (?:run )?(\w+) --workspace=(\S+)/gm)
    const named = [...commands].map(([, script = '', workspace]) => ({ script, workspace }))
    assert.deepEqual(
      named.map(({ script }) => script),
      ['install', 'build', 'start'],
    )
    for (const { script, workspace } of named) {
      assert.equal(workspace, 'examples/next')
      assert.ok(script === 'install' || script in scripts, script)
    }
  })

  // Next.js is installed for the deep run only.
  if (process.env['TEST_DEEP'] !== undefined) builtAndServed()
})

function builtAndServed() {
  describe('built and served', () => {
    let site: Site<App>
    let app: App
    let userId: string
    let own: string
    let acting: string

    before(async () => {
      site = await startSite(async ({ url, port, serverURL }) => {
        const env = { STAGEDOOR_SERVER_URL: serverURL, NEXT_TELEMETRY_DISABLED: '1' }
        await runNode([next, 'build'], { cwd: example, env })
        const start = [next, 'start', '--hostname', '127.0.0.1', '--port', `${port}`]
        return startApp(start, { url, cwd: example, env, ready: /Ready in/ })
      })
      const { serverURL } = site
      app = site.app

      // Minted after the build, because tokens live for a minute.
      const stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL })
      userId = (await stagedoor.users.create()).id
      own = (await stagedoor.sessions.getToken((await stagedoor.sessions.create({ userId })).id)).jwt
      const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId, actor })
      acting = (await stagedoor.actorTokens.accept({ ticket })).token.jwt
    })
    after(() => site?.[Symbol.asyncDispose]())

    const call = async (method: string, path: string, token?: string) => {
      const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` }
      const answer = await fetch(`${app.url}${path}`, { method, ...(headers ? { headers } : {}) })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> & { errors?: object[] } }
    }
    const said = (html: string) => />You are (.*?)\.</.exec(html.replaceAll('<!-- -->', ''))?.[1]
    const page = async (token?: string) =>
      (await fetch(app.url, token === undefined ? {} : { headers: { cookie: `__session=${token}` } })).text()

    it('a server component shows who the user is, by the cookie', async () => {
      assert.equal(said(await page()), 'nobody')
      assert.equal(said(await page(own)), userId)
      assert.equal(said(await page(acting)), `olivia@support, acting as ${userId}`)
      assert.match(await page(acting), /<button[^>]* disabled/)
      assert.doesNotMatch(await page(own), /<button[^>]* disabled/)
    })

    it('route handlers check access themselves', async () => {
      assert.deepEqual((await call('GET', '/api/me', acting)).body, { userId, actor, lastSeen: null })
      assert.equal(typeof (await call('GET', '/api/me', own)).body['lastSeen'], 'number')
      assert.equal((await call('GET', '/api/me')).status, 401)
      for (const [method, path] of [
        ['DELETE', '/api/account'],
        ['PUT', '/api/settings/theme'],
      ] as const) {
        const { status, body } = await call(method, path, acting)
        assert.deepEqual(
          [status, (body.errors as { code: string }[] | undefined)?.[0]?.code],
          [403, 'forbidden_while_acting'],
        )
        assert.equal((await call(method, path)).status, 401)
        assert.equal((await call(method, path, own)).status, 200)
      }
    })

    it('a server action is refused while acting and without a session, and works for the user', async () => {
      const [, action = ''] = /name="(\$ACTION_ID_\w+)"/.exec(await page(own)) ?? []
      assert.notEqual(action, '')
      const submit = (token?: string) => {
        const body = new FormData()
        body.set(action, '')
        const headers = { origin: app.url, ...(token === undefined ? {} : { cookie: `__session=${token}` }) }
        return fetch(app.url, { method: 'POST', body, headers, redirect: 'manual' })
      }
      const done = await submit(own)
      assert.deepEqual([done.status, done.headers.get('location')], [303, `/deleted?user=${userId}`])
      for (const token of [acting, undefined]) {
        const refused = await submit(token)
        assert.deepEqual([refused.status, refused.headers.get('location')], [500, null])
      }
      await app.printed(/RefusedError\]: Only the user can do this/)
      assert.match(app.output(), /RefusedError\]: Unable to authenticate the request/)
    })
  })
}
