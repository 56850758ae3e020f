import { isIP } from 'node:net'
import { z } from 'zod'
import { decodeKey, guessable, MAX_WORDINESS_OF_ANY_KEY } from './secret-strength.ts'

/** The only reader of the environment. Each setting: what it is, its unit, its default. docs/reference/config.md is made from here. */

/** Written in docs and examples; a server that has them is a server anyone can enter. */
const SAMPLE_SECRETS = [
  'sk_live_your_secret_key',
  'sk_test_your_secret_key',
  'change-me',
  'changeme',
  'your_master_key',
]
/** What `stagedoor dev` makes; good on a laptop only. */
export const DEV_MASTER_KEY_PREFIX = 'dev_'
/** Not localhost: to a browser that is another site than 127.0.0.1, and no cookie goes between them. */
const DEV_SIGN_IN_URL = 'http://127.0.0.1:3000/sign-in'

/** The languages that http/texts has. */
const LANGUAGES = ['en', 'de'] as const

/** Digits alone: `1e3`, `0x10` and ` 5` are mistakes. */
const wholeNumber = (from: number, to: number) =>
  z
    .string()
    .refine(text => /^\d{1,9}$/.test(text) && Number(text) >= from && Number(text) <= to, {
      error: `must be a whole number from ${from} to ${to}`,
    })
    .transform(Number)

const number = (from: number, to: number, usual: number) => wholeNumber(from, to).default(usual)

const limit = z
  .string()
  .regex(/^(none|[1-9]\d{0,5}\/s burst [1-9]\d{0,6})$/, { error: 'must be `none`, or like `100/s burst 1000`' })
  .optional()

const commaList = z
  .string()
  .default('')
  .transform(text =>
    text
      .split(',')
      .map(item => item.trim())
      .filter(item => item !== ''),
  )

const url = z.url({ protocol: /^https?$/, error: 'must be an http or https URL' })

/** Where browsers reach this server. A path is kept: a proxy may strip it. */
const publicURL = url.transform((text, context) => {
  const address = new URL(text)
  const path = address.pathname.replace(/\/+$/, '')
  const given = `${address.origin}${path}`
  if (hasMore(address)) return refuse(context, `must have no user name, query or fragment. Give ${given}`)
  if (path.endsWith('/v1')) return refuse(context, `must not end with /v1. Give ${given.slice(0, -'/v1'.length)}`)
  if (!/^(\/[\w.~-]+)*$/.test(path))
    return refuse(context, 'must have a plain path, if any: letters, digits and . _ ~ - between single slashes')
  return given
})

const signInURL = url.refine(text => !hasUserInfo(new URL(text)), {
  error: 'must have no user name or password: browsers are sent there with tickets',
})

/** As browsers send it. What could never equal that is refused: it would allow nothing, without a word. */
const originOfPages = z.string().transform((text, context) => {
  if (/^(chrome|moz)-extension:\/\/[a-z0-9-]+$/.test(text)) return text
  if (text.includes('*')) return refuse(context, `${text} has a wildcard, which matches nothing. List each origin`)
  const address = /^https?:\/\//i.test(text) ? URL.parse(text) : null
  if (!address) return refuse(context, 'must be origins like https://app.example.com, or those of browser extensions')
  if (hasMore(address) || address.pathname !== '/')
    return refuse(context, `an origin has no user name, path, query or fragment. Give ${address.origin}`)
  return address.origin
})

const network = z.string().refine(
  entry => {
    const [address = '', prefix, ...more] = entry.split('/')
    const bits = isIP(address) === 6 ? 128 : 32
    const isNetwork = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits)
    return isIP(address) > 0 && isNetwork && more.length === 0
  },
  { error: 'must be addresses or networks, 10.0.0.0/8' },
)

