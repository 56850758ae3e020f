/** Checks lint, format and types, and that generated files are current. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = (name: string) => join(root, 'node_modules/.bin', name)

const checks: [string, string, string[]][] = [
  ['lint and format', bin('biome'), ['check', '--error-on-warnings']],
  ['types', bin('tsc'), ['-p', 'tsconfig.json']],
  ['browser types', bin('tsc'), ['-p', 'tsconfig.browser.json']],
  ['console types', bin('tsc'), ['-p', 'packages/console/tsconfig.json']],
  ['generated files', process.execPath, ['scripts/generate.ts', '--check']],
]

let failed = false
for (const [what, command, args] of checks) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  console.log(`${status === 0 ? '✓' : '✗'} ${what}`)
  failed ||= status !== 0
}
if (failed) {
  console.error(
    '\n`npx biome check --write` fixes most lint and format errors, `npm run generate` updates the generated files.',
  )
  process.exit(1)
}
