import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { finishOverdueSessions } from '../../packages/server/src/domain/sessions.ts'
import { fixedClock } from '../support/clock.ts'
import { deep, times } from '../support/deep.ts'
import { claimsOf } from '../support/jwt.ts'
import { type TestServer, testServer } from '../support/server.ts'
import { cluster } from './cluster.ts'
import { Connection } from './connection.ts'
import { databases } from './database.ts'
import { fakeClock, noFakeClock } from './fake-clock.ts'
import { goal, seeds } from './goal.ts'
import { LASTING, makeTickets, ok, requests, signIn, type Ticket } from './requests.ts'

const env = {
  STAGEDOOR_SIGNING_ALG: 'EdDSA',
  STAGEDOOR_SESSION_IDLE_TIMEOUT_SECONDS: '86400',
  STAGEDOOR_ACTOR_TOKEN_MAX_SECONDS: '31536000',
  STAGEDOOR_ACTOR_SESSION_MAX_SECONDS: '31536000',
}
const DAY = 86_400
const YEAR = 365 * DAY
/** Ids cannot be created before the first of these. */
const [EARLIEST, LATEST] = [Date.parse('2016-01-01'), Date.parse('2060-01-01')]
/** Moments at which clocks have failed: the end of 32 bits, leap days, the end of a year. */
const MOMENTS = ['2038-01-19T03:14:05Z', '2028-02-28T23:59:58Z', '2032-02-29T23:59:58Z', '2036-12-31T23:59:58Z'].map(
  moment => Date.parse(moment),
)

type Action =
  | { do: 'create'; life: number; session: number }
  | { do: 'redeem' | 'mint' | 'revoke ticket' | 'revoke session'; which: number }
  | { do: 'jump'; seconds: number }
  | { do: 'go to'; moment: number }
  /** Stores the end of expired sessions, as a server does periodically. */
  | { do: 'write down' }

const lives = fc.constantFrom(1, 2, 60, 3_600, DAY, YEAR)
const which = fc.nat({ max: 5 })
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('create' as const), life: lives, session: lives }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('redeem' as const, 'mint' as const), which }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('revoke ticket' as const, 'revoke session' as const), which }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('jump' as const),
      seconds: fc
        .constantFrom(1, 59, 61, 3_599, 3_601, DAY - 1, DAY + 1, YEAR, 10 * YEAR)
        .chain(by => fc.constantFrom(by, -by)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('go to' as const), moment: fc.constantFrom(...MOMENTS) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'write down' as const }) },
)

/** A ticket or a session, and whether it has ended for good. */
interface Thing {
  expires: number
  /** Revoked, used, or refused as expired; or its end was stored. */
  over: boolean
  /** The clock has passed its expiry, even if no request noticed. */
  expired: boolean
}

