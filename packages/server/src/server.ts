import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import type { Logger } from 'pino'
import manifest from '../package.json' with { type: 'json' }
import { type Config, ConfigError, describeDatabase, masterKeyBytes, maxWait, poolSize, rateLimits } from './config.ts'
import { Activity } from './domain/activity.ts'
import { type Clock, MonotonicClock } from './domain/clock.ts'
import type { Caller, Context, Random, Services } from './domain/context.ts'
import { EventStreams } from './domain/event-streams.ts'
import { expiredBefore, purgeAll } from './domain/purge.ts'
import { systemClock, systemRandom } from './domain/random.ts'
import { RefusedRequestCounter } from './domain/refused-requests.ts'
import { RevocationFeed } from './domain/revocation-feed.ts'
import { applyCutoffs } from './domain/revocations.ts'
import { ensureSecretKey } from './domain/secret-keys.ts'
import { finishOverdueSessions } from './domain/sessions.ts'
import { ensureSigningKeys, type MakeKey } from './domain/signing-keys.ts'
import { createApp } from './http/app.ts'
import { readLogo } from './http/browser/brand.ts'
import { LOOPBACK } from './http/browser/origin.ts'
import type { PageOptions } from './http/browser/pages.ts'
import { trustedProxies } from './http/caller.ts'
import { type NodeServer, nodeServer } from './http/edge/node-server.ts'
import { RateLimits } from './http/edge/rate-limits.ts'
import { Keyring, keyMaker, openPrivateKey } from './signing/keyring.ts'
import { MasterKey } from './signing/master-key.ts'
import { migrate, openStore } from './store/store.ts'
import { instrumentedStore } from './telemetry/instrumented-store.ts'
import { makeLog, safeLog } from './telemetry/log.ts'
import { type Counts, Metrics, type MetricsServer } from './telemetry/metrics.ts'
import { Tracing } from './telemetry/tracing.ts'

export { type Config, ConfigError, loadConfig } from './config.ts'
export { type Counts, SummedMetrics } from './telemetry/metrics.ts'

/** Interval between runs that write what has become due (last activity, expired tokens and sessions), in ms. */
const DUE_INTERVAL = 1_000
/** Maximum rows per transaction of these runs. */
const OVERDUE_BATCH = 200
const DAY = 86_400_000
/** Interval between purge runs, in ms. */
const PURGE_INTERVAL = 60_000
/** Fraction of time that a purge may use. */
const PURGE_SHARE = 0.05
/** Minimum pause between purge batches, in ms. */
const PURGE_PAUSE = 20
/** Interval between polls for revocations by other nodes, in ms. The database notifies earlier where it can. */
const FEED_INTERVAL = 500

export interface ServerOptions {
  clock?: Clock
  random?: Random
  log?: Logger
  /** Whether to check every response against the contract. Default: only in development. */
  checkResponses?: boolean
  /**
   * Whether the instance serves requests. `false` for commands: they create no signing keys and no secret key, so their
   * settings leave no trace in the database. Default: `true`.
   */
  serves?: boolean
  /**
   * The number of this process, if several serve at one address. Every log line contains it. The process that started
   * them serves the metrics of all.
   */
  worker?: { number: number; of: number }
}

/**
 * A Stagedoor instance: its store, its keys, its rules. `listen` serves it over HTTP; `fetch` works without `listen`.
 */
export interface Stagedoor {
  /** `Request → Response`, for calling the server in process. */
  fetch(request: Request): Promise<Response>
  /** Returns a context for work outside of a request: the command line, start-up. */
  context(principal: Caller['principal']): Context
  services: Services
  makeKey: MakeKey
  log: Logger
  listen(): Promise<{ port: number; host: string; metrics_port?: number }>
  /**
   * Finishes the requests in flight, writes what is pending and closes the store.
   * @param lastAnswers how long idle connections stay open for one more request, in ms
   * @param othersToo resolves when the other processes at this address have also stopped accepting requests
   */
  close(lastAnswers?: number, othersToo?: () => Promise<unknown>): Promise<void>
  /** Returns the current metrics, for the process that adds them up. Undefined if metrics are off. */
  counts(): Promise<Counts> | undefined
}

