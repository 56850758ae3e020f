import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Stagedoor } from '@stagedoor/sdk'
import { testDatabase } from '../../../test/support/database.ts'
import { startPostgres } from '../../../test/support/postgres/cluster.ts'
import { expectOk, SECRET_KEY, testServer } from '../../../test/support/server.ts'
import { migrateDatabase } from '../src/server.ts'

/** Each identifier has one canonical form on every path: docs/concepts/identifiers.md. */

const COMPOSED = 'caf\u00e9'
const DECOMPOSED = 'cafe\u0301'

/** The stored form, and other forms of the same identifier. */
const SPELLINGS = {
  external_id: [
    ['c-1', ' c-1', 'c-1 ', '\tc-1\n', '\u00a0c-1\ufeff'],
    [COMPOSED, DECOMPOSED, ` ${DECOMPOSED} `],
    ['Case-1', ' Case-1'],
  ],
  username: [
    ['annie', 'Annie', ' ANNIE '],
    [COMPOSED, DECOMPOSED, 'CAFE\u0301', 'CAF\u00c9'],
  ],
  email_address: [
    ['ada@example.com', 'Ada@Example.COM', ' ada@example.com '],
    [
      'ada@xn--mnchen-3ya.example',
      'ada@münchen.example',
      'ADA@MÜNCHEN.example',
      'ada@mu\u0308nchen.example',
      'ada@XN--MNCHEN-3YA.example',
    ],
    [`${COMPOSED}@example.com`, `${DECOMPOSED}@example.com`, 'CAF\u00c9@example.com'],
  ],
  phone_number: [['+15555550100', ' +15555550100 ', '+1 555 555-0100', '+1 (555) 555.0100']],
} as const

const kinds = Object.keys(SPELLINGS) as (keyof typeof SPELLINGS)[]
const isList = (kind: string) => kind === 'email_address' || kind === 'phone_number'
const fieldsOf = (kind: string, value: string) => ({ [kind]: isList(kind) ? [value] : value })
// biome-ignore lint/suspicious/noExplicitAny: a user as the API returns it
const spellingOf = (kind: string, user: any) =>
  kind === 'email_address'
    ? user.email_addresses[0].email_address
    : kind === 'phone_number'
      ? user.phone_numbers[0].phone_number
      : user[kind]

describe('an identifier', () => {
  for (const kind of kinds) {
    it(`${kind}: is stored, looked up and unique in one canonical form`, async () => {
      await using server = await testServer()
      for (const [stored = '', ...others] of SPELLINGS[kind]) {
        for (const first of [stored, ...others]) {
          const user = await server.createUser(fieldsOf(kind, first))
          assert.equal(spellingOf(kind, user), stored, JSON.stringify(first))
          for (const spelling of [stored, ...others]) {
            const query = new URLSearchParams({ [kind]: spelling })
            const found = expectOk(await server.call('GET', `/v1/users?${query}`))
            assert.deepEqual(
              found.map((it: { id: string }) => it.id),
              [user.id],
              `${kind} ${JSON.stringify(spelling)}`,
            )
            assert.equal(expectOk(await server.call('GET', `/v1/users/count?${query}`)).total_count, 1)
            const again = await server.call('POST', '/v1/users', fieldsOf(kind, spelling))
            assert.deepEqual([again.status, again.codes], [422, ['form_identifier_exists']])
          }
          expectOk(await server.call('DELETE', `/v1/users/${user.id}`))
        }
      }
    })
  }

  it('is normalised on update too', async () => {
    await using server = await testServer()
    const { id } = await server.createUser()
    await server.createUser({ external_id: 'taken', username: 'taken' })
    for (const kind of ['external_id', 'username'] as const) {
      for (const [stored = '', ...others] of SPELLINGS[kind]) {
        for (const spelling of others) {
          const updated = expectOk(await server.call('PATCH', `/v1/users/${id}`, { [kind]: spelling }))
          assert.equal(updated[kind], stored)
        }
      }
      const taken = await server.call('PATCH', `/v1/users/${id}`, {
        [kind]: kind === 'username' ? ' TAKEN' : ' taken ',
      })
      assert.deepEqual(taken.codes, ['form_identifier_exists'])
      assert.equal(expectOk(await server.call('PATCH', `/v1/users/${id}`, { [kind]: null }))[kind], null)
    }
  })

  it('may be repeated within one request', async () => {
    await using server = await testServer()
    const user = await server.createUser({
      email_address: ['Ada@Example.com', 'ada@example.com ', 'ada@münchen.example', 'ada@xn--mnchen-3ya.example'],
      phone_number: ['+1 555 555 0100', '+15555550100'],
    })
    assert.equal(user.email_addresses.length, 2)
    assert.equal(user.phone_numbers.length, 1)
  })

  it('stays different if only the case of an external id differs', async () => {
    await using server = await testServer()
    const ids = [await server.createUser({ external_id: 'a-1' }), await server.createUser({ external_id: 'A-1' })]
    assert.notEqual(ids[0]?.id, ids[1]?.id)
  })

  it('is refused if it is invalid, or empty after normalisation', async () => {
    await using server = await testServer()
    for (const fields of [
      { external_id: '' },
      { external_id: ' \u00a0' },
      { username: '\t' },
      { email_address: ['ada'] },
      { email_address: ['@example.com'] },
      { email_address: ['ada@'] },
      { email_address: ['a da@example.com'] },
      { email_address: ['ada@ex\u00e4mple.com/path'] },
      { email_address: ['ada@\u00e4%41.com'] },
      { email_address: ['ada@\u00e4:80'] },
      { email_address: ['ada@xn--\u00e4'] },
      { phone_number: ['5555550100'] },
      { phone_number: ['+0 555 555 0100'] },
      { phone_number: ['+1 555'] },
      { phone_number: ['+1 555 555 0100 ext 7'] },
      { phone_number: ['+1234567890123456'] },
    ]) {
      const answer = await server.call('POST', '/v1/users', fields)
      assert.equal(answer.status, 422, JSON.stringify(fields))
    }
  })

  it('is found by a part of it, in every form', async () => {
    await using server = await testServer()
    const { id } = await server.createUser({
      external_id: `Kunde-${COMPOSED}`,
      username: `Sm\u00f8rrebr\u00f8d-${DECOMPOSED}`,
      first_name: '\u00c9lodie',
      email_address: ['ada@m\u00fcnchen.example'],
      phone_number: ['+1 555 555 0100'],
    })
    const cases: [string, string][] = [
      ['query', DECOMPOSED],
      ['query', 'Kunde'],
      ['query', 'SM\u00d8RREBR\u00d8D'],
      ['query', 'm\u00fcnchen.example'],
      ['query', 'Ada@M\u00dcNCHEN.example'],
      ['query', '\u00c9lodie'],
      ['name_query', '\u00c9lodie'],
      ['username_query', `D-${DECOMPOSED}`],
      ['email_address_query', 'ada@m\u00fcnchen.example'],
      ['email_address_query', 'm\u00fcnchen.example'],
      ['phone_number_query', '555-0100'],
      ['phone_number_query', '5550100'],
    ]
    for (const [name, text] of cases) {
      const found = expectOk(await server.call('GET', `/v1/users?${new URLSearchParams({ [name]: text })}`))
      assert.deepEqual(
        found.map((user: { id: string }) => user.id),
        [id],
        `${name}=${text}`,
      )
    }
    const nothing = await server.call('GET', `/v1/users?${new URLSearchParams({ phone_number_query: '-' })}`)
    assert.deepEqual(expectOk(nothing), [])
  })

  it('is found again by findOrCreate, in every form', async () => {
    await using server = await testServer()
    const client = new Stagedoor({
      secretKey: SECRET_KEY,
      serverURL: 'http://127.0.0.1:4100',
      fetch: request => server.stagedoor.fetch(request),
    })
    for (const [stored = '', ...others] of SPELLINGS.external_id) {
      const { id, externalId } = await client.users.findOrCreate({ externalId: others[0] ?? stored })
      assert.equal(externalId, stored)
      for (const spelling of [stored, ...others, ...others])
        assert.equal((await client.users.findOrCreate({ externalId: spelling })).id, id)
    }
  })
})

