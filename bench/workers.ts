import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startPostgres } from '../test/support/postgres/cluster.ts'
import { pinned, startChild } from './child.ts'
import type { Kind, Measured } from './load.ts'

/**
 * Measures the gain from a second worker: `stagedoor serve --workers 1` and `2`, each on its own PostgreSQL database in one
 * cluster, in turns. The load and PostgreSQL share the cores with the servers.
 */

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '1' },
    cores: { type: 'string', default: cpus().length > 1 ? '0,1' : '0' },
    json: { type: 'string' },
  },
})
const MAIN = fileURLToPath(new URL('../packages/server/src/cli/main.ts', import.meta.url))
const COUNTS = [1, 2]
const ALGORITHMS = ['ES256', 'RS256']
const secretKey = `sk_live_${randomBytes(24).toString('hex')}`
const servers: ChildProcess[] = []
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
process.on('exit', () => {
  for (const server of servers) server.kill('SIGTERM')
})

/** @returns its port */
async function serve(url: string, alg: string, workers: number): Promise<number> {
  const args = ['--disable-warning=ExperimentalWarning', MAIN, 'serve', '--workers', String(workers)]
  const [command, all] = pinned(options.cores, process.execPath, args)
  const limits = ['KEY', 'ADDRESS', 'REDEEM', 'FAILURES'].map(name => [`STAGEDOOR_RATE_LIMIT_${name}`, 'none'])
  const server = spawn(command, all, {
    env: {
      PATH: process.env.PATH,
      STAGEDOOR_DATABASE_URL: url,
      STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
      STAGEDOOR_SECRET_KEY: secretKey,
      STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
      STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
      STAGEDOOR_SIGNING_ALG: alg,
      STAGEDOOR_PORT: '0',
      STAGEDOOR_MAX_WAIT_MS: '60000',
      ...Object.fromEntries(limits),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  servers.push(server)
  return new Promise((resolve, reject) => {
    let text = ''
    server.once('exit', code => reject(new Error(`the server ended with ${code}\n${text}`)))
    server.stdout.on('data', chunk => {
      // Read all output, but keep it only until the server is ready.
      if (text.length < 10_000) text += chunk
      const port = /"port":(\d+).*"serving"/.exec(text)?.[1]
      if (port) resolve(Number(port))
    })
  })
}

const quantile = (values: number[], q: number) =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * q)] as number

const cluster = await startPostgres()
const load = startChild('load.ts', { cores: options.cores })
const figures: object[] = []
try {
  for (const alg of ALGORITHMS) {
    const ports: number[] = []
    for (const count of COUNTS) ports.push(await serve(await cluster.createDatabase(), alg, count))
    const measured = async (port: number, kind: Kind, seconds = Number(options.seconds)) => {
      const result = await load.ask<Measured>({ port, kind, alg, seconds, connections: 64, secretKey })
      if (result.wrong > 0) throw new Error(`${kind}: ${result.wrong} wrong answers\n${result.example ?? ''}`)
      return result
    }
    const kinds = ['create', 'redeem', 'mint'] as const
    for (let i = 0; i < 4; i++) for (const kind of kinds) for (const port of ports) await measured(port, kind)
    const rates = new Map(kinds.map(kind => [kind, COUNTS.map(() => [] as number[])]))
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const kind of kinds) {
        const turns = ports.map((port, i) => ({ port, of: rates.get(kind)?.[i] as number[] }))
        for (const { port, of } of round % 2 === 0 ? turns : turns.reverse()) of.push((await measured(port, kind)).rate)
      }
    }
    for (const [kind, [one = [], two = []]] of rates) {
      const ratios = two.map((rate, round) => rate / (one[round] ?? Number.NaN))
      const [low, ratio, high] = [0.25, 0.5, 0.75].map(q => Number(quantile(ratios, q).toFixed(2)))
      const [alone, both] = [one, two].map(all => Math.round(quantile(all, 0.5)))
      figures.push({ alg, kind, one: alone, two: both, ratio, quartiles: [low, high] })
      console.log(`${alg} ${kind.padEnd(7)} 1 worker ${alone}/s, 2 workers ${both}/s: × ${ratio} (${low} … ${high})`)
    }
    for (const server of servers.splice(0)) {
      server.kill('SIGTERM')
      await new Promise(resolve => server.once('close', resolve))
    }
  }
} finally {
  await load.end()
  await cluster[Symbol.asyncDispose]()
}
if (options.json)
  writeFileSync(
    options.json,
    `${JSON.stringify({ date: new Date().toISOString(), cpu: cpus()[0]?.model, cores: options.cores, node: process.versions.node, figures }, null, 2)}\n`,
  )
