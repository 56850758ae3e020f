import type { RequestListener } from 'node:http'
import { availableParallelism } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import type { Logger } from 'pino'
import manifest from '../package.json' with { type: 'json' }
import { assertAuditIntact, assertPublished, createAuditLog, createPublisher } from './audit-setup.ts'
import { type Config, ConfigError, describeDatabase, isEmbedded, maxWait, poolSize, rateLimits } from './config.ts'
import { consoleUrl, hasConsole, masterKeyBytes } from './config-rules.ts'
import { examineServer } from './diagnosis.ts'
import { ActingFeed } from './domain/acting-feed.ts'
import { Activity } from './domain/activity.ts'
import { ensureAuditLog } from './domain/audit/keys.ts'
import { CallerLimit, EXPLAIN_LIMIT, NEEDS_LIMIT, SEARCH_LIMIT } from './domain/caller-limit.ts'
import { type Clock, MonotonicClock } from './domain/clock.ts'
import type { Caller, Context, MakeKey, Services } from './domain/context.ts'
import { EventStreams } from './domain/event-streams.ts'
import { Hierarchies } from './domain/hierarchies.ts'
import { RecentReads } from './domain/policy-facts.ts'
import { type Random, systemClock, systemRandom } from './domain/random.ts'
import { RefusedRequestCounter } from './domain/refused-requests.ts'
import { RememberedDecisions } from './domain/remembered-decisions.ts'
import { RevocationFeed } from './domain/revocation-feed.ts'
import { ensureSecretKey } from './domain/secret-keys.ts'
import { ensureSigningKeys } from './domain/signing-keys.ts'
import { Stats } from './domain/stats.ts'
import type { Store } from './domain/store.ts'
import { createApp } from './http/app.ts'
import { readLogo } from './http/browser/brand.ts'
import { isAllowed, LOOPBACK } from './http/browser/origin.ts'
import type { PageOptions } from './http/browser/pages.ts'
import { trustedProxies } from './http/caller.ts'
import { findBuild } from './http/console/assets.ts'
import type { ConsoleOptions } from './http/console/options.ts'
import { ListQueue } from './http/edge/list-queue.ts'
import { type NodeServer, nodeServer } from './http/edge/node-server.ts'
import { RateLimits } from './http/edge/rate-limits.ts'
import { persistDue } from './jobs/due.ts'
import { serverJobs } from './jobs/jobs.ts'
import type { PurgeOptions } from './jobs/purge.ts'
import { startJobs } from './jobs/runner.ts'
import { createPolicyEngine } from './policy/cedar.ts'
import { DEFAULT_POLICY } from './policy/default-policy.ts'
import { applyPolicyFile } from './policy-file.ts'
import { auditKeys } from './signing/audit-keys.ts'
import { type InstrumentSigning, Keyring, keyMaker, openPrivateKey } from './signing/keyring.ts'
import { MasterKey } from './signing/master-key.ts'
import { migrate, openStore } from './store/store.ts'
import { instrumentedStore } from './telemetry/instrumented-store.ts'
import { makeLog, safeLog } from './telemetry/log.ts'
import { Metrics, type MetricsServer } from './telemetry/metrics.ts'
import { Tracing } from './telemetry/tracing.ts'

