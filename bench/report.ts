import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { fileURLToPath } from 'node:url'
import { canPin } from './child.ts'
import type { Options } from './options.ts'
import { comparisonOf, NOT_DECIDED, ratioOf, type Spread, shortened, spreadOf, verdictOf } from './stats.ts'

/** Prints the figures of a run, its comparisons and verdicts, and writes them as JSON. */

/** One measurement. CPU time in µs per answer, durations in ms. */
export interface Sample {
  /** Answers per second. */
  rate: number
  p50?: number
  p99?: number
  /** CPU time of the server, and of the database's own processes. */
  server?: number
  database?: number
}

interface Run {
  samples: ReadonlyMap<string, Sample[]>
  notes: string[]
  options: Options
  /** Load averages of 1, 5 and 15 minutes. */
  load: { before: number[]; after: number[] }
  /** Duration in ms. */
  took: number
}

/** `cpu`: how many times as much CPU time the other one needs. `rate`: how many times as fast the first one is. */
type By = 'cpu' | 'rate'

/** Aims of the project: at least so many times. */
const AIMS: { name: string; limit: string; by: By; least: number }[] = [
  { name: 'create', limit: 'disk: append + fdatasync', by: 'rate', least: 0.9 },
  { name: 'redeem', limit: 'disk: append + fdatasync', by: 'rate', least: 0.7 },
  { name: 'PostgreSQL: create', limit: 'disk: append + fdatasync', by: 'rate', least: 0.9 },
  { name: 'PostgreSQL: redeem', limit: 'disk: append + fdatasync', by: 'rate', least: 0.7 },
  { name: 'mint RS256', limit: 'openssl RS256 sign', by: 'cpu', least: 0.75 },
  { name: 'verify: stagedoor', limit: 'openssl RS256 verify', by: 'cpu', least: 0.45 },
  { name: 'verify: stagedoor', limit: 'verify: @clerk/backend', by: 'cpu', least: 5 },
  { name: 'verify: stagedoor', limit: 'verify: fast-jwt', by: 'cpu', least: 2 },
  { name: 'verify: stagedoor, remembered', limit: 'verify: @clerk/backend', by: 'cpu', least: 50 },
  { name: 'create', limit: 'better-auth, SQLite: impersonate', by: 'cpu', least: 15 },
  { name: 'create', limit: 'better-auth, SQLite with WAL: impersonate', by: 'cpu', least: 15 },
  { name: 'PostgreSQL: create', limit: 'better-auth, PostgreSQL: impersonate', by: 'cpu', least: 15 },
  { name: 'mint RS256', limit: 'oidc-provider: exchange RS256', by: 'cpu', least: 2 },
  { name: 'mint ES256', limit: 'oidc-provider: exchange ES256', by: 'cpu', least: 2 },
]

/** Aims for the p99 at half load, in ms. */
const WAITS = ['', 'PostgreSQL: '].flatMap(of => [
  { name: `${of}mint RS256 at half load`, most: 25 },
  { name: `${of}redeem at half load`, most: 40 },
])

const COMPARED: [name: string, limit: string][] = [
  ['create', 'bare create'],
  ['mint RS256', 'bare sign RS256'],
  ['mint ES256', 'bare sign ES256'],
  ['mint ES256', 'openssl ES256 sign'],
  ['bare sign RS256', 'openssl RS256 sign'],
  ['list', 'bare constant'],
  ['verify: stagedoor', 'verify: node:crypto alone'],
  ['create', 'PostgreSQL: create'],
  ['redeem', 'PostgreSQL: redeem'],
  ['mint RS256', 'PostgreSQL: mint RS256'],
  ['mint ES256', 'PostgreSQL: mint ES256'],
  ['PostgreSQL: create', 'Keycloak: impersonation'],
  ['PostgreSQL: mint RS256', 'Keycloak: token exchange'],
  ['PostgreSQL: mint RS256', 'Hydra: client credentials'],
]

const BUSY =
  'The machine was busy before the run: its load average was higher than its number of cores. Rates and durations decide nothing.'

/** Returns the CPU time per answer of server and database together. */
const cpuOf = ({ server, database = 0 }: Sample) => (server === undefined ? undefined : server + database)

