import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { createVerifier, type TokenError } from '@stagedoor/sdk/verify'

interface Vector {
  id: number
  comment: string
  token: string
  result: 'valid' | 'invalid'
  reason?: string
}

/** The project's own vectors, in the format of Wycheproof; the Python package is tested with the same. */
const file = new URL('../../../test/vectors/session-tokens.json', import.meta.url)
const { now, groups, about: _, ...options } = JSON.parse(readFileSync(file, 'utf8'))

describe('vectors', () => {
  const verify = createVerifier({ ...options, now: () => now * 1_000 })
  const remembering = createVerifier({ ...options, now: () => now * 1_000, cacheSize: 10 })

  for (const { name, source, tests } of groups as { name: string; source: string; tests: Vector[] }[]) {
    it(`${name} (${source})`, async () => {
      for (const { id, comment, token, result, reason } of tests) {
        for (const check of [verify, remembering, remembering]) {
          const said = await check(token).then(
            session => ({ result: 'valid', act: session.actor }),
            (error: TokenError) => ({ result: 'invalid', reason: error.reason }),
          )
          assert.equal(said.result, result, `${id} ${comment}: ${JSON.stringify(said)}`)
          if ('reason' in said) assert.equal(said.reason, reason, `${id} ${comment}`)
        }
      }
    })
  }

  it('give the same results with Web Crypto, without Node’s crypto', () => {
    const source = `
      process.getBuiltinModule = undefined
      const { readFileSync } = await import('node:fs')
      const { now, groups, about, ...options } = JSON.parse(readFileSync(new URL(${JSON.stringify(file.href)}), 'utf8'))
      delete globalThis.Buffer
      const { createVerifier } = await import(${JSON.stringify(import.meta.resolve('@stagedoor/sdk/verify'))})
      const verify = createVerifier({ ...options, now: () => now * 1_000 })
      const wrong = []
      let count = 0
      for (const { id, comment, token, reason = 'valid' } of groups.flatMap(group => group.tests)) {
        const said = await verify(token).then(() => 'valid', error => error.reason)
        if (said !== reason) wrong.push([id, comment, said])
        count += 1
      }
      console.log(JSON.stringify({ count, wrong }))
    `
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
    const { count, wrong } = JSON.parse(printed)
    assert.deepEqual(wrong, [])
    assert.ok(count > 200, `${count} vectors`)
  })
})
