import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './child.ts'
import { ACTOR_TOKEN, type Answer, answerIn, bearer, clientCookieOf, get, opened, post } from './http.ts'

/**
 * The load: an open loop. Requests are sent at random moments at a fixed rate, independent of earlier answers, like those of
 * many independent people. The duration of an answer counts from the moment when its request was due, so a server that
 * delays the load does not look faster.
 */

/** Kinds of requests. */
export const KINDS = ['mint', 'create', 'redeem', 'revoke_token', 'revoke_session', 'health', 'jwks'] as const
export type Kind = (typeof KINDS)[number]

export interface Rate {
  port: number
  secretKey: string
  /** Requests per second, by kind. */
  rates: Partial<Record<Kind, number>>
  seconds: number
  /** Maximum number of connections. A request that finds none free is lost. */
  connections: number
  /** `few` reuses the connection used last; `all` uses all in turn; `new` opens one for each request. */
  use?: 'few' | 'all' | 'new'
}

/** Preparation: creates users, sessions to mint for, tokens to redeem, and this many tokens and sessions to revoke. */
export interface Prepare {
  prepare: { port: number; secretKey: string; users: number; sessions?: number; toRedeem?: number; toRevoke?: number }
}

export interface Outcome {
  ok: number
  /** 503 with Retry-After. */
  refused: number
  /** 429 */
  limited: number
  /** Any other answer. */
  wrong: number
  /** No answer: no free connection, or a broken one. */
  lost: number
}

export interface Kept extends Outcome {
  seconds: number
  /** Durations of answers with 200, and of refusals, in ms. */
  p50: number
  p99: number
  max: number
  refusal_p50: number
  refusal_p99: number
  kinds: Record<Kind, Outcome & { p99: number }>
  /** Counts per second, by the moment when a request was due. */
  timeline: (Outcome & { p99: number })[]
  /** The first wrong answer, for the error message. */
  example?: string
}

class Target {
  users: string[] = []
  /** Pending actor tokens. */
  tokens: { id: string; token: string }[] = []
  sessions: { id: string; cookie: string }[] = []
  /** Sessions that mints do not use. */
  spare: string[] = []
  turn = 0
}

const targets = new Map<number, Target>()
/** Maximum number of stored tokens and sessions; further ones are dropped. */
const REMEMBERED = 20_000

/** A request, and how to use its answer. */
interface Ask {
  /** May differ from the requested kind: if there is nothing to redeem or revoke yet, that is created first. */
  kind: Kind
  text: string
  learn?: (answer: Answer) => unknown
}

function ask(kind: Kind, target: Target, authorization: string): Ask {
  const turn = target.turn++
  switch (kind) {
    case 'mint': {
      const { id, cookie } = target.sessions[turn % target.sessions.length] as Target['sessions'][number]
      const path = `/v1/client/sessions/${id}/tokens`
      return { kind, text: post(path, 'x-www-form-urlencoded', '', `Cookie: ${cookie}\r\n`) }
    }
    case 'create': {
      const body = JSON.stringify({ user_id: target.users[turn % target.users.length], ...ACTOR_TOKEN })
      return {
        kind,
        text: post('/v1/actor_tokens', 'json', body, authorization),
        learn: ({ body }) => {
          if (target.tokens.length < REMEMBERED) target.tokens.push(JSON.parse(body))
        },
      }
    }
    case 'redeem': {
      const made = target.tokens.pop()
      if (made === undefined) return ask('create', target, authorization)
      return {
        kind,
        text: post('/v1/client/sign_ins', 'x-www-form-urlencoded', `strategy=ticket&ticket=${made.token}`),
        learn: ({ body }) => {
          if (target.spare.length < REMEMBERED) target.spare.push(JSON.parse(body).response.created_session_id)
        },
      }
    }
    case 'revoke_token': {
      const made = target.tokens.pop()
      if (made === undefined) return ask('create', target, authorization)
      return { kind, text: post(`/v1/actor_tokens/${made.id}/revoke`, 'json', '', authorization) }
    }
    case 'revoke_session': {
      const id = target.spare.pop()
      if (id === undefined) return ask('redeem', target, authorization)
      return { kind, text: post(`/v1/sessions/${id}/revoke`, 'json', '', authorization) }
    }
    case 'health':
      return { kind, text: get('/healthz') }
    case 'jwks':
      return { kind, text: get('/.well-known/jwks.json') }
  }
}

