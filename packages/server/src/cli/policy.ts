import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type ErrorDetail, StagedoorError } from '@stagedoor/sdk'
import type { PolicyCheck, PolicyDecision, PolicyWhatIf, SupposedActor } from '@stagedoor/sdk/models/components'
import type { WhatIfPolicyRequestBody } from '@stagedoor/sdk/models/operations'
import type { Command } from 'commander'
import { remote } from './environment.ts'
import { ACCESS, type LimitOptions, limitsOf, SCOPES } from './limits.ts'
import { type ListOptions, paged, showList } from './lists.ts'
import {
  type OutputOptions,
  print,
  printJson,
  printMessage,
  printOne,
  time,
  UsageError,
  wholeNumber,
} from './output.ts'
import { POLICY_EXAMPLES } from './policy-examples.ts'
import { seconds } from './units.ts'
import { userIdOf } from './users-by.ts'

interface FileOptions extends OutputOptions {
  tests?: string
  off?: string[]
}

interface WhatIfOptions extends OutputOptions {
  off?: string[]
  days: number
  actor?: string
  registration?: string
  user?: string
  metadata?: string
}

interface ExplainOptions extends OutputOptions, LimitOptions {
  user?: string
  actor?: string
  session?: string
  actorToken?: string
  sessionMaxDuration?: number
  reason?: string
  reasonCategory?: string
  ticket?: string
  ip?: string
}

export function addPolicy(program: Command): void {
  const group = program
    .command('policy')
    .description('show, check, apply and explain the rules about who may act as whom')
  addInit(group)
  addReading(group)
  addChanges(group)
  addExplain(group)
}

const DEFAULT_EXAMPLE = 'support-tiers'

function addInit(group: Command): void {
  const names = Object.keys(POLICY_EXAMPLES).join(', ')
  group
    .command('init [file]')
    .description('write an example policy with its tests, to start from (default: policy.cedar)')
    .option('--template <name>', `the example: ${names}`, DEFAULT_EXAMPLE)
    .option('--force', 'replace files that exist')
    .option('--json', 'print JSON')
    .action((file = 'policy.cedar', options: OutputOptions & { template: string; force?: boolean }) => {
      const example = Object.hasOwn(POLICY_EXAMPLES, options.template) ? POLICY_EXAMPLES[options.template] : undefined
      if (!example) throw new UsageError(`There is no example “${options.template}”. Choose one of ${names}.`)
      if (!file.endsWith('.cedar')) throw new UsageError(`“${file}” must end with .cedar.`)
      const tests = testsFileOf(file)
      for (const each of [file, tests])
        if (!options.force && existsSync(each)) throw new UsageError(`${each} exists. Replace it with --force.`)
      write(file, example.text)
      write(tests, example.tests)
      printOne(options, { policy: file, tests, next: `stagedoor policy check ${file}` })
    })
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (cause) {
    throw new UsageError(`${file} cannot be written: ${(cause as Error).message}`, { cause })
  }
}

const testsFileOf = (file: string) => file.replace(/\.cedar$/, '.tests.jsonl')

