import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { bapi } from '../../contract/bapi.ts'
import { consoleOperations } from '../../contract/console.ts'
import { fapi } from '../../contract/fapi.ts'
import { MAX_BODY_BYTES } from '../input.ts'
import { EarlyRejections, type EarlyRejectionsOptions, type Rejection } from './early-rejections.ts'
import { LoadShedder, neverShedRequests, type Queue } from './load-shedding.ts'
import type { RateLimits } from './rate-limits.ts'

/** Timeouts for receiving the headers of a request, and the whole request, in ms. */
const HEADERS_TIMEOUT = 10_000
const REQUEST_TIMEOUT = 30_000
/** Interval between checks of these timeouts, in ms. */
const CHECKING_INTERVAL = 2_000
/** If a client gets its answer before it has sent the whole request, it may continue sending for this time, in ms, and up to MAX_BODY_BYTES. */
const LINGER = 2_000
/** Maximum idle time of a connection between requests, in ms. */
const KEEP_ALIVE_TIMEOUT = 10_000
const MAX_HEADERS = 100
/** Backlog of connections that wait to be accepted. A connection beyond it is retried after 1 s, then 3 s, so the backlog is large. */
const BACKLOG = 4_096
/** Maximum number of requests in flight. It bounds memory if the store does not answer. */
const MAX_IN_FLIGHT = 1_000
/** At that maximum, requests that are still incomplete after this time are evicted, in ms. */
const SLOW = 1_000
/** Time in which a stopping server still answers requests on open connections, and its maximum time to stop; in ms. */
const LAST_ANSWERS = 1_000
const DRAIN_TIMEOUT = 10_000

export interface NodeServerOptions extends EarlyRejectionsOptions {
  host: string
  port: number
  /** Whether other servers may listen on the same port. The kernel then gives each connection to one of them. */
  reusePort: boolean
  maxConnections: number
  /** Maximum time that work waits before further requests are rejected, in ms. */
  maxWait: number
  /** Queues in which work waits, in addition to the event loop. */
  queues: Queue[]
  /** Rejects requests of keys that are known to be over their limit, without reading the request. */
  limits: Pick<RateLimits, 'earlyRejection'>
}

export interface NodeServer {
  listen(): Promise<{ port: number; host: string }>
  /**
   * Stops listening, and answers every request that has arrived.
   * @param lastAnswers how long idle connections stay open for one more request, in ms
   */
  close(lastAnswers?: number): Promise<void>
}

/** Creates the server between the network and the app: connection limits, timeouts, load shedding and graceful stop. */
export function nodeServer(handle: RequestListener, options: NodeServerOptions): NodeServer {
  const loadShedder = new LoadShedder(options.maxWait, options.queues)
  const isNeverShed = neverShedRequests([...bapi, ...fapi, ...consoleOperations])
  const earlyRejections = new EarlyRejections(options)
  const inFlight = new RequestsInFlight()
  const connections = new Set<Socket>()
  /** Connections and requests so far. */
  let arrived = 0
  let closing = false

  const server = createServer({ connectionsCheckingInterval: CHECKING_INTERVAL }, (request, response) => {
    const now = performance.now()
    arrived += 1
    if (closing) response.shouldKeepAlive = false
    response.once('close', () => {
      inFlight.delete(response)
      if (!request.complete) discardRest(request)
    })
    const why = unreadable(request)
    if (why !== undefined) {
      response.shouldKeepAlive = false
      return earlyRejections.reject(request, response, { code: 'request_invalid', why })
    }
    const isOverloaded = loadShedder.shouldShed() || !inFlight.hasRoom(now)
    const rejection = options.limits.earlyRejection(request) ?? (isOverloaded ? unavailable() : undefined)
    if (rejection && !isNeverShed(request)) return earlyRejections.reject(request, response, rejection)
    inFlight.add(response, now)
    handle(request, response)
  })
  setRequestLimits(server)
  server.maxConnections = options.maxConnections
  server.on('connection', socket => {
    loadShedder.startTurn()
    arrived += 1
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
  })
  const dropped = droppedConnections(options)
  server.on('drop', () => dropped.count())

  return {
    async listen() {
      await new Promise<void>((resolve, reject) => {
        const { port, host, reusePort } = options
        server.once('error', reject).listen({ port, host, reusePort, backlog: BACKLOG }, resolve)
      })
      const { port, address: host } = server.address() as { port: number; address: string }
      return { port, host }
    },

    async close(lastAnswers = LAST_ANSWERS) {
      if (!server.listening) return
      const giveUp = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT)
      // Accept every connection that has arrived by now. Node's own `close` would close idle connections immediately, and
      // lose requests that are on their way.
      await untilQuiet(() => arrived)
      const closed = new Promise(resolve => NetServer.prototype.close.call(server, resolve))
      closing = true
      inFlight.closeConnectionsAfterAnswers()
      await Promise.race([closed, sleep(lastAnswers)])
      await untilQuiet(() => arrived)
      server.close()
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
      await closed
      clearTimeout(giveUp)
      earlyRejections.end()
      dropped.end()
    },
  }
}

