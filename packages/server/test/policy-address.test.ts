import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Answer, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { patience } from '../../../test/support/time.ts'
import { browserAddress } from '../src/domain/policy.ts'

/** Policies that ask for the actor's address: `context.ip`. */

const OFFICE = '203.0.113.7'
const OFFICE_6 = '2001:db8::7'
const ELSEWHERE = '198.51.100.9'
const env = { STAGEDOOR_TRUSTED_PROXIES: '127.0.0.1' }

/** Only from the office. */
const FROM_OFFICE = `@id("office")
permit (principal, action in Action::"act", resource)
when { context has ip && (context.ip.isInRange(ip("203.0.113.0/24")) || context.ip.isInRange(ip("2001:db8::/32"))) };`
/** Allows an unknown address, so that it matters what is recorded. */
const NOT_ELSEWHERE = `@id("all") permit (principal, action in Action::"act", resource);
@id("elsewhere") forbid (principal, action in Action::"act", resource)
when { context has ip && context.ip == ip("198.51.100.9") };`
const ANY = '@id("all") permit (principal, action in Action::"act", resource);'

const apply = async (server: TestServer, text: string) =>
  expectOk(await server.call('PUT', '/v1/policy', { text, off: ['base.reason'], expect_refused: 100 }))
const create = async (server: TestServer, fields: object = {}) =>
  server.call('POST', '/v1/actor_tokens', {
    user_id: (await server.createUser()).id,
    actor: { sub: 'olivia' },
    ...fields,
  })

/** A browser that sends its requests over HTTP, through a proxy that the server trusts. */
async function browserOf(server: TestServer) {
  const url = await server.listen()
  return async (from: string, path: string, form?: Record<string, string>, headers: Record<string, string> = {}) => {
    const response = await fetch(url + path, {
      method: form ? 'POST' : 'GET',
      headers: { 'x-forwarded-for': from, origin: 'http://127.0.0.1:4101', ...headers },
      redirect: 'manual',
      ...(form ? { body: new URLSearchParams(form) } : {}),
    })
    const text = await response.text()
    const cookie = response.headers.getSetCookie().find(each => each.startsWith('__client='))
    const isJson = response.headers.get('content-type') === 'application/json'
    return {
      status: response.status,
      text,
      body: isJson ? JSON.parse(text) : null,
      cookie: cookie?.split(';')[0] ?? '',
    }
  }
}
type Send = Awaited<ReturnType<typeof browserOf>>

async function signIn(send: Send, from: string, ticket: string) {
  const { status, body, cookie, text } = await send(from, '/v1/client/sign_ins', { strategy: 'ticket', ticket })
  assert.equal(status, 200, text)
  const id: string = body.response.created_session_id
  return {
    id,
    mint: (at: string) => send(at, `/v1/client/sessions/${id}/tokens`, {}, { cookie }),
    load: (at: string) => send(at, '/v1/client', undefined, { cookie }),
  }
}

const statusOf = async (server: TestServer, id: string) =>
  expectOk(await server.call('GET', `/v1/sessions/${id}`)).status
const endedBy = async (server: TestServer, session_id: string) =>
  (await server.auditEvents({ session_id, action: 'session.revoke' })).map(({ reason }) => reason)
const refused = ({ status, codes, text }: Answer) => assert.deepEqual([status, codes], [403, ['acting_refused']], text)

