import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { serve } from '@hono/node-server'
import { Stagedoor } from '@stagedoor/sdk'
import * as onExpress from '@stagedoor/sdk/express'
import * as onFastify from '@stagedoor/sdk/fastify'
import * as onHono from '@stagedoor/sdk/hono'
import * as onNext from '@stagedoor/sdk/next'
import * as onRequest from '@stagedoor/sdk/request'
import { followRevocations, type TokenError } from '@stagedoor/sdk/verify'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { freePort } from '../../../test/support/ports.ts'
import { type ListeningServer, SECRET_KEY, startServer } from '../../../test/support/server.ts'

const actor = { sub: 'user_operator', name: 'Olivia', nested: { list: [1, 'ü', null] } }
/** What the apps of these tests forbid by path. */
const forbidden = { ...onRequest.neverWhileActing, exportData: ['POST /exports/**'] }

let server: ListeningServer
let issuer: string
let stagedoor: Stagedoor
let userId: string
/** A session token of the user's own session, and one of an actor. */
let own: string
let acting: string

before(async () => {
  server = await startServer()
  issuer = server.url
  stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL: issuer })
  userId = (await stagedoor.users.create()).id
  own = (await stagedoor.sessions.getToken((await stagedoor.sessions.create({ userId })).id)).jwt
  const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId, actor })
  acting = (await stagedoor.actorTokens.accept({ ticket })).token.jwt
})
after(() => server[Symbol.asyncDispose]())

type Options = Pick<onRequest.TokenOptions, 'issuer' | 'authorizedParties' | 'onInvalidToken' | 'revocations'> & {
  publicKey?: string
}
interface App extends AsyncDisposable {
  fetch(path: string, init?: RequestInit): Promise<Response>
}

/**
 * The same app in each framework: /open is for all, /me for users, /sensitive for users themselves, /support for actors,
 * /notes is read-only while acting, and the paths in `forbidden` are forbidden while acting.
 */
const apps: Record<string, (options?: Partial<Options>) => Promise<App>> = {
  async express(options = {}) {
    const { authenticate, forbidActing, forbidActingOn, getAuth, readOnlyWhileActing, requireActing, requireUser } =
      onExpress
    const app = express()
    app.use(authenticate({ issuer, ...options }))
    app.use(forbidActingOn(forbidden))
    app.get('/open', (request, response) => response.json(getAuth(request)))
    app.get('/member', (request, response) => response.json((request as unknown as { auth: object }).auth))
    app.get('/me', requireUser, (request, response) => response.json(getAuth(request)))
    app.all('/sensitive', forbidActing, (_request, response) => response.json('done'))
    app.get('/support', requireActing, (_request, response) => response.json('done'))
    app.all('/notes', readOnlyWhileActing, (_request, response) => response.json('done'))
    app.all('/exports/all', (_request, response) => response.json('done'))
    const started = app.listen(0, '127.0.0.1')
    await once(started, 'listening')
    return listening(started)
  },

  async fastify(options = {}) {
    const { authenticate, forbidActing, forbidActingOn, getAuth, readOnlyWhileActing, requireActing, requireUser } =
      onFastify
    const app = Fastify()
    await app.register(authenticate, { issuer, ...options })
    app.addHook('onRequest', forbidActingOn(forbidden))
    app.get('/open', async request => getAuth(request))
    app.get('/member', async request => (request as unknown as { auth: object }).auth)
    app.get('/me', { preHandler: requireUser }, async request => getAuth(request))
    // Routes registered inside get it too.
    app.register(async inside => {
      inside.all('/sensitive', { onRequest: forbidActing }, async () => '"done"')
      inside.get('/support', { onRequest: requireActing }, async () => '"done"')
    })
    app.all('/notes', { onRequest: readOnlyWhileActing }, async () => '"done"')
    app.all('/exports/all', async () => '"done"')
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { fetch: (path, init) => fetch(`${url}${path}`, init), [Symbol.asyncDispose]: () => app.close() }
  },

  async hono(options = {}) {
    const { authenticate, forbidActing, forbidActingOn, getAuth, readOnlyWhileActing, requireActing, requireUser } =
      onHono
    const app = new Hono<onHono.AuthEnv>()
    app.use(authenticate({ issuer, ...options }))
    app.use(forbidActingOn(forbidden))
    app.get('/open', context => context.json(getAuth(context)))
    app.get('/member', context => context.json(context.get('auth')))
    app.get('/me', requireUser, context => context.json(getAuth(context)))
    app.all('/sensitive', forbidActing, context => context.json('done'))
    app.get('/support', requireActing, context => context.json('done'))
    app.all('/notes', readOnlyWhileActing, context => context.json('done'))
    app.all('/exports/all', context => context.json('done'))
    return new Promise(resolve => {
      const started = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve(listening(started)))
    })
  },

  async request(options = {}) {
    const { createAuthenticator, forbidActing, forbidActingOn, readOnlyWhileActing, requireActing, requireUser } =
      onRequest
    const authenticate = createAuthenticator({ issuer, ...options })
    const always = forbidActingOn(forbidden)
    const guards: Record<string, onRequest.RequestGuard> = {
      '/me': requireUser,
      '/sensitive': forbidActing,
      '/support': requireActing,
      '/notes': readOnlyWhileActing,
    }
    return inProcess(async request => {
      const auth = await authenticate(request)
      const { pathname } = new URL(request.url)
      const refused = always(auth, request) ?? guards[pathname]?.(auth, request)
      return refused ?? Response.json(['/open', '/member', '/me'].includes(pathname) ? auth : 'done')
    })
  },
}