/**
 * Creates an instance. This is the only place that connects all the parts.
 * @param config from `loadConfig`; needs a master key and a public URL
 * @throws ConfigError, or an Error that tells what to do if the database cannot be opened with this master key
 * @example
 * const stagedoor = await createStagedoor(loadConfig(process.env))
 * await stagedoor.listen()
 */
export async function createStagedoor(config: Config, options: ServerOptions = {}): Promise<Stagedoor> {
  const { random = systemRandom } = options
  const log = safeLog(options.log ?? makeLog(config.log_level, options.worker?.number))
  if (config.master_key === undefined)
    throw new ConfigError('STAGEDOOR_MASTER_KEY is missing. Make one with `openssl rand -base64 32`.')
  const masterKey = new MasterKey(masterKeyBytes(config.master_key))
  const serves = options.serves ?? true
  const pageOptions = pageOptionsOf(config, serves)
  const embedded = config.database_url.startsWith('sqlite:')
  const monotonic = new MonotonicClock(options.clock ?? systemClock)
  const database = await opening(config.database_url, () =>
    openStore(config.database_url, {
      ...(options.clock || embedded ? { clock: monotonic } : {}),
      poolSize: poolSize(config, options.worker?.of ?? 1),
      serves: options.serves ?? true,
      warn: message => log.warn(message),
    }),
  )
  const { clock } = database
  const metrics = serves && config.metrics_port !== undefined ? new Metrics(manifest.version, database) : undefined
  const tracing = Tracing.find()
  const store = instrumentedStore(database, { metrics, tracing })

  const instance = await store.instance(() => ({ id: random.id('ins', clock.now()), created_at: clock.now() }))
  const public_url = config.public_url ?? `http://${config.host}:${config.port}`
  const environment = config.environment ?? 'production'
  const stopping = new AbortController()
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
      sign_in_tokens: config.sign_in_tokens,
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
    eventStreams: new EventStreams(config.max_streams_per_key),
    stopping: stopping.signal,
  }
  const context = (principal: Caller['principal']): Context => ({
    ...services,
    caller: { principal, address: null, user_agent: null, trace_id: random.bytes(16).toString('hex') },
  })
  const system = () => context({ type: 'system', id: null })
  const makeKey = keyMaker(masterKey, random)

  const persistDue = async () => {
    // Activity first: a session that was used a moment ago is not overdue.
    await services.activity.flush(store, clock.now())
    while (await applyCutoffs(system()));
    while ((await store.actorTokens.expireOverdue(OVERDUE_BATCH)) === OVERDUE_BATCH);
    while ((await finishOverdueSessions(system(), { limit: OVERDUE_BATCH })) === OVERDUE_BATCH);
  }
  monotonic.persistDue = persistDue

  try {
    // The clock may have been set back while no server was running.
    const [last] = (await store.audit.list({}, { limit: 1, offset: 0 })).rows
    if (last) monotonic.advanceTo(last.at)
    // Find a wrong master key now, not when the first token is signed.
    const sealed = (await store.signingKeys.keyring()).keys.find(key => key.sealed_private_key !== null)
    if (sealed) openPrivateKey(sealed, masterKey)
    if (serves) {
      await ensureSigningKeys(system(), { alg: config.signing_alg, make: makeKey })
      if (config.secret_key !== undefined)
        await ensureSecretKey(system(), { name: 'from STAGEDOOR_SECRET_KEY', secret: config.secret_key })
      for (const risk of await store.risks()) log.warn(risk)
      // Load the key set now, so that it can be served while the database is unavailable.
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
      pages: pageOptions,
    },
    { log, metrics, tracing },
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
  every(FEED_INTERVAL, 'event streams of revoked keys could not be ended', () =>
    services.eventStreams.endRevoked(store),
  )
  every(1_000, 'refused requests could not be counted', () => services.refusedRequests.flush(store))
  every(DUE_INTERVAL, 'due changes could not be written', async () => {
    await persistDue()
    while ((await store.idempotencyKeys.deleteExpired(OVERDUE_BATCH)) === OVERDUE_BATCH);
  })

  const { retention_days } = config
  if (retention_days !== 'none') {
    const over = expiredBefore(system(), { days: Number(retention_days) })
    every(PURGE_INTERVAL, 'expired rows could not be deleted', async () => {
      // A backlog may take hours. Stop before the next run is due, so that progress is logged; that run continues.
      const until = performance.now() + PURGE_INTERVAL - 1_000
      const rest = async (worked: number) => {
        const pause = Math.max(PURGE_PAUSE, worked / PURGE_SHARE)
        if (performance.now() + pause > until) return false
        return sleep(pause, true, { ref: false, signal: stopping.signal }).catch(() => false)
      }
      const before = clock.now() - Number(retention_days) * DAY
      while ((await store.refusedRequests.deleteBefore(before, OVERDUE_BATCH)) === OVERDUE_BATCH);
      const rows = await purgeAll(system(), { over, rest })
      metrics?.purged(rows)
      if (Object.values(rows).some(count => count > 0)) log.info(rows, 'deleted expired rows')
    })
  }

  let server: NodeServer | undefined
  let metricsServer: MetricsServer | undefined
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
        shared: options.worker !== undefined,
        maxConnections: config.max_connections,
        maxWait: maxWait(config),
        queues: [() => services.signing.waiting(), () => store.waiting()],
        limited: request => limits.earlyRejection(request),
        allowedOrigins,
        newTraceId: () => random.bytes(16).toString('hex'),
        rejected: ({ code, address = null }) => {
          metrics?.refused(code)
          if (code === 'too_many_requests') services.refusedRequests.count(clock.now(), address, code)
        },
        log,
      })
      const listening = await server.listen()
      if (!metrics || options.worker) return listening
      metricsServer = await metrics.listen(config.metrics_port ?? 0, config.metrics_host)
      return { ...listening, metrics_port: metricsServer.port }
    },

    counts: () => metrics?.counts(),

    async close(lastAnswers, othersToo) {
      for (const timer of timers) clearInterval(timer)
      stopping.abort()
      await server?.close(lastAnswers, othersToo)
      await services.activity.flush(store).catch(err => log.error({ err }, 'last activity could not be written'))
      await services.refusedRequests
        .flush(store)
        .catch(err => log.error({ err }, 'refused requests could not be counted'))
      await store.close()
      metricsServer?.close()
    },
  }
}

