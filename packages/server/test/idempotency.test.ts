import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { times } from '../../../test/support/deep.ts'
import { type Answer, expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { createSecretKey } from '../src/domain/secret-keys.ts'

const DAY_SECONDS = 86_400

/** What each operation creates, and a request that creates it. */
const MAKING: Record<string, (userId: string) => [path: string, body: Record<string, unknown>]> = {
  'an actor token': user_id => ['/v1/actor_tokens', { user_id, actor: { sub: 'olivia' } }],
  'a sign-in token': user_id => ['/v1/sign_in_tokens', { user_id }],
  'a user': () => ['/v1/users', { email_address: ['carl@customer.example'], first_name: 'Carl' }],
  'a session': user_id => ['/v1/sessions', { user_id }],
  'a JWT template': () => ['/v1/jwt_templates', { name: 'hasura', claims: { role: 'user' } }],
}

const keyed = (key: string, more: Record<string, string> = {}) => ({ 'idempotency-key': key, ...more })
const replayed = (answer: Answer) => answer.headers.get('idempotent-replayed')

async function withUser() {
  const server = await testServer()
  const { id } = await server.createUser()
  return { server, id, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

describe('a request with an Idempotency-Key', () => {
  for (const [what, making] of Object.entries(MAKING)) {
    it(`creates ${what} once, and a retry gets the same answer`, async () => {
      await using it = await withUser()
      const [path, body] = making(it.id)
      const first = await it.server.call('POST', path, body, keyed('k1'))
      expectOk(first)
      assert.equal(replayed(first), null)
      const events = (await it.server.auditEvents()).length
      // Equal JSON is the same body, even if it is formatted differently.
      const rewritten = JSON.stringify(Object.fromEntries(Object.entries(body).reverse()), null, 2)
      for (const same of [body, rewritten]) {
        const again = await it.server.call('POST', path, same, keyed('"k1"'))
        assert.deepEqual(expectOk(again), first.body)
        assert.equal(replayed(again), 'true')
      }
      assert.equal((await it.server.auditEvents()).length, events)
    })

    it(`creates ${what} once from sixteen simultaneous requests`, async () => {
      await using it = await withUser()
      for (let round = 0; round < times(2, 50); round++) {
        const [path, body] = making(it.id)
        const one = { ...body, ...(what === 'a JWT template' ? { name: `t${round}` } : {}) }
        if (what === 'a user') Object.assign(one, { email_address: [`carl${round}@customer.example`] })
        const answers = await Promise.all(
          Array.from({ length: 16 }, () => it.server.call('POST', path, one, keyed(`race ${round}`))),
        )
        const ids = new Set(answers.map(answer => expectOk(answer).id))
        assert.equal(ids.size, 1)
        assert.equal(answers.filter(answer => replayed(answer) === null).length, 1)
      }
    })
  }

  it('returns the ticket again, rebuilt from its record, until the ticket expires', async () => {
    await using it = await withUser()
    const body = { user_id: it.id, actor: { sub: 'olivia' } }
    const create = () => it.server.call('POST', '/v1/actor_tokens', body, keyed('k'))
    const { token, url } = expectOk(await create())
    assert.deepEqual([expectOk(await create()).token, expectOk(await create()).url], [token, url])
    expectOk(await it.server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token }))
    const after = expectOk(await create())
    assert.deepEqual([after.status, after.token, after.url], ['accepted', undefined, undefined])
  })

  it('with a different body is 422 and changes nothing', async () => {
    await using it = await withUser()
    expectOk(await it.server.call('POST', '/v1/users', { first_name: 'Carl' }, keyed('k')))
    const count = async () => expectOk(await it.server.call('GET', '/v1/users/count')).total_count
    const before = await count()
    for (const other of [{ first_name: 'Carla' }, {}, undefined, { first_name: 'Carl', last_name: 'C' }]) {
      const answer = await it.server.call('POST', '/v1/users', other, keyed('k'))
      assert.deepEqual([answer.status, answer.codes], [422, ['idempotency_key_reused']])
    }
    assert.equal(await count(), before)
  })

  it('is separate for each operation, each secret key and each idempotency key', async () => {
    await using it = await withUser()
    const system = it.server.stagedoor.context({ type: 'system', id: null })
    const { secret } = await createSecretKey(system, { name: 'other' })
    const user = (key: string, more = {}) => it.server.call('POST', '/v1/users', {}, keyed(key, more))
    const ids = [
      await user('k'),
      await user('K'),
      await user('k', { authorization: `Bearer ${secret}` }),
      await it.server.call('POST', '/v1/sign_in_tokens', { user_id: it.id }, keyed('k')),
      await it.server.call('POST', '/v1/users', {}),
    ].map(answer => expectOk(answer).id)
    assert.equal(new Set(ids).size, 5)
  })

  it('is forgotten after exactly one day', async () => {
    await using it = await withUser()
    const make = () => it.server.call('POST', '/v1/users', {}, keyed('k'))
    const first = expectOk(await make())
    it.server.clock.advance(DAY_SECONDS - 1)
    assert.equal(expectOk(await make()).id, first.id)
    it.server.clock.advance(1)
    const second = expectOk(await make())
    assert.notEqual(second.id, first.id)
    // An expired key whose row still exists can be used again as a new key.
    assert.equal(expectOk(await make()).id, second.id)
  })

  it('is deleted after it expires, in batches', async () => {
    await using it = await withUser()
    const { idempotencyKeys } = it.server.stagedoor.services.store
    for (let i = 0; i < 5; i++) expectOk(await it.server.call('POST', '/v1/users', {}, keyed(`old ${i}`)))
    it.server.clock.advance(DAY_SECONDS / 2)
    expectOk(await it.server.call('POST', '/v1/users', {}, keyed('young')))
    assert.equal(await idempotencyKeys.deleteExpired(100), 0)
    it.server.clock.advance(DAY_SECONDS / 2)
    assert.deepEqual([await idempotencyKeys.deleteExpired(3), await idempotencyKeys.deleteExpired(3)], [3, 2])
    assert.equal(await idempotencyKeys.deleteExpired(3), 0)
    assert.equal(replayed(await it.server.call('POST', '/v1/users', {}, keyed('young'))), 'true')
  })

  it('that was refused is not remembered', async () => {
    await using it = await withUser()
    const create = (body: object) => it.server.call('POST', '/v1/sign_in_tokens', body, keyed('k'))
    assert.deepEqual((await create({ user_id: 'user_nobody' })).codes, ['resource_not_found'])
    expectOk(await it.server.call('POST', `/v1/users/${it.id}/ban`))
    assert.deepEqual((await create({ user_id: it.id })).codes, ['user_banned'])
    expectOk(await it.server.call('POST', `/v1/users/${it.id}/unban`))
    const made = expectOk(await create({ user_id: it.id }))
    // The retry returns what was created, even if the user changed in between.
    expectOk(await it.server.call('POST', `/v1/users/${it.id}/lock`))
    assert.equal(expectOk(await create({ user_id: it.id })).id, made.id)
  })

  it('whose result was deleted is 404', async () => {
    await using it = await withUser()
    const make = () => it.server.call('POST', '/v1/users', {}, keyed('k'))
    expectOk(await it.server.call('DELETE', `/v1/users/${expectOk(await make()).id}`))
    assert.deepEqual((await make()).codes, ['resource_not_found'])
  })

  it('does not write the key itself to the audit log', async () => {
    await using it = await withUser()
    const key = 'a key that might be found'
    expectOk(await it.server.call('POST', '/v1/users', { first_name: 'Findable' }, keyed(key)))
    const kept = await it.server.stagedoor.services.store.audit.list({}, { limit: 100, offset: 0 })
    assert.ok(!JSON.stringify(kept).includes(key))
  })
})

describe('an Idempotency-Key', () => {
  const refused = async (server: TestServer, key: string) =>
    (await server.call('POST', '/v1/users', {}, keyed(key))).codes.join()

  it('is 1 to 255 printable characters, bare or as a string of a structured field', async () => {
    await using it = await withUser()
    for (const wrong of ['""', '"', '"a', 'é', `"${'a'.repeat(256)}"`, 'a'.repeat(256), '"a"b"', '"a\\b"', '"a";p=1'])
      assert.equal(await refused(it.server, wrong), 'idempotency_key_invalid', wrong)
    const id = async (key: string) => expectOk(await it.server.call('POST', '/v1/users', {}, keyed(key))).id
    assert.equal(await id('a\\b "c'), await id('"a\\\\b \\"c"'))
    assert.equal(await id('b'.repeat(255)), await id(`"${'b'.repeat(255)}"`))
    assert.notEqual(await id('\\"x'), await id('"\\"x"'))
  })

  it('is the same key in both forms, for every value', async () => {
    await using it = await withUser()
    const key = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme-ascii' })
    await fc.assert(
      fc.asyncProperty(key, async text => {
        // White space at the ends is not part of a header value; a quote starts the string form.
        fc.pre(text === text.trim() && !text.startsWith('"'))
        const make = (spelt: string) => it.server.call('POST', '/v1/users', {}, keyed(spelt))
        const first = expectOk(await make(text))
        const again = await make(`"${text.replaceAll(/["\\]/g, '\\$&')}"`)
        assert.deepEqual([expectOk(again).id, replayed(again)], [first.id, 'true'])
      }),
      { numRuns: times(20, 500) },
    )
  })

  it('is ignored by operations that create nothing', async () => {
    await using it = await withUser()
    const answer = await it.server.call('PATCH', `/v1/users/${it.id}`, { first_name: 'A' }, keyed('""'))
    assert.equal(expectOk(answer).first_name, 'A')
    assert.equal(replayed(answer), null)
  })
})
