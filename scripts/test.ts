/**
 * Runs everything that continuous integration runs: checks, then every test.
 *
 *   npm test                  all of it
 *   npm test -- WORD [WORD…]  only the test files whose path starts with one of the words or has it in it, without the checks
 *   npm run test:fast         checks, and the tests that start no other program, on SQLite only
 *   npm run test:deep         the long forms too
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { availableParallelism, freemem } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { preparedData } from '../test/support/postgres/cluster.ts'
import { bundleCommand, COMMAND } from './bundle.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const [...args] = process.argv.slice(2)
const deep = args.includes('--deep')
const fast = args.includes('--fast')
const words = args.filter(arg => !arg.startsWith('-'))
/** Maximum duration of one file, in ms. */
const TIMEOUT = deep ? 14_400_000 : 600_000
const SLOWEST_SHOWN = 15
/** Files that run at the same time. Many tests wait, for a timeout or a browser, so there are more than cores. */
const AT_ONCE = Math.ceil(availableParallelism() * 1.5) + 1
/** Most files load the whole server: they share the compiled code. */
const COMPILED = join(root, 'node_modules/.cache/stagedoor-tests')
/** The folder of the bundled command, which the tests start. Its native dependency is found from here. */
const BUNDLE = join(root, 'packages/server/bin/for-tests')

/** Tests of behaviour that both stores must have: they run on SQLite, and again on PostgreSQL. */
const ON_BOTH = [
  ...[
    'access',
    'acting',
    'acting-stream',
    'actors',
    'actor-tokens',
    'audit',
    'audit-export',
    'audit-log',
    'audit-proof',
    'console-guard',
    'console-sign-in',
    'forged-tokens',
    'frontend',
    'groups',
    'idempotency',
    'identifiers',
    'jwt-templates',
    'limited-sessions',
    'lists',
    'main-job',
    'masking',
    'me',
    'payload',
    'policy',
    'policy-address',
    'policy-what-if',
    'property',
    'purge',
    'redemption',
    'reevaluation',
    'revocations',
    'search',
    'secret-keys',
    'session-tokens',
    'sessions',
    'sign-in-tokens',
    'signing-keys',
    'stats',
    'users',
    'while-acting',
  ].map(name => `packages/server/test/${name}.test.ts`),
  'test/faults/redemption-races.test.ts',
]

/** These files start first, so that no core is idle at the end. The list need not be exact: the end of a run shows times. */
const LONGEST_FIRST = [
  'test/python.test.ts',
  'test/clerk-js.test.ts',
  'packages/server/test/property.test.ts',
  'packages/server/test/rows.test.ts',
  'test/server-sdks.test.ts',
  'test/banner.test.ts',
  'packages/server/test/cli.test.ts',
  'test/packages.test.ts',
  'packages/server/test/restore.test.ts',
  'packages/server/test/import.test.ts',
  'packages/server/test/postgres.test.ts',
  'test/console-work.test.ts',
  'test/console-screens-wide.test.ts',
  'test/console-screens-narrow.test.ts',
  'test/accept-page-browser.test.ts',
  'test/banner-clerk.test.ts',
  'test/example-bolt-on-express.test.ts',
  'packages/server/test/overload.test.ts',
  'packages/server/test/cli-usage.test.ts',
  'test/openapi/openapi.test.ts',
  'test/faults/nodes.test.ts',
  'test/faults/policy-races.test.ts',
  'packages/server/test/slow-clients.test.ts',
  'packages/server/test/forged-tokens.test.ts',
  'packages/server/test/audit.test.ts',
]

/** Runs several files. Most have few tests: loading the server takes longer. */
const SHARED_PROCESS = join(root, 'test/support/shared-process.ts')
const paths = (files: string[]) => files.map(file => join(root, file)).join(',')

/** Imports of a test that starts another program: another Node, a browser, PostgreSQL, nginx. */
const STARTS_PROGRAM =
  /from '(node:child_process|.*\/support\/(browser|nginx|processes|serving|postgres\/.*)\.ts|.*\/bench\/child\.ts)'/

/** What keeps a test file from running in one process with others: hooks of the whole file, and changes of the process. */
const NEEDS_OWN_PROCESS = /^(before|after)|\bmock\.|node:inspector|process\.env\.\w+ = |memoryUsage|process\.on/m
/** Maximum files in one process. */
const SHARED = 8

interface Job {
  files: string[]
  database: 'SQLite' | 'PostgreSQL'
}

