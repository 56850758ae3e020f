import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Hono } from 'hono'
import { pino } from 'pino'
import { z } from 'zod'
import { cookieOf, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { errorCodesOf } from '../src/contract/openapi.ts'
import { operation } from '../src/contract/operation.ts'
import { trustedProxies } from '../src/http/caller.ts'
import { ListQueue } from '../src/http/edge/list-queue.ts'
import { RateLimits } from '../src/http/edge/rate-limits.ts'
import { routedPath } from '../src/http/input.ts'
import { type Http, mount } from '../src/http/mount.ts'
import { logged } from '../src/http/request-log.ts'

/** Operations of browsers that are only for users themselves. The contract has none yet. */

const ORIGIN = 'http://127.0.0.1:4101'
const changing = {
  method: 'post',
  tag: 'Test',
  summary: 'Test',
  auth: 'client',
  anonymous: true,
  bodyType: 'form',
  body: z.looseObject({}),
  response: z.null(),
} as const
const operations = {
  change: operation({ ...changing, id: 'change', path: '/v1/test', action: 'test.change' }),
  ofSession: operation({ ...changing, id: 'ofSession', path: '/v1/test/{session_id}' }),
  remove: operation({ ...changing, id: 'remove', path: '/v1/test', method: 'delete' }),
  acting: operation({ ...changing, id: 'acting', path: '/v1/acting', whileActing: true }),
  readAndChange: operation({ ...changing, id: 'readAndChange', path: '/v1/read', method: 'get', action: 'test.read' }),
  read: operation({ ...changing, id: 'read', path: '/v1/plain', method: 'get' }),
}

/** Mounts the operations next to a server, on its database. @returns a function that sends a request of a browser */
function mountedOn(server: TestServer) {
  const app = new Hono({ strict: true, getPath: routedPath }) as unknown as Http['app']
  const log = pino({ level: 'silent' })
  const { services } = server.stagedoor
  const options: Http['options'] = {
    allowedOrigins: new Set([ORIGIN]),
    trustedProxies: trustedProxies([]),
    limits: new RateLimits({}, log),
    lists: new ListQueue(1),
    checkResponses: true,
    packagesDirectory: '.',
    pages: { languages: ['en'], brand: { name: 'Stagedoor', logo: undefined } },
  }
  for (const each of Object.values(operations)) mount({ app, services, options, log }, each, async () => null)
  const handler = logged(app, services, { log, metrics: undefined, tracing: undefined })
  return async (method: string, path: string, cookie?: string, headers: Record<string, string | undefined> = {}) => {
    const given = Object.entries({ origin: ORIGIN, cookie, ...headers }).filter(([, value]) => value !== undefined)
    const answer = await handler.fetch(
      new Request(`http://127.0.0.1:4100${path}`, { method, headers: given as [string, string][] }),
    )
    const { errors = [] } = JSON.parse((await answer.text()) || '{}') as { errors?: { code: string }[] }
    return answer.status === 200 ? 'done' : errors.map(({ code }) => code).join()
  }
}

async function signInAs(server: TestServer, user_id: string, cookie?: string) {
  const { token } = expectOk(await server.call('POST', '/v1/sign_in_tokens', { user_id }))
  const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }, { cookie })
  return { id: expectOk(answer).response.created_session_id as string, cookie: cookieOf(answer) }
}

async function actAs(server: TestServer, cookie?: string) {
  const { token } = await server.createActorToken()
  const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }, { cookie })
  return { id: expectOk(answer).response.created_session_id as string, cookie: cookieOf(answer) }
}

const REFUSED = 'forbidden_while_acting'

describe('an operation of browsers that changes state', () => {
  it('is refused while acting unless the contract marks it, in every way to send it, and the refusal is recorded', async () => {
    await using server = await testServer()
    const send = mountedOn(server)
    const { id, cookie } = await actAs(server)
    assert.equal(await send('POST', '/v1/test', cookie), REFUSED)
    assert.equal(await send('DELETE', '/v1/test', cookie), REFUSED)
    assert.equal(await send('POST', '/v1/test?_method=DELETE', cookie), REFUSED)
    assert.equal(await send('POST', `/v1/test/${id}`, cookie), REFUSED)
    assert.equal(await send('GET', '/v1/read', cookie), REFUSED)
    const token = cookie.replace('__client=', '')
    assert.equal(
      await send('POST', '/v1/test?_is_native=1', undefined, { authorization: token, origin: undefined }),
      REFUSED,
    )
    assert.equal(await send('POST', '/v1/acting', cookie), 'done')
    assert.equal(await send('GET', '/v1/plain', cookie), 'done')
    const [event] = await server.auditEvents({ session_id: id, action: 'test.change' })
    assert.deepEqual([event?.outcome, event?.code, event?.actor_sub], ['refused', REFUSED, 'user_operator'])
  })

  it('is refused if the selected session or the one that the request names is acted in', async () => {
    await using server = await testServer()
    const send = mountedOn(server)
    const own = await signInAs(server, (await server.createUser()).id)
    assert.equal(await send('POST', '/v1/test', own.cookie), 'done')
    const acting = await actAs(server, own.cookie)
    const { cookie } = acting
    // The acting session is selected: naming another one does not help.
    for (const query of ['', `?_clerk_session_id=${own.id}`, `?_clerk_session_id=${acting.id}`])
      assert.equal(await send('POST', `/v1/test${query}`, cookie), REFUSED, query)
    assert.equal(await send('POST', `/v1/test/${own.id}`, cookie), REFUSED)

    const select = { active_organization_id: '', intent: 'select_session' }
    expectOk(await server.post(`/v1/client/sessions/${own.id}/touch`, select, { cookie }))
    assert.equal(await send('POST', '/v1/test', cookie), 'done')
    assert.equal(await send('POST', `/v1/test/${own.id}`, cookie), 'done')
    for (const path of [
      `/v1/test/${acting.id}`,
      `/v1/test?_clerk_session_id=${acting.id}`,
      `/v1/test?_clerk_session_id=${own.id}&_clerk_session_id=${acting.id}`,
    ])
      assert.equal(await send('POST', path, cookie), REFUSED, path)
  })

  it('is not refused once acting has ended, nor without a session', async () => {
    await using server = await testServer()
    const send = mountedOn(server)
    const { id, cookie } = await actAs(server)
    expectOk(await server.call('POST', `/v1/sessions/${id}/revoke`))
    assert.equal(await send('POST', '/v1/test', cookie), 'done')
    assert.equal(await send('POST', '/v1/test'), 'done')
  })

  it('has that error in the OpenAPI document', () => {
    const refused = Object.values(operations).filter(each => errorCodesOf(each).includes(REFUSED))
    assert.deepEqual(refused.map(({ id }) => id).sort(), ['change', 'ofSession', 'readAndChange', 'remove'])
  })
})
