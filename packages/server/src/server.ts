import { createServer, type Server as NodeServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Logger } from 'pino'
import manifest from '../package.json' with { type: 'json' }
import { type Config, ConfigError, masterKeyBytes } from './config.ts'
import { Activity } from './domain/activity.ts'
import type { Caller, Clock, Context, Random, Services } from './domain/context.ts'
import { systemClock, systemRandom } from './domain/random.ts'
import { RefusedRequestCounter } from './domain/refused-requests.ts'
import { ensureSecretKey } from './domain/secret-keys.ts'
import { finishOverdueSessions } from './domain/sessions.ts'
import { ensureSigningKeys, type MakeKey } from './domain/signing-keys.ts'
import type { Store } from './domain/store.ts'
import { createApp } from './http/app.ts'
import { trustedProxies } from './http/caller.ts'
import { LOOPBACK } from './http/origin.ts'
import { Keyring, keyMaker, openPrivateKey } from './signing/keyring.ts'
import { MasterKey } from './signing/master-key.ts'
import { backupSqlite } from './store/backup.ts'
import { migrateSqlite, openSqliteStore } from './store/store.ts'
import { makeLog, safeLog } from './telemetry/log.ts'
import { Metrics } from './telemetry/metrics.ts'
import { Tracing } from './telemetry/tracing.ts'
import { watchedStore } from './telemetry/watched-store.ts'

export { type Config, ConfigError, loadConfig } from './config.ts'

/** Last activity is written this often at most, ms. */
const ACTIVITY_INTERVAL = 30_000
/** How long a stopping server waits for requests under way, ms. */
const DRAIN_TIMEOUT = 10_000
const OVERDUE_BATCH = 200

export interface ServerOptions {
  clock?: Clock
  random?: Random
  log?: Logger
  /** Check every answer against the contract. On in development unless told. */
  checkResponses?: boolean
  /** False for commands: nothing is made ready for serving, and no setting of theirs leaves a trace in the database. */
  serves?: boolean
}

/** An instance: its store, its keys, its rules. Serves HTTP once `listen` is called; works in process without. */
export interface Stagedoor {
  /** `Request → Response`, for calling the server in process. */
  fetch(request: Request): Promise<Response>
  /** A context for work that no request asks for: the command line, start-up. */
  context(principal: Caller['principal']): Context
  services: Services
  makeKey: MakeKey
  log: Logger
  listen(): Promise<{ port: number; host: string; metrics_port?: number }>
  /** Finishes what is under way, writes what is waiting, closes the store. */
  close(): Promise<void>
}

/**
 * Puts an instance together. The only place where the parts meet.
 * @param config from `loadConfig`; needs a master key and a public URL
 * @throws ConfigError, or an Error saying what to do if the database cannot be opened with this master key
 * @example
 * const stagedoor = await createStagedoor(loadConfig(process.env))
 * await stagedoor.listen()
 */
