import { existsSync, readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { type Config, ConfigError } from './config.ts'
import { ApiError } from './contract/errors.ts'
import type { Context } from './domain/context.ts'
import { getPolicy, putPolicy } from './domain/policy-changes.ts'
import { digestOf, type PolicyProblem, type PolicyTestResult } from './domain/policy-engine.ts'

const SETTING = 'STAGEDOOR_POLICY_FILE'

/**
 * Puts the policy of a file in force at the start of a server, unless it is in force already. Its tests are run first, if
 * they are in the file next to it.
 *
 *     await applyPolicyFile(ctx, loadConfig({ STAGEDOOR_POLICY_FILE: 'policies/support.cedar' }), log)
 *
 * @throws ConfigError with file, line and column, if the policy cannot be used
 */
export async function applyPolicyFile(
  ctx: Context,
  { policy_file, policy_off: off }: Pick<Config, 'policy_file' | 'policy_off'>,
  log: Logger,
): Promise<void> {
  if (policy_file === undefined) return
  const draft = { text: read(policy_file), off, tests: testsOf(policy_file) }
  // Another server that starts at the same moment may apply the same file first.
  for (let attempt = 0; attempt < 3; attempt++) {
    const { version: if_version, digest } = await getPolicy(ctx)
    if (digest === digestOf(draft)) return
    try {
      const change = { ...draft, if_version, expect_refused: Number.MAX_SAFE_INTEGER, reason: `from ${SETTING}` }
      const { record, warnings } = await putPolicy(ctx, change)
      log.info({ version: record.version, file: policy_file }, 'applied the policy of the file')
      for (const warning of warnings)
        log.warn({ file: policy_file, ...warning }, 'a rule probably does not do what it should')
      return
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (error.code !== 'policy_changed_meanwhile') throw problemsOf(policy_file, error)
    }
  }
  throw new ConfigError(`${SETTING}: other servers apply other policies at the same moment. Give all of them one file.`)
}

function read(file: string): string {
  try {
    // Some editors begin a file with a byte order mark.
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '')
  } catch (cause) {
    throw new ConfigError(`${SETTING}: ${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

function testsOf(file: string): string | undefined {
  const tests = file.replace(/\.cedar$/, '.tests.jsonl')
  return tests !== file && existsSync(tests) ? read(tests) : undefined
}

function problemsOf(file: string, error: ApiError): ConfigError {
  const { long_message, meta } = error.toJSON()
  const { errors = [], tests = [] } = meta as { errors?: PolicyProblem[]; tests?: PolicyTestResult[] }
  const lines = [
    ...errors.map(({ line, column, message, help }) =>
      [`${file}${line === null ? '' : `:${line}:${column ?? 1}`}`, message, help].filter(Boolean).join(' '),
    ),
    ...tests.map(({ line, name, difference }) =>
      [`test in line ${line}${name === null ? '' : `, ${name}`}:`, difference].join(' '),
    ),
  ]
  return new ConfigError([`${SETTING}: ${long_message}`, ...lines].join('\n  '), { cause: error })
}