/** A database from an earlier version, which stored identifiers as the caller sent them. */
const EARLIER = `
  insert into users (id, external_id, username, public_metadata, private_metadata, unsafe_metadata, delete_self_enabled, create_organization_enabled, created_at, updated_at) values
    ('user_1', '${DECOMPOSED}', 'Annie', '{}', '{}', '{}', 1, 1, 1, 1),
    ('user_2', 'Kept-1', 'bob', '{}', '{}', '{}', 1, 1, 2, 2),
    ('user_3', null, 'Bob', '{}', '{}', '{}', 1, 1, 3, 3);
  insert into identifiers (id, user_id, kind, value, position, created_at, updated_at) values
    ('idn_1', 'user_1', 'email_address', 'ada@m\u00fcnchen.example', 0, 1, 1),
    ('idn_2', 'user_2', 'email_address', 'bob@example.com', 0, 1, 1);
  delete from migrations where name = '0008_identifiers'`

describe('an identifier that an earlier version stored', () => {
  it('is rewritten, unless another user has its canonical form', async () => {
    const onPostgres = process.env.TEST_DATABASE === 'postgres'
    using database = testDatabase()
    await using cluster = onPostgres ? await startPostgres() : undefined
    const url = (await cluster?.createDatabase()) ?? `sqlite:${database.path}`
    await migrateDatabase(url)
    if (cluster) await cluster.query(EARLIER, [], new URL(url).pathname.slice(1))
    else {
      const db = database.open()
      db.exec(EARLIER)
      db.close()
    }
    assert.deepEqual(await migrateDatabase(url), ['0008_identifiers'])

    await using server = await testServer({ env: { ...database.env, STAGEDOOR_DATABASE_URL: url } })
    const find = async (filter: Record<string, string>) =>
      expectOk(await server.call('GET', `/v1/users?${new URLSearchParams(filter)}`)).map((it: { id: string }) => it.id)
    for (const [kind, spellings] of [
      ['external_id', [COMPOSED, DECOMPOSED]],
      ['username', ['annie', 'Annie']],
      ['email_address', ['ada@m\u00fcnchen.example', 'ada@xn--mnchen-3ya.example']],
    ] as const) {
      for (const spelling of spellings) assert.deepEqual(await find({ [kind]: spelling }), ['user_1'], spelling)
    }
    assert.deepEqual(await find({ external_id: 'Kept-1' }), ['user_2'])
    // Two users are never merged. The later one keeps its stored form and is found by it.
    assert.deepEqual(await find({ username: 'bob' }), ['user_2'])
    assert.deepEqual(await find({ username: 'Bob' }), ['user_3', 'user_2'])
    assert.deepEqual((await server.call('POST', '/v1/users', { username: 'BOB' })).codes, ['form_identifier_exists'])
  })
})