const hasUserInfo = ({ username, password }: URL) => username !== '' || password !== ''
/** `href` keeps an empty query or fragment, which `search` and `hash` do not show. */
const hasMore = (address: URL) => hasUserInfo(address) || /[?#]/.test(address.href)

function refuse(context: z.core.$RefinementCtx<string>, message: string) {
  context.issues.push({ code: 'custom', message, input: context.value })
  return z.NEVER
}

const schema = z.object({
  database_url: z
    .string()
    .refine(text => /^sqlite:.+/.test(text) || (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)), {
      error:
        'must be `sqlite:` and a path, like sqlite:./stagedoor.db, or sqlite::memory:, or postgres://user:password@host:5432/database',
    })
    .default('sqlite:./stagedoor.db')
    .describe(
      'Where everything is stored: `sqlite:` and a path, `sqlite::memory:`, or `postgres://user:password@host:5432/database?sslmode=verify-full`.',
    ),
  database_pool_size: wholeNumber(1, 1_000)
    .optional()
    .describe(
      'Connections that this server keeps to PostgreSQL at most; its workers share them evenly. Default: 10, or 5 for each worker.',
    ),
  workers: z
    .string()
    .regex(/^(auto|[1-9]\d?)$/, { error: 'must be `auto` or a number from 1 to 99' })
    .default('1')
    .transform(text => (text === 'auto' ? text : Number(text)))
    .describe(
      'Processes that serve, at one address: a number, or `auto` for one a core. More than one need PostgreSQL; with the embedded database `auto` is one.',
    ),
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
  port: number(0, 65_535, 4_100).describe('Port to listen on; 0 takes any free one.'),
  public_url: publicURL
    .optional()
    .describe(
      'Where browsers reach this server: issuer of session tokens and address of the Frontend API. It may have a path, like https://example.com/auth, if your proxy strips it. Default: http:// and where it listens.',
    ),
  allow_http: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      '`on` lets `serve` start with an http:// address in STAGEDOOR_PUBLIC_URL or STAGEDOOR_SIGN_IN_URL that is not of this machine. Tickets and cookies then cross the network in clear: for tests in a closed network only.',
    ),
  environment: z
    .enum(['development', 'production'])
    .optional()
    .describe(
      '`production` (`serve`) or `development` (`dev`). Decides the prefix of keys, and whether sessions can be started without a ticket.',
    ),
  master_key: z
    .string()
    .optional()
    .describe(
      'The one secret everything is derived from or sealed with: 32 random bytes or more, base64 or hex. Make one with `openssl rand -base64 32`. Without it the database cannot be used.',
    ),
  secret_key: z
    .string()
    .regex(/^sk_(test|live)_[\x21-\x7e]{24,200}$/, {
      error: 'must be sk_live_ or sk_test_ and at least 24 random characters',
    })
    .optional()
    .describe('A secret API key to take as given, at the first start say. Others: `stagedoor keys create`.'),
  signing_alg: z
    .enum(['RS256', 'ES256', 'EdDSA'])
    .default('RS256')
    .describe('How session tokens are signed. Clerk’s SDKs verify RS256 only.'),
  sign_in_url: signInURL
    .default(DEV_SIGN_IN_URL)
    .describe('The page of your app that tickets are sent to; it redeems them. `serve` has no default.'),
  accept_page: z
    .enum(['confirm', 'redirect'])
    .default('confirm')
    .describe(
      '`confirm`: opening a ticket shows who is about to act as whom, and asks. `redirect`: it sends the browser straight on, as Clerk does; then the page of your app must not redeem on a mere GET.',
    ),
  sign_in_tokens: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      '`off`: sign-in tokens are neither created nor redeemed. They sign in as the user without naming an actor, so turn them off where all access has to name who acts.',
    ),
  brand_name: z
    .string()
    .trim()
    .min(1)
    .max(60)
    .default('Stagedoor')
    .describe('Name of your product or company, at the top of the pages that this server shows.'),
  brand_logo: z
    .string()
    .min(1)
    .optional()
    .describe(
      'File with your logo, beside the name: SVG, PNG, JPEG, WebP or GIF, 24,000 bytes at most. Read once at the start.',
    ),
  languages: z
    .string()
    .default(LANGUAGES.join(','))
    .transform(text => text.split(',').map(item => item.trim()))
    .pipe(z.array(z.enum(LANGUAGES, { error: `must be a list of ${LANGUAGES.join(', ')}, like \`de,en\`` })).min(1))
    .describe(
      'Languages of the pages that this server shows, comma separated. The browser chooses among them (Accept-Language); the first is the default. With one language alone all pages are in it. Default: `en,de`.',
    ),
  allowed_origins: commaList
    .pipe(z.array(originOfPages))
    .describe(
      'Origins of the pages that may use the Frontend API, comma separated. In development also every page on this machine.',
    ),
  trusted_proxies: commaList
    .pipe(z.array(network))
    .describe(
      'Addresses or networks of your proxies, comma separated. Only what they write into X-Forwarded-For is believed.',
    ),
  session_idle_timeout_seconds: number(60, 86_400, 600).describe(
    'An actor session ends if it is not used for so long, in seconds.',
  ),
  session_token_lifetime_seconds: number(10, 600, 60).describe('Life of a session token, in seconds.'),
  actor_max_bytes: number(64, 2_434, 1_024).describe(
    'Largest actor payload, in bytes of JSON. It travels in every session token, which has to fit a cookie of 4,096 bytes. Above 1,600, proxies before your app need larger header buffers than nginx has by default.',
  ),
  actor_token_max_seconds: number(60, 31_536_000, 86_400).describe(
    'Most that `expires_in_seconds` of an actor token may ask for.',
  ),
  actor_session_max_seconds: number(60, 31_536_000, 2_592_000).describe(
    'Most that `session_max_duration_in_seconds` may ask for.',
  ),
  max_connections: number(10, 1_000_000, 10_000).describe(
    'Connections open at once, at most; more are closed unanswered. Each may hold up to 300 kB while a body comes in.',
  ),
  max_streams_per_key: number(1, 100_000, 100).describe(
    'Maximum number of event streams (`GET /v1/revocations`) that one secret key may have open on this server.',
  ),
  max_wait_ms: wholeNumber(5, 60_000)
    .optional()
    .describe(
      'How long work may be kept waiting, in milliseconds, before more of it is answered 503: by the event loop, the signing of tokens or the connections to the database, and not just for a moment. More suits a few clients that ask for a great deal at once. Default: 25; 1000 in development.',
    ),
  rate_limit_key: limit.describe(
    'Requests of one secret key: so many a second, and so many at once after a pause. Revocations do not count. Default: `1000/s burst 2000`; `none` in development, as for the other three.',
  ),
  rate_limit_address: limit.describe(
    'Requests of one address to the Frontend API; IPv6 by its /64. Set STAGEDOOR_TRUSTED_PROXIES first: otherwise your proxy is one address. Default: `200/s burst 2000`.',
  ),
  rate_limit_redeem: limit.describe('Tickets redeemed from one address. Default: `5/s burst 100`.'),
  rate_limit_failures: limit.describe(
    'Wrong secret keys from one address. Beyond, they are answered 429; a right one always works. Default: `1/s burst 100`.',
  ),
  retention_days: z
    .string()
    .regex(/^(none|[1-9]\d{0,3})$/, { error: 'must be a number of days, or `none`' })
    .default('90')
    .describe(
      'Days for which tickets and sessions are kept after their time was over; then they are deleted, a few at a time. `none` keeps them for ever. Not sooner than STAGEDOOR_ACTOR_SESSION_MAX_SECONDS after. The audit log is kept in any case.',
    ),
  packages_directory: z
    .string()
    .min(1)
    .default('.')
    .describe(
      'Folder from which the npm packages @clerk/clerk-js and @clerk/ui are looked for; `/npm/@clerk/…` serves their browser builds. Default: the folder the server is started in.',
    ),
  metrics_port: wholeNumber(0, 65_535)
    .optional()
    .describe('Port on which Prometheus finds `/metrics`; 0 takes any free one. Without it there are no metrics.'),
  metrics_host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on for metrics. Nothing asks there who reads them: keep it among yourselves.'),
  log_level: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
    .default('info')
    .describe(
      'How much is logged, as JSON lines on standard output: `info` has a line for each request, `warn` only trouble.',
    ),
})

