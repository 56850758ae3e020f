import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerIn } from '../../../bench/http.ts'
import { COMMAND } from '../../../test/support/command.ts'
import { goal, times } from '../../../test/support/deep.ts'
import { bareEnv } from '../../../test/support/processes.ts'
import { patience } from '../../../test/support/time.ts'
import { rawPeer } from './raw.ts'

/** `stagedoor serve` in its own process, which receives a stop signal while it works. */

/** A server that still waits for something stops after ten seconds, in ms: one that took less had nothing to wait for. */
const STOPPED_BY_ITSELF = 9_000
const SECRET_KEY = `sk_live_${randomBytes(24).toString('hex')}`
const folder = mkdtempSync(join(tmpdir(), 'stagedoor-draining-'))
const children = new Set<ChildProcess>()
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

interface Serving {
  child: ChildProcess
  port: number
  log(): string
  /** Its exit code, and the time until it exited, in ms. */
  ended(): Promise<{ code: number | null; took: number }>
}

async function serve(): Promise<Serving> {
  const child = spawn(process.execPath, [COMMAND, 'serve'], {
    cwd: folder,
    env: {
      ...bareEnv,
      STAGEDOOR_DATABASE_URL: `sqlite:${join(folder, 'draining.db')}`,
      STAGEDOOR_MASTER_KEY: 'k3JZrJ0cF1uQ1o7N0yq5l8kq9m2b4v6x8z0A1B2C3D4=',
      STAGEDOOR_SECRET_KEY: SECRET_KEY,
      STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
      STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
      STAGEDOOR_PORT: '0',
      STAGEDOOR_RATE_LIMIT_KEY: 'none',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (text += chunk))
  const exit = new Promise<number | null>(resolve => {
    child.once('exit', code => {
      children.delete(child)
      resolve(code)
    })
  })
  while (!/"port":(\d+)/.test(text)) {
    if (child.exitCode !== null) throw new Error(`it ended: ${text}`)
    await sleep(20)
  }
  return {
    child,
    port: Number(/"port":(\d+)/.exec(text)?.[1]),
    log: () => text,
    async ended() {
      const start = performance.now()
      return { code: await exit, took: performance.now() - start }
    },
  }
}

const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${SECRET_KEY}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

interface Tally {
  answered: number
  /** Answered with `Connection: close`. */
  last: number
  /** Sent on an open connection and not answered. */
  failed: string[]
}

/** One client that keeps sending requests, opens a new connection when told to close the old one, and stops when the server is gone. */
async function client(port: number, pause: number, tally: Tally): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    socket.setEncoding('latin1').on('error', () => {})
    const connected = await new Promise<boolean>(resolve => {
      socket.once('connect', () => resolve(true)).once('close', () => resolve(false))
    })
    if (!connected) return
    await untilTheLast(socket, pause, tally)
    socket.destroy()
  }
}

async function untilTheLast(socket: Socket, pause: number, tally: Tally): Promise<void> {
  let received = ''
  let heard = () => {}
  socket.on('data', chunk => {
    received += chunk
    heard()
  })
  socket.on('close', () => heard())
  while (!socket.destroyed) {
    received = ''
    socket.write(post('/v1/users', '{}'))
    let found: ReturnType<typeof answerIn>
    while (found === undefined) {
      if (socket.destroyed) {
        tally.failed.push(received === '' ? 'no answer' : `half an answer: ${received}`)
        return
      }
      await new Promise<void>(resolve => {
        heard = resolve
      })
      found = answerIn(received)
    }
    if (found.answer.status !== 200) tally.failed.push(`${found.answer.head}\n${found.answer.body}`)
    tally.answered += 1
    if (/\r\nconnection: close/i.test(found.answer.head)) {
      tally.last += 1
      return
    }
    await sleep(Math.random() * pause)
  }
}