class Tally implements Outcome {
  ok = 0
  refused = 0
  limited = 0
  wrong = 0
  lost = 0
  latencies: number[] = []

  /** The result of a request, without intermediate data. */
  summary(): Outcome & { p99: number } {
    const { ok, refused, limited, wrong, lost } = this
    return { ok, refused, limited, wrong, lost, p99: percentile(this.latencies, 0.99) }
  }
}

/** Sorts the values. Returns 0 for an empty list. */
function percentile(values: number[], part: number): number {
  return values.sort((a, b) => a - b)[Math.min(Math.floor(values.length * part), values.length - 1)] ?? 0
}

interface Connection {
  socket?: Socket
  /** The request in progress. */
  waiting?: { kind: Kind; due: number; learn?: Ask['learn'] } | undefined
  received: string
}

/** One run: its requests and their results. */
class Run {
  readonly #rate: Rate
  readonly #target: Target
  readonly #authorization: string
  readonly #open = new Set<Connection>()
  readonly #free: Connection[] = []
  readonly #all = new Tally()
  readonly #kinds = new Map(KINDS.map(kind => [kind, new Tally()]))
  readonly #timeline: Tally[]
  readonly #refusals: number[] = []
  #start = 0
  #example: string | undefined

  constructor(rate: Rate, target: Target) {
    this.#rate = rate
    this.#target = target
    this.#authorization = bearer(rate.secretKey)
    this.#timeline = Array.from({ length: Math.ceil(rate.seconds) }, () => new Tally())
  }

  async keep(): Promise<Kept> {
    const { rates, seconds, connections, use } = this.#rate
    // If connections are used in turn, open all of them before the run.
    while (use === 'all' && this.#open.size < connections) {
      const some = Array.from({ length: Math.min(100, connections - this.#open.size) }, () => this.#connected())
      this.#free.push(...(await Promise.all(some)))
    }
    const wanted = Object.entries(rates) as [Kind, number][]
    const total = wanted.reduce((sum, [, rate]) => sum + rate, 0)
    const draw = (): Kind => {
      let left = Math.random() * total
      for (const [kind, rate] of wanted) {
        if (left < rate) return kind
        left -= rate
      }
      return 'mint'
    }
    this.#start = performance.now()
    const end = this.#start + seconds * 1_000
    for (let due = this.#start; due < end; ) {
      const until = Math.min(performance.now(), end)
      for (; due < until; due += (-Math.log(1 - Math.random()) * 1_000) / total) this.#submit(draw(), due)
      await sleep(1)
    }
    // Wait a while for the last answers.
    const patience = performance.now() + 10_000
    while ([...this.#open].some(({ waiting }) => waiting) && performance.now() < patience) await sleep(10)
    for (const { socket } of this.#open) socket?.destroy()
    await sleep(10)
    return this.#kept()
  }

  #submit(kind: Kind, due: number): void {
    const connection = this.#rate.use === 'new' ? undefined : this.#take()
    if (connection) this.#send(connection, kind, due)
    else if (this.#open.size >= this.#rate.connections) this.#note(kind, due, 'lost')
    else
      this.#connected().then(
        made => this.#send(made, kind, due),
        () => this.#note(kind, due, 'lost'),
      )
  }

  #take(): Connection | undefined {
    for (;;) {
      const found = this.#rate.use === 'all' ? this.#free.shift() : this.#free.pop()
      if (found?.socket?.destroyed !== true) return found
    }
  }

  async #connected(): Promise<Connection> {
    const connection: Connection = { received: '' }
    this.#open.add(connection)
    const socket = await opened(this.#rate.port).catch(error => {
      this.#open.delete(connection)
      throw error
    })
    socket.setEncoding('latin1')
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#open.delete(connection)
      if (connection.waiting) this.#note(connection.waiting.kind, connection.waiting.due, 'lost')
      connection.waiting = undefined
    })
    socket.on('data', (chunk: string) => {
      connection.received += chunk
      const found = answerIn(connection.received)
      if (found === undefined) return
      connection.received = connection.received.slice(found.end)
      this.#answered(connection, found.answer)
    })
    connection.socket = socket
    return connection
  }

