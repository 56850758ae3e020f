import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'
import { loadConfig } from '../packages/server/src/config.ts'
import { createStagedoor, migrateDatabase } from '../packages/server/src/server.ts'
import { startPostgres } from '../test/support/postgres/cluster.ts'
import { type Child, startChild } from './child.ts'
import { cpuOf, pidOf } from './cpu.ts'
import { ACTOR_TOKEN, type Answer, answerIn, bearer, clientCookieOf, get, opened, post } from './http.ts'
import { AGENTS, fillPostgres, fillSqlite, LIVE, ROTATING_TOKEN } from './rows-fill.ts'

/** A server on a filled database, and one measurement of it. */

export const OPERATIONS = ['create', 'redeem', 'mint', 'list', 'kill', 'purge'] as const
export type Operation = (typeof OPERATIONS)[number]

export const CONNECTIONS = 8
const SAMPLE = 20_000
/** Sessions that mints use in turn, in databases of all sizes: those that 10 thousand sessions have. */
const SESSIONS = 500
/** Sessions and users are sampled from this many of the newest. */
const NEWEST = 200_000
/** Kills per measurement. Each revokes one pending token of an actor with very many past sessions. */
const KILLS = 20
/** Transactions per measurement of the purge. Each deletes 25 sessions and 25 tokens that were never used. */
const PURGES = 16
/** Maximum size of a database that is filled again for each run, because the purge would use it up. */
const SMALL = 100_000
const NOBODY = 65_534

export interface Database extends AsyncDisposable {
  size: number
  url: string
  /** The processes of the database. */
  pids: number[]
  bytes(): Promise<number>
  // biome-ignore lint/suspicious/noExplicitAny: rows of any query
  rows(sql: string): Promise<any[]>
}

/**
 * Prepares the folder of the databases. The secrets stay the same for databases that are kept.
 * @param given the folder; without it a temporary one, which is deleted at the end
 */
export function databasesIn(given: string | undefined): { folder: string; secrets: Record<string, string> } {
  const folder = given ?? mkdtempSync(join(tmpdir(), 'stagedoor-rows-'))
  mkdirSync(folder, { recursive: true })
  // PostgreSQL runs as another account if this is root.
  if (process.getuid?.() === 0) chmodSync(folder, 0o711)
  if (given === undefined) process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
  const file = join(folder, 'secrets.json')
  const made = {
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
    STAGEDOOR_SECRET_KEY: `sk_live_${randomBytes(24).toString('hex')}`,
  }
  if (!existsSync(file)) writeFileSync(file, JSON.stringify(made), { mode: 0o600 })
  return { folder, secrets: JSON.parse(readFileSync(file, 'utf8')) }
}

/** Fills a database unless an earlier run did. */
async function filledOnce(mark: string, size: number, fill: () => Promise<void>): Promise<void> {
  if (size > SMALL && existsSync(mark)) return
  await fill()
  writeFileSync(mark, '')
}

