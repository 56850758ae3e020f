import { randomBytes } from 'node:crypto'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import type { Socket } from 'node:net'
import { cpus, type as osType, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import BetterSqlite3 from 'better-sqlite3'
import { loadConfig } from '../packages/server/src/config.ts'
import { createStagedoor, migrateDatabase } from '../packages/server/src/server.ts'
import { type PostgresCluster, startPostgres } from '../test/support/postgres/cluster.ts'
import { type Child, canPin, startChild } from './child.ts'
import { ACTOR_TOKEN, type Answer, answerIn, bearer, clientCookieOf, get, opened, post } from './http.ts'
import { fillPostgres, fillSqlite, LIVE, ROTATING_TOKEN } from './rows-fill.ts'

/**
 * Measures whether the server is as fast with many rows as with few: servers on databases of several sizes, side by side,
 * measured in turns, so that a slow moment of the machine affects all of them. Then again while old rows are purged.
 */

const { values: options } = parseArgs({
  options: {
    sizes: { type: 'string', default: '10000,1000000,10000000' },
    on: { type: 'string', default: 'sqlite,postgres' },
    /** Do not measure while purging. */
    still: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '9' },
    seconds: { type: 'string', default: '0.7' },
    /** Folder of the databases. Existing ones are reused, and all are kept. */
    folder: { type: 'string' },
    /** Only fill the databases. */
    fill: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const sizes = options.sizes.split(',').map(Number)
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)
const CONNECTIONS = 8
const SAMPLE = 20_000
/** Sessions and users are sampled from this many of the newest. */
const NEWEST = 200_000
/** Maximum slowdown, relative to the smallest database. */
const FLAT = 1.3
const PURGE_INTERVAL = 60_000
const NOBODY = 65_534

const OPERATIONS = ['create', 'redeem', 'mint', 'list', 'revoke'] as const
type Operation = (typeof OPERATIONS)[number]

const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'stagedoor-rows-'))
mkdirSync(folder, { recursive: true })
if (options.folder === undefined) process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

const secrets: Record<string, string> = (() => {
  const file = join(folder, 'secrets.json')
  if (!existsSync(file))
    writeFileSync(
      file,
      JSON.stringify({
        STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
        STAGEDOOR_SECRET_KEY: `sk_live_${randomBytes(24).toString('hex')}`,
      }),
    )
  return JSON.parse(readFileSync(file, 'utf8'))
})()
const authorization = bearer(secrets.STAGEDOOR_SECRET_KEY)

interface Database {
  size: number
  url: string
  /** CPU time of the database's own processes, in µs. */
  cpu(): number
  bytes(): Promise<number>
  // biome-ignore lint/suspicious/noExplicitAny: rows of any query
  rows(sql: string): Promise<any[]>
}

async function sqliteOf(size: number): Promise<Database> {
  const path = join(folder, `rows-${size}.db`)
  if (!existsSync(`${path}.filled`)) {
    rmSync(path, { force: true })
    await migrateDatabase(`sqlite:${path}`)
    fillSqlite(path, size)
    writeFileSync(`${path}.filled`, '')
  }
  return {
    size,
    url: `sqlite:${path}`,
    cpu: () => 0,
    bytes: async () => statSync(path).size,
    async rows(sql) {
      const db = new BetterSqlite3(path, { readonly: true })
      try {
        return db.prepare(sql).all()
      } finally {
        db.close()
      }
    },
  }
}

async function postgresCluster(): Promise<PostgresCluster> {
  const home = join(folder, 'postgres')
  mkdirSync(home, { recursive: true })
  if (process.getuid?.() === 0) chownSync(home, NOBODY, NOBODY)
  return startPostgres({
    directory: join(home, 'data'),
    settings: {
      shared_buffers: '2GB',
      max_wal_size: '8GB',
      checkpoint_timeout: '15min',
      ...(options.fill ? { fsync: 'off' } : {}),
    },
  })
}

