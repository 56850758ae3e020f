import { existsSync } from 'node:fs'
import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Command } from 'commander'
import { type Config, describeDatabase, loadConfig, remoteServer } from '../config.ts'
import { assertProduction } from '../config-rules.ts'
import { unknownActors } from '../domain/actors.ts'
import type { SecretKeyRecord } from '../domain/records.ts'
import { allSecretKeys, isUsableAt, rightsOf } from '../domain/secret-keys.ts'
import { listSigningKeys } from '../domain/signing-keys.ts'
import type { Stagedoor } from '../server.ts'
import { commandEnvironment, commandLine, withInstance } from './environment.ts'
import { causeOf, isTlsMismatch } from './error-text.ts'
import { EXIT, type OutputOptions, plain, print, printJson } from './output.ts'

interface Finding {
  check: string
  /** `warn` works, but an operator should know. */
  result: 'ok' | 'warn' | 'fail'
  detail: string
}

const OLDEST_NODE = [22, 18] as const
const LITTLE_SPACE_BYTES = 500_000_000
const CLOCK_SKEW_SECONDS = 2
/** Keys that expire sooner than this are reported, in ms. */
const EXPIRES_SOON = 14 * 86_400_000

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check settings, database, keys and the running server, and report what to fix')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) => {
      const findings: Finding[] = []
      await examine(findings)
      if (options.json) printJson(findings)
      else
        for (const { check, result, detail } of findings)
          print(`${{ ok: '✓', warn: '!', fail: '✗' }[result]} ${check.padEnd(12)} ${detail}`)
      if (findings.some(finding => finding.result === 'fail')) process.exitCode = EXIT.failed
    })
}

type Check = (name: string, run: () => Promise<string> | string, otherwise?: 'warn' | 'fail') => Promise<boolean>

async function examine(findings: Finding[]): Promise<void> {
  const check: Check = async (name, run, otherwise = 'fail') => {
    try {
      findings.push({ check: name, result: 'ok', detail: await run() })
      return true
    } catch (error) {
      findings.push({ check: name, result: otherwise, detail: (error as Error).message })
      return false
    }
  }
  const env = commandEnvironment()

  await check('Node', () => nodeVersion())
  let config: Config | undefined
  const isRead = await check('settings', () => {
    config = loadConfig(env)
    const [problem] = problemsOf(config, false)
    if (problem !== undefined) throw new Error(problem)
    return `read; database ${describeDatabase(config.database_url)}`
  })
  if (config) {
    const known = config
    const hasSecrets = await check('secrets', () => secrets(known))
    await check('algorithm', () => ALGORITHMS[known.signing_alg])
    if (known.environment !== 'development') await check('sign-in', () => signInTokens(known), 'warn')
    // Without the master key the database cannot be opened; the finding about secrets already reports that.
    if (hasSecrets || known.master_key !== undefined) await examineDatabase(check, findings, known)
  }
  if (config || isRead) await check('server', () => server(remoteServer(env, { keyNeeded: false }).serverURL), 'warn')
}

/** Returns the problems that keep a production server from starting, as one text: those of secrets, or all others. */
function problemsOf(config: Config, ofSecrets: boolean): string[] {
  if (config.environment === 'development') return []
  try {
    assertProduction(config)
    return []
  } catch (error) {
    const problems = (error as Error).message.split('\n').map(line => line.replace(/^ {2}- /, ''))
    const chosen = problems.filter(
      line => /^STAGEDOOR_/.test(line) && /^STAGEDOOR_(MASTER|SECRET)_KEY/.test(line) === ofSecrets,
    )
    return chosen.length === 0 ? [] : [chosen.join(' ')]
  }
}

function secrets(config: Config): string {
  const [problem] = problemsOf(config, true)
  if (problem !== undefined) throw new Error(problem)
  return config.environment === 'development'
    ? 'those of a development server'
    : 'valid for production: `stagedoor serve` accepts them'
}

/** What the algorithm of session tokens means for an operator. */
const ALGORITHMS: Record<Config['signing_alg'], string> = {
  RS256:
    'RS256 signs session tokens: every client verifies it. ES256 needs a quarter to a third of the CPU time per token, but Clerk’s SDKs for Node, Java and Python cannot verify it',
  ES256:
    'ES256 signs session tokens, with little CPU time. Clerk’s SDKs for Node, Java and Python cannot verify it: they need STAGEDOOR_SIGNING_ALG=RS256',
  EdDSA:
    'EdDSA signs session tokens, with little CPU time. Clerk’s SDKs for Node, Java and Python, and Nimbus, cannot verify it: they need STAGEDOOR_SIGNING_ALG=RS256',
}

