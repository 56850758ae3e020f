import { z } from 'zod'
import { auditSettings } from './config-audit.ts'
import { consoleSettings } from './config-console.ts'
import { commaList, limit, network, number, originOfPages, publicURL, signInURL, wholeNumber } from './config-forms.ts'

/** The only code that reads the environment. Each setting has a description, unit and default; docs/reference/config.md is generated from them. */

/** Not localhost: for a browser, localhost and 127.0.0.1 are different sites, so they do not share cookies. */
export const DEV_SIGN_IN_URL = 'http://127.0.0.1:3000/sign-in'

/** Languages that http/browser/texts has. */
const LANGUAGES = ['en', 'de'] as const

const schema = z.object({
  database_url: z
    .string()
    .refine(text => /^sqlite:.+/.test(text) || (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)), {
      error:
        'must be `sqlite:` and a path, like sqlite:./stagedoor.db, or sqlite::memory:, or postgres://user:password@host:5432/database',
    })
    .default('sqlite:./stagedoor.db')
    .describe(
      'URL of the database: `sqlite:` and a path, `sqlite::memory:`, or `postgres://user:password@host:5432/database?sslmode=verify-full`.',
    ),
  database_pool_size: wholeNumber(1, 1_000)
    .optional()
    .describe('Maximum number of connections of this server to PostgreSQL. Default: 10.'),
  reuse_port: z
    .enum(['true', 'false'])
    .default('false')
    .transform(text => text === 'true')
    .describe(
      '`true` lets several servers listen on the same address and port of one machine; the kernel distributes connections among them. Requires PostgreSQL, and Linux or FreeBSD.',
    ),
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
  port: number(0, 65_535, 4_100).describe('Port to listen on; 0 selects any free port.'),
  public_url: publicURL
    .optional()
    .describe(
      'URL at which browsers reach this server. It is the issuer of session tokens and the address of the Frontend API. It may have a path, like https://example.com/auth, if your proxy strips it. Default: http:// with the host and port to listen on.',
    ),
  allow_http: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      '`on` allows `serve` to start when STAGEDOOR_PUBLIC_URL or STAGEDOOR_SIGN_IN_URL is an http:// address of another machine. Tickets and cookies then cross the network unencrypted. Use it only for tests in a closed network.',
    ),
  environment: z
    .enum(['development', 'production'])
    .optional()
    .describe(
      '`production` (default of `serve`) or `development` (default of `dev`). It determines the prefix of keys, and whether sessions can be started without a ticket.',
    ),
  master_key: z
    .string()
    .optional()
    .describe(
      'The master secret. The server derives or encrypts all other secrets with it: at least 32 random bytes, in base64 or hex. Create it with `openssl rand -base64 32`. Without it the database cannot be used.',
    ),
  secret_key: z
    .string()
    .regex(/^sk_(test|live)_[\x21-\x7e]{24,200}$/, {
      error: 'must be sk_live_ or sk_test_ and at least 24 random characters',
    })
    .optional()
    .describe(
      'A secret API key of your own, for example for the first start. `stagedoor keys create` creates more keys.',
    ),
  signing_alg: z
    .enum(['RS256', 'ES256', 'EdDSA'])
    .default('RS256')
    .describe('Algorithm that signs session tokens. Clerk’s SDKs verify RS256 only.'),
  sign_in_url: signInURL
    .default(DEV_SIGN_IN_URL)
    .describe(
      'URL of the page of your app that redeems tickets. Browsers are redirected there with the ticket. Required for `serve`.',
    ),
  accept_page: z
    .enum(['confirm', 'redirect'])
    .default('confirm')
    .describe(
      '`confirm`: opening a ticket shows a page that names the actor and the user and asks for confirmation. `redirect`: the browser is redirected directly, as Clerk does. With `redirect`, the page of your app must not redeem a ticket on GET alone.',
    ),
  sign_in_tokens: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      '`off`: the server does not create or redeem sign-in tokens. Sign-in tokens sign in as the user without naming an actor, so turn them off if every access must name who acts.',
    ),
  time_zone: z
    .string()
    .refine(isTimeZone, { error: 'must be a time zone of the IANA database, like Europe/Berlin' })
    .default('UTC')
    .describe('Time zone in which policies read the time of day and the weekday, like `Europe/Berlin`.'),
  policy_file: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File with the policy, for example from your repository. A server puts it in force when it starts, after running the tests in the file of the same name with .tests.jsonl. Sessions that it refuses end. Default: the policy that was applied last.',
    ),
  policy_off: commaList.describe(
    'Base rules that do not apply with STAGEDOOR_POLICY_FILE, comma-separated, like `base.operators,base.reason`.',
  ),
  default_access: z
    .enum(['read', 'write'])
    .default('write')
    .describe(
      'Access of an actor token whose request has no `access`. `read` limits the session to reading; then every app needs STAGEDOOR_SCOPE_ORIGINS or `understands`.',
    ),
  scope_origins: commaList
    .pipe(z.array(originOfPages))
    .describe(
      'Origins of the apps that apply the claim `scope`, comma-separated. Only they get tokens of sessions that are limited to reading or to scopes. In development the default is all pages on this machine; in production it is none.',
    ),
  ...consoleSettings,
  brand_name: z
    .string()
    .trim()
    .min(1)
    .max(60)
    .default('Stagedoor')
    .describe('Name of your product or company. The pages of this server show it at the top.'),
  brand_logo: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File with your logo, shown next to the name: SVG, PNG, JPEG, WebP or GIF, at most 24,000 bytes. The server reads it once, at startup.',
    ),
  languages: z
    .string()
    .default(LANGUAGES.join(','))
    .transform(text => text.split(',').map(item => item.trim()))
    .pipe(z.array(z.enum(LANGUAGES, { error: `must be a list of ${LANGUAGES.join(', ')}, like \`de,en\`` })).min(1))
    .describe(
      'Languages of the pages of this server, comma-separated. The browser selects one (Accept-Language); the first is the default. With only one language, all pages are in that language. Default: `en,de`.',
    ),
  allowed_origins: commaList
    .pipe(z.array(originOfPages))
    .describe(
      'Origins of the pages that may use the Frontend API, comma-separated. In development, all pages on this machine may use it too.',
    ),
  trusted_proxies: commaList
    .pipe(z.array(network))
    .describe(
      'IP addresses or networks of your proxies, comma-separated. The server uses X-Forwarded-For only from these proxies.',
    ),
  session_idle_timeout_seconds: number(60, 86_400, 600).describe(
    'Idle timeout of sessions with an actor, in seconds: such a session ends if it is not used for this time.',
  ),
  session_token_lifetime_seconds: number(10, 600, 60).describe('Lifetime of a session token, in seconds.'),
  actor_max_bytes: number(64, 2_434, 1_024).describe(
    'Maximum size of an actor payload, in bytes of JSON. Every session token contains it, and the token must fit in a cookie of 4,096 bytes. Above 1,600, proxies in front of your app need larger header buffers than the default of nginx.',
  ),
  actor_token_max_seconds: number(60, 31_536_000, 86_400).describe('Maximum `expires_in_seconds` of an actor token.'),
  actor_session_max_seconds: number(60, 31_536_000, 2_592_000).describe(
    'Maximum `session_max_duration_in_seconds` of an actor token.',
  ),
  max_connections: number(10, 1_000_000, 10_000).describe(
    'Maximum number of open connections. The server closes further connections without an answer. Each connection may use up to 300 kB of memory while it receives a body.',
  ),
  max_streams_per_key: number(1, 100_000, 100).describe(
    'Maximum number of event streams (`GET /v1/revocations`) that one secret key may have open on this server.',
  ),
  max_wait_ms: wholeNumber(5, 60_000)
    .optional()
    .describe(
      'Maximum time that work waits, in milliseconds: for the event loop, for signing, or for a database connection. If waits stay longer than this, not just briefly, the server answers further requests with 503. Raise it for a few clients that send many requests at once. Default: 25; 1000 in development.',
    ),
  rate_limit_key: limit.describe(
    'Maximum requests of one secret key: per second, and in one burst after a pause. Revocations do not count. Default: `1000/s burst 2000`; `none` in development, which also applies to the other limits.',
  ),
  rate_limit_address: limit.describe(
    'Maximum requests of one IP address (an IPv6 /64 counts as one) to the Frontend API. Set STAGEDOOR_TRUSTED_PROXIES first; otherwise all requests through your proxy count as one address. Default: `200/s burst 2000`.',
  ),
  rate_limit_redeem: limit.describe('Maximum redemptions of tickets from one IP address. Default: `5/s burst 100`.'),
  rate_limit_operator: limit.describe(
    'Maximum requests of one operator in the console. Ending sessions does not count. Default: `50/s burst 500`.',
  ),
  rate_limit_failures: limit.describe(
    'Maximum requests with an invalid secret key from one IP address. Further ones are answered 429; a valid key always works. Default: `1/s burst 100`.',
  ),
  retention_days: z
    .string()
    .regex(/^(none|[1-9]\d{0,3})$/, { error: 'must be a number of days, or `none`' })
    .default('90')
    .describe(
      'Days for which tickets and sessions are kept after they end or expire. Then the server deletes them in small batches. It keeps them at least for STAGEDOOR_ACTOR_SESSION_MAX_SECONDS. `none` never deletes them. The audit log is never deleted.',
    ),
  packages_directory: z
    .string()
    .min(1)
    .default('.')
    .describe(
      'Folder from which the server resolves the npm packages @clerk/clerk-js and @clerk/ui. `/npm/@clerk/…` serves their browser builds. Default: the working directory of the server.',
    ),
  ...auditSettings,
  metrics_port: wholeNumber(0, 65_535)
    .optional()
    .describe(
      'Port on which Prometheus reads `/metrics`; 0 selects any free port. If it is not set, there are no metrics.',
    ),
  metrics_host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on for metrics. Metrics need no authentication, so use a private address.'),
  log_level: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
    .default('info')
    .describe(
      'Log level. The log is JSON lines on standard output: `info` logs every request, `warn` logs only problems.',
    ),
})

