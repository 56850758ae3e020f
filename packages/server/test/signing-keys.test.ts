import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, verify } from 'node:crypto'
import { describe, it } from 'node:test'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { ensureSigningKeys, listSigningKeys, removeSigningKey, rotateSigningKeys } from '../src/domain/signing-keys.ts'
import { joseSignature } from '../src/signing/keyring.ts'

type Jwk = { kid: string; alg: string; kty: string; [member: string]: unknown }

const keySet = async (server: TestServer): Promise<Jwk[]> =>
  expectOk(await server.call('GET', '/.well-known/jwks.json', undefined, { authorization: undefined })).keys

/** Verifies with Node's own crypto, so that the signing code does not check itself. */
function isSignedBy(jwt: string, keys: Jwk[]): boolean {
  const [header = '', payload = '', signature = ''] = jwt.split('.')
  const { kid, alg } = JSON.parse(Buffer.from(header, 'base64url').toString())
  const jwk = keys.find(key => key.kid === kid)
  if (!jwk || jwk.alg !== alg) return false
  const key = createPublicKey({ key: jwk as never, format: 'jwk' })
  const data = Buffer.from(`${header}.${payload}`)
  const bytes = Buffer.from(signature, 'base64url')
  if (alg === 'ES256') return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, bytes)
  return verify(alg === 'EdDSA' ? null : 'sha256', data, key, bytes)
}

function keyCommands(server: TestServer, alg: 'RS256' | 'ES256' | 'EdDSA' = 'EdDSA') {
  const { stagedoor } = server
  const ctx = () => stagedoor.context({ type: 'command_line', id: 'tester' })
  return {
    list: () => listSigningKeys(ctx()),
    rotate: (atOnce = false) => rotateSigningKeys(ctx(), { alg, make: stagedoor.makeKey, atOnce }),
    remove: (id: string, emergency = false) => removeSigningKey(ctx(), { id, alg, make: stagedoor.makeKey, emergency }),
  }
}