/** The settings, all checked. Secrets print as themselves nowhere: see `describeSettings`. */
export type Config = Readonly<z.output<typeof schema>>

/** Name, description and default of every setting, for `stagedoor --help` and the reference. */
export const settings = Object.entries(schema.shape).map(([field, type]) => ({
  field,
  env: envName(field),
  description: type.description ?? '',
  usual: usualOf(type),
}))

export function envName(field: string): string {
  return `STAGEDOOR_${field.toUpperCase()}`
}

/** A setting is wrong or missing. The message lists all of them, each with what to do. */
export class ConfigError extends Error {}

/**
 * Reads the settings from the environment.
 * @param env `process.env`, or any object of its form
 * @throws ConfigError naming every problem at once
 * @example loadConfig({ STAGEDOOR_PORT: '4200' }).port // 4200
 */
export function loadConfig(env: Record<string, string | undefined>): Config {
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
  if (problems.length > 0 || !parsed.success) throw new ConfigError(list(problems))
  return Object.freeze(parsed.data)
}

/** In production, where nothing else is said. Documented beside each setting. */
const USUAL_LIMITS = {
  key: '1000/s burst 2000',
  address: '200/s burst 2000',
  redeem: '5/s burst 100',
  failures: '1/s burst 100',
}

/** How many processes serve. @param cores of this machine */
export function workerCount(config: Config, cores: number): number {
  if (config.workers !== 'auto') return config.workers
  return isEmbedded(config) ? 1 : cores
}