/** Calls the route handlers directly; test/example-next.test.ts uses a real Next.js. */
async function nextApp(options: Partial<Options> = {}): Promise<App> {
  const { forbidActing, readOnlyWhileActing, requireActing, requireUser } = onNext.authenticate({ issuer, ...options })
  const done = async (_request: Request) => Response.json('done')
  const routes: Record<string, (request: Request) => Promise<Response>> = {
    '/me': requireUser(done),
    '/sensitive': forbidActing(done),
    '/support': requireActing(done),
    '/notes': readOnlyWhileActing(done),
  }
  return inProcess(
    async request => (await routes[new URL(request.url).pathname]?.(request)) ?? new Response(null, { status: 404 }),
  )
}

function inProcess(handle: (request: Request) => Promise<Response>): App {
  return {
    fetch: (path, init) => handle(new Request(`https://app.example.com${path}`, init)),
    [Symbol.asyncDispose]: async () => {},
  }
}

function listening(started: { address(): unknown; close(): unknown }): App {
  const { port } = started.address() as { port: number }
  return {
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    [Symbol.asyncDispose]: async () => {
      started.close()
    },
  }
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const cookie = (token: string) => ({ headers: { cookie: `theme=dark; __session=${token}; __client_uat=1` } })

/** Checks a refusal: its status and its body. */
async function refused(answer: Response, status: number, code: string, meta: object = {}): Promise<void> {
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  assert.equal(answer.headers.get('content-type'), 'application/json')
  assert.equal(answer.headers.get('cache-control'), 'no-store')
  const { errors } = JSON.parse(text) as Errors
  const [error] = errors
  assert.equal(errors.length, 1)
  assert.equal(error?.code, code)
  const { action, ...rest } = error?.meta ?? {}
  assert.deepEqual(rest, meta)
  for (const said of [action, error?.message, error?.long_message]) assert.match(String(said), /\w{3}/)
}
interface Errors {
  errors: { code: string; message: string; long_message: string; meta: Record<string, string> }[]
}

async function passes(answer: Response): Promise<void> {
  assert.deepEqual([answer.status, (await answer.text()).replaceAll('\\"', '"')], [200, '"done"'])
}

for (const [name, start] of Object.entries({ ...apps, next: nextApp })) {
  describe(name, () => {
    let app: App
    before(async () => {
      app = await start()
    })
    after(() => app[Symbol.asyncDispose]())

    if (name !== 'next') {
      it('provides the user and the actor, by bearer token and by cookie', async () => {
        for (const credentials of [bearer(acting), cookie(acting)]) {
          const { claims, ...auth } = (await (await app.fetch('/open', credentials)).json()) as onRequest.Auth
          assert.deepEqual(
            { ...auth, sessionId: '' },
            { userId, sessionId: '', actor, isActing: true, access: 'write', scopes: null },
          )
          assert.deepEqual([claims?.sub, claims?.act, claims?.sid], [userId, actor, auth.sessionId])
        }
        const auth = (await (await app.fetch('/me', cookie(own))).json()) as onRequest.Auth
        assert.deepEqual([auth.userId, auth.actor, auth.isActing], [userId, null, false])
      })

      it('provides the same where the framework’s users expect it', async () => {
        const auth = (await (await app.fetch('/member', bearer(acting))).json()) as onRequest.Auth
        assert.deepEqual([auth.userId, auth.actor, auth.isActing], [userId, actor, true])
      })

      it('is set without a user too, with the reason', async () => {
        const out = {
          userId: null,
          sessionId: null,
          actor: null,
          isActing: false,
          access: null,
          scopes: null,
          claims: null,
        }
        for (const [init, reason] of [
          [{}, 'not-signed-in'],
          [{ headers: { cookie: '__session=; a=b' } }, 'not-signed-in'],
          [{ headers: { authorization: 'Basic eDp5' } }, 'not-signed-in'],
          [bearer('x'), 'token-malformed'],
          [cookie(`${own.slice(0, -8)}AAAAAAAA`), 'token-invalid-signature'],
        ] as const) {
          assert.deepEqual(await (await app.fetch('/open', init)).json(), { ...out, reason })
        }
      })

      it('uses a bearer token if there is one, and ignores the cookie', async () => {
        const both = (token: string) => ({ headers: { ...bearer(token).headers, ...cookie(own).headers } })
        const auth = (await (await app.fetch('/open', both(acting))).json()) as onRequest.Auth
        assert.equal(auth.isActing, true)
        for (const token of ['x', '', `${acting}, Bearer ${own}`]) {
          const open = (await (await app.fetch('/open', both(token))).json()) as onRequest.Auth
          assert.equal(open.userId, null, token)
        }
        const lower = { headers: { authorization: `bearer ${acting}` } }
        assert.equal(((await (await app.fetch('/open', lower)).json()) as onRequest.Auth).userId, userId)
      })

      it('forbids paths while acting, and allows them to users themselves and without a user', async () => {
        for (const path of ['/exports/all', '/EXPORTS//all/', '/x/%2e%2e/exports/all?format=csv', '/exports%2fall'])
          await refused(await app.fetch(path, { ...bearer(acting), method: 'POST' }), 403, 'forbidden_while_acting', {
            rule: 'exportData',
          })
        await refused(await app.fetch('/account/password', bearer(acting)), 403, 'forbidden_while_acting', {
          rule: 'changePassword',
        })
        await passes(await app.fetch('/exports/all', bearer(acting)))
        await passes(await app.fetch('/exports/all', { ...bearer(own), method: 'POST' }))
        await passes(await app.fetch('/exports/all', { method: 'POST' }))
      })
    }

    it('requireUser: 401 with the reason, without a user', async () => {
      const answer = await app.fetch('/me')
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
      await refused(answer, 401, 'authentication_invalid', { reason: 'not-signed-in' })
      const invalid = await app.fetch('/me', bearer('x'))
      assert.equal(invalid.headers.get('www-authenticate'), 'Bearer error="invalid_token"')
      await refused(invalid, 401, 'authentication_invalid', { reason: 'token-malformed' })
      for (const token of [own, acting]) assert.equal((await app.fetch('/me', bearer(token))).status, 200)
    })

    it('forbidActing: 403 while acting, 401 without a user', async () => {
      for (const method of ['GET', 'POST', 'DELETE'])
        await refused(await app.fetch('/sensitive', { ...cookie(acting), method }), 403, 'forbidden_while_acting')
      await refused(await app.fetch('/sensitive', { method: 'POST' }), 401, 'authentication_invalid', {
        reason: 'not-signed-in',
      })
      await passes(await app.fetch('/sensitive', { ...cookie(own), method: 'POST' }))
    })

    it('requireActing: 403 for users themselves, 401 without a user', async () => {
      await passes(await app.fetch('/support', bearer(acting)))
      await refused(await app.fetch('/support', bearer(own)), 403, 'acting_required')
      await refused(await app.fetch('/support'), 401, 'authentication_invalid', { reason: 'not-signed-in' })
    })

    it('readOnlyWhileActing: reads pass, 403 for everything else, 401 without a user', async () => {
      for (const method of ['GET', 'OPTIONS']) await passes(await app.fetch('/notes', { ...bearer(acting), method }))
      assert.equal((await app.fetch('/notes', { ...bearer(acting), method: 'HEAD' })).status, 200)
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        const answer = await app.fetch('/notes', { ...bearer(acting), method })
        await refused(answer, 403, 'forbidden_while_acting', { rule: 'read-only' })
        await passes(await app.fetch('/notes', { ...bearer(own), method }))
      }
      for (const method of ['GET', 'POST'])
        await refused(await app.fetch('/notes', { method }), 401, 'authentication_invalid', { reason: 'not-signed-in' })
    })

    it('503, not 401, when the keys cannot be fetched; no request passes', async () => {
      const nowhere = `http://127.0.0.1:${await freePort()}`
      const told: TokenError[] = []
      await using cutOff = await start({ issuer: nowhere, onInvalidToken: error => told.push(error) })
      for (const [path, method] of [
        ['/me', 'GET'],
        ['/sensitive', 'POST'],
        ['/support', 'GET'],
        ['/notes', 'POST'],
        ...(name === 'next' ? [] : [['/account/password', 'GET']]),
      ] as [string, string][]) {
        const answer = await cutOff.fetch(path, { ...bearer(own), method })
        assert.equal(answer.headers.get('retry-after'), '5')
        // `cause` is for the app's log and is not sent to HTTP clients.
        assert.doesNotMatch(await answer.clone().text(), /cause/)
        await refused(answer, 503, 'keys_unavailable', { reason: 'keys-unavailable' })
      }
      assert.equal(told[0]?.reason, 'keys-unavailable')
      assert.ok(told[0]?.cause instanceof Error)
      assert.doesNotMatch(JSON.stringify(told) + String(told[0].stack), new RegExp(own))
      await refused(await cutOff.fetch('/me'), 401, 'authentication_invalid', { reason: 'not-signed-in' })
    })

    it('503 when the revocations are unknown; no request passes', async () => {
      const serverURL = `http://127.0.0.1:${await freePort()}`
      using revocations = followRevocations({ serverURL, secretKey: SECRET_KEY, whenLost: 'refuse' })
      await using cutOff = await start({ revocations })
      for (const [path, method] of [
        ['/me', 'GET'],
        ['/sensitive', 'POST'],
        ...(name === 'next' ? [] : [['/account/password', 'GET']]),
      ] as [string, string][]) {
        const answer = await cutOff.fetch(path, { ...bearer(own), method })
        await refused(answer, 503, 'keys_unavailable', { reason: 'revocations-unavailable' })
      }
    })

    it('accepts the options of createVerifier, and refuses invalid ones', async () => {
      await using strict = await start({ authorizedParties: ['https://app.example.com'] })
      // A token minted with the secret key names no page.
      await refused(await strict.fetch('/me', bearer(own)), 401, 'authentication_invalid', {
        reason: 'token-wrong-party',
      })
      await assert.rejects(async () => start({ issuer: '' }), /`issuer` is missing/)
      await assert.rejects(async () => start({ publicKey: 'x' }), /not a public key as PEM/)
    })
  })
}

