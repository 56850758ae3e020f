import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { operatorOf } from '../../../test/support/operators.ts'
import { expectOk, sharedServer, type TestServer, testServer } from '../../../test/support/server.ts'
import { search } from '../src/domain/search.ts'
import { createSecretKey } from '../src/domain/secret-keys.ts'

const find = async (server: TestServer, query: string, headers = {}) =>
  expectOk(await server.call('GET', `/v1/search?query=${encodeURIComponent(query)}`, undefined, headers))
const idsOf = (found: Record<string, { id: string }[]>) =>
  ['users', 'sessions', 'actor_tokens'].map(kind => found[kind]?.map(({ id }) => id))

describe('search', () => {
  const shared = sharedServer()

  it('finds users by a part of a text, and everything by exact ids', async () => {
    const server = shared()
    const user = await server.createUser({ first_name: 'Zaphod', email_address: ['zaphod@example.com'] })
    const { session_id, token_id } = await server.signIn({ user_id: user.id, actor: { sub: 'trillian' } })
    const pending = await server.createActorToken({ user_id: user.id, actor: { sub: 'ford' } })
    for (const query of ['Zaph', 'zaphod@ex', ' zaphod ', 'za'])
      assert.deepEqual(idsOf(await find(server, query)), [[user.id], [], []], query)
    assert.deepEqual(idsOf(await find(server, session_id)), [[], [session_id], []])
    assert.deepEqual(idsOf(await find(server, token_id)), [[], [], [token_id]])
    assert.deepEqual(idsOf(await find(server, user.id)), [
      [user.id],
      [session_id],
      [pending.id, token_id].sort().reverse(),
    ])
    assert.deepEqual(idsOf(await find(server, 'trillian')), [[], [session_id], [token_id]])
    assert.deepEqual(idsOf(await find(server, 'trillia')), [[], [], []])
    assert.deepEqual(idsOf(await find(server, `act_${'0'.repeat(27)}`)), [[], [], []])
    const found = await find(server, user.id)
    assert.deepEqual(found.users[0], expectOk(await server.call('GET', `/v1/users/${user.id}`)))
    assert.equal(found.actor_tokens[0].token, undefined, 'no ticket')
  })

  it('finds a user who also acts, and at most 8 of each kind, newest first', async () => {
    const server = shared()
    const person = await server.createUser({ first_name: 'Marvin' })
    const sessions: string[] = []
    for (let i = 0; i < 10; i++) {
      server.clock.advance(1)
      const other = await server.createUser({ first_name: 'Marvin' })
      const as = i % 2 === 0 ? { user_id: person.id } : { user_id: other.id, actor: { sub: person.id } }
      sessions.unshift((await server.signIn(as)).session_id)
    }
    const found = await find(server, person.id)
    assert.deepEqual(
      found.sessions.map(({ id }: { id: string }) => id),
      sessions.slice(0, 8),
    )
    assert.equal(found.actor_tokens.length, 8)
    assert.equal((await find(server, 'Marvin')).users.length, 8)
  })

  it('returns only the kinds that the secret key may read', async () => {
    const server = shared()
    const user = await server.createUser()
    await server.signIn({ user_id: user.id })
    const context = server.stagedoor.context({ type: 'system', id: null })
    for (const [rights, counts] of [
      [['users'], [1, 0, 0]],
      [['act'], [0, 1, 1]],
      [['audit'], [0, 1, 1]],
      [
        ['act', 'users'],
        [1, 1, 1],
      ],
      [['everything'], [1, 1, 1]],
    ] as const) {
      const { secret } = await createSecretKey(context, { name: rights.join(), rights: [...rights] })
      const found = await find(server, user.id, { authorization: `Bearer ${secret}` })
      assert.deepEqual(
        idsOf(found).map(ids => ids?.length),
        counts,
        rights.join(),
      )
    }
    const { secret } = await createSecretKey(context, { name: 'policy', rights: ['policy'] })
    const refused = await server.call('GET', '/v1/search?query=x', undefined, { authorization: `Bearer ${secret}` })
    assert.deepEqual([refused.status, refused.codes], [403, ['key_not_allowed']])
    // A caller without rights finds nothing.
    assert.deepEqual(await search(context, { query: user.id }), { users: [], sessions: [], actor_tokens: [] })
  })

  it('needs a text', async () => {
    const server = shared()
    for (const query of ['', '?query=', '?query=%20%20', `?query=${'x'.repeat(256)}`, '?query=x&kind=users'])
      assert.equal((await server.call('GET', `/v1/search${query}`)).status, 422, query)
  })

  it('C12: an operator may search 60 times per minute, and each search for people is an event', async () => {
    await using server = await testServer()
    const operator = await operatorOf(server, 'viewer')
    const { id } = await server.createUser({ first_name: 'Zaphod', email_address: ['beeblebrox@example.com'] })
    const ways = ['/v1/search?query=zaphod', '/v1/users?query=zaphod', '/v1/users/count?query=zaphod']
    ways.push('/v1/users?email_address=beeblebrox@example.com', '/v1/users?name_query=zaph')
    for (let n = 0; n < 60; n++) expectOk(await operator.call('GET', ways[n % ways.length] ?? ''))
    for (const way of ways) {
      const { status, codes, headers } = await operator.call('GET', way)
      assert.deepEqual([status, codes, headers.get('retry-after')], [429, ['too_many_requests'], '60'], way)
    }
    // A list without personal filters is not limited. Each operator has a limit of their own.
    expectOk(await operator.call('GET', `/v1/users?user_id=${id}`))
    expectOk(await operator.call('GET', '/v1/users'))
    expectOk(await (await operatorOf(server, 'admin')).call('GET', '/v1/search?query=zaphod'))
    server.clock.advance(60)
    expectOk(await operator.call('GET', '/v1/users?query=zaphod'))
    const events = await server.auditEvents({ action: 'console.search', limit: '100' })
    assert.equal(events.length, 62)
    assert.ok(events.every(({ principal }) => principal.type === 'operator'))
  })

  it('records the searches of operators, with the text in the part that can be erased, and no others', async () => {
    const server = shared()
    await find(server, 'nobody')
    assert.deepEqual(await server.auditEvents({ action: 'console.search' }), [])
    const operator = await operatorOf(server, 'viewer', { name: 'Trillian' })
    expectOk(await operator.call('GET', '/v1/search?query=zaphod@example.com'))
    const { rows } = await server.stagedoor.services.store.audit.list(
      { action: 'console.search' },
      { limit: 2, offset: 0 },
    )
    const [event, ...more] = rows
    assert.deepEqual(more, [])
    assert.ok(event?.personal?.includes('zaphod@example.com') && !event.event.includes('zaphod'))
    const [shown] = await server.auditEvents({ action: 'console.search', actor_sub: operator.sub })
    assert.equal((shown?.['actor'] as { name?: string } | undefined)?.name, 'Trillian')
    const { audit } = server.stagedoor.services.store
    const { append } = audit
    audit.append = () => Promise.reject(new Error('full'))
    assert.equal((await operator.call('GET', '/v1/search?query=zaphod')).status, 500)
    audit.append = append
  })
})
