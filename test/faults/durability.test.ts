import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { deep, times } from '../support/deep.ts'
import { until } from '../support/time.ts'
import { cluster } from './cluster.ts'
import { Connection } from './connection.ts'
import { databases } from './database.ts'
import { assertKept, goal, randomOf, seeds } from './goal.ts'
import { Ledger } from './ledger.ts'
import { makeTickets, requests } from './requests.ts'

const CYCLES = times(10, 1_000)
/** Number of cycles per database. Small databases are quick to check completely. */
const CYCLES_A_DATABASE = 50
const CONNECTIONS = 12
const READY_WITHIN = 2_000
/** Minimum acknowledged writes before a kill. */
const WRITES_BEFORE_KILL = 3

for (const kind of databases) {
  describe(`kill -9 on ${kind.name}`, { skip: kind.skip }, () => {
    it('D8 K4 acknowledged writes survive, revocations hold, and the server is ready again soon', async () => {
      let acknowledged = 0
      let cycles = 0
      const lost: string[] = []
      const ready: number[] = []
      for (const seed of seeds(Math.ceil(CYCLES / CYCLES_A_DATABASE))) {
        const random = randomOf(seed)
        await using database = await kind.open()
        // Compiled at each start, as with an operator's server.
        await using servers = await cluster(database, 1, deep ? { env: { NODE_COMPILE_CACHE: '' } } : {})
        const [server] = servers.servers
        assert.ok(server)
        const ask = requests(servers.secretKey)
        const connections = Array.from({ length: CONNECTIONS }, () => new Connection(() => server))
        const [first] = connections
        assert.ok(first)
        const [user] = await makeTickets([first], servers.secretKey, 1)
        const ledger = new Ledger(ask, user?.user_id ?? '', random)
        for (let cycle = 0; cycle < Math.min(CYCLES, CYCLES_A_DATABASE); cycle++) {
          let alive = true
          const load = connections.map(async connection => {
            while (alive) await ledger.something(connection)
          })
          const before = ledger.acknowledged
          await sleep(random.between(30, 150))
          // On a busy machine nothing may be acknowledged by then, and a kill would prove nothing.
          await until(() => ledger.acknowledged >= before + WRITES_BEFORE_KILL, 'too few writes were acknowledged')
          alive = false
          await server.kill()
          ready.push(await server.start())
          await Promise.all(load)
          lost.push(...(await ledger.lost(database)), ...(await ledger.revived(first)), ...(await database.damage()))
          cycles++
          if (lost.length > 0) break
        }
        acknowledged += ledger.acknowledged
        for (const connection of connections) connection[Symbol.dispose]()
        assertKept('D8', `${lost.length} lost, revived or damaged`, lost.length === 0, () => ({ seed, lost }))
      }
      assert.ok(acknowledged >= CYCLES * WRITES_BEFORE_KILL, `only ${acknowledged} writes were acknowledged`)
      goal('D8', `${acknowledged} acknowledged writes in ${cycles} kills: 0 lost, 0 revived, 0 damaged`, '0', true)
      ready.sort((a, b) => a - b)
      const [median = 0, worst = 0] = [ready[ready.length >> 1], ready.at(-1)].map(ms => Math.round(ms ?? 0))
      const value = `ready again after ${median} ms, ${worst} ms at worst, in ${cycles} starts`
      if (deep) goal('D8-ready', value, `at most ${READY_WITHIN} ms`, worst <= READY_WITHIN, () => ({ ready }))
    })
  })
}
