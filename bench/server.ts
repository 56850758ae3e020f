import { monitorEventLoopDelay } from 'node:perf_hooks'
import { loadConfig } from '../packages/server/src/config.ts'
import { createStagedoor } from '../packages/server/src/server.ts'
import { answer } from './child.ts'

/**
 * The server under test: the real one, in production mode, with settings from the environment. Says its port; asked for
 * `memory`, how much of it, in bytes; asked for `cpu`, how much of its time it has had, µs; asked for
 * `loopDelay`, by how much its event loop was late since it was asked last: p99 and longest, ms.
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

function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return user + system
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
  (question: { loopDelay?: true; memory?: true; cpu?: true }) =>
    question.loopDelay ? loopDelay() : question.memory ? process.memoryUsage().rss : question.cpu ? cpuTime() : port,
  () => stagedoor.close(),
)