/** The validated settings. Never print them: they include secrets. */
export type Config = Readonly<z.output<typeof schema> & { changed: readonly ChangedSetting[] }>

/** A setting that is not at its default. */
export interface ChangedSetting {
  /** `STAGEDOOR_PORT` */
  name: string
  /** As it was set, without passwords; null if the setting is a secret. */
  value: string | null
  source: SettingSource
}

/** Where a setting came from: the environment of the process, or `stagedoor dev`, which fills in what is missing. */
export type SettingSource = 'environment' | 'dev'

/** Settings whose values are never shown. */
const SECRETS = new Set(['master_key', 'secret_key', 'operator_client_secret'])

/** Name, description and default of every setting, for `stagedoor --help` and the reference. */
export const settings = Object.entries(schema.shape).map(([field, type]) => ({
  field,
  env: envName(field),
  description: type.description ?? '',
  defaultValue: defaultOf(type),
}))

export function envName(field: string): string {
  return `STAGEDOOR_${field.toUpperCase()}`
}

/** Thrown for invalid or missing settings. The message lists every problem and how to fix it. */
export class ConfigError extends Error {}

/**
 * Reads the settings from the environment.
 * @param env `process.env`, or an object of the same shape
 * @param filledIn names of the variables that `stagedoor dev` filled in
 * @throws ConfigError with every problem
 * @example loadConfig({ STAGEDOOR_PORT: '4200' }).port // 4200
 */
