import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Config } from './config.ts'
import { assertProduction } from './config-rules.ts'
import { unknownActors } from './domain/actors.ts'
import { assertIntact, TamperedError } from './domain/audit/log.ts'
import type { Context, Finding } from './domain/context.ts'
import type { SecretKeyRecord } from './domain/records.ts'
import { allSecretKeys, isUsableAt, rightsOf } from './domain/secret-keys.ts'
import { listSigningKeys } from './domain/signing-keys.ts'

/** Checks of settings and of a database, with what to do about each finding: for `stagedoor doctor` and `GET /v1/instance`. */

const OLDEST_NODE = [22, 18] as const
const LITTLE_SPACE_BYTES = 500_000_000
/** Keys that expire sooner than this are reported, in ms. */
const EXPIRES_SOON = 14 * 86_400_000

/** Runs one check, and adds what it returns or throws to the findings. @returns whether it passed */
export type Check = (name: string, run: () => Promise<string> | string, otherwise?: 'warn' | 'fail') => Promise<boolean>

/** Returns the function that runs checks and collects their findings. */
export function checkInto(findings: Finding[]): Check {
  return async (name, run, otherwise = 'fail') => {
    try {
      findings.push({ check: name, result: 'ok', detail: await run() })
      return true
    } catch (error) {
      findings.push({ check: name, result: otherwise, detail: (error as Error).message })
      return false
    }
  }
}

/** Checks settings that have been read. @returns whether the secrets are strong enough */
export async function examineSettings(check: Check, config: Config): Promise<boolean> {
  const hasSecrets = await check('secrets', () => secrets(config))
  await check('algorithm', () => ALGORITHMS[config.signing_alg])
  if (config.environment !== 'development') await check('sign-in', () => signInTokens(config), 'warn')
  return hasSecrets
}

/** Checks the file of an embedded database, and its disk. @param path of a file that exists */
export async function examineFile(check: Check, path: string): Promise<void> {
  await check('file', () => databaseFile(path), 'warn')
  await check('disk', () => diskSpace(dirname(path)), 'warn')
}

/** Checks what is stored: a few short reads. */
export async function examineStored(check: Check, ctx: Context, config: Config): Promise<void> {
  const inProduction = config.environment !== 'development'
  await check('durability', () => durability(ctx), 'warn')
  await check('audit log', () => intactLog(ctx))
  await check('checkpoints', () => checkpoints(ctx), ctx.auditLog.isRunning ? 'fail' : 'warn')
  await check('keys', () => keys(ctx), 'warn')
  await check('rights', () => rightsOfKeys(ctx, inProduction), 'warn')
  await check('policy', () => policyInForce(ctx, inProduction), 'warn')
  await check('actors', () => actorsWhoActed(ctx, inProduction), 'warn')
}

/**
 * Returns what a running server finds about itself. Does not read the whole database, which `stagedoor doctor` does.
 */
export async function examineServer(ctx: Context, config: Config): Promise<Finding[]> {
  const findings: Finding[] = []
  const check = checkInto(findings)
  await check('Node', nodeVersion)
  await examineSettings(check, config)
  const path = fileOf(config)
  if (path !== undefined) await examineFile(check, path)
  const answers = await check('database', async () => {
    await ctx.store.ping()
    return 'answers; `stagedoor doctor` also checks that it is intact'
  })
  if (answers) await examineStored(check, ctx, config)
  return findings
}

/** Returns the file of an embedded database. */
export function fileOf({ database_url }: Config): string | undefined {
  const path = database_url.startsWith('sqlite:') ? database_url.slice('sqlite:'.length) : undefined
  return path === ':memory:' ? undefined : path
}

