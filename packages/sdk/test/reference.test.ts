import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Stagedoor } from '@stagedoor/sdk'
import { documented } from '../../../scripts/sdk-reference.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const entries = documented(root)

/** What an example may take for granted. */
const GIVEN = `import { Stagedoor, StagedoorError } from '@stagedoor/sdk'
declare const stagedoor: Stagedoor
interface Page { goto(url: string): Promise<null>; url(): string; getByRole(role: 'button', options: { name: RegExp }): { click(): Promise<void> }; waitForURL(there: (url: URL) => boolean): Promise<void>; getByText(text: string): object }
declare function test(name: string, run: (given: { page: Page }) => Promise<void>): void
declare function expect(what: unknown): { toBeVisible(): Promise<void> }
export { Stagedoor, StagedoorError, stagedoor, test, expect }
`

describe('the reference', () => {
  mkdirSync(join(root, 'node_modules/.cache'), { recursive: true })
  const folder = mkdtempSync(join(root, 'node_modules/.cache/stagedoor-examples-'))
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('has every method of the client, with what it takes and throws', () => {
    const names = new Map(entries.flatMap(([, all]) => all).map(each => [each.name, each]))
    for (const [resource, value] of Object.entries(new Stagedoor({ secretKey: 'sk_test_1' }))) {
      for (const method of Object.getOwnPropertyNames(Object.getPrototypeOf(value))) {
        if (method === 'constructor') continue
        const found = names.get(`${resource}.${method}`)
        assert.ok(found, `${resource}.${method}`)
        assert.ok(found.throws?.startsWith('StagedoorError'), `${found.name} says what it throws`)
        assert.match(found.see ?? '', /`(GET|POST|PATCH|DELETE) \//, `${found.name} says where it comes from`)
        const takes = /^\w+\((?!options\??:|\))/.test(found.signature)
        if (takes) assert.ok(found.params.length > 0, `${found.name} says what it takes`)
      }
    }
  })

  it('has examples that compile, each by itself', () => {
    writeFileSync(join(folder, 'given.ts'), GIVEN)
    let count = 0
    for (const [entry, all] of entries) {
      if (!/sdk(\/verify|\/testing)?$/.test(entry)) continue
      for (const { name, example } of all) {
        const lines = example.split('\n')
        const imports = lines.filter(line => line.startsWith('import '))
        const own = imports.join('\n')
        const given = ['Stagedoor', 'StagedoorError', 'stagedoor', 'test', 'expect'].filter(
          each => new RegExp(`\\b${each}\\b`).test(example) && !new RegExp(`import .*\\b${each}\\b.* from`).test(own),
        )
        const taken = given.filter(each => !new RegExp(`const ${each}\\b`).test(example))
        const body = lines.filter(line => !line.startsWith('import ')).join('\n')
        const head = taken.length === 0 ? '' : `import { ${taken.join(', ')} } from './given.ts'\n`
        writeFileSync(
          join(folder, `${++count}-${name}.ts`),
          `${own}\n${head}export async function example() {\n${body}\n}\n`,
        )
      }
    }
    assert.ok(count > 45, `${count} examples`)
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { noUnusedLocals: false },
      include: ['*.ts'],
      exclude: [],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    const { stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
    assert.equal(stdout, '')
  })
})
