import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreUnavailable } from '../../packages/server/src/domain/store.ts'
import { type Host, HostLock, thisHost } from '../../packages/server/src/store/sqlite/host-lock.ts'
import { deep } from '../support/deep.ts'
import { cluster, NotStarted } from './cluster.ts'
import { Connection } from './connection.ts'
import { type EmbeddedDatabase, embeddedDatabase } from './database.ts'
import { goal } from './goal.ts'
import { makeTickets, ok, requests, signIn } from './requests.ts'

const here: Host = { name: 'here', boot: '1' }
const there: Host = { name: 'there', boot: '2' }

/** Makes the host that holds the database look silent for this many seconds. */
function silentFor(database: EmbeddedDatabase, seconds: number): void {
  const file = `${database.path}-host`
  const then = Date.now() / 1_000 - seconds
  utimesSync(file, then, then)
}

describe('a second host on a SQLite file', () => {
  it('D14 is refused while the first one is there; other processes of the first are not', async () => {
    await using database = embeddedDatabase()
    const first = new HostLock(database.path, here)
    const second = new HostLock(database.path, here)
    assert.throws(
      () => new HostLock(database.path, there),
      /another host, here, is using it.*one host only.*30 s.*delete/,
    )
    first.release()
    // The remaining process marks its host as present at the next heartbeat.
    second.beat()
    assert.throws(() => new HostLock(database.path, there), /another host, here/)
    second.release()
    new HostLock(database.path, there).release()
    assert.equal(existsSync(`${database.path}-host`), false, 'the lock file is gone')
  })

  it('D14 takes over from a host that crashed, 30 s after its last sign of life', async () => {
    await using database = embeddedDatabase()
    const crashed = new HostLock(database.path, here)
    silentFor(database, 20)
    assert.throws(() => new HostLock(database.path, there), /after (8|9|10|11) s/)
    silentFor(database, 31)
    const second = new HostLock(database.path, there)
    // The first was only frozen, not dead: it must not continue.
    crashed.assertHeld()
    crashed.beat()
    assert.throws(
      () => crashed.assertHeld(),
      (error: unknown) => {
        return (
          error instanceof StoreUnavailable && /another host, there, has taken the database over/.test(error.message)
        )
      },
    )
    second.beat()
    second.assertHeld()
    crashed.release()
    assert.throws(
      () => new HostLock(database.path, here),
      /another host, there/,
      'it did not release the lock of another host',
    )
    second.release()
  })

  it('D14 a server gives signs of life, and refuses everything after it was replaced', {
    skip: !deep && 'only in the deep run',
  }, async () => {
    await using database = embeddedDatabase()
    await using servers = await cluster(database, 1)
    const [server] = servers.servers
    assert.ok(server)
    using connection = new Connection(() => server)
    const ask = requests(servers.secretKey)
    const [ticket] = await makeTickets([connection], servers.secretKey, 1)
    assert.ok(ticket)
    const session = await signIn(connection, servers.secretKey, ticket)
    silentFor(database, 25)
    await sleep(6_000)
    const age = Date.now() - statSync(`${database.path}-host`).mtimeMs
    assert.ok(age < 6_000, `${age} ms`)
    writeFileSync(`${database.path}-host`, JSON.stringify(there))
    await sleep(6_000)
    for (const request of [ask.mint(session.id, session.cookie), ask.createUser()])
      assert.equal((await connection.request(request)).status, 503)
    assert.match(server.output, /another host, there, has taken the database over/)
  })

  const elsewhere = ['unshare', '--uts', '--mount', 'sh', '-c']
  const become = 'hostname elsewhere && mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
  const may =
    process.platform === 'linux' && spawnSync('unshare', ['--uts', '--mount', 'true'], { stdio: 'ignore' }).status === 0

  it('D14 a real server on another host does not start, and explains why', {
    skip: !may && 'needs root on Linux to simulate another host',
  }, async () => {
    await using database = embeddedDatabase()
    const boot = join(database.directory, 'boot-id')
    writeFileSync(boot, '00000000-0000-4000-8000-000000000000\n')
    await using servers = await cluster(database, 1)
    const stranger = servers.server({ through: [...elsewhere, become, boot] })
    const error = await stranger.start().catch((failure: unknown) => failure)
    assert.ok(error instanceof NotStarted, String(error))
    assert.ok(error.code !== 0 && error.code !== null)
    assert.match(error.output, new RegExp(`STAGEDOOR_DATABASE_URL.*another host, ${thisHost().name}, is using it`))
    const [one] = servers.servers
    assert.ok(one)
    using connection = new Connection(() => one)
    const [ticket] = await makeTickets([connection], servers.secretKey, 1)
    await ok(connection, requests(servers.secretKey).redeem(ticket?.token ?? ''))

    // The host is gone without a trace; after a while the other host may take over.
    await one.kill()
    await assert.rejects(stranger.start(), NotStarted)
    silentFor(database, 31)
    await stranger.start()
    await assert.rejects(one.start(), /another host, elsewhere/)
    assert.equal(await stranger.stop(), 0)
    await one.start()
    goal(
      'D14',
      'another host is refused, taken over from after 30 s',
      'refused; a crash blocks no host permanently',
      true,
    )
  })
})
