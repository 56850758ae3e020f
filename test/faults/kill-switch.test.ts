/** Races redemptions against everything that ends them: once both are answered, no node mints. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { deep } from '../support/deep.ts'
import { type Cluster, cluster } from './cluster.ts'
import { type Answer, Connection, type Request } from './connection.ts'
import { embeddedDatabase, type FaultDatabase, postgresDatabase } from './database.ts'
import { goal, type Random, randomOf, seeds } from './goal.ts'
import { LASTING, ok, requests } from './requests.ts'

/** Raced rounds of each kind. */
const ROUNDS = deep ? 3_000 : 40
/** Rounds in progress at the same time. */
const LANES = 6
/** Maximum time between the two requests, in ms, in either order. */
const LONGEST_OFFSET = 20

/** Requests that end the sessions of a user and an actor. */
const ENDINGS: Record<string, (ask: ReturnType<typeof requests>, of: { user: string; actor: string }) => Request> = {
  'revoke_all of the actor': (ask, { actor }) => ask.revokeAll({ actor_sub: actor }),
  'revoke_all of the user': (ask, { user }) => ask.revokeAll({ user_id: user }),
  'revoke_all of everything': ask => ask.revokeAll({ everything: true }),
  'banning the user': (ask, { user }) => ask.ban(user),
  'deleting the user': (ask, { user }) => ask.deleteUser(user),
  'banning the actor': (ask, { actor }) => ask.ban(actor),
  'deleting the actor': (ask, { actor }) => ask.deleteUser(actor),
}

/** One client with its own connection to each node. */
class Lane implements Disposable {
  readonly #nodes: Cluster
  readonly #connections: Connection[]
  constructor(nodes: Cluster) {
    this.#nodes = nodes
    this.#connections = [0, 1].map(i => new Connection(() => nodes.servers[i % nodes.servers.length] ?? { port: 0 }))
  }

  /** @returns the answers to mints that were requested after both were answered */
  async race(ending: keyof typeof ENDINGS, random: Random): Promise<{ escapes: number; redeemed: number }> {
    const ask = requests(this.#nodes.secretKey)
    const [first, second] = random.next() < 0.5 ? this.#connections : this.#connections.toReversed()
    assert.ok(first && second)
    const user = (await ok(first, ask.createUser())).body.id as string
    const external_id = randomUUID()
    const actor = (await ok(first, { path: '/v1/users', json: { external_id }, key: this.#nodes.secretKey })).body.id
    // Bans and deletions end the sessions of an operator under either of their names.
    const sub = ending.includes('revoke_all') || random.next() < 0.5 ? actor : external_id
    const { token } = (await ok(second, ask.createActorToken(user, { ...LASTING, actor: { sub } }))).body
    const end = ENDINGS[ending]?.(ask, { user, actor }) as Request
    const inBackend = random.next() < 0.3
    const offset = random.between(-LONGEST_OFFSET, LONGEST_OFFSET)
    const redeem = async () => {
      if (offset > 0) await sleep(offset)
      return first.request(inBackend ? ask.accept(token) : ask.redeem(token))
    }
    const finish = async () => {
      if (offset < 0) await sleep(-offset)
      return second.request(end)
    }
    const [redeemed, ended] = await Promise.all([redeem(), finish()])
    assert.equal(ended.status, 200, ended.text)
    if (redeemed.status !== 200) return { escapes: 0, redeemed: 0 }
    const { body, cookie = '' } = redeemed
    const session = (inBackend ? body.session.id : body.response.created_session_id) as string
    const mints = await Promise.all([first.request(ask.mint(session, cookie)), second.request(ask.mintByKey(session))])
    return { escapes: mints.filter((answer: Answer) => answer.status === 200).length, redeemed: 1 }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection[Symbol.dispose]()
  }
}

async function raceAll(database: FaultDatabase, nodeCount: number): Promise<void> {
  await using nodes = await cluster(database, nodeCount)
  for (const ending of Object.keys(ENDINGS)) {
    const [seed = 0] = seeds(1)
    const random = randomOf(seed)
    const sums = { rounds: 0, escapes: 0, redeemed: 0 }
    const lane = async () => {
      using client = new Lane(nodes)
      while (sums.rounds++ < ROUNDS) {
        const { escapes, redeemed } = await client.race(ending, random)
        sums.escapes += escapes
        sums.redeemed += redeemed
      }
    }
    // A cutoff for everything in one lane would also refuse the redemptions of the other lanes.
    const lanes = ending.includes('everything') ? 1 : LANES
    await Promise.all(Array.from({ length: lanes }, lane))
    const what = `${ending}: ${sums.escapes} mints in ${ROUNDS} rounds (${sums.redeemed} redeemed)`
    goal('S5', what, '0 mints', sums.escapes === 0, () => ({ seed, ending, sums }))
  }
}

describe('redeeming in a race with a request that ends it', () => {
  it('mints nothing afterwards on two nodes on PostgreSQL', async () => {
    await using database = await postgresDatabase()
    await raceAll(database, 2)
  })

  it('mints nothing afterwards on SQLite', async () => {
    await using database = embeddedDatabase()
    await raceAll(database, 1)
  })
})
