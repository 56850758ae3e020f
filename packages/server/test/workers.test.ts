import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { goal, times } from '../../../test/support/deep.ts'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { type Serving, serving } from '../../../test/support/serving.ts'
import { loadConfig, poolSize, workerCount } from '../src/config.ts'
import { SummedMetrics } from '../src/server.ts'
import { Metrics } from '../src/telemetry/metrics.ts'

/** `stagedoor serve --workers`: several processes at one address. */

let postgres: PostgresCluster
before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } })
})
after(() => postgres[Symbol.asyncDispose]())

const crew = async (workers: number, env: Record<string, string> = {}) =>
  serving({
    env: {
      STAGEDOOR_DATABASE_URL: await postgres.createDatabase(),
      STAGEDOOR_WORKERS: String(workers),
      STAGEDOOR_RATE_LIMIT_KEY: 'none',
      STAGEDOOR_MAX_WAIT_MS: '60000',
      ...env,
    },
  })

const lines = (server: Serving) =>
  server
    .output()
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as Record<string, unknown>)

/** The workers that have answered, by their number in the log, with their process ids. */
const workersOf = (server: Serving) =>
  new Map(lines(server).flatMap(({ msg, worker, pid }) => (msg === 'request' ? [[Number(worker), Number(pid)]] : [])))

interface Tally {
  answered: number
  failed: string[]
}

/** Sends requests until aborted. With `anew`, each uses a new connection. */
async function asks(server: Serving, tally: Tally, until: AbortSignal, anew = true): Promise<void> {
  while (!until.aborted) {
    const outcome = await createUser(server, anew)
    // The server has stopped listening: no request was lost.
    if (outcome === 'refused') return
    if (outcome === 'ok') tally.answered += 1
    else tally.failed.push(outcome)
  }
}

async function createUser({ url, secretKey }: Serving, anew = true): Promise<string> {
  const headers = {
    authorization: `Bearer ${secretKey}`,
    'content-type': 'application/json',
    ...(anew ? { connection: 'close' } : {}),
  }
  try {
    const answer = await fetch(`${url}/v1/users`, { method: 'POST', headers, body: '{}' })
    await answer.text()
    return answer.status === 200 ? 'ok' : String(answer.status)
  } catch (error) {
    const { code, message } = ((error as Error).cause ?? error) as Error & { code?: string }
    // In either case nothing was sent.
    return code === 'ECONNREFUSED' || /^connect ECONNRESET/.test(message) ? 'refused' : `${code} ${message}`
  }
}

async function untilAll(server: Serving, count: number): Promise<Map<number, number>> {
  for (let tries = 0; workersOf(server).size < count && tries < 200; tries++) {
    await createUser(server)
    await sleep(25)
  }
  return workersOf(server)
}

async function metric(server: Serving, series: string): Promise<number> {
  const text = await (await fetch(server.metricsURL)).text()
  const [, value] = new RegExp(`^${series.replace(/[{}"+]/g, '\\$&')} (\\S+)$`, 'm').exec(text) ?? []
  assert.ok(value !== undefined, `${series} in\n${text}`)
  return Number(value)
}

const created = 'stagedoor_audit_events_total{action="user.create",outcome="done"}'

