/** Two processes redeem the same tickets, and a process is killed while it redeems: the database stays consistent. */
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { testDatabase } from '../support/database.ts'
import { times } from '../support/deep.ts'
import { SECRET_KEY, testServer } from '../support/server.ts'

describe('processes that redeem tickets', () => {
  it('R3 creates one session per ticket for two processes on one database', { timeout: 600_000 }, async () => {
    using database = testDatabase()
    const count = times(300, 20_000)
    const tickets = await pendingTickets(database, count)
    const file = ticketFile(database.path, tickets)
    const workers = [redeemWorker(database.env, file), redeemWorker(database.env, file)]
    await Promise.all(workers.map(worker => worker.ready))
    for (const worker of workers) worker.go()
    const answers = (await Promise.all(workers.map(worker => worker.done))).flat()

    assert.equal(answers.length, 2 * count)
    const done = answers.filter(answer => answer.status === 200)
    assert.equal(done.length, count)
    assert.equal(new Set(done.map(answer => answer.id)).size, count)
    const refused = answers.filter(answer => answer.status !== 200)
    assert.deepEqual(new Set(refused.map(answer => answer.code)), new Set(['actor_token_already_used_code']))
    assertConsistent(database)
    assert.equal(database.rows('select id from sessions').length, count)
  })

  it('R5 has a session and an audit event for every accepted ticket, at whatever moment the process is killed', {
    timeout: 600_000,
  }, async () => {
    using database = testDatabase()
    const tickets = await pendingTickets(database, times(1_500, 12_000))
    const acknowledged = new Set<string>()
    let left = tickets
    let kills = 0
    for (let i = 0; i < times(10, 60); i++) {
      const worker = redeemWorker(database.env, ticketFile(database.path, left))
      await worker.ready
      worker.go()
      await worker.answered((i % 10) * 4)
      await new Promise(resolve => setTimeout(resolve, randomInt(20)))
      if (worker.kill()) kills++
      for (const { id, status } of await worker.done) {
        assert.equal(status, 200)
        acknowledged.add(id)
      }
      assertConsistent(database)
      const accepted = acceptedIn(database)
      for (const id of acknowledged) assert.ok(accepted.has(id), `${id} was answered and is not stored`)
      left = tickets.filter(ticket => !accepted.has(ticket.id))
    }
    assert.equal(kills, times(10, 60))
    assert.ok(acknowledged.size > 0, 'nothing was redeemed before the process was killed')
    assert.ok(left.length > 0, 'everything was redeemed before the process was killed')
    assert.deepEqual(database.rows('pragma integrity_check'), [{ integrity_check: 'ok' }])
  })
})

async function pendingTickets(database: { env: Record<string, string> }, count: number) {
  await using server = await testServer({ env: database.env, realTime: true })
  const { id: user_id } = await server.createUser()
  return await Promise.all(Array.from({ length: count }, () => server.createActorToken({ user_id })))
}

function ticketFile(path: string, tickets: { id: string; token: string }[]): string {
  const file = join(path, '..', `tickets-${randomInt(1e9)}.json`)
  writeFileSync(file, JSON.stringify(tickets.map(({ id, token }) => ({ id, token }))))
  return file
}

interface RedeemWorker {
  ready: Promise<void>
  go(): void
  /** Resolves after this number of answers. */
  answered(count: number): Promise<void>
  /** Returns false if the process had already ended. */
  kill(): boolean
  /** Resolves when the process has ended, with what it printed. */
  done: Promise<{ id: string; status: number; code: string }[]>
}

/** Starts a second process on the database: redeem-worker.ts. */
function redeemWorker(settings: Record<string, string>, file: string): RedeemWorker {
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    [join(import.meta.dirname, 'redeem-worker.ts'), file],
    {
      env: {
        ...settings,
        STAGEDOOR_SECRET_KEY: SECRET_KEY,
        STAGEDOOR_ENVIRONMENT: 'development',
        STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:4100',
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  child.stdin.on('error', () => {})
  let said = ''
  const exited = new Promise<void>(resolve => child.once('close', () => resolve()))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const lines = (count: number) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (said.split('\n').length > count) resolve()
      }
      child.stdout.on('data', look)
      void exited.then(() => reject(new Error(`the worker ended after ${said.split('\n').length - 1} lines`)))
      look()
    })
  const ready = lines(1)
  return {
    ready,
    go: () => void child.stdin.write('go\n'),
    answered: count => lines(1 + count),
    kill: () => child.exitCode === null && child.kill('SIGKILL'),
    done: exited.then(() =>
      said
        .split('\n')
        .slice(1, -1)
        .map(line => {
          const [id = '', status, code = ''] = line.split(' ')
          return { id, status: Number(status), code }
        }),
    ),
  }
}

type Rows = Pick<ReturnType<typeof testDatabase>, 'rows'>

function acceptedIn(database: Rows): Set<string> {
  return new Set(
    database.rows<{ id: string }>("select id from actor_tokens where status = 'accepted'").map(row => row.id),
  )
}

/** Checks: ticket accepted ⇔ session exists ⇔ audit event exists; each once, each naming the others. */
function assertConsistent(database: Rows): void {
  const pairs = (sql: string) =>
    database
      .rows<{ pair: string }>(sql)
      .map(row => row.pair)
      .sort()
  const tickets = pairs("select id || ' ' || session_id as pair from actor_tokens where status = 'accepted'")
  const sessions = pairs("select actor_token_id || ' ' || id as pair from sessions")
  const events = pairs(
    "select actor_token_id || ' ' || session_id as pair from audit_events where action = 'actor_token.accept' and outcome = 'done'",
  )
  assert.deepEqual(sessions, tickets)
  assert.deepEqual(events, tickets)
  assert.deepEqual(database.rows("select id from actor_tokens where status = 'pending' and session_id is not null"), [])
}
