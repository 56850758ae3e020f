import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { deep, times } from '../support/deep.ts'
import { until } from '../support/time.ts'
import { cluster } from './cluster.ts'
import { Connection, type Request } from './connection.ts'
import { databases } from './database.ts'
import { assertKept, goal, type Random, randomOf, seeds } from './goal.ts'
import { ok, requests } from './requests.ts'

const RACES = times(60, 10_000)
const POLICY_RACES = times(3, 200)
const AT_ONCE = 4
const LIVE = times(60, 1_000)
const ENDED_WITHIN = 1_000

/** Within the limit of the base rules. */
const SHORT = { expires_in_seconds: 3_600, session_max_duration_in_seconds: 3_600 }

const SUPPORT = '@id("support") permit (principal in Team::"support", action in Action::"act", resource);'
const OTHERS = '@id("support") permit (principal in Team::"other", action in Action::"act", resource);'

function policyRequests(key: string) {
  return {
    put: (text: string): Request => ({
      method: 'PUT',
      path: '/v1/policy',
      json: { text, off: ['base.reason'], expect_refused: 100_000 },
      key,
    }),
    register: (sub: string, teams: string[]): Request => ({
      method: 'PUT',
      path: `/v1/actors/${sub}`,
      json: { kind: 'operator', teams },
      key,
    }),
    team: (name: string, parents: string[]): Request => ({
      method: 'PUT',
      path: `/v1/teams/${name}`,
      json: { parents },
      key,
    }),
    protect: (user: string): Request => ({
      method: 'PATCH',
      path: `/v1/users/${user}/metadata`,
      json: { private_metadata: { stagedoor: { protected: true } } },
      key,
    }),
    session: (id: string): Request => ({ method: 'GET', path: `/v1/sessions/${id}`, key }),
  }
}

/** Changes that refuse every session, and are taken back. */
const CHANGES: {
  id: string
  what: string
  changes: (policy: ReturnType<typeof policyRequests>) => { before: Request; allow: Request; refuse: Request }
}[] = [
  {
    id: 'P2',
    what: 'the policy',
    changes: ({ put }) => ({ before: put(OTHERS), allow: put(SUPPORT), refuse: put(OTHERS) }),
  },
  {
    id: 'P4',
    what: 'the teams that a team is part of',
    changes: ({ put, team }) => ({
      before: put('@id("all") permit (principal in Team::"everyone", action in Action::"act", resource);'),
      allow: team('tier-2', ['technicians', 'everyone']),
      refuse: team('tier-2', ['technicians']),
    }),
  },
]

for (const kind of databases) {
  /** Two nodes where the database allows it. A change goes to one, mints go to the other. */
  const nodes = kind.name === 'PostgreSQL' ? 2 : 1
  const where = nodes === 2 ? 'two nodes' : 'one node'

  describe(`a policy on ${kind.name}, ${where}`, { skip: kind.skip }, () => {
    it('P1 mints nothing for what an acknowledged change of an actor or a user refuses', async () => {
      const [seed = 0] = seeds(1)
      const random = randomOf(seed)
      await using database = await kind.open()
      await using servers = await cluster(database, nodes)
      const key = servers.secretKey
      const [ask, policy] = [requests(key), policyRequests(key)]
      const open = (node: number) => new Connection(() => servers.servers[node % nodes] as never)
      using first = open(0)
      await ok(first, policy.put(SUPPORT))
      const counts = { redeemedFirst: 0, mintsAfter: 0, minted: 0 }
      const wrong: string[] = []
      let left = RACES
      await Promise.all(
        Array.from({ length: AT_ONCE }, async () => {
          using changing = open(0)
          using minting = open(1)
          using redeeming = open(1)
          while (left-- > 0)
            await race({ changing, minting, redeeming, random, ask, policy, name: `a${left}`, counts, wrong })
        }),
      )
      const value = `${wrong.length} of ${counts.mintsAfter} mints after the change gave a token, in ${RACES} races; ${counts.redeemedFirst} redemptions and ${counts.minted} mints came before it`
      assert.ok(counts.redeemedFirst > 0 && counts.mintsAfter > 0, value)
      goal('P1', value, '0', wrong.length === 0, () => ({ seed, wrong }))
    })

    for (const { id, what, changes } of CHANGES)
      it(`${id} mints nothing for what an acknowledged change of ${what} refuses`, async () => {
        await using database = await kind.open()
        await using servers = await cluster(database, nodes)
        const key = servers.secretKey
        const [ask, policy] = [requests(key), policyRequests(key)]
        using changing = new Connection(() => servers.servers[0] as never)
        const minting = Array.from({ length: 3 }, () => new Connection(() => servers.servers.at(-1) as never))
        await ok(changing, policy.register('olivia@support', ['support', 'tier-2']))
        const { before: setUp, allow, refuse } = changes(policy)
        await ok(changing, setUp)
        const { id: user } = (await ok(changing, ask.createUser())).body
        let [before, after] = [0, 0]
        for (let round = 0; round < POLICY_RACES; round++) {
          await ok(changing, allow)
          const live = await Promise.all(
            minting.map(async connection => {
              const token = (
                await ok(connection, ask.createActorToken(user, { ...SHORT, actor: { sub: 'olivia@support' } }))
              ).body
              const redeemed = await ok(connection, ask.redeem(token.token))
              return { connection, session: redeemed.body.response.created_session_id, cookie: redeemed.cookie ?? '' }
            }),
          )
          let changed = false
          const load = live.map(async ({ connection, session, cookie }) => {
            for (;;) {
              const late = changed
              const { status } = await connection.request(ask.mint(session, cookie))
              if (late) {
                after += 1
                assertKept(id, `a mint after the change answered ${status}`, status === 401, () => ({ round }))
                return
              }
              if (status === 200) before += 1
            }
          })
          await sleep(20)
          await ok(changing, refuse)
          changed = true
          await Promise.all(load)
        }
        for (const connection of minting) connection[Symbol.dispose]()
        assert.ok(before > 0 && after === 3 * POLICY_RACES)
        goal(id, `0 of ${after} mints after a change gave a token; ${before} came before it`, '0', true)
      })

    it('P3 ends every live session that a change refuses, soon', async () => {
      await using database = await kind.open()
      await using servers = await cluster(database, nodes)
      const key = servers.secretKey
      const [ask, policy] = [requests(key), policyRequests(key)]
      using changing = new Connection(() => servers.servers[0] as never)
      await ok(changing, policy.put(SUPPORT))
      await ok(changing, policy.register('olivia@support', ['support']))
      const ids: string[] = []
      const connections = Array.from({ length: 8 }, (_, n) => new Connection(() => servers.servers[n % nodes] as never))
      await Promise.all(
        connections.map(async connection => {
          while (ids.length < LIVE) {
            const user = (await ok(connection, ask.createUser())).body.id
            const token = (
              await ok(connection, ask.createActorToken(user, { ...SHORT, actor: { sub: 'olivia@support' } }))
            ).body
            ids.push((await ok(connection, ask.redeem(token.token))).body.response.created_session_id)
          }
        }),
      )
      const told = new Map<string, number>()
      const feed = await followed(`${servers.servers.at(-1)?.url}/v1/revocations`, key, told)
      await ok(changing, policy.put(OTHERS))
      const from = performance.now()
      await until(
        () => ids.every(id => told.has(id)),
        () => `${ids.filter(id => !told.has(id)).length} are left`,
        30_000,
      )
      feed.abort()
      const took = ids.map(id => (told.get(id) ?? 0) - from).sort((a, b) => a - b)
      const [p50 = 0, p99 = 0] = [took[took.length >> 1], took[Math.floor(took.length * 0.99)]].map(ms =>
        Math.round(ms ?? 0),
      )
      const value = `${ids.length} sessions ended and were told on the other node: p50 ${p50} ms, p99 ${p99} ms after the answer`
      if (deep) goal('P3', value, `p99 at most ${ENDED_WITHIN} ms`, p99 <= ENDED_WITHIN, () => ({ took }))
      const [id = ''] = ids
      assert.equal((await ok(changing, policy.session(id))).body.status, 'revoked')
      for (const connection of connections) connection[Symbol.dispose]()
    })
  })
}

