import { execFileSync } from 'node:child_process'
import { type JsonWebKey, randomBytes } from 'node:crypto'
import { statfsSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startPostgres } from '../test/support/postgres/cluster.ts'
import { type Child, canPin, closedLoop, startChild, workFolder } from './child.ts'
import type { Kind, Measured, Round } from './load.ts'
import { type OpensslRates, opensslRates } from './openssl.ts'
import type { Kept, Rate } from './rate.ts'

/**
 * Measures Stagedoor and the limits of the machine in one run: several short rounds, each with every measurement in turn,
 * and medians over the rounds. What it measures and how to read it: README.md.
 */

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string', default: '64' },
    /** Parts to measure, separated by commas. Default: all. */
    parts: { type: 'string', default: 'sqlite,two-cores,postgres,peers,rate,verify' },
    /** A folder for CPU profiles of the servers. */
    profile: { type: 'string' },
  },
})
const rounds = Number(options.rounds ?? (options.quick ? 2 : 5))
/** Number of users in the open loop. */
const USERS = 200
const seconds = Number(options.seconds ?? (options.quick ? 0.5 : 1.5))
const connections = Number(options.connections)

const parts = new Set(options.parts.split(','))

const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const
const OPENSSL_NAMES = ['rsa2048', 'ecdsap256', 'ed25519']
const LOAD_CORE = cpus().length > 1 ? '1' : '0'
const BOTH = cpus().length > 1 ? '0,1' : '0'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = workFolder()

/** Samples by name of the measurement, one per round. */
type Sample = Pick<Measured, 'rate'> & Partial<Measured>
const samples = new Map<string, Sample[]>()
const record = (name: string, sample: Sample) => samples.set(name, [...(samples.get(name) ?? []), sample])
const notes: string[] = []

/** The file system type of tmpfs in statfs(2). */
const TMPFS = 0x01021994

const secretKey = `sk_live_${randomBytes(24).toString('hex')}`
const children: Child[] = []
/** The servers under test, by port. */
const servers = new Map<number, Child>()

function started(file: string, cores: string, env: Record<string, string> = {}): Child {
  const profile = options.profile && file === 'server.ts' ? ['--cpu-prof', '--cpu-prof-dir', options.profile] : []
  const child = startChild(file, { cores, env, node: profile })
  children.push(child)
  return child
}

/** Starts a server on a new database. @returns its port */
async function serve(
  alg: string,
  cores: string,
  database = `sqlite:${join(folder, `${alg}-${cores}.db`)}`,
): Promise<number> {
  const child = started('server.ts', cores, closedLoop(database, alg, secretKey))
  const port = await child.ask<number>({})
  servers.set(port, child)
  return port
}

const bare = (name: string, cores: string) =>
  started('bare.ts', cores, { BENCH_DATABASE: join(folder, name) }).ask<number>({})

async function measure(
  name: string | undefined,
  load: Child,
  round: Omit<Round, 'seconds' | 'connections' | 'secretKey'>,
  length = seconds,
) {
  const measured = await load.ask<Measured>({ ...round, seconds: length, connections, secretKey })
  if (measured.wrong > 0 || measured.answers === 0) {
    throw new Error(
      `${name ?? `${round.kind} (warm-up)`}: ${measured.wrong} wrong answers, ${measured.answers} right ones.\n${measured.example ?? ''}`,
    )
  }
  if (name !== undefined) record(name, measured)
}

const load = started('load.ts', LOAD_CORE)
const sharedLoad = started('load.ts', BOTH)
const disk = started('disk.ts', '0')
const verifier = started('verify.ts', '0')
const ports = Object.fromEntries(await Promise.all(ALGORITHMS.map(async alg => [alg, await serve(alg, '0')] as const)))
const sharedPort = await serve('RS256', BOTH)
const barePort = await bare('bare.db', '0')
const sharedBarePort = await bare('shared-bare.db', BOTH)
const server = ports.RS256 as number

