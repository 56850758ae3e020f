import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')

it('docs/clients.md names exactly the pinned versions', () => {
  const pinned = new Map<string, string>()
  for (const file of ['../../package.json', '../package.json', '../../examples/clerk-nextjs/package.json']) {
    const { dependencies = {}, devDependencies = {} } = JSON.parse(read(file))
    for (const [name, version] of Object.entries({ ...devDependencies, ...dependencies }))
      pinned.set(name, `${version}`)
  }
  for (const [, path = '', version = ''] of read('go/go.mod').matchAll(/^\tgithub\.com\/(\S+) v(\S+)$/gm))
    pinned.set(path, version).set(path.replace(/^[^/]+\//, ''), version)
  for (const [, name = '', version = ''] of read('java/pom.xml').matchAll(
    /<artifactId>(\S+)<\/artifactId>\s*<version>(\S+)<\/version>\s*<\/dependency>/g,
  ))
    pinned.set(name, version)
  for (const file of ['go/requirements.txt', '../../python/requirements.txt'])
    for (const [, name = '', version = ''] of read(file).matchAll(/^([\w-]+)==([\w.]+)/gm)) pinned.set(name, version)

  const table = read('../../docs/clients.md').split('\n\n')[2] ?? ''
  const named = [...table.matchAll(/([@\w/.-]+(?::[\w-]+)?) v?(\d+(?:\.\d+)+)/g)]
  assert.ok(named.length >= 14, `${named.length} names with versions: ${table}`)
  for (const [text, name = '', version] of named) {
    const short = name.replace(/^com\.clerk:/, '')
    assert.equal(version, pinned.get(short), text)
  }
})