/** Connections to PostgreSQL that each of so many workers keeps at most. */
export function poolSize(config: Config, workers: number): number {
  if (config.database_pool_size === undefined) return workers === 1 ? 10 : 5
  return Math.max(1, Math.floor(config.database_pool_size / workers))
}

const isEmbedded = (config: Config) => config.database_url.startsWith('sqlite:')

/** How long work may be kept waiting, ms. */
export function maxWait(config: Config): number {
  return config.max_wait_ms ?? (config.environment === 'development' ? 1_000 : 25)
}

/** How much one key or address may ask. In development everything, unless told: tests hammer. */
export function rateLimits(
  config: Config,
): Record<keyof typeof USUAL_LIMITS, { per_second: number; burst: number } | undefined> {
  const limitOf = (what: keyof typeof USUAL_LIMITS) => {
    const text = config[`rate_limit_${what}`] ?? (config.environment === 'development' ? 'none' : USUAL_LIMITS[what])
    const [per_second, burst] = (text.match(/\d+/g) ?? []).map(Number)
    return per_second === undefined || burst === undefined ? undefined : { per_second, burst }
  }
  return { key: limitOf('key'), address: limitOf('address'), redeem: limitOf('redeem'), failures: limitOf('failures') }
}

/** Where the commands find the server, if it is not said. */
const USUAL_SERVER_URL = 'http://127.0.0.1:4100'
/** Read by the commands, not by the server. */
const COMMAND_SETTINGS = ['STAGEDOOR_SERVER_URL']

/**
 * The server that commands talk to, and the key they use.
 * @throws ConfigError if there is no key and one is needed
 */
export function remoteServer(
  env: Record<string, string | undefined>,
  { keyNeeded = true } = {},
): { serverURL: string; secretKey: string } {
  const secretKey = env.STAGEDOOR_SECRET_KEY ?? ''
  if (keyNeeded && secretKey === '') {
    throw new ConfigError(
      'STAGEDOOR_SECRET_KEY is missing. Give a secret key of the server (`stagedoor keys create` makes one), or run this in a folder where `stagedoor dev` was started.',
    )
  }
  return { serverURL: env.STAGEDOOR_SERVER_URL ?? USUAL_SERVER_URL, secretKey }
}