export function loadConfig(env: Record<string, string | undefined>, filledIn: readonly string[] = []): Config {
  const input: Record<string, string> = {}
  for (const field of Object.keys(schema.shape)) {
    const value = env[envName(field)]
    if (value !== undefined && value !== '') input[field] = value
  }
  const problems = Object.keys(env)
    .filter(
      name =>
        name.startsWith('STAGEDOOR_') &&
        !settings.some(setting => setting.env === name) &&
        !COMMAND_SETTINGS.includes(name),
    )
    .map(name => `${name} is not a setting of Stagedoor${nearest(name)}.`)
  const parsed = schema.safeParse(input)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(`${envName(String(issue.path[0]))}: ${issue.message}.`)
  }
  if (problems.length > 0 || !parsed.success) throw new ConfigError(problemList(problems))
  return Object.freeze({ ...parsed.data, changed: changedSettings(input, filledIn) })
}

function changedSettings(input: Record<string, string>, filledIn: readonly string[]): ChangedSetting[] {
  return settings
    .filter(({ field, defaultValue }) => input[field] !== undefined && input[field] !== defaultValue)
    .map(({ field, env: name }) => ({
      name,
      value: SECRETS.has(field) ? null : withoutPassword(field, input[field] ?? ''),
      source: filledIn.includes(name) ? 'dev' : 'environment',
    }))
}