// PostgreSQL may use any core, as in production. Its default settings survive a power failure.
const postgres = parts.has('postgres') || parts.has('peers') ? await startPostgres() : undefined
if (postgres && statfsSync(tmpdir()).type === TMPFS)
  notes.push(
    `${tmpdir()} is memory, so the PostgreSQL figures do not include a disk. Set TMPDIR to a folder on a disk.`,
  )
const onPostgres: Record<string, number> = {}
if (postgres && parts.has('postgres')) {
  for (const alg of ALGORITHMS) onPostgres[alg] = await serve(alg, '0', await postgres.createDatabase())
}

/** Other products that let one identity act as another. */
const peers = {
  impersonate: {} as Record<string, { port: number; cookie: string; users: string[] }>,
  exchange: undefined as { port: number; subjects: string[] } | undefined,
}
if (postgres && parts.has('peers')) {
  const secret = randomBytes(24).toString('hex')
  const places = {
    SQLite: { BENCH_DATABASE: join(folder, 'better-auth.db') },
    'SQLite with WAL': { BENCH_DATABASE: join(folder, 'better-auth-wal.db'), BENCH_WAL: 'yes' },
    PostgreSQL: { BENCH_DATABASE: await postgres.createDatabase() },
  }
  for (const [name, env] of Object.entries(places)) {
    peers.impersonate[name] = await started('peers/better-auth.mjs', '0', { ...env, BENCH_SECRET: secret }).ask({})
  }
  peers.exchange = await started('peers/oidc-provider.mjs', '0').ask({})
}

interface Step {
  name: string
  run(): Promise<void>
}

const overHttp = (name: string, from: Child, port: number, kind: Kind, more: Partial<Round> = {}): Step => ({
  name,
  run: () => measure(name, from, { port, kind, ...more }),
})

let missing = false
/** Measures the openssl command. Without it, its lines are left out. */
const openssl = (name: string, algorithms: string[], where: { cores: string; processes?: number }): Step => ({
  name,
  async run() {
    const rates: OpensslRates | undefined = missing ? undefined : opensslRates(algorithms, seconds, where)
    if (!rates && !missing) notes.push('openssl is missing or fails: its lines and ratios are left out.')
    missing ||= !rates
    for (const [alg, rate] of Object.entries(rates?.sign ?? {})) record(`${name} ${alg} sign`, { rate })
    for (const [alg, rate] of Object.entries(rates?.verify ?? {})) record(`${name} ${alg} verify`, { rate })
  },
})

const verification = (name: string, who: string): Step => ({
  name,
  async run() {
    const token = await load.ask<string>({ sampleOf: server })
    const { keys } = (await (await fetch(`http://127.0.0.1:${server}/.well-known/jwks.json`)).json()) as {
      keys: JsonWebKey[]
    }
    const { kid } = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
    const question = {
      who,
      token,
      jwk: keys.find(key => key.kid === kid),
      issuer: 'https://auth.example.com',
      seconds: Math.min(seconds, 1),
    }
    record(name, { rate: await verifier.ask<number>(question) })
  },
})

