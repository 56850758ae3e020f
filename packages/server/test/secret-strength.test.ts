import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { times } from '../../../test/support/deep.ts'
import { ConfigError, loadConfig } from '../src/config.ts'
import { assertProduction, masterKeyBytes } from '../src/config-rules.ts'
import { decodeKey, guessable } from '../src/secret-strength.ts'

/** Returns bytes that look random and are the same in every run: four in a million truly random keys look like words. */
const drawn = (seed: number, length: number) =>
  createHash('shake256', { outputLength: length }).update(`key ${seed}`).digest()
const base64 = (text: string) => Buffer.from(text).toString('base64')
const problemOf = (env: Record<string, string>): string => {
  try {
    assertProduction(
      loadConfig({
        STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
        STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
        STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
        ...env,
      }),
    )
    return ''
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
}
const masterKey = (key: string) => problemOf({ STAGEDOOR_MASTER_KEY: key })

describe('a master key', () => {
  it('is accepted in every encoding if it was drawn at random', () => {
    for (let i = 0; i < times(300, 20_000); i++) {
      const key = drawn(i, 32 + (i % 40))
      const [plain, url, hex] = [key.toString('base64'), key.toString('base64url'), key.toString('hex')]
      for (const text of [plain, plain.replace(/=+$/, ''), url, hex, hex.toUpperCase(), base64(hex), base64(plain)]) {
        assert.equal(masterKey(text), '', text)
        assert.equal(guessable(text), undefined, text)
      }
    }
  })

  it('is refused if it is not valid base64, base64url or hex', () => {
    const hex = randomBytes(32).toString('hex')
    const plain = `${randomBytes(31).toString('base64').slice(0, 41)}+/=`
    for (const key of [
      'correct horse battery staple correct horse battery staple',
      `${hex}a`,
      `${hex.slice(0, 63)}g!`,
      `${plain}=`,
      plain.replace('+', '+-'),
      `${randomBytes(32).toString('base64')}\n x`,
      `${randomBytes(32).toString('base64').slice(0, 42)}/=`.replace(/.\/=$/, '_/='),
      `"${randomBytes(32).toString('base64')}"`,
    ])
      assert.match(masterKey(key), /STAGEDOOR_MASTER_KEY is not base64, base64url or hex/, key)
    // The last character holds bits that no encoder sets.
    assert.equal(decodeKey(`${'A'.repeat(42)}B=`), undefined)
  })

  it('gets the error “too short” if it is too short', () => {
    for (const length of [1, 8, 16, 24, 31])
      for (const encoding of ['base64', 'base64url', 'hex'] as const) {
        const text = randomBytes(length).toString(encoding)
        assert.match(masterKey(text), /is too short: it has \d+ bytes and needs at least 32/, text)
        assert.throws(() => masterKeyBytes(text), ConfigError)
      }
  })

  it('is refused if it is a pattern or made of words', () => {
    const part = randomBytes(3).toString('base64')
    for (const [key, why] of [
      ['abcdefgh'.repeat(6), 'repeats itself'],
      [`${'abcdefghij'.repeat(5)}abcdef`, 'repeats itself'],
      [part.repeat(12), '(repeats itself|too few)'],
      [randomBytes(16).toString('hex').repeat(2), 'repeats itself'],
      ['0123456789abcdef'.repeat(4), 'repeats itself'],
      [Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('hex'), 'counts up or down'],
      [Buffer.from(Array.from({ length: 40 }, (_, i) => 255 - 3 * i)).toString('base64'), 'counts up or down'],
      ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr', 'counts up or down'],
      ['z'.repeat(44), 'repeats itself'],
      ['deadbeef'.repeat(8), '(too few|repeats)'],
      ['correcthorsebatterystaplemountainriverelephants1', 'words'],
      ['CorrectHorseBatteryStapleMountainRiverElephants1', 'words'],
      ['C0rr3ctH0rs3B4tt3ryStapl3M0unt41nR1v3rEl3ph4nts9', 'words'],
      ['the-master-key-of-the-production-server-in-2026-', 'words'],
      [base64('correct horse battery staple, and a mountain river'), 'words'],
      [base64('correct horse battery staple '.repeat(2)), '(repeats|words)'],
      [Buffer.alloc(32).toString('base64'), 'repeats itself'],
      ['wwxxyywwyxxywxyxxwywyxxywwxxywyxwxywxyxwyxyw', 'too few different characters'],
    ] as const)
      assert.match(masterKey(key), new RegExp(`STAGEDOOR_MASTER_KEY is not random: it .*${why}`), key)
    for (const sample of ['change-me-change-me-change-me-change-me-12345', 'your_master_key'.repeat(3)])
      assert.match(masterKey(sample), /is a sample value/)
  })
})

describe('a secret key from the settings', () => {
  it('is refused if it is a pattern or made of words', () => {
    for (const key of ['abcdefgh'.repeat(6), 'correcthorsebatterystaple', '0123456789abcdefghijklmnopqrstuv'])
      assert.match(problemOf({ STAGEDOOR_SECRET_KEY: `sk_live_${key}` }), /STAGEDOOR_SECRET_KEY is not random/)
    for (let i = 0; i < times(100, 10_000); i++)
      for (const encoding of ['hex', 'base64url'] as const)
        assert.equal(problemOf({ STAGEDOOR_SECRET_KEY: `sk_live_${drawn(i, 24).toString(encoding)}` }), '')
  })
})
