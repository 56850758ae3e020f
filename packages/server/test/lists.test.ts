import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Stagedoor } from '@stagedoor/sdk'
import { expectOk, SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'
import { auditEvent } from '../src/domain/audit/event.ts'

/** Lists are read while their rows change. No row is skipped and none appears twice. */

const actor = { sub: 'olivia@support' }

function clientOf({ stagedoor }: TestServer): Stagedoor {
  return new Stagedoor({
    secretKey: SECRET_KEY,
    serverURL: 'http://127.0.0.1:4100',
    fetch: request => stagedoor.fetch(request),
  })
}

/** Creates several records, one after the other in time. */
async function several<T>(server: TestServer, count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = []
  for (let index = 0; index < count; index++) {
    made.push(await make(index))
    server.clock.advance(1)
  }
  return made
}

const idsOf = (rows: { id: string }[]) => rows.map(({ id }) => id)

describe('a loop over a list', () => {
  it('revokes all 25 sessions of an actor, even while others begin', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    const made = await several(server, 25, () => server.signIn({ actor }))
    const seen: string[] = []
    for await (const { id } of client.sessions.list({ actorSub: actor.sub, status: 'active' })) {
      seen.push(id)
      await client.sessions.revoke(id)
      if (seen.length % 10 === 0) await server.signIn({ actor })
    }
    assert.deepEqual(seen, made.map(it => it.session_id).toReversed())
    const left = await client.sessions.list({ actorSub: actor.sub, status: 'active' })
    assert.deepEqual([left.data.length, left.totalCount], [2, 2])
  })

  it('revokes sessions of every filter and returns each once', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    const { id: userId } = await server.createUser()
    const made = await several(server, 12, () => server.signIn({ actor, user_id: userId }))
    for (const filter of [{ status: 'active' }, { userId, status: 'active' }, { userId }, {}] as const) {
      const seen: string[] = []
      for await (const { id } of client.sessions.list({ ...filter, limit: 5 })) {
        seen.push(id)
        if (filter.status === undefined) await client.sessions.revoke(id)
      }
      assert.deepEqual(seen, made.map(it => it.session_id).toReversed(), JSON.stringify(filter))
    }
    const revoked: string[] = []
    for await (const { id } of client.sessions.list({ status: 'revoked', limit: 5 })) revoked.push(id)
    assert.equal(new Set(revoked).size, 12)
    assert.equal(revoked.length, 12)
  })

  it('revokes all pending actor tokens', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    const { id: user_id } = await server.createUser()
    const made = await several(server, 25, () => server.createActorToken({ user_id, actor }))
    const seen: string[] = []
    for await (const { id } of client.actorTokens.list({ status: 'pending' })) {
      seen.push(id)
      await client.actorTokens.revoke(id)
    }
    assert.deepEqual(seen, idsOf(made).toReversed())
    assert.equal((await client.actorTokens.list({ status: 'pending' })).totalCount, 0)
  })

  it('deletes all users and all JWT templates', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    const users = await several(server, 25, index => server.createUser({ external_id: `c-${index}` }))
    const seen: string[] = []
    for await (const { id } of client.users.list()) {
      seen.push(id)
      await client.users.delete(id)
    }
    assert.deepEqual(seen, idsOf(users).toReversed())
    assert.equal(await client.users.count(), 0)

    const templates = await several(server, 12, index => client.jwtTemplates.create({ name: `t${index}`, claims: {} }))
    const deleted: string[] = []
    for await (const { id } of client.jwtTemplates.list({ limit: 5 })) {
      deleted.push(id)
      await client.jwtTemplates.delete(id)
    }
    assert.deepEqual(deleted, idsOf(templates).toReversed())
  })

  it('bans all users who are not banned, in every order, with equal and missing values', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    const names = ['Zoë', 'Ann', undefined, 'Ann', 'Élodie', undefined, 'bob', 'Ann', undefined, 'Bob', '🦊', '\uFFFC']
    await several(server, names.length, async index => {
      const name = names[index]
      const user = await server.createUser({
        first_name: name,
        last_name: name,
        username: name && `${name}-${index}`,
        email_address: name && [`z${index}@example.com`, `a${names.length - index}@example.com`],
        phone_number: index % 2 === 0 ? [`+155555501${10 + index}`] : undefined,
      })
      const own = await server.call('POST', '/v1/sign_in_tokens', { user_id: user.id })
      if (index % 3 === 0) await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: expectOk(own).token })
    })
    const orders =
      'created_at updated_at first_name last_name username email_address phone_number last_active_at last_sign_in_at'
    for (const column of orders.split(' ')) {
      for (const orderBy of [column, `-${column}`]) {
        const { data: all } = await client.users.list({ orderBy, limit: 500 })
        assert.equal(all.length, names.length)
        for (const limit of [1, 4, 5]) {
          const seen: string[] = []
          for await (const { id } of client.users.list({ orderBy, limit, banned: false })) {
            seen.push(id)
            server.clock.advance(1)
            // A ban is a change: it moves a user in the order of `updated_at`.
            await client.users.ban(id)
          }
          assert.deepEqual(seen, idsOf(all), `${orderBy}, ${limit} a page`)
          for (const id of orderBy === 'updated_at' ? seen : seen.toReversed()) {
            server.clock.advance(1)
            await client.users.unban(id)
          }
        }
      }
    }
  })

  it('ends, and returns each user once, if every change moves the user to the end of the list', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    await several(server, 12, () => server.createUser())
    const seen: string[] = []
    for await (const { id } of client.users.list({ orderBy: 'updated_at', limit: 5 })) {
      assert.ok(seen.push(id) <= 12)
      server.clock.advance(1)
      await client.users.update(id, { firstName: 'Changed' })
    }
    assert.equal(new Set(seen).size, 12)
  })

  it('reads the audit log and the counts of refused requests while they grow', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    await several(server, 12, () => server.createUser())
    const seqs: number[] = []
    for await (const { seq } of client.auditEvents.list({ action: 'user.create', limit: 5 })) {
      seqs.push(seq)
      await server.createUser()
    }
    assert.equal(seqs.length, 12)
    assert.deepEqual(
      seqs,
      seqs.toSorted((a, b) => b - a),
    )

    const refuse = (key: string) => server.call('GET', '/v1/users', undefined, { authorization: key })
    for (let minute = 0; minute < 6; minute++) {
      await refuse('Bearer sk_test_nobody')
      await refuse('Basic x')
      server.clock.advance(60)
    }
    const counts: string[] = []
    for await (const { minute, code } of client.refusedRequests.list({ limit: 5 })) {
      counts.push(`${minute} ${code}`)
      await refuse('Bearer sk_test_nobody')
    }
    assert.equal(new Set(counts).size, 12)
    assert.equal(counts.length, 12)
  })
})

