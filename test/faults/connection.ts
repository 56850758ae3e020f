/** HTTP/1.1 by hand: thousands of requests a second with little of the machine, and it is known what was sent when. */
import { connect, type Socket } from 'node:net'

/** No answer comes. */
export class Broken extends Error {
  /** Whether the server may have read the request: then nobody knows what became of it. */
  readonly sent: boolean
  constructor(sent: boolean, why: string) {
    super(why)
    this.sent = sent
  }
}

export interface Answer {
  status: number
  head: string
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look at single members
  body: any
  /** Code of the first error, if it is one. */
  code: string | undefined
  /** The `__client` cookie it sets, as a Cookie header. */
  cookie: string | undefined
}

export interface Request {
  method?: 'GET' | 'POST' | 'DELETE'
  path: string
  /** A form is sent as one, an object as JSON. */
  form?: Record<string, string> | undefined
  json?: object | undefined
  /** The secret key. */
  key?: string | undefined
  cookie?: string | undefined
  idempotencyKey?: string | undefined
}

/** Where to connect to: a server, or a proxy before one. */
export interface Target {
  port: number
  /** Resolves when it is there: it may be being started again. */
  serving?: Promise<unknown>
}

/** Longer than a server waits for anything. */
const PATIENCE = 20_000

/** One client's connection: kept alive, one request at a time, opened again when it was lost. */
export class Connection implements Disposable {
  readonly #where: () => Target
  readonly #patience: number
  #socket: Socket | undefined
  #port = 0
  #settle: ((answer: Answer | Broken) => void) | undefined
  #received = ''

  /** @param where asked anew each time: a server has another port after it was started again */
  constructor(where: () => Target, patience = PATIENCE) {
    this.#where = where
    this.#patience = patience
  }

  /** @throws Broken */
  async request(request: Request): Promise<Answer> {
    const socket = await this.open()
    const answer = await new Promise<Answer | Broken>(resolve => {
      this.#settle = resolve
      this.#received = ''
      socket.write(textOf(request))
    })
    if (answer instanceof Broken) throw answer
    return answer
  }

  /** Connects, if it is not connected; waits for a server that is being started. @throws Broken */
  async open(): Promise<Socket> {
    await this.#where().serving
    const { port } = this.#where()
    if (this.#socket && this.#port === port && !this.#socket.destroyed) return this.#socket
    this[Symbol.dispose]()
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.setTimeout(this.#patience, () => socket.destroy(new Error(`nothing for ${this.#patience} ms`)))
    await new Promise<void>((resolve, reject) => {
      const refused = (error: Error) => reject(new Broken(false, error.message))
      socket.once('error', refused).once('connect', () => {
        socket.off('error', refused)
        resolve()
      })
    })
    socket.setEncoding('utf8')
    socket.on('error', () => {})
    socket.on('data', (chunk: string) => this.#read(chunk))
    socket.once('close', () => {
      if (this.#socket === socket) this.#answer(new Broken(true, 'the connection was lost'))
    })
    this.#socket = socket
    this.#port = port
    return socket
  }

  #read(chunk: string): void {
    this.#received += chunk
    const end = this.#received.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = this.#received.slice(0, end)
    const text = this.#received.slice(end + 4)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (Buffer.byteLength(text) < length) return
    const status = Number(head.slice(9, 12))
    const cookie = /^set-cookie: (__client=[^;]+)/im.exec(head)?.[1]
    this.#answer({
      status,
      head,
      text,
      get body() {
        return JSON.parse(text)
      },
      code: status < 400 ? undefined : /"code":"(\w+)"/.exec(text)?.[1],
      cookie,
    })
    if (/^connection: close/im.test(head)) this[Symbol.dispose]()
  }

  #answer(answer: Answer | Broken): void {
    const settle = this.#settle
    this.#settle = undefined
    settle?.(answer)
  }

  [Symbol.dispose](): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.destroy()
  }
}

function textOf({ method = 'POST', path, form, json, key, cookie, idempotencyKey }: Request): string {
  const body = form ? new URLSearchParams(form).toString() : json ? JSON.stringify(json) : ''
  const type = form ? 'x-www-form-urlencoded' : 'json'
  return [
    `${method} ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'User-Agent: stagedoor-test',
    ...(key === undefined ? [] : [`Authorization: Bearer ${key}`]),
    ...(cookie === undefined ? [] : [`Cookie: ${cookie}`]),
    ...(idempotencyKey === undefined ? [] : [`Idempotency-Key: ${idempotencyKey}`]),
    ...(body === '' && method === 'GET'
      ? []
      : [`Content-Type: application/${type}`, `Content-Length: ${Buffer.byteLength(body)}`]),
    '',
    body,
  ].join('\r\n')
}
