import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Child, startChild } from './child.ts'
import type { Measured, Round } from './load.ts'

/**
 * What it costs to be looked at: CPU time of a mint (ES256, where the signature is short and the rest shows) with log
 * lines, metrics and traces, each against a server with none of them, in many short turns. CPU time, because it does not
 * grow as much as the rate shrinks when the machine has other things to do.
 */

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '120' }, seconds: { type: 'string', default: '0.15' } },
})

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = join(root, 'node_modules', '.cache')
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'stagedoor-bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

const collector = createServer((request, response) => {
  request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'))
})
await new Promise<void>(resolve => collector.listen(0, '127.0.0.1', resolve))
const { port: collectorPort } = collector.address() as { port: number }

const log = { STAGEDOOR_LOG_LEVEL: 'info' }
const metrics = { STAGEDOOR_METRICS_PORT: '0' }
const traces = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}` }
const variants: Record<string, Record<string, string>> = {
  nothing: {},
  'nothing, again': {},
  'a log line a request': log,
  metrics,
  'log lines and metrics': { ...log, ...metrics },
  traces,
}

const secretKey = `sk_live_${randomBytes(24).toString('hex')}`
const load = startChild('load.ts', { cores: cpus().length > 1 ? '1' : '0' })

async function measured(port: number, kind: Round['kind'], seconds: number): Promise<Measured> {
  const result = await load.ask<Measured>({ port, kind, alg: 'ES256', seconds, connections: 64, secretKey })
  if (result.wrong > 0) throw new Error(`${kind}: ${result.wrong} wrong answers\n${result.example ?? ''}`)
  return result
}

const servers: { name: string; child: Child; port: number; costs: number[] }[] = []
for (const [name, env] of Object.entries(variants)) {
  const child = startChild('server.ts', {
    cores: '0',
    node: env === traces ? ['--import', join(root, 'deploy/tracing.mjs')] : [],
    output: openSync(join(folder, `${name}.log`), 'w'),
    env: {
      STAGEDOOR_DATABASE_URL: `sqlite:${join(folder, `${name}.db`)}`,
      STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
      STAGEDOOR_SECRET_KEY: secretKey,
      STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
      STAGEDOOR_SIGNING_ALG: 'ES256',
      STAGEDOOR_PORT: '0',
      STAGEDOOR_LOG_LEVEL: 'error',
      ...env,
    },
  })
  const port = await child.ask<number>({})
  await measured(port, 'create', 1)
  await measured(port, 'redeem', 1)
  // Until V8 has compiled the whole path.
  await measured(port, 'mint', 12)
  servers.push({ name, child, port, costs: [] })
}

for (let round = 0; round < Number(options.rounds); round++) {
  for (const { child, port, costs } of round % 2 === 0 ? servers : [...servers].reverse()) {
    const before = await child.ask<number>({ cpu: true })
    const { answers } = await measured(port, 'mint', Number(options.seconds))
    costs.push(((await child.ask<number>({ cpu: true })) - before) / answers)
  }
}

function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] as number
}

const [bare] = servers
console.log(`${'CPU time of a mint'.padEnd(26)}${'µs'.padStart(8)}${'ratio'.padStart(8)}   quartiles of the ratio`)
for (const { name, costs } of servers) {
  const ratios = costs.map((cost, round) => cost / (bare?.costs[round] ?? Number.NaN))
  const [low, middle, high] = [0.25, 0.5, 0.75].map(q => quantile(ratios, q).toFixed(3))
  console.log(
    `${name.padEnd(26)}${quantile(costs, 0.5).toFixed(0).padStart(8)}${middle?.padStart(8)}   ${low} … ${high}`,
  )
}
for (const { child } of servers) await child.end()
await load.end()
collector.close()