type Told = { userId: string; sessionId?: string; actor?: object | null; claims?: object } | undefined

/** The same for apps with their own login: /me for users, /sensitive for users themselves. */
const ownApps: Record<string, (session: () => Told | Promise<Told>) => Promise<App>> = {
  async express(session) {
    const app = express()
    app.use(onExpress.authenticate({ session: session as never }))
    app.get('/me', onExpress.requireUser, (request, response) => response.json(onExpress.getAuth(request)))
    app.post('/sensitive', onExpress.forbidActing, (_request, response) => response.json('done'))
    app.use(((_error, _request, response, _next) => response.sendStatus(500)) as express.ErrorRequestHandler)
    const started = app.listen(0, '127.0.0.1')
    await once(started, 'listening')
    return listening(started)
  },
  async fastify(session) {
    const app = Fastify()
    await app.register(onFastify.authenticate, { session: session as never })
    app.get('/me', { onRequest: onFastify.requireUser }, async request => onFastify.getAuth(request))
    app.post('/sensitive', { preHandler: onFastify.forbidActing }, async () => '"done"')
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    return { fetch: (path, init) => fetch(`${url}${path}`, init), [Symbol.asyncDispose]: () => app.close() }
  },
  async hono(session) {
    const app = new Hono()
    app.use(onHono.authenticate({ session: session as never }))
    app.get('/me', onHono.requireUser, context => context.json(onHono.getAuth(context)))
    app.post('/sensitive', onHono.forbidActing, context => context.json('done'))
    app.onError((_error, context) => context.body(null, 500))
    return inProcess(async request => app.fetch(request))
  },
  async request(session) {
    const authenticate = onRequest.createAuthenticator({ session: session as never })
    return inProcess(async request => {
      try {
        const auth = await authenticate(request)
        const guard = request.method === 'POST' ? onRequest.forbidActing : onRequest.requireUser
        return guard(auth, request) ?? Response.json(request.method === 'POST' ? 'done' : auth)
      } catch {
        return new Response(null, { status: 500 })
      }
    })
  },
  async next(session) {
    const { forbidActing, requireUser } = onNext.authenticate({ session: session as never })
    const find = onRequest.createAuthenticator({ session: session as never })
    const get = requireUser(async (request: Request) => Response.json(await find(request)))
    const post = forbidActing(async (_request: Request) => Response.json('done'))
    return inProcess(request =>
      (request.method === 'POST' ? post : get)(request).catch(() => new Response(null, { status: 500 })),
    )
  },
}

