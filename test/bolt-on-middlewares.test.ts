/** The middlewares on an app's own login: docs/guides/quick-starts.md quotes lines of this file. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import {
  authenticate,
  forbidActing,
  forbidActingOn,
  getAuth,
  neverWhileActing,
  type OwnSession,
  requireUser,
} from '@stagedoor/sdk/express'
// @ts-expect-error: it has no types
import cookieSession from 'cookie-session'
import express from 'express'

interface ShopRequest extends express.Request {
  session: { userId?: string; acting?: { actor: { sub: string } } }
}

/** A shop with cookie-session, where every user can log in as every other. */
function shop(): express.Express {
  const app = express()
  app.use(cookieSession({ name: 'shop', secret: 'of this test' }))
  app.post('/login/:user{/:actor}', (request, response) => {
    const { user, actor } = request.params
    Object.assign((request as unknown as ShopRequest).session, {
      userId: user,
      acting: actor && { actor: { sub: actor } },
    })
    response.end()
  })

  const mySession = ({ session }: ShopRequest): OwnSession | undefined =>
    session.userId ? { userId: session.userId, actor: session.acting?.actor } : undefined

  app.use(authenticate({ session: mySession }))
  app.use(forbidActingOn({ ...neverWhileActing, closeStore: ['POST /store/close'] }))

  app.get('/me', requireUser, (request, response) => response.json(getAuth(request)))
  app.post('/orders/cancel', forbidActing, (_request, response) => response.json('done'))
  app.use((_request, response) => response.json('done'))
  return app
}

describe('the middlewares, on a login of the app’s own', () => {
  const server = shop().listen(0, '127.0.0.1')
  let url: string

  before(async () => {
    if (!server.listening) await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  after(() => server.close())

  /** Logs in. @returns a function that calls with that session and returns the status */
  async function loggedIn(path: string) {
    const cookies = (await fetch(`${url}/login/${path}`, { method: 'POST' })).headers.getSetCookie()
    const cookie = cookies.map(each => each.split(';')[0]).join('; ')
    return (method: string, to: string) => fetch(url + to, { method, headers: { cookie } })
  }

  it('an operator is refused what only the customer may do, and the customer is not', async () => {
    const [carl, olivia] = [await loggedIn('carl'), await loggedIn('carl/olivia')]
    const auth = { userId: 'carl', sessionId: null, claims: {} }
    const own = { actor: null, isActing: false, access: null, scopes: null }
    assert.deepEqual(await (await carl('GET', '/me')).json(), { ...auth, ...own })
    const acting = { actor: { sub: 'olivia' }, isActing: true, access: 'write', scopes: null }
    assert.deepEqual(await (await olivia('GET', '/me')).json(), { ...auth, ...acting })
    for (const [method, path] of [
      ['POST', '/orders/cancel'],
      ['POST', '/store/close'],
      ['POST', '/exports/orders'],
      ['PUT', '/settings/password'],
    ] as const) {
      assert.equal((await carl(method, path)).status, 200, path)
      assert.equal((await olivia(method, path)).status, 403, path)
    }
    assert.equal((await olivia('GET', '/orders')).status, 200)
  })

  it('refuse a visitor without a session', async () => {
    assert.equal((await fetch(`${url}/me`)).status, 401)
    assert.equal((await fetch(`${url}/orders/cancel`, { method: 'POST' })).status, 401)
  })
})
