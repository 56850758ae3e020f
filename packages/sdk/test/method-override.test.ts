import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { serve } from '@hono/node-server'
import * as onExpress from '@stagedoor/sdk/express'
import * as onFastify from '@stagedoor/sdk/fastify'
import * as onHono from '@stagedoor/sdk/hono'
import * as onNext from '@stagedoor/sdk/next'
import * as onRequest from '@stagedoor/sdk/request'
import express, { type RequestHandler } from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { methodOverride } from 'hono/method-override'
import { ask } from './http-apps.ts'

const session = () => ({ userId: 'u', sessionId: 's', actor: { sub: 'a' } })
const ownSession = () => ({ userId: 'u', sessionId: 's' })
const { neverWhileActing } = onRequest

interface App extends AsyncDisposable {
  port: number
}

async function listening(server: Server | ReturnType<typeof serve>): Promise<App> {
  if (!server.listening) await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
    },
  }
}

const form = ['content-type', 'application/x-www-form-urlencoded']
/** Each way to override the method of a POST: its headers, query and form. */
const WAYS: Record<string, (method: string) => { headers?: string[]; query?: string; body?: string }> = {
  'X-HTTP-Method-Override': method => ({ headers: ['X-HTTP-Method-Override', method] }),
  'X-HTTP-Method': method => ({ headers: ['X-HTTP-Method', method] }),
  'X-Method-Override': method => ({ headers: ['x-method-override', method] }),
  'a header twice': method => ({ headers: ['X-HTTP-Method-Override', 'POST', 'X-HTTP-Method-Override', method] }),
  'a list in a header': method => ({ headers: ['X-HTTP-Method-Override', `POST, ${method}`] }),
  query: method => ({ query: `?a=b&_method=${method}` }),
  'encoded query': method => ({ query: `?%5Fmethod=${method}` }),
  'query twice': method => ({ query: `?_method=POST&_method=${method}` }),
  'list in a query': method => ({ query: `?_method[]=${method}` }),
  form: method => ({ headers: form, body: `a=b&_method=${method}` }),
}

/** Where an override reads the method, like the common packages. */
function overrideOf(request: express.Request): string | undefined {
  const last = (value: unknown) => (typeof value === 'string' ? value : Object.values(Object(value)).at(-1))
  const named = ['x-http-method-override', 'x-http-method', 'x-method-override'].map(name => request.get(name))
  const listed = [...named, last(request.query['_method']), last(request.body?._method)]
  const found = listed.find(each => typeof each === 'string' && each !== '')
  return typeof found === 'string' ? found.split(',').at(-1)?.trim().toUpperCase() : undefined
}

const override: RequestHandler = (request, _response, next) => {
  const method = overrideOf(request)
  if (request.method === 'POST' && method) {
    Object.assign(request, { originalMethod: request.method })
    request.method = method
  }
  next()
}

/** The middlewares of an Express app in order; its routes are those of an account. */
async function expressApp(acts: boolean, middlewares: (guard: RequestHandler) => RequestHandler[]): Promise<App> {
  const app = express()
  app.set('env', 'test')
  app.set('query parser', 'extended')
  app.use(onExpress.authenticate({ session: acts ? session : ownSession }))
  for (const each of middlewares(onExpress.forbidActingOn(neverWhileActing) as RequestHandler)) app.use(each)
  app.post('/account', (_request, response) => response.json('changed'))
  app.delete('/account', (_request, response) => response.json('deleted'))
  return listening(app.listen(0, '127.0.0.1'))
}

describe('Express: an overridden method', () => {
  const readForm = express.urlencoded({ extended: true })
  const orders: Record<string, (guard: RequestHandler) => RequestHandler[]> = {
    'after the guards': guard => [readForm, guard, override],
    'before the guards': guard => [readForm, override, guard],
    'after the guards, with the form also read after them': guard => [guard, readForm, override],
  }
  for (const [name, order] of Object.entries(orders)) {
    it(`${name}: no forbidden route is reached while acting, and users themselves reach all`, async () => {
      await using app = await expressApp(true, order)
      await using ownApp = await expressApp(false, order)
      for (const [way, asked] of Object.entries(WAYS)) {
        const { query = '', ...rest } = asked('DELETE')
        const { status, text } = await ask(app.port, `/account${query}`, { method: 'POST', ...rest })
        assert.equal(status, 403, `${way}: ${text}`)
        const own = await ask(ownApp.port, `/account${query}`, { method: 'POST', ...rest })
        assert.deepEqual([own.status, own.text], [200, '"deleted"'], way)
        const { query: harmless = '', ...others } = asked('POST')
        const passed = await ask(app.port, `/account${harmless}`, { method: 'POST', ...others })
        assert.deepEqual([passed.status, passed.text], [200, '"changed"'], way)
      }
      assert.equal((await ask(app.port, '/account', { method: 'DELETE' })).status, 403)
    })
  }

  it('in a header that no guard knows is 403 too, with each of several guards', async () => {
    const own: RequestHandler = (request, _response, next) => {
      request.method = String(request.get('x-method'))
      next()
    }
    const other = onExpress.forbidActingOn({ brew: ['BREW **'] }) as RequestHandler
    for (const guards of [
      (guard: RequestHandler) => [other, guard, own],
      (guard: RequestHandler) => [guard, other, own],
    ]) {
      await using app = await expressApp(true, guards)
      for (const method of ['DELETE', 'delete', 'BREW']) {
        const { status, text } = await ask(app.port, '/account', { method: 'POST', headers: ['x-method', method] })
        assert.equal(status, 403, text)
        assert.doesNotMatch(text, /deleted/)
      }
      const { text } = await ask(app.port, '/account', { method: 'POST', headers: ['x-method', 'POST'] })
      assert.equal(text, '"changed"')
    }
  })

  it('does not replace the original method: both are checked', async () => {
    const toGet: RequestHandler = (request, _response, next) => {
      Object.assign(request, { originalMethod: request.method })
      request.method = 'GET'
      next()
    }
    const app = express()
    app.set('env', 'test')
    app.use(onExpress.authenticate({ session }))
    app.use('/original', toGet, onExpress.forbidActingOn({ x: ['POST **'] }))
    app.use('/read', toGet, onExpress.readOnlyWhileActing)
    app.use('/later', onExpress.readOnlyWhileActing, (request, _response, next) => {
      request.method = 'DELETE'
      next()
    })
    app.use((_request, response) => void response.json('reached'))
    await using running = await listening(app.listen(0, '127.0.0.1'))
    for (const [method, path] of [
      ['POST', '/original'],
      ['POST', '/read'],
      ['GET', '/later'],
    ] as const)
      assert.equal((await ask(running.port, path, { method })).status, 403, path)
    assert.equal((await ask(running.port, '/read')).status, 200)
  })
})

