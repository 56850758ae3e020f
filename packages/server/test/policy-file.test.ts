import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pino } from 'pino'
import { type TestDatabase, testDatabase } from '../../../test/support/database.ts'
import { expectOk, testServer } from '../../../test/support/server.ts'
import { until } from '../../../test/support/time.ts'
import { applyPolicyFile } from '../src/policy-file.ts'

const ALL = '@id("all") permit (principal, action in Action::"act", resource);'
const TICKETS = `${ALL}
@id("tickets") forbid (principal, action in Action::"act", resource)
unless { context has reason && context.reason has ticket };`

describe('STAGEDOOR_POLICY_FILE', () => {
  let folder: string
  let database: TestDatabase
  const file = () => join(folder, 'support.cedar')
  const env = () => ({
    ...database.env,
    STAGEDOOR_POLICY_FILE: file(),
    STAGEDOOR_POLICY_OFF: 'base.reason, base.operators',
  })

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'stagedoor-policy-file-'))
    database = testDatabase()
  })
  after(() => {
    database[Symbol.dispose]()
    rmSync(folder, { recursive: true })
  })

  it('is put in force at the start, once, and again after it was changed', async () => {
    // As some editors save it.
    writeFileSync(file(), `\uFEFF${ALL}`)
    for (const version of [1, 1]) {
      await using server = await testServer({ env: env() })
      const policy = expectOk(await server.call('GET', '/v1/policy'))
      assert.deepEqual([policy.version, policy.text], [version, ALL])
      assert.deepEqual(policy.off, ['base.operators', 'base.reason'])
      assert.deepEqual([policy.created_by, policy.reason], ['system', 'from STAGEDOOR_POLICY_FILE'])
    }
    {
      await using server = await testServer({ env: env() })
      // A person changes it: the file wins at the next start.
      expectOk(await server.call('PUT', '/v1/policy', { text: TICKETS }))
    }
    await using server = await testServer({ env: env() })
    assert.deepEqual(expectOk(await server.call('GET', '/v1/policy')).version, 3)
  })

  it('ends the sessions that it refuses', async () => {
    writeFileSync(file(), ALL)
    const first = await testServer({ env: env() })
    const { session_id } = await first.signIn()
    await first[Symbol.asyncDispose]()
    writeFileSync(file(), TICKETS)
    await using server = await testServer({ env: env() })
    const status = async () => expectOk(await server.call('GET', `/v1/sessions/${session_id}`)).status
    await until(async () => (await status()) === 'revoked', 'the session goes on')
  })

  it('stops the start if it is wrong, with file, line and column, or with the test that fails', async () => {
    const tests = file().replace('.cedar', '.tests.jsonl')
    for (const [text, test, message] of [
      [
        `${ALL}\n@id("b") permit (principal, action, resource) when { resource.protcted };`,
        '',
        /support\.cedar:2:\d+ .*protected/s,
      ],
      ['permit (principal', '', /support\.cedar:1:\d+ /],
      [
        ALL,
        '{"name":"nobody","actor":{},"expect":"refused"}\n',
        /does not pass its tests.*test in line 1, nobody: .*allowed/s,
      ],
    ] as const) {
      writeFileSync(file(), text)
      writeFileSync(tests, test)
      await assert.rejects(testServer({ env: env() }), message)
    }
    rmSync(tests)
    rmSync(file())
    await assert.rejects(testServer({ env: env() }), /STAGEDOOR_POLICY_FILE: .*support\.cedar cannot be read/)
  })

  it('logs warnings about rules', async () => {
    writeFileSync(file(), `${ALL}\n@id("b") permit (principal, action, resource) when { principal has teem };`)
    await using server = await testServer({ env: database.env })
    const ctx = server.stagedoor.context({ type: 'system', id: null })
    const lines: string[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
    await applyPolicyFile(ctx, { policy_file: file(), policy_off: [] }, log)
    assert.ok(lines.some(line => /"id":"b","line":2,"column":\d+,"message":"`principal` never has `teem`/.test(line)))
  })

  it('is applied once by servers that start at the same moment', async () => {
    writeFileSync(file(), `${ALL}\n// another`)
    await using server = await testServer({ env: database.env })
    const ctx = server.stagedoor.context({ type: 'system', id: null })
    const config = { policy_file: file(), policy_off: [] }
    await Promise.all([1, 2, 3].map(() => applyPolicyFile(ctx, config, pino({ level: 'silent' }))))
    const history = expectOk(await server.call('GET', '/v1/policy/versions'))
    assert.equal(history.filter(({ text }: { text: string }) => text.endsWith('// another')).length, 1)
  })
})
