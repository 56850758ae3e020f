import { writeFileSync } from 'node:fs'
import { cpus, loadavg, type as osType, release } from 'node:os'
import { parseArgs } from 'node:util'
import { canPin } from './child.ts'
import {
  CONNECTIONS,
  type Database,
  databasesIn,
  measured,
  OPERATIONS,
  type Operation,
  postgresOf,
  type Sample,
  type Subject,
  sqliteOf,
  subjectOn,
} from './rows-subject.ts'
import { ratioOf, type Spread, shortened, spreadOf, verdictOf } from './stats.ts'

/**
 * Measures whether the server needs as little CPU time with many rows as with few: servers on databases of several sizes,
 * side by side, measured in turns, so that a slow moment of the machine affects all of them.
 */

const { values: options } = parseArgs({
  options: {
    /** The first is what the others are compared with. */
    sizes: { type: 'string', default: '10000,1000000' },
    on: { type: 'string', default: 'sqlite,postgres' },
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '0.7' },
    /** Folder of the databases. Existing large ones are reused, and all are kept. */
    folder: { type: 'string' },
    /** Only fill the databases. */
    fill: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const sizes = options.sizes.split(',').map(Number)
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)
/** Maximum cost, relative to the smallest database. */
const FLAT = 1.3
const WARM_UPS = 3

const { folder, secrets } = databasesIn(options.folder)

interface Figure {
  on: string
  operation: Operation
  size: number
  cpu: { server: Spread | undefined; database: Spread | undefined }
  rate: Spread | undefined
  p99: Spread | undefined
  /** CPU time of server and database, relative to the smallest database in the same round. */
  ratio: Spread | undefined
  verdict: string
}

async function compared(on: string, subjects: Subject[]): Promise<Figure[]> {
  // Until V8 has compiled the whole path for all, and the requested pages are in memory.
  for (let i = 0; i < WARM_UPS; i++)
    for (const operation of OPERATIONS) for (const subject of subjects) await measured(subject, operation, seconds)
  const samples = new Map<string, Sample[]>()
  const of = (operation: Operation, size: number) => samples.get(`${operation} ${size}`) ?? []
  for (let round = 0; round < rounds; round++) {
    for (const operation of OPERATIONS) {
      // Neither size is always the first.
      for (const subject of round % 2 === 0 ? subjects : [...subjects].reverse()) {
        const { size } = subject.database
        const sample = await measured(subject, operation, seconds)
        samples.set(`${operation} ${size}`, [...of(operation, size), sample])
      }
    }
  }
  const cpuOf = (it: Sample) => it.server + it.database
  return OPERATIONS.flatMap(operation =>
    sizes.map((size): Figure => {
      const [own, base] = [of(operation, size), of(operation, sizes[0] ?? 0)]
      const ratio = ratioOf(own.map(cpuOf), base.map(cpuOf))
      return {
        on,
        operation,
        size,
        cpu: {
          server: spreadOf(own.map(it => it.server)),
          database: on === 'postgres' ? spreadOf(own.map(it => it.database)) : undefined,
        },
        rate: spreadOf(own.map(it => it.rate)),
        p99: spreadOf(own.map(it => it.p99)),
        ratio,
        verdict: size === sizes[0] || !ratio ? '' : verdictOf(ratio, { most: FLAT }, rounds),
      }
    }),
  )
}

const figures: Figure[] = []
const memory: { on: string; size: number; rss: number }[] = []
const bytes: { on: string; size: number; bytes: number }[] = []
const loadBefore = loadavg()

async function measureOn(on: string): Promise<void> {
  const databases: Database[] = []
  const subjects: Subject[] = []
  try {
    for (const size of sizes) {
      const start = performance.now()
      databases.push(on === 'postgres' ? await postgresOf(folder, size) : await sqliteOf(folder, size))
      const took = (performance.now() - start) / 1_000
      if (took > 5) console.error(`${on}, ${size}: filled in ${took.toFixed(0)} s`)
    }
    for (const database of databases) bytes.push({ on, size: database.size, bytes: await database.bytes() })
    if (options.fill) return
    for (const database of databases) subjects.push(await subjectOn(database, secrets))
    figures.push(...(await compared(on, subjects)))
    for (const { database, child } of subjects)
      memory.push({ on, size: database.size, rss: await child.ask<number>({ memory: true }) })
  } finally {
    for (const { child } of subjects) await child.end()
    for (const database of databases) await database[Symbol.asyncDispose]()
  }
}

for (const on of options.on.split(',')) await measureOn(on)
const load = { before: loadBefore, after: loadavg() }

function number(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value < 10 ? 2 : 1)
}

const text = (spread: Spread | undefined) =>
  spread ? `${number(spread.median)} (${number(spread.low)}–${number(spread.high)})` : ''

function print(): void {
  const averages = (values: number[]) => values.map(value => value.toFixed(1)).join(' ')
  console.log(
    `${cpus()[0]?.model}, ${cpus().length} cores, ${osType()} ${release()}, Node ${process.versions.node}; ${rounds} rounds of ${seconds} s, ${CONNECTIONS} connections${canPin ? '; servers on core 0' : ''}`,
  )
  console.log(`load average of the machine: before ${averages(load.before)}, after ${averages(load.after)}\n`)
  const widths = [10, 8, 11, 24, 24, 22, 22, 22, 14]
  const row = (...cells: string[]) =>
    console.log(cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(''))
  row(
    'median (spread) of the rounds',
    'rows',
    'CPU µs, server',
    'database',
    'per second',
    'p99 ms',
    'CPU × smallest',
    '',
  )
  for (const { on, operation, size, cpu, rate, p99, ratio, verdict } of figures)
    row(on, operation, size.toLocaleString('en'), ...[cpu.server, cpu.database, rate, p99, ratio].map(text), verdict)
  for (const { on, size, rss } of memory)
    console.log(`${on}, ${size.toLocaleString('en')} sessions: ${Math.round(rss / 1e6)} MB of memory`)
  for (const it of bytes)
    console.log(`${it.on}, ${it.size.toLocaleString('en')} sessions: ${(it.bytes / 1e9).toFixed(2)} GB of data`)
}

if (!options.fill) {
  print()
  if (options.json) {
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.versions.node, pinned: canPin }
    const result = { date: new Date().toISOString(), machine, rounds, seconds, load, figures, memory, bytes }
    writeFileSync(options.json, `${JSON.stringify(result, shortened, 2)}\n`)
  }
}
