import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SECRET_KEY, testServer } from '../../../test/support/server.ts'
import manifest from '../package.json' with { type: 'json' }

describe('GET /v1/instance', () => {
  it('answers the version, the environment and the settings that differ from their defaults', async () => {
    await using server = await testServer({ env: { STAGEDOOR_SIGNING_ALG: 'EdDSA', STAGEDOOR_RETENTION_DAYS: '90' } })
    const { status, body } = await server.call('GET', '/v1/instance')
    equal(status, 200)
    const { object, version, environment, public_url, settings } = body
    deepEqual([object, version, environment], ['instance', manifest.version, 'development'])
    equal(public_url, 'http://127.0.0.1:4100')
    const byName = new Map<string, { value: string | null; source: string }>(
      settings.map(({ name, ...setting }: { name: string }) => [name, setting]),
    )
    deepEqual(byName.get('STAGEDOOR_SIGNING_ALG'), { value: 'EdDSA', source: 'environment' })
    equal(byName.has('STAGEDOOR_RETENTION_DAYS'), false, 'it is the default')
  })

  it('shows no secret', async () => {
    await using server = await testServer()
    const { body, text } = await server.call('GET', '/v1/instance')
    for (const name of ['STAGEDOOR_MASTER_KEY', 'STAGEDOOR_SECRET_KEY'])
      equal(body.settings.find((setting: { name: string }) => setting.name === name)?.value, null, name)
    for (const secret of [SECRET_KEY, server.masterKey]) ok(!text.includes(secret))
  })

  it('has the findings of the doctor, without a secret', async () => {
    await using server = await testServer()
    const findings = async (): Promise<{ check: string; result: string; detail: string }[]> =>
      (await server.call('GET', '/v1/instance')).body.findings
    const found = new Map((await findings()).map(finding => [finding.check, finding]))
    for (const check of [
      'Node',
      'secrets',
      'algorithm',
      'database',
      'durability',
      'keys',
      'rights',
      'policy',
      'actors',
    ])
      equal(found.get(check)?.result, 'ok', JSON.stringify([check, found.get(check)]))
    await server.call('POST', '/v1/secret_keys', { name: 'both', rights: ['act', 'users'] })
    const rights = (await findings()).find(({ check }) => check === 'rights')
    equal(rights?.result, 'warn')
    ok(rights?.detail.includes('“both”'), rights?.detail)
    const { store } = server.stagedoor.services
    store.policies.current = () => Promise.reject(new Error('cannot be read'))
    const policy = (await findings()).find(({ check }) => check === 'policy')
    deepEqual([policy?.result, policy?.detail], ['warn', 'cannot be read'])
  })

  it('needs a secret key', async () => {
    await using server = await testServer()
    equal((await server.call('GET', '/v1/instance', undefined, { authorization: undefined })).status, 401)
  })
})