export async function createStagedoor(config: Config, options: ServerOptions = {}): Promise<Stagedoor> {
  const { clock = systemClock, random = systemRandom } = options
  const log = safeLog(options.log ?? makeLog(config.log_level))
  if (config.master_key === undefined)
    throw new ConfigError('STAGEDOOR_MASTER_KEY is missing. Make one with `openssl rand -base64 32`.')
  const masterKey = new MasterKey(masterKeyBytes(config.master_key))
  const database = openStore(config.database_url)
  const serves = options.serves ?? true
  const metrics = serves && config.metrics_port !== undefined ? new Metrics(manifest.version, database) : undefined
  const tracing = Tracing.find()
  const store = watchedStore(database, { metrics, tracing })

  const instance = await store.instance(() => ({ id: random.id('ins', clock.now()), created_at: clock.now() }))
  const public_url = config.public_url ?? `http://${config.host}:${config.port}`
  const environment = config.environment ?? 'production'
  const services: Services = {
    clock,
    random,
    store,
    signing: new Keyring(store, masterKey, config.signing_alg, (kind, alg, sign) => {
      metrics?.tokenSigned(kind)
      return tracing ? tracing.work(`sign ${alg}`, 'signature', sign) : sign()
    }),
    settings: {
      instance_id: instance.id,
      environment,
      public_url,
      sign_in_url: config.sign_in_url,
      accept_page: config.accept_page,
      signing_alg: config.signing_alg,
      session_idle_timeout_seconds: config.session_idle_timeout_seconds,
      session_token_lifetime_seconds: config.session_token_lifetime_seconds,
      actor_max_bytes: config.actor_max_bytes,
      actor_token_max_seconds: config.actor_token_max_seconds,
      actor_session_max_seconds: config.actor_session_max_seconds,
    },
    activity: new Activity(),
    refusedRequests: new RefusedRequestCounter(),
    stopping: false,
  }
  const context = (principal: Caller['principal']): Context => ({
    ...services,
    caller: { principal, address: null, user_agent: null, trace_id: random.bytes(16).toString('hex') },
  })
  const system = () => context({ type: 'system', id: null })
  const makeKey = keyMaker(masterKey, random)

  try {
    // A wrong master key shows now, not at the first token.
    const sealed = (await store.signingKeys.keyring()).keys.find(key => key.sealed_private_key !== null)
    if (sealed) openPrivateKey(sealed, masterKey)
    if (serves) {
      await ensureSigningKeys(system(), { alg: config.signing_alg, make: makeKey })
      if (config.secret_key !== undefined)
        await ensureSecretKey(system(), { name: 'from STAGEDOOR_SECRET_KEY', secret: config.secret_key })
    }
  } catch (error) {
    await store.close()
    throw error
  }

  const pages = [public_url, services.settings.sign_in_url].map(page => new URL(page).origin)
  const app = createApp(
    services,
    {
      allowedOrigins: new Set([
        ...pages,
        ...config.allowed_origins,
        ...(environment === 'development' ? [LOOPBACK] : []),
      ]),
      trustedProxies: trustedProxies(config.trusted_proxies),
      checkResponses: options.checkResponses ?? environment === 'development',
      packagesDirectory: config.packages_directory,
    },
    { log, metrics, tracing },
  )

  const timers: NodeJS.Timeout[] = []
  const every = (interval: number, what: string, work: () => Promise<unknown>) =>
    timers.push(setInterval(() => work().catch(err => log.error({ err }, what)), interval).unref())
  every(1_000, 'refused requests could not be counted', () => services.refusedRequests.flush(store))
  every(ACTIVITY_INTERVAL, 'last activity and overdue sessions could not be written', async () => {
    // In this order: a session used a moment ago is not overdue.
    await services.activity.flush(store)
    while ((await finishOverdueSessions(system(), { limit: OVERDUE_BATCH })) === OVERDUE_BATCH);
  })

  let server: NodeServer | undefined
  let metricsServer: Awaited<ReturnType<Metrics['listen']>> | undefined
  return {
    fetch: async request => app.fetch(request),
    context,
    services,
    makeKey,
    log,

    async listen() {
      server = createServer(getRequestListener(app.fetch))
      server.headersTimeout = 10_000
      server.requestTimeout = 30_000
      await new Promise<void>((resolve, reject) => {
        server?.once('error', reject).listen(config.port, config.host, resolve)
      })
      const { port, address: host } = server.address() as { port: number; address: string }
      if (!metrics) return { port, host }
      metricsServer = await metrics.listen(config.metrics_port ?? 0, config.metrics_host)
      return { port, host, metrics_port: metricsServer.port }
    },

    async close() {
      services.stopping = true
      for (const timer of timers) clearInterval(timer)
      if (server) await drained(server)
      await services.activity.flush(store).catch(err => log.error({ err }, 'last activity could not be written'))
      await services.refusedRequests
        .flush(store)
        .catch(err => log.error({ err }, 'refused requests could not be counted'))
      await store.close()
      metricsServer?.close()
    },
  }
}

/** Brings the schema of a database up to date. @returns the names of what was done @throws ConfigError */
export async function migrateDatabase(databaseUrl: string): Promise<string[]> {
  return opening(databaseUrl, migrateSqlite)
}

/** Copies the embedded database, whether or not a server is using it. @throws ConfigError, or an Error saying what is wrong */
export function backupDatabase(databaseUrl: string, to: string): void {
  const path = databaseUrl.startsWith('sqlite:') ? databaseUrl.slice('sqlite:'.length) : ':memory:'
  if (path === ':memory:')
    throw new ConfigError('STAGEDOOR_DATABASE_URL names no file that could be copied. Use the backup of your database.')
  backupSqlite(path, to)
}

function openStore(databaseUrl: string): Store {
  return opening(databaseUrl, openSqliteStore)
}

function opening<T>(databaseUrl: string, open: (path: string) => T): T {
  const path = databaseUrl.slice('sqlite:'.length)
  try {
    return open(path)
  } catch (cause) {
    throw new ConfigError(
      `STAGEDOOR_DATABASE_URL: the database ${path} cannot be opened: ${(cause as Error).message}`,
      { cause },
    )
  }
}

/** No new requests; those under way are finished, for a while. */
function drained(server: NodeServer): Promise<void> {
  return new Promise(resolve => {
    const giveUp = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT)
    server.close(() => {
      clearTimeout(giveUp)
      resolve()
    })
    server.closeIdleConnections()
  })
}