describe('filters that match few of many rows', () => {
  it('are searched page by page; an array, which would hide that rows are missing, is refused', async () => {
    await using server = await testServer()
    const client = clientOf(server)
    const { id } = await server.createUser()
    await client.users.ban(id)
    // More than one request examines.
    for (let i = 0; i < 22; i++)
      await Promise.all(Array.from({ length: 50 }, () => client.users.updateMetadata(id, { publicMetadata: { i } })))
    const [{ principal }] = (await server.auditEvents({ action: 'user.ban' })) as unknown as [
      { principal: { id: string } },
    ]
    const filter = { principalId: principal.id, action: 'user.ban' }

    const found: string[] = []
    for await (const event of client.auditEvents.list(filter)) found.push(event.action)
    assert.deepEqual(found, ['user.ban'])
    const first = await client.auditEvents.list(filter)
    assert.deepEqual([first.data.length, first.nextCursor !== undefined], [0, true])

    const path = `/v1/audit_events?principal_id=${principal.id}&action=user.ban`
    const page = expectOk(await server.call('GET', `${path}&paginated=true`))
    assert.deepEqual([page.data, page.total_count, page.total_count_is_minimum], [[], 0, true])
    for (const [query, param_name] of [
      ['', 'paginated'],
      ['&paginated=true&offset=1', 'offset'],
    ]) {
      const refused = await server.call('GET', path + query)
      assert.deepEqual([refused.status, refused.body.errors[0].meta.param_name], [422, param_name])
    }
    const next = expectOk(await server.call('GET', `${path}&paginated=true&starting_after=${page.next_cursor}`))
    assert.deepEqual([next.data.length, next.next_cursor], [1, undefined])
  })

  it('show a session as revoked at once, with every combination of them', async () => {
    await using server = await testServer()
    const { id: user_id } = await server.createUser()
    const { session_id } = await server.signIn({ user_id, actor })
    const ctx = server.stagedoor.context({ type: 'system', id: null })
    // The cutoff alone: the session is not marked yet.
    await ctx.store.revocations.addCutoff(
      'actor',
      actor.sub,
      auditEvent(ctx, { action: 'session.revoke_all', about: {} }),
    )
    for (const filter of [
      `user_id=${user_id}`,
      `actor_sub=${actor.sub}`,
      `user_id=${user_id}&actor_sub=${actor.sub}`,
    ]) {
      const [session] = expectOk(await server.call('GET', `/v1/sessions?${filter}`))
      assert.deepEqual([session.id, session.status], [session_id, 'revoked'], filter)
    }
  })

  it('are counted up to 5,000 rows, users up to 100,000', async () => {
    await using server = await testServer()
    const { id } = await server.createUser()
    const page = expectOk(await server.call('GET', '/v1/users?paginated=true'))
    assert.deepEqual([page.total_count, page.total_count_is_minimum], [1, undefined])
    const client = clientOf(server)
    for (let i = 0; i < 51; i++)
      await Promise.all(Array.from({ length: 100 }, () => client.users.updateMetadata(id, { publicMetadata: { i } })))
    const events = expectOk(await server.call('GET', '/v1/audit_events?paginated=true&limit=1'))
    assert.deepEqual([events.total_count, events.total_count_is_minimum], [5_000, true])
    const { totalCount, totalCountIsMinimum } = await client.auditEvents.list({ limit: 1 })
    assert.deepEqual([totalCount, totalCountIsMinimum], [5_000, true])
    for (const path of ['audit_events?offset=10001', 'users?offset=100001']) {
      const { status, body } = await server.call('GET', `/v1/${path}`)
      assert.equal(status, 422)
      assert.match(JSON.stringify(body), /to read further, use `starting_after`/)
    }
    expectOk(await server.call('GET', '/v1/users?offset=100000'))
  })
})

