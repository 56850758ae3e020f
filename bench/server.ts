import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { loadConfig } from '../packages/server/src/config.ts'
import { expiredBefore, purgeAll } from '../packages/server/src/domain/purge.ts'
import { createStagedoor } from '../packages/server/src/server.ts'
import { answer } from './child.ts'

/**
 * Runs the server under test: the real one, in production mode, with settings from the environment. Reports its port.
 * It answers `loopDelay` with the delay of its event loop since the last question (p99 and maximum, in ms), `cpu` with the CPU
 * time used so far (total and of the event loop's thread, in µs), `memory` with its memory that is not mapped from a file, in
 * bytes, and `purge` after this many transactions that delete old rows, with the number of rows and the duration of each in ms.
 */

/** Interval between measurements of the event loop's delay, in ms. The monitor adds it to its figures. */
const RESOLUTION = 10
const loop = monitorEventLoopDelay({ resolution: RESOLUTION })

function loopDelay(): { p99: number; max: number } {
  const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION)
  const delay = { p99: late(loop.percentile(99)), max: late(loop.max) }
  loop.reset()
  loop.enable()
  return delay
}

function cpu(): { all: number; loop: number } {
  const [all, loop] = [process.cpuUsage(), process.threadCpuUsage()]
  return { all: all.user + all.system, loop: loop.user + loop.system }
}

/** Returns the process's own memory in bytes; outside Linux all resident memory. */
function memory(): number {
  if (process.platform !== 'linux') return process.memoryUsage().rss
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1_024
}

/** Deletes the oldest rows that may be deleted. */
async function purge(transactions: number): Promise<{ rows: number; durations: number[] }> {
  const ctx = stagedoor.context({ type: 'system', id: null })
  const durations: number[] = []
  const { sessions, actor_tokens } = await purgeAll(ctx, {
    over: expiredBefore(ctx, { days: 0 }),
    rest: async worked => durations.push(worked) < transactions,
  })
  return { rows: sessions + actor_tokens, durations }
}

/** Rate limits are off, because the whole load comes from one address with one key. */
const unlimited = {
  STAGEDOOR_RATE_LIMIT_KEY: 'none',
  STAGEDOOR_RATE_LIMIT_ADDRESS: 'none',
  STAGEDOOR_RATE_LIMIT_REDEEM: 'none',
  STAGEDOOR_RATE_LIMIT_FAILURES: 'none',
}
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('STAGEDOOR_')))
const stagedoor = await createStagedoor(loadConfig({ ...unlimited, ...environment }))
const { port } = await stagedoor.listen()
answer(
  (question: { loopDelay?: true; cpu?: true; memory?: true; purge?: number }) => {
    if (question.purge !== undefined) return purge(question.purge)
    if (question.loopDelay) return loopDelay()
    if (question.cpu) return cpu()
    return question.memory ? memory() : port
  },
  () => stagedoor.close(),
)
