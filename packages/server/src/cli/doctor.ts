import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Command } from 'commander'
import { assertProduction, type Config, describeDatabase, loadConfig, remoteServer } from '../config.ts'
import { listSecretKeys } from '../domain/secret-keys.ts'
import { listSigningKeys } from '../domain/signing-keys.ts'
import type { Stagedoor } from '../server.ts'
import { commandEnvironment, commandLine, withInstance } from './environment.ts'
import { EXIT, type OutputOptions, print, printJson } from './output.ts'

interface Finding {
  check: string
  /** `warn` works, but somebody should look at it. */
  result: 'ok' | 'warn' | 'fail'
  detail: string
}

const OLDEST_NODE = [22, 18] as const
const LITTLE_SPACE_BYTES = 500_000_000
const CLOCK_SKEW_SECONDS = 2

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check settings, database, keys and the running server, and say what to mend')
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

async function examine(findings: Finding[]): Promise<void> {
  const check = async (name: string, look: () => Promise<string> | string, otherwise: 'warn' | 'fail' = 'fail') => {
    try {
      findings.push({ check: name, result: 'ok', detail: await look() })
      return true
    } catch (error) {
      findings.push({ check: name, result: otherwise, detail: (error as Error).message })
      return false
    }
  }
  const env = commandEnvironment()

  await check('Node', () => nodeVersion())
  let config: Config | undefined
  const settingsFine = await check('settings', () => {
    config = loadConfig(env)
    return `read; database ${describeDatabase(config.database_url)}`
  })
  if (!settingsFine || !config) return
  const known = config
  await check('secrets', () => {
    if (known.environment === 'development') return 'those of a development server'
    assertProduction(known)
    return 'real ones, as `stagedoor serve` needs them'
  })
  const path = known.database_url.replace(/^sqlite:/, '')
  if (path !== ':memory:' && path !== known.database_url) {
    await check('file', () => databaseFile(path), 'warn')
    await check('disk', () => diskSpace(dirname(path)), 'warn')
  }
  await check('database', () => withInstance(stagedoor => database(stagedoor, path !== known.database_url)))
  await check('durability', () => withInstance(durability), 'warn')
  await check('keys', () => withInstance(keys), 'warn')
  await check('server', () => server(remoteServer(env, { keyNeeded: false }).serverURL), 'warn')
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
  return `${path}, ${(size / 1_000_000).toFixed(1)} MB, its owner’s only`
}

async function diskSpace(directory: string): Promise<string> {
  const { bavail, bsize } = await statfs(directory)
  const free = bavail * bsize
  const shown = `${(free / 1_000_000_000).toFixed(1)} GB free`
  if (free < LITTLE_SPACE_BYTES)
    throw new Error(`${shown}: make room before the disk is full; then only what revokes or ends something is stored.`)
  return shown
}

async function database({ services }: Stagedoor, embedded: boolean): Promise<string> {
  const problems = await services.store.check()
  const advice = embedded ? ' Restore it from a backup, or copy what is left with `sqlite3 … .recover`.' : ''
  if (problems.length > 0) throw new Error(`${problems.join('; ')}.${advice}`)
  return `whole, durable, instance ${services.settings.instance_id}; the master key opens its signing keys`
}

async function durability({ services }: Stagedoor): Promise<string> {
  const risks = await services.store.risks()
  if (risks.length > 0) throw new Error(`${risks.join('; ')}.`)
  return 'no setting of the database lets go of what was acknowledged'
}

async function keys(stagedoor: Stagedoor): Promise<string> {
  const context = stagedoor.context(commandLine())
  const usable = (await listSecretKeys(context)).filter(key => key.revoked_at === null)
  if (usable.length === 0)
    throw new Error(
      'There is no secret key: nobody can use the Backend API. Make one: stagedoor keys create --name <name>',
    )
  const signing = await listSigningKeys(context)
  return `${usable.length} secret ${usable.length === 1 ? 'key' : 'keys'}; signing keys: ${signing
    .filter(key => key.status !== 'removed')
    .map(key => `${key.alg} ${key.status}`)
    .join(', ')}`
}

async function server(url: string): Promise<string> {
  const asked = Date.now()
  let response: Response
  try {
    response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) })
  } catch {
    throw new Error(`nothing answers at ${url}: start it, or name it with STAGEDOOR_SERVER_URL.`)
  }
  if (!response.ok) throw new Error(`${url}/readyz answers ${response.status}: see its log.`)
  const skew = Math.abs(Date.parse(response.headers.get('date') ?? '') - asked) / 1_000
  if (skew > CLOCK_SKEW_SECONDS)
    throw new Error(`the clocks of ${url} and of this machine are ${skew.toFixed(0)} s apart: set them by NTP.`)
  return `${url} is ready`
}
