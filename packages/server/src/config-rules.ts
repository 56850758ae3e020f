import { type Config, ConfigError, DEV_SIGN_IN_URL, envName, isEmbedded, problemList } from './config.ts'
import { decodeKey, guessable, MAX_WORDINESS_OF_ANY_KEY } from './secret-strength.ts'

/** Rules for settings beyond the form of each one: what a production server requires, and which secrets are strong enough. */

/** Placeholders from docs and examples. They are public, so a server that uses one has no protection. */
const SAMPLE_SECRETS = [
  'sk_live_your_secret_key',
  'sk_test_your_secret_key',
  'change-me',
  'changeme',
  'your_master_key',
]
/** Prefix of master keys that `stagedoor dev` creates. They are for development only. */
export const DEV_MASTER_KEY_PREFIX = 'dev_'
/** Checks the additional requirements of a production server. @throws ConfigError with every problem */
export function assertProduction(config: Config): void {
  const problems = [
    ...masterKeyProblems(config),
    ...secretKeyProblems(config),
    ...missingAddresses(config),
    ...unencryptedAddresses(config),
    ...reusePortProblems(config),
    ...consoleProblems(config),
    ...auditProblems(config),
  ]
  if (problems.length > 0) throw new ConfigError(problemList(problems))
}

function masterKeyProblems({ master_key }: Config): string[] {
  const create = 'Create one with `openssl rand -base64 32` and keep it safe: without it the database cannot be used.'
  if (master_key === undefined) return [`STAGEDOOR_MASTER_KEY is missing. ${create}`]
  if (master_key.startsWith(DEV_MASTER_KEY_PREFIX))
    return [`STAGEDOOR_MASTER_KEY was created by \`stagedoor dev\` and is for development only. ${create}`]
  const weakness = masterKeyWeakness(master_key)
  return weakness ? [`STAGEDOOR_MASTER_KEY ${weakness}. ${create}`] : []
}

function secretKeyProblems({ secret_key, environment }: Config): string[] {
  if (secret_key === undefined) return []
  const problems: string[] = []
  const weakness = secretKeyWeakness(secret_key)
  if (weakness)
    problems.push(`STAGEDOOR_SECRET_KEY ${weakness}. Remove it and create keys with \`stagedoor keys create\`.`)
  if (environment !== 'development' && secret_key.startsWith('sk_test_'))
    problems.push('STAGEDOOR_SECRET_KEY is a test key. A production server accepts only sk_live_ keys.')
  return problems
}

function missingAddresses({ public_url, sign_in_url }: Config): string[] {
  const problems: string[] = []
  if (public_url === undefined)
    problems.push(
      'STAGEDOOR_PUBLIC_URL is missing. Set it to the URL at which browsers reach this server, like https://auth.example.com. It is the issuer of every session token.',
    )
  if (sign_in_url === DEV_SIGN_IN_URL)
    problems.push(
      'STAGEDOOR_SIGN_IN_URL is missing. Set it to the page of your app that redeems tickets, like https://app.example.com/sign-in.',
    )
  return problems
}

function unencryptedAddresses(config: Config): string[] {
  if (config.allow_http === 'on') return []
  return (['public_url', 'sign_in_url', 'console_url', 'operator_issuer'] as const)
    .filter(field => isUnencrypted(config[field]))
    .map(
      field =>
        `${envName(field)} is http, so tickets and cookies would cross the network unencrypted. Use an https:// address, or set STAGEDOOR_ALLOW_HTTP=on.`,
    )
}

/** Whether requests to this URL cross the network unencrypted. */
function isUnencrypted(address: string | undefined): boolean {
  if (address === undefined) return false
  const { protocol, hostname } = new URL(address)
  return protocol === 'http:' && !/^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}

function reusePortProblems(config: Config): string[] {
  if (!config.reuse_port || !isEmbedded(config)) return []
  return [
    'STAGEDOOR_REUSE_PORT is true, but a SQLite file has one server at a time. Remove the setting, or move to PostgreSQL (`stagedoor migrate --from … --to …`).',
  ]
}

