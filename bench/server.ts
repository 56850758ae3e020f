import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { loadConfig } from '../packages/server/src/config.ts'
import { createStagedoor } from '../packages/server/src/server.ts'
import { answer } from './child.ts'

/**
 * The server under test: the real one, in production mode, with settings from the environment. Says its port; asked for
 * `loopDelay`, by how much its event loop was late since it was asked last: p99 and longest, ms; asked for `cpu`, the CPU
 * time it has used so far, µs: all of it, and that of the thread with the event loop; asked for `memory`, how much of it
 * is its own and not a part of a file, in bytes.
 */

/** How often the event loop's lateness is looked at, ms. What is reported has this in it. */
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

/** Outside Linux all that is resident. */
function memory(): number {
  if (process.platform !== 'linux') return process.memoryUsage().rss
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1_024
}

/** All of the load comes from one address, with one key. */
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
  (question: { loopDelay?: true; cpu?: true; memory?: true }) => {
    if (question.loopDelay) return loopDelay()
    if (question.cpu) return cpu()
    return question.memory ? memory() : port
  },
  () => stagedoor.close(),
)
