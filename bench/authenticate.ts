import { generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { cpus } from 'node:os'
import { resolve as resolvePath } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { answer, type Child, startChild } from './child.ts'
import { answerIn, get, opened } from './http.ts'

/**
 * Measures what the SDK's `authenticate()` costs per request: the CPU time of an app with it, minus that of the same app
 * without it, and that of `verify` alone with the same token. Each app is a process of its own. They take many short turns,
 * so that other work on the machine affects all of them equally. `--compare` adds the SDK of another checkout.
 */

const OPTIONS = {
  rounds: { type: 'string', default: '60' },
  /** Requests per turn of an app. */
  requests: { type: 'string', default: '500' },
  connections: { type: 'string', default: '8' },
  /** Frameworks to measure, separated by commas. */
  on: { type: 'string', default: 'express,fastify,hono,request' },
  alg: { type: 'string', default: 'RS256' },
  /** The root folder of another checkout, whose SDK is measured in the same run. May be repeated. */
  compare: { type: 'string', multiple: true, default: [] as string[] },
  /** A folder for CPU profiles of the apps. */
  profile: { type: 'string' },
} as const

const PAGE = 'https://app.example.com'
const ACTOR = 'olivia@support'

/** The headers that a browser sends, and the token as bearer or cookie. */
const BROWSER = `Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\nSec-Fetch-Mode: cors\r\nReferer: ${PAGE}/orders\r\n`
const WAYS = {
  bearer: (token: string) => `${BROWSER}Authorization: Bearer ${token}\r\n`,
  cookie: (token: string) => `${BROWSER}Cookie: theme=dark; __client_uat=1800000000; __session=${token}; lang=en\r\n`,
}
type Way = keyof typeof WAYS
const ways = Object.keys(WAYS) as Way[]

/** Creates keys, and serves the public one as a Stagedoor server does. Its token is valid for an hour. */
async function issuer(alg: string) {
  const { publicKey, privateKey } =
    alg === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const kid = 'ins_2abcdefghijklmnopqrstuvwxyz'
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }
  const server = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })))
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const iss = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const iat = Math.floor(Date.now() / 1_000)
  const id = (type: string) => `${type}_2abcdefghijklmnopqrstuvwxyz`
  const claims = {
    act: { sub: ACTOR, reason: 'Ticket 4711' },
    azp: PAGE,
    exp: iat + 3_600,
    iat,
    iss,
    jti: 'f3b5c8d1e0a94b7c8d2e',
    nbf: iat - 10,
    sid: id('sess'),
    sts: 'active',
    sub: id('user'),
    v: 2,
  }
  const parts = [{ alg, cat: 'cl_B7d4PD111AAA', kid, typ: 'JWT' }, claims]
  const text = parts.map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return { iss, token: `${text}.${signature.toString('base64url')}`, close: () => server.close() }
}

interface Turn {
  port: number
  request: string
  count: number
  connections: number
}

/** Open connections by port. They are kept, because opening them costs the app CPU time. */
const connected = new Map<number, Socket[]>()

/** Sends requests over keep-alive connections, one outstanding request on each. Every answer must name the actor. */
async function load({ port, request, count, connections }: Turn): Promise<void> {
  const sockets = connected.get(port) ?? (await Promise.all(Array.from({ length: connections }, () => opened(port))))
  connected.set(port, sockets)
  let left = count
  let busy = true
  // This process never sleeps during a turn: waking it would cost the app CPU time.
  const stayAwake = () => void (busy && setImmediate(stayAwake))
  stayAwake()
  await Promise.all(sockets.map(socket => converse(socket, () => (left-- > 0 ? request : undefined))))
  busy = false
}

function converse(socket: Socket, next: () => string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = ''
    const send = () => {
      const request = next()
      if (request !== undefined) return socket.write(request, 'latin1')
      socket.removeAllListeners()
      resolve()
    }
    socket.once('error', reject).once('close', () => reject(new Error('the app closed a connection')))
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk
      const found = answerIn(received)
      if (!found) return
      if (found.answer.status !== 200 || !found.answer.body.includes(ACTOR)) reject(new Error(`wrong: ${received}`))
      received = ''
      send()
    })
    send()
  })
}

