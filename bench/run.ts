import type { JsonWebKey } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { cpuOf } from './cpu.ts'
import type { Kind, Measured, Round } from './load.ts'
import { opensslRates } from './openssl.ts'
import { HELP, optionsOf } from './options.ts'
import type { Kept, Rate } from './rate.ts'
import { report, type Sample } from './report.ts'
import { spreadOf } from './stats.ts'
import { ALGORITHMS, type Algorithm, type Processes, type Server, startSubjects } from './subjects.ts'

/**
 * Measures Stagedoor, other products and the limits of the machine in one run: several short rounds, each with every
 * measurement in turn. What it measures and how to read it: README.md.
 */

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  console.log(HELP)
  process.exit(0)
}
const options = (() => {
  try {
    return optionsOf(process.argv.slice(2))
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`)
    process.exit(2)
  }
})()
const { parts, rounds, seconds, connections, quick } = options

/** Number of users in the open loop. */
const USERS = 200
/** The file system type of tmpfs in statfs(2). */
const TMPFS = 0x01021994

const started = performance.now()
const loadBefore = loadavg()
const say = (text: string) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : '')
say('starting…')
const subjects = await startSubjects(options)
const { load } = subjects

/** Samples by name of the measurement, one per round. */
const samples = new Map<string, Sample[]>()
const record = (name: string, sample: Sample) => samples.set(name, [...(samples.get(name) ?? []), sample])
const notes: string[] = []
if (subjects.cluster && statfsSync(tmpdir()).type === TMPFS)
  notes.push(
    `${tmpdir()} is memory, so the PostgreSQL figures do not include a disk. Set TMPDIR to a folder on a disk.`,
  )

type Asked = Omit<Round, 'seconds' | 'connections' | 'secretKey'>

/** Sends one kind of requests for a while. @throws Error if an answer is wrong */
async function send(name: string, asked: Asked, length: number): Promise<Measured> {
  const question = { ...asked, seconds: length, connections, secretKey: subjects.secretKey }
  const sent = await load.ask<Measured>(question)
  if (sent.wrong === 0) return sent
  throw new Error(`${name}: ${sent.wrong} wrong answers, ${sent.answers} right ones.\n${sent.example ?? ''}`)
}

/** Sends requests in short turns until there were enough answers, enough time has passed, or nothing is left to send. */
async function warmUp(name: string, asked: () => Promise<Asked>): Promise<void> {
  const { answers, most } = options.warmUp
  const until = performance.now() + most * 1_000
  for (let made = 0; made < answers && performance.now() < until; ) {
    const sent = await send(`${name} (warm-up)`, await asked(), most / 4)
    if (sent.answers === 0) return
    made += sent.answers
  }
}

/** Measures one kind of requests: rate, durations, and CPU time per answer. */
async function measured(name: string, of: Processes, asked: Asked): Promise<Sample> {
  const cpu = () => [cpuOf(of.server), cpuOf(of.database)] as const
  const before = cpu()
  const { rate, p50, p99, answers } = await send(name, asked, seconds)
  const after = cpu()
  if (answers === 0) throw new Error(`${name}: there was nothing to send.`)
  const [server, database] = after.map((value, i) => ((value ?? Number.NaN) - (before[i] ?? Number.NaN)) / answers)
  return {
    rate,
    p50,
    p99,
    ...(Number.isFinite(server) ? { server } : {}),
    ...(Number.isFinite(database) ? { database } : {}),
  }
}

interface Step {
  name: string
  run(): Promise<void>
  /** Runs it until V8 has compiled it. Steps that need none are measured with the first request. */
  warmUp?(): Promise<void>
}

const overHttp = (name: string, server: Server, kind: Kind, more: Partial<Round> = {}): Step => {
  const asked = { port: server.port, kind, ...more }
  return {
    name,
    run: async () => void record(name, await measured(name, server, asked)),
    warmUp: () => warmUp(name, async () => asked),
  }
}

/** The main job on one store. The lists come before the tickets are redeemed. */
function mainJob(prefix: string, servers: Record<Algorithm, Server>): Step[] {
  const { RS256, ES256 } = servers
  const step = (name: string, server: Server, kind: Kind, more?: Partial<Round>) =>
    overHttp(`${prefix}${name}`, server, kind, more)
  return [
    // The second server needs sessions to mint for, and nothing else.
    ...(['create', 'redeem'] as const).map(kind => {
      const { warmUp = async () => {} } = step(`ES256 ${kind}`, ES256, kind)
      return { name: `ES256 ${kind}`, warmUp, run: async () => {} }
    }),
    step('create', RS256, 'create'),
    step('list', RS256, 'list'),
    step('redeem', RS256, 'redeem'),
    ...ALGORITHMS.map(alg => step(`mint ${alg}`, servers[alg], 'mint', { alg })),
  ]
}

let missing = false
/** Measures the openssl command, which reports rates per second of CPU time. Without it, its lines are left out. */
const openssl: Step = {
  name: 'openssl',
  async run() {
    const rates = missing
      ? undefined
      : opensslRates(quick ? ['rsa2048'] : ['rsa2048', 'ecdsap256'], seconds, { cores: '0' })
    if (!rates && !missing) notes.push('openssl is missing or fails: its lines and ratios are left out.')
    missing ||= !rates
    for (const [alg, rate] of Object.entries(rates?.sign ?? {}))
      record(`openssl ${alg} sign`, { rate, server: 1e6 / rate })
    for (const [alg, rate] of Object.entries(rates?.verify ?? {}))
      record(`openssl ${alg} verify`, { rate, server: 1e6 / rate })
  },
}

const disk: Step = {
  name: 'disk',
  async run() {
    const rates = await subjects.disk.ask<{ append: number; overwrite: number }>({
      folder: subjects.folder,
      seconds: Math.min(seconds, 1),
    })
    record('disk: append + fdatasync', { rate: rates.append })
    record('disk: overwrite + fdatasync', { rate: rates.overwrite })
  },
}

const verification = (name: string, who: string): Step => ({
  name,
  async run() {
    const { port } = subjects.sqlite.RS256
    const token = await load.ask<string>({ sampleOf: port })
    const { keys } = (await (await fetch(`http://127.0.0.1:${port}/.well-known/jwks.json`)).json()) as {
      keys: JsonWebKey[]
    }
    const { kid } = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
    const jwk = keys.find(key => key.kid === kid)
    const question = { who, token, jwk, issuer: 'https://auth.example.com', seconds: Math.min(seconds, 1) }
    const { rate, cpu } = await subjects.verifier.ask<{ rate: number; cpu: number }>(question)
    record(name, { rate, server: cpu })
  },
})

