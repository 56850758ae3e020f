import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { serve } from '@hono/node-server'
import * as onExpress from '@stagedoor/sdk/express'
import * as onFastify from '@stagedoor/sdk/fastify'
import * as onHono from '@stagedoor/sdk/hono'
import * as onNext from '@stagedoor/sdk/next'
import * as onRequest from '@stagedoor/sdk/request'
import { createTestIssuer } from '@stagedoor/sdk/testing'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'

/** What the middlewares do in sessions that may only read, or have scopes. */

const test = await createTestIssuer()
const actor = { sub: 'olivia' }
const mint = (scope?: string) => test.mint({ actor, claims: scope === undefined ? {} : { scope } })
const tokens = {
  own: await test.mint(),
  unlimited: await mint(),
  read: await mint('act:read'),
  readScoped: await mint('act:read invoices:send'),
  scoped: await mint('act:write invoices:read'),
  sender: await mint('act:write invoices:read invoices:send'),
  malformed: await mint('act:read act:write'),
}
type Name = keyof typeof tokens

const options = { issuer: test.issuer, jwks: test.jwks, reads: ['POST /search', 'POST|PUT /reports/*'] }
interface App extends AsyncDisposable {
  fetch(path: string, init?: RequestInit): Promise<Response>
}
const at = (port: number, close: () => unknown): App => ({
  fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
  [Symbol.asyncDispose]: async () => void (await close()),
})
const PATHS = ['/any', '/search', '/reports/7', '/reports/7/delete', '/searches', '/search/x']

/** In each app no handler has a guard, except `/send`, which needs the scope `invoices:send`. */
const apps: Record<string, () => Promise<App>> = {
  async express() {
    const app = express()
    app.use(onExpress.authenticate(options))
    app.all('/send', onExpress.requireScope('invoices:send'), (_request, response) => void response.json('done'))
    app.use((request, response) => void response.json(onExpress.getAuth(request)))
    const server = app.listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    return at((server.address() as { port: number }).port, () => server.close())
  },
  async fastify() {
    const app = Fastify()
    await app.register(onFastify.authenticate, options)
    app.all('/send', { onRequest: onFastify.requireScope('invoices:send') }, async () => '"done"')
    for (const path of PATHS) app.all(path, async request => onFastify.getAuth(request))
    await app.listen({ port: 0, host: '127.0.0.1' })
    return at((app.server.address() as { port: number }).port, () => app.close())
  },
  async hono() {
    const app = new Hono()
    app.use(onHono.authenticate(options))
    app.all('/send', onHono.requireScope('invoices:send'), context => context.json('done'))
    app.all('*', context => context.json(onHono.getAuth(context)))
    return new Promise(resolve => {
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
        resolve(at(port, () => server.close())),
      )
    })
  },
  async request() {
    const authenticate = onRequest.createAuthenticator(options)
    const maySend = onRequest.requireScope('invoices:send')
    return inProcess(async request => {
      try {
        const auth = await authenticate(request)
        if (new URL(request.url).pathname === '/send') return maySend(auth, request) ?? Response.json('done')
        return Response.json(auth)
      } catch (error) {
        if (error instanceof onRequest.RefusedError) return error.toResponse()
        throw error
      }
    })
  },
  async next() {
    const { requireUser, requireScope } = onNext.authenticate(options)
    const { reads: _, ...rest } = options
    const find = onRequest.createAuthenticator({ ...rest, reads: ['/**'] })
    const any = requireUser(async (request: Request) => Response.json(await find(request)))
    const send = requireScope('invoices:send')(async (_request: Request) => Response.json('done'))
    return inProcess(request => (new URL(request.url).pathname === '/send' ? send : any)(request))
  },
}

const inProcess = (handle: (request: Request) => Promise<Response>): App => ({
  fetch: (path, init) => handle(new Request(`http://app.test${path}`, init)),
  async [Symbol.asyncDispose]() {},
})

