import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { type Config, describeDatabase, isEmbedded, loadConfig, remoteServer } from '../config.ts'
import {
  type Check,
  checkInto,
  examineFile,
  examineSettings,
  examineStored,
  fileOf,
  nodeVersion,
  problemsOf,
} from '../diagnosis.ts'
import type { Finding } from '../domain/context.ts'
import type { Stagedoor } from '../server.ts'
import { commandEnvironment, commandLine, withInstance } from './environment.ts'
import { causeOf, isTlsMismatch } from './error-text.ts'
import { EXIT, type OutputOptions, plain, print, printJson } from './output.ts'

const CLOCK_SKEW_SECONDS = 2

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
          print(
            `${{ ok: '✓', warn: '!', fail: '✗' }[result]} ${check.padEnd(12)} ${detail.split('\n').map(plain).join('\n')}`,
          )
      if (findings.some(finding => finding.result === 'fail')) process.exitCode = EXIT.failed
    })
}

async function examine(findings: Finding[]): Promise<void> {
  const check = checkInto(findings)
  const env = commandEnvironment()

  await check('Node', nodeVersion)
  let config: Config | undefined
  const isRead = await check('settings', () => {
    config = loadConfig(env)
    const [problem] = problemsOf(config, false)
    if (problem !== undefined) throw new Error(problem)
    return `read; database ${describeDatabase(config.database_url)}`
  })
  if (config) {
    const known = config
    const hasSecrets = await examineSettings(check, known)
    // Without the master key the database cannot be opened; the finding about secrets already reports that.
    if (hasSecrets || known.master_key !== undefined) await examineDatabase(check, findings, known)
  }
  if (config || isRead) await check('server', () => server(remoteServer(env, { keyNeeded: false }).serverURL), 'warn')
}

/** Checks the database. It is opened once, so a failure to open it gives one finding. */
async function examineDatabase(check: Check, findings: Finding[], config: Config): Promise<void> {
  const path = fileOf(config)
  if (path !== undefined) {
    if (!existsSync(path)) {
      const detail = `There is no database ${path} yet. \`stagedoor serve\` creates it. To use another one, set STAGEDOOR_DATABASE_URL.`
      findings.push({ check: 'database', result: 'warn', detail })
      return
    }
    await examineFile(check, path)
  }
  try {
    await withInstance(async stagedoor => {
      await check('database', () => database(stagedoor, isEmbedded(config)))
      await examineStored(check, stagedoor.context(commandLine()), config)
    })
  } catch (error) {
    const { message } = error as Error
    const heading = /^(?!STAGEDOOR_DATABASE_URL).*STAGEDOOR_MASTER_KEY/.test(message) ? 'secrets' : 'database'
    const known = findings.findIndex(finding => finding.check === heading)
    if (known !== -1) findings.splice(known, 1)
    findings.push({ check: heading, result: 'fail', detail: message })
  }
}

async function database({ services }: Stagedoor, embedded: boolean): Promise<string> {
  const problems = await services.store.check()
  const advice = embedded ? ' Restore it from a backup, or copy what is left with `sqlite3 … .recover`.' : ''
  if (problems.length > 0) throw new Error(`${problems.join('; ')}.${advice}`)
  return `intact, durable, instance ${services.settings.instance_id}; the master key decrypts its signing keys`
}

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