/** What a production server must have beside. @throws ConfigError */
export function assertProduction(config: Config): void {
  const problems: string[] = []
  const make = 'Make one with `openssl rand -base64 32` and keep it safe: without it the database cannot be used.'
  if (config.master_key === undefined) problems.push(`STAGEDOOR_MASTER_KEY is missing. ${make}`)
  else if (config.master_key.startsWith(DEV_MASTER_KEY_PREFIX))
    problems.push(`STAGEDOOR_MASTER_KEY was made by \`stagedoor dev\` and is good on a laptop only. ${make}`)
  else {
    const problem = masterKeyProblem(config.master_key)
    if (problem) problems.push(`STAGEDOOR_MASTER_KEY ${problem}. ${make}`)
  }
  const keyProblem = config.secret_key && secretKeyProblem(config.secret_key)
  if (keyProblem)
    problems.push(`STAGEDOOR_SECRET_KEY ${keyProblem}. Leave it out and make keys with \`stagedoor keys create\`.`)
  if (config.environment !== 'development' && config.secret_key?.startsWith('sk_test_'))
    problems.push('STAGEDOOR_SECRET_KEY is a test key. A production server takes sk_live_ keys only.')
  if (config.public_url === undefined)
    problems.push(
      'STAGEDOOR_PUBLIC_URL is missing. Give the address at which browsers reach this server, https://auth.example.com say: it is the issuer of every session token.',
    )
  if (config.sign_in_url === DEV_SIGN_IN_URL)
    problems.push(
      'STAGEDOOR_SIGN_IN_URL is missing. Give the page of your app that redeems tickets, https://app.example.com/sign-in say.',
    )
  for (const field of ['public_url', 'sign_in_url'] as const) {
    const address = config[field]
    if (config.allow_http === 'off' && address !== undefined && isInClear(address))
      problems.push(
        `${envName(field)} is http: tickets and cookies would cross the network in clear. Give an https:// address, or set STAGEDOOR_ALLOW_HTTP=on.`,
      )
  }
  if (typeof config.workers === 'number' && config.workers > 1) {
    if (isEmbedded(config))
      problems.push(
        `STAGEDOOR_WORKERS is ${config.workers}, and the embedded database has one writer at a time: more processes would only wait for each other. Leave it at 1, or move to PostgreSQL (\`stagedoor migrate --from … --to …\`).`,
      )
    else if ((config.database_pool_size ?? config.workers) < config.workers)
      problems.push(
        `STAGEDOOR_DATABASE_POOL_SIZE is ${config.database_pool_size}: each of ${config.workers} workers needs a connection.`,
      )
  }
  if (problems.length > 0) throw new ConfigError(list(problems))
}

/** Whether others can read what is sent there. */
function isInClear(address: string): boolean {
  const { protocol, hostname } = new URL(address)
  return protocol === 'http:' && !/^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}

/** The database's URL without its password: for messages and logs. */
export function describeDatabase(databaseUrl: string): string {
  if (databaseUrl.startsWith('sqlite:')) return databaseUrl.slice('sqlite:'.length)
  const { protocol, username, host, pathname } = new URL(databaseUrl)
  return `${protocol}//${username === '' ? '' : `${username}@`}${host}${pathname}`
}

/** The shortest master key, in bytes. */
const MASTER_KEY_BYTES = 32

/**
 * The bytes of a master key.
 * @param text base64, base64url or hex, with or without the prefix of development keys
 * @throws ConfigError if it is none of them, or too short
 */
export function masterKeyBytes(text: string): Buffer {
  const key = text.startsWith(DEV_MASTER_KEY_PREFIX) ? text.slice(DEV_MASTER_KEY_PREFIX.length) : text
  const bytes = decodeKey(key)
  const problem = bytes ? lengthProblem(bytes) : NOT_ENCODED
  if (!bytes || problem) throw new ConfigError(`STAGEDOOR_MASTER_KEY ${problem}.`)
  return bytes
}

const NOT_ENCODED = 'is not base64, base64url or hex'

function lengthProblem(bytes: Buffer): string | undefined {
  return bytes.length < MASTER_KEY_BYTES
    ? `is too short: it has ${bytes.length} bytes, and ${MASTER_KEY_BYTES} are needed`
    : undefined
}

/** Why a master key protects nothing, as the end of a sentence. */
function masterKeyProblem(text: string): string | undefined {
  if (isSample(text)) return 'is a sample value'
  const bytes = decodeKey(text)
  if (!bytes) return `${NOT_ENCODED}: a passphrase is no key`
  return lengthProblem(bytes) ?? guessableProblem(text)
}

function secretKeyProblem(text: string): string | undefined {
  return isSample(text)
    ? 'is a sample value'
    : guessableProblem(text.replace(/^sk_(test|live)_/, ''), MAX_WORDINESS_OF_ANY_KEY)
}

function guessableProblem(secret: string, maxWordiness?: number): string | undefined {
  const why = guessable(secret, maxWordiness)
  return why && `was not drawn at random: it ${why}`
}

/** A placeholder from a document. */
function isSample(secret: string): boolean {
  const plain = secret.toLowerCase()
  return SAMPLE_SECRETS.some(sample => plain.includes(sample))
}

function list(problems: string[]): string {
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

function usualOf(type: z.ZodType): string | undefined {
  const usual = type.safeParse(undefined)
  if (!usual.success || usual.data === undefined || Array.isArray(usual.data)) return undefined
  return String(usual.data)
}
