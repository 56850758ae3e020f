import assert from 'node:assert/strict'
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildConsole, type ConsoleManifest, FINGERPRINT } from '../scripts/build-console.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

describe('the build of the console', () => {
  const folder = mkdtempSync(join(tmpdir(), 'stagedoor-console-build-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const build = join(folder, 'one')
  const manifest = buildConsole(build)
  const read = (name: string) => readFileSync(join(build, name))

  it('has the same bytes each time', () => {
    const other = join(folder, 'another place', 'two')
    buildConsole(other)
    const files = (from: string) => readdirSync(from, { recursive: true, encoding: 'utf8' }).sort()
    assert.deepEqual(files(other), files(build))
    for (const name of files(build).filter(each => each.includes('.')))
      assert.ok(read(name).equals(readFileSync(join(other, name))), name)
  })

  it('lists every file, with hashes in their names, and no source map', () => {
    const listed = [...Object.keys(manifest.files), 'index.html', 'manifest.json', manifest.licences].sort()
    const there = globSync('**/*.*', { cwd: build })
      .map(name => name.replaceAll('\\', '/'))
      .sort()
    assert.deepEqual(there, listed)
    for (const name of Object.keys(manifest.files)) {
      assert.match(name, /^assets\/[\w-]+-[A-Z0-9]{8}\.(js|css)$/)
      assert.doesNotMatch(read(name).toString(), /sourceMappingURL/)
    }
    assert.ok(!there.includes(FINGERPRINT))
  })

  it('has no inline script and no inline style', () => {
    const page = read('index.html').toString()
    assert.doesNotMatch(page, /<style|\sstyle=|\son\w+=/)
    for (const [tag] of page.matchAll(/<script[^>]*>/g)) assert.match(tag, /src="\/console\/assets\//)
    for (const [, file = ''] of page.matchAll(/"\/console\/(assets\/[^"]+)"/g)) assert.ok(manifest.files[file], file)
  })

  it('has the licences of what is in it', () => {
    const text = read(manifest.licences).toString()
    for (const name of ['react', 'react-dom', '@tanstack/react-router', '@tanstack/react-query', 'lucide'])
      assert.ok(text.includes(`\n${name} `), name)
  })

  it('never sets HTML from text', () => {
    const sources = globSync('packages/console/src/**/*.{ts,tsx}', { cwd: root })
    assert.ok(sources.length > 30)
    for (const file of sources)
      assert.doesNotMatch(
        readFileSync(join(root, file), 'utf8'),
        /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/,
        file,
      )
  })

  describe('is within its budget, in KiB of gzip', () => {
    const { files } = manifest
    const entry = Object.keys(files).find(name => files[name]?.entry) ?? ''
    const styles = Object.keys(files).filter(name => name.endsWith('.css'))
    const first = withImports(files, [entry, ...styles])
    const size = (names: Iterable<string>) =>
      [...names].reduce((sum, name) => sum + (files[name]?.gzip ?? 0), 0) / 1_024

    it('the first screen: 150', () => {
      assert.ok(size(first) <= 150, `${size(first).toFixed(1)}`)
    })

    for (const [name, file] of Object.entries(files).filter(([, { route }]) => route !== undefined))
      it(`${file.route}: ${file.route === 'policy' ? 140 : 60} more`, () => {
        const more = size([...withImports(files, [name])].filter(each => !first.has(each)))
        assert.ok(more <= (file.route === 'policy' ? 140 : 60), `${more.toFixed(1)}`)
      })

    it('all: 450', () => {
      assert.ok(size(Object.keys(files)) <= 450, `${size(Object.keys(files)).toFixed(1)}`)
    })
  })
})

/** Returns these files and what they load with them. */
function withImports(files: ConsoleManifest['files'], names: string[]): Set<string> {
  const all = new Set<string>()
  const add = (name: string) => {
    if (all.has(name)) return
    all.add(name)
    for (const each of files[name]?.imports ?? []) add(each)
  }
  for (const name of names) add(name)
  return all
}
