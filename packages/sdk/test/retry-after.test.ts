import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { retryAfterSeconds } from '../src/retry-after.ts'

/** The Python package is tested with the same vectors. */
const file = new URL('../../../test/vectors/retry-after.json', import.meta.url)
const { now, tests } = JSON.parse(readFileSync(file, 'utf8')) as {
  now: number
  tests: { comment: string; header: string; seconds: number | null }[]
}

describe('Retry-After', () => {
  it('is in seconds or an HTTP date, and is ignored if invalid', () => {
    for (const { comment, header, seconds } of tests)
      assert.equal(retryAfterSeconds(header, now * 1_000) ?? null, seconds, comment)
    assert.equal(retryAfterSeconds(null, now * 1_000), undefined)
    assert.equal(retryAfterSeconds('9'.repeat(10_000), now * 1_000), Number.POSITIVE_INFINITY)
  })

  it('is in UTC in every time zone', () => {
    const source = `
      const { retryAfterSeconds } = await import(${JSON.stringify(new URL('../src/retry-after.ts', import.meta.url).href)})
      console.log(retryAfterSeconds('Sun Nov  6 08:49:37 1994', ${now * 1_000}))
    `
    const env = { ...process.env, TZ: 'Asia/Tokyo' }
    const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', source]
    assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8', env }).trim(), '60')
  })
})