/** Products that the user installed. Their requests are created again for each round, because credentials expire. */
const externalSteps = subjects.external.flatMap(({ works, pids, databasePids }) =>
  works.map(({ name, requests, origin, member }): Step => {
    const of = { server: pids, database: databasePids }
    const asked = async () => ({ port: 0, kind: 'requests' as const, origin, member, requests: await requests() })
    return {
      name,
      run: async () => void record(name, await measured(name, of, await asked())),
      warmUp: () => warmUp(name, asked),
    }
  }),
)

const { bare, sqlite, postgres, betterAuth, oidcProvider } = subjects
const steps: Step[] = [
  disk,
  openssl,
  overHttp('bare create', bare, 'bare', { path: '/create' }),
  ...ALGORITHMS.map(alg => overHttp(`bare sign ${alg}`, bare, 'bare', { path: `/sign/${alg}` })),
  overHttp('bare constant', bare, 'constant'),
  ...mainJob('', sqlite),
  ...(postgres ? mainJob('PostgreSQL: ', postgres) : []),
  ...Object.entries(betterAuth).map(([name, peer]) => {
    const { cookie = '', users = [] } = peer
    return overHttp(`better-auth, ${name}: impersonate`, peer, 'impersonate', { cookie, users })
  }),
  ...(oidcProvider
    ? ALGORITHMS.map(alg =>
        overHttp(`oidc-provider: exchange ${alg}`, oidcProvider, 'exchange', {
          alg,
          subjects: oidcProvider.subjects ?? [],
        }),
      )
    : []),
  ...externalSteps,
  ...(parts.has('verify')
    ? [
        verification('verify: stagedoor', 'stagedoor'),
        verification('verify: stagedoor, remembered', 'stagedoor, remembered'),
        verification('verify: @clerk/backend', 'clerk'),
        verification('verify: fast-jwt', 'fast-jwt'),
        verification('verify: node:crypto alone', 'node:crypto'),
      ]
    : []),
]

/** Runs maintenance in every database now, which PostgreSQL would otherwise do later in the background. */
async function inEachDatabase(command: string): Promise<void> {
  const { cluster } = subjects
  for (const { datname } of (await cluster?.query('select datname from pg_database where datallowconn')) ?? [])
    await cluster?.query(command, [], datname)
}

/** Measures waiting times at half of a server's maximum rate, with requests at random moments. */
async function atHalfLoad(name: string, server: Server, kind: 'mint' | 'redeem'): Promise<void> {
  const [length, times] = quick ? [2, 1] : [8, 3]
  say(`${name} at half load`)
  const rate = (spreadOf((samples.get(name) ?? []).map(sample => sample.rate))?.median ?? 0) / 2
  const { secretKey, startLoad } = subjects
  const steady = startLoad('rate.ts')
  const toRedeem = kind === 'redeem' ? Math.ceil(rate * length * times * 1.2) : 0
  await steady.ask({ prepare: { port: server.port, secretKey, users: USERS, sessions: 1_000, toRedeem } })
  const asked: Rate = { port: server.port, secretKey, rates: { [kind]: rate }, seconds: length, connections: 1_000 }
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

async function rate(): Promise<void> {
  // Background work of the other servers must not affect the waiting times.
  const stores = [['', sqlite] as const, ...(postgres ? [['PostgreSQL: ', postgres] as const] : [])]
  await subjects.endOthers(stores.map(([, servers]) => servers.RS256))
  await inEachDatabase('vacuum analyze')
  await subjects.cluster?.query('checkpoint')
  for (const [prefix, { RS256 }] of stores) {
    await atHalfLoad(`${prefix}mint RS256`, RS256, 'mint')
    await atHalfLoad(`${prefix}redeem`, RS256, 'redeem')
  }
}

try {
  for (const { name, warmUp: run } of steps) {
    say(`warming up: ${name}`)
    await run?.()
  }
  // Without this, PostgreSQL does not know the size of its tables.
  await inEachDatabase('analyze')
  for (let round = 1; round <= rounds; round++) {
    for (const { name, run } of steps) {
      say(`round ${round} of ${rounds}: ${name}`)
      await run()
    }
  }
  if (parts.has('rate')) await rate()
} finally {
  say('')
  await subjects.endAll()
}
report({ samples, notes, options, load: { before: loadBefore, after: loadavg() }, took: performance.now() - started })
