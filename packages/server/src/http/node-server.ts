import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { Logger } from 'pino'
import { bapi } from '../contract/bapi.ts'
import { ApiError } from '../contract/errors.ts'
import { fapi } from '../contract/fapi.ts'
import { standardHeaders } from './answer.ts'
import { Overload, type Queue, urgentRequests } from './overload.ts'

/** A request has to be there in time, ms: its headers, and all of it. */
const HEADERS_TIMEOUT = 10_000
const REQUEST_TIMEOUT = 30_000
/** How often that is looked at, ms. */
const CHECKING_INTERVAL = 2_000
/** How long a connection may be idle between requests, ms. */
const KEEP_ALIVE_TIMEOUT = 10_000
const MAX_HEADERS = 100
/** Connections that wait to be let in. One too many tries again after a second, then after three: better none is. */
const BACKLOG = 4_096
/** Requests begun and not answered. Each holds memory; a store that does not answer must not fill it. */
const MAX_UNDER_WAY = 1_000
/** Beyond that, whoever has not sent all of a request after so long makes room, ms. */
const SLOW = 1_000
/** A refused client is told to come back after one of these, seconds: not all in the same one. */
const RETRY_AFTER = [1, 2, 3]
/** How long a stopping server lets every connection have a last answer, ms; and how long it waits at most. */
const LAST_ANSWERS = 1_000
const DRAIN_TIMEOUT = 10_000

export interface NodeServerOptions {
  host: string
  port: number
  maxConnections: number
  /** How long work may be kept waiting before more of it is refused, ms. */
  maxWait: number
  /** Where work waits, beside the event loop. */
  queues: (() => Queue)[]
  allowedOrigins: ReadonlySet<string>
  newTraceId(): string
  log: Logger
}

export interface NodeServer {
  listen(): Promise<{ port: number; host: string }>
  /**
   * Lets nobody in any more, and answers everything that has come in.
   * @param lastAnswers how long connections that are idle are left open for one more request, ms
   */
  close(lastAnswers?: number): Promise<void>
}

/** What stands between the network and the app: how many may come, how long they may take, who is sent away, and the end. */
export function nodeServer(handle: RequestListener, options: NodeServerOptions): NodeServer {
  const { log } = options
  const overload = new Overload(options.maxWait, options.queues)
  const isUrgent = urgentRequests([...bapi, ...fapi])
  const refusals = new Refusals(options)
  const underWay = new Map<ServerResponse, number>()
  const connections = new Set<Socket>()
  let closing = false

  /** Somebody who sends too slowly goes, if there is one. */
  const madeRoom = (now: number): boolean => {
    for (const [response, since] of underWay) {
      if (response.req.complete || now - since < SLOW) continue
      underWay.delete(response)
      response.req.socket.destroy()
      return true
    }
    return false
  }

  const server = createServer({ connectionsCheckingInterval: CHECKING_INTERVAL }, (request, response) => {
    const now = performance.now()
    if (closing) response.shouldKeepAlive = false
    const wrong = unreadable(request)
    if (wrong !== undefined) {
      const traceId = options.newTraceId()
      const body = envelope(new ApiError('request_invalid', { params: { why: wrong } }), traceId)
      response.shouldKeepAlive = false
      response.writeHead(400, headerList(traceId, body)).end(body)
      return
    }
    const tooMany = overload.refuses() || (underWay.size >= MAX_UNDER_WAY && !madeRoom(now))
    if (tooMany && !isUrgent(request)) return refusals.answer(request, response)
    underWay.set(response, now)
    response.once('close', () => underWay.delete(response))
    handle(request, response)
  })
  server.headersTimeout = HEADERS_TIMEOUT
  server.requestTimeout = REQUEST_TIMEOUT
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT
  // Beyond its maximum Node leaves headers out without a word; one more than ours shows that there are too many.
  server.maxHeadersCount = MAX_HEADERS + 1
  server.maxConnections = options.maxConnections
  server.on('connection', socket => {
    overload.busy()
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  const dropped = new Summary(count =>
    log.warn(
      { connections: options.maxConnections, dropped: count },
      'connections were closed unanswered: as many as may be are open. Raise STAGEDOOR_MAX_CONNECTIONS if these are honest clients, or keep idle ones away with a proxy',
    ),
  )
  server.on('drop', () => dropped.count())

  return {
    async listen() {
      await new Promise<void>((resolve, reject) => {
        const { port, host } = options
        server.once('error', reject).listen({ port, host, backlog: BACKLOG }, resolve)
      })
      const { port, address: host } = server.address() as { port: number; address: string }
      return { port, host }
    },

    async close(lastAnswers = LAST_ANSWERS) {
      if (!server.listening) return
      closing = true
      for (const response of underWay.keys()) response.shouldKeepAlive = false
      const giveUp = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT)
      // Who has connected by now is let in. Node's own `close` would cut off idle connections at once, and with them the
      // requests that are on their way.
      await quiet()
      const closed = new Promise(resolve => NetServer.prototype.close.call(server, resolve))
      await Promise.race([closed, sleep(lastAnswers)])
      await quiet()
      server.close()
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
      await closed
      clearTimeout(giveUp)
      refusals.end()
      dropped.end()
    },
  }
}

/** Resolves once the event loop has next to nothing to read: what had arrived by then has been read. */
async function quiet(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) {
    const start = performance.now()
    await turn()
    if (turns > 1 && performance.now() - start < 0.5) return
  }
}