export { type Config, ConfigError, loadConfig } from './config.ts'

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
  /** The folder with the built files of the console. Default: the build of this copy, if there is one. */
  consoleFolder?: string | undefined
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
   */
  close(lastAnswers?: number): Promise<void>
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
  const { random = systemRandom, serves = true } = options
  const log = safeLog(options.log ?? makeLog(config.log_level))
  const masterKey = masterKeyOf(config)
  const pages = pageOptionsOf(config, serves)
  const machineClock = new MonotonicClock(options.clock ?? systemClock)
  const database = await openDatabase(config, options, machineClock, log)
  const metrics = serves && config.metrics_port !== undefined ? new Metrics(manifest.version, database) : undefined
  const tracing = Tracing.find()
  const telemetry = { log, metrics, tracing }

  const stopping = new AbortController()
  const services = await createServices(config, {
    database,
    masterKey,
    random,
    stopping: stopping.signal,
    telemetry,
    serves,
  })
  const context = (principal: Caller['principal']): Context => ({
    ...services,
    caller: { principal, address: null, network: null, user_agent: null, trace_id: random.bytes(16).toString('hex') },
  })
  metrics?.watchAuditLog(() => services.auditLog.progress())
  const system = () => context({ type: 'system', id: null })
  const makeKey = services.makeSigningKey
  machineClock.persistDue = () => persistDue(system())
  try {
    await advanceClock(machineClock, services.store)
    await assertMasterKeyFits(masterKey, services.store)
    if (serves) await prepare(system(), config, makeKey, log)
  } catch (error) {
    await database.close()
    throw error
  }

  const edge = edgeOf(config, services, log)
  const app = createApp(
    services,
    {
      ...edge,
      pages,
      console: consoleOptions(config, options),
      trustedProxies: trustedProxies(config.trusted_proxies),
      checkResponses: options.checkResponses ?? services.settings.environment === 'development',
      packagesDirectory: config.packages_directory,
    },
    telemetry,
  )
  const jobs = startJobs(serverJobs(purging(config, telemetry), log, metrics), system, log)
  let server: NodeServer | undefined
  let metricsServer: MetricsServer | undefined

  return {
    fetch: async request => app.fetch(request),
    context,
    services,
    makeKey,
    log,

    async listen() {
      server = createEdge(getRequestListener(app.fetch), config, { services, telemetry, ...edge })
      const listening = await server.listen()
      if (!metrics) return listening
      metricsServer = await metrics.listen(config.metrics_port ?? 0, config.metrics_host)
      return { ...listening, metrics_port: metricsServer.port }
    },

    async close(lastAnswers) {
      jobs.stop()
      stopping.abort()
      await server?.close(lastAnswers)
      await flush(services, log)
      await services.store.close()
      metricsServer?.close()
    },
  }
}

interface Telemetry {
  log: Logger
  /** Undefined if metrics are off. */
  metrics: Metrics | undefined
  /** Undefined if the process has no OpenTelemetry SDK. */
  tracing: Tracing | undefined
}

function masterKeyOf({ master_key }: Config): MasterKey {
  if (master_key === undefined)
    throw new ConfigError('STAGEDOOR_MASTER_KEY is missing. Make one with `openssl rand -base64 32`.')
  return new MasterKey(masterKeyBytes(master_key))
}

/** Opens the database, and brings its schema up to date. @throws ConfigError */
function openDatabase(config: Config, options: ServerOptions, machineClock: Clock, log: Logger): Promise<Store> {
  const { clock, serves = true } = options
  // PostgreSQL has its own clock, which all nodes share.
  const usesMachineClock = clock !== undefined || isEmbedded(config)
  return opening(config.database_url, () =>
    openStore(config.database_url, {
      ...(usesMachineClock ? { clock: machineClock } : {}),
      poolSize: poolSize(config),
      serves,
      warn: message => log.warn(message),
    }),
  )
}

interface ServiceParts {
  database: Store
  masterKey: MasterKey
  random: Random
  stopping: AbortSignal
  telemetry: Telemetry
  serves: boolean
}

