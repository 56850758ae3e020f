import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import { COMMAND } from '../../../test/support/command.ts'
import { type Serving, serving } from '../../../test/support/serving.ts'
import { until } from '../../../test/support/time.ts'

/** The commands of `stagedoor audit` that prove something, with a running server and its database. */
describe('stagedoor audit', () => {
  let server: Serving
  let vkey: string
  let kept: string
  let eventId: string
  async function command(...args: string[]) {
    const env = {
      ...process.env,
      ...server.env,
      STAGEDOOR_SERVER_URL: server.url,
      STAGEDOOR_SECRET_KEY: server.secretKey,
    }
    const child = spawn(process.execPath, [COMMAND, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const [stdout, stderr] = [text(child.stdout), text(child.stderr)]
    const [code] = await once(child, 'close')
    return { code: code as number | null, stdout: await stdout, stderr: await stderr }
  }
  const at = (name: string) => join(server.directory, name)
  const verify = async (...args: string[]) => {
    const { code, stdout, stderr } = await command('audit', 'verify', '--json', ...args)
    return { code, stderr, ...(stdout === '' ? {} : JSON.parse(stdout)) }
  }
  // biome-ignore lint/suspicious/noExplicitAny: answers have many shapes, and the tests look at single members
  const request = async (path: string, body?: object): Promise<any> => {
    const headers = { authorization: `Bearer ${server.secretKey}`, 'content-type': 'application/json' }
    const init = body ? { method: 'POST', body: JSON.stringify(body), headers } : { headers }
    return (await fetch(`${server.url}${path}`, init)).json()
  }
  /** Waits until a checkpoint covers everything. */
  async function settled(): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const [event] = await request('/v1/audit_events?limit=1')
      const { checkpoint } = await request(`/v1/audit_events/${event.id}/proof`)
      if (checkpoint !== null) return
      await sleep(100)
    }
    throw new Error('no checkpoint')
  }

  before(async () => {
    server = await serving()
    for (let n = 0; n < 5; n++) await request('/v1/users', {})
    await settled()
    vkey = (await request('/v1/audit/keys')).data[0].vkey
    kept = at('kept.txt')
    const { stdout, code, stderr } = await command('audit', 'checkpoint')
    assert.equal(code, 0, stderr)
    writeFileSync(kept, stdout)
    for (let n = 0; n < 5; n++) await request('/v1/users', {})
    eventId = (await request('/v1/audit_events?limit=1'))[0].id
    await settled()
  })
  after(() => server?.[Symbol.asyncDispose]())

  it('verify proves the running server and the database', async () => {
    const running = await verify('--checkpoint', kept, '--key', vkey)
    assert.deepEqual([running.code, running.result, running.findings, running.personal.checked], [0, 'proved', [], 0])
    const stored = await verify('--database', '--checkpoint', kept, '--key', vkey)
    assert.deepEqual([stored.code, stored.result, stored.personal.checked], [0, 'proved', stored.size])
    const { stdout, code } = await command('audit', 'verify', '--checkpoint', kept)
    assert.equal(code, 0)
    assert.match(stdout, /^Proved: the log was not changed\.\nlog +.*\/audit\/ins_.*\nentries +\d+\n/)
    assert.ok(existsSync(at('stagedoor.db-checkpoint')))
  })

  it('verify names each check that was not possible', async () => {
    const cases: [string[], RegExp][] = [
      [['--directory', at('nothing')], /has no exported audit log/],
      [['--key', 'nonsense'], /a verifier key is/],
      [['--checkpoint', at('missing.txt')], /ENOENT/],
      [['--directory', at('x'), '--database'], /not both/],
      [['--proof', kept], /--proof needs --event and --key/],
    ]
    for (const [args, message] of cases) {
      const { code, stderr } = await verify(...args)
      assert.equal(code, 2, args.join(' '))
      assert.match(stderr, message)
    }
  })

  it('export writes a directory, which verify proves', async () => {
    const directory = at('exported')
    const { code, stdout, stderr } = await command('audit', 'export', '--to', directory, '--json')
    assert.equal(code, 0, stderr)
    const { entries, added } = JSON.parse(stdout)
    assert.ok(entries >= 10 && added === entries)
    const proved = await verify('--directory', directory, '--checkpoint', kept, '--key', vkey)
    assert.deepEqual([proved.code, proved.size, proved.personal.checked], [0, entries, entries])
    const again = await command('audit', 'export', '--to', directory, '--without-personal')
    assert.match(again.stderr, /has personal texts/)
    assert.equal((await verify('--directory', directory)).code, 2, 'without a key')
    const checkpoint = readFileSync(join(directory, 'checkpoint'), 'utf8')
    writeFileSync(join(directory, 'checkpoint'), checkpoint.replace(/\n\d+\n/, '\n3\n'))
    const changed = await verify('--directory', directory, '--key', vkey)
    assert.deepEqual([changed.code, changed.result], [1, 'tampered'])
  })

  it('proof writes a file that verify checks offline', async () => {
    const event = at('e.json')
    const { code, stdout, stderr } = await command('audit', 'proof', eventId, '--personal', '--event', event)
    assert.equal(code, 0, stderr)
    const file = at('e.tlog-proof')
    writeFileSync(file, stdout)
    const proved = await verify('--proof', file, '--event', event, '--key', vkey)
    assert.deepEqual([proved.code, proved.result], [0, 'proved'])
    assert.match(proved.personal, /"salt"/)
    writeFileSync(event, JSON.stringify(JSON.parse(readFileSync(event, 'utf8')), null, 2))
    assert.equal((await verify('--proof', file, '--event', event, '--key', vkey)).code, 0, 'the same JSON')
    writeFileSync(event, readFileSync(event, 'utf8').replace('"done"', '"refused"'))
    const changed = await verify('--proof', file, '--event', event, '--key', vkey)
    assert.deepEqual([changed.code, changed.result], [1, 'tampered'])
  })

  it('verify finds what the owner of the database changed', async () => {
    const database = new BetterSqlite3(at('stagedoor.db'))
    /** Runs a statement without the trigger that refuses it. */
    const without = (trigger: string, statement: string, ...values: string[]) => {
      const text = database.prepare('select sql from sqlite_master where name = ?').pluck().get(trigger)
      database.exec(`drop trigger ${trigger}`)
      database.prepare(statement).run(...values)
      database.exec(String(text))
    }
    const change = (column: string, from: string, to: string) => {
      const statement = `update audit_events set ${column} = replace(${column}, ?, ?) where id = ?`
      without('audit_events_no_update', statement, from, to, eventId)
    }
    const found = async (...args: string[]) => {
      const { code, findings, stderr } = await verify(...args, '--checkpoint', kept, '--key', vkey)
      assert.ok(findings, stderr)
      return [code, ...findings.map(({ message }: { message: string }) => message)]
    }
    change('personal', '"reason":null', '"reason":"x"')
    assert.deepEqual(await found('--database'), [1, `personal part of ${eventId} was changed`])
    change('personal', '"reason":"x"', '"reason":null')
    change('action', 'user.create', 'user.delete')
    const [code, message, ...more] = await found('--database')
    assert.deepEqual([code, more], [1, []])
    assert.match(String(message), /^event \d+: action is not what was hashed$/)
    assert.deepEqual(await found(), [0], 'answers come from the hashed text')
    change('action', 'user.delete', 'user.create')
    assert.deepEqual(await found('--database'), [0])
    change('event', '"done"', '"dona"')
    for (const where of [['--database'], []]) {
      const [code, ...messages] = await found(...where)
      assert.equal(code, 1)
      assert.ok(
        messages.some(message => /something in entries \d+\.\.\d+ was changed/.test(String(message))),
        messages.join(),
      )
    }
    change('event', '"dona"', '"done"')
    without('audit_events_no_delete', 'delete from audit_events where id = ?', eventId)
    for (const where of [['--database'], []]) {
      const [code, ...messages] = await found(...where)
      assert.equal(code, 1, 'a deleted event is tampering, not a check that was impossible')
      assert.ok(
        messages.some(message => /gone|was changed, deleted/.test(String(message))),
        messages.join(),
      )
    }
    database.close()
  })
})