for (const [name, start] of Object.entries(apps)) {
  describe(`limited sessions on ${name}`, () => {
    const ask = async (app: App, token: Name, method: string, path: string, headers: Record<string, string> = {}) => {
      const answer = await app.fetch(path, {
        method,
        headers: { authorization: `Bearer ${tokens[token]}`, ...headers },
      })
      const text = await answer.text()
      const rule = answer.status === 403 ? JSON.parse(text).errors[0].meta.rule : null
      return { status: answer.status, rule, body: text }
    }

    it('may only read: other methods are refused without any guard, except at endpoints that only read', async () => {
      await using app = await start()
      for (const token of ['read', 'readScoped'] as const) {
        for (const method of ['GET', 'HEAD', 'OPTIONS'])
          assert.equal((await ask(app, token, method, '/any')).status, 200, method)
        for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
          const { status, rule } = await ask(app, token, method, '/any')
          assert.deepEqual([status, rule], [403, 'read-only'], method)
        }
        for (const [method, path, status] of [
          ['POST', '/search', 200],
          ['POST', '/search?q=1', 200],
          ['PUT', '/reports/7', 200],
          ['PUT', '/search', 403],
          ['DELETE', '/reports/7', 403],
          ['POST', '/reports/7/delete', 403],
          ['POST', '/searches', 403],
          ['POST', '/search/x', 403],
          ['POST', '/any?x=/search', 403],
          ['POST', '/reports/7%2Fdelete', 403],
          ['POST', '/reports/%2e%2e%2Fany', 403],
        ] as const)
          assert.equal((await ask(app, token, method, path)).status, status, `${method} ${path}`)
        // Overridden methods count too.
        for (const headers of [{ 'x-http-method-override': 'DELETE' }, { 'x-method-override': 'put' }]) {
          assert.equal((await ask(app, token, 'GET', '/any', headers)).status, 403)
          assert.equal((await ask(app, token, 'POST', '/search', { 'x-http-method-override': 'DELETE' })).status, 403)
        }
        assert.equal((await ask(app, token, 'GET', '/any?_method=DELETE')).status, 403)
      }
      for (const token of ['own', 'unlimited', 'scoped'] as const)
        assert.equal((await ask(app, token, 'DELETE', '/any')).status, 200, token)
    })

    it('have access and scopes, and requireScope checks them', async () => {
      await using app = await start()
      const limits = async (token: Name) => {
        const { access, scopes } = JSON.parse((await ask(app, token, 'GET', '/any')).body)
        return [access, scopes]
      }
      assert.deepEqual(await limits('own'), [null, null])
      assert.deepEqual(await limits('unlimited'), ['write', null])
      assert.deepEqual(await limits('read'), ['read', null])
      assert.deepEqual(await limits('sender'), ['write', ['invoices:read', 'invoices:send']])
      for (const token of ['own', 'unlimited', 'sender'] as const)
        assert.equal((await ask(app, token, 'POST', '/send')).status, 200, token)
      for (const token of ['read', 'readScoped'] as const) {
        assert.equal((await ask(app, token, 'GET', '/send')).status, 200, token)
        assert.equal((await ask(app, token, 'POST', '/send')).rule, 'read-only', token)
      }
      assert.equal((await ask(app, 'scoped', 'POST', '/send')).rule, 'scope')
      assert.equal((await ask(app, 'malformed', 'GET', '/send')).status, 401)
      assert.equal((await app.fetch('/send')).status, 401)
    })
  })
}

describe('limits of an app’s own sessions', () => {
  const authOf = (session: object, method = 'GET') =>
    onRequest.createAuthenticator({ session: () => session as never })(new Request('http://app.test/', { method }))

  it('are those that `session` returns', async () => {
    const { access, scopes } = await authOf({ userId: 'u', actor, access: 'read', scopes: ['a'] })
    assert.deepEqual([access, scopes], ['read', ['a']])
    await assert.rejects(authOf({ userId: 'u', actor, access: 'read' }, 'POST'), onRequest.RefusedError)
    const own = await authOf({ userId: 'u', access: 'read' }, 'POST')
    assert.deepEqual([own.access, own.scopes], [null, null])
  })

  it('must be readable: an unreadable one is an error, never no limit', async () => {
    const wrong = [
      ...['admin', 'act:read', '', 'Read', true, 1, {}].map(access => ({ access })),
      ...[[], 'a', [''], ['a', 'a'], ['act:write'], ['a b'], [1], {}, true].map(scopes => ({ scopes })),
    ]
    for (const limits of wrong)
      await assert.rejects(authOf({ userId: 'u', actor, ...limits }), TypeError, JSON.stringify(limits))
  })

  it('and the patterns and scopes of guards must be valid', () => {
    for (const reads of [['search'], [''], ['!POST /x'], ['POST /x?y']])
      assert.throws(() => onRequest.createAuthenticator({ ...options, reads }), TypeError)
    for (const scope of ['', 'act:write', 'a b', 'A']) assert.throws(() => onRequest.requireScope(scope), TypeError)
  })
})
