/**
 * `npm run release`: publishes both npm packages and the Python wheel. Run it as a maintainer with rights on both
 * registries, logged in to npm, with twine configured.
 *
 *     npm run release -- --dry-run    builds everything, checks it, and publishes nothing
 *     npm run release                 asks for the version before it publishes
 *
 * Running it again after a failure publishes what is still missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { PACKAGES } from './build.ts'
import { findPython, packAll } from './pack.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const onWindows = process.platform === 'win32'
const npm = onWindows ? 'npm.cmd' : 'npm'

const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean', default: false } } })
const dryRun = values['dry-run']

const version = oneVersion()
assertCommitted()
const folder = mkdtempSync(join(tmpdir(), 'stagedoor-release-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const { npm: tarballs, wheel, noWheel } = packAll(folder)
if (!wheel) fail(`No wheel was built. ${noWheel}`)
const files = [...tarballs, wheel]
console.log(`\n${dryRun ? 'Would publish' : 'Ready to publish'} version ${version}:`)
for (const file of files) console.log(`  ${basename(file)}`)
if (!dryRun) await confirm(version)
tarballs.forEach((file, index) => {
  publishNpm(file, `@stagedoor/${PACKAGES[index]}`)
})
publishWheel(wheel)
console.log(dryRun ? '\nThis was a dry run: nothing was published.' : `\nPublished version ${version}.`)

/** Returns the version of the three packages, which are released together. */
function oneVersion(): string {
  const found = PACKAGES.map(name => {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
    return [`packages/${name}/package.json`, String(manifest.version)] as const
  })
  const python = /^version = "(.+)"$/m.exec(readFileSync(join(root, 'python/pyproject.toml'), 'utf8'))?.[1] ?? 'none'
  const all = [...found, ['python/pyproject.toml', python] as const]
  const [[, first]] = all as [readonly [string, string], ...(readonly [string, string])[]]
  if (all.some(([, each]) => each !== first)) {
    const listed = all.map(([file, each]) => `  ${file}: ${each}`).join('\n')
    fail(`The packages have different versions:\n${listed}\nGive all of them the same version.`)
  }
  return first
}

/** Refuses to publish changes that are not committed. */
function assertCommitted(): void {
  const { stdout } = spawnSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' })
  if (stdout.trim() === '') return
  const message = 'There are uncommitted changes. Commit them first, so that the release matches a commit.'
  if (dryRun) console.error(`${message} The dry run continues.`)
  else fail(message)
}

/** Asks a person at a terminal to confirm, because a release cannot be undone. */
async function confirm(expected: string): Promise<void> {
  if (!process.stdin.isTTY) {
    fail(
      'Nothing was published: a release must be confirmed at a terminal, and this is not one. Use --dry-run to try it.',
    )
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question(`\nType ${expected} to publish: `)
  terminal.close()
  if (answer.trim() !== expected) fail('Nothing was published.')
}

function publishNpm(file: string, name: string): void {
  if (!dryRun && isPublished(name)) {
    console.log(`${name} ${version} is already published.`)
    return
  }
  const args = ['publish', file, '--access', 'public', '--loglevel=warn', ...(dryRun ? ['--dry-run'] : [])]
  run(npm, args, `Publishing ${name} failed. Fix the cause and run the command again: it skips published packages.`)
}

function isPublished(name: string): boolean {
  const { status, stdout } = spawnSync(npm, ['view', `${name}@${version}`, 'version'], {
    encoding: 'utf8',
    shell: onWindows,
  })
  return status === 0 && stdout.trim() === version
}

function publishWheel(wheel: string): void {
  if (dryRun) {
    if (!existsSync(wheel)) fail(`${wheel} is missing.`)
    return
  }
  const python = findPython() ?? fail('No Python was found to upload the wheel.')
  const hint = 'Uploading the wheel failed. Install twine (`pip install twine`), log in, and run the command again.'
  run(python, ['-m', 'twine', 'upload', '--skip-existing', wheel], hint)
}

function run(command: string, args: string[], hint: string): void {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: onWindows })
  if (status !== 0) fail(hint)
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