  #send(connection: Connection, kind: Kind, due: number): void {
    const { text, ...asked } = ask(kind, this.#target, this.#authorization)
    connection.waiting = { ...asked, due }
    connection.socket?.write(text, 'latin1')
  }

  #answered(connection: Connection, answer: Answer): void {
    const { waiting } = connection
    connection.waiting = undefined
    if (waiting) {
      const what = outcomeOf(answer)
      if (what === 'ok') waiting.learn?.(answer)
      if (what === 'wrong') this.#example ??= `${answer.head}\n\n${answer.body}`
      this.#note(waiting.kind, waiting.due, what)
    }
    if (this.#rate.use === 'new' || /\r\nconnection: close/i.test(answer.head)) connection.socket?.end()
    else this.#free.push(connection)
  }

  #note(kind: Kind, due: number, what: keyof Outcome): void {
    const took = performance.now() - due
    for (const tally of [this.#all, this.#kinds.get(kind), this.#timeline[Math.floor((due - this.#start) / 1_000)]]) {
      if (!tally) continue
      tally[what] += 1
      if (what === 'ok') tally.latencies.push(took)
    }
    if (what === 'refused') this.#refusals.push(took)
  }

  #kept(): Kept {
    const { latencies } = this.#all
    return {
      ...this.#all.summary(),
      seconds: this.#rate.seconds,
      p50: percentile(latencies, 0.5),
      max: percentile(latencies, 1),
      refusal_p50: percentile(this.#refusals, 0.5),
      refusal_p99: percentile(this.#refusals, 0.99),
      kinds: Object.fromEntries([...this.#kinds].map(([kind, tally]) => [kind, tally.summary()])) as Kept['kinds'],
      timeline: this.#timeline.map(tally => tally.summary()),
      ...(this.#example === undefined ? {} : { example: this.#example }),
    }
  }
}

function outcomeOf({ status, head, body }: Answer): keyof Outcome {
  if (status === 200) return 'ok'
  if (!/\r\nretry-after: \d/i.test(head)) return 'wrong'
  if (status === 429) return 'limited'
  return status === 503 && body.includes('"service_unavailable"') ? 'refused' : 'wrong'
}

/** Creates users, tokens, and sessions with their cookies, a few concurrently. */
async function prepare(wanted: Prepare['prepare']): Promise<void> {
  const { port, secretKey, users, sessions = 0, toRedeem = 0, toRevoke = 0 } = wanted
  const target = targetOf(port)
  const authorization = bearer(secretKey)
  const user = post('/v1/users', 'json', '{}', authorization)
  await inTurns(port, users, () => ({
    kind: 'create',
    text: user,
    learn: ({ body }) => target.users.push(JSON.parse(body).id),
  }))
  await inTurns(port, sessions + toRedeem + 2 * toRevoke, () => ask('create', target, authorization))
  await inTurns(port, sessions, () => ({
    ...ask('redeem', target, authorization),
    learn: ({ head, body }) => {
      const cookie = clientCookieOf(head)
      if (cookie === undefined) throw new Error(`not redeemed: ${body}`)
      target.sessions.push({ id: JSON.parse(body).response.created_session_id, cookie })
    },
  }))
  await inTurns(port, toRevoke, () => ask('redeem', target, authorization))
}

async function inTurns(port: number, count: number, next: () => Ask): Promise<void> {
  let left = count
  await Promise.all(
    Array.from({ length: Math.min(8, count) }, async () => {
      const socket = await opened(port)
      socket.setEncoding('latin1')
      let received = ''
      let asked = next()
      left -= 1
      socket.write(asked.text, 'latin1')
      for await (const chunk of socket) {
        received += chunk
        const found = answerIn(received)
        if (found === undefined) continue
        if (found.answer.status !== 200) throw new Error(received)
        asked.learn?.(found.answer)
        received = ''
        if (left-- <= 0) break
        asked = next()
        socket.write(asked.text, 'latin1')
      }
      socket.destroy()
    }),
  )
}

function targetOf(port: number): Target {
  const target = targets.get(port) ?? new Target()
  targets.set(port, target)
  return target
}

answer((question: Rate | Prepare) =>
  'prepare' in question ? prepare(question.prepare) : new Run(question, targetOf(question.port)).keep(),
)
