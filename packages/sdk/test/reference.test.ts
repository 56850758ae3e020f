import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Stagedoor } from '@stagedoor/sdk'
import { documented } from '../../../scripts/sdk-reference.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const entries = documented(root)

describe('the reference', () => {
  it('has every method of the client, with its parameters and errors', () => {
    const names = new Map(entries.flatMap(([, all]) => all).map(each => [each.name, each]))
    for (const [resource, value] of Object.entries(new Stagedoor({ secretKey: 'sk_test_1' }))) {
      for (const method of Object.getOwnPropertyNames(Object.getPrototypeOf(value))) {
        if (method === 'constructor') continue
        const found = names.get(`${resource}.${method}`)
        assert.ok(found, `${resource}.${method}`)
        assert.ok(found.throws?.startsWith('StagedoorError'), `${found.name} documents its errors`)
        assert.match(found.see ?? '', /`(GET|POST|PUT|PATCH|DELETE) \//, `${found.name} documents its endpoint`)
        const takes = /^\w+\((?!options\??:|\))/.test(found.signature)
        if (takes) assert.ok(found.params.length > 0, `${found.name} documents its parameters`)
      }
    }
  })

  it('has every operation of the Backend API', () => {
    const { paths } = JSON.parse(readFileSync(join(root, 'openapi/bapi.json'), 'utf8')) as {
      paths: Record<string, Record<string, { operationId: string }>>
    }
    const sources = entries.flatMap(([, all]) => all.map(each => each.see ?? '')).join('\n')
    const missing = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .map(method => `${method.toUpperCase()} ${path.replace(/\{\w*id\}/, '{id}')}`)
        .filter(address => !sources.includes(`\`${address}\``)),
    )
    assert.deepEqual(missing, [])
  })
})