interface Race {
  changing: Connection
  minting: Connection
  redeeming: Connection
  random: Random
  ask: ReturnType<typeof requests>
  policy: ReturnType<typeof policyRequests>
  name: string
  counts: { redeemedFirst: number; mintsAfter: number; minted: number }
  wrong: string[]
}

/** One session that lives, one ticket that is being redeemed, and a change that refuses both. */
async function race({ changing, minting, redeeming, random, ask, policy, name, counts, wrong }: Race): Promise<void> {
  await ok(changing, policy.register(name, ['support']))
  const user = (await ok(changing, ask.createUser())).body.id
  const token = async () => (await ok(changing, ask.createActorToken(user, { ...SHORT, actor: { sub: name } }))).body
  const redeemed = await ok(redeeming, ask.redeem((await token()).token))
  const live = { id: redeemed.body.response.created_session_id, cookie: redeemed.cookie ?? '' }
  const ticket = (await token()).token
  const change = random.next() < 0.5 ? policy.protect(user) : policy.register(name, [])
  const [, second] = await Promise.all([
    sleep(random.between(0, 4)).then(() => ok(changing, change)),
    sleep(random.between(0, 4)).then(() => redeeming.request(ask.redeem(ticket))),
    (async () => {
      for (let n = 0; n < 3; n++)
        if ((await minting.request(ask.mint(live.id, live.cookie))).status === 200) counts.minted += 1
    })(),
  ])
  const sessions = [live]
  if (second.status === 200) {
    counts.redeemedFirst += 1
    sessions.push({ id: second.body.response.created_session_id, cookie: second.cookie ?? '' })
  }
  for (const { id, cookie } of sessions) {
    for (const mint of [ask.mint(id, cookie), ask.mintByKey(id)]) {
      counts.mintsAfter += 1
      const { status } = await minting.request(mint)
      if (status !== 401) wrong.push(`${name}: ${mint.path} answered ${status}`)
    }
  }
  const again = await redeeming.request(ask.createActorToken(user, { ...SHORT, actor: { sub: name } }))
  if (again.status !== 403) wrong.push(`${name}: a new token answered ${again.status}`)
}

/** Notes when each session is on the feed. Resolves once the feed is current. */
async function followed(url: string, key: string, told: Map<string, number>): Promise<AbortController> {
  const abort = new AbortController()
  const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` }, signal: abort.signal })
  const current = Promise.withResolvers<void>()
  const read = async () => {
    let text = ''
    for await (const chunk of answer.body ?? []) {
      const at = performance.now()
      text += Buffer.from(chunk).toString()
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        if (block.startsWith('event: current')) current.resolve()
        const sid = /"sid":"(\w+)"/.exec(block)?.[1]
        if (sid && !told.has(sid)) told.set(sid, at)
      }
    }
  }
  read().catch(error => current.reject(error))
  await current.promise
  return abort
}
