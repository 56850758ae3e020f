import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { errors } from '../src/contract/errors.ts'
import { ksuid, systemRandom } from '../src/domain/random.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

describe('ids', () => {
  it('are a prefix and 27 base62 digits, and sort by the millisecond of their creation', () => {
    const start = Date.parse('2026-01-01T00:00:00Z')
    const times = Array.from({ length: 5_000 }, (_, i) => start + i * 7)
    const ids = times.map(time => systemRandom.id('act', time))
    for (const id of ids) assert.match(id, /^act_[0-9A-Za-z]{27}$/)
    assert.deepEqual([...ids].sort(), ids)
    assert.ok(ksuid(start, randomBytes(16)) < ksuid(Date.parse('2100-01-01T00:00:00Z'), randomBytes(16)))
  })

  it('encode all 20 bytes', () => {
    assert.equal(ksuid(1_400_000_000_000, Buffer.alloc(16)), '0'.repeat(27))
    assert.equal(ksuid((2 ** 32 - 1 + 1_400_000_000) * 1_000 + 999, Buffer.alloc(16, 0xff)).length, 27)
    // The well-known example of a KSUID starts with these digits at this second.
    assert.equal(ksuid(1_507_608_047_000, randomBytes(16)).slice(0, 5), '0ujts')
  })

  it('are unique in 200,000', () => {
    const now = Date.now()
    const seen = new Set<string>()
    for (let i = 0; i < 200_000; i++) seen.add(systemRandom.id('x', now))
    assert.equal(seen.size, 200_000)
  })
})

describe('the error table', () => {
  it('has no code that the server never returns', () => {
    const source = globSync('packages/server/src/{domain,http}/**/*.ts', { cwd: root })
      .map(file => readFileSync(join(root, file), 'utf8'))
      .join('\n')
    const said = (code: string) =>
      source.includes(`'${code}'`) || source.includes(`.kind}_${code.replace(/^(actor|sign_in)_token_/, '')}`)
    assert.deepEqual(
      Object.keys(errors).filter(code => !said(code)),
      [],
    )
  })

  it('has a message and an error status for each code', () => {
    for (const [code, { message, long_message, status }] of Object.entries(errors)) {
      assert.ok(message.length > 3 && long_message.length > 3, code)
      assert.ok(status >= 400 && status < 600, code)
    }
  })
})
