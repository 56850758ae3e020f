import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { bapi } from '../contract/bapi.ts'
import { fapi } from '../contract/fapi.ts'
import { MAX_BODY_BYTES } from './body.ts'
import { Overload, type Queue, urgentRequests } from './overload.ts'
import { ReadyAnswers, type ReadyAnswersOptions, type SentAway } from './ready-answers.ts'

/** A request has to be there in time, ms: its headers, and all of it. */
const HEADERS_TIMEOUT = 10_000
const REQUEST_TIMEOUT = 30_000
/** How often that is looked at, ms. */
const CHECKING_INTERVAL = 2_000
/** Whoever is answered before having sent all of a request may go on for so long, and for as long as a body may be; ms. */
const LINGER = 2_000
/** How long a connection may be idle between requests, ms. */
const KEEP_ALIVE_TIMEOUT = 10_000
const MAX_HEADERS = 100
/** Connections that wait to be let in. One too many tries again after a second, then after three: better none is. */
const BACKLOG = 4_096
/** Requests begun and not answered. Each holds memory; a store that does not answer must not fill it. */
const MAX_UNDER_WAY = 1_000
/** Beyond that, whoever has not sent all of a request after so long makes room, ms. */
const SLOW = 1_000
/** How long a stopping server lets every connection have a last answer, ms; and how long it waits at most. */
const LAST_ANSWERS = 1_000
const DRAIN_TIMEOUT = 10_000

export interface NodeServerOptions extends ReadyAnswersOptions {
  host: string
  port: number
  /** Other processes listen at the same address: the kernel gives each connection to one of them. */
  shared: boolean
  maxConnections: number
  /** How long work may be kept waiting before more of it is refused, ms. */
  maxWait: number
  /** Where work waits, beside the event loop. */
  queues: (() => Queue)[]
  /** Whether a request is known to be beyond a limit, without looking it over. */
  limited(request: IncomingMessage): SentAway | undefined
}

export interface NodeServer {
  listen(): Promise<{ port: number; host: string }>
  /**
   * Lets nobody in any more, and answers everything that has come in.
   * @param lastAnswers how long connections that are idle are left open for one more request, ms
   * @param othersToo resolves when nobody is let in at this address any more, by other processes either: until then
   *   nobody is told to connect anew
   */
  close(lastAnswers?: number, othersToo?: () => Promise<unknown>): Promise<void>
}

/** What stands between the network and the app: how many may come, how long they may take, who is sent away, and the end. */
export function nodeServer(handle: RequestListener, options: NodeServerOptions): NodeServer {
  const { log } = options
  const overload = new Overload(options.maxWait, options.queues)
  const isUrgent = urgentRequests([...bapi, ...fapi])
  const answers = new ReadyAnswers(options)
  const underWay = new Map<ServerResponse, number>()
  const connections = new Set<Socket>()
  /** Connections and requests so far. */
  let arrived = 0
  let closing = false

  /** What is only being sent is no work any more; and somebody who sends too slowly goes, if there is one. */
  const madeRoom = (now: number): boolean => {
    for (const [response, since] of underWay) {
      if (!response.headersSent && (response.req.complete || now - since < SLOW)) continue
      underWay.delete(response)
      if (!response.headersSent) response.req.socket.destroy()
      return true
    }
    return false
  }

  const server = createServer({ connectionsCheckingInterval: CHECKING_INTERVAL }, (request, response) => {
    const now = performance.now()
    arrived += 1
    if (closing) response.shouldKeepAlive = false
    response.once('close', () => {
      underWay.delete(response)
      if (!request.complete) discardRest(request)
    })
    const why = unreadable(request)
    if (why !== undefined) {
      response.shouldKeepAlive = false
      return answers.sendAway(request, response, { code: 'request_invalid', why })
    }
    const tooMany = overload.refuses() || (underWay.size >= MAX_UNDER_WAY && !madeRoom(now))
    const refusal = options.limited(request) ?? (tooMany ? unavailable() : undefined)
    if (refusal && !isUrgent(request)) return answers.sendAway(request, response, refusal)
    underWay.set(response, now)
    handle(request, response)
  })
  server.headersTimeout = HEADERS_TIMEOUT
  server.requestTimeout = REQUEST_TIMEOUT
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT
  // Beyond its maximum Node left headers out without a word, before it refused them: one more than ours shows.
  server.maxHeadersCount = MAX_HEADERS + 1
  server.maxConnections = options.maxConnections
  server.on('connection', socket => {
    overload.busy()
    arrived += 1
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
        const { port, host, shared } = options
        server.once('error', reject).listen({ port, host, reusePort: shared, backlog: BACKLOG }, resolve)
      })
      const { port, address: host } = server.address() as { port: number; address: string }
      return { port, host }
    },

    async close(lastAnswers = LAST_ANSWERS, othersToo = async () => {}) {
      if (!server.listening) return
      const giveUp = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT)
      // Who has connected by now is let in. Node's own `close` would cut off idle connections at once, and with them
      // requests that are on their way.
      await quiet()
      const closed = new Promise(resolve => NetServer.prototype.close.call(server, resolve))
      await othersToo()
      closing = true
      for (const response of underWay.keys()) response.shouldKeepAlive = false
      await Promise.race([closed, sleep(lastAnswers)])
      await quiet()
      server.close()
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
      await closed
      clearTimeout(giveUp)
      answers.end()
      dropped.end()
    },
  }

  /** Resolves after a turn of the event loop in which nothing came: what had arrived by then has been read. */
  async function quiet(): Promise<void> {
    for (let turns = 0; turns < 100; turns++) {
      const before = arrived
      await turn()
      if (turns > 0 && arrived === before) return
    }
  }
}

/** They are told to come back after one, two or three seconds: not all in the same one. */
function unavailable(): SentAway {
  return { code: 'service_unavailable', seconds: 1 + Math.floor(performance.now() % 3) }
}

/** Answered before all of it was there: Node throws the rest away, and this sees to it that there is an end to it. */
function discardRest(request: IncomingMessage): void {
  const { socket } = request
  const { bytesRead } = socket
  const until = performance.now() + LINGER
  const timer = setInterval(() => {
    if (request.complete || socket.destroyed) clearInterval(timer)
    else if (socket.bytesRead - bytesRead > MAX_BODY_BYTES || performance.now() > until) socket.destroy()
  }, 50).unref()
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