export function report(run: Run): void {
  const { samples, options, load } = run
  // Before the run, because its own processes count afterwards.
  const busy = (load.before[0] ?? 0) > cpus().length
  const notes = busy ? [...run.notes, BUSY] : run.notes
  const figures = [...samples].map(([name, rounds]) => ({
    name,
    cpu: {
      server: spreadOf(rounds.map(round => round.server)),
      database: spreadOf(rounds.map(round => round.database)),
    },
    rate: spreadOf(rounds.map(round => round.rate)),
    p50: spreadOf(rounds.map(round => round.p50)),
    p99: spreadOf(rounds.map(round => round.p99)),
    rounds,
  }))
  const ratio = (name: string, limit: string, by: By): Spread | undefined => {
    const [own, other] = [samples.get(name) ?? [], samples.get(limit) ?? []]
    if (by === 'cpu') return ratioOf(other.map(cpuOf), own.map(cpuOf))
    return ratioOf(
      own.map(it => it.rate),
      other.map(it => it.rate),
    )
  }
  const count = (name: string) => samples.get(name)?.length ?? 0
  const aims = AIMS.flatMap(aim => {
    const spread = ratio(aim.name, aim.limit, aim.by)
    if (!spread) return []
    const verdict = busy && aim.by === 'rate' ? NOT_DECIDED : verdictOf(spread, aim, count(aim.name))
    return [{ ...aim, ratio: spread, verdict }]
  })
  const waits = WAITS.flatMap(aim => {
    const p99 = spreadOf((samples.get(aim.name) ?? []).map(sample => sample.p99))
    return p99 ? [{ ...aim, p99, verdict: busy ? NOT_DECIDED : verdictOf(p99, aim, count(aim.name)) }] : []
  })
  const compared = COMPARED.flatMap(([name, limit]) => {
    const spread = ratio(name, limit, 'cpu')
    if (!spread) return []
    return [{ name, limit, ratio: spread, verdict: comparisonOf(spread, ['less CPU', 'more CPU'], count(name)) }]
  })
  const machine = machineOf()
  const { rounds, seconds, connections } = options

  console.log(
    `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}, commit ${machine.commit}`,
  )
  console.log(
    `${rounds} rounds of ${seconds} s, ${connections} connections; server ${canPin ? 'on core 0, load on core 1' : 'not pinned: there is no taskset'}; ${Math.round(run.took / 1_000)} s in total`,
  )
  console.log(`load average of the machine: before ${loadText(load.before)}, after ${loadText(load.after)}\n`)
  printFigures(figures)
  console.log(
    `\nHow many times as much CPU time, or how many times as fast; \`${NOT_DECIDED}\`: the aim is within the spread\n`,
  )
  for (const { name, limit, by, least, ratio, verdict } of aims)
    line(by === 'cpu' ? `CPU of ${limit} ÷ ${name}` : `rate of ${name} ÷ ${limit}`, text(ratio), `≥ ${least}`, verdict)
  for (const { name, most, p99, verdict } of waits) line(`${name}, p99 in ms`, text(p99), `≤ ${most}`, verdict)
  for (const { name, limit, ratio, verdict } of compared) line(`CPU of ${limit} ÷ ${name}`, text(ratio), '', verdict)
  for (const note of notes) console.log(`\n${note}`)
  if (options.json) {
    const result = {
      date: new Date().toISOString(),
      machine,
      rounds,
      seconds,
      connections,
      load,
      figures,
      aims,
      waits,
      compared,
      notes,
    }
    writeFileSync(options.json, `${JSON.stringify(result, shortened, 2)}\n`)
  }
}

const loadText = (averages: number[]) => averages.map(value => value.toFixed(1)).join(' ')

function number(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(value < 10 ? 2 : 1)
}

/** A median with its spread, for example `412 (398–450)`. */
function text(spread: Spread | undefined): string {
  if (!spread) return ''
  return `${number(spread.median)} (${number(spread.low)}–${number(spread.high)})`
}

const WIDTHS = [44, 22, 22, 24, 18, 22]
const line = (first: string, ...cells: string[]) =>
  console.log(first.padEnd(64) + cells.map((cell, i) => cell.padStart(i === 0 ? 22 : 12)).join(''))

interface Figure {
  name: string
  cpu: { server: Spread | undefined; database: Spread | undefined }
  rate: Spread | undefined
  p50: Spread | undefined
  p99: Spread | undefined
}

function printFigures(figures: Figure[]): void {
  const row = (...cells: string[]) =>
    console.log(
      cells.map((cell, i) => (i === 0 ? cell.padEnd(WIDTHS[i] ?? 0) : cell.padStart(WIDTHS[i] ?? 0))).join(''),
    )
  row('median (spread) of the rounds', 'CPU µs, server', 'CPU µs, database', 'per second', 'p50 ms', 'p99 ms')
  for (const { name, cpu, rate, p50, p99 } of figures)
    row(name, ...[cpu.server, cpu.database, rate, p50, p99].map(text))
}

function machineOf() {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const git = (...args: string[]) => {
    try {
      return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    } catch {
      return ''
    }
  }
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gib: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
    node_openssl: process.versions.openssl,
    commit: git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'packages') === '' ? '' : ' + changes'),
    pinned: canPin,
  }
}
