import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { type Logger, pino } from 'pino'
import { loadConfig } from '../../packages/server/src/config.ts'
import { createStagedoor, migrateDatabase, type Stagedoor } from '../../packages/server/src/server.ts'
import { fixedClock, type TestClock } from './clock.ts'
import { assertInContract } from './contract.ts'
import { freePort } from './ports.ts'
import { type PostgresCluster, startPostgres } from './postgres/cluster.ts'

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

let migrated: Promise<Buffer> | undefined

/** Writes a migrated SQLite file. The migrations run once per process: they take longer than most tests. @returns its URL */
async function newSqliteDatabase(directory: string): Promise<string> {
  const file = join(directory, 'test.db')
  migrated ??= (async () => {
    await migrateDatabase(`sqlite:${file}`)
    return readFileSync(file)
  })()
  writeFileSync(file, await migrated)
  // The space that a server reserves, as an empty file of that size: writing 16 MB takes as long as a short test.
  closeSync(openSync(`${file}-ballast`, 'w'))
  truncateSync(`${file}-ballast`, 16 * 2 ** 20)
  return `sqlite:${file}`
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
  /** The folder with the built files of a console. */
  consoleFolder?: string
}

/** Starts a real server on a real database file, called in process or, after `listen`, over HTTP on a free port. */
export async function testServer(options: TestServerOptions = {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-test-'))
  const clock = options.clock ?? fixedClock()
  const config = loadConfig({
    STAGEDOOR_DATABASE_URL: ON_POSTGRES ? await newPostgresDatabase() : await newSqliteDatabase(directory),
    STAGEDOOR_DATABASE_POOL_SIZE: '4',
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
    STAGEDOOR_SECRET_KEY: SECRET_KEY,
    // Its keys take a hundredth of the time that RSA keys take. Tests with clients of Clerk, which need RS256, override it.
    STAGEDOOR_SIGNING_ALG: 'EdDSA',
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
    consoleFolder: options.consoleFolder,
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
      const query = new URLSearchParams({ limit: '500', ...filter })
      const events: AuditEventBody[] = expectOk(await call('GET', `/v1/audit_events?${query}`))
      // Without the position in the log, which an event gets a moment after it was written.
      return events.map(({ leaf_index: _, ...event }) => event)
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

/**
 * One server for all tests of a suite, for tests that do not depend on what else is stored and do not move the clock.
 * @returns a function that returns the server, once the tests run
 * @example
 * const shared = sharedServer()
 * it('works', async () => expectOk(await shared().call('GET', '/v1/users')))
 */
export function sharedServer(options: TestServerOptions = {}): () => TestServer {
  let server: TestServer
  before(async () => {
    server = await testServer(options)
  })
  after(() => server?.[Symbol.asyncDispose]())
  return () => server
}

/** A server that listens on the address that is its public URL. */
export interface ListeningServer extends TestServer {
  url: string
}

/**
 * Starts a server whose public URL is its own address. It signs with RS256, as Clerk's SDKs require.
 * @param options as for `testServer`; by default it uses the machine's clock
 * @example
 * await using server = await startServer()
 * const stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL: server.url })
 */
export async function startServer({ env = {}, ...options }: TestServerOptions = {}): Promise<ListeningServer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = await testServer({
    ...(options.clock ? {} : { realTime: true }),
    ...options,
    env: { STAGEDOOR_SIGNING_ALG: 'RS256', STAGEDOOR_PORT: `${port}`, STAGEDOOR_PUBLIC_URL: url, ...env },
  })
  await server.listen()
  return Object.assign(server, { url })
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