/** Returns the problems that keep a production server from starting, as one text: those of secrets, or all others. */
export function problemsOf(config: Config, ofSecrets: boolean): string[] {
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

export function nodeVersion(): string {
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

async function durability({ store }: Context): Promise<string> {
  const risks = await store.risks()
  if (risks.length > 0) throw new Error(`${risks.join('; ')}.`)
  return 'no setting of the database can lose acknowledged writes'
}

/** Checks what a start checks. `stagedoor audit verify --database` checks everything. */
async function intactLog({ auditLog, store }: Context): Promise<string> {
  if (auditLog.tampered !== undefined) throw new Error(tamperedText(auditLog.tampered))
  try {
    await assertIntact(store.auditLog)
  } catch (error) {
    throw error instanceof TamperedError ? new Error(tamperedText(error.message)) : error
  }
  const state = await store.auditLog.state()
  if (!state) return 'has no tree yet: a server creates it when it starts'
  return `${state.size} entries, whose tree continues the newest checkpoint; \`stagedoor audit verify --database\` checks all of them`
}

const tamperedText = (why: string) =>
  `It was tampered with: ${why}. Nothing is signed any more. Restore the right database, or run \`stagedoor audit accept-loss\`.`

/** Maximum age of an event without a checkpoint, in ms. */
const MAX_UNSIGNED = 10_000

async function checkpoints({ auditLog, clock, store }: Context): Promise<string> {
  const state = await store.auditLog.state()
  const waiting = state ? state.newest_seq - state.last_seq : 0
  const isSigned = state === undefined || (waiting <= 0 && state.checkpoint_size >= state.size)
  if (auditLog.isRunning) {
    const age = auditLog.progress().checkpoint_age
    if (age > MAX_UNSIGNED)
      throw new Error(
        `For ${Math.round(age / 1_000)} s the newest events have had no sufficient checkpoint. Look into the log of the server; with STAGEDOOR_AUDIT_REQUIRE, also at the witnesses and the directory.`,
      )
  } else if (!isSigned && state.checkpoint_at < clock.now() - MAX_UNSIGNED)
    throw new Error('The newest events have no checkpoint yet. A running server adds and signs them within a second.')
  return isSigned ? 'the newest one covers every event' : 'the newest one is younger than 10 s'
}

async function keys(ctx: Context): Promise<string> {
  const usable = await usableKeys(ctx)
  if (usable.length === 0)
    throw new Error(
      'There is no secret key, so the Backend API refuses every request. Create one: stagedoor keys create --name <name>',
    )
  const signing = await listSigningKeys(ctx)
  return `${usable.length} secret ${usable.length === 1 ? 'key' : 'keys'}; signing keys: ${signing
    .filter(key => key.status !== 'removed')
    .map(key => `${key.alg} ${key.status}`)
    .join(', ')}`
}

async function usableKeys(ctx: Context): Promise<SecretKeyRecord[]> {
  return (await allSecretKeys(ctx)).filter(key => isUsableAt(key, ctx.clock.now()))
}

/** Returns the version of the policy in force, if it is not the default policy. */
async function ownPolicy({ store, defaultPolicy }: Context): Promise<number | undefined> {
  const version = await store.policies.current()
  const record = version === 0 ? undefined : await store.policies.find(version)
  return record !== undefined && record.policy_text !== defaultPolicy.text ? version : undefined
}

/** Warns if the default policy is in force. */
async function policyInForce(ctx: Context, inProduction: boolean): Promise<string> {
  const version = await ownPolicy(ctx)
  if (version !== undefined) return `version ${version} decides who may act as whom`
  if (!inProduction) return 'the default policy: any actor that a backend names may act as any user'
  throw new Error(
    'The default policy is in force: any actor that a backend names may act as any user. Write rules and apply them with `stagedoor policy apply` (docs/concepts/policy.md).',
  )
}

/** Maximum number of actors that are named. */
const NAMED = 5

/** Warns about actors of whom only the `sub` is known: for rules they have no team and level 0. */
async function actorsWhoActed(ctx: Context, inProduction: boolean): Promise<string> {
  const unknown = await unknownActors(ctx)
  const [first] = unknown
  if (first === undefined) return 'every actor of the last 30 days is registered, or is a user'
  const named = unknown.slice(0, NAMED).map(sub => `“${sub}”`)
  const more = unknown.length > NAMED ? ` and ${unknown.length - NAMED} more` : ''
  const acted =
    unknown.length === 1
      ? `1 actor of the last 30 days is neither registered nor a user: ${named.join()}.`
      : `${unknown.length} actors of the last 30 days are neither registered nor users: ${named.join(', ')}${more}.`
  if (!inProduction && (await ownPolicy(ctx)) === undefined) return `${acted} The default policy allows that`
  throw new Error(
    `${acted} Rules see them without teams and with level 0. Register those you know: \`stagedoor actors set SUB --team …\`, or \`stagedoor actors import FILE\`. Find out why the others act.`,
  )
}

/** Warns about secret keys that may do more than they should have to, and about keys that expire soon. */
async function rightsOfKeys(ctx: Context, inProduction: boolean): Promise<string> {
  const soon = ctx.clock.now() + EXPIRES_SOON
  const usable = (await usableKeys(ctx)).map(key => ({ ...key, rights: rightsOf(key) }))
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
