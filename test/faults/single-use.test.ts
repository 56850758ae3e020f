import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { times } from '../support/deep.ts'
import { claimsOf } from '../support/jwt.ts'
import { disturbance, during, kill, pause } from './chaos.ts'
import { cluster, type Server } from './cluster.ts'
import { Broken, Connection } from './connection.ts'
import { databases } from './database.ts'
import { assertKept, goal, randomOf, seeds } from './goal.ts'
import { lossyProxy } from './proxy.ts'
import { Race, wrongs } from './race.ts'
import { makeTickets, ok, requests, type Ticket } from './requests.ts'

/** Connections to each server that race for the same ticket. */
const RACERS = 8
/** Races in progress at the same time, so that attempts arrive together and are committed together. */
const RACES = 8
/** Tickets per lap. The racers wait for each other after each lap, so that none gets far ahead. */
const LAP = 8
/** Tickets in one database. */
const TICKETS = times(130, 3_125)
/** Total attempts in the deep run. */
const ATTEMPTS = Number(process.env.TEST_ATTEMPTS ?? 1_000_000)

async function race(servers: Server[], tickets: Ticket[], result: Race): Promise<void> {
  const left = [...tickets]
  await Promise.all(
    Array.from({ length: RACES }, async () => {
      const racers = servers.flatMap(server => Array.from({ length: RACERS }, () => new Connection(() => server)))
      while (left.length > 0) {
        const lap = left.splice(0, LAP)
        await Promise.all(
          racers.map(async racer => {
            for (const ticket of lap) await result.attempt(racer, ticket)
          }),
        )
      }
      for (const racer of racers) racer[Symbol.dispose]()
    }),
  )
}

for (const kind of databases) {
  describe(`single use on ${kind.name}`, { skip: kind.skip }, () => {
    it('R3 R5 with races over servers that are killed and frozen: every ticket is redeemed once', async () => {
      const nodes = kind.servers
      const total = { attempts: 0, unknown: 0, unavailable: 0 }
      let redeemed = 0
      let broken = 0
      let racing = 0
      const rounds = seeds(times(1, Math.ceil(ATTEMPTS / (TICKETS * nodes * RACERS))))
      for (const seed of rounds) {
        await using database = await kind.open()
        await using servers = await cluster(database, nodes)
        const { servers: all, secretKey } = servers
        const random = randomOf(seed)
        const makers = all.flatMap(server => Array.from({ length: 8 }, () => new Connection(() => server)))
        const [user] = await makeTickets(makers.slice(0, 1), secretKey, 1)
        const pending = await makeTickets(makers, secretKey, TICKETS, { user: user?.user_id ?? '' })
        for (const maker of makers) maker[Symbol.dispose]()
        const round = new Race()
        const from = performance.now()
        broken += await during(
          () => race(all, pending, round),
          [kill(all), kill(all), pause(all), disturbance(database)],
          random,
          { from: 200, to: times(1_500, 4_000) },
        )
        racing += performance.now() - from
        const wrong = await wrongs(database, round.won)
        assert.deepEqual(round.odd, [])
        assertKept('R3', wrong.join('; '), wrong.length === 0, () => ({ seed, wrong, won: [...round.won] }))
        total.attempts += round.attempts
        total.unknown += round.unknown
        total.unavailable += round.unavailable
        redeemed += round.won.size
      }
      const { attempts, unknown, unavailable } = total
      const seconds = racing / 1_000
      goal(
        'R3',
        `${kind.name}: ${attempts} attempts at ${TICKETS * rounds.length} tickets on ${nodes} servers in ${seconds.toFixed(0)} s (${Math.round(attempts / seconds)} a second), ` +
          `${redeemed} answered with a session, ${unknown} never answered, ${unavailable} refused with 503, ${broken} faults: 0 redeemed twice or lost`,
        '0 redeemed twice or lost',
        true,
      )
    })

    it('R6 a browser that lost the answer repeats the request and gets its session; no other browser gets it', async () => {
      await using database = await kind.open()
      await using servers = await cluster(database, 1)
      const [server] = servers.servers
      assert.ok(server)
      await using proxy = await lossyProxy(server)
      using direct = new Connection(() => server)
      using through = new Connection(() => proxy)
      const ask = requests(servers.secretKey)
      const lost = async (ticket: Ticket, cookie?: string) => {
        await assert.rejects(through.request(ask.redeem(ticket.token, cookie)), (error: unknown) => {
          return error instanceof Broken && error.sent
        })
      }
      const [kept, restarted, stranger] = await makeTickets([direct], servers.secretKey, 3)
      assert.ok(kept && restarted && stranger)
      const sessionOf = async ({ id }: Ticket) => {
        const rows = await database.rows<{ id: string; status: string }>(
          `select id, status from sessions where actor_token_id = '${id}'`,
        )
        assert.equal(rows.length, 1, 'redeemed once, although the answer was lost')
        return rows[0]?.id
      }

      for (const [ticket, between] of [
        [kept, async () => {}],
        [
          restarted,
          async () => {
            await server.kill()
            await server.start()
          },
        ],
      ] as const) {
        const { cookie } = await ok(direct, ask.greet())
        await lost(ticket, cookie)
        await between()
        const session = await sessionOf(ticket)
        assert.equal((await direct.request(ask.redeem(ticket.token))).code, 'actor_token_already_used_code')
        const again = await ok(direct, ask.redeem(ticket.token, cookie))
        assert.equal(again.body.response.created_session_id, session)
        const { jwt } = (await ok(direct, ask.mint(session ?? '', again.cookie ?? ''))).body
        assert.deepEqual([claimsOf(jwt).sid, claimsOf(jwt).act.sub], [session, 'olivia@support'])
        await sessionOf(ticket)
      }

      // Without a cookie the server cannot know that it is the same browser.
      await lost(stranger)
      assert.equal((await direct.request(ask.redeem(stranger.token))).code, 'actor_token_already_used_code')
      await ok(direct, ask.revokeSession((await sessionOf(stranger)) ?? ''))
    })
  })
}
