import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import {
  consistencyProof,
  fromHex,
  leafHash,
  rootOf,
  rootOfHashes,
  toHex,
  verifyConsistency,
} from '../../packages/server/src/domain/audit/merkle.ts'
import { parseCheckpoint } from '../../packages/server/src/domain/audit/signed-note.ts'
import { times } from '../support/deep.ts'
import { type Cluster, cluster, NotStarted, type Server } from './cluster.ts'
import { Connection } from './connection.ts'
import { embeddedDatabase, type FaultDatabase, postgresDatabase } from './database.ts'
import { goal, type Random, randomOf, seeds } from './goal.ts'
import { requests } from './requests.ts'

/** Each event gets exactly one position, and there is one history, while servers are killed. */

const KILLS = times(4, 500)

interface Row {
  seq: number
  id: string
  event: string
  at: number
}
interface Run {
  first_index: number
  first_seq: number
  count: number
}

/** Sends requests that write events, to one server at a time, until stopped. */
async function writer({ servers, secretKey }: Cluster, turn: number, signal: AbortSignal): Promise<number> {
  const make = requests(secretKey)
  let acknowledged = 0
  for (let i = turn; !signal.aborted; i++) {
    const server = servers[i % servers.length] as Server
    if (!server.isRunning || server.port === 0) {
      await sleep(20)
      continue
    }
    try {
      using connection = new Connection(() => ({ port: server.port }), 2_000)
      for (let n = 0; n < 20 && !signal.aborted; n++) {
        if ((await connection.request(make.createUser())).status === 200) acknowledged++
        await sleep(5)
      }
    } catch {
      // The server was killed.
      await sleep(20)
    }
  }
  return acknowledged
}

/** Reads checkpoints from outside, as someone does who does not trust the server. */
async function collector(
  { servers, secretKey }: Cluster,
  seen: Map<number, string>,
  signal: AbortSignal,
): Promise<void> {
  for (let i = 0; !signal.aborted; i++) {
    const server = servers[i % servers.length] as Server
    await sleep(50)
    if (!server.isRunning || server.port === 0) continue
    try {
      const response = await fetch(`${server.url}/v1/audit/checkpoint`, {
        headers: { authorization: `Bearer ${secretKey}` },
        signal: AbortSignal.timeout(1_000),
      })
      if (response.status !== 200) continue
      const { size, root } = parseCheckpoint(await response.text())
      assert.ok(seen.get(size) === undefined || seen.get(size) === root, `two roots of ${size} entries`)
      seen.set(size, root)
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
    }
  }
}

/** Kills servers one after another, and starts them again. */
async function killer({ servers }: Cluster, random: Random, kills: number): Promise<void> {
  for (let kill = 0; kill < kills; kill++) {
    await sleep(random.between(100, 1_500))
    const server = random.of(servers)
    await server.kill()
    await sleep(random.between(0, 300))
    for (;;) {
      try {
        await server.start()
        break
      } catch (error) {
        if (!(error instanceof NotStarted) || error.output.includes('tampered')) throw error
      }
    }
  }
}

/** Waits until the log has every event, and checks all of it. @returns the number of entries */
async function assertOneHistory(database: FaultDatabase, seen: ReadonlyMap<number, string>): Promise<number> {
  for (let i = 0; ; i++) {
    const [state] = await database.rows<{ left: number }>(
      "select (select count(*) from audit_events) - (select size from audit_tree) as left from audit_tree where holes = '[]'",
    )
    if (state && Number(state.left) === 0) break
    assert.ok(i < 400, `events are left: ${JSON.stringify(state)}`)
    await sleep(50)
  }
  const rows = await database.rows<Row>('select seq, id, event, at from audit_events order by seq')
  const runs = await database.rows<Run>('select * from audit_runs order by first_index')
  const [tree] = await database.rows<{ size: number; root: string }>('select size, root from audit_tree')
  const bySeq = new Map(rows.map(row => [Number(row.seq), row]))
  const leaves: string[] = []
  const ids = new Set<string>()
  for (const { first_index, first_seq, count } of runs) {
    assert.equal(Number(first_index), leaves.length, 'positions have no gaps')
    for (let i = 0; i < Number(count); i++) {
      const row = bySeq.get(Number(first_seq) + i)
      assert.ok(row, `row ${Number(first_seq) + i} is in the log, not in the table`)
      assert.ok(!ids.has(row.id), `${row.id} has two positions`)
      ids.add(row.id)
      leaves.push(leafHash(row.event))
    }
  }
  assert.equal(leaves.length, rows.length)
  assert.equal(toHex(rootOfHashes(leaves.join(''))), tree?.root)
  const memory = {
    hash: (level: number, index: number) =>
      rootOfHashes(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level).join('')),
  }
  const stored = await database.rows<{ size: number; root: string }>('select size, root from audit_checkpoints')
  const all = new Map([...seen, ...stored.map(({ size, root }): [number, string] => [Number(size), root])])
  let [size, root] = [0, toHex(await rootOf(0, memory))]
  for (const [next, nextRoot] of [...all].toSorted(([a], [b]) => a - b)) {
    assert.equal(toHex(await rootOf(next, memory)), nextRoot, `the tree of ${next} entries`)
    const proof = await consistencyProof(size, next, memory)
    assert.ok(verifyConsistency(size, next, fromHex(root), fromHex(nextRoot), proof), `${size} → ${next}`)
    ;[size, root] = [next, nextRoot]
  }
  return leaves.length
}

