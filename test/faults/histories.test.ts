import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { deep, times } from '../support/deep.ts'
import { disturbance, during, type Fault, kill, pause } from './chaos.ts'
import { cluster } from './cluster.ts'
import { Connection } from './connection.ts'
import { databases } from './database.ts'
import { type FakeClock, fakeClock, noFakeClock } from './fake-clock.ts'
import { assertKept, goal, type Random, randomOf, seeds } from './goal.ts'
import { mintedTooLate, recorded, type TicketOperation, ticketModel } from './history.ts'
import { violation } from './linearizable.ts'
import { makeTickets, requests, type Ticket } from './requests.ts'

/** Operations in one history, over all its tickets. */
const OPERATIONS = times(250, 5_000)
/** Tickets in progress at the same time. Each is contested by this many browsers and two operators. */
const LANES = times(16, 32)
const BROWSERS = 3
/** Far less than the lifetime of a ticket or session in these tests. */
const CLOCK_JUMP_SECONDS = 3_600

type Trouble = 'nothing' | 'kills' | 'pauses' | 'jumping clocks'

/** Runs all operations on one ticket at the same time: redeem, mint, revoke, ban, delete. */
async function fight(ticket: Ticket, connections: Connection[], key: string, random: Random) {
  const ask = requests(key)
  const history: TicketOperation[] = []
  let session: string | undefined
  const jitter = () => sleep(random.between(0, 12))

  const browser = async (number: number, connection: Connection) => {
    const greeting = await connection.request(ask.greet()).catch(() => undefined)
    let cookie = greeting?.cookie
    await jitter()
    // Twice, like a person whose browser shows no result.
    for (let tries = 0; tries < 2; tries++) {
      const answer = await recorded(
        history,
        number,
        { do: 'redeem', browser: number },
        connection,
        ask.redeem(ticket.token, cookie),
      )
      if (answer?.status !== 200) {
        if (answer !== undefined && answer.status !== 503) return
        continue
      }
      cookie = answer.cookie ?? cookie
      const id = answer.body.response.created_session_id as string
      session = id
      for (let mints = random.between(1, 4); mints > 0; mints--) {
        await recorded(
          history,
          number,
          { do: 'mint', session: id, by: 'cookie' },
          connection,
          ask.mint(id, cookie ?? ''),
        )
        await jitter()
      }
      return
    }
  }

  const operator = async (number: number, connection: Connection) => {
    await sleep(random.between(0, 60))
    const id = session
    const way = random.of(['revoke ticket', 'revoke session', 'revoke session', 'ban', 'delete'] as const)
    const revoke = {
      'revoke ticket': ask.revokeActorToken(ticket.id),
      'revoke session': id === undefined ? undefined : ask.revokeSession(id),
      ban: ask.ban(ticket.user_id),
      delete: ask.deleteUser(ticket.user_id),
    }[way]
    if (revoke === undefined)
      await recorded(history, number, { do: 'revoke ticket' }, connection, ask.revokeActorToken(ticket.id))
    else await recorded(history, number, { do: way }, connection, revoke)
    for (let mints = 0; mints < 2 && session !== undefined; mints++) {
      await recorded(history, number, { do: 'mint', session, by: 'key' }, connection, ask.mintByKey(session))
      await jitter()
    }
    await recorded(history, number, { do: 'redeem', browser: number }, connection, ask.redeem(ticket.token))
  }

  await Promise.all(
    connections.map((connection, number) => (number < BROWSERS ? browser : operator)(number, connection)),
  )
  return history
}

async function historiesOf(kind: (typeof databases)[number], seed: number, trouble: Trouble) {
  const random = randomOf(seed)
  await using database = await kind.open()
  const clocks: FakeClock[] = trouble === 'jumping clocks' ? [fakeClock(), fakeClock()] : []
  try {
    await using servers = await cluster(database, Math.min(2, kind.servers), i => ({ env: clocks[i]?.env ?? {} }))
    const { servers: both, secretKey } = servers
    const jump: Fault = async () => {
      random.of(clocks).shift(random.between(-CLOCK_JUMP_SECONDS, CLOCK_JUMP_SECONDS))
    }
    const faults: Record<Trouble, Fault[]> = {
      nothing: [],
      kills: [kill(both), kill(both), disturbance(database)],
      pauses: [pause(both), pause(both), disturbance(database)],
      'jumping clocks': [jump],
    }
    const histories: { ticket: Ticket; history: TicketOperation[] }[] = []
    let operations = 0
    const lane = async () => {
      const connections = Array.from(
        { length: BROWSERS + 2 },
        (_, i) => new Connection(() => both[i % both.length] as never),
      )
      while (operations < OPERATIONS) {
        const [ticket] = await makeTickets(connections.slice(0, 1), secretKey, 1).catch(() => [])
        if (!ticket) {
          // The server is down, or its database is busy.
          connections.reverse()
          await sleep(20)
          continue
        }
        const history = await fight(ticket, connections, secretKey, random)
        operations += history.length
        histories.push({ ticket, history })
      }
      for (const connection of connections) connection[Symbol.dispose]()
    }
    const work = async () => void (await Promise.all(Array.from({ length: LANES }, lane)))
    const broken = await during(work, faults[trouble], random, { from: 200, to: times(1_500, 2_500) })
    const unknown = histories.flatMap(({ history }) => history).filter(({ output }) => output === undefined).length
    return { histories, operations, unknown, broken }
  } finally {
    for (const clock of clocks) clock[Symbol.dispose]()
  }
}

for (const kind of databases) {
  describe(`histories on ${kind.name}`, { skip: kind.skip }, () => {
    const all: Trouble[] = deep ? ['nothing', 'kills', 'pauses', 'jumping clocks'] : ['kills', 'pauses']
    let operations = 0
    let tickets = 0
    let runs = 0
    for (const trouble of all) {
      const reason = trouble === 'jumping clocks' && noFakeClock
      it(`R4 S3 S4 redeem, mint, revoke, ban and delete race through ${trouble}: linearizable`, {
        skip: reason,
      }, async () => {
        for (const seed of seeds(times(1, 5))) {
          const run = await historiesOf(kind, seed, trouble)
          runs++
          operations += run.operations
          tickets += run.histories.length
          const violations = run.histories.flatMap(({ ticket, history }) => {
            const found = violation(ticketModel, history)
            const late = trouble === 'jumping clocks' ? [] : mintedTooLate(history)
            return found || late.length > 0 ? [{ ticket, found, late, history }] : []
          })
          const what = `${trouble}, seed ${seed}: ${run.operations} operations on ${run.histories.length} tickets, ${run.unknown} never answered, ${run.broken} faults, ${violations.length} not linearizable`
          console.log(what)
          assertKept('R4', what, violations.length === 0, () => ({ seed, trouble, violations }))
        }
      })
    }
    it('totals', { skip: !deep && 'only in the deep run' }, () => {
      goal(
        'R4',
        `${operations} operations on ${tickets} tickets in ${runs} runs: 0 not linearizable, 0 minted too late`,
        '100000 operations, 0',
        operations >= 100_000,
      )
    })
  })
}