const steps: Step[] = [
  {
    name: 'disk',
    async run() {
      const rates = await disk.ask<{ append: number; overwrite: number }>({ folder, seconds })
      record('disk: append + fdatasync', { rate: rates.append })
      record('disk: overwrite + fdatasync', { rate: rates.overwrite })
    },
  },
  overHttp('create', load, server, 'create'),
  overHttp('bare create', load, barePort, 'bare', { path: '/create' }),
  // Before the tickets are redeemed.
  overHttp('list', load, server, 'list'),
  overHttp('redeem', load, server, 'redeem'),
  openssl('openssl', OPENSSL_NAMES, { cores: '0' }),
  ...ALGORITHMS.flatMap(alg => [
    overHttp(`mint ${alg}`, load, ports[alg] as number, 'mint', { alg }),
    overHttp(`bare sign ${alg}`, load, barePort, 'bare', { path: `/sign/${alg}` }),
  ]),
  overHttp('bare constant', load, barePort, 'constant'),
  ...(parts.has('two-cores')
    ? [
        openssl('openssl × 2', ['rsa2048'], { cores: BOTH, processes: 2 }),
        overHttp('mint RS256, two cores', sharedLoad, sharedPort, 'mint', { alg: 'RS256' }),
        overHttp('bare sign RS256, two cores', sharedLoad, sharedBarePort, 'bare', { path: '/sign/RS256' }),
      ]
    : []),
  ...(onPostgres.RS256 === undefined
    ? []
    : [
        overHttp('PostgreSQL: create', load, onPostgres.RS256, 'create'),
        overHttp('PostgreSQL: list', load, onPostgres.RS256, 'list'),
        overHttp('PostgreSQL: redeem', load, onPostgres.RS256, 'redeem'),
        ...ALGORITHMS.map(alg => overHttp(`PostgreSQL: mint ${alg}`, load, onPostgres[alg] as number, 'mint', { alg })),
      ]),
  ...Object.entries(peers.impersonate).map(([name, { port, cookie, users }]) =>
    overHttp(`better-auth, ${name}: impersonate`, load, port, 'impersonate', { cookie, users }),
  ),
  ...(peers.exchange
    ? (['RS256', 'ES256'] as const).map(alg => {
        const { port, subjects } = peers.exchange as NonNullable<typeof peers.exchange>
        return overHttp(`oidc-provider: exchange ${alg}`, load, port, 'exchange', { alg, subjects })
      })
    : []),
  ...(parts.has('verify')
    ? [
        verification('verify: stagedoor', 'stagedoor'),
        verification('verify: stagedoor, remembered', 'stagedoor, remembered'),
        verification('verify: @clerk/backend', 'clerk'),
        verification('verify: node:crypto alone', 'node:crypto'),
      ]
    : []),
]

/** Creates the sessions to mint for, and runs everything until V8 has compiled it: several seconds each, on one core. */
async function warmUp(): Promise<void> {
  const long = options.quick ? 0.5 : 8
  const short = options.quick ? 0.5 : 2
  const warm = (from: Child, round: Parameters<typeof measure>[2], length: number) =>
    measure(undefined, from, round, length)
  for (const [from, port, alg] of [
    ...ALGORITHMS.map(alg => [load, ports[alg] as number, alg] as const),
    ...(parts.has('two-cores') ? [[sharedLoad, sharedPort, 'RS256'] as const] : []),
    ...Object.entries(onPostgres).map(([alg, port]) => [load, port, alg] as const),
  ]) {
    const measured = port === server || port === onPostgres.RS256 ? long : short
    await warm(from, { port, kind: 'create' }, measured)
    await warm(from, { port, kind: 'redeem' }, measured)
    await warm(from, { port, kind: 'mint', alg }, long)
  }
  for (const path of ['/create', '/sign/RS256', '/sign/ES256', '/constant']) {
    await warm(load, { port: barePort, kind: 'bare', path }, short)
  }
  await warm(sharedLoad, { port: sharedBarePort, kind: 'bare', path: '/sign/RS256' }, short)
  for (const { port, cookie, users } of Object.values(peers.impersonate))
    await warm(load, { port, kind: 'impersonate', cookie, users }, long)
  for (const alg of peers.exchange ? ['RS256', 'ES256'] : [])
    await warm(load, { ...peers.exchange, port: peers.exchange?.port as number, kind: 'exchange', alg }, long)
}

/** Runs maintenance in every database now, which PostgreSQL would otherwise do later in the background. */
async function inEachDatabase(command: string): Promise<void> {
  for (const { datname } of (await postgres?.query('select datname from pg_database where datallowconn')) ?? [])
    await postgres?.query(command, [], datname)
}

