import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { startChild } from './child.ts'
import type { Kept, Kind } from './rate.ts'
import { databasesIn, postgresOf, sqliteOf, subjectOn } from './rows-subject.ts'
import { ratioOf, type Spread, spreadOf, verdictOf } from './stats.ts'

/**
 * Measures how long mints, revocations and health checks take while ten clients list, search and export without pause, and how
 * long without them, in turns.
 */

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '100000' },
    on: { type: 'string', default: 'sqlite,postgres' },
    rounds: { type: 'string', default: '10' },
    seconds: { type: 'string', default: '4' },
    /** Folder of the databases, as for `rows`. */
    folder: { type: 'string' },
  },
})
const size = Number(options.size)
const rounds = Number(options.rounds)
const seconds = Number(options.seconds)
const KINDS = ['mint', 'revoke_session', 'health'] as const satisfies Kind[]
const RATES = { mint: 100, revoke_session: 20, health: 100 }
/** Maximum p99 during lists, relative to the p99 without. */
const AIM = 2

const { folder, secrets } = databasesIn(options.folder)

async function measureOn(on: string): Promise<void> {
  await using database = on === 'postgres' ? await postgresOf(folder, size) : await sqliteOf(folder, size)
  const subject = await subjectOn(database, secrets)
  const probes = startChild('rate.ts', { cores: '1' })
  const listers = startChild('lister.ts', { cores: '1' })
  const { port, authorization } = subject
  const users = subject.users.slice(0, 1_000)
  const secretKey = secrets.STAGEDOOR_SECRET_KEY
  const p99 = { without: [] as Kept['kinds'][], during: [] as Kept['kinds'][] }
  let lists = 0
  try {
    await probes.ask({ prepare: { port, secretKey, users: 200, sessions: 1_000, toRevoke: 200 } })
    const probe = async () => {
      const kept = await probes.ask<Kept>({ port, secretKey, rates: RATES, seconds, connections: 100 })
      if (kept.wrong + kept.lost + kept.limited + kept.refused > 0)
        throw new Error(`some requests were not answered: ${JSON.stringify({ ...kept, timeline: undefined })}`)
      return kept.kinds
    }
    const during = async () => {
      const listing = listers.ask<number>({ port, users, authorization, seconds })
      const kinds = await probe()
      lists += await listing
      return kinds
    }
    await during()
    lists = 0
    for (let round = 0; round < rounds; round++) {
      p99.without.push(await probe())
      p99.during.push(await during())
    }
  } finally {
    await probes.end()
    await listers.end()
    await subject.child.end()
  }
  console.log(
    `\n${on}, ${size.toLocaleString('en')} sessions; ${Math.round(lists / rounds / seconds)} lists per second`,
  )
  for (const kind of KINDS) {
    const [without, with_] = [p99.without, p99.during].map(all => all.map(kinds => kinds[kind].p99))
    const ratio = ratioOf(with_ ?? [], without ?? [])
    const verdict = ratio ? verdictOf(ratio, { most: AIM }, rounds) : ''
    const cells = [spreadOf(without ?? []), spreadOf(with_ ?? []), ratio].map(text)
    console.log(`${kind.padEnd(16)}p99 ${cells[0]} ms; during lists ${cells[1]} ms; ${cells[2]} times: ${verdict}`)
  }
}

const text = (spread: Spread | undefined) =>
  spread ? `${spread.median.toFixed(1)} (${spread.low.toFixed(1)}–${spread.high.toFixed(1)})` : ''

console.log(
  `load average before: ${loadavg()
    .map(value => value.toFixed(1))
    .join(' ')}`,
)
for (const on of options.on.split(',')) await measureOn(on)
console.log(
  `\nload average after: ${loadavg()
    .map(value => value.toFixed(1))
    .join(' ')}`,
)
