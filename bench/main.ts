/** `npm run bench`: runs one of the benchmarks. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { HELP } from './options.ts'

const BENCHMARKS = {
  speed: ['run.ts', 'the main job, compared with the limits of the machine and with other products (12 minutes)'],
  rows: ['rows.ts', 'the same with 10 thousand and with a million sessions (30 minutes)'],
  listing: ['listing.ts', 'how long mints take while ten clients list without pause (5 minutes)'],
  observed: ['observed.ts', 'the cost of logs, metrics and traces (5 minutes)'],
  authenticate: ['authenticate.ts', 'what authenticate() of the SDK costs per request (3 minutes)'],
  costs: ['costs.ts', 'CPU time per operation, for sizing machines (5 minutes)'],
  policy: ['policy.ts', 'decisions about who may act, next to a signature (10 seconds)'],
  table: ['table.ts', 'the last result of `speed` as the table of docs/performance.md (no measurement)'],
  scaling: ['scaling.ts', 'how many machines a load needs, calculated from the measured costs (no measurement)'],
} as const

const [first = 'speed', ...rest] = process.argv.slice(2)
if (first === '--help' || first === '-h') {
  const lines = Object.entries(BENCHMARKS).map(([name, [, what]]) => `  ${name.padEnd(10)}${what}`)
  console.log(`npm run bench -- [benchmark] [options]; without a name \`speed\`\n\n${lines.join('\n')}\n
${HELP}

The options of the others are in bench/README.md.`)
  process.exit(0)
}
const named = Object.hasOwn(BENCHMARKS, first)
if (!named && !first.startsWith('-')) {
  console.error(`There is no benchmark ${first}. \`npm run bench -- --help\` lists them.`)
  process.exit(2)
}
const [file] = BENCHMARKS[(named ? first : 'speed') as keyof typeof BENCHMARKS]
const args = named ? rest : process.argv.slice(2)
const { status } = spawnSync(process.execPath, [join(import.meta.dirname, file), ...args], { stdio: 'inherit' })
process.exit(status ?? 1)