/** Warns if sign-in tokens are on: they sign in as the user without naming an actor. */
function signInTokens({ sign_in_tokens }: Config): string {
  if (sign_in_tokens === 'off') return 'sign-in tokens are off: every session that a ticket starts names its actor'
  throw new Error(
    'Sign-in tokens are on: a secret key can sign in as any user without an actor in the session. Set STAGEDOOR_SIGN_IN_TOKENS=off if your app does not use them.',
  )
}

/** Checks the database. It is opened once, so a failure to open it gives one finding. */
async function examineDatabase(check: Check, findings: Finding[], config: Config): Promise<void> {
  const path = config.database_url.startsWith('sqlite:') ? config.database_url.slice('sqlite:'.length) : undefined
  if (path !== undefined && path !== ':memory:') {
    if (!existsSync(path)) {
      const detail = `There is no database ${path} yet. \`stagedoor serve\` creates it. To use another one, set STAGEDOOR_DATABASE_URL.`
      findings.push({ check: 'database', result: 'warn', detail })
      return
    }
    await check('file', () => databaseFile(path), 'warn')
    await check('disk', () => diskSpace(dirname(path)), 'warn')
  }
  try {
    await withInstance(async stagedoor => {
      await check('database', () => database(stagedoor, path !== undefined))
      await check('durability', () => durability(stagedoor), 'warn')
      await check('keys', () => keys(stagedoor), 'warn')
      await check('rights', () => rightsOfKeys(stagedoor, config.environment !== 'development'), 'warn')
      const inProduction = config.environment !== 'development'
      await check('policy', () => policyInForce(stagedoor, inProduction), 'warn')
      await check('actors', () => actorsWhoActed(stagedoor, inProduction), 'warn')
    })
  } catch (error) {
    const { message } = error as Error
    const heading = /^(?!STAGEDOOR_DATABASE_URL).*STAGEDOOR_MASTER_KEY/.test(message) ? 'secrets' : 'database'
    const known = findings.findIndex(finding => finding.check === heading)
    if (known !== -1) findings.splice(known, 1)
    findings.push({ check: heading, result: 'fail', detail: message })
  }
}

function nodeVersion(): string {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    throw new Error(`${process.versions.node} is older than ${OLDEST_NODE.join('.')}: install a newer Node.`)
  }
  return process.versions.node
}

async function databaseFile(path: string): Promise<string> {
  const { mode, size } = await stat(path)
  if (mode & 0o077) throw new Error(`${path} can be read by others: chmod 600 ${path} ${path}-wal ${path}-shm`)
  return `${path}, ${(size / 1_000_000).toFixed(1)} MB, readable by its owner only`
}

async function diskSpace(directory: string): Promise<string> {
  const { bavail, bsize } = await statfs(directory)
  const free = bavail * bsize
  const shown = `${(free / 1_000_000_000).toFixed(1)} GB free`
  if (free < LITTLE_SPACE_BYTES)
    throw new Error(
      `${shown}. Free some space: when the disk is full, the server only stores revocations and sign-outs.`,
    )
  return shown
}

async function database({ services }: Stagedoor, embedded: boolean): Promise<string> {
  const problems = await services.store.check()
  const advice = embedded ? ' Restore it from a backup, or copy what is left with `sqlite3 … .recover`.' : ''
  if (problems.length > 0) throw new Error(`${problems.join('; ')}.${advice}`)
  return `intact, durable, instance ${services.settings.instance_id}; the master key decrypts its signing keys`
}

async function durability({ services }: Stagedoor): Promise<string> {
  const risks = await services.store.risks()
  if (risks.length > 0) throw new Error(`${risks.join('; ')}.`)
  return 'no setting of the database can lose acknowledged writes'
}

async function keys(stagedoor: Stagedoor): Promise<string> {
  const context = stagedoor.context(commandLine())
  const usable = await usableKeys(stagedoor)
  if (usable.length === 0)
    throw new Error(
      'There is no secret key, so the Backend API refuses every request. Create one: stagedoor keys create --name <name>',
    )
  const signing = await listSigningKeys(context)
  return `${usable.length} secret ${usable.length === 1 ? 'key' : 'keys'}; signing keys: ${signing
    .filter(key => key.status !== 'removed')
    .map(key => `${key.alg} ${key.status}`)
    .join(', ')}`
}

async function usableKeys(stagedoor: Stagedoor): Promise<SecretKeyRecord[]> {
  const context = stagedoor.context(commandLine())
  return (await allSecretKeys(context)).filter(key => isUsableAt(key, context.clock.now()))
}

