import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { COMMAND } from './command.ts'
import { bareEnv } from './processes.ts'
import { until } from './time.ts'

/** `stagedoor serve` in its own process, as an operator starts it. */
export interface Serving extends AsyncDisposable {
  url: string
  /** The address of its metrics, if STAGEDOOR_METRICS_PORT is set. */
  metricsURL: string
  secretKey: string
  /** A folder that has only its database. */
  directory: string
  env: Record<string, string>
  process: ChildProcess
  /** What it has printed so far: its log. */
  output(): string
  printed(pattern: RegExp): Promise<void>
  /** Asks it to stop, or waits until it stops. @returns its exit code */
  stopped(signal?: NodeJS.Signals): Promise<number | null>
  /** Runs a command on the same database while the server runs. @returns what it printed */
  command(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }>
}

/**
 * @param options.env settings that override the defaults of these tests
 * @param options.node options of Node itself
 * @param options.directory the folder of the database; a new folder by default
 */
export async function serving(
  options: { env?: Record<string, string>; node?: string[]; directory?: string } = {},
): Promise<Serving> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'stagedoor-serving-'))
  const secretKey = options.env?.STAGEDOOR_SECRET_KEY ?? `sk_live_${randomBytes(24).toString('hex')}`
  const env: Record<string, string> = {
    ...bareEnv,
    STAGEDOOR_DATABASE_URL: `sqlite:${join(directory, 'stagedoor.db')}`,
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
    STAGEDOOR_SECRET_KEY: secretKey,
    STAGEDOOR_SIGNING_ALG: 'EdDSA',
    STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
    STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
    STAGEDOOR_PORT: '0',
    ...options.env,
  }
  const start = (node: string[], args: string[]) =>
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...node, COMMAND, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const child = start(options.node ?? [], ['serve'])
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      output += chunk
    })
  }
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  const serving: Serving = {
    url: '',
    metricsURL: '',
    secretKey,
    directory,
    env,
    process: child,
    output: () => output,
    async printed(pattern) {
      const failure = () => `${pattern} was not printed: ${output}`
      await until(() => pattern.test(output) || child.exitCode !== null, failure, 30_000)
      if (!pattern.test(output)) throw new Error(failure())
    },
    stopped(signal) {
      if (signal) child.kill(signal)
      return ended
    },
    command(...args) {
      const command = start([], args)
      const text = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr'] as const) {
        command[name].on('data', chunk => {
          text[name] += chunk
        })
      }
      return new Promise(resolve => command.once('close', code => resolve({ code, ...text })))
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true })
    },
  }
  try {
    await serving.printed(/"serving"/)
  } catch (error) {
    await serving[Symbol.asyncDispose]()
    throw error
  }
  const [, port] = /"port":(\d+)/.exec(output) ?? []
  const [, metricsPort] = /"metrics_port":(\d+)/.exec(output) ?? []
  serving.url = `http://127.0.0.1:${port}`
  serving.metricsURL = `http://127.0.0.1:${metricsPort}/metrics`
  return serving
}

export interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: Record<string, unknown>
  links: { traceId: string; spanId: string }[]
  status: { code?: number; message?: string }
}

/** Receives spans as a collector does: OTLP over HTTP, as JSON. */
export interface Collector extends AsyncDisposable {
  url: string
  /** Everything received, unchanged. */
  received(): Buffer
  spans(): Span[]
  resource(): Record<string, unknown>
}

export async function collector(): Promise<Collector> {
  const bodies: Buffer[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      if (request.url === '/v1/traces') bodies.push(Buffer.concat(chunks))
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of the protocol
  const resources = () => bodies.flatMap(body => JSON.parse(body.toString()).resourceSpans) as any[]
  return {
    url: `http://127.0.0.1:${port}`,
    received: () => Buffer.concat(bodies),
    spans: () =>
      resources()
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans)
        .map(span => ({ ...span, attributes: plain(span.attributes), links: span.links ?? [] })),
    resource: () => plain(resources()[0]?.resource.attributes),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** The file that the documentation tells operators to load before everything else. */
export const TRACING = ['--import', fileURLToPath(new URL('../../deploy/tracing.mjs', import.meta.url))]

function plain(attributes: { key: string; value: Record<string, unknown> }[] = []): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