export async function sqliteOf(folder: string, size: number): Promise<Database> {
  const path = join(folder, `rows-${size}.db`)
  await filledOnce(`${path}.filled`, size, async () => {
    for (const suffix of ['', '-wal', '-shm', '-acknowledged']) rmSync(path + suffix, { force: true })
    await migrateDatabase(`sqlite:${path}`)
    fillSqlite(path, size)
  })
  return {
    size,
    url: `sqlite:${path}`,
    pids: [],
    bytes: async () => statSync(path).size,
    async rows(sql) {
      const db = new BetterSqlite3(path, { readonly: true })
      try {
        return db.prepare(sql).all()
      } finally {
        db.close()
      }
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** Each size has a PostgreSQL of its own, so that the background work of one is not counted for another. */
export async function postgresOf(folder: string, size: number): Promise<Database> {
  const home = join(folder, `postgres-${size}`)
  mkdirSync(home, { recursive: true })
  if (process.getuid?.() === 0) chownSync(home, NOBODY, NOBODY)
  const cluster = await startPostgres({
    directory: join(home, 'data'),
    settings: { shared_buffers: '2GB', max_wal_size: '8GB', checkpoint_timeout: '15min' },
  })
  await filledOnce(join(home, 'filled'), size, async () => {
    await cluster.query('drop database if exists rows')
    await cluster.query('create database rows')
    await migrateDatabase(cluster.url('rows'))
    await fillPostgres(cluster, 'rows', size)
  })
  return {
    size,
    url: cluster.url('rows'),
    pids: [pidOf(cluster)],
    bytes: async () => Number((await cluster.query(`select pg_database_size('rows') as bytes`))[0].bytes),
    rows: sql => cluster.query(sql, [], 'rows'),
    [Symbol.asyncDispose]: () => cluster.stop('fast'),
  }
}

/** A server on one of the databases, and the rows that requests use. */
export interface Subject {
  database: Database
  child: Child
  port: number
  authorization: string
  users: string[]
  sessions: { id: string; cookie: string }[]
  tickets: string[]
}

export interface Sample {
  /** Answers per second; of the purge: deleted sessions and tokens. */
  rate: number
  /** Milliseconds. */
  p99: number
  /** CPU time per answer (per deleted row) of the server, and of the database's own processes, in µs. */
  server: number
  database: number
}

export async function subjectOn(database: Database, secrets: Record<string, string>): Promise<Subject> {
  const settings = (level: string) => ({
    ...secrets,
    STAGEDOOR_DATABASE_URL: database.url,
    STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
    STAGEDOOR_SIGNING_ALG: 'ES256',
    STAGEDOOR_PORT: '0',
    STAGEDOOR_MAX_WAIT_MS: '60000',
    STAGEDOOR_RETENTION_DAYS: 'none',
    STAGEDOOR_LOG_LEVEL: level,
  })
  const child = startChild('server.ts', { cores: '0', env: settings('error') })
  const port = await child.ask<number>({})
  const own = await createStagedoor(loadConfig(settings('silent')), { serves: false })
  const { signing, settings: instance } = own.services
  // Excludes sessions that earlier runs began, because their cookies are not known, and those that the kill switch ends.
  const live = await sampled(
    database,
    `select id, client_id from sessions where status = 'active' and idle_timeout_seconds = 86400 and actor_sub not like 'nightly-agent-%' order by id desc limit ${Math.min(NEWEST, Math.floor(database.size * LIVE))}`,
    SESSIONS,
  )
  const sessions = live.map(({ id, client_id }) => ({
    id,
    cookie: `__client=${signing.clientToken({ id: client_id, iid: instance.instance_id, rotating_token: ROTATING_TOKEN })}`,
  }))
  await own.close()
  const users = (await sampled(database, `select id from users order by id desc limit ${NEWEST}`)).map(({ id }) => id)
  const authorization = bearer(secrets.STAGEDOOR_SECRET_KEY)
  const subject: Subject = { database, child, port, authorization, users, sessions, tickets: [] }
  // The first kills end the active sessions that the actors have in a filled database.
  const socket = await opened(port)
  for (const actor_sub of AGENTS)
    while (!JSON.parse((await exchanged(socket, killRequest(subject, actor_sub))).body).complete);
  socket.destroy()
  return subject
}

/** Returns a pseudo-random sample. */
async function sampled(database: Database, sql: string, count = SAMPLE) {
  const rows = await database.rows(sql)
  const step = Math.max(1, rows.length / count)
  return Array.from({ length: Math.min(count, rows.length) }, (_, i) => rows[Math.floor(i * step)])
}

const some = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)] as T

function createRequest({ users, authorization }: Subject, actor: object = ACTOR_TOKEN.actor): string {
  return post(
    '/v1/actor_tokens',
    'json',
    JSON.stringify({ user_id: some(users), ...ACTOR_TOKEN, actor }),
    authorization,
  )
}

const killRequest = ({ authorization }: Subject, actor_sub: string) =>
  post('/v1/sessions/revoke_all', 'json', JSON.stringify({ actor_sub, reason: 'left the company' }), authorization)

/** Returns the next request of a kind and how to use its answer; undefined if there is no row left for it. */
function next(subject: Subject, operation: Operation): { text: string; learn?: (answer: Answer) => void } | undefined {
  switch (operation) {
    case 'create':
      return { text: createRequest(subject), learn: ({ body }) => subject.tickets.push(JSON.parse(body).token) }
    case 'redeem': {
      const ticket = subject.tickets.pop()
      if (ticket === undefined) return undefined
      return {
        text: post('/v1/client/sign_ins', 'x-www-form-urlencoded', `strategy=ticket&ticket=${ticket}`),
        learn: ({ head, body }) => {
          if (clientCookieOf(head) === undefined) throw new Error(`not redeemed: ${body}`)
        },
      }
    }
    case 'mint': {
      const { id, cookie } = some(subject.sessions)
      return { text: post(`/v1/client/sessions/${id}/tokens`, 'x-www-form-urlencoded', '', `Cookie: ${cookie}\r\n`) }
    }
    default: {
      const user = some(subject.users)
      const path = some([
        `/v1/sessions?user_id=${user}`,
        `/v1/sessions?user_id=${user}&status=active`,
        `/v1/sessions?status=active&limit=10`,
        `/v1/actor_tokens?limit=10`,
        `/v1/audit_events?user_id=${user}&limit=10`,
      ])
      return { text: get(path, subject.authorization) }
    }
  }
}

/** Returns the CPU time used so far, in µs. */
function cpu({ child, database }: Subject): [server: number, database: number] {
  return [cpuOf([child.pid]) ?? Number.NaN, cpuOf(database.pids) ?? 0]
}

export function measured(subject: Subject, operation: Operation, seconds: number): Promise<Sample> {
  if (operation === 'kill') return kills(subject)
  if (operation === 'purge') return purges(subject)
  return requests(subject, operation, seconds)
}

/** Sends requests for some seconds on a few connections, one outstanding request on each. */
async function requests(subject: Subject, operation: Operation, seconds: number): Promise<Sample> {
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => opened(subject.port)))
  const latencies: number[] = []
  const before = cpu(subject)
  const start = performance.now()
  const until = start + seconds * 1_000
  await Promise.all(
    sockets.map(async socket => {
      while (performance.now() < until) {
        const asked = next(subject, operation)
        if (!asked) return
        const sent = performance.now()
        const answer = await exchanged(socket, asked.text)
        latencies.push(performance.now() - sent)
        asked.learn?.(answer)
      }
    }),
  )
  const elapsed = performance.now() - start
  const after = cpu(subject)
  for (const socket of sockets) socket.destroy()
  return {
    rate: (latencies.length * 1_000) / elapsed,
    p99: p99(latencies),
    server: (after[0] - before[0]) / latencies.length,
    database: (after[1] - before[1]) / latencies.length,
  }
}