/** Waits until the job has decided about every session on the policy in force. */
async function decided(server: TestServer): Promise<void> {
  const until = Date.now() + patience(20_000)
  while ((await server.stagedoor.services.store.reevaluation.due(1)).length > 0) {
    assert.ok(Date.now() < until, 'sessions are still due')
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

describe('context.ip', () => {
  it('is the address that the backend names when it creates a token, in every way to write it', async () => {
    await using server = await testServer({ env })
    await apply(server, FROM_OFFICE)
    refused(await create(server))
    refused(await create(server, { ip: ELSEWHERE }))
    for (const ip of [OFFICE, OFFICE_6, '2001:0DB8:0::0007', `::ffff:${OFFICE}`]) expectOk(await create(server, { ip }))
    for (const ip of [
      '',
      'x',
      '203.0.113',
      '203.0.113.256',
      '203.0.113.7/24',
      'fe80::1%eth0',
      `${OFFICE}, ${OFFICE}`,
    ]) {
      const { status, body } = await create(server, { ip })
      assert.deepEqual([status, body.errors[0].meta.param_name], [422, 'ip'], ip)
    }
    const { id } = await server.createUser()
    const question = { user_id: id, actor: { sub: 'olivia' } }
    const explained = expectOk(await server.call('POST', '/v1/policy/explain', { ...question, ip: `::ffff:${OFFICE}` }))
    assert.deepEqual([explained.decision, explained.facts.context.ip], ['allowed', OFFICE])
    assert.equal(expectOk(await server.call('POST', '/v1/policy/explain', question)).decision, 'refused')
  })

  it('is the address of the browser that opens the link and redeems it, not the one that the token named', async () => {
    await using server = await testServer({ env })
    await apply(server, FROM_OFFICE)
    const send = await browserOf(server)
    const { token, id } = expectOk(await create(server, { ip: OFFICE }))
    const form = { strategy: 'ticket', ticket: token }
    const page = await send(ELSEWHERE, `/v1/tickets/accept?ticket=${token}`, undefined, { accept: 'text/html' })
    assert.equal(page.status, 403, page.text)
    const answer = await send(ELSEWHERE, '/v1/client/sign_ins', form)
    assert.deepEqual([answer.status, answer.body.errors[0].code], [403, 'acting_refused'])
    assert.equal(expectOk(await server.call('GET', `/v1/actor_tokens/${id}`)).status, 'pending')
    await signIn(send, OFFICE_6, token)
  })

  it('is unknown when a backend redeems', async () => {
    await using server = await testServer({ env })
    await apply(server, FROM_OFFICE)
    const { token } = expectOk(await create(server, { ip: OFFICE }))
    refused(await server.call('POST', '/v1/actor_tokens/accept', { ticket: token }))
    await apply(server, NOT_ELSEWHERE)
    const { session } = expectOk(await server.call('POST', '/v1/actor_tokens/accept', { ticket: token }))
    expectOk(await server.call('POST', `/v1/sessions/${session.id}/tokens`))
  })

  it('ends a session when its browser mints from an address that the policy does not allow', async () => {
    await using server = await testServer({ env })
    await apply(server, FROM_OFFICE)
    const send = await browserOf(server)
    const session = await signIn(send, OFFICE, expectOk(await create(server, { ip: OFFICE })).token)
    for (const at of [OFFICE, OFFICE_6, OFFICE, OFFICE_6]) assert.equal((await session.mint(at)).status, 200, at)
    assert.equal((await session.mint(ELSEWHERE)).status, 401)
    assert.equal(await statusOf(server, session.id), 'revoked')
    assert.deepEqual(await endedBy(server, session.id), ['policy: no rule permits it'])
    assert.equal((await session.mint(OFFICE)).status, 401)
  })

  it('is decided about at each mint: when a page loads, and by a backend', async () => {
    await using server = await testServer({ env })
    await apply(server, FROM_OFFICE)
    const send = await browserOf(server)
    const one = await signIn(send, OFFICE, expectOk(await create(server, { ip: OFFICE })).token)
    const loaded = await one.load(ELSEWHERE)
    assert.deepEqual([loaded.status, await statusOf(server, one.id)], [200, 'revoked'])
    assert.equal(loaded.text.includes('"jwt"'), false)
    const two = await signIn(send, OFFICE, expectOk(await create(server, { ip: OFFICE })).token)
    assert.equal((await server.call('POST', `/v1/sessions/${two.id}/tokens`)).status, 401)
    assert.equal(await statusOf(server, two.id), 'revoked')
  })

  it('does not matter if no rule asks for it', async () => {
    await using server = await testServer({ env })
    await apply(server, ANY)
    const send = await browserOf(server)
    const session = await signIn(send, OFFICE, expectOk(await create(server)).token)
    for (const at of [ELSEWHERE, OFFICE_6]) assert.equal((await session.mint(at)).status, 200)
  })

  it('is the address at which the session started when the job decides again', async () => {
    await using server = await testServer({ env })
    await apply(server, ANY)
    const send = await browserOf(server)
    const sessions = []
    for (const at of [OFFICE, ELSEWHERE]) sessions.push(await signIn(send, at, expectOk(await create(server)).token))
    const [office, elsewhere] = sessions as [(typeof sessions)[0], (typeof sessions)[0]]
    const explain = async (fields: object) =>
      expectOk(await server.call('POST', '/v1/policy/explain', fields)).facts.context.ip
    assert.equal(await explain({ session_id: office.id }), OFFICE)
    assert.equal(await explain({ session_id: office.id, ip: OFFICE_6 }), OFFICE_6)
    const { live } = expectOk(await server.call('POST', '/v1/policy/what_if', { text: NOT_ELSEWHERE }))
    assert.deepEqual(
      [live.checked, live.sessions.map((each: { session_id: string }) => each.session_id)],
      [2, [elsewhere.id]],
    )
    await apply(server, NOT_ELSEWHERE)
    await decided(server)
    assert.deepEqual([await statusOf(server, office.id), await statusOf(server, elsewhere.id)], ['active', 'revoked'])
    assert.deepEqual(await endedBy(server, elsewhere.id), ['policy: elsewhere'])
    // What was decided for the address of the start does not hold for another one.
    assert.equal((await office.mint(ELSEWHERE)).status, 401)
    assert.equal(await statusOf(server, office.id), 'revoked')
  })

  it('of past actor tokens is the address that each named', async () => {
    await using server = await testServer({ env })
    for (const fields of [{ ip: OFFICE }, { ip: ELSEWHERE }, {}]) expectOk(await create(server, fields))
    const { acts } = expectOk(
      await server.call('POST', '/v1/policy/what_if', { text: NOT_ELSEWHERE, off: ['base.reason'] }),
    )
    assert.deepEqual([acts.checked, acts.by_rule], [3, { elsewhere: 1 }])
  })

  it('is not read from a header that a stranger sent', async () => {
    await using server = await testServer()
    await apply(server, FROM_OFFICE)
    const send = await browserOf(server)
    const { token } = expectOk(await create(server, { ip: OFFICE }))
    assert.equal((await send(OFFICE, '/v1/client/sign_ins', { strategy: 'ticket', ticket: token })).status, 403)
  })

  it('has no zone, and none if a backend or the command line asks', () => {
    const of = (type: string, address: string | null) =>
      browserAddress({ caller: { principal: { type }, address } } as never)
    assert.equal(of('client', 'fe80::1%eth0'), 'fe80::1')
    assert.equal(of('client', null), null)
    for (const type of ['secret_key', 'command_line', 'system']) assert.equal(of(type, OFFICE), null)
  })
})
