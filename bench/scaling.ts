import { readdirSync, readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Cost, Costs } from './costs.ts'
import type { Spread } from './stats.ts'

/**
 * Calculates what many concurrent acting sessions need from the measured cost of each operation (costs.ts), and simulates the
 * queues of one PostgreSQL with its processes to find waiting times. docs/scaling.md explains the results.
 */

const { values: options } = parseArgs({
  options: {
    costs: { type: 'string' },
    /** ES256 or RS256 */
    alg: { type: 'string', default: 'ES256' },
    /** CPU cores of one PostgreSQL. */
    cores: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '5' },
  },
})

const results = new URL('results/', import.meta.url)
const latest = readdirSync(results)
  .filter(name => name.startsWith('costs-'))
  .sort()
  .at(-1)
const file = options.costs ?? new URL(latest ?? 'costs.json', results)
const measured = JSON.parse(readFileSync(file, 'utf8')) as Costs
const of = (name: string): Cost => {
  const cost = measured.costs.postgres[name]
  if (!cost) throw new Error(`${file} has no cost of ${name}`)
  return cost
}
const [create, redeem, mint, lastUse] = [of('create'), of('redeem'), of(`mint ${options.alg}`), of('last use')]
const bytes = measured.bytes.postgres

/** Interval between a page's token requests, in s. A token lives for 60 s. */
const RENEWED = 50
/** Duration of a session, in s: the default for an actor's session. */
const SESSION = 1_800
/** Maximum CPU utilization that the calculation allows. */
const PROCESS_LOAD = 0.5
const DATABASE_LOAD = 0.5
const CORES = Number(options.cores)
/** Connections to PostgreSQL per process. */
const POOL = 10

interface Rates {
  mint: number
  create: number
  redeem: number
  /** Any node can get any request, so nearly every mint is the first that its node sees of the session in a minute. */
  lastUse: number
}

const ratesOf = (sessions: number): Rates => ({
  mint: sessions / RENEWED,
  create: sessions / SESSION,
  redeem: sessions / SESSION,
  lastUse: sessions / RENEWED,
})

/** Returns a sum over all operations, per second. */
function sum(rates: Rates, field: keyof Cost): number {
  return (
    rates.mint * mint[field] +
    rates.create * create[field] +
    rates.redeem * redeem[field] +
    rates.lastUse * lastUse[field]
  )
}

interface Need {
  /** Number of PostgreSQL servers, each with a part of the users. */
  databases: number
  /** Total number of processes. */
  processes: number
  /** Total CPU cores for processes and their signing threads, at the allowed utilization. */
  nodeCores: number
  /** Total busy CPU cores of PostgreSQL. */
  databaseCores: number
  /** MB of log per second and PostgreSQL. */
  log: number
  /** GB of stored rows per day, in total. */
  stored: number
}

function needOf(sessions: number): Need {
  const rates = ratesOf(sessions)
  const databaseCores = sum(rates, 'database') / 1e6
  const databases = Math.max(1, Math.ceil(databaseCores / (CORES * DATABASE_LOAD)))
  const loops = sum(rates, 'loop') / 1e6
  return {
    databases,
    processes: Math.max(2 * databases, Math.ceil(loops / PROCESS_LOAD)),
    nodeCores: (loops + sum(rates, 'threads') / 1e6) / PROCESS_LOAD,
    databaseCores,
    log: sum(rates, 'log') / databases / 1e6,
    stored: (rates.redeem * 86_400 * bytes) / 1e9,
  }
}

/** Returns a random generator with the same numbers in every run (Mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A priority queue of events: the earliest comes out first. */
class Agenda<T> {
  readonly #heap: { at: number; what: T }[] = []

  add(at: number, what: T): void {
    const heap = this.#heap
    heap.push({ at, what })
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if ((heap[parent]?.at ?? 0) <= at) break
      ;[heap[i], heap[parent]] = [heap[parent] as never, heap[i] as never]
      i = parent
    }
  }

  next(): { at: number; what: T } | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (!first || !last || heap.length === 0) return first
    heap[0] = last
    for (let i = 0; ; ) {
      const left = 2 * i + 1
      const least = (heap[left + 1]?.at ?? Number.POSITIVE_INFINITY) < (heap[left]?.at ?? 0) ? left + 1 : left
      if ((heap[least]?.at ?? Number.POSITIVE_INFINITY) >= last.at) break
      ;[heap[i], heap[least]] = [heap[least] as never, heap[i] as never]
      i = least
    }
    return first
  }
}

/** A server with a fixed number of slots; further requests wait in order. */
class Station {
  #free: number
  readonly #waiting: { length: number; then: () => void }[] = []
  constructor(servers: number) {
    this.#free = servers
  }

  serve(agenda: Agenda<() => void>, now: () => number, length: number, then: () => void): void {
    if (this.#free === 0) {
      this.#waiting.push({ length, then })
      return
    }
    this.#free--
    agenda.add(now() + length, () => {
      this.#free++
      const next = this.#waiting.shift()
      if (next) this.serve(agenda, now, next.length, next.then)
      then()
    })
  }
}

/**
 * Simulates the duration of requests: half of the event loop's part, the database's part, the other half, and the signing
 * threads' part. Requests come at random moments to random processes, and take exponentially distributed times, which is
 * worse than the measured distribution.
 * @returns p50 and p99 of the mints and the redemptions, ms
 */
