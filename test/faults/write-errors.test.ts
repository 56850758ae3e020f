import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { deep, times } from '../support/deep.ts'
import { until } from '../support/time.ts'
import { cluster } from './cluster.ts'
import { Connection } from './connection.ts'
import { embeddedDatabase } from './database.ts'
import { assertKept, goal, randomOf, seeds } from './goal.ts'
import { Ledger } from './ledger.ts'
import { makeTickets, requests } from './requests.ts'

/** Which system calls fail and how, from the 20th call at regular intervals. */
const ERRORS = {
  'fdatasync fails with EIO': 'fdatasync,fsync:error=EIO:when=20+7',
  'pwrite fails with EIO': 'pwrite64:error=EIO:when=20+41',
  'pwrite fails with ENOSPC': 'pwrite64:error=ENOSPC:when=20+41',
}
const LOAD = times(500, 20_000)
const CONNECTIONS = 8

const works = spawnSync('strace', ['-f', '-qq', '-o', '/dev/null', 'true'], { stdio: 'ignore' }).status === 0
const skip = !works && 'needs strace and permission to trace: apt-get install strace'

interface Tracer extends AsyncDisposable {
  /** Detaches, so that the process runs without errors. */
  stop(): Promise<void>
}

/** Makes system calls of a running process fail. */
async function failing(pid: number, errors: string): Promise<Tracer> {
  const [calls] = errors.split(':')
  const args = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${errors}`, '-p', String(pid)]
  const child = spawn('strace', args, { stdio: 'ignore' })
  const gone = new Promise<void>(resolve => child.once('close', () => resolve()))
  const stop = async () => {
    child.kill('SIGTERM')
    await gone
  }
  const traced = () =>
    readdirSync(`/proc/${pid}/task`).every(
      task => !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8')),
    )
  await until(traced, 'strace did not attach')
  return { stop, [Symbol.asyncDispose]: stop }
}

describe('errors of the disk', { skip }, () => {
  const total = { acknowledged: 0, failed: 0, happened: 0 }
  for (const [what, errors] of Object.entries(ERRORS)) {
    it(`D11 ${what}: acknowledged writes are stored, all others are 503`, async () => {
      for (const seed of seeds(times(1, 3))) {
        await using database = embeddedDatabase()
        await using servers = await cluster(database, 1)
        const [server] = servers.servers
        assert.ok(server)
        const connections = Array.from({ length: CONNECTIONS }, () => new Connection(() => server))
        const [first] = connections
        assert.ok(first)
        const [user] = await makeTickets([first], servers.secretKey, 1)
        const ask = requests(servers.secretKey)
        const ledger = new Ledger(ask, user?.user_id ?? '', randomOf(seed))
        const underLoad = async (milliseconds: number) => {
          const until = performance.now() + milliseconds
          await Promise.all(
            connections.map(async connection => {
              while (performance.now() < until) await ledger.something(connection)
            }),
          )
        }
        {
          await using _tracer = await failing(server.pid, errors)
          await underLoad(LOAD)
          // A traced server on a busy machine may do only few writes.
          for (let more = 0; ledger.failed === 0 && more < 20; more++) await underLoad(LOAD)
        }
        const { failed } = ledger
        const before = ledger.acknowledged
        // The disk works again, and so does the server, without a restart.
        await underLoad(300)
        const recovered = ledger.failed === failed && ledger.acknowledged > before
        const wrong = [...ledger.odd, ...(await ledger.lost(database))]
        await server.kill()
        await server.start()
        wrong.push(...(await ledger.lost(database)), ...(await ledger.revived(first)), ...(await database.damage()))
        for (const connection of connections) connection[Symbol.dispose]()
        assert.ok(failed > 0, 'no write failed')
        total.acknowledged += ledger.acknowledged
        total.failed += failed
        total.happened += await ledger.happened(database)
        assertKept(
          'D11',
          `${what}: ${ledger.acknowledged} acknowledged, ${failed} refused with 503, ${wrong.length} wrong`,
          wrong.length === 0 && recovered,
          () => ({ seed, what, wrong, recovered, log: server.output }),
        )
      }
    })
  }
  it('totals', { skip: !deep && 'only in the deep run' }, () => {
    const { acknowledged, failed, happened } = total
    const value = `${acknowledged} acknowledged, ${failed} refused with 503 (${happened} of these were there after a restart): 0 lost`
    goal('D11', value, '0 lost, 0 wrong answers, works afterwards', true)
  })
})