/** @param serves commands show no pages, so they load no logo */
function pageOptionsOf({ languages, brand_name, brand_logo }: Config, serves: boolean): PageOptions {
  const [first = 'en', ...others] = languages
  try {
    const logo = brand_logo === undefined || !serves ? undefined : readLogo(brand_logo)
    return { languages: [first, ...others], brand: { name: brand_name, logo } }
  } catch (cause) {
    throw new ConfigError(`STAGEDOOR_BRAND_LOGO: ${(cause as Error).message}`, { cause })
  }
}

/**
 * Brings the schema of a database up to date.
 * @param setting the setting or option that the URL comes from, for error messages
 * @returns the names of the migrations that ran
 * @throws ConfigError
 */
export async function migrateDatabase(databaseUrl: string, setting?: string): Promise<string[]> {
  return opening(databaseUrl, () => migrate(databaseUrl), setting)
}

/** Opens a database. @throws ConfigError that names the setting, the database and the cause */
export async function opening<T>(
  databaseUrl: string,
  open: () => T | Promise<T>,
  setting = 'STAGEDOOR_DATABASE_URL',
): Promise<T> {
  try {
    return await open()
  } catch (cause) {
    throw new ConfigError(
      `${setting}: the database ${describeDatabase(databaseUrl)} cannot be opened: ${(cause as Error).message}`,
      { cause },
    )
  }
}
