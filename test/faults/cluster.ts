/** Real servers, each in its own process with production secrets, which tests kill, freeze and restart. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { COMMAND } from '../support/command.ts'
import { patience } from '../support/time.ts'

const root = new URL('../../', import.meta.url)
/** Tests start servers thousands of times, so the servers share a compile cache. */
const COMPILED = fileURLToPath(new URL('node_modules/.cache/stagedoor-faults', root))
const READY_TIMEOUT = patience(15_000)
const LIMITS = ['KEY', 'ADDRESS', 'REDEEM', 'FAILURES']
const KEPT_LOG = 100_000

/** All child processes, which are killed when the test process exits. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))

export interface ServerOptions {
  /** Settings that override those of the cluster, and other environment variables. */
  env?: Record<string, string>
  /** A command that starts the server; the Node command line is appended to it. */
  through?: string[]
}

/** A server that did not start, with its output. */
export class NotStarted extends Error {
  readonly code: number | null
  readonly output: string
  constructor(code: number | null, output: string) {
    super(`the server ended with ${code}: ${output}`)
    this.code = code
    this.output = output
  }
}

/** One server. It listens on a different free port each time it starts. */
export class Server {
  port = 0
  readonly #env: Record<string, string>
  readonly #through: string[]
  #child: ChildProcess | undefined
  #output = ''
  #up = Promise.withResolvers<void>()
  #gone: Promise<number | null> = Promise.resolve(null)

  constructor(env: Record<string, string>, { through = [], env: more = {} }: ServerOptions = {}) {
    this.#env = { ...env, ...more }
    this.#through = through
  }

  /** Resolves when it serves; immediately if it serves already. */
  get serving(): Promise<void> {
    return this.#up.promise
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  /** Its output since the last start. */
  get output(): string {
    return this.#output
  }

  /**
   * Starts it and waits until it serves.
   * @returns the duration of the start, in ms
   * @throws NotStarted
   */
  async start(): Promise<number> {
    const from = performance.now()
    const [command = '', ...args] = [
      ...this.#through,
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      COMMAND,
    ]
    const child = spawn(command, [...args, 'serve'], {
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILED, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#output = ''
    running.add(child)
    this.#gone = new Promise(resolve => {
      child.once('close', code => {
        running.delete(child)
        if (this.#child === child) this.#child = undefined
        resolve(code)
      })
    })
    const serving = new Promise<number>(resolve => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          this.#output = (this.#output + text).slice(-KEPT_LOG)
          const port = /"port":(\d+).*"serving"/.exec(this.#output)?.[1]
          if (port) resolve(Number(port))
        })
      }
    })
    const ended = this.#gone.then(code => {
      throw new NotStarted(code, this.#output)
    })
    const late = sleep(READY_TIMEOUT, undefined, { ref: false }).then(() => {
      throw new NotStarted(null, `it did not serve within ${READY_TIMEOUT} ms. ${this.#output}`)
    })
    ended.catch(() => {})
    this.port = await Promise.race([serving, ended, late])
    this.#up.resolve()
    return performance.now() - from
  }

  /** Runs a command with the same settings. @returns what it printed */
  async command(...args: string[]): Promise<{ code: number | null; stdout: string }> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', COMMAND, ...args], {
      env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: COMPILED, ...this.#env },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      stdout += text
    })
    const code = await new Promise<number | null>(resolve => child.once('close', resolve))
    return { code, stdout }
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** Freezes it for a while. */
  async pause(milliseconds: number): Promise<void> {
    const child = this.#child
    child?.kill('SIGSTOP')
    await sleep(milliseconds)
    child?.kill('SIGCONT')
  }

  /** Sends SIGKILL, so that it cannot clean up. */
  async kill(): Promise<void> {
    this.#up = Promise.withResolvers()
    this.#child?.kill('SIGKILL')
    await this.#gone
  }

  /** Asks it to stop. @returns its exit code */
  async stop(): Promise<number | null> {
    this.#child?.kill('SIGTERM')
    return this.#gone
  }
}

export interface Cluster extends AsyncDisposable {
  servers: Server[]
  secretKey: string
  /** The environment of all servers. */
  env: Record<string, string>
  /** Adds a server on the same database, without starting it. */
  server(options?: ServerOptions): Server
}

/** Starts `count` servers on one database, one after another. */
export async function cluster(
  database: { url: string },
  count: number,
  options: ServerOptions | ((index: number) => ServerOptions) = {},
): Promise<Cluster> {
  const secretKey = `sk_live_${randomBytes(32).toString('hex')}`
  const env = {
    STAGEDOOR_DATABASE_URL: database.url,
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
    STAGEDOOR_SECRET_KEY: secretKey,
    STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:4100',
    STAGEDOOR_SIGN_IN_URL: 'http://127.0.0.1:4101/sign-in',
    STAGEDOOR_PORT: '0',
    // Longer than the tests move clocks, so that no session reaches its idle limit.
    STAGEDOOR_SESSION_IDLE_TIMEOUT_SECONDS: '86400',
    // Fast signatures: these tests are not about signing.
    STAGEDOOR_SIGNING_ALG: 'EdDSA',
    // One client sends all requests as fast as it can, and the machine may be busy with other work.
    STAGEDOOR_MAX_WAIT_MS: '60000',
    ...Object.fromEntries(LIMITS.map(limit => [`STAGEDOOR_RATE_LIMIT_${limit}`, 'none'])),
  }
  const all: Server[] = []
  const made: Cluster = {
    servers: [],
    secretKey,
    env,
    server(own = {}) {
      const server = new Server(env, own)
      all.push(server)
      return server
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(all.map(server => server.kill()))
    },
  }
  try {
    for (let i = 0; i < count; i++) {
      const server = made.server(typeof options === 'function' ? options(i) : options)
      made.servers.push(server)
      await server.start()
    }
  } catch (error) {
    await made[Symbol.asyncDispose]()
    throw error
  }
  return made
}