describe('sessions of the app’s own login', () => {
  for (const [name, start] of Object.entries(ownApps)) {
    it(`${name}: the guards work the same`, async () => {
      let told: Told
      await using app = await start(async () => told)
      await refused(await app.fetch('/me'), 401, 'authentication_invalid', { reason: 'not-signed-in' })
      await refused(await app.fetch('/sensitive', { method: 'POST' }), 401, 'authentication_invalid', {
        reason: 'not-signed-in',
      })
      told = { userId: 'carl', sessionId: 's1' }
      assert.deepEqual(await (await app.fetch('/me')).json(), {
        ...told,
        actor: null,
        isActing: false,
        access: null,
        scopes: null,
        claims: {},
      })
      await passes(await app.fetch('/sensitive', { method: 'POST' }))
      told = { userId: 'carl', sessionId: 's1', actor: { sub: 'olivia' }, claims: { plan: 'pro' } }
      assert.deepEqual(await (await app.fetch('/me')).json(), {
        ...told,
        isActing: true,
        access: 'write',
        scopes: null,
      })
      await refused(await app.fetch('/sensitive', { method: 'POST' }), 403, 'forbidden_while_acting')
      told = { userId: 'carl' }
      assert.equal(((await (await app.fetch('/me')).json()) as onRequest.Auth).sessionId, null)
      // Session tokens are ignored.
      told = undefined
      await refused(await app.fetch('/me', bearer(own)), 401, 'authentication_invalid', { reason: 'not-signed-in' })
    })

    it(`${name}: an invalid one is an error, and never a session of the user’s own`, async () => {
      let told: unknown
      await using app = await start(() => told as Told)
      for (const wrong of [
        { userId: 'carl', sessionId: 's1', actor: {} },
        { userId: 'carl', sessionId: 's1', actor: { sub: 7 } },
        { userId: 'carl', sessionId: 's1', actor: 'olivia' },
        { userId: 'carl', sessionId: 's1', actor: '' },
        { userId: 'carl', sessionId: 's1', actor: false },
        { userId: '', sessionId: 's1' },
        { userId: 7, sessionId: 's1' },
        { userId: 'carl', sessionId: 7 },
        {},
        'carl',
      ]) {
        told = wrong
        assert.equal((await app.fetch('/sensitive', { method: 'POST' })).status, 500, JSON.stringify(wrong))
      }
    })
  }

  it('a session that cannot be read is an error of the app, and no request passes', async () => {
    for (const start of Object.values(ownApps)) {
      await using app = await start(() => Promise.reject(new Error('the session store is down')))
      assert.equal((await app.fetch('/sensitive', { method: 'POST' })).status, 500)
    }
  })

  it('`session` and the options for tokens exclude each other', () => {
    for (const options of [{ session: 'x' }, { session: () => undefined, issuer: 'https://auth.example.com' }, {}])
      assert.throws(() => onExpress.authenticate(options as never), TypeError)
  })
})