/** The requests that the app is answering, with their start times, by `performance.now()`. */
class RequestsInFlight {
  readonly #started = new Map<ServerResponse, number>()

  add(response: ServerResponse, now: number): void {
    this.#started.set(response, now)
  }

  delete(response: ServerResponse): void {
    this.#started.delete(response)
  }

  /** Returns whether the app can take one more request. At the maximum, it first tries to evict a slow one. */
  hasRoom(now: number): boolean {
    return this.#started.size < MAX_IN_FLIGHT || this.#evictSlowest(now)
  }

  /** Stops counting an answer that is only being sent, or drops a client that sends too slowly. @returns whether it found one */
  #evictSlowest(now: number): boolean {
    for (const [response, since] of this.#started) {
      if (!response.headersSent && (response.req.complete || now - since < SLOW)) continue
      this.#started.delete(response)
      if (!response.headersSent) response.req.socket.destroy()
      return true
    }
    return false
  }

  closeConnectionsAfterAnswers(): void {
    for (const response of this.#started.keys()) response.shouldKeepAlive = false
  }
}

function setRequestLimits(server: HttpServer): void {
  server.headersTimeout = HEADERS_TIMEOUT
  server.requestTimeout = REQUEST_TIMEOUT
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT
  // Node silently drops headers beyond its own maximum. Set that one higher, so that `unreadable` sees when there are too many.
  server.maxHeadersCount = MAX_HEADERS + 1
}

function droppedConnections({ log, maxConnections }: NodeServerOptions): Summary {
  return new Summary(count =>
    log.warn(
      { connections: maxConnections, dropped: count },
      'connections were closed without an answer because the maximum is open. Raise STAGEDOOR_MAX_CONNECTIONS if these are legitimate clients, or use a proxy that holds idle connections',
    ),
  )
}

/**
 * Resolves after a turn of the event loop in which nothing arrived, so everything that arrived before has been read.
 * @param arrivals returns the number of arrivals so far
 */
async function untilQuiet(arrivals: () => number): Promise<void> {
  for (let turns = 0; turns < 100; turns++) {
    const before = arrivals()
    await turn()
    if (turns > 0 && arrivals() === before) return
  }
}

/** Rejects with a Retry-After of one, two or three seconds, so that callers do not all return in the same second. */
function unavailable(): Rejection {
  return { code: 'service_unavailable', seconds: 1 + Math.floor(performance.now() % 3) }
}

/** Limits the rest of a request that was answered before it was complete. Node discards the rest; this sets a time and size limit. */
function discardRest(request: IncomingMessage): void {
  const { socket } = request
  const { bytesRead } = socket
  const until = performance.now() + LINGER
  const timer = setInterval(() => {
    if (request.complete || socket.destroyed) clearInterval(timer)
    else if (socket.bytesRead - bytesRead > MAX_BODY_BYTES || performance.now() > until) socket.destroy()
  }, 50).unref()
}

/** Returns why a request is answered 400 before it reaches the app, or undefined. */
function unreadable({ rawHeaders }: IncomingMessage): string | undefined {
  if (rawHeaders.length > 2 * MAX_HEADERS) return `It has more than ${MAX_HEADERS} headers.`
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  // RFC 9112 §3.2: with two Host headers, a proxy may have used the other one.
  return hosts > 1 ? 'It has more than one Host header.' : undefined
}

/** Counts events that are too frequent for a log, and reports the count once a second. */
class Summary {
  readonly #report: (count: number) => void
  #count = 0
  #timer: NodeJS.Timeout | undefined

  constructor(report: (count: number) => void) {
    this.#report = report
  }

  count(): void {
    this.#count += 1
    this.#timer ??= setTimeout(() => this.end(), 1_000).unref()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#count > 0) this.#report(this.#count)
    this.#count = 0
  }
}
