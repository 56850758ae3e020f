import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { assertProduction, ConfigError, loadConfig, masterKeyBytes, settings } from '../src/config.ts'

const good = {
  STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
  STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
  STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
}

describe('settings', () => {
  it('have defaults, and take what the environment says', () => {
    const config = loadConfig({
      STAGEDOOR_PORT: '4200',
      STAGEDOOR_ALLOWED_ORIGINS: 'https://a.example, https://b.example/',
      PATH: '/bin',
    })
    assert.equal(config.port, 4_200)
    assert.deepEqual(config.allowed_origins, ['https://a.example', 'https://b.example'])
    assert.equal(config.session_idle_timeout_seconds, 600)
    assert.equal(config.signing_alg, 'RS256')
    assert.ok(Object.isFrozen(config))
  })

  it('are all reported at once, each by its name', () => {
    assert.throws(
      () =>
        loadConfig({
          STAGEDOOR_PORT: '70000',
          STAGEDOOR_SIGNING_ALG: 'HS256',
          STAGEDOOR_DATABASE_URL: 'mysql://x',
          STAGEDOOR_MASTERKEY: 'x',
        }),
      (error: Error) => {
        assert.ok(error instanceof ConfigError)
        for (const part of [
          'STAGEDOOR_PORT',
          'STAGEDOOR_SIGNING_ALG',
          'STAGEDOOR_DATABASE_URL',
          'did you mean STAGEDOOR_MASTER_KEY?',
        ]) {
          assert.ok(error.message.includes(part), part)
        }
        return true
      },
    )
  })

  it('of production need real secrets and addresses', () => {
    assertProduction(loadConfig(good))
    assertProduction(loadConfig({ ...good, STAGEDOOR_MASTER_KEY: randomBytes(32).toString('hex') }))
    const bad: Record<string, string | undefined>[] = [
      { STAGEDOOR_MASTER_KEY: undefined },
      { STAGEDOOR_MASTER_KEY: 'change-me-change-me-change-me-change-me-12345' },
      { STAGEDOOR_MASTER_KEY: 'a'.repeat(44) },
      { STAGEDOOR_MASTER_KEY: randomBytes(16).toString('base64') },
      { STAGEDOOR_MASTER_KEY: `dev_${randomBytes(32).toString('base64')}` },
      { STAGEDOOR_SECRET_KEY: 'sk_live_your_secret_key_0123456789abcd' },
      { STAGEDOOR_SECRET_KEY: `sk_live_${'a'.repeat(40)}` },
      { STAGEDOOR_SECRET_KEY: `sk_test_${randomBytes(32).toString('hex')}` },
      { STAGEDOOR_PUBLIC_URL: undefined },
      { STAGEDOOR_SIGN_IN_URL: undefined },
    ]
    for (const change of bad) {
      assert.throws(
        () => assertProduction(loadConfig({ ...good, ...change })),
        ConfigError,
        JSON.stringify(Object.keys(change)),
      )
    }
  })

  it('never repeat a secret in a message', () => {
    const secret = 'sk_live_short'
    assert.throws(
      () => loadConfig({ STAGEDOOR_SECRET_KEY: secret }),
      (error: Error) => !error.message.includes(secret),
    )
    const key = 'a'.repeat(44)
    assert.throws(
      () => assertProduction(loadConfig({ ...good, STAGEDOOR_MASTER_KEY: key })),
      (error: Error) => !error.message.includes(key),
    )
  })

  it('are each described', () => {
    for (const { env, description } of settings) assert.ok(description.length > 10, env)
  })

  it('read a master key as base64 or hex', () => {
    const key = randomBytes(32)
    for (const text of [
      key.toString('base64'),
      key.toString('base64url'),
      key.toString('hex'),
      `dev_${key.toString('base64')}`,
    ]) {
      assert.deepEqual(masterKeyBytes(text), key)
    }
  })
})