/** Returns the version of the policy in force, if it is not the default policy. */
async function ownPolicy({ services }: Stagedoor): Promise<number | undefined> {
  const version = await services.store.policies.current()
  const record = version === 0 ? undefined : await services.store.policies.find(version)
  return record !== undefined && record.policy_text !== services.defaultPolicy.text ? version : undefined
}

/** Warns if the default policy is in force. */
async function policyInForce(stagedoor: Stagedoor, inProduction: boolean): Promise<string> {
  const version = await ownPolicy(stagedoor)
  if (version !== undefined) return `version ${version} decides who may act as whom`
  if (!inProduction) return 'the default policy: any actor that a backend names may act as any user'
  throw new Error(
    'The default policy is in force: any actor that a backend names may act as any user. Write rules and apply them with `stagedoor policy apply` (docs/concepts/policy.md).',
  )
}

/** Maximum number of actors that are named. */
const NAMED = 5

/** Warns about actors of whom only the `sub` is known: for rules they have no team and level 0. */
async function actorsWhoActed(stagedoor: Stagedoor, inProduction: boolean): Promise<string> {
  const unknown = await unknownActors(stagedoor.context(commandLine()))
  const [first] = unknown
  if (first === undefined) return 'every actor of the last 30 days is registered, or is a user'
  const named = unknown.slice(0, NAMED).map(sub => `“${plain(sub)}”`)
  const more = unknown.length > NAMED ? ` and ${unknown.length - NAMED} more` : ''
  const acted =
    unknown.length === 1
      ? `1 actor of the last 30 days is neither registered nor a user: ${named.join()}.`
      : `${unknown.length} actors of the last 30 days are neither registered nor users: ${named.join(', ')}${more}.`
  if (!inProduction && (await ownPolicy(stagedoor)) === undefined) return `${acted} The default policy allows that`
  throw new Error(
    `${acted} Rules see them without teams and with level 0. Register those you know: \`stagedoor actors set SUB --team …\`, or \`stagedoor actors import FILE\`. Find out why the others act.`,
  )
}

/** Warns about secret keys that may do more than they should have to, and about keys that expire soon. */
async function rightsOfKeys(stagedoor: Stagedoor, inProduction: boolean): Promise<string> {
  const soon = stagedoor.services.clock.now() + EXPIRES_SOON
  const usable = (await usableKeys(stagedoor)).map(key => ({ ...key, rights: rightsOf(key) }))
  const all = usable.filter(({ rights }) => rights.includes('everything'))
  const both = usable.filter(({ rights }) => rights.includes('act') && rights.includes('users'))
  const expiring = usable.filter(({ expires_at }) => expires_at !== null && expires_at <= soon)
  const warnings = [
    inProduction && all.length > 0
      ? `${counted(all)} every right. Give each program a key that has only the rights it needs: \`stagedoor keys create --may …\`.`
      : '',
    both.length > 0
      ? `${counted(both)} both \`act\` and \`users\`, and can change users and then act as them: ${names(both)}. Use two keys.`
      : '',
    expiring.length > 0 ? `Expires within 14 days: ${names(expiring)}. Create new keys, and replace these.` : '',
  ].filter(warning => warning !== '')
  if (warnings.length > 0) throw new Error(warnings.join(' '))
  return `${counted(all)} every right; none expires within 14 days`
}

const counted = ({ length }: unknown[]) => (length === 1 ? '1 secret key has' : `${length} secret keys have`)
const names = (keys: { name: string; id: string }[]) => keys.map(({ name, id }) => `“${name}” (${id})`).join(', ')

async function server(url: string): Promise<string> {
  const asked = Date.now()
  let response: Response
  try {
    response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) })
  } catch (error) {
    if (isTlsMismatch(causeOf(error)))
      throw new Error(`${url} does not speak TLS: set STAGEDOOR_SERVER_URL=${url.replace('https:', 'http:')}`)
    throw new Error(`nothing answers at ${url}: start the server, or set STAGEDOOR_SERVER_URL to its address.`)
  }
  if (!response.ok) throw new Error(`${url}/readyz answers ${response.status}: see its log.`)
  const skew = Math.abs(Date.parse(response.headers.get('date') ?? '') - asked) / 1_000
  if (skew > CLOCK_SKEW_SECONDS)
    throw new Error(
      `the clocks of ${url} and of this machine differ by ${skew.toFixed(0)} s: synchronize them with NTP.`,
    )
  return `${url} is ready`
}