/** Transactions that take a number and commit late, or never. */
async function lateCommits(url: string, random: Random, signal: AbortSignal): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  let late = 0
  try {
    while (!signal.aborted) {
      await client.query('begin')
      // A copy of an event with another id: what matters is its number.
      const { rows } = await client.query(
        `insert into audit_events (id, at, action, outcome, principal_type, trace_id, event, personal, leaf_hash)
         select 'evt_late', at, action, outcome, principal_type, trace_id,
           replace(event, id, 'evt_' || gen_random_uuid()), personal, leaf_hash
         from audit_events order by seq limit 1 returning seq, event`,
      )
      const event = rows[0]?.event as string
      await client.query('rollback')
      const leaf = toHex(leafHash(event))
      const id = JSON.parse(event).id
      await client.query('begin')
      await client.query(
        `insert into audit_events (id, at, action, outcome, principal_type, trace_id, event, personal, leaf_hash)
         select $1, at, action, outcome, principal_type, trace_id, $2, personal, $3
         from audit_events order by seq limit 1`,
        [id, event, leaf],
      )
      await sleep(random.between(0, 1_200))
      const commits = random.next() < 0.7
      await client.query(commits ? 'commit' : 'rollback')
      if (commits) late++
      await sleep(random.between(0, 100))
    }
  } finally {
    await client.end()
  }
  return late
}

/** Returns the time from an event to the checkpoint that covers it, in ms: the 99th percentile. */
async function lagOf(database: FaultDatabase): Promise<number> {
  const checkpoints = (
    await database.rows<{ size: number; at: number }>('select size, at from audit_checkpoints order by size')
  ).map(({ size, at }) => ({ size: Number(size), at: Number(at) }))
  const events = await database.rows<{ at: number; leaf_index: number }>(
    `select e.at, r.first_index + e.seq - r.first_seq as leaf_index from audit_runs r
     join audit_events e on e.seq >= r.first_seq and e.seq < r.first_seq + r.count where e.action = 'user.create' and e.id <> 'evt_late'`,
  )
  const lags = events
    .map(({ at, leaf_index }) => (checkpoints.find(({ size }) => size > Number(leaf_index))?.at ?? 0) - Number(at))
    .toSorted((a, b) => a - b)
  return lags[Math.floor(lags.length * 0.99)] ?? 0
}

async function inParallel(
  servers: Cluster,
  kills: number,
  random: Random,
  more: ((signal: AbortSignal) => Promise<unknown>)[],
) {
  const stop = new AbortController()
  const seen = new Map<number, string>()
  const others = [
    ...more.map(work => work(stop.signal)),
    collector(servers, seen, stop.signal),
    ...Array.from({ length: 4 }, (_, turn) => writer(servers, turn, stop.signal)),
  ]
  try {
    await killer(servers, random, kills)
    await sleep(1_500)
  } finally {
    stop.abort()
    await Promise.allSettled(others)
  }
  await Promise.all(others)
  return seen
}

describe('the sequencer under kill -9', () => {
  for (const seed of seeds(1)) {
    it(`gives each event one position on PostgreSQL, with late commits and rollbacks (seed ${seed})`, async () => {
      await using database = await postgresDatabase()
      await using servers = await cluster(database, 3)
      const random = randomOf(seed)
      const late = (signal: AbortSignal) => lateCommits(database.url, randomOf(seed + 1), signal)
      const seen = await inParallel(servers, KILLS, random, [late, late])
      const entries = await assertOneHistory(database, seen)
      const lag = await lagOf(database)
      goal(
        'A2',
        `${entries} events on 3 nodes, ${KILLS} kills, ${seen.size} roots seen: each event once, one history`,
        'all',
        true,
      )
      console.log(
        `PostgreSQL: ${entries} entries, ${seen.size} roots seen from outside, event to checkpoint p99 ${lag} ms`,
      )
    })

    it(`gives each event one position on SQLite, with the command line on the same file (seed ${seed})`, async () => {
      await using database = embeddedDatabase()
      await using servers = await cluster(database, 1)
      const [server] = servers.servers as [Server]
      const commands = async (signal: AbortSignal) => {
        for (let i = 0; !signal.aborted; i++) await server.command('keys', 'create', '--name', `key ${i}`)
      }
      const seen = await inParallel(servers, KILLS, randomOf(seed), [commands])
      const entries = await assertOneHistory(database, seen)
      const lag = await lagOf(database)
      goal(
        'A2',
        `${entries} events in one file, ${KILLS} kills, ${seen.size} roots seen: each event once, one history`,
        'all',
        true,
      )
      console.log(`SQLite: ${entries} entries, ${seen.size} roots seen from outside, event to checkpoint p99 ${lag} ms`)
    })
  }
})