const say = (text: string) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : '')
say('warming up…')
await warmUp()
// Without this, PostgreSQL does not know the size of its tables.
await inEachDatabase('analyze')
for (let round = 1; round <= rounds; round++) {
  for (const step of steps) {
    say(`round ${round} of ${rounds}: ${step.name}`)
    await step.run()
  }
}
/** Measures waiting times at half of a server's maximum rate, with requests at random moments. */
async function atHalfLoad(name: string, port: number, kind: 'mint' | 'redeem', rate: number): Promise<void> {
  const [length, times] = options.quick ? [2, 1] : [8, 3]
  say(`${name} at half load`)
  const steady = started('rate.ts', LOAD_CORE)
  const toRedeem = kind === 'redeem' ? Math.ceil(rate * length * times * 1.2) : 0
  await steady.ask({ prepare: { port, secretKey, users: USERS, sessions: 1_000, toRedeem } })
  const asked: Rate = { port, secretKey, rates: { [kind]: rate }, seconds: length, connections: 1_000 }
  for (let time = 0; time < times; time++) {
    const kept = await steady.ask<Kept>(asked)
    if (kept.ok === 0 || kept.wrong + kept.lost + kept.refused + kept.limited > 0)
      throw new Error(
        `${name} at half load: some requests were not answered: ${JSON.stringify({ ...kept, timeline: undefined })}`,
      )
    record(`${name} at half load`, { rate: kept.ok / length, p50: kept.p50, p99: kept.kinds[kind].p99 })
  }
  await steady.end()
}

if (parts.has('rate')) {
  // Background work of the other servers must not affect the waiting times.
  const wanted = [server, onPostgres.RS256].map(port => servers.get(port as number))
  await Promise.all(children.filter(child => !wanted.includes(child)).map(child => child.end()))
  await inEachDatabase('vacuum analyze')
  await postgres?.query('checkpoint')
  for (const [prefix, port] of [['', server], ...Object.entries(onPostgres).slice(0, 1)] as const) {
    const of = prefix === '' ? '' : 'PostgreSQL: '
    for (const [name, kind] of [
      ['mint RS256', 'mint'],
      ['redeem', 'redeem'],
    ] as const) {
      const rate = median((samples.get(`${of}${name}`) ?? []).map(sample => sample.rate)) / 2
      await atHalfLoad(`${of}${name}`, port, kind, rate)
    }
  }
}
say('')
for (const child of children) await child.end()
await postgres?.[Symbol.asyncDispose]()

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Returns the median of the rounds' own ratios: a slow moment of the machine affects both sides. */
function ratio(name: string, limit: string): number | undefined {
  const [ours, limits] = [samples.get(name), samples.get(limit)]
  if (!ours || !limits) return undefined
  return median(ours.map((sample, round) => sample.rate / (limits[round]?.rate ?? Number.NaN)))
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return ''
  }
}

const machine = {
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memory_gib: Math.round(totalmem() / 2 ** 30),
  kernel: `${type()} ${release()}`,
  node: process.version,
  node_openssl: process.versions.openssl,
  commit: git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'packages') === '' ? '' : ' + changes'),
  pinned: canPin,
}

const figures = [...samples].map(([name, rounds]) => {
  const of = (field: 'rate' | 'p50' | 'p99') => {
    const values = rounds.map(round => round[field]).filter(value => value !== undefined)
    return values.length > 0 ? median(values) : undefined
  }
  return { name, rate: of('rate'), p50: of('p50'), p99: of('p99'), rates: rounds.map(round => Math.round(round.rate)) }
})

const targets = [
  { name: 'create', limit: 'disk: append + fdatasync', target: 0.9 },
  { name: 'redeem', limit: 'disk: append + fdatasync', target: 0.7 },
  { name: 'mint RS256', limit: 'openssl RS256 sign', target: 0.75 },
  { name: 'mint RS256, two cores', limit: 'openssl × 2 RS256 sign', target: 0.65 },
  { name: 'verify: stagedoor', limit: 'openssl RS256 verify', target: 0.45 },
  { name: 'verify: stagedoor', limit: 'verify: @clerk/backend', target: 5 },
  { name: 'verify: stagedoor, remembered', limit: 'verify: @clerk/backend', target: 50 },
  { name: 'PostgreSQL: create', limit: 'disk: append + fdatasync', target: 0.9 },
  { name: 'PostgreSQL: redeem', limit: 'disk: append + fdatasync', target: 0.7 },
  { name: 'create', limit: 'better-auth, SQLite: impersonate', target: 15 },
  { name: 'create', limit: 'better-auth, SQLite with WAL: impersonate', target: 15 },
  { name: 'PostgreSQL: create', limit: 'better-auth, PostgreSQL: impersonate', target: 15 },
  { name: 'mint RS256', limit: 'oidc-provider: exchange RS256', target: 2 },
  { name: 'mint ES256', limit: 'oidc-provider: exchange ES256', target: 2 },
].map(entry => ({ ...entry, ratio: ratio(entry.name, entry.limit) }))