function addReading(group: Command): void {
  group
    .command('show')
    .description('print the policy in force')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) => {
      const policy = await remote().policy.get()
      if (options.json) return printJson(policy)
      print(policy.text.trimEnd())
      const off = policy.off.length === 0 ? '' : ` Base rules that are off: ${policy.off.join(', ')}.`
      printMessage(`Version ${policy.version}${policy.version === 0 ? ', the default policy' : ''}.${off}`)
    })

  paged(group.command('history').description('list the versions of the policy, newest first')).action(
    async (options: ListOptions) => {
      const client = remote()
      await showList(options, page => client.policy.listVersions(page), {
        columns: {
          version: policy => policy.version,
          applied: policy => time(policy.createdAt),
          by: policy => policy.createdBy,
          reason: policy => policy.reason,
          off: policy => policy.off.join(' '),
        },
        empty: 'The default policy is in force, and no other one was ever applied.',
      })
    },
  )

  withFile(
    group
      .command('check <file>')
      .description('check a policy and run its tests, without applying it; the exit code is 1 if it cannot be applied'),
  ).action(async (file: string, options: FileOptions) => {
    const check = await remote().policy.check({ text: read(file), off: options.off ?? [], ...testsOf(file, options) })
    if (options.json) printJson(check)
    else showCheck(file, check)
    if (!check.valid) process.exitCode = 1
  })

  withFile(
    group
      .command('test <file>')
      .description('run the tests of a policy and print each result; the exit code is 1 if one fails'),
  ).action(async (file: string, options: FileOptions) => {
    const given = testsOf(file, options)
    if (given.tests === undefined) throw new UsageError(`There are no tests: ${testsFileOf(file)} does not exist.`)
    const check = await remote().policy.check({ text: read(file), off: options.off ?? [], ...given })
    if (options.json) printJson(check.tests)
    else showTests(file, check)
    if (check.valid) warn(file, check)
    if (!check.valid) process.exitCode = 1
  })
}

/** Names the sessions that a change would end, if it was refused for them. */
async function changed<T>(change: Promise<T>): Promise<T> {
  return change.catch(error => {
    if (!(error instanceof StagedoorError) || error.code !== 'policy_ends_sessions') throw error
    const { refused, sessions } = error.meta as { refused: number; sessions: Record<string, string>[] }
    for (const { session_id, actor_sub, user_id } of sessions)
      printMessage(`  ${session_id}  ${actor_sub} as ${user_id}`)
    const [{ code, message, paramName }] = error.errors as [ErrorDetail]
    const action = `If they may end, repeat with --expect-refused ${refused}.`
    throw new StagedoorError(error.status, [{ code, message, action, paramName }], error)
  })
}

/** Options of a change. */
interface ChangeOptions {
  expectRefused: number
  reason?: string
}

const withChange = (command: Command) =>
  command
    .option('--expect-refused <number>', 'how many active sessions the change may end at most', wholeNumber, 0)
    .option('--reason <text>', 'why; stored in the history and the audit log')

function addChanges(group: Command): void {
  withChange(
    withFile(
      group.command('apply <file>').description('put a policy in force, after checking it and running its tests'),
    ),
  )
    .option('--if-version <version>', 'only if this version is in force', wholeNumber)
    .option('--dry-run', 'apply nothing; say what would change, like `what-if`')
    .action(async (file: string, options: FileOptions & ChangeOptions & { ifVersion?: number; dryRun?: boolean }) => {
      const { off = [], ifVersion, expectRefused, reason, dryRun } = options
      const draft = { text: read(file), off, ...testsOf(file, options) }
      const client = remote()
      // Shows errors with their lines, and warnings. The server checks again before the policy is in force.
      const check = await client.policy.check(draft)
      if (!check.valid) {
        showCheck(file, check)
        throw new UsageError('The policy was not applied.')
      }
      warn(file, check)
      if (dryRun) return showWhatIf(options, await client.policy.whatIf({ text: draft.text, off }))
      const policy = await changed(client.policy.put({ ...draft, ifVersion, expectRefused, reason }))
      printOne(options, policy, { version: policy.version, applied: time(policy.createdAt) })
    })

  withChange(
    group
      .command('rollback <version>')
      .description('put an earlier version in force again, as a new version; 0 is the default policy'),
  )
    .option('--json', 'print JSON')
    .action(async (version: string, options: OutputOptions & ChangeOptions) => {
      const { expectRefused, reason } = options
      const policy = await changed(remote().policy.rollback({ version: wholeNumber(version), expectRefused, reason }))
      printOne(options, policy, { version: policy.version, reason: policy.reason, applied: time(policy.createdAt) })
    })
}