describe('stagedoor audit, the commands that change the log', () => {
  it('rotate-key signs with a new key, and accept-loss continues the log under a new name', async () => {
    const started = async (env: Record<string, string> = {}, directory?: string) =>
      serving({ env, ...(directory === undefined ? {} : { directory }) })
    await using server = await started()
    const checkpoint = join(server.directory, 'stagedoor.db-checkpoint')
    const { STAGEDOOR_MASTER_KEY = '' } = server.env
    const again = { STAGEDOOR_MASTER_KEY, STAGEDOOR_SECRET_KEY: server.secretKey }
    const json = async (...args: string[]) => {
      const { code, stdout, stderr } = await server.command('audit', ...args, '--json')
      assert.equal(code, 0, stdout + stderr)
      return JSON.parse(stdout)
    }
    const [old, key] = await json('rotate-key')
    const [name] = old.vkey.split('+')
    assert.deepEqual([old.retired_at === null, key.retired_at], [false, null])
    await until(
      () => existsSync(checkpoint) && readFileSync(checkpoint, 'utf8').split('\n— ').length === 3,
      'two signatures',
    )
    await server.stopped('SIGTERM')

    const { origin, kept, moved } = await json('accept-loss', '--from', '2', '--reason', 'a trial')
    assert.deepEqual([origin, kept, existsSync(moved), existsSync(checkpoint)], [`${name}-2`, 2, true, false])
    await using continued = await started(again, server.directory)
    await until(() => existsSync(checkpoint) && readFileSync(checkpoint, 'utf8').includes('-2\n'), 'the new name')
    const { code, stdout } = await continued.command('audit', 'verify', '--database', '--json')
    assert.deepEqual([code, JSON.parse(stdout).result], [0, 'proved'], stdout)
  })
})
