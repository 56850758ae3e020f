import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectOk, SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'
import {
  fromBase64,
  fromHex,
  leafHash,
  rootOfHashes,
  verifyConsistency,
  verifyInclusion,
} from '../src/domain/audit/merkle.ts'
import { parseCheckpoint, parseVerifierKey, verifyNote } from '../src/domain/audit/signed-note.ts'
import { decodeEntries, parseProof } from '../src/domain/audit/tiles.ts'

/** Lets the sequencer take in everything and sign it. */
async function signed(server: TestServer): Promise<void> {
  const { auditLog, store } = server.stagedoor.services
  for (let i = 0; i < 20; i++) {
    server.clock.advance(1)
    await auditLog.tick()
    const state = await store.auditLog.state()
    if (state?.newest_seq === state?.last_seq && state?.checkpoint_size === state?.size) return
  }
  throw new Error('the log did not settle')
}

const bytesOf = async (server: TestServer, path: string, headers: Record<string, string> = {}) => {
  const response = await server.stagedoor.fetch(new Request(`http://127.0.0.1:4100${path}`, { headers }))
  return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) }
}

describe('the operations of the provable log', () => {
  it('prove to someone who holds a checkpoint and the key that an event is in the log', async () => {
    await using server = await testServer()
    const { id: user_id } = await server.createUser()
    await server.createActorToken({ user_id, reason: 'Ticket 1' })
    const [event] = await server.auditEvents({ action: 'actor_token.create' })
    await signed(server)
    const keys = expectOk(await server.call('GET', '/v1/audit/keys')).data
    const known = keys.map(({ vkey }: { vkey: string }) => parseVerifierKey(vkey))
    const path = `/v1/audit_events/${event?.id}/proof`

    const proof = expectOk(await server.call('GET', `${path}?personal=true`))
    const { text } = verifyNote(proof.checkpoint, known)
    const { size, root } = parseCheckpoint(text)
    assert.equal(proof.size, size)
    const hashes = proof.hashes.map(fromBase64)
    assert.ok(verifyInclusion(leafHash(proof.event), proof.leaf_index, size, hashes, fromHex(root)))
    assert.equal(JSON.parse(proof.event).id, event?.id)
    assert.equal(JSON.parse(proof.personal).reason, 'Ticket 1')

    const file = await bytesOf(server, path, { accept: 'text/plain', authorization: `Bearer ${SECRET_KEY}` })
    assert.match(file.headers.get('content-type') ?? '', /^text\/plain/)
    const parsed = parseProof(Buffer.from(file.bytes).toString())
    assert.deepEqual([parsed.index, parsed.checkpoint, parsed.extra], [proof.leaf_index, proof.checkpoint, undefined])
    assert.deepEqual(parsed.hashes, hashes)

    const checkpoint = await server.call('GET', '/v1/audit/checkpoint')
    assert.equal(checkpoint.text, proof.checkpoint)
    assert.match(checkpoint.headers.get('cache-control') ?? '', /no-store/)
    await server.createUser()
    await signed(server)
    const later = parseCheckpoint((await server.call('GET', '/v1/audit/checkpoint')).text)
    const between = expectOk(
      await server.call('GET', `/v1/audit/consistency?from_size=${size}&to_size=${later.size}`),
    ).hashes.map(fromBase64)
    assert.ok(verifyConsistency(size, later.size, fromHex(root), fromHex(later.root), between))
    const { data } = expectOk(await server.call('GET', `/v1/audit/checkpoints?before_size=${later.size}`))
    assert.equal(data[0].size < later.size, true)
  })

  it('answer 202 until a checkpoint covers an event', async () => {
    await using server = await testServer()
    await signed(server)
    await server.createUser()
    const [event] = await server.auditEvents({ limit: '1' })
    if (event?.['leaf_index'] !== null) return
    const answer = await server.call('GET', `/v1/audit_events/${event.id}/proof`)
    if (answer.status === 200) return
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [202, '1'])
    assert.deepEqual([answer.body.checkpoint, answer.body.hashes], [null, []])
  })

  it('show the tree as tiles, from which anyone can compute the root', async () => {
    await using server = await testServer()
    for (let i = 0; i < 6; i++) await Promise.all(Array.from({ length: 50 }, () => server.createUser()))
    await signed(server)
    const headers = { authorization: `Bearer ${SECRET_KEY}` }
    const { size, root } = parseCheckpoint((await server.call('GET', '/v1/audit/checkpoint')).text)
    assert.ok(size > 300)
    const full = await bytesOf(server, '/v1/audit/tile/0/000', headers)
    assert.deepEqual(
      [full.status, full.bytes.length, full.headers.get('content-type'), full.headers.get('cache-control')],
      [200, 8_192, 'application/octet-stream', 'private, max-age=31536000, immutable'],
    )
    const rest = await bytesOf(server, `/v1/audit/tile/0/001.p/${size - 256}`, headers)
    const hashes = Buffer.concat([full.bytes, rest.bytes]).toString('latin1')
    assert.equal(rootOfHashes(hashes), fromHex(root))
    const above = await bytesOf(server, '/v1/audit/tile/1/000.p/1', headers)
    assert.equal(Buffer.from(above.bytes).toString('latin1'), rootOfHashes(hashes.slice(0, 8_192)))
    const entries = decodeEntries((await bytesOf(server, '/v1/audit/tile/entries/000', headers)).bytes)
    assert.deepEqual(entries.map(leafHash).join(''), hashes.slice(0, 8_192))
    assert.ok(!entries.join().includes('Ticket'), 'entries have no personal text')
    for (const name of [
      '0/001',
      '1/000',
      '0/002.p/1',
      '0/1',
      '0/000.p/256',
      '0/000.p/0',
      '7/000',
      '..%2Fkeys',
      '0/x000/000',
    ])
      assert.equal((await bytesOf(server, `/v1/audit/tile/${name}`, headers)).status, 404, name)
  })

  it('need a key with the right `audit`, unless the log is public', async () => {
    for (const isPublic of ['off', 'on']) {
      await using server = await testServer({ env: { STAGEDOOR_AUDIT_PUBLIC: isPublic } })
      await signed(server)
      const [event] = await server.auditEvents({ limit: '1' })
      const anyone = { authorization: undefined }
      const statusOf = async (path: string, headers: Record<string, string | undefined>) =>
        (await server.call('GET', path, undefined, headers)).status
      const expected = isPublic === 'on' ? 200 : 401
      for (const path of ['checkpoint', 'checkpoints', 'keys', 'tile/0/000.p/1', 'consistency?from_size=0&to_size=1'])
        assert.equal(await statusOf(`/v1/audit/${path}`, anyone), expected, path)
      assert.equal(await statusOf(`/v1/audit_events/${event?.id}/proof`, anyone), 401)
      assert.equal(await statusOf('/v1/audit_events', anyone), 401)
      assert.equal(await statusOf('/v1/audit/keys', { authorization: 'Bearer sk_test_wrong' }), 401)
      const { secret } = expectOk(await server.call('POST', '/v1/secret_keys', { name: 'acts', rights: ['act'] }))
      assert.equal(await statusOf('/v1/audit/keys', { authorization: `Bearer ${secret}` }), 403)
    }
  })

  it('refuse sizes that the log does not have', async () => {
    await using server = await testServer()
    await signed(server)
    for (const query of ['from_size=0&to_size=1000', 'from_size=2&to_size=1', 'from_size=-1&to_size=1', 'from_size=0'])
      assert.equal((await server.call('GET', `/v1/audit/consistency?${query}`)).status, 422, query)
  })
})