/** Returns the jobs in the order in which they start. */
function jobs(): Job[] {
  const files = globSync(['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root })
    .map(file => file.replaceAll('\\', '/'))
    .filter(file => !file.includes('/node_modules/'))
  // `test/faults` is a folder, `tickets` is a part of a name.
  const matches = (file: string, word: string) =>
    files.some(other => other.startsWith(word)) ? file.startsWith(word) : file.includes(word)
  const chosen = files
    .filter(file => words.length === 0 || words.some(word => matches(file, word)))
    .filter(file => !fast || isFast(file))
  const isLong = (file: string) => LONGEST_FIRST.includes(file)
  const isAlone = (file: string) => !isLong(file) && !mayShare(file)
  const shared = chosen.filter(file => !isLong(file) && mayShare(file))
  const alone = (files: string[]) => files.flatMap(file => onBoth([file]))
  return [
    ...alone(chosen.filter(isLong).sort((a, b) => LONGEST_FIRST.indexOf(a) - LONGEST_FIRST.indexOf(b))),
    ...inGroups(shared).flatMap(onBoth),
    ...alone(chosen.filter(isAlone)),
  ]
}

/** Returns the runs of these files: on SQLite, and those of `ON_BOTH` on PostgreSQL too. */
function onBoth(files: string[]): Job[] {
  const again = fast ? [] : files.filter(file => ON_BOTH.includes(file))
  return [
    { files, database: 'SQLite' },
    ...(again.length === 0 ? [] : [{ files: again, database: 'PostgreSQL' } as const]),
  ]
}

/** Divides files into groups for one process each. Those that run on both databases come first, so that they meet. */
function inGroups(files: string[]): string[][] {
  const ordered = files.toSorted((a, b) => Number(ON_BOTH.includes(b)) - Number(ON_BOTH.includes(a)))
  const size = deep ? 1 : SHARED
  return Array.from({ length: Math.ceil(ordered.length / size) }, (_, n) => ordered.slice(n * size, (n + 1) * size))
}

const sourceOf = (file: string) => readFileSync(join(root, file), 'utf8')

function isFast(file: string): boolean {
  return file.startsWith('packages/') && !STARTS_PROGRAM.test(sourceOf(file))
}

function mayShare(file: string): boolean {
  return isFast(file) && !NEEDS_OWN_PROCESS.test(sourceOf(file))
}

const counts = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []
const durations: { name: string; ms: number }[] = []

/** Runs test files in a process of their own, and prints their results when it ends. */
async function runFiles({ files, database }: Job): Promise<void> {
  const [file = ''] = files
  const name = `${files.join(', ')}${database === 'SQLite' ? '' : ` on ${database}`}`
  const started = performance.now()
  const env = {
    ...process.env,
    NODE_COMPILE_CACHE: COMPILED,
    TEST_COMMAND: join(BUNDLE, COMMAND),
    ...postgresData.env,
    ...(deep ? { TEST_DEEP: '1' } : {}),
    ...(database === 'PostgreSQL' ? { TEST_DATABASE: 'postgres' } : {}),
  }
  const tests =
    files.length === 1
      ? run({ files: [join(root, file)], timeout: TIMEOUT, env })
      : run({ files: [SHARED_PROCESS], timeout: TIMEOUT, env: { ...env, TEST_FILES: paths(files) } })
  let failed = false
  tests.on('test:pass', ({ details, skip, todo }) => {
    if (details.type === 'suite') return
    if (skip || todo) counts.skipped += 1
    else counts.passed += 1
  })
  tests.on('test:fail', ({ details, nesting, todo }) => {
    // A known failure, marked with its reason.
    if (todo !== undefined) {
      counts.skipped += 1
      return
    }
    // A test, or a file that fails as a whole.
    if (details.type !== 'suite' || nesting === 0) counts.failed += 1
    failed = true
  })
  let printed = ''
  for await (const text of Readable.from(withoutSummary(tests)).pipe(new spec())) printed += text
  console.log(`\n${name}\n${printed.trimEnd()}`)
  if (failed) failures.push(name)
  durations.push({ name, ms: performance.now() - started })
}

/** Drops the counts that Node prints after each file. */
async function* withoutSummary(events: AsyncIterable<{ type: string; data: { file?: string } }>) {
  for await (const event of events) if (event.type !== 'test:diagnostic' || event.data.file !== undefined) yield event
}

/** Runs the checks while the first test files run. If one fails, no other file starts. */
async function runChecks(): Promise<void> {
  const child = spawn(process.execPath, [join(root, 'scripts/check.ts')], { stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
  const [code] = await once(child, 'close')
  console.log(`\nchecks\n${printed.trimEnd()}`)
  if (code === 0) return
  failures.push('the checks')
  left.length = 0
}

/** Where Linux has a file system in memory. */
const MEMORY = '/dev/shm'
/** Free memory from which the tests keep their databases there, in bytes. They use a tenth of it. */
const ENOUGH_MEMORY = 8_000_000_000

/**
 * Keeps the temporary files of all tests in memory, if there is enough of it: tests wait a third of their time for the disk.
 * A deep run keeps them on disk.
 */
function keepFilesInMemory(): void {
  if (deep || !existsSync(MEMORY)) return
  const { bavail, bsize } = statfsSync(MEMORY)
  if (Math.min(bavail * bsize, freemem()) < ENOUGH_MEMORY) return
  const folder = mkdtempSync(join(MEMORY, 'stagedoor-tests-'))
  // As for /tmp: PostgreSQL may run as another user.
  chmodSync(folder, 0o1777)
  process.env.TMPDIR = folder
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
}

const left = jobs()
const total = left.length
if (total === 0) {
  console.error(`No test file has ${words.join(' or ')} in its path.`)
  process.exit(1)
}
const started = performance.now()
bundleCommand(BUNDLE)
keepFilesInMemory()
const postgresData = fast ? { env: {}, remove() {} } : preparedData()
process.on('exit', () => postgresData.remove())
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
await Promise.all(
  Array.from({ length: AT_ONCE }, async (_, worker) => {
    if (worker === 0 && words.length === 0) await runChecks()
    for (let job = left.shift(); job; job = left.shift()) await runFiles(job)
  }),
)

const inSeconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`
console.log('\nThe slowest processes:')
for (const { name, ms } of durations.sort((a, b) => b.ms - a.ms).slice(0, SLOWEST_SHOWN))
  console.log(`${inSeconds(ms).padStart(8)}  ${name}`)
if (failures.length > 0) console.log(`\nFailed:\n${failures.map(name => `  ${name}`).join('\n')}`)
console.log(`\n${total} processes, ${inSeconds(performance.now() - started)}`)
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
if (counts.failed > 0 || failures.length > 0 || counts.passed === 0) process.exitCode = 1
