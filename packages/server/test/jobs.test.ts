import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pino } from 'pino'
import type { Context } from '../src/domain/context.ts'
import { serverJobs } from '../src/jobs/jobs.ts'
import { type Job, startJobs } from '../src/jobs/runner.ts'
import { Metrics } from '../src/telemetry/metrics.ts'

const INTERVAL = 1_000

/** Starts jobs on a mocked timer. `pass` lets a number of intervals pass. */
function started(t: TestContext, jobs: Pick<Job, 'name' | 'run'>[]) {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const lines: Record<string, unknown>[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) })
  let contexts = 0
  const newContext = () => ({ number: ++contexts }) as unknown as Context
  const running = startJobs(
    jobs.map(job => ({ interval: INTERVAL, failure: `${job.name} failed`, ...job })),
    newContext,
    log,
  )
  t.after(() => running.stop())
  const pass = async (intervals: number) => {
    for (let i = 0; i < intervals; i++) {
      t.mock.timers.tick(INTERVAL)
      await nextTurn()
    }
  }
  return { running, pass, lines }
}

describe('periodic jobs', () => {
  it('run once per interval, each time with a new context', async t => {
    const contexts: unknown[] = []
    const { pass } = started(t, [{ name: 'a', run: async ctx => void contexts.push(ctx) }])
    assert.deepEqual(contexts, [], 'nothing runs before the first interval has passed')
    await pass(3)
    assert.deepEqual(contexts, [{ number: 1 }, { number: 2 }, { number: 3 }])
  })

  it('never run twice at once, and do not wait for each other', async t => {
    const runs = { slow: 0, fast: 0 }
    let finish = () => {}
    const slow = () => {
      runs.slow += 1
      return new Promise<void>(resolve => {
        finish = resolve
      })
    }
    const { pass } = started(t, [
      { name: 'slow', run: slow },
      {
        name: 'fast',
        run: async () => {
          runs.fast += 1
        },
      },
    ])
    await pass(3)
    assert.deepEqual(runs, { slow: 1, fast: 3 })
    finish()
    await nextTurn()
    await pass(1)
    assert.deepEqual(runs, { slow: 2, fast: 4 })
  })

  it('run again after an error, which is logged with the name of the job', async t => {
    let runs = 0
    const { pass, lines } = started(t, [
      {
        name: 'rejects',
        run: async () => {
          runs += 1
          throw new Error('the database is unavailable')
        },
      },
      {
        name: 'throws',
        run: () => {
          runs += 1
          throw new Error('the job has a bug')
        },
      },
    ])
    await pass(2)
    assert.equal(runs, 4)
    assert.deepEqual(
      lines.map(({ level, job, msg, err }) => [level, job, msg, (err as Error).message]),
      [1, 2].flatMap(() => [
        [40, 'throws', 'throws failed', 'the job has a bug'],
        [40, 'rejects', 'rejects failed', 'the database is unavailable'],
      ]),
    )
  })

  it('do not start after they were stopped', async t => {
    let runs = 0
    const count = async () => {
      runs += 1
    }
    const { running, pass } = started(t, [{ name: 'a', run: count }])
    await pass(1)
    running.stop()
    await pass(2)
    assert.equal(runs, 1)
  })

  it('do not keep the process alive', t => {
    const timers: NodeJS.Timeout[] = []
    const { setInterval: real } = globalThis
    t.mock.method(globalThis, 'setInterval', (...args: Parameters<typeof real>) => {
      const timer = real(...args)
      timers.push(timer)
      return timer
    })
    const idle: Job = { name: 'a', interval: INTERVAL, failure: '', run: async () => {} }
    startJobs([idle, idle], () => ({}) as Context, pino({ level: 'silent' })).stop()
    assert.deepEqual(
      timers.map(timer => timer.hasRef()),
      [false, false],
    )
  })

  it('have one name each, and purge only if rows have a retention period', () => {
    const log = pino({ level: 'silent' })
    const purging = { retentionDays: 90, metrics: new Metrics('1'), log }
    const names = serverJobs(purging, log).map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
    assert.deepEqual(names.toSorted(), [
      'acting-feed',
      'audit-publisher',
      'audit-sequencer',
      'due',
      'event-streams',
      'purge',
      'reevaluation',
      'refused-requests',
      'revocation-feed',
    ])
    assert.ok(!serverJobs(undefined, log).some(({ name }) => name === 'purge'))
  })
})
