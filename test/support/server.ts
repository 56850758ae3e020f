import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Logger, pino } from 'pino'
import { loadConfig } from '../../packages/server/src/config.ts'
import type { Clock } from '../../packages/server/src/domain/clock.ts'
import { createStagedoor, migrateDatabase, type Stagedoor } from '../../packages/server/src/server.ts'
import { assertInContract } from './contract.ts'
import { type PostgresCluster, startPostgres } from './postgres/cluster.ts'

/** A clock that moves only on request: `clock.advance(seconds)`. */
export interface TestClock extends Clock {
  advance(seconds: number): void
  set(milliseconds: number): void
}

export function fixedClock(start: string | number = '2026-01-01T00:00:00Z'): TestClock {
  let now = new Date(start).getTime()
  return {
    now: () => now,
    advance: seconds => {
      now += seconds * 1_000
    },
    set: milliseconds => {
      now = milliseconds
    },
  }
}

/** `TEST_DATABASE=postgres` runs the same tests on PostgreSQL. */
const ON_POSTGRES = process.env.TEST_DATABASE === 'postgres'

let cluster: Promise<{ cluster: PostgresCluster; template: string }> | undefined

// Belongs to the whole file, not to the test that first needs it.
after(async () => (await cluster)?.cluster[Symbol.asyncDispose]())

/** Creates an empty database on a PostgreSQL that belongs to this process. @returns its URL */
async function newPostgresDatabase(): Promise<string> {
  cluster ??= (async () => {
    // Fast settings without durability: these tests do not simulate power failures.
    const started = await startPostgres({
      settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' },
    })
    const url = await started.createDatabase()
    await migrateDatabase(url)
    return { cluster: started, template: new URL(url).pathname.slice(1) }
  })()
  const { cluster: running, template } = await cluster
  return running.createDatabase(template)
}

/** Returns the number of repetitions: `short` in `npm test`, `deep` in `npm run test:deep`. */
export function times(short: number, deep: number): number {
  return process.env.TEST_DEEP === undefined ? short : deep
}

/** Prints the result of a deep run. Results of short runs mean little. */
export function goal(id: string, value: number, target: string, reached: boolean): void {
  if (process.env.TEST_DEEP === undefined) return
  console.log(`goal ${id}: ${Number(value.toPrecision(3))} ${target} ${reached ? 'PASS' : 'FAIL'}`)
}

/** Returns the memory in use after garbage collection, in MB. */
export function memoryInUse(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 1e6
}

export const SECRET_KEY = `sk_test_${randomBytes(24).toString('hex')}`

export interface TestServer extends AsyncDisposable {
  stagedoor: Stagedoor
  /** The master key, to start another server on the same database. */
  masterKey: string
  clock: TestClock
  /** Calls the server in process. Objects are sent as JSON, strings unchanged; the secret key is sent unless `headers` override it. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string | undefined>): Promise<Answer>
  /** Posts as a browser does: a form, without a key. */
  post(path: string, form: Record<string, string>, headers?: Record<string, string | undefined>): Promise<Answer>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  createUser(fields?: object): Promise<{ id: string; [member: string]: any }>
  /** Creates a pending actor token for a new user, or for the given one. */
  createActorToken(fields?: object): Promise<{ id: string; token: string; url: string; user_id: string }>
  /** Redeems an actor token in a browser. Returns the session, with its cookie. */
  signIn(fields?: object): Promise<{
    session_id: string
    cookie: string
    user_id: string
    client_id: string
    ticket: string
    token_id: string
  }>
  auditEvents(filter?: Record<string, string>): Promise<AuditEventBody[]>
  listen(): Promise<string>
}

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: bodies are checked against the contract by the server itself
  body: any
  text: string
  /** The error codes, in order. */
  codes: string[]
}

export interface AuditEventBody {
  id: string
  seq: number
  action: string
  outcome: 'done' | 'refused'
  code: string | null
  actor_token_id: string | null
  session_id: string | null
  user_id: string | null
  actor_sub: string | null
  principal: { type: string; id: string | null }
  reason: string | null
  [member: string]: unknown
}

export interface TestServerOptions {
  /** Settings, by the names of their environment variables. */
  env?: Record<string, string>
  clock?: TestClock
  /** The destination of the log; none by default. */
  log?: Logger
  /** Use the machine's clock instead of one that stands still. */
  realTime?: boolean
  /** Whether every answer is checked against the contract. Default: `true`. */
  checkResponses?: boolean
}

