import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { ConfigError, loadConfig, settings } from '../src/config.ts'
import { assertProduction, masterKeyBytes } from '../src/config-rules.ts'

const good = {
  STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
  STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
  STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
}

describe('settings', () => {
  it('have defaults, and are read from the environment', () => {
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

  it('with errors are all reported at once, each by its name', () => {
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

  it('keep the path of the public URL, and refuse parts that would be lost', () => {
    const publicURL = (text: string) => loadConfig({ STAGEDOOR_PUBLIC_URL: text }).public_url
    for (const [text, kept] of [
      ['https://auth.example.com', 'https://auth.example.com'],
      ['https://auth.example.com/', 'https://auth.example.com'],
      ['https://example.com/auth', 'https://example.com/auth'],
      ['https://EXAMPLE.com:443/auth/', 'https://example.com/auth'],
      ['https://example.com:8443/a/b-c_d.e~f', 'https://example.com:8443/a/b-c_d.e~f'],
      ['http://127.0.0.1:4100//', 'http://127.0.0.1:4100'],
    ] as const)
      assert.equal(publicURL(text), kept)
    for (const [text, fix] of [
      [
        'https://olivia:secret@example.com/auth',
        /STAGEDOOR_PUBLIC_URL: .*no user name.*Use https:\/\/example\.com\/auth\./,
      ],
      ['https://olivia@example.com', /Use https:\/\/example\.com\./],
      ['https://example.com/auth?a=1', /Use https:\/\/example\.com\/auth\./],
      ['https://example.com/?', /no user name, query or fragment/],
      ['https://example.com/#', /no user name, query or fragment/],
      ['https://example.com/auth#top', /Use https:\/\/example\.com\/auth\./],
      ['https://example.com/auth/v1', /must not end with \/v1\. Use https:\/\/example\.com\/auth\./],
      ['https://example.com/a//b', /may have a path only of/],
      ['https://example.com/a%2fb', /may have a path only of/],
      ['https://example.com/ä', /may have a path only of/],
      ['ftp://example.com', /http or https URL/],
      ['example.com', /http or https URL/],
    ] as const)
      assert.throws(
        () => publicURL(text),
        ({ message }: Error) =>
          fix.test(message) && /STAGEDOOR_PUBLIC_URL/.test(message) && !/secret|olivia/.test(message),
        text,
      )
    assert.throws(
      () => loadConfig({ STAGEDOOR_SIGN_IN_URL: 'https://a:b@app.example.com' }),
      /STAGEDOOR_SIGN_IN_URL: .*user name/,
    )
    assert.ok(loadConfig({ STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/?lang=de#/sign-in' }))
  })

  it('refuse origins and networks that could never match', () => {
    const origins = (text: string) => loadConfig({ STAGEDOOR_ALLOWED_ORIGINS: text }).allowed_origins
    const extension = `chrome-extension://${'abcdefghijklmnop'.repeat(2)}`
    for (const [text, kept] of [
      ['https://a.example, https://b.example/', ['https://a.example', 'https://b.example']],
      ['HTTPS://A.example:443,http://localhost:3000', ['https://a.example', 'http://localhost:3000']],
      ['https://bücher.example', ['https://xn--bcher-kva.example']],
      [extension, [extension]],
      ['', []],
    ] as const)
      assert.deepEqual(origins(text), kept)
    for (const [text, fix] of [
      ['*', /wildcard.*List each origin/],
      ['https://*.example.com', /wildcard.*List each origin/],
      ['https://app.example.com:*', /wildcard/],
      ['https://good.example,https://*', /wildcard/],
      ['https://app.example.com/users', /an origin has no .*path.*Use https:\/\/app\.example\.com\./],
      ['https://app.example.com?x', /Use https:\/\/app\.example\.com\./],
      ['https://app.example.com/#', /Use https:\/\/app\.example\.com\./],
      ['https://olivia:secret@app.example.com', /Use https:\/\/app\.example\.com\./],
      ['app.example.com', /must be origins like https:\/\/app\.example\.com/],
      ['null', /must be origins like/],
      ['https:/app.example.com', /must be origins like/],
      ['ws://app.example.com', /must be origins like/],
      ['https://app.example.com https://b.example', /must be origins like/],
    ] as const)
      assert.throws(
        () => origins(text),
        ({ message }: Error) =>
          fix.test(message) && /STAGEDOOR_ALLOWED_ORIGINS: /.test(message) && !/secret/.test(message),
        text,
      )
    for (const text of ['10.0.0.0/8', '::1/128', '127.0.0.1,10.1.0.0/16'])
      assert.ok(loadConfig({ STAGEDOOR_TRUSTED_PROXIES: text }).trusted_proxies.length > 0)
    for (const text of [
      '10.0.0.0/33',
      '::1/129',
      '10.0.0.0/x',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      'proxy.internal',
      '10.0.0.*',
    ])
      assert.throws(() => loadConfig({ STAGEDOOR_TRUSTED_PROXIES: text }), /STAGEDOOR_TRUSTED_PROXIES: must be/, text)
  })

  it('of the audit log can be met together', () => {
    const check = (change: Record<string, string>) => () => assertProduction(loadConfig({ ...good, ...change }))
    const witness = `w.example.com/1+1f2e3d4c+${'B'.repeat(44)}`
    const audit = (change: Record<string, string>) =>
      Object.fromEntries(Object.entries(change).map(([name, value]) => [`STAGEDOOR_AUDIT_${name}`, value]))
    assert.throws(check(audit({ REQUIRE: 'directory' })), /STAGEDOOR_AUDIT_DIRECTORY is missing/)
    check(audit({ REQUIRE: 'directory', DIRECTORY: '/var/lib/audit' }))()
    const one = `${witness}=https://w.example.com`
    assert.throws(check(audit({ REQUIRE: 'witness:2', WITNESSES: one })), /asks for 2 witnesses, but .* names 1/)
    check(audit({ REQUIRE: 'witness:1', WITNESSES: one }))()
    check(audit({ REQUIRE: 'witness:2' }))()
    const unencrypted = audit({ WITNESSES: `${witness}=http://w.example.com` })
    assert.throws(check(unencrypted), /http:\/\/w\.example\.com is http.*STAGEDOOR_ALLOW_HTTP=on/)
    check({ ...unencrypted, STAGEDOOR_ALLOW_HTTP: 'on' })()
    check(audit({ WITNESSES: `${witness}=http://127.0.0.1:7000` }))()
  })

  it('of production accept http addresses only on this machine, unless a setting allows more', () => {
    const check = (change: Record<string, string>) => () => assertProduction(loadConfig({ ...good, ...change }))
    for (const here of [
      'http://127.0.0.1:4100',
      'http://localhost:4100/auth',
      'http://[::1]:4100',
      'http://a.localhost',
    ])
      check({ STAGEDOOR_PUBLIC_URL: here, STAGEDOOR_SIGN_IN_URL: `${here}/sign-in` })()
    for (const there of [
      'http://auth.example.com',
      'http://10.0.0.1/auth',
      'http://localhost.example.com',
      'http://auth',
    ]) {
      assert.throws(
        check({ STAGEDOOR_PUBLIC_URL: there }),
        /STAGEDOOR_PUBLIC_URL is http.*https:.*STAGEDOOR_ALLOW_HTTP=on/,
      )
      assert.throws(check({ STAGEDOOR_SIGN_IN_URL: there }), /STAGEDOOR_SIGN_IN_URL is http/)
      check({ STAGEDOOR_PUBLIC_URL: there, STAGEDOOR_SIGN_IN_URL: there, STAGEDOOR_ALLOW_HTTP: 'on' })()
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

  it('know which of them were changed and by what, without their secrets', () => {
    const { changed } = loadConfig(
      {
        ...good,
        STAGEDOOR_PORT: '4100',
        STAGEDOOR_HOST: '',
        STAGEDOOR_LOG_LEVEL: 'warn',
        STAGEDOOR_DATABASE_URL: 'postgres://stagedoor:hunter2@db.example:5432/stagedoor?sslmode=verify-full&password=x',
      },
      ['STAGEDOOR_LOG_LEVEL'],
    )
    const byName = new Map(changed.map(setting => [setting.name, setting]))
    assert.equal(byName.has('STAGEDOOR_PORT'), false, 'it is the default')
    assert.equal(byName.has('STAGEDOOR_HOST'), false, 'empty is not set')
    assert.deepEqual(byName.get('STAGEDOOR_LOG_LEVEL'), { name: 'STAGEDOOR_LOG_LEVEL', value: 'warn', source: 'dev' })
    assert.deepEqual(byName.get('STAGEDOOR_DATABASE_URL'), {
      name: 'STAGEDOOR_DATABASE_URL',
      value: 'postgres://stagedoor@db.example:5432/stagedoor',
      source: 'environment',
    })
    assert.equal(byName.get('STAGEDOOR_MASTER_KEY')?.value, null)
    const secrets = [good.STAGEDOOR_MASTER_KEY, 'hunter2', 'password=x']
    for (const secret of secrets) assert.ok(!JSON.stringify(changed).includes(String(secret)))
  })

  it('each have a description', () => {
    for (const { env, description } of settings) assert.ok(description.length > 10, env)
  })

  it('accept a master key in base64 or hex', () => {
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