function addExplain(group: Command): void {
  group
    .command('what-if [file]')
    .description('say what another policy, actor or user would change: for active sessions, and for past actor tokens')
    .option('--off <rule...>', 'base rules that do not apply, like base.operators; with a file')
    .option('--actor <sub>', 'an actor, as --registration says')
    .option('--registration <json>', 'how the actor would be registered: {"kind":"operator","teams":["support"]}')
    .option('--user <id>', 'a user, as --metadata says: an id, e-mail address or external id')
    .option('--metadata <json>', 'what private_metadata.stagedoor of the user would be: {"protected":true}')
    .option('--days <number>', 'days to look back for actor tokens', wholeNumber, 30)
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, options: WhatIfOptions) => {
      showWhatIf(options, await remote().policy.whatIf(await supposed(file, options)))
    })

  group
    .command('explain')
    .description('say whether an actor may act as a user, and which rules decide; the exit code is 1 if not')
    .option('--user <id>', 'the user to act as: an id, e-mail address or external id')
    .option('--actor <sub>', 'id of the person or program that acts')
    .option('--session <id>', 'decide about this session instead')
    .option('--actor-token <id>', 'decide about this actor token instead')
    .option('--session-max-duration <duration>', 'maximum duration of the session (30m)', seconds)
    .option('--reason <text>', 'the reason')
    .option('--reason-category <name>', 'the kind of reason')
    .option('--ticket <text>', 'the support ticket')
    .option('--ip <address>', 'the IPv4 or IPv6 address of the actor')
    .option(...ACCESS)
    .option(...SCOPES)
    .option('--json', 'print JSON')
    .action(async (options: ExplainOptions) => {
      const decision = await explained(options)
      if (options.json) printJson(decision)
      else showDecision(decision)
      if (decision.decision === 'refused') process.exitCode = 1
    })
}

async function supposed(file: string | undefined, options: WhatIfOptions): Promise<WhatIfPolicyRequestBody> {
  const { off = [], days, actor, registration, user, metadata } = options
  if ((actor === undefined) !== (registration === undefined))
    throw new UsageError('Use --actor and --registration together.')
  if ((user === undefined) !== (metadata === undefined)) throw new UsageError('Use --user and --metadata together.')
  if (file === undefined && actor === undefined && user === undefined)
    throw new UsageError('Name a file, or use --actor and --registration, or --user and --metadata.')
  return {
    days,
    ...(file === undefined ? {} : { text: read(file), off }),
    ...(actor === undefined
      ? {}
      : { registration: { ...objectIn('--registration', registration), sub: actor } as SupposedActor }),
    ...(user === undefined
      ? {}
      : {
          user: {
            id: await userIdOf(remote(), user),
            privateMetadata: { stagedoor: objectIn('--metadata', metadata) },
          },
        }),
  }
}