/** Creates everything that the rules use, once per server. */
async function createServices(config: Config, parts: ServiceParts): Promise<Services> {
  const { database, masterKey, random, stopping, serves } = parts
  const { metrics, tracing } = parts.telemetry
  const { clock } = database
  const store = instrumentedStore(database, { metrics, tracing })
  const auditKeyring = auditKeys(masterKey)
  const instance = await store.instance(() => ({ id: random.id('ins', clock.now()), created_at: clock.now() }))
  const revocationFeed = new RevocationFeed(store, clock)
  const auditLog = createAuditLog(config, { store, keys: auditKeyring, stopping })
  return {
    clock,
    random,
    store,
    signing: new Keyring(store, masterKey, config.signing_alg, instrumentSigning(parts.telemetry)),
    settings: {
      instance_id: instance.id,
      version: manifest.version,
      changed: config.changed,
      environment: config.environment ?? 'production',
      public_url: config.public_url ?? `http://${config.host}:${config.port}`,
      console_url: consoleUrl(config),
      console_checks_host: config.console_url !== undefined || config.environment === 'development',
      idp_host: config.operator_issuer === undefined ? null : new URL(config.operator_issuer).host,
      sign_in_url: config.sign_in_url,
      accept_page: config.accept_page,
      sign_in_tokens: config.sign_in_tokens,
      time_zone: config.time_zone,
      default_access: config.default_access,
      appliesScope: appliesScopeOf(config),
      signing_alg: config.signing_alg,
      session_idle_timeout_seconds: config.session_idle_timeout_seconds,
      session_token_lifetime_seconds: config.session_token_lifetime_seconds,
      actor_max_bytes: config.actor_max_bytes,
      actor_token_max_seconds: config.actor_token_max_seconds,
      actor_session_max_seconds: config.actor_session_max_seconds,
      audit_public: config.audit_public === 'on',
      audit_has_max_lag: config.audit_max_lag_seconds !== undefined,
    },
    auditKeys: auditKeyring,
    auditLog,
    auditPublisher: createPublisher(config, { store, auditLog, serves, stopping, log: parts.telemetry.log }),
    activity: new Activity(),
    policy: createPolicyEngine(),
    defaultPolicy: DEFAULT_POLICY,
    decisions: new RememberedDecisions(),
    recentReads: new RecentReads(),
    needs: new CallerLimit(clock, NEEDS_LIMIT),
    searches: new CallerLimit(clock, SEARCH_LIMIT),
    explanations: new CallerLimit(clock, EXPLAIN_LIMIT),
    hierarchies: new Hierarchies(store),
    examine: ctx => examineServer(ctx, config),
    makeSigningKey: keyMaker(masterKey, random),
    nextTurn,
    refusedRequests: new RefusedRequestCounter(),
    revocationFeed,
    actingFeed: new ActingFeed(store, clock, revocationFeed),
    stats: new Stats(store, clock),
    eventStreams: new EventStreams(config.max_streams_per_key),
    stopping,
  }
}

/** Counts signatures and makes a span of each; undefined if nothing observes them. */
function instrumentSigning({ metrics, tracing }: Telemetry): InstrumentSigning | undefined {
  if (!metrics && !tracing) return undefined
  return (kind, alg, sign) => {
    metrics?.tokenSigned(kind)
    return tracing ? tracing.work(`sign ${alg}`, 'signature', sign) : sign()
  }
}

/** Advances the clock to the last audit event, because the clock may have been set back while no server was running. */
async function advanceClock(machineClock: MonotonicClock, store: Store): Promise<void> {
  const last = await store.audit.lastTime()
  if (last !== undefined) machineClock.advanceTo(last)
}

/** Finds a wrong master key at start-up, not when the first token is signed. */
async function assertMasterKeyFits(masterKey: MasterKey, store: Store): Promise<void> {
  const sealed = (await store.signingKeys.keyring()).keys.find(key => key.sealed_private_key !== null)
  if (sealed) openPrivateKey(sealed, masterKey)
}

/** Creates the keys that a server needs and does not have yet, and applies its policy file. */
async function prepare(ctx: Context, config: Config, makeKey: MakeKey, log: Logger): Promise<void> {
  await assertAuditIntact(ctx.store)
  await assertPublished(ctx.auditPublisher)
  await ensureSigningKeys(ctx, { alg: config.signing_alg, make: makeKey })
  await ensureAuditLog(ctx)
  if (config.secret_key !== undefined)
    await ensureSecretKey(ctx, { name: 'from STAGEDOOR_SECRET_KEY', secret: config.secret_key })
  for (const risk of await ctx.store.risks()) log.warn(risk)
  // Load the key set now, so that it can be served while the database is unavailable.
  await ctx.signing.jwks()
  await applyPolicyFile(ctx, config, log)
}

