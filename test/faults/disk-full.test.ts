import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { deep, times } from '../support/deep.ts'
import { claimsOf } from '../support/jwt.ts'
import { cluster } from './cluster.ts'
import { Connection } from './connection.ts'
import { embeddedDatabase } from './database.ts'
import { goal } from './goal.ts'
import { makeTickets, ok, requests, signIn } from './requests.ts'

const DISK = deep ? '128m' : '48m'
const REVOCATIONS = times(120, 2_000)

/** A separate small disk in memory; undefined if it may not be mounted. */
function smallDisk(): (Disposable & { path: string }) | undefined {
  const path = mkdtempSync(join(tmpdir(), 'stagedoor-disk-'))
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', path]).status !== 0) {
    rmSync(path, { recursive: true })
    return undefined
  }
  return {
    path,
    [Symbol.dispose]: () => {
      spawnSync('umount', ['-l', path])
      rmSync(path, { recursive: true })
    },
  }
}

const free = (path: string) => {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize
}

/** Fills the disk and leaves this many bytes free. */
function fill(directory: string, left: number): () => void {
  const file = join(directory, 'somebody-elses-file')
  writeFileSync(file, Buffer.alloc(Math.max(0, free(directory) - left)))
  return () => rmSync(file)
}

using probe = smallDisk()
const skip = probe === undefined && 'needs root, to mount a small tmpfs'

describe('a full disk', { skip }, () => {
  it('D10 creates are refused, revocations are stored and mints work; everything works again when there is room', async () => {
    using disk = smallDisk()
    assert.ok(disk)
    const database = embeddedDatabase(disk.path)
    await using servers = await cluster(database, 1)
    const { secretKey } = servers
    const [one] = servers.servers
    assert.ok(one)
    const makers = Array.from({ length: 32 }, () => new Connection(() => one))
    using connection = new Connection(() => one)
    using other = new Connection(() => one)
    const ask = requests(secretKey)
    const [user] = await makeTickets([connection], secretKey, 1)
    assert.ok(user)
    const pending = await makeTickets(makers, secretKey, REVOCATIONS / 2 + 1, { user: user.user_id })
    const opened = await makeTickets(makers, secretKey, REVOCATIONS / 2 + 1, { user: user.user_id })
    const sessions = []
    for (const ticket of opened) sessions.push(await signIn(connection, secretKey, ticket))
    const spare = { ticket: pending.pop(), session: sessions.pop() }
    assert.ok(spare.ticket && spare.session)

    // Another process fills the disk; creating tickets uses up the rest.
    const makeRoom = fill(disk.path, 200_000)
    let created = 0
    let refused = 0
    while (refused < 20 && created < 5_000) {
      const answer = await connection.request(ask.createActorToken(user.user_id))
      if (answer.status === 200) created++
      else {
        assert.deepEqual([answer.status, answer.code], [503, 'service_unavailable'], answer.text)
        refused++
      }
    }
    assert.equal(refused, 20, 'the server did not notice the full disk')
    assert.equal((await other.request(ask.createActorToken(user.user_id))).status, 503)
    assert.equal((await other.request(ask.redeem(spare.ticket.token))).status, 503)

    const works = async (through: Connection) => {
      const { id, cookie } = spare.session as NonNullable<typeof spare.session>
      const { jwt } = (await ok(through, ask.mint(id, cookie))).body
      assert.deepEqual([claimsOf(jwt).sid, claimsOf(jwt).act.sub], [id, 'olivia@support'])
      assert.ok((await ok(through, ask.jwks())).body.keys.length > 0)
    }
    await works(connection)
    let revoked = 0
    for (const [i, { id }] of pending.entries())
      revoked += (await (i % 2 ? connection : other).request(ask.revokeActorToken(id))).status === 200 ? 1 : 0
    for (const [i, { id }] of sessions.entries())
      revoked += (await (i % 2 ? connection : other).request(ask.revokeSession(id))).status === 200 ? 1 : 0
    await works(other)

    // Durable: the revocations are stored after a kill on the full disk.
    await one.kill()
    await one.start()
    const wrong: string[] = []
    for (const { id, cookie } of sessions) {
      const { status } = await connection.request(ask.mint(id, cookie))
      if (status !== 401) wrong.push(`minted a token for a revoked session: ${status}`)
    }
    const stored = await database.rows<{ status: string }>("select status from actor_tokens where status = 'revoked'")
    if (stored.length !== pending.length) wrong.push(`${stored.length} tickets are revoked of ${pending.length}`)
    assert.equal((await connection.request(ask.createActorToken(user.user_id))).status, 503, 'still full')
    await works(connection)

    makeRoom()
    for (const through of [connection, other]) await ok(through, ask.createActorToken(user.user_id))
    await ok(other, ask.redeem(spare.ticket.token))
    const damage = await database.damage()
    for (const maker of makers) maker[Symbol.dispose]()
    const asked = pending.length + sessions.length
    goal(
      'D10',
      `${created} created until it was full, then ${revoked} of ${asked} revocations stored, ${wrong.length} forgotten`,
      'all revocations, none forgotten, no restart needed',
      revoked === asked && wrong.length === 0 && damage.length === 0,
      () => ({ revoked, asked, wrong: wrong.slice(0, 10), damage, log: one.output.slice(-5_000) }),
    )
  })
})