/** Maximum p99 at half load, in ms. */
const waits = ['', 'PostgreSQL: '].flatMap(of =>
  [
    { name: `${of}mint RS256 at half load`, target: 25 },
    { name: `${of}redeem at half load`, target: 40 },
  ].map(entry => ({ ...entry, p99: figures.find(({ name }) => name === entry.name)?.p99 })),
)

const others = [
  ['create', 'disk: overwrite + fdatasync'],
  ['redeem', 'disk: overwrite + fdatasync'],
  ['create', 'bare create'],
  ...ALGORITHMS.map(alg => [`mint ${alg}`, `bare sign ${alg}`] as const),
  ['mint ES256', 'openssl ES256 sign'],
  ['mint EdDSA', 'openssl EdDSA sign'],
  ['mint RS256, two cores', 'bare sign RS256, two cores'],
  ['bare sign RS256', 'openssl RS256 sign'],
  ['bare sign RS256, two cores', 'openssl × 2 RS256 sign'],
  ['verify: node:crypto alone', 'openssl RS256 verify'],
  ['PostgreSQL: create', 'create'],
  ['PostgreSQL: redeem', 'redeem'],
  ...ALGORITHMS.map(alg => [`PostgreSQL: mint ${alg}`, `mint ${alg}`] as const),
  ['PostgreSQL: mint RS256', 'openssl RS256 sign'],
].map(([name = '', limit = '']) => ({ name, limit, ratio: ratio(name, limit) }))

const count = (value: number | undefined) => (value === undefined ? '' : Math.round(value).toLocaleString('en'))
const time = (value: number | undefined) => (value === undefined ? '' : `${value.toFixed(1)} ms`)
const row = (first: string, ...cells: string[]) =>
  console.log(first.padEnd(60) + cells.map(cell => cell.padStart(10)).join(''))

console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Node ${machine.node}, commit ${machine.commit}`)
console.log(
  `${rounds} rounds of ${seconds} s, ${connections} connections; server ${canPin ? 'on core 0, load on core 1' : 'not pinned: there is no taskset'}\n`,
)
row('median of the rounds', 'per second', 'p50', 'p99')
for (const { name, rate, p50, p99 } of figures) row(name, count(rate), time(p50), time(p99))
console.log()
row('promised', 'ratio', 'target', '')
for (const { name, limit, ratio, target } of targets) {
  if (ratio === undefined && limit !== undefined && !samples.has(name)) continue
  const verdict = ratio === undefined ? 'skipped' : ratio >= target ? 'reached' : 'MISSED'
  row(`${name} ÷ ${limit}`, ratio?.toFixed(2) ?? '', `≥ ${target}`, verdict)
}
for (const { name, target, p99 } of waits) {
  if (p99 !== undefined) row(`${name}, p99`, time(p99), `≤ ${target} ms`, p99 <= target ? 'reached' : 'MISSED')
}
console.log()
row('other ratios', 'ratio')
for (const { name, limit, ratio } of others) if (ratio !== undefined) row(`${name} ÷ ${limit}`, ratio.toFixed(2))
for (const note of notes) console.log(`\n${note}`)

if (options.json) {
  const result = {
    date: new Date().toISOString(),
    machine,
    rounds,
    seconds,
    connections,
    figures,
    targets,
    waits,
    others,
    notes,
  }
  writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`)
}