/** Performs the actions on a new server. @returns what was usable after its end, if anything */
async function play(actions: Action[], demand: 'what was noticed' | 'everything', used: { times: number }) {
  const clock = fixedClock('2026-06-01T00:00:00Z')
  await using server: TestServer = await testServer({ clock, env })
  const { id: user_id } = await server.createUser()
  const tickets: (Thing & { id: string; token: string; session: number })[] = []
  const sessions: (Thing & { id: string; cookie: string })[] = []
  const passing = () => {
    for (const thing of [...tickets, ...sessions]) thing.expired ||= clock.now() >= thing.expires
  }
  const dead = (thing: Thing) => thing.over || (demand === 'everything' && thing.expired)

  for (const step of actions) {
    switch (step.do) {
      case 'create': {
        const { id, token } = await server.createActorToken({
          user_id,
          expires_in_seconds: step.life,
          session_max_duration_in_seconds: step.session,
        })
        const { expires_at } = (await server.call('GET', `/v1/actor_tokens/${id}`)).body
        tickets.push({ id, token, session: step.session, expires: expires_at, over: false, expired: false })
        break
      }
      case 'redeem': {
        const ticket = tickets[step.which % tickets.length]
        if (!ticket) break
        const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: ticket.token })
        if (answer.status === 200) {
          if (dead(ticket)) return { step, ticket, now: clock.now() }
          used.times++
          const { created_session_id: id } = answer.body.response
          const { expire_at } = (await server.call('GET', `/v1/sessions/${id}`)).body
          const cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''
          sessions.push({ id, cookie, expires: expire_at, over: false, expired: false })
        }
        ticket.over = true
        break
      }
      case 'mint': {
        const session = sessions[step.which % sessions.length]
        if (!session) break
        const answer = await server.post(`/v1/client/sessions/${session.id}/tokens`, {}, { cookie: session.cookie })
        if (answer.status !== 200) session.over = true
        else if (dead(session)) return { step, session, now: clock.now() }
        else used.times++
        break
      }
      case 'revoke ticket': {
        const ticket = tickets[step.which % tickets.length]
        if (!ticket) break
        const { status } = await server.call('POST', `/v1/actor_tokens/${ticket.id}/revoke`)
        assert.ok([200, 400].includes(status))
        ticket.over = true
        break
      }
      case 'revoke session': {
        const session = sessions[step.which % sessions.length]
        if (!session) break
        assert.equal((await server.call('POST', `/v1/sessions/${session.id}/revoke`)).status, 200)
        session.over = true
        break
      }
      case 'jump':
      case 'go to': {
        const to = step.do === 'jump' ? clock.now() + step.seconds * 1_000 : step.moment
        clock.set(Math.min(Math.max(to, EARLIEST), LATEST))
        // The server reads the clock once a second, without any request. It cannot know of times that it never read.
        server.stagedoor.services.clock.now()
        passing()
        break
      }
      case 'write down':
        await finishOverdueSessions(server.stagedoor.context({ type: 'system', id: null }), { limit: 100 })
        for (const session of sessions) session.over ||= clock.now() >= session.expires
    }
  }
  return undefined
}

describe('a clock that jumps, in process', () => {
  const tried = async (demand: Parameters<typeof play>[1]) => {
    const runs = times(8, 2_000)
    const used = { times: 0 }
    const [seed = 0] = seeds(1)
    const result = await fc.check(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40, size: 'max' }), async actions => {
        assert.equal(await play(actions, demand, used), undefined)
      }),
      // Shrinking a failure takes long, so it is done in the deep run only.
      { numRuns: runs, seed: seed | 0, endOnFailure: !deep },
    )
    const id = demand === 'everything' ? 'K3-unseen' : 'K3'
    goal(
      id,
      `${demand}: ${result.numRuns} runs, ${used.times} uses, ${result.failed ? 'an ended ticket or session became usable again' : '0 revived'}`,
      '0 revived',
      !result.failed,
      () => ({ seed, counterexample: result.counterexample, error: String(result.errorInstance) }),
    )
    assert.ok(used.times > times(0, runs), 'too few tickets and sessions were used')
  }

  it('K1 K3 a ticket or session seen as expired is never usable again', () => tried('what was noticed'))

  it('K1 K3 an expired ticket or session is never usable again, even if no request noticed', () => tried('everything'))
})