/** Starts a real server on a real database file, called in process or, after `listen`, over HTTP on a free port. */
export async function testServer(options: TestServerOptions = {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-test-'))
  const clock = options.clock ?? fixedClock()
  const config = loadConfig({
    STAGEDOOR_DATABASE_URL: ON_POSTGRES ? await newPostgresDatabase() : `sqlite:${join(directory, 'test.db')}`,
    STAGEDOOR_DATABASE_POOL_SIZE: '4',
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
    STAGEDOOR_SECRET_KEY: SECRET_KEY,
    STAGEDOOR_ENVIRONMENT: 'development',
    STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:4100',
    STAGEDOOR_SIGN_IN_URL: 'http://127.0.0.1:4101/sign-in',
    STAGEDOOR_PORT: '0',
    ...options.env,
  })
  const log = options.log ?? pino({ level: 'silent' })
  const stagedoor = await createStagedoor(config, {
    ...(options.realTime ? {} : { clock }),
    log,
    checkResponses: options.checkResponses ?? true,
  })

  const call: TestServer['call'] = async (method, path, body, headers = {}) => {
    const given = {
      authorization: `Bearer ${SECRET_KEY}`,
      'content-type': body === undefined ? undefined : 'application/json',
      ...headers,
    }
    const sent = Object.entries(given).filter((header): header is [string, string] => header[1] !== undefined)
    const response = await stagedoor.fetch(
      new Request(`http://127.0.0.1:4100${path}`, {
        method,
        headers: sent,
        redirect: 'manual',
        ...(body === undefined
          ? {}
          : {
              body:
                typeof body === 'string' || body instanceof Uint8Array
                  ? (body as string | Uint8Array<ArrayBuffer>)
                  : JSON.stringify(body),
            }),
      }),
    )
    // Event streams never end: the test that wants one reads it itself.
    const streams = response.headers.get('content-type') === 'text/event-stream'
    if (streams) await response.body?.cancel()
    const text = streams ? '' : await response.text()
    const json =
      response.headers.get('content-type') === 'application/json' && text !== '' ? JSON.parse(text) : undefined
    // Every answer in every test is checked against the OpenAPI documents.
    const isPage = response.headers.get('content-type')?.startsWith('text/html') === true
    assertInContract(method, path, response.status, json, isPage)
    return {
      status: response.status,
      headers: response.headers,
      body: json,
      text,
      codes: (json?.errors ?? []).map((error: { code: string }) => error.code),
    }
  }

  const server: TestServer = {
    stagedoor,
    masterKey: config.master_key ?? '',
    clock,
    call,

    post: (path, form, headers) =>
      call('POST', path, new URLSearchParams(form).toString(), {
        authorization: undefined,
        'content-type': 'application/x-www-form-urlencoded',
        ...headers,
      }),

    async createUser(fields = {}) {
      return expectOk(await call('POST', '/v1/users', fields))
    },

    async createActorToken(fields = {}) {
      const user_id = (fields as { user_id?: string }).user_id ?? (await server.createUser()).id
      return expectOk(await call('POST', '/v1/actor_tokens', { user_id, actor: { sub: 'user_operator' }, ...fields }))
    },

    async signIn(fields = {}) {
      const token = await server.createActorToken(fields)
      const answer = await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: token.token })
      const { response, client } = expectOk(answer)
      return {
        session_id: response.created_session_id,
        cookie: cookieOf(answer),
        user_id: token.user_id,
        client_id: client.id,
        ticket: token.token,
        token_id: token.id,
      }
    },

    async auditEvents(filter = {}) {
      return expectOk(await call('GET', `/v1/audit_events?${new URLSearchParams({ limit: '500', ...filter })}`))
    },

    async listen() {
      const { port } = await stagedoor.listen()
      return `http://127.0.0.1:${port}`
    },

    async [Symbol.asyncDispose]() {
      // Only this process uses its connections.
      await stagedoor.close(0)
      rmSync(directory, { recursive: true, force: true })
    },
  }
  return server
}

/** Returns the body of an answer, which must be 200. */
export function expectOk(answer: Answer): Answer['body'] {
  if (answer.status !== 200) throw new Error(`expected 200, got ${answer.status}: ${answer.text}`)
  return answer.body
}

/** Returns the `__client` cookie that an answer sets, as a Cookie header. */
export function cookieOf(answer: Answer): string {
  return (
    answer.headers
      .getSetCookie()
      .find(cookie => cookie.startsWith('__client='))
      ?.split(';')[0] ?? ''
  )
}

/** Returns the claims of a JWT, unverified. */
// biome-ignore lint/suspicious/noExplicitAny: tests look at single claims
export function claimsOf(jwt: string): any {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
}