/** Returns what decides which requests are served, and when. */
function edgeOf(config: Config, services: Services, log: Logger) {
  return {
    allowedOrigins: allowedOriginsOf(config, services),
    limits: new RateLimits(rateLimits(config), log),
    // The embedded database has one thread that reads lists.
    lists: new ListQueue(isEmbedded(config) ? 1 : listsAtOnce()),
  }
}

/** Returns how many lists PostgreSQL reads at the same time: on a small machine it shares the cores with this server. */
const listsAtOnce = () => Math.min(4, Math.max(1, Math.floor(availableParallelism() / 2)))

/** Returns the origins of the pages that may use the Frontend API. */
function allowedOriginsOf(config: Config, { settings }: Services): Set<string> {
  const pages = [settings.public_url, settings.sign_in_url].map(page => new URL(page).origin)
  const local = settings.environment === 'development' ? [LOOPBACK] : []
  return new Set([...pages, ...config.allowed_origins, ...local])
}

/** Returns which apps get limited sessions. In development, without the setting: all on this machine. */
function appliesScopeOf({ scope_origins, environment }: Config): (origin: string) => boolean {
  const local = environment === 'development' && scope_origins.length === 0 ? [LOOPBACK] : []
  const origins = new Set([...scope_origins, ...local])
  return origin => isAllowed(origin, origins)
}

/** Returns the settings of the console; undefined if there is none. */
function consoleOptions(config: Config, options: ServerOptions): ConsoleOptions | undefined {
  if (!hasConsole(config)) return undefined
  const { operator_issuer: issuer, operator_client_id: client_id, operator_client_secret: client_secret } = config
  const provider =
    issuer === undefined || client_id === undefined || client_secret === undefined
      ? undefined
      : {
          issuer,
          client_id,
          client_secret,
          scopes: config.operator_scopes,
          role_claim: config.operator_role_claim,
          roles: config.operator_roles,
          actor_sub: config.operator_actor_sub,
        }
  const isAlwaysOn = config.console === 'on' || config.environment === 'development' || provider !== undefined
  return { isAlwaysOn, provider, folder: options.consoleFolder ?? findBuild() }
}

function purging({ retention_days }: Config, { metrics, log }: Telemetry): PurgeOptions | undefined {
  return retention_days === 'none' ? undefined : { retentionDays: Number(retention_days), metrics, log }
}

interface EdgeParts {
  services: Services
  telemetry: Telemetry
  allowedOrigins: ReadonlySet<string>
  limits: RateLimits
}

/** Creates the HTTP server in front of the app. */
function createEdge(
  handle: RequestListener,
  config: Config,
  { services, telemetry, allowedOrigins, limits }: EdgeParts,
): NodeServer {
  const { clock, random, refusedRequests, signing, store } = services
  const { metrics, log } = telemetry
  return nodeServer(handle, {
    host: config.host,
    port: config.port,
    reusePort: config.reuse_port,
    maxConnections: config.max_connections,
    maxWait: maxWait(config),
    queues: [signing, store],
    limits,
    allowedOrigins,
    newTraceId: () => random.bytes(16).toString('hex'),
    rejected: ({ code, network = null }) => {
      metrics?.refused(code)
      if (code === 'too_many_requests') refusedRequests.count(clock.now(), network, code)
    },
    log,
  })
}

/** Writes what is still in memory. */
async function flush({ activity, refusedRequests, store }: Services, log: Logger): Promise<void> {
  await activity.flush(store).catch(err => log.error({ err }, 'last activity could not be written'))
  await refusedRequests.flush(store).catch(err => log.error({ err }, 'refused requests could not be counted'))
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