/** One process: an app, or `verify` alone. */
interface Side {
  child: Child
  /** 0: no app. */
  port: number
  /** CPU time per request in each round, in µs. */
  costs: Record<Way, number[]>
}

/** @param root folder of the checkout whose SDK is used; without it, the app does not authenticate */
async function start(app: string, iss: string, root?: string, profile?: string): Promise<Side> {
  const env = {
    ...{ BENCH_APP: app, BENCH_ISSUER: iss, NODE_ENV: 'production' },
    ...(root === undefined ? {} : { BENCH_SDK: pathToFileURL(resolvePath(root, 'packages/sdk/src')).href }),
  }
  const node = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
  const child = startChild('authenticate-app.ts', { cores: '0', env, node })
  return { child, port: await child.ask<number>({}), costs: { bearer: [], cookie: [] } }
}

async function measure(): Promise<void> {
  const { values: options } = parseArgs({ options: OPTIONS })
  const [rounds, count, connections] = [options.rounds, options.requests, options.connections].map(Number) as [
    number,
    number,
    number,
  ]
  const { iss, token, close } = await issuer(options.alg)
  const roots = [resolvePath(import.meta.dirname, '..'), ...options.compare]
  const started = (app: string, root?: string) => start(app, iss, root, options.profile)
  const verifiers = await Promise.all(roots.map(root => started('verify', root)))
  const apps = await Promise.all(
    options.on.split(',').map(async name => ({
      name,
      bare: await started(name),
      authenticated: await Promise.all(roots.map(root => started(name, root))),
    })),
  )
  const sender = startChild('authenticate.ts', { cores: cpus().length > 1 ? '1' : '0', env: { BENCH_SENDER: '1' } })

  const sides = [...verifiers, ...apps.flatMap(({ bare, authenticated }) => [bare, ...authenticated])]
  const turn = async ({ child, port, costs }: Side, way: Way, kept: boolean) => {
    const before = await child.ask<number>({ cpu: true })
    if (port === 0) await child.ask({ token, count })
    else await sender.ask({ port, request: get('/orders?page=2', WAYS[way](token)), count, connections })
    const cost = ((await child.ask<number>({ cpu: true })) - before) / count
    if (kept) costs[way].push(cost)
  }
  // V8 needs thousands of requests until it has compiled the whole path.
  const warmUp = Math.ceil(6_000 / count)
  for (let round = -warmUp; round < rounds; round++) {
    for (const way of ways) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) await turn(side, way, round >= 0)
    }
  }
  for (const { child } of [...sides, { child: sender }]) await child.end()
  close()
  console.log(`CPU time per request in µs, median (quartiles) of ${rounds} rounds, ${options.alg}`)
  const shownSides = apps.flatMap(({ name, bare, authenticated }) =>
    authenticated.map((side, i) => ({ label: [name, ...(i === 0 ? [] : [options.compare[i - 1]])], bare, side, i })),
  )
  for (const way of ways) {
    for (const { label, bare, side, i } of shownSides) {
      const added = difference(side.costs[way], bare.costs[way])
      const verified = verifiers[i]?.costs[way] ?? []
      console.log(
        [
          [...label, way].join(', ').padEnd(32),
          `app ${shown(bare.costs[way])}  authenticate adds ${shown(added)}`,
          `verify ${shown(verified)}  rest ${shown(difference(added, verified))}`,
        ].join('  '),
      )
    }
  }
}

const difference = (some: number[], others: number[]) => some.map((each, i) => each - (others[i] ?? Number.NaN))

function shown(values: number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, middle, high] = [0.25, 0.5, 0.75].map(q => sorted[Math.floor(sorted.length * q)]?.toFixed(0) ?? '')
  return `${middle?.padStart(4)} ${`(${low} … ${high})`.padEnd(13)}`
}

if (process.env.BENCH_SENDER === undefined) await measure()
else answer(load)