async function postgresOf(cluster: PostgresCluster, size: number): Promise<Database> {
  const name = `rows_${size}`
  const url = cluster.url(name)
  if (!existsSync(join(folder, `${name}.filled`))) {
    await cluster.query(`drop database if exists ${name}`)
    await cluster.query(`create database ${name}`)
    await migrateDatabase(url)
    await fillPostgres(cluster, name, size)
    writeFileSync(join(folder, `${name}.filled`), '')
  }
  return {
    size,
    url,
    cpu: () => cpuOf(`postgres: stagedoor ${name} `),
    bytes: async () => Number((await cluster.query(`select pg_database_size('${name}') as bytes`))[0].bytes),
    rows: sql => cluster.query(sql, [], name),
  }
}

/** Returns the CPU time of all processes with this title, in µs. The kernel counts in units of 10 ms. */
function cpuOf(title: string): number {
  let ticks = 0
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(title)) continue
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
      ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // The process has just ended.
    }
  }
  return ticks * 10_000
}

/** A server on one of the databases, and the rows that requests use. */
interface Subject {
  database: Database
  child: Child
  port: number
  users: string[]
  sessions: { id: string; cookie: string }[]
  tickets: string[]
  redeemed: string[]
}

const settings = (database: Database, more: Record<string, string> = {}) => ({
  ...secrets,
  STAGEDOOR_DATABASE_URL: database.url,
  STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
  STAGEDOOR_SIGNING_ALG: 'ES256',
  STAGEDOOR_PORT: '0',
  STAGEDOOR_MAX_WAIT_MS: '60000',
  ...more,
})

async function subjectOn(database: Database, env: Record<string, string>): Promise<Subject> {
  const child = startChild('server.ts', {
    cores: '0',
    env: settings(database, { STAGEDOOR_LOG_LEVEL: 'error', ...env }),
  })
  const port = await child.ask<number>({})
  const own = await createStagedoor(loadConfig(settings(database, { STAGEDOOR_LOG_LEVEL: 'silent' })), {
    serves: false,
  })
  const { signing, settings: told } = own.services
  // Excludes sessions that earlier runs began, because their cookies are not known.
  const live = await sampled(
    database,
    `select id, client_id from sessions where status = 'active' and idle_timeout_seconds = 86400 order by id desc limit ${Math.min(NEWEST, Math.floor(database.size * LIVE))}`,
  )
  const sessions = live.map(({ id, client_id }) => ({
    id,
    cookie: `__client=${signing.clientToken({ id: client_id, iid: told.instance_id, rotating_token: ROTATING_TOKEN })}`,
  }))
  await own.close()
  const users = (await sampled(database, `select id from users order by id desc limit ${NEWEST}`)).map(({ id }) => id)
  return { database, child, port, users, sessions, tickets: [], redeemed: [] }
}

/** Returns a pseudo-random sample. */
async function sampled(database: Database, sql: string) {
  const rows = await database.rows(sql)
  const step = Math.max(1, rows.length / SAMPLE)
  return Array.from({ length: Math.min(SAMPLE, rows.length) }, (_, i) => rows[Math.floor(i * step)])
}

const some = <T>(values: T[]): T => values[Math.floor(Math.random() * values.length)] as T

/** Returns the next request of a kind and how to use its answer; undefined if there is no row left for it. */
function next(subject: Subject, operation: Operation): { text: string; learn?: (answer: Answer) => void } | undefined {
  switch (operation) {
    case 'create':
      return {
        text: post(
          '/v1/actor_tokens',
          'json',
          JSON.stringify({ user_id: some(subject.users), ...ACTOR_TOKEN }),
          authorization,
        ),
        learn: ({ body }) => subject.tickets.push(JSON.parse(body).token),
      }
    case 'redeem': {
      const ticket = subject.tickets.pop()
      if (ticket === undefined) return undefined
      return {
        text: post('/v1/client/sign_ins', 'x-www-form-urlencoded', `strategy=ticket&ticket=${ticket}`),
        learn: ({ head, body }) => {
          if (clientCookieOf(head) === undefined) throw new Error(`not redeemed: ${body}`)
          subject.redeemed.push(JSON.parse(body).response.created_session_id)
        },
      }
    }
    case 'mint': {
      const { id, cookie } = some(subject.sessions)
      return { text: post(`/v1/client/sessions/${id}/tokens`, 'x-www-form-urlencoded', '', `Cookie: ${cookie}\r\n`) }
    }
    case 'list': {
      const user = some(subject.users)
      const path = some([
        `/v1/sessions?user_id=${user}`,
        `/v1/sessions?user_id=${user}&status=active`,
        `/v1/sessions?status=active&limit=10`,
        `/v1/actor_tokens?limit=10`,
        `/v1/audit_events?user_id=${user}&limit=10`,
      ])
      return { text: get(path, authorization) }
    }
    case 'revoke': {
      const id = subject.redeemed.pop()
      return id === undefined ? undefined : { text: post(`/v1/sessions/${id}/revoke`, 'json', '', authorization) }
    }
  }
}

