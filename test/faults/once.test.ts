import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { times } from '../support/deep.ts'
import { cluster, type Server } from './cluster.ts'
import { type Answer, Broken, Connection, type Request } from './connection.ts'
import { databases } from './database.ts'
import { goal, randomOf, seeds } from './goal.ts'

/** Idempotency-Key across processes and across kills. */

const AT_ONCE = 16

const replayed = ({ head }: Answer) => /^idempotent-replayed: true/im.test(head)

for (const kind of databases) {
  const SERVERS = Math.min(2, kind.servers)
  describe(`requests with an idempotency key, on ${kind.name}`, { skip: kind.skip }, () => {
    it('create once, with any number of simultaneous requests to all servers', async () => {
      await using database = await kind.open()
      await using servers = await cluster(database, SERVERS)
      const connections = Array.from(
        { length: AT_ONCE },
        (_, i) => new Connection(() => servers.servers[i % SERVERS] as Server),
      )
      const rounds = times(10, 2_000)
      const twice: string[] = []
      for (let round = 0; round < rounds; round++) {
        const request: Request = {
          path: '/v1/users',
          json: { first_name: `user ${round}` },
          key: servers.secretKey,
          idempotencyKey: `round ${round}`,
        }
        const answers = await Promise.all(connections.map(connection => connection.request(request)))
        for (const answer of answers) if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`)
        const ids = new Set(answers.map(({ body }) => body.id))
        if (ids.size !== 1 || answers.filter(answer => !replayed(answer)).length !== 1) twice.push(...ids)
      }
      const [{ count } = { count: -1 }] = await database.rows<{ count: number }>('select count(*) as count from users')
      for (const connection of connections) connection[Symbol.dispose]()
      goal(
        `once-${kind.name}`,
        `${rounds} keys, ${AT_ONCE} simultaneous requests each to ${SERVERS} servers: ${count} created`,
        `${rounds}`,
        Number(count) === rounds && twice.length === 0,
        () => ({ twice }),
      )
    })

    it('are remembered if they were acknowledged, and create once if they were not', async () => {
      const kills = times(2, 100)
      let acknowledged = 0
      const wrong: string[] = []
      for (const seed of seeds(1)) {
        const random = randomOf(seed)
        await using database = await kind.open()
        await using servers = await cluster(database, 1)
        const [server] = servers.servers
        assert.ok(server)
        const connections = Array.from({ length: 8 }, () => new Connection(() => server))
        const ask = (name: string): Request => ({
          path: '/v1/users',
          json: { first_name: name },
          key: servers.secretKey,
          idempotencyKey: name,
        })
        for (let kill = 0; kill < kills; kill++) {
          let alive = true
          const begun = Promise.withResolvers<void>()
          const made = new Map<string, string | undefined>()
          const load = connections.map(async (connection, i) => {
            for (let n = 0; alive; n++) {
              const name = `${kill} ${i} ${n}`
              made.set(name, undefined)
              try {
                const answer = await connection.request(ask(name))
                if (answer.status !== 200) continue
                made.set(name, answer.body.id)
                begun.resolve()
              } catch (error) {
                if (!(error instanceof Broken)) throw error
              }
            }
          })
          // A newly started server is slow, and one that acknowledged nothing has nothing to lose.
          await begun.promise
          await sleep(random.between(0, 200))
          alive = false
          await server.kill()
          await server.start()
          await Promise.all(load)
          const [first] = connections
          assert.ok(first)
          for (const [name, id] of made) {
            const answer = await first.request(ask(name))
            if (answer.status !== 200) wrong.push(`${name}: ${answer.text}`)
            else if (id !== undefined && (answer.body.id !== id || !replayed(answer))) wrong.push(`${name}: made again`)
            if (id !== undefined) acknowledged += 1
          }
          const doubles = await database.rows<{ first_name: string }>(
            'select first_name from users group by first_name having count(*) > 1',
          )
          wrong.push(...doubles.map(({ first_name }) => `${first_name}: made twice`))
        }
        for (const connection of connections) connection[Symbol.dispose]()
        assert.ok(acknowledged >= kills, `${acknowledged} acknowledged`)
        goal(
          `once-kill-${kind.name}`,
          `${acknowledged} acknowledged in ${kills} kills: ${wrong.length} forgotten or created twice`,
          '0',
          wrong.length === 0,
          () => ({ seed, wrong }),
        )
      }
    })
  })
}