describe('STAGEDOOR_AUDIT_MAX_LAG_SECONDS', () => {
  it('refuses new access while the log is behind or tampered with; revocation and sessions continue', async () => {
    await using server = await testServer({
      env: { STAGEDOOR_AUDIT_MAX_LAG_SECONDS: '5', STAGEDOOR_AUDIT_REQUIRE: 'witness:1' },
    })
    const { auditLog, store } = server.stagedoor.services
    const { session_id, cookie, user_id } = await server.signIn()
    const waiting = await server.createActorToken()
    const create = () => server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub: 'a' } })
    assert.equal((await create()).status, 200)
    server.clock.advance(10)
    const refused = await create()
    assert.deepEqual([refused.status, refused.codes], [503, ['audit_behind']])
    const redeemed = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: waiting.token })
    assert.deepEqual([redeemed.status, redeemed.codes], [503, ['audit_behind']])
    const mint = await server.post(`/v1/client/sessions/${session_id}/tokens`, {}, { cookie })
    assert.equal(mint.status, 200)
    assert.equal((await server.call('POST', `/v1/sessions/${session_id}/revoke`)).status, 200)
    assert.equal((await server.call('GET', '/v1/audit/checkpoint')).status, 404, 'no checkpoint is sufficient')

    // A witness signs.
    await signed(server)
    const [newest] = await store.auditLog.checkpoints(undefined, 1)
    await store.auditLog.setCosignatures(newest?.size ?? 0, '— witness.test/w1 AAAA\n')
    for (let i = 0; i < 10 && (await create()).status !== 200; i++) await auditLog.tick()
    assert.equal((await create()).status, 200)
    assert.match((await server.call('GET', '/v1/audit/checkpoint')).text, /witness\.test/)
    auditLog.enterTampered('for the test')
    assert.deepEqual((await create()).codes, ['audit_behind'])
  })
})