interface Sample {
  /** Answers per second. */
  rate: number
  /** Milliseconds. */
  p99: number
  /** CPU time of the server and its database per answer, in µs. */
  cpu: number
}

/** Sends requests for some seconds on a few connections, one outstanding request on each. */
async function measured(subject: Subject, operation: Operation): Promise<Sample> {
  const cpu = async () => (await subject.child.ask<{ all: number }>({ cpu: true })).all + subject.database.cpu()
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => opened(subject.port)))
  const latencies: number[] = []
  const before = await cpu()
  const start = performance.now()
  const until = start + seconds * 1_000
  await Promise.all(sockets.map(socket => conversed(socket, () => next(subject, operation), until, latencies)))
  const rate = (latencies.length * 1_000) / (performance.now() - start)
  for (const socket of sockets) socket.destroy()
  const used = (await cpu()) - before
  latencies.sort((a, b) => a - b)
  return { rate, cpu: used / latencies.length, p99: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN }
}

async function conversed(socket: Socket, ask: () => ReturnType<typeof next>, until: number, latencies: number[]) {
  socket.setEncoding('latin1')
  let received = ''
  let sent = 0
  let asked: ReturnType<typeof next>
  const send = () => {
    sent = performance.now()
    asked = sent < until ? ask() : undefined
    if (asked) socket.write(asked.text, 'latin1')
    return asked !== undefined
  }
  if (!send()) return
  for await (const chunk of socket) {
    received += chunk
    const found = answerIn(received)
    if (found === undefined) continue
    if (found.answer.status !== 200) throw new Error(received)
    received = ''
    latencies.push(performance.now() - sent)
    asked?.learn?.(found.answer)
    if (!send()) return
  }
  throw new Error('the server closed a connection')
}

interface Figure {
  on: string
  purging: boolean
  operation: Operation
  size: number
  rate: number
  p99: number
  /** CPU time per answer, in µs, and relative to the smallest. More reliable than time on a busy machine. */
  cpu: number
  cpuRatio: number
  cpuQuartiles: [number, number]
  /** Time relative to the smallest database in the same round: median, and quartiles. */
  ratio: number
  quartiles: [number, number]
}

const quantile = (values: number[], q: number) =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * q)] as number

async function compared(on: string, subjects: Subject[], purging: boolean): Promise<Figure[]> {
  // Warm up until V8 has compiled the whole path for all, and the requested pages are in memory.
  for (let i = 0; i < 3; i++)
    for (const operation of OPERATIONS) for (const subject of subjects) await measured(subject, operation)
  const samples = new Map<string, Sample[]>()
  const of = (operation: Operation, size: number) => {
    const key = `${operation} ${size}`
    const found = samples.get(key) ?? []
    samples.set(key, found)
    return found
  }
  for (let round = 0; round < rounds; round++) {
    for (const operation of OPERATIONS) {
      const turns = round % 2 === 0 ? subjects : [...subjects].reverse()
      for (const subject of turns) of(operation, subject.database.size).push(await measured(subject, operation))
    }
  }
  const [smallest = 0] = sizes
  return OPERATIONS.flatMap(operation =>
    sizes.map(size => {
      const [own, base] = [of(operation, size), of(operation, smallest)]
      const ratios = own.map(({ rate }, round) => (base[round]?.rate ?? Number.NaN) / rate)
      const costs = own.map(({ cpu }, round) => cpu / (base[round]?.cpu ?? Number.NaN))
      return {
        on,
        purging,
        operation,
        size,
        rate: Math.round(
          quantile(
            own.map(it => it.rate),
            0.5,
          ),
        ),
        p99: Number(
          quantile(
            own.map(it => it.p99),
            0.5,
          ).toFixed(1),
        ),
        cpu: Math.round(
          quantile(
            own.map(it => it.cpu),
            0.5,
          ),
        ),
        cpuRatio: Number(quantile(costs, 0.5).toFixed(2)),
        cpuQuartiles: [quantile(costs, 0.25), quantile(costs, 0.75)].map(it => Number(it.toFixed(2))) as [
          number,
          number,
        ],
        ratio: Number(quantile(ratios, 0.5).toFixed(2)),
        quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)].map(it => Number(it.toFixed(2))) as [
          number,
          number,
        ],
      }
    }),
  )
}

