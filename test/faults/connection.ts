/** A minimal HTTP/1.1 client: thousands of requests a second with little CPU, and the caller knows what was sent when. */
import { connect, type Socket } from 'node:net'

/** Thrown when no answer comes. */
export class Broken extends Error {
  /** Whether the server may have read the request; if so, its outcome is unknown. */
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
  /** The code of the first error, if the answer is an error. */
  code: string | undefined
  /** The `__client` cookie that it sets, as a Cookie header. */
  cookie: string | undefined
}

export interface Request {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  /** `form` is sent as a form, `json` as JSON. */
  form?: Record<string, string> | undefined
  json?: object | undefined
  /** The secret key. */
  key?: string | undefined
  cookie?: string | undefined
  idempotencyKey?: string | undefined
}

/** The target of a connection: a server, or a proxy in front of one. */
export interface Target {
  port: number
  /** Resolves when the target serves; it may be restarting. */
  serving?: Promise<unknown>
}

/** Longer than any timeout of a server. */
const PATIENCE = 20_000

/** One client's connection: keep-alive, one request at a time, reopened after it is lost. */
export class Connection implements Disposable {
  readonly #where: () => Target
  readonly #patience: number
  #socket: Socket | undefined
  #port = 0
  #settle: ((answer: Answer | Broken) => void) | undefined
  #received = ''

  /** @param where returns the target; called for each connection, because a restarted server has another port */
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

  /** Connects if necessary, and waits for a server that is starting. @throws Broken */
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