/** Reads a JSON object. Its members are as in the API: `user_id`. */
function objectIn(option: string, text = ''): Record<string, unknown> {
  try {
    const value = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {}
  throw new UsageError(`${option} is not a JSON object.`)
}

async function explained(options: ExplainOptions): Promise<PolicyDecision> {
  const client = remote()
  const { ip } = options
  if (options.session !== undefined) return client.policy.explain({ sessionId: options.session, ip })
  if (options.actorToken !== undefined) return client.policy.explain({ actorTokenId: options.actorToken, ip })
  const { user, actor, sessionMaxDuration, reason, reasonCategory, ticket } = options
  if (user === undefined || actor === undefined)
    throw new UsageError('Give --user and --actor, or --session, or --actor-token.')
  return client.policy.explain({
    userId: await userIdOf(client, user),
    actor: { sub: actor },
    ...(sessionMaxDuration === undefined ? {} : { sessionMaxDurationInSeconds: sessionMaxDuration }),
    reason,
    reasonCategory,
    ticket,
    ip,
    ...limitsOf(options),
  })
}

function withFile(command: Command): Command {
  return command
    .option('--tests <file>', 'tests, one JSON object per line (default: the file of the same name with .tests.jsonl)')
    .option('--off <rule...>', 'base rules that do not apply, like base.operators')
    .option('--json', 'print JSON')
}

function read(file: string): string {
  try {
    // Some editors begin a file with a byte order mark.
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '')
  } catch (cause) {
    throw new UsageError(`${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** Returns the tests of a policy: those of the option, or of the file next to it. */
function testsOf(file: string, { tests }: FileOptions): { tests?: string } {
  if (tests !== undefined) return { tests: read(tests) }
  return existsSync(testsFileOf(file)) ? { tests: read(testsFileOf(file)) } : {}
}

const problemAt = (file: string, { line, column, message, help }: PolicyCheck['errors'][number]) =>
  `${file}${line === null ? '' : `:${line}:${column ?? 1}`}  ${message}${help === null ? '' : ` ${help}`}`

/** Prints warnings where they do not mix with results. */
function warn(file: string, { warnings }: PolicyCheck): void {
  for (const warning of warnings) printMessage(`${problemAt(file, warning)} (warning)`)
}

function showTests(file: string, check: PolicyCheck): void {
  // Without results, the policy or the tests cannot be read.
  if (check.tests.length === 0) {
    showCheck(file, check)
    return
  }
  for (const { line, name, passed, difference } of check.tests)
    print(`${passed ? '✓' : '✗'} line ${line}${name === null ? '' : `, ${name}`}${passed ? '' : `: ${difference}`}`)
  print(`${check.tests.filter(({ passed }) => passed).length} of ${check.tests.length} tests passed.`)
}

function showCheck(file: string, { errors, warnings, tests, rules, valid }: PolicyCheck): void {
  for (const error of errors) print(problemAt(file, error))
  for (const warning of warnings) print(`${problemAt(file, warning)} (warning)`)
  for (const test of tests)
    if (!test.passed)
      print(`test in line ${test.line}${test.name === null ? '' : `, ${test.name}`}: ${test.difference}`)
  const passed = tests.filter(test => test.passed).length
  const tested = tests.length === 0 ? `no tests (${testsFileOf(file)})` : `${passed} of ${tests.length} tests passed`
  if (valid) print(`${file} is valid: ${rules.length} rules, ${tested}.`)
}

function showWhatIf(options: OutputOptions, result: PolicyWhatIf): void {
  if (options.json) {
    printJson(result)
    return
  }
  const { live, acts, complete } = result
  print(`Of ${live.checked} active sessions, ${live.refused} would end.`)
  for (const { sessionId, actorSub, userId, determinedBy } of live.sessions)
    print(`  ${sessionId}  ${actorSub} as ${userId}: ${determinedBy.join(', ') || NO_PERMIT}`)
  if (live.refused > live.sessions.length) print(`  … and ${live.refused - live.sessions.length} more`)
  print(
    `Of ${acts.checked} past actor tokens, ${acts.refused} would have been refused, and ${acts.newlyAllowed} allowed that would be refused now.`,
  )
  for (const [rule, count] of Object.entries(acts.byRule))
    print(`  ${count} ${rule === '(none)' ? 'because no rule permits them' : `by ${rule}`}`)
  if (!complete) printMessage('There were more than could be decided about.')
}

const NO_PERMIT = 'no rule permits it'

function showDecision({ decision, policyVersion, determinedBy, permittedBy, needs, errors }: PolicyDecision): void {
  print(`${decision} by version ${policyVersion} of the policy`)
  if (determinedBy.length === 0) print('  No rule permits it.')
  for (const { id, title, message } of determinedBy) print(`  ${[id, message ?? title].filter(Boolean).join(': ')}`)
  if (decision === 'refused' && permittedBy.length > 0) print(`  Without that, permitted by: ${permittedBy.join(', ')}`)
  for (const { id, message } of errors) print(`  error in ${id ?? 'the facts'}: ${message}`)
  if (needs.length > 0) print(`  Allowed with: ${needs.map(each => each.join(' and ')).join('; or ')}`)
}