describe('workers', { concurrency: false }, () => {
  it('are refused on the embedded database, with an explanation', async () => {
    const failed = await serving({ env: { STAGEDOOR_WORKERS: '2' } }).then(
      () => assert.fail('it started'),
      error => String(error),
    )
    assert.match(failed, /STAGEDOOR_WORKERS is 2, but the embedded database has one writer at a time/)
    assert.match(failed, /PostgreSQL/)
  })

  it('have the configured number, and each gets its share of the database connections', () => {
    const on = (env: Record<string, string>) =>
      loadConfig({ STAGEDOOR_DATABASE_URL: 'postgres://db/stagedoor', ...env })
    assert.equal(workerCount(on({}), 8), 1)
    assert.equal(workerCount(on({ STAGEDOOR_WORKERS: '3' }), 8), 3)
    assert.equal(workerCount(on({ STAGEDOOR_WORKERS: 'auto' }), 8), 8)
    assert.equal(workerCount(loadConfig({ STAGEDOOR_WORKERS: 'auto' }), 8), 1)
    for (const wrong of ['0', '-1', 'many', '1.5', '1000'])
      assert.throws(() => on({ STAGEDOOR_WORKERS: wrong }), /STAGEDOOR_WORKERS: must be/, wrong)
    assert.deepEqual([poolSize(on({}), 1), poolSize(on({}), 4)], [10, 5])
    const told = on({ STAGEDOOR_DATABASE_POOL_SIZE: '20' })
    assert.deepEqual([poolSize(told, 1), poolSize(told, 3), poolSize(told, 20)], [20, 6, 1])
  })

  it('answer at one address, are known by number, and do one-time work once', async () => {
    await using server = await crew(3, { STAGEDOOR_METRICS_PORT: '0' })
    const workers = await untilAll(server, 3)
    assert.equal(workers.size, 3, server.output())
    assert.equal(new Set([...workers.values(), server.process.pid]).size, 4, 'each worker has its own process')
    for (const path of ['/healthz', '/readyz']) {
      for (let i = 0; i < 6; i++) {
        const answer = await fetch(server.url + path, { headers: { connection: 'close' } })
        assert.equal(answer.status, 200)
        await answer.body?.cancel()
      }
    }
    const keys = await postgres.query('select name from secret_keys', [], databaseOf(server))
    assert.deepEqual(keys, [{ name: 'from STAGEDOOR_SECRET_KEY' }])
    const made = await postgres.query(
      "select count(*)::int as n from audit_events where action = 'signing_key.create'",
      [],
      databaseOf(server),
    )
    const signing = await postgres.query('select status from signing_keys', [], databaseOf(server))
    assert.ok(signing.length <= 2 && made[0].n <= 2, JSON.stringify([signing, made]))
    assert.equal(lines(server).filter(({ msg }) => msg === 'serving').length, 1)

    // One sum has the counts of all workers, and it never decreases.
    const before = await metric(server, created)
    const [{ n }] = await postgres.query('select count(*)::int as n from users', [], databaseOf(server))
    assert.equal(before, n)
    assert.equal(await metric(server, 'stagedoor_workers'), 3)
    const started = await metric(server, 'process_start_time_seconds')
    const [victim = 0] = workers.values()
    process.kill(victim, 'SIGKILL')
    await server.printed(/a worker exited; starting another/)
    assert.equal(await metric(server, created), before)
    while ((await metric(server, 'stagedoor_workers')) !== 3) await sleep(50)
    assert.ok((await metric(server, 'process_start_time_seconds')) > started, 'the metrics show a restart')
    for (let i = 0; i < 9; i++) assert.equal(await createUser(server), 'ok')
    assert.equal(await metric(server, created), before + 9)
    assert.equal(await server.stopped('SIGTERM'), 0, server.output())
  })

  it('are replaced under load if they die, without further failed requests', { timeout: 600_000 }, async () => {
    await using server = await crew(2, { STAGEDOOR_METRICS_PORT: '0' })
    const enough = new AbortController()
    const tally: Tally = { answered: 0, failed: [] }
    const clients = Array.from({ length: 8 }, () => asks(server, tally, enough.signal))
    const kills = times(2, 30)
    for (let kill = 0; kill < kills; kill++) {
      await sleep(200)
      const before = children(server)
      assert.equal(before.length, 2)
      process.kill(before[kill % 2] as number, 'SIGKILL')
      while (children(server).length === 2 && children(server).includes(before[kill % 2] as number)) await sleep(10)
      while (children(server).length < 2 || (await metric(server, 'stagedoor_workers')) < 2) await sleep(50)
      // Wait, so that the short life of this worker does not count as a failure to start.
      if (kill % 5 === 4) await sleep(10_000)
    }
    enough.abort()
    await Promise.all(clients)
    // Requests that the dead worker had begun or was about to accept are lost; an immediate retry may reach it again.
    assert.ok(tally.failed.length <= 4 * 8 * kills, `${tally.failed.length} of ${tally.answered}: ${tally.failed[0]}`)
    assert.ok(tally.answered > 10 * kills)
    assert.equal(await server.stopped('SIGTERM'), 0)
    goal(
      'W2-lost-per-worker-killed',
      tally.failed.length / kills,
      '≤ 32 (8 clients)',
      tally.failed.length <= 32 * kills,
    )
  })

  it('all finish open requests when the server is stopped', { timeout: 1_800_000 }, async () => {
    const stops = times(2, 50)
    const tally: Tally = { answered: 0, failed: [] }
    let longest = 0
    for (let stop = 0; stop < stops; stop++) {
      await using server = await crew(2)
      const enough = new AbortController()
      // Use keep-alive connections: a connection opened in the moment in which the server stops listening is lost.
      const clients = Array.from({ length: 16 }, () => asks(server, tally, enough.signal, false))
      await sleep(300 + Math.random() * 300)
      const from = performance.now()
      assert.equal(await server.stopped(stop % 2 === 0 ? 'SIGTERM' : 'SIGINT'), 0, server.output().slice(-2_000))
      longest = Math.max(longest, performance.now() - from)
      await Promise.all(clients)
      assert.match(server.output(), /"msg":"stopped"/)
    }
    assert.deepEqual(tally.failed, [])
    assert.ok(tally.answered > 50 * stops, String(tally.answered))
    goal('W3-requests-lost-in-stops', tally.failed.length, '= 0', tally.failed.length === 0)
    goal('W3-longest-stop-ms', longest, '≤ 10000', longest <= 10_000)
  })

  it('exit at once on a second signal to the server', async () => {
    await using server = await crew(2)
    const workers = [...(await untilAll(server, 2)).values()]
    // A request that is never finished.
    const controller = new AbortController()
    const body = new ReadableStream({ pull: () => sleep(100_000, undefined, { ref: false }) })
    const asking = fetch(`${server.url}/v1/users`, {
      method: 'POST',
      body,
      duplex: 'half',
      signal: controller.signal,
      headers: { authorization: `Bearer ${server.secretKey}`, 'content-type': 'application/json' },
    } as RequestInit).catch(() => {})
    await sleep(300)
    server.process.kill('SIGTERM')
    await sleep(700)
    assert.equal(await server.stopped('SIGTERM'), 1)
    await sleep(200)
    assert.deepEqual(workers.filter(isAlive), [])
    controller.abort()
    await asking
  })

  it('report an error at the start once, and exit with its code', async () => {
    await using server = await crew(1)
    const port = new URL(server.url).port
    const failed = await crew(2, { STAGEDOOR_PORT: port }).then(
      () => assert.fail('it started'),
      error => String(error),
    )
    assert.equal(failed.match(/STAGEDOOR_PORT: port \d+ on \S+ is already in use/g)?.length, 1, failed)
    const settings = { STAGEDOOR_DATABASE_URL: 'postgres://127.0.0.1:1/nowhere', STAGEDOOR_WORKERS: '2' }
    const away = await serving({ env: settings }).then(
      () => assert.fail('it started'),
      error => String(error),
    )
    assert.equal(away.match(/cannot be opened/g)?.length, 1, away)
  })

  it('that keep ending right after their start end the server', {
    skip: times(1, 0) === 1,
    timeout: 120_000,
  }, async () => {
    await using server = await crew(2)
    await untilAll(server, 2)
    const ended = server.stopped()
    let over = false
    void ended.then(() => {
      over = true
    })
    for (let number = 1; !over; number++) {
      const [pid] = children(server)
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
      await sleep(20)
      assert.ok(number < 4_000)
    }
    assert.equal(await ended, 1)
    assert.match(server.output(), /workers exit soon after they start/)
  })
})