/** Revokes everything of an actor with very many past sessions, who has one pending token, again and again. */
async function kills(subject: Subject): Promise<Sample> {
  const socket = await opened(subject.port)
  const latencies: number[] = []
  const used: [number, number] = [0, 0]
  for (let i = 0; i < KILLS; i++) {
    const sub = AGENTS[i % AGENTS.length] as string
    await exchanged(socket, createRequest(subject, { sub }))
    const before = cpu(subject)
    const sent = performance.now()
    const { body } = await exchanged(socket, killRequest(subject, sub))
    latencies.push(performance.now() - sent)
    const after = cpu(subject)
    used[0] += after[0] - before[0]
    used[1] += after[1] - before[1]
    const { revoked_tokens, complete } = JSON.parse(body)
    if (revoked_tokens !== 1 || !complete) throw new Error(`not one token revoked: ${body}`)
  }
  socket.destroy()
  const total = latencies.reduce((sum, took) => sum + took, 0)
  return { rate: (KILLS * 1_000) / total, p99: p99(latencies), server: used[0] / KILLS, database: used[1] / KILLS }
}

/** Deletes some of the oldest rows, in the server's process. */
async function purges(subject: Subject): Promise<Sample> {
  const before = cpu(subject)
  const { rows, durations } = await subject.child.ask<{ rows: number; durations: number[] }>({ purge: PURGES })
  const after = cpu(subject)
  if (rows === 0) throw new Error('nothing was left to purge')
  return {
    rate: (rows * 1_000) / durations.reduce((sum, took) => sum + took, 0),
    p99: p99(durations),
    server: (after[0] - before[0]) / rows,
    database: (after[1] - before[1]) / rows,
  }
}

function p99(latencies: number[]): number {
  latencies.sort((a, b) => a - b)
  return latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN
}

/** Sends a request and waits for its answer. @throws Error if the status is not 200 */
function exchanged(socket: Socket, text: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let received = ''
    const done = () => {
      socket.off('data', onData)
      socket.off('close', onClose)
    }
    const onClose = () => reject(new Error('the server closed a connection'))
    const onData = (chunk: Buffer) => {
      received += chunk.toString('latin1')
      const found = answerIn(received)
      if (found === undefined) return
      done()
      if (found.answer.status === 200) resolve(found.answer)
      else reject(new Error(received))
    }
    socket.on('data', onData)
    socket.once('close', onClose)
    socket.write(text, 'latin1')
  })
}
