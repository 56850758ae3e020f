/** Runs everything that continuous integration runs: checks, then every test. `--deep` runs the long forms too. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const [...words] = process.argv.slice(2)
const deep = words.includes('--deep')
/** `npm test -- tickets` runs the files whose path has that word, and skips the checks. */
const wanted = words.filter(word => !word.startsWith('-'))

if (wanted.length === 0) {
  const checks = spawnSync(process.execPath, [join(root, 'scripts/check.ts')], { stdio: 'inherit' })
  if (checks.status !== 0) process.exit(checks.status ?? 1)
}

/** Tests of behaviour that both stores must have: they run on SQLite, then on PostgreSQL. */
const ON_BOTH =
  /(server\/test\/(access|actor-tokens|audit|forged-tokens|frontend|idempotency|identifiers|jwt-templates|lists|main-job|me|payload|property|purge|redemption|revocations|session-tokens|sessions|sign-in-tokens|signing-keys|users)|faults\/redemption-races)\.test/

const files = globSync(['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root })
  .filter(file => wanted.length === 0 || wanted.some(word => file.includes(word)))
  .map(file => join(root, file))
  .sort()
if (files.length === 0) {
  console.error(`No test file has ${wanted.join(' or ')} in its path.`)
  process.exit(1)
}

if (deep) process.env.TEST_DEEP = '1'
const counts = { passed: 0, failed: 0, skipped: 0 }
const started = performance.now()
const leaf = (data: { details: { type?: string | undefined } }) => data.details.type !== 'suite'

/** Runs test files, each in its own process. */
async function pass(chosen: string[]): Promise<void> {
  if (chosen.length === 0) return
  const tests = run({ files: chosen, concurrency: availableParallelism(), timeout: deep ? 14_400_000 : 300_000 })
  tests.on('test:pass', data => {
    if (!leaf(data)) return
    if (data.skip || data.todo) counts.skipped += 1
    else counts.passed += 1
  })
  tests.on('test:fail', data => {
    // A known failure, marked with its reason.
    if (data.todo !== undefined) {
      counts.skipped += 1
      return
    }
    // A test, or a file that fails as a whole.
    if (leaf(data) || data.nesting === 0) counts.failed += 1
    process.exitCode = 1
  })
  tests.compose(spec).pipe(process.stdout, { end: false })
  await once(tests, 'end')
}

await pass(files)
process.env.TEST_DATABASE = 'postgres'
const both = files.filter(file => ON_BOTH.test(file))
if (both.length > 0) console.log('\nThe same on PostgreSQL')
await pass(both)
const seconds = ((performance.now() - started) / 1_000).toFixed(0)
console.log(`\n${files.length} files, ${both.length} of them on both databases, ${seconds} s`)
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
if (counts.passed === 0) process.exitCode = 1