/** Problems of the audit log's settings: what would make every checkpoint insufficient, or let others stop the log. */
function auditProblems({ audit_require, audit_directory, audit_witnesses, allow_http }: Config): string[] {
  const problems: string[] = []
  if (audit_require.directory && audit_directory === undefined)
    problems.push('STAGEDOOR_AUDIT_REQUIRE has `directory`, but STAGEDOOR_AUDIT_DIRECTORY is missing. Set it.')
  const { length } = audit_witnesses
  // Without witnesses of its own, a node relies on the signatures that other nodes collect.
  if (length > 0 && audit_require.witnesses > length)
    problems.push(
      `STAGEDOOR_AUDIT_REQUIRE asks for ${audit_require.witnesses} witnesses, but STAGEDOOR_AUDIT_WITNESSES names ${length}. Name more, or require fewer.`,
    )
  for (const { url } of audit_witnesses)
    if (allow_http !== 'on' && isUnencrypted(url))
      problems.push(
        `STAGEDOOR_AUDIT_WITNESSES: ${url} is http, so anyone between can answer for the witness and stop the log. Use an https:// address, or set STAGEDOOR_ALLOW_HTTP=on.`,
      )
  return problems
}

/** Problems of the console's settings. Some of them together mean nothing. */
function consoleProblems(config: Config): string[] {
  const { operator_issuer, operator_client_id, operator_client_secret, operator_roles, console_url, public_url } =
    config
  const problems: string[] = []
  const needed = { operator_client_id, operator_client_secret }
  if (operator_issuer !== undefined) {
    for (const [field, value] of Object.entries(needed))
      if (value === undefined) problems.push(`${envName(field)} is missing: STAGEDOOR_OPERATOR_ISSUER needs it.`)
    if (operator_roles.length === 0)
      problems.push(
        'STAGEDOOR_OPERATOR_ROLES is missing: without it nobody can sign in to the console. Set the group of each role, like admin:sd-admins.',
      )
  }
  if (config.console !== 'off' && operator_issuer !== undefined && console_url === undefined && hasPath(public_url))
    problems.push(
      'STAGEDOOR_CONSOLE_URL is missing: the console needs an origin of its own, because STAGEDOOR_PUBLIC_URL has a path.',
    )
  return problems
}

const hasPath = (address: string | undefined) => address !== undefined && new URL(address).pathname !== '/'

/** Whether there is a console. It needs an origin whose root is this server. */
export function hasConsole({ console, console_url, public_url }: Config): boolean {
  return console !== 'off' && (console_url !== undefined || !hasPath(public_url))
}

/**
 * Returns the origin of the console. In development it is `localhost`: browsers refuse passkeys on 127.0.0.1.
 * @example consoleUrl({ public_url: 'http://127.0.0.1:4100', environment: 'development', … }) // 'http://localhost:4100'
 */
export function consoleUrl(
  config: Pick<Config, 'console_url' | 'public_url' | 'environment' | 'host' | 'port'>,
): string {
  if (config.console_url !== undefined) return config.console_url
  const address = new URL(config.public_url ?? `http://${config.host}:${config.port}`)
  if (config.environment === 'development' && address.hostname === '127.0.0.1') address.hostname = 'localhost'
  return address.origin
}

/** Minimum length of a master key, in bytes. */
const MASTER_KEY_BYTES = 32

/**
 * Decodes a master key.
 * @param text base64, base64url or hex, with or without the prefix of development keys
 * @throws ConfigError if the encoding is none of these, or the key is too short
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
    ? `is too short: it has ${bytes.length} bytes and needs at least ${MASTER_KEY_BYTES}`
    : undefined
}

/** Returns why a master key is not safe, as the end of a sentence, or undefined. */
function masterKeyWeakness(text: string): string | undefined {
  if (isSample(text)) return 'is a sample value'
  const bytes = decodeKey(text)
  if (!bytes) return `${NOT_ENCODED}; a passphrase cannot be used as a key`
  return lengthProblem(bytes) ?? guessableProblem(text)
}

function secretKeyWeakness(text: string): string | undefined {
  return isSample(text)
    ? 'is a sample value'
    : guessableProblem(text.replace(/^sk_(test|live)_/, ''), MAX_WORDINESS_OF_ANY_KEY)
}

function guessableProblem(secret: string, maxWordiness?: number): string | undefined {
  const why = guessable(secret, maxWordiness)
  return why && `is not random: it ${why}`
}

/** Whether the secret is a placeholder from a document. */
function isSample(secret: string): boolean {
  const plain = secret.toLowerCase()
  return SAMPLE_SECRETS.some(sample => plain.includes(sample))
}