for (const kind of databases) {
  describe(`a clock that jumps, on ${kind.name}`, { skip: kind.skip || noFakeClock }, () => {
    const SHORT = { expires_in_seconds: 600, session_max_duration_in_seconds: 600 }
    const HOUR = 3_600

    /** A server with its own clock, a short ticket and session, and long ones. */
    const started = async () => {
      const stack = new AsyncDisposableStack()
      const clock = stack.use(fakeClock())
      // Only the clock that decides is moved; the other stays right.
      const database = stack.use(await kind.open(kind.hasClock ? clock.env : {}))
      const servers = stack.use(await cluster(database, 1, { env: { ...(kind.hasClock ? {} : clock.env), ...env } }))
      const [server] = servers.servers
      assert.ok(server)
      const connection = stack.use(new Connection(() => server))
      const { secretKey } = servers
      const make = async (fields: object) => {
        const [ticket, used] = await makeTickets([connection], secretKey, 2, { fields })
        return { ticket: ticket as Ticket, session: await signIn(connection, secretKey, used as Ticket) }
      }
      const ask = requests(secretKey)
      const redeem = async (ticket: Ticket) => {
        const { status, code } = await connection.request(ask.redeem(ticket.token))
        return code ?? status
      }
      const mint = async ({ id, cookie }: { id: string; cookie: string }) =>
        (await connection.request(ask.mint(id, cookie))).status
      return { stack, clock, server, connection, ask, make, redeem, mint }
    }

    it('K1 K3 one hour ahead, short ones expire; they stay expired when the clock goes back and after kill -9', async () => {
      const { stack, clock, server, make, redeem, mint } = await started()
      await using _ = stack
      const short = await make(SHORT)
      const lasting = await make(LASTING)
      clock.shift(HOUR)
      assert.deepEqual([await redeem(short.ticket), await mint(short.session)], ['ticket_expired_code', 401])
      assert.equal(await mint(lasting.session), 200)
      clock.shift(0)
      assert.deepEqual([await redeem(short.ticket), await mint(short.session)], ['ticket_expired_code', 401])
      await server.kill()
      await server.start()
      assert.deepEqual([await redeem(short.ticket), await mint(short.session)], ['ticket_expired_code', 401])
      assert.deepEqual([await mint(lasting.session), await redeem(lasting.ticket)], [200, 200])
    })

    it('K3 what expired without a request stays expired when the clock goes back', async () => {
      const { stack, clock, connection, ask, make, redeem, mint } = await started()
      await using _ = stack
      const { ticket, session } = await make(SHORT)
      clock.shift(HOUR)
      // The server has seen the later time, but no request for these two.
      await ok(connection, ask.createUser())
      await sleep(1_500)
      clock.shift(0)
      assert.deepEqual([await redeem(ticket), await mint(session)], ['ticket_expired_code', 401])
    })

    it('K2 a server whose own clock is wrong decides by the clock of the database', {
      skip: !kind.hasClock && 'the server’s clock is the only one',
    }, async () => {
      await using database = await kind.open()
      using clock = fakeClock()
      await using servers = await cluster(database, 1, { env: { ...clock.env, ...env } })
      const [server] = servers.servers
      assert.ok(server)
      using connection = new Connection(() => server)
      const ask = requests(servers.secretKey)
      for (const seconds of [300, -300, HOUR, -DAY, 10 * YEAR]) {
        clock.shift(seconds)
        const [ticket, kept] = await makeTickets([connection], servers.secretKey, 2, { fields: SHORT })
        const session = await signIn(connection, servers.secretKey, ticket as Ticket)
        const { iat } = claimsOf((await ok(connection, ask.mint(session.id, session.cookie))).body.jwt)
        assert.ok(
          Math.abs(iat - Date.now() / 1_000) < 5,
          `${seconds} s wrong: iat is ${iat - Date.now() / 1_000} s off`,
        )
        await ok(connection, ask.redeem((kept as Ticket).token))
      }
    })

    it('K1 works into 2038', async () => {
      const { stack, clock, connection, ask, make, redeem, mint } = await started()
      await using _ = stack
      const before = Date.now()
      const last = Date.parse('2038-01-19T03:14:07Z')
      clock.shift(Math.floor((last - before) / 1_000) - 4)
      // A server reads its database's clock once a second.
      if (kind.hasClock) await sleep(2_000)
      const { ticket, session } = await make(LASTING)
      await sleep(6_500)
      assert.equal(await redeem(ticket), 200)
      assert.equal(await mint(session), 200)
      const { iat, exp } = claimsOf((await ok(connection, ask.mint(session.id, session.cookie))).body.jwt)
      assert.ok(iat >= 2 ** 31 && exp === iat + 60, `${iat} ${exp}`)
      clock.shift(Math.floor((last - before) / 1_000) + DAY + 1)
      assert.equal(await mint(session), 401)
      if (deep) goal('K1', 'a real server works through 2038-01-19T03:14:08Z', 'it does', true)
    })
  })
}