describe('signing keys', () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
    it(`sign with ${alg}`, async () => {
      await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: alg } })
      const { session_id } = await server.signIn()
      const keys = await keySet(server)
      for (let i = 0; i < 50; i++) {
        const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
        assert.ok(isSignedBy(jwt, keys))
      }
      assert.deepEqual(
        keys.map(key => [key.alg, key.use]),
        [
          [alg, 'sig'],
          [alg, 'sig'],
        ],
      )
    })
  }

  it('rotate without a failed verification, even with a key set that is 5 minutes old', async () => {
    await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'ES256' } })
    const { session_id } = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    const commands = keyCommands(server, 'ES256')
    let old = await keySet(server)
    const jwts: { jwt: string; until: number }[] = []
    for (let turn = 0; turn < 10; turn++) {
      server.clock.advance(300)
      for (const step of [() => commands.rotate(), async () => commands.list()]) {
        const { jwt } = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`))
        jwts.push({ jwt, until: server.clock.now() + 60_000 })
        await step()
        const after = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`)).jwt
        jwts.push({ jwt: after, until: server.clock.now() + 60_000 })
        const fresh = await keySet(server)
        for (const each of jwts.filter(token => token.until > server.clock.now())) {
          assert.ok(isSignedBy(each.jwt, fresh), 'a fresh key set')
        }
        assert.ok(isSignedBy(after, old), 'a key set 5 minutes old')
      }
      server.clock.advance(150)
      for (const key of await commands.list()) if (key.status === 'retiring') await commands.remove(key.id)
      assert.deepEqual(
        (await commands.list())
          .filter(key => key.status !== 'removed')
          .map(key => key.status)
          .sort(),
        ['active', 'next'],
      )
      old = await keySet(server)
    }
  })

  it('do not rotate before verifiers can know the next key, unless forced', async () => {
    await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'EdDSA' } })
    const commands = keyCommands(server, 'EdDSA')
    server.clock.advance(299)
    await assert.rejects(commands.rotate(), { code: 'request_invalid' })
    const [before] = (await commands.list()).filter(key => key.status === 'active')
    await commands.rotate(true)
    assert.equal((await commands.list()).find(key => key.id === before?.id)?.status, 'retiring')
  })

  it('cannot be removed while their tokens are valid, including long-lived ones', async () => {
    await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'EdDSA' } })
    const commands = keyCommands(server, 'EdDSA')
    const { session_id } = await server.signIn({ session_max_duration_in_seconds: 86_400 })
    expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`, { expires_in_seconds: 7_200 }))
    const active = (await commands.list()).find(key => key.status === 'active')
    assert.ok(active)
    await assert.rejects(commands.remove(active.id), { code: 'request_invalid' })
    server.clock.advance(300)
    await commands.rotate()
    for (const wait of [60, 600, 6_000]) {
      server.clock.advance(wait)
      await assert.rejects(commands.remove(active.id), { code: 'request_invalid' })
    }
    server.clock.advance(600)
    await commands.remove(active.id)
    await assert.rejects(commands.remove(active.id), { code: 'resource_not_found' })
  })

  it('can be removed at once in an emergency: the key is neither published nor used again, and its private part is deleted', async () => {
    await using server = await testServer()
    const commands = keyCommands(server)
    const { session_id } = await server.signIn()
    const stolen = (await commands.list()).find(key => key.status === 'active')
    assert.ok(stolen)
    const old = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`)).jwt
    await commands.remove(stolen.id, true)
    const keys = await keySet(server)
    assert.equal(
      keys.some(key => key.kid === stolen.id),
      false,
    )
    assert.equal(isSignedBy(old, keys), false)
    const fresh = expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`)).jwt
    assert.ok(isSignedBy(fresh, keys))
    assert.equal((await commands.list()).find(key => key.id === stolen.id)?.sealed_private_key, null)
    assert.deepEqual(
      (await commands.list())
        .filter(key => key.status !== 'removed')
        .map(key => key.status)
        .sort(),
      ['active', 'next'],
    )
    assert.deepEqual(
      (await server.auditEvents({ action: 'signing_key.remove' })).map(event => [event.target_id, event.principal.id]),
      [[stolen.id, 'tester']],
    )
  })

  it('of another algorithm are kept when a server starts, and are deleted when removed', async () => {
    await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'ES256' } })
    const { session_id } = await server.signIn()
    const { stagedoor } = server
    const ctx = stagedoor.context({ type: 'system', id: null })
    await ensureSigningKeys(ctx, { alg: 'EdDSA', make: stagedoor.makeKey })
    assert.deepEqual((await keySet(server)).map(key => key.alg).sort(), ['ES256', 'ES256', 'EdDSA', 'EdDSA'])
    assert.ok(
      isSignedBy(expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`)).jwt, await keySet(server)),
    )
    await assert.rejects(keyCommands(server, 'RS256').rotate(true), /Request invalid/)
    for (const key of await keySet(server)) {
      if (key.alg === 'EdDSA') await keyCommands(server, 'ES256').remove(key.kid, true)
    }
    assert.deepEqual(
      (await keySet(server)).map(key => key.alg),
      ['ES256', 'ES256'],
    )
  })

  it('rotate one at a time when several callers rotate at once; the callers that lose get an error', async () => {
    await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'EdDSA' } })
    const commands = keyCommands(server, 'EdDSA')
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => commands.rotate(true)))
    const rotated = results.filter(result => result.status === 'fulfilled').length
    assert.ok(rotated >= 1)
    const statuses = (await commands.list()).map(key => key.status).sort()
    assert.deepEqual(statuses, ['active', 'next', ...Array(rotated).fill('retiring')])
  })

  it('produce ECDSA signatures in the format of JOSE, including short numbers', () => {
    const one = joseSignature(Buffer.from('3006020101020102', 'hex'))
    assert.equal(one.toString('hex'), `${'00'.repeat(31)}01${'00'.repeat(31)}02`)
    const high = `00${'ff'.repeat(32)}`
    const two = joseSignature(Buffer.from(`30460221${high}0221${high}`, 'hex'))
    assert.equal(two.toString('hex'), 'ff'.repeat(64))
  })
})

