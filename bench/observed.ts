import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadConfig } from '../packages/server/src/config.ts'
import { createStagedoor, type Stagedoor } from '../packages/server/src/server.ts'
import { answer, startChild } from './child.ts'
import type { Measured, Round } from './load.ts'

/**
 * Measures the cost of logs, metrics and traces: the CPU time of a mint with them, compared with a mint without them. It uses
 * ES256, where the signature is short and the rest is visible. Both servers are in one process and take many short turns,
 * so that other work on the machine and V8's optimizations affect both equally.
 */

const root = fileURLToPath(new URL('..', import.meta.url))

/** Runs the process with the two servers. Reports their ports, and the CPU time used so far, in µs. */
async function serve({ BENCH_OBSERVED = '{}', BENCH_FOLDER = '', BENCH_SECRET_KEY = '' }: NodeJS.ProcessEnv) {
  const { traces, ...settings } = JSON.parse(BENCH_OBSERVED) as Record<string, string>
  const started = async (name: string, more: Record<string, string>): Promise<Stagedoor> =>
    createStagedoor(
      loadConfig({
        STAGEDOOR_DATABASE_URL: `sqlite:${join(BENCH_FOLDER, `${name}.db`)}`,
        STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
        STAGEDOOR_SECRET_KEY: BENCH_SECRET_KEY,
        STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
        STAGEDOOR_SIGNING_ALG: 'ES256',
        STAGEDOOR_PORT: '0',
        STAGEDOOR_LOG_LEVEL: 'error',
        STAGEDOOR_MAX_WAIT_MS: '60000',
        STAGEDOOR_RATE_LIMIT_KEY: 'none',
        STAGEDOOR_RATE_LIMIT_ADDRESS: 'none',
        STAGEDOOR_RATE_LIMIT_REDEEM: 'none',
        STAGEDOOR_RATE_LIMIT_FAILURES: 'none',
        ...more,
      }),
    )
  const bare = await started('bare', {})
  // Only tracers created after this use it.
  if (traces) await import(join(root, 'deploy/tracing.mjs'))
  const observed = await started('observed', settings)
  const ports = [(await bare.listen()).port, (await observed.listen()).port]
  answer(
    ({ cpu }: { cpu?: true }) => {
      const { user, system } = process.cpuUsage()
      return cpu ? user + system : ports
    },
    () => Promise.all([bare.close(), observed.close()]),
  )
}

interface Options {
  /** Folder for the databases and logs of the servers. */
  folder: string
  /** Address that receives traces. */
  collector: string
  rounds: number
  /** Duration of one turn of a server. */
  seconds: number
}

async function measure(): Promise<void> {
  const { values, positionals: wanted } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string', default: '150' }, seconds: { type: 'string', default: '0.1' } },
  })
  const collector = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'))
  })
  await new Promise<void>(resolve => collector.listen(0, '127.0.0.1', resolve))
  const { port } = collector.address() as { port: number }
  const options: Options = {
    folder: temporaryFolder(),
    collector: `http://127.0.0.1:${port}`,
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
  }

  const log = { STAGEDOOR_LOG_LEVEL: 'info' }
  const metrics = { STAGEDOOR_METRICS_PORT: '0' }
  const variants: Record<string, Record<string, string>> = {
    'nothing, like the other': {},
    'one log line per request': log,
    metrics,
    'log lines and metrics': { ...log, ...metrics },
    traces: { traces: 'all of them' },
  }
  console.log(`${'CPU time of a mint'.padEnd(26)}   bare  observed   ratio   quartiles`)
  for (const [name, observed] of Object.entries(variants)) {
    if (wanted.length > 0 && !wanted.some(word => name.includes(word))) continue
    const costs = await costsOfMint(observed, options)
    const [bare = [], other = []] = costs
    const ratios = other.map((cost, round) => cost / (bare[round] ?? Number.NaN))
    const [low, middle, high] = [0.25, 0.5, 0.75].map(q => quantile(ratios, q).toFixed(3))
    const [first, second] = costs.map(all => `${quantile(all, 0.5).toFixed(0)} µs`.padStart(8))
    console.log(`${name.padEnd(26)}${first} ${second}   ${middle}   ${low} … ${high}`)
  }
  collector.close()
}

/** Creates a folder that is deleted when this process exits. */
function temporaryFolder(): string {
  const cache = join(root, 'node_modules', '.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'stagedoor-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
  return folder
}

/** Returns the CPU time of a mint in each round, in µs: of the bare server, and of the observed one. */
async function costsOfMint(observed: Record<string, string>, options: Options): Promise<number[][]> {
  const { rounds, seconds } = options
  const secretKey = `sk_live_${randomBytes(24).toString('hex')}`
  const folder = mkdtempSync(join(options.folder, 'servers-'))
  const load = startChild('load.ts', { cores: cpus().length > 1 ? '1' : '0' })
  const servers = startChild('observed.ts', {
    cores: '0',
    output: openSync(join(folder, 'log'), 'w'),
    env: {
      BENCH_OBSERVED: JSON.stringify(observed),
      BENCH_FOLDER: folder,
      BENCH_SECRET_KEY: secretKey,
      OTEL_EXPORTER_OTLP_ENDPOINT: options.collector,
    },
  })
  const ports = await servers.ask<number[]>({})
  const measured = async (port: number, kind: Round['kind'], seconds: number): Promise<Measured> => {
    const result = await load.ask<Measured>({ port, kind, alg: 'ES256', seconds, connections: 64, secretKey })
    if (result.wrong > 0) throw new Error(`${kind}: ${result.wrong} wrong answers\n${result.example ?? ''}`)
    return result
  }
  for (const port of ports) {
    await measured(port, 'create', 1)
    await measured(port, 'redeem', 1)
  }
  // Warm up until V8 has compiled the whole path for both.
  for (let i = 0; i < 8; i++) for (const port of ports) await measured(port, 'mint', 1)

  const costs: number[][] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const turns = ports.map((port, i) => ({ port, of: costs[i] as number[] }))
    for (const { port, of } of round % 2 === 0 ? turns : turns.reverse()) {
      const before = await servers.ask<number>({ cpu: true })
      const { answers } = await measured(port, 'mint', seconds)
      of.push(((await servers.ask<number>({ cpu: true })) - before) / answers)
    }
  }
  await servers.end()
  await load.end()
  return costs
}

function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] as number
}

if (process.env.BENCH_OBSERVED === undefined) await measure()
else await serve(process.env)
