import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { bundleCommand, COMMAND } from '../../../scripts/bundle.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const PROBE = 'packages/server/test/policy-probe.ts'

/** The server runs from its sources, from one bundled file, and as modules of JavaScript in the npm package. */
describe('the policy engine finds Cedar, its texts and its thread', () => {
  // Inside the repository, so that packages are found.
  const folder = mkdtempSync(join(root, 'node_modules/.stagedoor-policy-'))
  after(() => rmSync(folder, { recursive: true, force: true }))

  /** Runs a file like `policy-probe.ts`. */
  function probe(file: string): void {
    const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: 'utf8', cwd: '/' })
    const expected = { allowed: true, refused: ['base.protected'], checked: ['policy_invalid', 1] }
    assert.ok(stdout.startsWith('{'), stderr)
    assert.deepEqual(JSON.parse(stdout), expected)
  }

  it('in the sources', () => probe(join(root, PROBE)))

  it('in the bundle', () => {
    bundleCommand(folder, undefined, PROBE)
    assert.deepEqual(readdirSync(folder).sort(), ['LICENSES.txt', 'cedar-worker.mjs', 'reader-thread.mjs', COMMAND])
    probe(join(folder, COMMAND))
  })

  it('in the npm package', () => {
    for (const name of ['contract', 'domain', 'policy']) {
      const source = join(root, 'packages/server/src', name)
      mkdirSync(join(folder, 'src', name), { recursive: true })
      for (const file of readdirSync(source).filter(each => each.endsWith('.ts'))) {
        writeFileSync(join(folder, 'src', name, file.replace(/ts$/, 'js')), asJavaScript(join(source, file)))
      }
    }
    mkdirSync(join(folder, 'test'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'test/probe.js'), asJavaScript(join(root, PROBE)))
    probe(join(folder, 'test/probe.js'))
  })
})

/** Returns a source as `npm run build` writes it: without types, and with the names of the built files. */
function asJavaScript(file: string): string {
  return stripTypeScriptTypes(readFileSync(file, 'utf8')).replace(/(from '\.[^']*)\.ts'/g, `$1.js'`)
}