describe('a guard without `authenticate` before it', () => {
  const asks = /First call: .*authenticate/

  it('express: fails and names the missing middleware', async () => {
    const { forbidActing, forbidActingOn, readOnlyWhileActing, requireActing, requireUser } = onExpress
    for (const guard of [requireUser, forbidActing, requireActing, readOnlyWhileActing, forbidActingOn(forbidden)]) {
      const app = express()
      let reached = false
      const failed: Error[] = []
      app.post('/', guard, (_request, response) => {
        reached = true
        response.end()
      })
      app.use(((error, _request, response, _next) => {
        failed.push(error)
        response.sendStatus(500)
      }) as express.ErrorRequestHandler)
      const started = app.listen(0, '127.0.0.1')
      await once(started, 'listening')
      await using running = listening(started)
      assert.equal((await running.fetch('/', { method: 'POST' })).status, 500)
      assert.equal(reached, false)
      assert.match(String(failed[0]?.message), asks)
    }
  })

  it('fastify: fails, on the same level as the plugin or before it', async () => {
    const app = Fastify()
    app.register(async inside => {
      await inside.register(onFastify.authenticate, { issuer })
      inside.get('/inside', { onRequest: onFastify.forbidActing }, async () => 'done')
    })
    app.post('/', { onRequest: onFastify.forbidActing }, async () => 'done')
    const answer = await app.inject({ method: 'POST', url: '/', ...bearer(own) })
    assert.equal(answer.statusCode, 500)
    assert.match(answer.json().message, asks)
    assert.equal((await app.inject({ url: '/inside', ...bearer(own) })).statusCode, 200)
    await app.close()
  })

  it('hono: fails', async () => {
    const app = new Hono()
    const failed: Error[] = []
    app.post('/', onHono.forbidActing, context => context.text('done'))
    app.onError((error, context) => {
      failed.push(error)
      return context.body(null, 500)
    })
    assert.equal((await app.request('/', { method: 'POST', ...bearer(own) })).status, 500)
    assert.match(String(failed[0]?.message), asks)
  })

  it('request: fails without an auth, and with a promise of one', () => {
    const authenticate = onRequest.createAuthenticator({ issuer })
    const request = new Request('https://app.example.com/', { method: 'POST' })
    for (const auth of [undefined, null, {}, authenticate(request)]) {
      for (const guard of [onRequest.requireUser, onRequest.forbidActing, onRequest.readOnlyWhileActing])
        assert.throws(() => guard(auth as never, request), /await authenticate\(request\)/)
    }
  })
})