describe('J20 the published keys', () => {
  for (const [alg, rotations, members] of [
    ['RS256', 3, ['e', 'n']],
    ['ES256', 50, ['crv', 'x', 'y']],
    ['EdDSA', 50, ['crv', 'x']],
  ] as const) {
    it(`${alg}: have public members only, through ${rotations} rotations`, async () => {
      await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: alg } })
      const seen = new Set<string>()
      for (let i = 0; i <= rotations; i++) {
        const [open, keyed] = [
          await server.call('GET', '/.well-known/jwks.json', undefined, { authorization: undefined }),
          await server.call('GET', '/v1/jwks'),
        ]
        assert.deepEqual(keyed.body, open.body)
        for (const key of open.body.keys) {
          assert.deepEqual(Object.keys(key).sort(), ['alg', 'kid', 'kty', 'use', ...members].sort())
          assert.deepEqual([key.alg, key.use], [alg, 'sig'])
          assert.throws(() => createPrivateKey({ key, format: 'jwk' }), 'a published key has no private part')
          seen.add(key.kid)
        }
        const ctx = server.stagedoor.context({ type: 'system', id: null })
        if (i < rotations) await rotateSigningKeys(ctx, { alg, make: server.stagedoor.makeKey, atOnce: true })
      }
      assert.equal(seen.size, rotations + 2)
    })
  }
})

describe('signing keys over the API', () => {
  interface Key {
    id: string
    status: string
    alg: string
    retired_at: number | null
  }
  const statuses = (data: Key[]) => data.map(({ status }) => status)

  it('are listed without private parts, rotated and removed; each change is an event', async () => {
    await using server = await testServer()
    const { session_id } = await server.signIn()
    const mint = async () => expectOk(await server.call('POST', `/v1/sessions/${session_id}/tokens`)).jwt
    const listed = await server.call('GET', '/v1/signing_keys')
    const [active, next]: Key[] = expectOk(listed).data
    assert.deepEqual(Object.keys(active ?? {}), ['object', 'id', 'alg', 'status', 'created_at', 'retired_at'])
    assert.deepEqual([active?.status, next?.status, active?.alg], ['active', 'next', 'EdDSA'])
    assert.deepEqual((await keySet(server)).map(({ kid }) => kid).sort(), [active?.id, next?.id].sort())
    const early = await server.call('POST', '/v1/signing_keys/rotate')
    assert.deepEqual([early.status, early.codes], [400, ['request_invalid']])
    assert.match(early.text, /at_once/)
    server.clock.advance(300)
    const rotated: Key[] = expectOk(await server.call('POST', '/v1/signing_keys/rotate')).data
    assert.deepEqual(statuses(rotated), ['retiring', 'active', 'next'])
    assert.equal(rotated[0]?.retired_at, server.clock.now())
    const before = await keySet(server)
    assert.ok(isSignedBy(await mint(), before))
    const remove = (id: string, body?: object) => server.call('POST', `/v1/signing_keys/${id}/remove`, body)
    const used = await remove(active?.id ?? '')
    assert.deepEqual([used.status, used.codes], [400, ['request_invalid']])
    server.clock.advance(121)
    assert.deepEqual(statuses(expectOk(await remove(active?.id ?? '')).data), ['removed', 'active', 'next'])
    assert.equal((await remove(active?.id ?? '')).status, 404)
    assert.equal((await remove('kid_nobody', {})).status, 404)
    expectOk(await remove(next?.id ?? '', { emergency: true }))
    const after = await keySet(server)
    assert.equal(after.length, 2)
    assert.ok(after.every(({ kid }) => kid !== next?.id))
    assert.ok(isSignedBy(await mint(), after))
    const events = [
      ...(await server.auditEvents({ action: 'signing_key.rotate' })),
      ...(await server.auditEvents({ action: 'signing_key.remove' })),
    ]
    assert.deepEqual(
      events.map(({ outcome, principal }) => [outcome, principal.type]),
      [
        ['done', 'secret_key'],
        ['refused', 'secret_key'],
        ['done', 'secret_key'],
        ['refused', 'secret_key'],
        ['refused', 'secret_key'],
        ['done', 'secret_key'],
        ['refused', 'secret_key'],
      ],
    )
  })

  it('are rotated once if ten requests arrive at the same time', async () => {
    await using server = await testServer()
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => server.call('POST', '/v1/signing_keys/rotate', { at_once: true })),
    )
    const done = answers.filter(({ status }) => status === 200).length
    assert.ok(done >= 1)
    assert.ok(answers.every(({ status, codes }) => status === 200 || codes[0] === 'request_invalid'))
    const keys: Key[] = expectOk(await server.call('GET', '/v1/signing_keys')).data
    assert.equal(keys.filter(({ status }) => status === 'retiring').length, done)
    for (const status of ['active', 'next']) assert.equal(keys.filter(key => key.status === status).length, 1)
  })
})
