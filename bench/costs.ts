import { randomBytes } from 'node:crypto'
import { statSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openStore } from '../packages/server/src/store/store.ts'
import { type PostgresCluster, startPostgres } from '../test/support/postgres/cluster.ts'
import { closedLoop, startChild, workFolder } from './child.ts'
import { cpuOf, pidOf } from './cpu.ts'
import type { Kind, Measured } from './load.ts'

/**
 * Measures the cost of one operation: CPU time of the server and of PostgreSQL, bytes in the database and in its log. It
 * measures CPU time and not speed, because other work on the machine hardly affects it. scaling.ts uses the result.
 */

const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '6' }, json: { type: 'string' } },
})
const seconds = Number(options.seconds)
const folder = workFolder()

/** Cost of one operation. */
export interface Cost {
  /** CPU time of the event loop's thread, in µs. */
  loop: number
  /** CPU time of the server's other threads, in µs: RSA signatures and V8's own work. */
  threads: number
  /** CPU time of all PostgreSQL processes, in µs. */
  database: number
  /** Bytes in PostgreSQL's write-ahead log. */
  log: number
}

export interface Costs {
  date: string
  cpu: string
  node: string
  costs: Record<'sqlite' | 'postgres', Record<string, Cost>>
  /** Bytes in tables and indexes for one created and redeemed ticket, with client, session and audit events. */
  bytes: Record<'sqlite' | 'postgres', number>
}

const databaseCpu = (cluster: PostgresCluster) => cpuOf([pidOf(cluster)]) ?? Number.NaN

/** @returns costs by operation, and bytes per redeemed ticket */
async function costsOn(alg: string, database: string, cluster?: PostgresCluster) {
  const secretKey = `sk_live_${randomBytes(24).toString('hex')}`
  const server = startChild('server.ts', {
    cores: '0',
    env: closedLoop(database, alg, secretKey),
  })
  const load = startChild('load.ts', { cores: cpus().length > 1 ? '1' : '0' })
  const port = await server.ask<number>({})
  const name = database.replace(/^.*\//, '')
  const logged = async () =>
    cluster ? Number((await cluster.query(`select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as bytes`))[0].bytes) : 0
  const stored = async () => {
    if (!cluster) return statSync(database.replace('sqlite:', '')).size
    return Number((await cluster.query(`select pg_database_size('${name}') as bytes`))[0].bytes)
  }
  const run = (kind: Kind, length = seconds) =>
    load.ask<Measured>({ port, kind, seconds: length, connections: 32, secretKey, alg })
  const measured = async (kind: Kind): Promise<[Cost, number]> => {
    const of = async () => ({
      ...(await server.ask<{ all: number; loop: number }>({ cpu: true })),
      database: cluster ? databaseCpu(cluster) : 0,
      log: await logged(),
    })
    const before = await of()
    const { answers, wrong, example } = await run(kind)
    if (wrong > 0 || answers === 0) throw new Error(`${kind}: ${wrong} wrong answers\n${example ?? ''}`)
    const after = await of()
    const each = (field: keyof typeof before) => (after[field] - before[field]) / answers
    const loop = each('loop')
    return [{ loop, threads: each('all') - loop, database: each('database'), log: each('log') }, answers]
  }
  try {
    // Warm up: V8 needs some seconds to compile the whole path.
    await run('create', 4)
    await run('redeem', 3)
    await run('mint', 6)
    await cluster?.query('checkpoint')
    const before = await stored()
    const [create, made] = await measured('create')
    const [redeem, redeemed] = await measured('redeem')
    const [mint] = await measured('mint')
    await cluster?.query('checkpoint')
    const bytes = ((await stored()) - before) / Math.min(made, redeemed)
    const costs = { create, redeem, [`mint ${alg}`]: mint, 'last use': await lastUse(database, cluster, logged) }
    return { costs, bytes: bytes as number }
  } finally {
    await load.end()
    await server.end()
  }
}

/** Measures recording the last use of sessions, in batches as servers do it. */
async function lastUse(database: string, cluster: PostgresCluster | undefined, logged: () => Promise<number>) {
  const store = await openStore(database)
  try {
    const { rows } = await store.sessions.list({ status: 'active', counted: false } as never, {
      limit: 5_000,
      offset: 0,
    })
    const batches = Array.from({ length: Math.ceil(rows.length / 500) }, (_, i) => rows.slice(500 * i, 500 * (i + 1)))
    const of = async () => ({
      loop: process.threadCpuUsage().user + process.threadCpuUsage().system,
      database: cluster ? databaseCpu(cluster) : 0,
      log: await logged(),
    })
    const before = await of()
    let written = 0
    for (let turn = 1; turn <= 10; turn++) {
      for (const batch of batches) {
        await store.sessions.recordActivity(batch.map(({ id, last_active_at }) => ({ id, at: last_active_at + turn })))
        written += batch.length
      }
    }
    const after = await of()
    const each = (field: keyof typeof before) => (after[field] - before[field]) / written
    return { loop: each('loop'), threads: 0, database: each('database'), log: each('log') }
  } finally {
    await store.close()
  }
}

await using cluster = await startPostgres()
const result: Costs = {
  date: new Date().toISOString(),
  cpu: `${cpus()[0]?.model.trim()}, ${cpus().length} cores`,
  node: process.version,
  costs: { sqlite: {}, postgres: {} },
  bytes: { sqlite: 0, postgres: 0 },
}
for (const alg of ['ES256', 'RS256']) {
  const inFile = await costsOn(alg, `sqlite:${join(folder, `${alg}.db`)}`)
  const onServer = await costsOn(alg, await cluster.createDatabase(), cluster)
  Object.assign(result.costs.sqlite, inFile.costs)
  Object.assign(result.costs.postgres, onServer.costs)
  result.bytes = { sqlite: inFile.bytes, postgres: onServer.bytes }
}
const row = (cells: (string | number)[]) =>
  console.log(cells.map((cell, i) => (i < 2 ? String(cell).padEnd(14) : String(cell).padStart(14))).join(''))
row(['', 'µs, bytes', 'event loop', 'threads', 'PostgreSQL', 'its log'])
for (const [where, costs] of Object.entries(result.costs)) {
  for (const [name, cost] of Object.entries(costs)) {
    row([where, name, ...[cost.loop, cost.threads, cost.database, cost.log].map(value => Math.round(value))])
  }
}
console.log(`bytes stored for a redeemed ticket: ${JSON.stringify(result.bytes)}`)
if (options.json) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`)
process.exit(0)
