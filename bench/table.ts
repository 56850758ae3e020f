import { readdirSync, readFileSync } from 'node:fs'
import type { Spread } from './stats.ts'

/** Prints the last run of the main benchmark as the table of docs/performance.md. */

interface Figure {
  name: string
  cpu: { server?: Spread; database?: Spread }
  rate: Spread
}

interface Result {
  date: string
  machine: { cpu: string; cores: number; node: string; commit: string }
  rounds: number
  seconds: number
  load: { before: number[]; after: number[] }
  figures: Figure[]
}

const results = new URL('results/', import.meta.url)
const last = readdirSync(results)
  .filter(name => name.startsWith('speed-'))
  .sort()
  .at(-1)
const file = process.argv[2] ?? (last && new URL(last, results))
if (file === undefined) {
  console.error('There is no result. Run `npm run bench -- --json bench/results/speed-DATE-MACHINE.json` first.')
  process.exit(1)
}
const { date, machine, rounds, seconds, load, figures }: Result = JSON.parse(readFileSync(file, 'utf8'))

const number = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value < 10 ? 1 : 0)
const spread = ({ median, low, high }: Spread) => `${number(median)} (${number(low)}–${number(high)})`
const averages = (values: number[]) => values.map(value => value.toFixed(1)).join(', ')

/** CPU time in µs with its spread, and answers per second. */
function cell(name: string, label = ''): string {
  const figure = figures.find(figure => figure.name === name)
  if (!figure) return ''
  const { cpu, rate } = figure
  const times = [cpu.server, cpu.database].flatMap(time => (time ? [spread(time)] : []))
  const perSecond = `${number(rate.median)}/s`
  return `${label}${times.length > 0 ? `${times.join(' + ')} µs, ${perSecond}` : perSecond}`
}

const cells = (...named: [name: string, label?: string][]) =>
  named
    .map(([name, label]) => cell(name, label))
    .filter(Boolean)
    .join('<br>')

const rows = [
  [
    'create an actor token',
    cell('create'),
    cell('PostgreSQL: create'),
    cells(
      ['better-auth, SQLite with WAL: impersonate', 'better-auth, SQLite: '],
      ['better-auth, PostgreSQL: impersonate', 'better-auth, PostgreSQL: '],
      ['Keycloak: impersonation', 'Keycloak: '],
    ),
    cell('disk: append + fdatasync', '`fdatasync` '),
  ],
  [
    'redeem its ticket',
    cell('redeem'),
    cell('PostgreSQL: redeem'),
    '',
    cell('disk: append + fdatasync', '`fdatasync` '),
  ],
  ...['RS256', 'ES256'].map(alg => [
    `mint a session token, ${alg}`,
    cell(`mint ${alg}`),
    cell(`PostgreSQL: mint ${alg}`),
    cells(
      [`oidc-provider: exchange ${alg}`, 'oidc-provider: '],
      ...(alg === 'RS256'
        ? ([
            ['Keycloak: token exchange', 'Keycloak: '],
            ['Hydra: client credentials', 'Hydra: '],
          ] as [string, string][])
        : []),
    ),
    cell(`openssl ${alg} sign`, 'OpenSSL '),
  ]),
  ['list 20 pending tokens', cell('list'), cell('PostgreSQL: list'), '', cell('bare constant', 'node:http ')],
  [
    'verify a token, RS256',
    cell('verify: stagedoor'),
    '',
    cell('verify: @clerk/backend', '@clerk/backend: '),
    cell('openssl RS256 verify', 'OpenSSL '),
  ],
]
console.log('| work | Stagedoor, SQLite | Stagedoor, PostgreSQL | peers | limit of the machine |')
console.log('| --- | --: | --: | --: | --: |')
for (const row of rows) console.log(`| ${row.join(' | ')} |`)
console.log(
  `\n${date.slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, commit ${machine.commit}; ${rounds} rounds of ${seconds} s. Load average before: ${averages(load.before)}; after: ${averages(load.after)}.`,
)