describe('metrics of several processes', () => {
  it('are summed; counters of an ended process stay, its gauges do not', async () => {
    const [one, two] = [new Metrics('1'), new Metrics('1')]
    one.refused('resource_not_found')
    two.refused('resource_not_found')
    one.requestStarted()
    one.requestFinished({ operation: 'x', method: 'GET', status: 200, seconds: 0.2, code: undefined })
    one.requestStarted()
    const sum = new SummedMetrics()
    const server = await sum.listen(0, '127.0.0.1', async () => {})
    const read = async () => {
      const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text()
      const of = (series: string) =>
        Number(
          text
            .split('\n')
            .find(line => line.startsWith(`${series} `))
            ?.split(' ')[1],
        )
      return [
        of('stagedoor_refusals_total{code="resource_not_found"}'),
        of('stagedoor_http_request_duration_seconds_count{operation="x",method="GET",status="2xx"}'),
        of('stagedoor_http_requests_in_flight'),
        of('stagedoor_workers'),
      ]
    }
    try {
      sum.learn(1, await one.counts())
      sum.learn(2, await two.counts())
      assert.deepEqual(await read(), [2, 1, 1, 2])
      await sum.ended(1)
      assert.deepEqual(await read(), [2, 1, 0, 1])
      await sum.ended(1)
      await sum.ended(3)
      two.refused('resource_not_found')
      sum.learn(2, await two.counts())
      assert.deepEqual(await read(), [3, 1, 0, 1])
    } finally {
      server.close()
    }
  })
})

const databaseOf = ({ env }: Serving) => new URL(env.STAGEDOOR_DATABASE_URL ?? '').pathname.slice(1)

/** Whether the process runs. One that has ended and was not reaped is a zombie. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** The child processes, as the kernel lists them. */
function children({ process: { pid } }: Serving): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}
