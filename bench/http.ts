import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** A minimal HTTP/1.1 client for the loads: text over a socket, without a library. */

export interface Answer {
  status: number
  head: string
  body: string
}

/** Body of a request for an actor token, without the user. */
export const ACTOR_TOKEN = {
  actor: { sub: 'user_2OperatorOperatorOperator01', reason: 'ticket 4711' },
  expires_in_seconds: 3_600,
}

export const bearer = (secretKey: string | undefined) => `Authorization: Bearer ${secretKey}\r\n`

export function get(path: string, headers = ''): string {
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: stagedoor-bench\r\nAccept: */*\r\n${headers}\r\n`
}

export function post(path: string, type: 'json' | 'x-www-form-urlencoded', body: string, headers = ''): string {
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: stagedoor-bench\r\nAccept: */*\r\n${headers}Content-Type: application/${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

export function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.once('connect', () => resolve(socket)).once('error', reject)
  })
}

/** Opens a connection to a server elsewhere, by the origin of its URL. */
export function openedTo(origin: string): Promise<Socket> {
  const { protocol, hostname, port } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  const tls = protocol === 'https:'
  const where = { host, port: Number(port || (tls ? 443 : 80)), noDelay: true }
  return new Promise((resolve, reject) => {
    const socket = tls ? connectTls({ ...where, servername: host, ALPNProtocols: ['http/1.1'] }) : connect(where)
    socket.once(tls ? 'secureConnect' : 'connect', () => resolve(socket)).once('error', reject)
  })
}

/**
 * Returns the first answer in the received text, or undefined while it is incomplete.
 * @throws Error if it has no Content-Length
 */
export function answerIn(received: string): { answer: Answer; end: number } | undefined {
  const headEnd = received.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = received.slice(0, headEnd)
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
  if (length === undefined && /\r\ntransfer-encoding: chunked/i.test(head)) return chunkedAnswerIn(received, head)
  if (length === undefined) throw new Error(`an answer without Content-Length:\n${head}`)
  const end = headEnd + 4 + Number(length)
  if (received.length < end) return undefined
  return { answer: { status: Number(head.slice(9, 12)), head, body: received.slice(headEnd + 4, end) }, end }
}

/** Parses a chunked answer, as other products send it. Expects one answer at a time, which ends the received text. */
function chunkedAnswerIn(received: string, head: string): { answer: Answer; end: number } | undefined {
  if (!received.endsWith('\r\n0\r\n\r\n')) return undefined
  let body = ''
  for (let at = head.length + 4; ; ) {
    const line = received.indexOf('\r\n', at)
    const size = Number.parseInt(received.slice(at, line), 16)
    if (size === 0) break
    body += received.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
  return { answer: { status: Number(head.slice(9, 12)), head, body }, end: received.length }
}

/** Returns the `__client` cookie that an answer sets, in the form of a Cookie header. */
export function clientCookieOf(head: string): string | undefined {
  return /^set-cookie: (__client=[^;]+)/im.exec(head)?.[1]
}