/** Why a request is answered 400 at the door, if it is. */
function unreadable({ rawHeaders }: IncomingMessage): string | undefined {
  if (rawHeaders.length > 2 * MAX_HEADERS) return `It has more than ${MAX_HEADERS} headers.`
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  // RFC 9112 §3.2: of two, a proxy may have looked at the other.
  return hosts > 1 ? 'It has more than one Host header.' : undefined
}

/**
 * Answers who cannot be taken on, before anything of the request is looked at. All of one second are told the same trace
 * id: that of their one line in the log.
 */
class Refusals {
  readonly #options: NodeServerOptions
  #ready: { traceId: string; body: string; plain: string[][] } | undefined
  #turn = 0
  readonly #summary: Summary

  constructor(options: NodeServerOptions) {
    this.#options = options
    this.#summary = new Summary(count => {
      options.log.warn(
        { trace_id: this.#ready?.traceId, refused: count },
        'overloaded: requests were answered 503, there is more to do than can be done in time',
      )
      this.#ready = undefined
    })
  }

  answer({ headers: { origin } }: IncomingMessage, response: ServerResponse): void {
    this.#ready ??= this.#prepared()
    const { traceId, body, plain } = this.#ready
    this.#summary.count()
    this.#turn = (this.#turn + 1) % plain.length
    response.sendDate = false
    response.writeHead(503, origin === undefined ? plain[this.#turn] : this.#headers(traceId, body, this.#turn, origin))
    response.end(body)
  }

  end(): void {
    this.#summary.end()
  }

  #prepared() {
    const traceId = this.#options.newTraceId()
    const body = envelope(new ApiError('service_unavailable'), traceId)
    return { traceId, body, plain: RETRY_AFTER.map((_, turn) => this.#headers(traceId, body, turn)) }
  }

  /** A page has to be allowed to read that it should come back. */
  #headers(traceId: string, body: string, turn: number, origin?: string): string[] {
    const retryAfter = String(RETRY_AFTER[turn])
    return headerList(traceId, body, { 'retry-after': retryAfter }, origin, this.#options.allowedOrigins)
  }
}

function envelope(error: ApiError, traceId: string): string {
  return JSON.stringify({ errors: [error], clerk_trace_id: traceId })
}

/** As Node writes fastest: names and values in turn. */
function headerList(
  traceId: string,
  body: string,
  more: Record<string, string> = {},
  origin?: string,
  allowed: ReadonlySet<string> = new Set(),
): string[] {
  return Object.entries({
    ...standardHeaders(traceId, origin, allowed),
    ...more,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  }).flat()
}

/** Counts what would be too much for a log, and says it once a second. */
class Summary {
  readonly #say: (count: number) => void
  #count = 0
  #timer: NodeJS.Timeout | undefined

  constructor(say: (count: number) => void) {
    this.#say = say
  }

  count(): void {
    this.#count += 1
    this.#timer ??= setTimeout(() => this.end(), 1_000).unref()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#count > 0) this.#say(this.#count)
    this.#count = 0
  }
}