const figures: Figure[] = []
const memory: { on: string; size: number; rss: number }[] = []
const bytes: { on: string; size: number; bytes: number }[] = []
let cluster: PostgresCluster | undefined
try {
  for (const on of options.on.split(',')) {
    if (on === 'postgres') cluster = await postgresCluster()
    const databases: Database[] = []
    for (const size of sizes) {
      const start = performance.now()
      databases.push(cluster ? await postgresOf(cluster, size) : await sqliteOf(size))
      const took = (performance.now() - start) / 1_000
      if (took > 1) console.error(`${on}, ${size}: filled in ${took.toFixed(0)} s`)
    }
    for (const database of databases) bytes.push({ on, size: database.size, bytes: await database.bytes() })
    if (options.fill) continue
    for (const purging of options.still ? [false] : [false, true]) {
      const subjects: Subject[] = []
      for (const database of databases)
        subjects.push(await subjectOn(database, { STAGEDOOR_RETENTION_DAYS: purging ? '90' : 'none' }))
      // Wait until the first purge has begun.
      if (purging) await sleep(PURGE_INTERVAL + 1_000)
      figures.push(...(await compared(on, subjects, purging)))
      for (const { database, child } of subjects) {
        if (!purging) memory.push({ on, size: database.size, rss: await child.ask<number>({ memory: true }) })
        await child.end()
      }
    }
  }
} finally {
  await cluster?.stop('fast')
}

if (!options.fill) {
  console.log(
    `${cpus()[0]?.model}, ${cpus().length} cores, ${osType()} ${release()}, Node ${process.versions.node}; ${rounds} rounds of ${seconds} s, ${CONNECTIONS} connections${canPin ? '; servers on core 0' : ''}\n`,
  )
  for (const { on, purging, operation, size, rate, p99, ratio, quartiles, cpu, cpuRatio, cpuQuartiles } of figures)
    console.log(
      `${on.padEnd(9)} ${purging ? 'purging' : '       '} ${operation.padEnd(7)} ${String(size).padStart(9)} rows ${String(rate).padStart(6)}/s  p99 ${String(p99).padStart(6)} ms  × ${ratio.toFixed(2)} (${quartiles.join(' … ')})  CPU ${String(cpu).padStart(5)} µs × ${cpuRatio.toFixed(2)} (${cpuQuartiles.join(' … ')})`,
    )
  for (const { on, size, rss } of memory)
    console.log(`${on.padEnd(9)} ${String(size).padStart(9)} rows: ${Math.round(rss / 1e6)} MB of memory`)
  if (options.json)
    writeFileSync(
      options.json,
      `${JSON.stringify({ date: new Date().toISOString(), cpu: cpus()[0]?.model, cores: cpus().length, node: process.versions.node, rounds, seconds, figures, memory, bytes }, null, 2)}\n`,
    )
  for (const { on, purging, operation, size, ratio } of figures) {
    if (size === sizes[0]) continue
    const kept = ratio <= FLAT
    const what = `F1 ${operation} on ${on}${purging ? ' while purging' : ''}, ${size} rows`
    console.log(`goal ${what}: ${ratio} times as long (≤ ${FLAT}) ${kept ? 'PASS' : 'FAIL'}`)
    if (!kept) process.exitCode = 1
  }
}