describe('an overridden method', () => {
  it('Fastify: no forbidden route is reached while acting', async () => {
    const app = Fastify()
    app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
      done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    )
    await app.register(onFastify.authenticate, { session })
    app.addHook('preHandler', onFastify.forbidActingOn(neverWhileActing))
    app.all('/account', async () => 'reached')
    app.get('/notes', { onRequest: onFastify.readOnlyWhileActing }, async () => 'read')
    await app.listen({ port: 0, host: '127.0.0.1' })
    await using running = await listening(app.server)
    const { port } = running
    for (const [way, asked] of Object.entries(WAYS)) {
      const { query = '', ...rest } = asked('DELETE')
      assert.equal((await ask(port, `/account${query}`, { method: 'POST', ...rest })).status, 403, way)
      const { query: harmless = '', ...others } = asked('POST')
      assert.equal((await ask(port, `/account${harmless}`, { method: 'POST', ...others })).status, 200, way)
      if (way === 'form') continue
      assert.equal((await ask(port, `/notes${query}`, rest)).status, 403, way)
    }
  })

  it('Hono: no forbidden route is reached while acting, including through Hono’s own method override', async () => {
    for (const inner of [false, true]) {
      for (const options of [{ header: 'x-http-method-override' }, { query: '_method' }, {}] as const) {
        const app = new Hono()
        const guarded = new Hono()
        const routes = inner ? guarded : app
        app.use(onHono.authenticate({ session }))
        app.use(onHono.forbidActingOn(neverWhileActing))
        // An inner app has no guards of its own.
        app.use(methodOverride({ app: routes, ...options }))
        if (inner) app.post('/account', async context => context.text(`changed ${await context.req.text()}`))
        else routes.post('/account', async context => context.text(`changed ${await context.req.text()}`))
        routes.delete('/account', context => context.text('deleted'))
        await using running = await listening(serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }))
        for (const [way, asked] of Object.entries(WAYS)) {
          const { query = '', ...rest } = asked('DELETE')
          const { status, text } = await ask(running.port, `/account${query}`, { method: 'POST', ...rest })
          assert.equal(status, 403, `${way}: ${text}`)
        }
        // The app can still read the form.
        const kept = await ask(running.port, '/account', { method: 'POST', headers: form, body: 'a=b' })
        assert.deepEqual([kept.status, kept.text], [200, 'changed a=b'])
      }
    }
  })

  it('Hono: a form that the app has already read counts too', async () => {
    const app = new Hono()
    app.use(onHono.authenticate({ session }))
    app.use(async (context, next) => {
      await context.req.parseBody()
      await next()
    })
    app.use(onHono.forbidActingOn(neverWhileActing))
    app.post('/account', async context => context.json(await context.req.parseBody()))
    await using running = await listening(serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }))
    for (const [body, status] of [
      ['a=b&_method=DELETE', 403],
      ['a=b', 200],
    ] as const)
      assert.equal((await ask(running.port, '/account', { method: 'POST', headers: form, body })).status, status)
  })

  it('Request and Next.js: no forbidden route is reached while acting', async () => {
    const find = onRequest.createAuthenticator({ session })
    const forbidden = onRequest.forbidActingOn(neverWhileActing)
    const { readOnlyWhileActing } = onNext.authenticate({ session })
    const read = readOnlyWhileActing(async (_request: Request) => new Response('read'))
    for (const [way, asked] of Object.entries(WAYS)) {
      if (way === 'form') continue
      const { query = '', headers = [] } = asked('DELETE')
      const pairs = headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1]]] : []))
      const init = { headers: pairs as [string, string][] }
      const post = new Request(`https://app.example.com/account${query}`, { method: 'POST', ...init })
      assert.equal(forbidden(await find(post), post)?.status, 403, way)
      const get = new Request(`https://app.example.com/notes${query}`, init)
      assert.equal(onRequest.readOnlyWhileActing(await find(get), get)?.status, 403, way)
      assert.equal((await read(get)).status, 403, way)
    }
    const get = new Request('https://app.example.com/notes?_method=GET', { headers: { 'x-http-method': 'HEAD' } })
    assert.equal((await read(get)).status, 200)
    const lower = new Request('https://app.example.com/x', { method: 'patch' })
    assert.equal(onRequest.forbidActingOn({ x: ['PATCH **'] })(await find(lower), lower)?.status, 403)
  })
})
