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
import type { TokenError } from '@stagedoor/sdk/verify'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { freePort } from '../../../test/browser.ts'
import { SECRET_KEY, type TestServer, testServer } from '../../server/test/support.ts'

const actor = { sub: 'user_operator', name: 'Olivia', nested: { list: [1, 'ü', null] } }
/** What an app of these tests forbids by path. */
const forbidden = { ...onRequest.neverWhileActing, exportData: ['POST /exports/**'] }

let server: TestServer
let issuer: string
let stagedoor: Stagedoor
let userId: string
/** Session tokens of the user's own session, and of one who acts. */
let own: string
let acting: string

before(async () => {
  const port = await freePort()
  issuer = `http://127.0.0.1:${port}`
  server = await testServer({ realTime: true, env: { STAGEDOOR_PORT: `${port}`, STAGEDOOR_PUBLIC_URL: issuer } })
  await server.listen()
  stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL: issuer })
  userId = (await stagedoor.users.create()).id
  own = (await stagedoor.sessions.getToken((await stagedoor.sessions.create({ userId })).id)).jwt
  const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId, actor })
  acting = (await stagedoor.actorTokens.accept({ ticket })).token.jwt
})
after(() => server[Symbol.asyncDispose]())

type Options = Pick<onRequest.TokenOptions, 'issuer' | 'authorizedParties' | 'onInvalidToken'> & { publicKey?: string }
interface App extends AsyncDisposable {
  fetch(path: string, init?: RequestInit): Promise<Response>
}

/**
 * The same app on each: /open is for all, /me for users, /sensitive for users themselves, /support for those who act,
 * /notes is read-only while acting, and what is `forbidden` is so by path.
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
    // What is registered inside has it too.
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

/** Its route handlers; the rest of it, in a real Next.js: test/example-next.test.ts. */
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

/** A refusal: its status, and what it says. */
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
      it('says who the user is and who is acting, by bearer token and by cookie', async () => {
        for (const credentials of [bearer(acting), cookie(acting)]) {
          const { claims, ...auth } = (await (await app.fetch('/open', credentials)).json()) as onRequest.Auth
          assert.deepEqual({ ...auth, sessionId: '' }, { userId, sessionId: '', actor, isActing: true })
          assert.deepEqual([claims?.sub, claims?.act, claims?.sid], [userId, actor, auth.sessionId])
        }
        const auth = (await (await app.fetch('/me', cookie(own))).json()) as onRequest.Auth
        assert.deepEqual([auth.userId, auth.actor, auth.isActing], [userId, null, false])
      })

      it('has the same in the place where the framework’s users look', async () => {
        const auth = (await (await app.fetch('/member', bearer(acting))).json()) as onRequest.Auth
        assert.deepEqual([auth.userId, auth.actor, auth.isActing], [userId, actor, true])
      })

      it('is there when nobody is signed in, and says why', async () => {
        const out = { userId: null, sessionId: null, actor: null, isActing: false, claims: null }
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

      it('takes a bearer token for what is meant, whatever the cookie says', async () => {
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

      it('forbids paths while acting, and nothing to users themselves or to nobody', async () => {
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

    it('requireUser: 401 without a user, and why', async () => {
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

    it('readOnlyWhileActing: reads pass, 403 for all else', async () => {
      for (const method of ['GET', 'OPTIONS']) await passes(await app.fetch('/notes', { ...bearer(acting), method }))
      assert.equal((await app.fetch('/notes', { ...bearer(acting), method: 'HEAD' })).status, 200)
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
        const answer = await app.fetch('/notes', { ...bearer(acting), method })
        await refused(answer, 403, 'forbidden_while_acting', { rule: 'read-only' })
        await passes(await app.fetch('/notes', { ...bearer(own), method }))
        await passes(await app.fetch('/notes', { method }))
      }
    })

    it('503, and not 401, when the keys cannot be fetched; nothing is let through', async () => {
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
        await refused(answer, 503, 'keys_unavailable', { reason: 'keys-unavailable' })
      }
      assert.equal(told[0]?.reason, 'keys-unavailable')
      assert.ok(told[0]?.cause instanceof Error)
      assert.doesNotMatch(JSON.stringify(told) + String(told[0].stack), new RegExp(own))
      await refused(await cutOff.fetch('/me'), 401, 'authentication_invalid', { reason: 'not-signed-in' })
    })

    it('takes the options of createVerifier, and refuses those that make no sense', async () => {
      await using strict = await start({ authorizedParties: ['https://app.example.com'] })
      // Minted with the secret key, the token names no page.
      await refused(await strict.fetch('/me', bearer(own)), 401, 'authentication_invalid', {
        reason: 'token-wrong-party',
      })
      await assert.rejects(async () => start({ issuer: '' }), /`issuer` is missing/)
      await assert.rejects(async () => start({ publicKey: 'x' }), /not a public key as PEM/)
    })
  })
}