describe('a cursor', () => {
  it('stays valid when its row is deleted or no longer matches', async () => {
    await using server = await testServer()
    const users = idsOf(await several(server, 5, () => server.createUser({ first_name: 'Same' }))).toReversed()
    for (const order of ['-created_at', '-first_name', '-last_name']) {
      const page = expectOk(await server.call('GET', `/v1/users?limit=2&paginated=true&order_by=${order}`))
      assert.deepEqual(idsOf(page.data), users.slice(0, 2))
      assert.equal(page.total_count, users.length)
      expectOk(await server.call('DELETE', `/v1/users/${users[1]}`))
      const next = `/v1/users?order_by=${order}&starting_after=${page.next_cursor}`
      assert.deepEqual(idsOf(expectOk(await server.call('GET', next))), users.slice(2), order)
      const whole = expectOk(await server.call('GET', `${next}&paginated=true`))
      assert.deepEqual([whole.total_count, whole.next_cursor], [users.length - 1, undefined])
      const bare = expectOk(await server.call('GET', `${next}&paginated=true&total_count=false`))
      assert.deepEqual(Object.keys(bare), ['data'])
      users.splice(1, 1)
    }
    // The id of a deleted user is no position. It is refused: an empty list would look like the end.
    const [first = '', second = ''] = users
    const after = await server.call('GET', `/v1/users?starting_after=${first}`)
    assert.deepEqual(idsOf(expectOk(after)), [second])
    expectOk(await server.call('DELETE', `/v1/users/${first}`))
    const gone = await server.call('GET', `/v1/users?starting_after=${first}`)
    assert.deepEqual([gone.status, gone.body.errors[0].meta.param_name], [422, 'starting_after'])
    assert.match(gone.body.errors[0].meta.action, /next_cursor/)
  })

  it('is an id if the list is ordered by id, even if that row was deleted', async () => {
    await using server = await testServer()
    const create = (name: string) => server.call('POST', '/v1/jwt_templates', { name, claims: {} })
    const ids = idsOf(await several(server, 3, async index => expectOk(await create(`t${index}`)))).toReversed()
    expectOk(await server.call('DELETE', `/v1/jwt_templates/${ids[0]}`))
    const after = `/v1/jwt_templates?starting_after=${ids[0]}`
    assert.deepEqual(idsOf(expectOk(await server.call('GET', after))), ids.slice(1))
  })

  it('is refused if it is invalid or combined with an offset', async () => {
    await using server = await testServer()
    await several(server, 3, () => server.createUser({ first_name: 'A' }))
    const { next_cursor } = expectOk(await server.call('GET', '/v1/users?limit=1&paginated=true&order_by=first_name'))
    const forged = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url')
    for (const query of [
      `users?starting_after=${next_cursor}`,
      `users?starting_after=${next_cursor}&order_by=last_name`,
      `users?starting_after=${next_cursor}&order_by=first_name&offset=1`,
      `users?starting_after=${next_cursor}x&order_by=first_name`,
      'users?starting_after=',
      'users?starting_after=nothing',
      'users?starting_after=%20',
      `users?starting_after=${forged('created_at', 'text', 'user_1')}`,
      `users?starting_after=${forged('created_at', null, 'user_1')}`,
      `users?starting_after=${forged('created_at', 1.5, 'user_1')}`,
      `users?starting_after=${forged('created_at', 1e300, 'user_1')}`,
      `users?starting_after=${forged('created_at', 1, 2)}`,
      `users?starting_after=${forged('created_at', 1, 'user_1', 3)}`,
      `users?starting_after=${forged('first_name', '\0', 'user_1')}&order_by=first_name`,
      `users?starting_after=${forged('first_name', 1, 'user_1')}&order_by=first_name`,
      'sessions?starting_after=user_1',
      'sessions?starting_after=sess_1%27',
      'sessions?starting_after=sess_1&offset=1',
      'actor_tokens?starting_after=sess_1',
      'jwt_templates?starting_after=1',
      'audit_events?starting_after=evt_1',
      'audit_events?starting_after=-1',
      'refused_requests?starting_after=1',
      `refused_requests?starting_after=${forged(1, 'a', 2)}`,
      'sessions?total_count=no',
    ]) {
      assert.equal((await server.call('GET', `/v1/${query}`)).status, 422, query)
    }
    const empty = `/v1/users?starting_after=${forged('first_name', 'Z', 'user_1')}&order_by=first_name`
    assert.deepEqual(expectOk(await server.call('GET', empty)), [])
  })

  it('can be combined with `before_seq` in the audit log', async () => {
    await using server = await testServer()
    await several(server, 6, () => server.createUser())
    const all = await server.auditEvents()
    const [, second, third, fourth] = all
    const read = async (query: string) =>
      (expectOk(await server.call('GET', `/v1/audit_events?${query}`)) as { seq: number }[])[0]?.seq
    assert.equal(await read(`before_seq=${second?.seq}`), third?.seq)
    assert.equal(await read(`before_seq=${second?.seq}&starting_after=${third?.seq}`), fourth?.seq)
    assert.equal(await read(`before_seq=${third?.seq}&starting_after=${second?.seq}`), fourth?.seq)
  })
})