function withoutPassword(field: string, value: string): string {
  return field === 'database_url' && !value.startsWith('sqlite:') ? describeDatabase(value) : value
}

/** Default rate limits in production. Each setting's description repeats its default. */
const USUAL_LIMITS = {
  key: '1000/s burst 2000',
  operator: '50/s burst 500',
  address: '200/s burst 2000',
  redeem: '5/s burst 100',
  failures: '1/s burst 100',
}

/** Returns the maximum number of connections to PostgreSQL. */
export function poolSize({ database_pool_size = 10 }: Config): number {
  return database_pool_size
}

/** Whether the database is SQLite, in the server's own process. */
export const isEmbedded = (config: Config): boolean => config.database_url.startsWith('sqlite:')

/** Returns the maximum time that work waits before requests are answered 503, in ms. */
export function maxWait(config: Config): number {
  return config.max_wait_ms ?? (config.environment === 'development' ? 1_000 : 25)
}

/** Returns the rate limits. In development there are none by default, because tests send many requests. */
export function rateLimits(
  config: Config,
): Record<keyof typeof USUAL_LIMITS, { per_second: number; burst: number } | undefined> {
  const limitOf = (what: keyof typeof USUAL_LIMITS) => {
    const text = config[`rate_limit_${what}`] ?? (config.environment === 'development' ? 'none' : USUAL_LIMITS[what])
    const [per_second, burst] = (text.match(/\d+/g) ?? []).map(Number)
    return per_second === undefined || burst === undefined ? undefined : { per_second, burst }
  }
  return {
    key: limitOf('key'),
    operator: limitOf('operator'),
    address: limitOf('address'),
    redeem: limitOf('redeem'),
    failures: limitOf('failures'),
  }
}

/** Default server of the commands. */
const USUAL_SERVER_URL = 'http://127.0.0.1:4100'
/** Read by the commands, not by the server. */
const COMMAND_SETTINGS = ['STAGEDOOR_SERVER_URL']

/**
 * Returns the server that commands send requests to, and the key they use.
 * @throws ConfigError if there is no key and one is needed
 */
export function remoteServer(
  env: Record<string, string | undefined>,
  { keyNeeded = true } = {},
): { serverURL: string; secretKey: string } {
  const secretKey = env.STAGEDOOR_SECRET_KEY ?? ''
  if (keyNeeded && secretKey === '') {
    throw new ConfigError(
      'STAGEDOOR_SECRET_KEY is missing. Set it to a secret key of the server (`stagedoor keys create` creates one), or run this command in a folder where `stagedoor dev` was started.',
    )
  }
  return { serverURL: env.STAGEDOOR_SERVER_URL ?? USUAL_SERVER_URL, secretKey }
}

/** Returns the database's URL without its password, for messages and logs. */
export function describeDatabase(databaseUrl: string): string {
  if (databaseUrl.startsWith('sqlite:')) return databaseUrl.slice('sqlite:'.length)
  const { protocol, username, host, pathname } = new URL(databaseUrl)
  return `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}`
}

/** Returns the message about one problem or several. */
export function problemList(problems: string[]): string {
  return problems.length === 1
    ? String(problems[0])
    : `${problems.length} settings need attention:\n${problems.map(problem => `  - ${problem}`).join('\n')}`
}

function nearest(name: string): string {
  const close = settings.find(
    ({ env }) => env.replaceAll('_', '') === name.replaceAll('_', '') || env.startsWith(name) || name.startsWith(env),
  )
  return close ? `; did you mean ${close.env}?` : '; `stagedoor serve --help` lists them'
}

function defaultOf(type: z.ZodType): string | undefined {
  const fallback = type.safeParse(undefined)
  if (!fallback.success || fallback.data === undefined || Array.isArray(fallback.data)) return undefined
  return String(fallback.data)
}

/** Whether this is a time zone of the IANA database. */
function isTimeZone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }) !== undefined
  } catch {
    return false
  }
}
