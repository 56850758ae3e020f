import { getRequestListener } from '@hono/node-server'
import { type Logger, pino } from 'pino'
import { type Config, ConfigError, describeDatabase, masterKeyBytes, maxWait, rateLimits } from './config.ts'
import { Activity } from './domain/activity.ts'
import type { Caller, Clock, Context, Random, Services } from './domain/context.ts'
import { systemRandom } from './domain/random.ts'
import { RefusedRequestCounter } from './domain/refused-requests.ts'
import { RevocationFeed } from './domain/revocation-feed.ts'
import { markRevoked } from './domain/revocations.ts'
import { ensureSecretKey } from './domain/secret-keys.ts'
import { finishOverdueSessions } from './domain/sessions.ts'
import { ensureSigningKeys, type MakeKey } from './domain/signing-keys.ts'
import { createApp } from './http/app.ts'
import { trustedProxies } from './http/caller.ts'
import { newTraceId } from './http/mount.ts'
import { type NodeServer, nodeServer } from './http/node-server.ts'
import { LOOPBACK } from './http/origin.ts'
import { RateLimits } from './http/rate-limits.ts'
import { Keyring, keyMaker, openPrivateKey } from './signing/keyring.ts'
import { MasterKey } from './signing/master-key.ts'
import { type CopyProgress, copySqliteToPostgres } from './store/copy.ts'
import { migrate, openStore } from './store/store.ts'

export { type Config, ConfigError, loadConfig } from './config.ts'

/** How often it is looked what has become due: last activity to be written, sessions whose time has come; ms. */
const DUE_INTERVAL = 1_000
const OVERDUE_BATCH = 200
/** How often it is looked for revocations by other nodes that nobody has told of, ms. */
const FEED_INTERVAL = 500

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
  listen(): Promise<{ port: number; host: string }>
  /**
   * Finishes what is under way, writes what is waiting, closes the store.
   * @param lastAnswers how long connections that are idle are left open for one more request, ms
   */
  close(lastAnswers?: number): Promise<void>
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
  const { random = systemRandom } = options
  const log = options.log ?? pino({ level: config.log_level })
  if (config.master_key === undefined)
    throw new ConfigError('STAGEDOOR_MASTER_KEY is missing. Make one with `openssl rand -base64 32`.')
  const masterKey = new MasterKey(masterKeyBytes(config.master_key))
  const store = await opening(config.database_url, () =>
    openStore(config.database_url, {
      ...(options.clock ? { clock: options.clock } : {}),
      poolSize: config.database_pool_size,
      warn: message => log.warn(message),
    }),
  )
  const { clock } = store

  const instance = await store.instance(() => ({ id: random.id('ins', clock.now()), created_at: clock.now() }))
  const public_url = config.public_url ?? `http://${config.host}:${config.port}`
  const environment = config.environment ?? 'production'
  const stopping = new AbortController()
  const services: Services = {
    clock,
    random,
    store,
    signing: new Keyring(store, masterKey, config.signing_alg),
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
    revocationFeed: new RevocationFeed(store, clock),
    stopping: stopping.signal,
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
    if (options.serves ?? true) {
      await ensureSigningKeys(system(), { alg: config.signing_alg, make: makeKey })
      if (config.secret_key !== undefined)
        await ensureSecretKey(system(), { name: 'from STAGEDOOR_SECRET_KEY', secret: config.secret_key })
      // Read once now, so that it can be served while the database is away.
      await services.signing.jwks()
    }
  } catch (error) {
    await store.close()
    throw error
  }

  const pages = [public_url, services.settings.sign_in_url].map(page => new URL(page).origin)
  const allowedOrigins = new Set([
    ...pages,
    ...config.allowed_origins,
    ...(environment === 'development' ? [LOOPBACK] : []),
  ])
  const limits = new RateLimits(rateLimits(config), log)
  const app = createApp(
    services,
    {
      allowedOrigins,
      trustedProxies: trustedProxies(config.trusted_proxies),
      limits,
      checkResponses: options.checkResponses ?? environment === 'development',
      packagesDirectory: config.packages_directory,
    },
    log,
  )

  const timers: NodeJS.Timeout[] = []
  const every = (interval: number, what: string, work: () => Promise<unknown>) => {
    let working = false
    const turn = async () => {
      if (working) return
      working = true
      await work().catch(err => log.warn({ err }, what))
      working = false
    }
    timers.push(setInterval(turn, interval).unref())
  }
  every(FEED_INTERVAL, 'the revocation feed could not be read', () => services.revocationFeed.look())
  every(1_000, 'refused requests could not be counted', () => services.refusedRequests.flush(store))
  every(DUE_INTERVAL, 'what is due could not be written', async () => {
    // In this order: a session used a moment ago is not overdue.
    await services.activity.flush(store, clock.now())
    while (await markRevoked(system()));
    while ((await store.tickets.noteOverdue(OVERDUE_BATCH)) === OVERDUE_BATCH);
    while ((await finishOverdueSessions(system(), { limit: OVERDUE_BATCH })) === OVERDUE_BATCH);
    while ((await store.idempotencyKeys.forgetOld(OVERDUE_BATCH)) === OVERDUE_BATCH);
  })

  let server: NodeServer | undefined
  return {
    fetch: async request => app.fetch(request),
    context,
    services,
    makeKey,
    log,

    async listen() {
      server = nodeServer(getRequestListener(app.fetch), {
        host: config.host,
        port: config.port,
        maxConnections: config.max_connections,
        maxWait: maxWait(config),
        queues: [() => services.signing.waiting(), () => store.waiting()],
        limited: request => {
          const empty = limits.atTheDoor(request.headers.authorization)
          if (empty) services.refusedRequests.count(clock.now(), empty.address, 'too_many_requests')
          return empty?.refusal
        },
        allowedOrigins,
        newTraceId: () => newTraceId(services),
        log,
      })
      return server.listen()
    },

    async close(lastAnswers) {
      for (const timer of timers) clearInterval(timer)
      stopping.abort()
      await server?.close(lastAnswers)
      await services.activity.flush(store).catch(err => log.error({ err }, 'last activity could not be written'))
      await services.refusedRequests
        .flush(store)
        .catch(err => log.error({ err }, 'refused requests could not be counted'))
      await store.close()
    },
  }
}

/** Brings the schema of a database up to date. @returns the names of what was done @throws ConfigError */
export async function migrateDatabase(databaseUrl: string): Promise<string[]> {
  return opening(databaseUrl, () => migrate(databaseUrl))
}

/**
 * Copies a whole instance from an embedded database to an empty PostgreSQL database, and compares the two.
 * @param from `sqlite:` and a path
 * @param to `postgres://…`
 * @returns rows copied, by table
 * @throws ConfigError
 */
export async function moveDatabase(
  from: string,
  to: string,
  progress: (at: CopyProgress) => void,
): Promise<Record<string, number>> {
  if (!from.startsWith('sqlite:') || to.startsWith('sqlite:'))
    throw new ConfigError(
      '--from must be `sqlite:` and a path, and --to postgres://…: that is the way it can be moved.',
    )
  await migrateDatabase(from)
  await migrateDatabase(to)
  return opening(to, () => copySqliteToPostgres(from.slice('sqlite:'.length), to, progress))
}

async function opening<T>(databaseUrl: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (cause) {
    throw new ConfigError(
      `STAGEDOOR_DATABASE_URL: the database ${describeDatabase(databaseUrl)} cannot be opened: ${(cause as Error).message}`,
      { cause },
    )
  }
}
