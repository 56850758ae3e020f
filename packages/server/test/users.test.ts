import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'

const ids = async (server: TestServer, query: string): Promise<string[]> =>
  expectOk(await server.call('GET', `/v1/users?limit=500&${query}`)).map((user: { id: string }) => user.id)

describe('users', () => {
  it('have every key that strictly typed clients require', async () => {
    await using server = await testServer()
    const user = await server.createUser({
      external_id: 'crm-1',
      first_name: 'Ann',
      last_name: 'Example',
      username: 'ann',
      email_address: ['Ann@Example.com', 'ann@work.example'],
      phone_number: ['+15555550100'],
      public_metadata: { plan: 'pro' },
      private_metadata: { note: 'x' },
      unsafe_metadata: { theme: 'dark' },
      skip_password_requirement: true,
      created_at: '2020-02-29T12:00:00Z',
    })
    // WIRE: the keys that Clerk's own User schema requires.
    const required =
      'id object username first_name last_name has_image primary_email_address_id primary_phone_number_id primary_web3_wallet_id password_enabled two_factor_enabled totp_enabled backup_code_enabled email_addresses phone_numbers web3_wallets passkeys external_accounts saml_accounts enterprise_accounts public_metadata external_id last_sign_in_at banned locked lockout_expires_in_seconds verification_attempts_remaining created_at updated_at delete_self_enabled create_organization_enabled last_active_at mfa_enabled_at mfa_disabled_at legal_accepted_at'
    for (const key of required.split(' ')) assert.ok(key in user, key)
    const read = expectOk(await server.call('GET', `/v1/users/${user.id}`))
    assert.deepEqual(read, user)
    assert.equal(read.email_addresses[0].email_address, 'ann@example.com')
    assert.equal(read.primary_email_address_id, read.email_addresses[0].id)
    assert.equal(read.created_at, Date.parse('2020-02-29T12:00:00Z'))
    assert.equal(
      (await server.call('GET', '/v1/users/user_none')).body.errors[0].long_message,
      'No user was found with id user_none',
    )
  })

  it('have unique external ids, usernames and addresses; a refused creation leaves nothing', async () => {
    await using server = await testServer()
    const fields = { external_id: 'e', username: 'u', email_address: ['a@b.co'], phone_number: ['+15555550100'] }
    await server.createUser(fields)
    for (const [field, value] of Object.entries(fields)) {
      const answer = await server.call('POST', '/v1/users', {
        last_name: 'second',
        email_address: ['new@b.co'],
        [field]: value,
      })
      assert.deepEqual(
        [answer.status, answer.codes, answer.body.errors[0].meta.param_name],
        [422, ['form_identifier_exists'], field],
      )
    }
    assert.equal(expectOk(await server.call('GET', '/v1/users/count')).total_count, 1)
    const second = await server.createUser({ email_address: ['new@b.co'] })
    const clash = await server.call('PATCH', `/v1/users/${second.id}`, { external_id: 'e' })
    assert.deepEqual(clash.codes, ['form_identifier_exists'])
  })

  it('are changed, cleared and merged', async () => {
    await using server = await testServer()
    const user = await server.createUser({
      first_name: 'Ann',
      external_id: 'e',
      public_metadata: { a: { b: 1, c: 2 }, keep: [1] },
    })
    const path = `/v1/users/${user.id}`
    assert.equal(expectOk(await server.call('PATCH', path, { first_name: 'Bea', external_id: null })).external_id, null)
    const merged = expectOk(
      await server.call('PATCH', `${path}/metadata`, {
        public_metadata: { a: { b: null, d: 3 }, new: 'x' },
        private_metadata: { p: 1 },
      }),
    )
    assert.deepEqual(merged.public_metadata, { a: { c: 2, d: 3 }, keep: [1], new: 'x' })
    assert.deepEqual(merged.private_metadata, { p: 1 })
    assert.equal(merged.first_name, 'Bea')
    const large = await server.call('PATCH', `${path}/metadata`, { public_metadata: { text: 'x'.repeat(9_000) } })
    assert.deepEqual([large.status, large.body.errors[0].meta.param_name], [422, 'public_metadata'])
    assert.equal((await server.call('PATCH', path, { password: 'secret' })).body.errors[0].code, 'form_param_unknown')
    assert.equal((await server.call('PATCH', path, { primary_email_address_id: 'idn_none' })).status, 404)
  })

  it('lose no metadata when many requests merge at once', async () => {
    await using server = await testServer()
    const user = await server.createUser()
    const keys = Array.from({ length: 15 }, (_, i) => `key_${i}`)
    await Promise.all(
      keys.map(async key =>
        expectOk(await server.call('PATCH', `/v1/users/${user.id}/metadata`, { public_metadata: { [key]: true } })),
      ),
    )
    const read = expectOk(await server.call('GET', `/v1/users/${user.id}`))
    assert.deepEqual(Object.keys(read.public_metadata).sort(), [...keys].sort())
  })

  it('are found by each filter', async () => {
    await using server = await testServer()
    const ann = await server.createUser({
      external_id: 'a',
      first_name: 'Ann',
      last_name: 'O’Neil',
      username: 'annie',
      email_address: ['ann@example.com'],
    })
    server.clock.advance(1)
    const bob = await server.createUser({
      external_id: 'b',
      first_name: 'Bob',
      email_address: ['bob@example.org'],
      phone_number: ['+15555550199'],
    })
    server.clock.advance(1)
    const pct = await server.createUser({ external_id: '100%_sure', first_name: 'P' })
    await server.call('POST', `/v1/users/${bob.id}/ban`)

    const cases: [string, string[]][] = [
      ['', [pct.id, bob.id, ann.id]],
      ['order_by=created_at', [ann.id, bob.id, pct.id]],
      ['order_by=%2Bcreated_at', [ann.id, bob.id, pct.id]],
      ['order_by=-first_name', [pct.id, bob.id, ann.id]],
      ['order_by=-email_address', [bob.id, ann.id, pct.id]],
      ['external_id=a&external_id=b&order_by=created_at', [ann.id, bob.id]],
      [`user_id=${pct.id}`, [pct.id]],
      ['email_address=ANN@example.com', [ann.id]],
      ['phone_number=%2B15555550199', [bob.id]],
      ['username=annie', [ann.id]],
      ['query=neil', [ann.id]],
      ['query=EXAMPLE.ORG', [bob.id]],
      [`query=${encodeURIComponent('100%_')}`, [pct.id]],
      [`query=${encodeURIComponent('%_s')}`, [pct.id]],
      // A text of one or two characters is searched at the beginning of each field.
      ['query=AN', [ann.id]],
      ['query=o', [ann.id]],
      [`query=${encodeURIComponent('%')}`, []],
      ['username_query=an', [ann.id]],
      ['username_query=nn', []],
      ['username_query=nni', [ann.id]],
      ['name_query=b&banned=true', [bob.id]],
      ['phone_number_query=%2B1', [bob.id]],
      ['phone_number_query=(555)%20019', [bob.id]],
      ['email_address_query=Le.Org', [bob.id]],
      ['name_query=ann%20o', [ann.id]],
      ['email_address_query=example&order_by=created_at', [ann.id, bob.id]],
      ['banned=true', [bob.id]],
      ['banned=false&order_by=created_at', [ann.id, pct.id]],
      [`created_at_after=${server.clock.now() - 1_500}&order_by=created_at`, [bob.id, pct.id]],
      [`created_at_before=${server.clock.now() - 1_500}`, [ann.id]],
      [`starting_after=${pct.id}`, [bob.id, ann.id]],
      [`starting_after=${ann.id}&order_by=created_at`, [bob.id, pct.id]],
    ]
    for (const [query, expected] of cases) {
      assert.deepEqual(await ids(server, query), expected, query)
      const counted = query.replace(/&?starting_after=\w+/, '')
      if (counted === query)
        assert.equal(expectOk(await server.call('GET', `/v1/users/count?${query}`)).total_count, expected.length, query)
    }
    assert.deepEqual(await ids(server, 'limit=1').catch(() => 'twice'), 'twice')
    assert.equal(expectOk(await server.call('GET', '/v1/users?limit=1&offset=2'))[0].id, ann.id)
    assert.equal(expectOk(await server.call('GET', '/v1/users?limit=1&paginated=true')).total_count, 3)
    for (const query of [
      'limit=0',
      'limit=501',
      'limit=1e9',
      'offset=-1',
      'order_by=password',
      'status=x',
      'order_by=created_at;drop',
    ]) {
      assert.equal((await server.call('GET', `/v1/users?${query}`)).status, 422, query)
    }
  })

  it('are listed by state: banned, locked, protected', async () => {
    await using server = await testServer()
    const user = async (fields: object) => {
      server.clock.advance(1)
      return (await server.createUser(fields)).id
    }
    const stagedoor = { protected: true, level: 3 }
    const locked = await user({ locked: true })
    const guarded = await user({ private_metadata: { note: 'x', stagedoor } })
    const both = await user({ locked: true, private_metadata: { stagedoor }, first_name: 'Both' })
    // None of these is protected.
    const others = [
      await user({ private_metadata: { protected: true, stagedoor: { level: 1 } } }),
      await user({ private_metadata: { stagedoor: { protected: false }, other: { protected: true } } }),
      await user({ private_metadata: { text: '"stagedoor":{"protected":true}' } }),
      await user({ private_metadata: { text: '"protected":true', stagedoor: [] } }).catch(() => user({})),
      await user({ public_metadata: { stagedoor } }),
    ]
    for (const [query, expected] of [
      ['locked=true', [locked, both]],
      ['protected=true', [guarded, both]],
      ['protected=true&locked=true', [both]],
      ['protected=true&locked=false', [guarded]],
      ['protected=true&query=Both', [both]],
      ['protected=false', [locked, ...others]],
      ['locked=false&protected=false', others],
      ['locked=false&banned=false', [guarded, ...others]],
    ] as const) {
      assert.deepEqual(await ids(server, `${query}&order_by=created_at`), expected, query)
      const counted = expectOk(await server.call('GET', `/v1/users/count?${query}`)).total_count
      assert.equal(counted, expected.length, query)
    }
    // The filter says what the policy decides.
    for (const user_id of [guarded, both])
      assert.equal((await server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub: 'a' } })).status, 403)
    expectOk(await server.call('PATCH', `/v1/users/${guarded}/metadata`, { private_metadata: { stagedoor: null } }))
    expectOk(await server.call('POST', `/v1/users/${locked}/unlock`))
    assert.deepEqual(await ids(server, 'protected=true'), [both])
    assert.deepEqual(await ids(server, 'locked=true'), [both])
  })

  it('are found by what they are called now, and no longer when they are deleted', async () => {
    await using server = await testServer()
    const { id } = await server.createUser({ first_name: 'Caroline', email_address: ['caro@example.com'] })
    assert.deepEqual([await ids(server, 'query=aroli'), await ids(server, 'query=aro@ex')], [[id], [id]])
    expectOk(await server.call('PATCH', `/v1/users/${id}`, { first_name: 'Margaret', username: 'maggie' }))
    assert.deepEqual([await ids(server, 'query=aroli'), await ids(server, 'query=argar')], [[], [id]])
    assert.deepEqual([await ids(server, 'query=aggi'), await ids(server, 'query=aro@ex')], [[id], [id]])
    // A form of the text that is short must not multiply the long ones.
    assert.deepEqual(await ids(server, `phone_number_query=${encodeURIComponent(`1${' '.repeat(250)}`)}`), [])
    expectOk(await server.call('DELETE', `/v1/users/${id}`))
    assert.deepEqual([await ids(server, 'query=argar'), await ids(server, 'query=aro@ex')], [[], []])
  })

  it('accept no body as an empty one when created or changed, and no other JSON value', async () => {
    await using server = await testServer()
    const { id } = expectOk(await server.call('POST', '/v1/users'))
    for (const [method, path] of [
      ['POST', '/v1/users'],
      ['PATCH', `/v1/users/${id}`],
      ['PATCH', `/v1/users/${id}/metadata`],
    ] as const) {
      expectOk(await server.call(method, path))
      expectOk(await server.call(method, path, {}))
      for (const body of ['null', '[]', '0', '""', 'false'])
        assert.deepEqual((await server.call(method, path, body)).codes, ['request_body_invalid'], `${path} ${body}`)
    }
  })

  it('keep their state through ban, unban, lock and unlock', async () => {
    await using server = await testServer()
    const { id } = await server.createUser()
    for (const [verb, banned, locked] of [
      ['ban', true, false],
      ['ban', true, false],
      ['lock', true, true],
      ['unban', false, true],
      ['unlock', false, false],
    ] as const) {
      const user = expectOk(await server.call('POST', `/v1/users/${id}/${verb}`))
      assert.deepEqual([user.banned, user.locked], [banned, locked], verb)
    }
    for (const verb of ['ban', 'unban', 'lock', 'unlock']) {
      assert.equal((await server.call('POST', `/v1/users/user_none/${verb}`)).status, 404, verb)
    }
    assert.equal((await server.call('DELETE', `/v1/users/${id}`)).body.deleted, true)
    assert.equal((await server.call('DELETE', `/v1/users/${id}`)).status, 404)
  })
})