describe('other code that changes a request', () => {
  it('cannot bypass a guard by setting `auth`', async () => {
    const app = express()
    app.use(onExpress.authenticate({ issuer }))
    app.use((request, _response, next) => {
      Object.assign(request, { auth: { userId: 'admin', isActing: false } })
      next()
    })
    app.post('/', onExpress.forbidActing, (_request, response) => response.json('done'))
    const started = app.listen(0, '127.0.0.1')
    await once(started, 'listening')
    await using running = listening(started)
    await refused(await running.fetch('/', { ...bearer(acting), method: 'POST' }), 403, 'forbidden_while_acting')

    const hono = new Hono<{ Variables: { auth: object } }>()
    hono.use(onHono.authenticate({ issuer }) as never)
    hono.use(async (context, next) => {
      context.set('auth', { userId: 'admin', isActing: false })
      await next()
    })
    hono.post('/', onHono.forbidActing, context => context.json('done'))
    await refused(await hono.request('/', { ...bearer(acting), method: 'POST' }), 403, 'forbidden_while_acting')
  })

  it('cannot bypass a guard by path: the original, the rewritten and the mounted path are checked', async () => {
    const app = express()
    app.use(onExpress.authenticate({ issuer }))
    app.use((request, _response, next) => {
      if (request.url === '/short') request.url = '/account/delete'
      next()
    })
    const inner = express.Router()
    inner.use(onExpress.forbidActingOn({ deleteAccount: ['/account/delete'], inner: ['/delete'] }))
    inner.use((_request, response) => response.json('done'))
    app.use('/account', inner)
    app.use('/v2', inner)
    const started = app.listen(0, '127.0.0.1')
    await once(started, 'listening')
    await using running = listening(started)
    for (const [path, rule] of [
      ['/short', 'deleteAccount'],
      ['/account/delete', 'deleteAccount'],
      ['/v2/delete', 'inner'],
    ] as const)
      await refused(await running.fetch(path, bearer(acting)), 403, 'forbidden_while_acting', { rule })
    await passes(await running.fetch('/v2/other', bearer(acting)))
  })

  it('fastify: cannot change refusals with a route’s response schema', async () => {
    const app = Fastify()
    await app.register(onFastify.authenticate, { issuer })
    const schema = { response: { '4xx': { type: 'object', properties: { nothing: { type: 'string' } } } } }
    app.get('/', { onRequest: onFastify.requireUser, schema }, async () => 'done')
    const answer = await app.inject('/')
    assert.deepEqual([answer.statusCode, answer.json().errors[0].code], [401, 'authentication_invalid'])
    await app.close()
  })
})

describe('Next.js', () => {
  it('no request passes if Next.js provides no request', async () => {
    const { auth, forbidActing } = onNext.authenticate({ issuer })
    await assert.rejects(auth())
    let reached = false
    const action = forbidActing(async (_form: FormData) => {
      reached = true
    })
    await assert.rejects(action(new FormData()))
    assert.equal(reached, false)
  })
})