function simulate(rates: Rates, processes: number, cores: number, seconds: number) {
  const random = randomOf(1)
  const exponential = (mean: number) => -Math.log(1 - random()) * mean
  const agenda = new Agenda<() => void>()
  let time = 0
  const now = () => time
  const loops = Array.from({ length: processes }, () => new Station(1))
  const threads = Array.from({ length: processes }, () => new Station(2))
  const database = new Station(cores)
  const took = { mint: [] as number[], create: [] as number[], redeem: [] as number[] }
  const ask = (kind: keyof typeof took, { loop, threads: signing, database: asked }: Cost) => {
    const began = time
    const process = Math.floor(random() * processes)
    const own = loops[process] as Station
    own.serve(agenda, now, exponential(loop / 2), () =>
      database.serve(agenda, now, exponential(asked), () =>
        own.serve(agenda, now, exponential(loop / 2), () =>
          (threads[process] as Station).serve(agenda, now, exponential(signing), () => {
            took[kind].push((time - began) / 1_000)
          }),
        ),
      ),
    )
  }
  const come = (rate: number, what: () => void) => {
    const again = () => {
      what()
      agenda.add(time + exponential(1e6 / rate), again)
    }
    agenda.add(exponential(1e6 / rate), again)
  }
  come(rates.mint, () => ask('mint', mint))
  come(rates.create, () => ask('create', create))
  come(rates.redeem, () => ask('redeem', redeem))
  // Written in batches of 500, each of which occupies a core of the database.
  come(rates.lastUse / 500, () => database.serve(agenda, now, 500 * lastUse.database, () => {}))
  for (let next = agenda.next(); next && next.at < seconds * 1e6; next = agenda.next()) {
    time = next.at
    next.what()
  }
  const percentile = (values: number[], part: number) =>
    values.sort((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN
  return {
    mint: [percentile(took.mint, 0.5), percentile(took.mint, 0.99)],
    redeem: [percentile(took.redeem, 0.5), percentile(took.redeem, 0.99)],
  }
}

const table = (rows: (string | number)[][]) => {
  for (const [i, cells] of rows.entries()) {
    console.log(`| ${cells.join(' | ')} |`)
    if (i === 0) console.log(`|${cells.map(() => ' --: |').join('')}`)
  }
  console.log()
}
const count = (value: number) => (value < 10 ? value.toPrecision(2) : Math.round(value).toLocaleString('en'))

console.log(
  `Costs of ${measured.date.slice(0, 10)}, ${measured.cpu}; ${options.alg}; PostgreSQL with ${CORES} cores.\n`,
)
const rows: (string | number)[][] = [
  [
    'sessions',
    'mints/s',
    'creates/s',
    'processes',
    'their cores',
    'PostgreSQLs',
    'cores busy, each',
    'log MB/s, each',
    'GB a day',
  ],
]
const waits: (string | number)[][] = [['sessions', 'mint p50', 'p99', 'redeem p50', 'p99']]
for (const sessions of [100_000, 1_000_000, 10_000_000, 100_000_000]) {
  const [rates, need] = [ratesOf(sessions), needOf(sessions)]
  rows.push([
    count(sessions),
    count(rates.mint),
    count(rates.create),
    count(need.processes),
    count(need.nodeCores),
    need.databases,
    count(need.databaseCores / need.databases),
    count(need.log),
    count(need.stored),
  ])
  const share = ratesOf(sessions / need.databases)
  const waited = simulate(share, Math.ceil(need.processes / need.databases), CORES, Number(options.seconds))
  waits.push([count(sessions), ...[...waited.mint, ...waited.redeem].map(value => `${value.toFixed(1)} ms`)])
}
table(rows)
console.log('One PostgreSQL with its processes, simulated:\n')
table(waits)

/** Prints the simulation of the measured machine: one process on one core, and PostgreSQL next to the load. */
function checked(): void {
  const name = readdirSync(results)
    .filter(name => name.startsWith('speed-'))
    .sort()
    .at(-1)
  if (name === undefined) return
  const run = JSON.parse(readFileSync(new URL(name, results), 'utf8')) as {
    figures: { name: string; rate: Spread; p50: Spread; p99: Spread }[]
  }
  const [wanted, fastest] = ['PostgreSQL: mint RS256 at half load', 'PostgreSQL: mint RS256'].map(name =>
    run.figures.find(figure => figure.name === name),
  )
  if (options.alg !== 'RS256' || !wanted || !fastest) return
  const { mint: foretold } = simulate({ mint: wanted.rate.median, create: 1, redeem: 1, lastUse: 1 }, 1, 1, 20)
  console.log('Predicted for the measured machine, and measured on it (mints, RS256):\n')
  table([
    ['', 'maximum', 'p50 at half of it', 'p99'],
    ['foretold', count(1e6 / (mint.loop + mint.threads)), ...foretold.map(value => `${value.toFixed(1)} ms`)],
    [
      'measured',
      count(fastest.rate.median),
      `${wanted.p50.median.toFixed(1)} ms`,
      `${wanted.p99.median.toFixed(1)} ms`,
    ],
  ])
}
checked()

console.log('Limits of one PostgreSQL, in the order in which they are reached:\n')
const each = ratesOf(1)
const limits: [string, number, number][] = [
  [`half of ${CORES} cores`, CORES * DATABASE_LOAD, sum(each, 'database') / 1e6],
  ['100 MB of log a second', 100, sum(each, 'log') / 1e6],
  [`${50 * POOL} connections, ${POOL} a process, without a pooler`, 50, sum(each, 'loop') / 1e6 / PROCESS_LOAD],
  ['1 TB of tickets, sessions and audit events a day', 1_000, (each.redeem * 86_400 * bytes) / 1e9],
]
table([
  ['limit', 'reached at sessions'],
  ...limits
    .map(([name, limit, one]) => [name, limit / one] as const)
    .sort((a, b) => a[1] - b[1])
    .map(([name, sessions]) => [name, Number(sessions.toPrecision(2)).toLocaleString('en')]),
])
