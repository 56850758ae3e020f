import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { times } from '../../packages/server/test/support.ts'
import { disturbance, during, kill, pause } from './chaos.ts'
import { type Cluster, cluster } from './cluster.ts'
import { Broken, Connection } from './connection.ts'
import { databases, type FaultDatabase } from './database.ts'
import { assertKept, goal, randomOf, seeds } from './goal.ts'
import { lossyProxy } from './proxy.ts'
import { claimsOf, makeTickets, ok, requests, type Ticket } from './requests.ts'

/** So many connections to each of the two servers race for the same ticket. */
const RACERS = 8
/** So many races go on at the same time: what arrives together is committed together. */
const RACES = 8
/** So many tickets are raced for before the racers wait for each other: nobody gets far ahead. */
const LAP = 8
/** Tickets in one database. */
const TICKETS = times(130, 3_125)

interface Race {
  attempts: number
  /** Ticket → sessions it was answered with. */
  won: Map<string, Set<string>>
  unknown: number
  /** 503 */
  unavailable: number
  /** Anything else that is neither a session nor "already used". */
  odd: string[]
}

async function race({ servers, secretKey }: Cluster, tickets: Ticket[], result: Race): Promise<void> {
  const ask = requests(secretKey)
  const attempt = async (connection: Connection, ticket: Ticket) => {
    for (;;) {
      try {
        const answer = await connection.request(ask.redeem(ticket.token))
        result.attempts++
        if (answer.status === 200) {
          const session = answer.body.response.created_session_id as string
          const sessions = result.won.get(ticket.id)
          if (sessions) sessions.add(session)
          else result.won.set(ticket.id, new Set([session]))
        } else if (answer.status === 503) result.unavailable++
        else if (answer.code !== 'actor_token_already_used_code') result.odd.push(answer.text)
        return
      } catch (error) {
        if (!(error instanceof Broken)) throw error
        if (error.sent) {
          result.attempts++
          result.unknown++
          return
        }
      }
    }
  }
  const left = [...tickets]
  await Promise.all(
    Array.from({ length: RACES }, async () => {
      const racers = servers.flatMap(server => Array.from({ length: RACERS }, () => new Connection(() => server)))
      while (left.length > 0) {
        const lap = left.splice(0, LAP)
        await Promise.all(
          racers.map(async racer => {
            for (const ticket of lap) await attempt(racer, ticket)
          }),
        )
      }
      for (const racer of racers) racer[Symbol.dispose]()
    }),
  )
}

/** What is stored has to say the same in three places, and everything that was answered. */
async function wrongs(database: FaultDatabase, won: Race['won']): Promise<string[]> {
  const sessions = await database.rows<{ id: string; ticket_id: string }>('select id, ticket_id from sessions')
  const tickets = await database.rows<{ id: string; session_id: string }>(
    "select id, session_id from tickets where status = 'accepted'",
  )
  const events = await database.rows<{ ticket_id: string; session_id: string }>(
    "select ticket_id, session_id from audit_events where action = 'actor_token.accept' and outcome = 'done'",
  )
  const pairs = (rows: string[]) => rows.sort().join('\n')
  const bySession = pairs(sessions.map(row => `${row.ticket_id} ${row.id}`))
  const byTicket = pairs(tickets.map(row => `${row.id} ${row.session_id}`))
  const byEvent = pairs(events.map(row => `${row.ticket_id} ${row.session_id}`))
  const wrong: string[] = []
  if (bySession !== byTicket) wrong.push(`${sessions.length} sessions, ${tickets.length} accepted tickets`)
  if (byTicket !== byEvent) wrong.push(`${tickets.length} accepted tickets, ${events.length} events of that`)
  const accepted = new Map(tickets.map(row => [row.id, row.session_id]))
  for (const [ticket, answered] of won) {
    if (answered.size > 1) wrong.push(`${ticket} was redeemed ${answered.size} times: ${[...answered]}`)
    for (const session of answered)
      if (accepted.get(ticket) !== session) wrong.push(`${ticket} was answered with ${session}, which is not stored`)
  }
  if (new Set(sessions.map(row => row.ticket_id)).size !== sessions.length) wrong.push('two sessions have one ticket')
  return [...wrong, ...(await database.damage())]
}

for (const kind of databases) {
  describe(`single use on ${kind.name}`, { skip: kind.skip }, () => {
    it('R3 R5 raced over two servers that are killed and frozen, every ticket is redeemed once', async () => {
      const total: Race = { attempts: 0, won: new Map(), unknown: 0, unavailable: 0, odd: [] }
      let redeemed = 0
      let broken = 0
      let racing = 0
      const rounds = seeds(times(1, 1_000_000 / (TICKETS * 2 * RACERS)))
      for (const seed of rounds) {
        await using database = await kind.open()
        await using servers = await cluster(database, 2)
        const { servers: both, secretKey } = servers
        const random = randomOf(seed)
        const makers = both.flatMap(server => Array.from({ length: 8 }, () => new Connection(() => server)))
        const [user] = await makeTickets(makers.slice(0, 1), secretKey, 1)
        const pending = await makeTickets(makers, secretKey, TICKETS, { user: user?.user_id ?? '' })
        for (const maker of makers) maker[Symbol.dispose]()
        const round: Race = { attempts: 0, won: new Map(), unknown: 0, unavailable: 0, odd: [] }
        const from = performance.now()
        broken += await during(
          () => race(servers, pending, round),
          [kill(both), kill(both), pause(both), disturbance(database)],
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
        `${attempts} attempts at ${TICKETS * rounds.length} tickets in ${seconds.toFixed(0)} s (${Math.round(attempts / seconds)} a second), ` +
          `${redeemed} answered with a session, ${unknown} never answered, ${unavailable} refused with 503, ${broken} faults: 0 redeemed twice or lost`,
        '0 redeemed twice or lost',
        true,
      )
    })

    it('R6 a browser that lost the answer asks again and has its session; nobody else gets it', async () => {
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
          `select id, status from sessions where ticket_id = '${id}'`,
        )
        assert.equal(rows.length, 1, 'redeemed once, though nobody was told')
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

      // Without a cookie nothing says that it is the same browser.
      await lost(stranger)
      assert.equal((await direct.request(ask.redeem(stranger.token))).code, 'actor_token_already_used_code')
      await ok(direct, ask.revokeSession((await sessionOf(stranger)) ?? ''))
    })
  })
}