describe('a server that receives a stop signal', { concurrency: false }, () => {
  it('answers every request that has reached it, and exits with 0', { timeout: 1_800_000 }, async () => {
    const stops = times(5, 100)
    const tally: Tally = { answered: 0, last: 0, failed: [] }
    let longest = 0
    for (let stop = 0; stop < stops; stop++) {
      const serving = await serve()
      // Some clients send requests without a pause, others now and then.
      const clients = Array.from({ length: 24 }, (_, i) => client(serving.port, i % 3 === 0 ? 0 : i * 10, tally))
      await sleep(150 + Math.random() * 300)
      serving.child.kill(stop % 2 === 0 ? 'SIGTERM' : 'SIGINT')
      const { code, took } = await serving.ended()
      await Promise.all(clients)
      assert.equal(code, 0, serving.log())
      assert.match(serving.log(), /"msg":"stopped"/)
      longest = Math.max(longest, took)
    }
    assert.deepEqual(tally.failed, [])
    assert.ok(tally.answered > 100 * stops && tally.last > 10 * stops, JSON.stringify(tally))
    assert.ok(longest < STOPPED_BY_ITSELF, `${longest.toFixed(0)} ms`)
    goal('K6-requests-lost-in-100-stops', tally.failed.length, '= 0', tally.failed.length === 0)
    goal('K6-longest-stop-ms', longest, '≤ 10000', longest <= 10_000)
  })

  it('waits for a body in transit, and not for silent connections', async () => {
    const serving = await serve()
    const [sender, silent] = [await rawPeer(serving.port), await rawPeer(serving.port)]
    const text = post('/v1/users', '{"first_name":"Olivia"}')
    sender.socket.write(text.slice(0, -10))
    await sleep(200)
    serving.child.kill('SIGTERM')
    await sleep(1_500)
    assert.ok(silent.heard().closed && !sender.heard().closed)
    sender.socket.write(text.slice(-10))
    await sender.closed(patience(5_000))
    const { statuses, text: heard } = sender.heard()
    assert.deepEqual(statuses, [200])
    assert.match(heard, /\r\nconnection: close/i)
    assert.equal((await serving.ended()).code, 0)
  })

  it('accepts no new connections', async () => {
    const serving = await serve()
    const sender = await rawPeer(serving.port)
    sender.socket.write(post('/v1/users', '{}').slice(0, -1))
    await sleep(200)
    serving.child.kill('SIGTERM')
    await sleep(300)
    const refused = await new Promise(resolve => {
      connect(serving.port, '127.0.0.1')
        .once('connect', () => resolve(false))
        .once('error', () => resolve(true))
    })
    assert.equal(refused, true)
    sender.socket.write('}')
    assert.equal((await serving.ended()).code, 0)
  })

  it('stops quickly if there is nothing to do', async () => {
    const serving = await serve()
    serving.child.kill('SIGTERM')
    const { code, took } = await serving.ended()
    assert.equal(code, 0)
    assert.ok(took < STOPPED_BY_ITSELF, `${took.toFixed(0)} ms`)
  })

  it('exits at once on a second signal', async () => {
    const serving = await serve()
    const sender = await rawPeer(serving.port)
    sender.socket.write(post('/v1/users', '{}').slice(0, -1))
    await sleep(200)
    serving.child.kill('SIGTERM')
    await sleep(500)
    serving.child.kill('SIGTERM')
    const { code, took } = await serving.ended()
    assert.equal(code, 1)
    assert.ok(took < STOPPED_BY_ITSELF, `${took.toFixed(0)} ms`)
    sender.socket.destroy()
  })

  it('waits ten seconds at most', { skip: times(1, 0) === 1 }, async () => {
    const serving = await serve()
    const sender = await rawPeer(serving.port)
    sender.socket.write(post('/v1/users', '{}').slice(0, -1))
    await sleep(200)
    serving.child.kill('SIGTERM')
    const { code, took } = await serving.ended()
    assert.equal(code, 0)
    assert.ok(took > 8_000 && took < 13_000, `${took.toFixed(0)} ms`)
  })
})
