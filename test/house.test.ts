import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const files = globSync(['packages/*/test/**/*.ts', 'test/**/*.ts'], { cwd: root })
  .map(file => file.replaceAll('\\', '/'))
  .filter(file => !file.includes('/node_modules/'))

const isTest = (file: string) => /^(packages\/\w+\/)?test\//.test(file)
const isSupport = (file: string) => file.startsWith('test/support/')

/** The project's own files that a file imports, also those that it imports later or only as types. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/(?:\bfrom |\bimport |\bimport\()'(\.[^']+)'/g)].map(([, specifier = '']) =>
    normalize(join(dirname(file), specifier)).replaceAll('\\', '/'),
  )
}

describe('the test files', () => {
  const imports = files.flatMap(from => importsOf(from).map(to => ({ from, to })))

  it('are found', () => {
    assert.ok(files.length > 100 && imports.length > 300, `${files.length} files, ${imports.length} imports`)
  })

  it('import helpers only from test/support and from their own folder', () => {
    const wrong = imports.filter(({ from, to }) => isTest(to) && !isSupport(to) && dirname(to) !== dirname(from))
    assert.deepEqual(wrong, [])
  })

  it('import no other test file', () => {
    assert.deepEqual(
      imports.filter(({ to }) => to.endsWith('.test.ts')),
      [],
    )
  })

  it('have unique names', () => {
    const byName = Map.groupBy(files, file => basename(file))
    const tests = [...byName].filter(([name, all]) => name.endsWith('.test.ts') && all.length > 1)
    assert.deepEqual(tests, [])
  })
})
