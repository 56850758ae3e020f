import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { COMMAND } from '../../../test/support/command.ts'
import { freePort } from '../../../test/support/ports.ts'

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url))
const README = fileURLToPath(new URL('../../../README.md', import.meta.url))

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

/** The environment of a new user, without settings of this project. */
function environment(extra: Record<string, string | undefined> = {}): NodeJS.ProcessEnv {
  const plain = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('STAGEDOOR_') && !name.startsWith('NODE_TEST'),
  )
  return { ...Object.fromEntries(plain), ...extra }
}

function start(cwd: string, args: string[], extra: Record<string, string | undefined> = {}): ChildProcess {
  return spawn(process.execPath, [COMMAND, ...args], { cwd, env: environment(extra), stdio: ['pipe', 'pipe', 'pipe'] })
}

function finished(child: ChildProcess, input = ''): Promise<Result> {
  return new Promise(resolve => {
    let stdout = ''
    let stderr = ''
    child.stdout?.on('data', chunk => {
      stdout += chunk
    })
    child.stderr?.on('data', chunk => {
      stderr += chunk
    })
    child.stdin?.end(input)
    child.on('close', code => resolve({ code, stdout, stderr }))
  })
}

/** Returns what a process has printed, once the text matches. */
function printed(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const read = (chunk: Buffer) => {
      text += chunk
      if (pattern.test(text)) resolve(text)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.on('close', code => reject(new Error(`ended with ${code} before ${pattern}: ${text}`)))
  })
}

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'stagedoor-cli-'))
}

describe('stagedoor dev', () => {
  const cwd = folder()
  after(() => rmSync(cwd, { recursive: true, force: true }))

  it('shows the main job and exits 0 with --once; a second start keeps its data', async () => {
    const port = String(await freePort())
    const first = await finished(start(cwd, ['dev', '--once', '--port', port]))
    assert.equal(first.code, 0, first.stderr)
    for (const line of [
      'created',
      'opened .*200',
      'redeemed',
      'again .*actor_token_already_used_code',
      'act  \\{"sub":"user_',
      'verified .*really acting: user_',
      'revoked .*authentication_invalid',
      'recorded .*4 audit events',
      'STAGEDOOR_SECRET_KEY=sk_test_',
    ]) {
      assert.match(first.stdout, new RegExp(line))
    }
    const url = `http://127.0.0.1:${port}`
    const [, clerk = ''] = first.stdout.split(/^For an app with Clerk’s SDKs.*$/m)
    const {
      CLERK_SECRET_KEY,
      CLERK_PUBLISHABLE_KEY = '',
      NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY,
      ...settings
    } = parseEnv(clerk)
    assert.match(CLERK_SECRET_KEY ?? '', /^sk_test_\w+$/)
    assert.equal(NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY, CLERK_PUBLISHABLE_KEY)
    assert.match(CLERK_PUBLISHABLE_KEY, /^pk_test_[^=]+$/)
    assert.equal(Buffer.from(CLERK_PUBLISHABLE_KEY.slice('pk_test_'.length), 'base64').toString(), `127.0.0.1:${port}$`)
    // In the examples the server is on its default port.
    for (const example of ['clerk-express', 'clerk-nextjs']) {
      const sample = parseEnv(readFileSync(join(EXAMPLES, example, '.env.example'), 'utf8')) as Record<string, string>
      const named = Object.entries(sample).filter(
        ([name, value]) => /CLERK/.test(name) && value !== '' && value !== '/sign-in',
      )
      assert.ok(named.length >= 3)
      for (const [name, value] of named) assert.equal(settings[name], value.replace('http://127.0.0.1:4100', url), name)
    }
    for (const [, address = ''] of clerk.matchAll(/src="([^"]+)"/g))
      assert.ok(Object.values(settings).includes(address))
    assert.equal(statSync(join(cwd, '.stagedoor/dev.env')).mode & 0o777, 0o600)
    assert.equal(statSync(join(cwd, '.stagedoor/dev.db')).mode & 0o777, 0o600)
    const second = await finished(start(cwd, ['dev', '--once', '--port', port]))
    const customer = /\(customer\), (user_\w+)/
    assert.equal(customer.exec(second.stdout)?.[1], customer.exec(first.stdout)?.[1])
    const key = /SECRET_KEY=(\w+)/
    assert.equal(key.exec(second.stdout)?.[1], key.exec(first.stdout)?.[1])
  })

  it('uses the next port if its own is taken, prints that, and stops on SIGTERM', async () => {
    const port = await freePort()
    const other = createServer().listen(port, '127.0.0.1')
    await new Promise(resolve => other.once('listening', resolve))
    const child = start(cwd, ['dev', '--port', String(port)])
    const text = await printed(child, /Serving\./)
    const [, url = '', taken] = /up: (http:\/\/127\.0\.0\.1:(\d+))/.exec(text) ?? []
    assert.match(text, new RegExp(`Port ${port} is taken`))
    assert.notEqual(Number(taken), port)
    assert.deepEqual(await (await fetch(`${url}/healthz`)).json(), { status: 'ok' })
    const ended = finished(child)
    child.kill('SIGTERM')
    assert.equal((await ended).code, 0)
    other.close()
  })
})

describe('stagedoor serve', () => {
  it('refuses missing and sample secrets in one message and exits 2', async () => {
    const cwd = folder()
    const none = await finished(start(cwd, ['serve']))
    assert.equal(none.code, 2)
    for (const name of ['STAGEDOOR_MASTER_KEY', 'STAGEDOOR_PUBLIC_URL', 'STAGEDOOR_SIGN_IN_URL'])
      assert.match(none.stderr, new RegExp(name))
    const sample = await finished(
      start(cwd, ['serve'], {
        STAGEDOOR_MASTER_KEY: 'change-me-please-change-me-please-change-me-',
        STAGEDOOR_PUBLIC_URL: 'https://a.example',
        STAGEDOOR_SIGN_IN_URL: 'https://b.example/in',
      }),
    )
    assert.equal(sample.code, 2)
    assert.match(sample.stderr, /sample value/)
    assert.doesNotMatch(sample.stderr, /change-me/)
    rmSync(cwd, { recursive: true })
  })

  it('logs JSON lines without secrets, finishes open requests on SIGTERM and exits 0', async () => {
    const cwd = folder()
    const port = await freePort()
    const key = `sk_live_${randomBytes(24).toString('hex')}`
    const master = randomBytes(32).toString('base64')
    const env = {
      STAGEDOOR_MASTER_KEY: master,
      STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
      STAGEDOOR_SIGN_IN_URL: 'https://app.example.com/sign-in',
      STAGEDOOR_SECRET_KEY: key,
      STAGEDOOR_PORT: String(port),
      STAGEDOOR_LOG_LEVEL: 'debug',
    }
    const child = start(cwd, ['serve'], env)
    await printed(child, /"serving"/)
    const ended = finished(child)
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const requests = Array.from({ length: 50 }, () =>
      fetch(`http://127.0.0.1:${port}/v1/users`, { method: 'POST', headers, body: '{}' }).then(
        response => response.status,
      ),
    )
    const [first] = await Promise.all([Promise.race(requests)])
    assert.equal(first, 200)
    child.kill('SIGTERM')
    const statuses = await Promise.allSettled(requests)
    assert.ok(
      statuses.every(status => status.status === 'rejected' || status.value === 200),
      JSON.stringify(statuses),
    )
    const { code, stdout } = await ended
    assert.equal(code, 0)
    for (const line of stdout.trim().split('\n')) JSON.parse(line)
    assert.ok(!stdout.includes(key) && !stdout.includes(master))

    const wrong = await finished(
      start(cwd, ['serve'], { ...env, STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64') }),
    )
    assert.notEqual(wrong.code, 0)
    assert.match(wrong.stderr, /STAGEDOOR_MASTER_KEY is not the key/)
    rmSync(cwd, { recursive: true })
  })
})

describe('the commands', () => {
  const cwd = folder()
  let server: ChildProcess
  let url = ''
  const run = (args: string[], input?: string, extra: Record<string, string> = {}) =>
    finished(start(cwd, args, { STAGEDOOR_SERVER_URL: url, ...extra }), input)
  // biome-ignore lint/suspicious/noExplicitAny: any JSON that the command prints
  const json = async (args: string[], input?: string): Promise<any> => {
    const { code, stdout, stderr } = await run([...args, '--json'], input)
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return JSON.parse(stdout)
  }

  before(async () => {
    server = start(cwd, ['dev', '--port', String(await freePort())])
    url = /up: (\S+)/.exec(await printed(server, /Serving\./))?.[1] ?? ''
  })
  after(async () => {
    const ended = finished(server)
    server.kill('SIGTERM')
    await ended
    rmSync(cwd, { recursive: true, force: true })
  })

  it('create, list, show and revoke actor tokens', async () => {
    const user = await json([
      'users',
      'create',
      '--external-id',
      'cli-1',
      '--email',
      'cli@example.com',
      '--first-name',
      'Cli',
    ])
    const token = await json([
      'actor-tokens',
      'create',
      '--user',
      user.id,
      '--actor',
      'ops',
      '--reason',
      'because',
      '--expires-in',
      '60',
    ])
    assert.ok(token.url.startsWith(url))
    const listed = await json(['actor-tokens', 'list', '--user', user.id])
    assert.deepEqual(
      listed.map((each: { id: string }) => each.id),
      [token.id],
    )
    assert.equal(listed[0].token, undefined)
    assert.equal((await json(['actor-tokens', 'show', token.id])).reason, 'because')
    assert.equal((await json(['actor-tokens', 'revoke', token.id])).status, 'revoked')
    const again = await run(['actor-tokens', 'revoke', token.id])
    assert.equal(again.code, 1)
    assert.match(again.stderr, /cannot be revoked because its status is revoked/)
    assert.match((await run(['actor-tokens', 'list'])).stdout, /^ID +STATUS +USER/)
    const whole = await json([
      'actor-tokens',
      'create',
      '--user',
      user.id,
      '--actor-json',
      '{"sub":"agent_1","type":"agent"}',
    ])
    assert.deepEqual(whole.actor, { sub: 'agent_1', type: 'agent' })
  })

  it('import users from JSON lines and CSV, report the invalid lines, and can be run again', async () => {
    const lines = [
      ...Array.from({ length: 200 }, (_, i) =>
        JSON.stringify({ external_id: `jsonl-${i}`, email_address: `j${i}@example.com`, public_metadata: { i } }),
      ),
      '{"external_id": "bad", "nope": 1}',
      'not json',
      '',
    ]
    writeFileSync(join(cwd, 'users.jsonl'), lines.join('\n'))
    const first = await run(['users', 'import', 'users.jsonl', '--json'])
    assert.equal(first.code, 1)
    const counted = JSON.parse(first.stdout)
    assert.deepEqual([counted.created, counted.existing, counted.failed], [200, 0, 2])
    assert.deepEqual(counted.failures.map((failure: { line: number }) => failure.line).sort(), [201, 202])
    const second = JSON.parse((await run(['users', 'import', 'users.jsonl', '--json'])).stdout)
    assert.deepEqual([second.created, second.existing], [0, 200])

    writeFileSync(
      join(cwd, 'users.csv'),
      '\ufeffexternal_id,first_name,email_address,public_metadata\ncsv-1,"Ann, ""A""",a1@example.com; a2@example.com,"{""plan"":""pro""}"\ncsv-2,Bob,,\n',
    )
    const csv = await json(['users', 'import', 'users.csv'])
    assert.deepEqual([csv.created, csv.failed], [2, 0])
    const [ann] = await json(['users', 'list', '--external-id', 'csv-1'])
    assert.equal(ann.firstName, 'Ann, "A"')
    assert.equal(ann.emailAddresses.length, 2)
    assert.deepEqual(ann.publicMetadata, { plan: 'pro' })
    assert.equal((await run(['users', 'import', 'none.csv'])).code, 2)
    assert.equal((await run(['users', 'import', 'users.txt'])).code, 2)
  })

  it('list and revoke sessions, and read the audit log', async () => {
    const [session] = await json(['sessions', 'list', '--status', 'revoked'])
    assert.ok(session.id)
    assert.equal((await json(['sessions', 'revoke', session.id])).status, 'revoked')
    const events = await json(['audit', 'list', '--session', session.id])
    assert.ok(events.some((event: { action: string }) => event.action === 'session.revoke'))

    const known = await run(['sessions', 'revoke', '--actor', session.actor.sub])
    assert.equal(known.code, 0, known.stderr)
    const misspelt = await run(['sessions', 'revoke', '--actor', ` ${session.actor.sub.toUpperCase()}`])
    assert.equal(misspelt.code, 1)
    assert.match(misspelt.stderr, /has ever had the actor/)
    assert.ok(misspelt.stderr.includes(`Similar: "${session.actor.sub}"`), misspelt.stderr)
    const unknown = await run(['sessions', 'revoke', '--actor', 'nobody', '--json'])
    assert.equal(unknown.code, 1)
    assert.equal(JSON.parse(unknown.stdout).matched, false)
    assert.match(
      (await run(['audit', 'list', '--outcome', 'refused', '--action', 'ticket.accept'])).stdout,
      /ticket\.accept/,
    )
    assert.equal((await run(['audit', 'list', '--counts'])).code, 0)
  })

  it('create, list and revoke secret keys while the server runs, and it applies the change at once', async () => {
    const made = await json(['keys', 'create', '--name', 'test'])
    const use = () =>
      fetch(`${url}/v1/users/count`, { headers: { authorization: `Bearer ${made.secret_key}` } }).then(
        response => response.status,
      )
    assert.equal(await use(), 200)
    assert.ok((await json(['keys', 'list'])).some((key: { id: string }) => key.id === made.id))
    assert.ok(!(await run(['keys', 'list'])).stdout.includes(made.secret_key))
    await json(['keys', 'revoke', made.id])
    assert.equal(await use(), 401)
    assert.equal((await run(['keys', 'revoke', 'key_none'])).code, 1)
  })

  it('create secret keys with rights and an expiry, and list both', async () => {
    const made = await json(['keys', 'create', '--name', 'support', '--may', 'audit, act', '--expires', '90d'])
    assert.deepEqual(made.rights, ['act', 'audit'])
    assert.equal(made.expires_at - made.created_at, 90 * 86_400_000)
    const use = async (path: string) => {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${made.secret_key}` } })
      return response.status
    }
    assert.deepEqual(
      [await use('/v1/sessions'), await use('/v1/audit_events'), await use('/v1/users')],
      [200, 200, 403],
    )
    const day = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10)
    const dated = await json(['keys', 'create', '--name', 'dated', '--expires', day])
    // The lifetime is counted in whole seconds.
    const late = dated.expires_at - Date.parse(day)
    assert.ok(late >= 0 && late < 1_000, `${late} ms after the start of the day`)
    assert.deepEqual(dated.rights, ['everything'])
    const list = (await run(['keys', 'list'])).stdout
    assert.match(list, /^ID +NAME +KEY +MAY +CREATED +EXPIRES +REVOKED$/m)
    assert.match(list, new RegExp(`^${made.id} +support +\\S+ +act,audit `, 'm'))
    assert.match(list, new RegExp(`^${dated.id} +dated +\\S+ +everything +\\S+ \\S+ +${day} 00:00:00Z$`, 'm'))

    const findings = await json(['doctor'])
    const rights = findings.find(({ check }: { check: string }) => check === 'rights')
    assert.equal(rights.result, 'ok', rights.detail)
    await json(['keys', 'create', '--name', 'both', '--may', 'act,users'])
    await json(['keys', 'create', '--name', 'short', '--may', 'audit', '--expires', '13d'])
    const warned = (await json(['doctor'])).find(({ check }: { check: string }) => check === 'rights')
    assert.equal(warned.result, 'warn')
    assert.match(warned.detail, /^1 secret key has both `act` and `users`.*“both” \(key_\w+\)/)
    assert.match(warned.detail, /Expires within 14 days: “short” \(key_\w+\)/)
    for (const name of ['support', 'dated', 'both', 'short']) await json(['keys', 'revoke', name])
    assert.equal((await json(['doctor'])).find(({ check }: { check: string }) => check === 'rights').result, 'ok')
  })

  it('register an actor, and check, apply, explain and roll back a policy', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-policy-'))
    const file = join(folder, 'support.cedar')
    const rules = `@id("support") @title("Support acts.")
permit (principal in Team::"support", action in Action::"act", resource);
@id("tickets") @message("A ticket is required.")
forbid (principal, action in Action::"act", resource) unless { context has reason && context.reason has ticket };
`
    writeFileSync(file, `\uFEFF${rules}`)
    assert.match((await run(['policy', 'check', file])).stdout, /rules, no tests \(\S+support\.tests\.jsonl\)\.$/m)
    writeFileSync(join(folder, 'support.tests.jsonl'), '{"actor":{"teams":[]},"expect":"refused"}\n')
    await json(['users', 'create', '--external-id', 'of-policy'])
    const explain = (...more: string[]) =>
      run(['policy', 'explain', '--user', 'of-policy', '--actor', 'olivia@support', ...more])
    assert.match((await explain()).stdout, /^allowed by version 0 of the policy\n {2}default\.backend: /)
    const checked = await run(['policy', 'check', file])
    assert.match(checked.stdout, /support\.cedar is valid: \d+ rules, 1 of 1 tests passed\./, checked.stderr)
    const live = await json(['actor-tokens', 'create', '--user', 'of-policy', '--actor', 'olivia@support'])
    const redeemed = await fetch(`${url}/v1/client/sign_ins`, {
      method: 'POST',
      body: new URLSearchParams({ strategy: 'ticket', ticket: live.token }),
    })
    const session = {
      id: ((await redeemed.json()) as { response: { created_session_id: string } }).response.created_session_id,
    }
    const whatIf = await run(['policy', 'what-if', file])
    assert.match(whatIf.stdout, /^Of \d+ active sessions, \d+ would end\.$/m, whatIf.stderr)
    assert.match(whatIf.stdout, new RegExp(`^  ${session.id}  olivia@support as user_\\w+: tickets$`, 'm'))
    assert.match(whatIf.stdout, /^Of \d+ past actor tokens, [1-9]\d* would have been refused, and 0 allowed/m)
    assert.equal((await run(['policy', 'apply', file, '--dry-run'])).stdout, whatIf.stdout)
    const facts = ['--user', 'of-policy', '--metadata', '{"protected":true}']
    const supposed = await run(['policy', 'what-if', ...facts])
    assert.match(supposed.stdout, new RegExp(`^  ${session.id}  .*: base.protected$`, 'm'), supposed.stderr)
    const agent = ['--actor', 'olivia@support', '--registration', '{"kind":"operator","disabled":true}']
    assert.match((await run(['policy', 'what-if', ...agent, '--days', '1'])).stdout, /^ {2}[1-9]\d* by base\.blocked$/m)
    for (const [wrong, message] of [
      [[], /Name a file/],
      [['--actor', 'a'], /--actor and --registration together/],
      [['--metadata', '{}'], /--user and --metadata together/],
      [['--actor', 'a', '--registration', '[]'], /--registration is not a JSON object/],
    ] as const) {
      const { code, stderr } = await run(['policy', 'what-if', ...wrong])
      assert.notEqual(code, 0)
      assert.match(stderr, message)
    }
    const tooMany = await run(['policy', 'apply', file])
    assert.equal(tooMany.code, 1)
    assert.match(tooMany.stderr, /--expect-refused \d+/)
    assert.match(tooMany.stderr, new RegExp(session.id))
    const { refused: ends } = (await json(['policy', 'what-if', file])).live
    assert.equal((await json(['policy', 'apply', file, '--reason', 'first', '--expect-refused', ends])).version, 1)
    const whoActed = async () => (await json(['doctor'])).find(({ check }: { check: string }) => check === 'actors')
    const unknown = await whoActed()
    assert.equal(unknown.result, 'warn')
    assert.match(
      unknown.detail,
      /neither registered nor .*“olivia@support”.*\. Rules see .*stagedoor actors set SUB --team/,
    )
    const actor = await json(['actors', 'set', 'olivia@support', '--team', 'support', '--level', '2'])
    assert.doesNotMatch((await whoActed()).detail, /olivia/)
    assert.deepEqual([actor.teams, actor.level], [['support'], 2])
    assert.match((await run(['actors', 'list'])).stdout, /^olivia@support +operator +support +2 *$/m)
    const refused = await explain()
    assert.equal(refused.code, 1)
    assert.match(
      refused.stdout,
      /^refused by version 1 .*\n {2}tickets: A ticket is required\.\n.*support\n.*: ticket$/m,
    )
    assert.equal((await explain('--ticket', 'T-1')).code, 0)
    const at = JSON.parse((await explain('--ip', '::ffff:203.0.113.7', '--json')).stdout)
    assert.equal(at.facts.context.ip, '203.0.113.7')
    const limited = await explain('--ticket', 'T-1', '--access', 'read', '--scope', 'b:x', 'a:x', '--json')
    const { access, scopes } = JSON.parse(limited.stdout).facts.context
    assert.deepEqual([access, scopes, JSON.parse(limited.stdout).access], [undefined, ['a:x', 'b:x'], 'read'])
    assert.match((await explain('--access', 'all')).stderr, /--access must be read or write, not “all”/)
    const created = ['actor-tokens', 'create', '--user', 'of-policy', '--actor', 'olivia@support']
    const without = await run(created)
    assert.deepEqual([without.code, /stagedoor policy explain/.test(without.stderr)], [1, true], without.stderr)
    assert.equal((await json([...created, '--ticket', 'T-1'])).status, 'pending')
    const reading = await json([...created, '--ticket', 'T-1', '--access', 'read', '--scope', 'a:x'])
    assert.deepEqual([reading.access, reading.scopes], ['read', ['a:x']])
    writeFileSync(file, rules.replace('context.reason has ticket', 'context.resaon has ticket'))
    const wrong = await run(['policy', 'apply', file])
    assert.equal(wrong.code, 2)
    assert.match(wrong.stdout + wrong.stderr, /support\.cedar:4:\d+ .*resaon/)
    assert.equal((await run(['policy', 'rollback', '7'])).code, 1)
    assert.equal((await json(['policy', 'rollback', '0'])).version, 2)
    assert.match((await run(['policy', 'history'])).stdout, /^2 .*rollback to version 0.*\n1 .*first/m)
    assert.match((await run(['policy', 'show'])).stdout, /default\.backend/)
    for (const [kind, name] of [
      ['teams', 'tier 2'],
      ['tags', 'gold'],
    ] as const) {
      const stored = await json([kind, 'set', name, '--parent', 'one', 'two'])
      assert.deepEqual([stored.name, stored.parents], [name, ['one', 'two']])
      assert.match((await run([kind, 'list'])).stdout, new RegExp(`^${name} +one, two$`, 'm'))
      const cycle = await run([kind, 'set', 'one', '--parent', name])
      assert.deepEqual([cycle.code, /cannot be part of itself: "one" → ".*" → "one"/.test(cycle.stderr)], [1, true])
      assert.equal((await json([kind, 'remove', name])).deleted, true)
      assert.match((await run([kind, 'list'])).stdout, /^None is part of others\.$/m)
    }
    // In development the default policy asks for no registered actors.
    await json(['actors', 'remove', 'olivia@support'])
    const allowed = await whoActed()
    assert.deepEqual([allowed.result, /olivia@support.*default policy allows/.test(allowed.detail)], ['ok', true])
    rmSync(folder, { recursive: true })
  })

  it('write an example policy with its tests, and run the tests', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-policy-init-'))
    const file = join(folder, 'mine.cedar')
    // policy-check.test.ts runs the tests of every example.
    for (const name of ['support-tiers', 'agent-scopes']) {
      const made = await json(['policy', 'init', file, '--template', name, '--force'])
      assert.deepEqual([made.policy, made.tests], [file, join(folder, 'mine.tests.jsonl')])
      const example = join(import.meta.dirname, '../../../examples/policies', `${name}.cedar`)
      assert.equal(readFileSync(file, 'utf8'), readFileSync(example, 'utf8'))
      const tested = await run(['policy', 'test', file])
      assert.equal(tested.code, 0, tested.stdout + tested.stderr)
      assert.match(tested.stdout, /^✓ line 1.*[1-9]\d* of [1-9]\d* tests passed\.\n$/s)
    }
    const again = await run(['policy', 'init', file])
    assert.deepEqual([again.code, /exists\. Replace it with --force/.test(again.stderr)], [2, true], again.stderr)
    const unknown = await run(['policy', 'init', join(folder, 'x.cedar'), '--template', 'constructor'])
    assert.deepEqual([unknown.code, /no example “constructor”.*support-tiers/.test(unknown.stderr)], [2, true])
    assert.equal((await run(['policy', 'init', join(folder, 'none/x.cedar')])).code, 2)
    writeFileSync(join(folder, 'mine.tests.jsonl'), '{"name":"anybody","actor":{},"expect":"allowed"}\n')
    const failed = await run(['policy', 'test', file])
    assert.equal(failed.code, 1)
    assert.match(failed.stdout, /^✗ line 1, anybody: .+\n0 of 1 tests passed\.\n$/)
    writeFileSync(
      file,
      '@id("a") permit (principal, action in Action::"act", resource)\nunless { principal has teem };',
    )
    for (const command of [['test'], ['apply', '--dry-run']]) {
      const warned = await run(['policy', ...command, file])
      assert.equal(warned.code, 0, warned.stdout + warned.stderr)
      assert.match(
        warned.stderr,
        /mine\.cedar:2:24 {2}`principal` never has `teem`, .*`principal in Team::"…"`\? \(warning\)/,
      )
    }
    rmSync(join(folder, 'mine.tests.jsonl'))
    assert.match(
      (await run(['policy', 'test', file])).stderr,
      /There are no tests: .*mine\.tests\.jsonl does not exist/,
    )
    rmSync(folder, { recursive: true })
  })

  it('refuse rights and expiries that are invalid, and say which are valid', async () => {
    const before = await json(['keys', 'list'])
    for (const [args, message] of [
      [['--may', 'admin'], /--may must be `everything`, or one or more of `act`, .*`admin` is none of them/],
      [['--may', ''], /--may must be `everything`, or one or more of/],
      [['--may', 'act,'], /--may must be .*`` is none of them/],
      [['--may', 'everything,act'], /--may must be `everything`, or one or more of/],
      [['--may', 'act,approve'], /`approve` is reserved for a later version/],
      [['--expires', '0'], /“0” is in the past/],
      [['--expires', '2020-01-31'], /“2020-01-31” is in the past.*90d/],
      [['--expires', '2020-01-31T12:00:00Z'], /is in the past/],
      [['--expires', '2999-01-31'], /more than 10 years/],
      [['--expires', 'soon'], /“soon” is not a duration/],
      [['--expires', '2027-13-99'], /is not a date/],
    ] as const) {
      const refused = await run(['keys', 'create', '--name', 'wrong', ...args])
      assert.equal(refused.code, 2, args.join(' '))
      assert.match(refused.stderr, message)
    }
    assert.deepEqual(await json(['keys', 'list']), before)
  })

  it('store no setting of their own shell in the database', async () => {
    const [before, keysBefore] = [await json(['signing-keys', 'list']), await json(['keys', 'list'])]
    const devEnv = parseEnv(readFileSync(join(cwd, '.stagedoor/dev.env'), 'utf8'))
    const shell = {
      STAGEDOOR_DATABASE_URL: 'sqlite:.stagedoor/dev.db',
      STAGEDOOR_ENVIRONMENT: 'development',
      STAGEDOOR_MASTER_KEY: devEnv.STAGEDOOR_MASTER_KEY ?? '',
      STAGEDOOR_SECRET_KEY: `sk_test_${randomBytes(24).toString('hex')}`,
      STAGEDOOR_SIGNING_ALG: 'EdDSA',
    }
    for (const args of [['keys', 'list'], ['signing-keys', 'list'], ['doctor']])
      assert.equal((await run(args, '', shell)).code, 0)
    const refused = await run(['signing-keys', 'rotate', '--at-once'], '', shell)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /keys here are RS256/)
    assert.deepEqual([await json(['signing-keys', 'list']), await json(['keys', 'list'])], [before, keysBefore])
  })

  it('list, rotate and remove signing keys while the server runs', async () => {
    const before = await json(['signing-keys', 'list'])
    const active = before.find((key: { status: string }) => key.status === 'active')
    await json(['signing-keys', 'rotate', '--at-once'])
    // The next key was created a moment ago, so no verifier can know it yet.
    const early = await run(['signing-keys', 'rotate'])
    assert.equal(early.code, 1)
    assert.match(early.stderr, /--at-once/)
    const kids = async () =>
      ((await (await fetch(`${url}/.well-known/jwks.json`)).json()) as { keys: { kid: string }[] }).keys.map(
        key => key.kid,
      )
    assert.ok((await kids()).includes(active.id))
    assert.equal((await run(['signing-keys', 'remove', active.id])).code, 1)
    await json(['signing-keys', 'remove', active.id, '--emergency'])
    assert.ok(!(await kids()).includes(active.id))
  })

  it('decode and verify tokens', async () => {
    const [user] = await json(['users', 'list'])
    const { secret_key } = await json(['keys', 'create', '--name', 'tokens'])
    const headers = { authorization: `Bearer ${secret_key}`, 'content-type': 'application/json' }
    const post = async (path: string, body?: object) =>
      (await (
        await fetch(url + path, { method: 'POST', headers, ...(body ? { body: JSON.stringify(body) } : {}) })
      ).json()) as { id: string; token: string; jwt: string }
    const session = await post('/v1/sessions', { user_id: user.id })
    const { jwt } = await post(`/v1/sessions/${session.id}/tokens`)
    const decoded = await run(['token', 'decode', jwt])
    assert.equal(JSON.parse(decoded.stdout).payload.sub, user.id)
    assert.match(decoded.stderr, /Not verified/)
    const verified = await json(['token', 'verify'], jwt)
    assert.equal(verified.userId, user.id)
    const tampered = `${jwt.slice(0, -6)}AAAAAA`
    const refused = await run(['token', 'verify', tampered])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /token-invalid-signature/)
  })

  it('check the whole installation and migrate the schema', async () => {
    const findings = await json(['doctor'])
    assert.deepEqual(
      findings.filter((finding: { result: string }) => finding.result === 'fail'),
      [],
    )
    for (const check of ['Node', 'settings', 'algorithm', 'database', 'keys', 'server']) {
      assert.equal(findings.find((finding: { check: string }) => finding.check === check)?.result, 'ok', check)
    }
    for (const [alg, advice] of [
      ['RS256', /^RS256 signs .* every client verifies it/],
      ['ES256', /^ES256 signs .* cannot verify it/],
      ['EdDSA', /^EdDSA signs .* cannot verify it/],
    ] as const) {
      const { stdout } = await run(['doctor', '--json'], undefined, { STAGEDOOR_SIGNING_ALG: alg })
      const found = JSON.parse(stdout).find(({ check }: { check: string }) => check === 'algorithm')
      assert.equal(found.result, 'ok')
      assert.match(found.detail, advice)
    }
    assert.deepEqual((await json(['migrate'])).applied, [])
  })

  it('print help, and explain wrong arguments', async () => {
    const helps = [
      [],
      ['serve'],
      ['actor-tokens'],
      ['actor-tokens', 'create'],
      ['users', 'import'],
      ['signing-keys'],
      ['token', 'verify'],
      ['doctor'],
    ]
    await Promise.all(
      helps.map(async args => {
        const { code, stdout } = await run([...args, '--help'])
        assert.equal(code, 0, args.join(' '))
        assert.match(stdout, /Usage: stagedoor/)
      }),
    )
    assert.match((await run(['serve', '--help'])).stdout, /STAGEDOOR_MASTER_KEY/)
    const wrongs = [
      ['nonsense'],
      ['actor-tokens', 'create'],
      ['actor-tokens', 'create', '--user', 'u'],
      ['actor-tokens', 'list', '--limit', 'x'],
      ['actor-tokens', 'create', '--user', 'u', '--actor-json', '{'],
    ]
    await Promise.all(
      wrongs.map(async args => {
        const { code, stderr } = await run(args)
        assert.equal(code, 2, args.join(' '))
        assert.ok(stderr.length > 0)
      }),
    )
    const refused = await run(['actor-tokens', 'show', 'act_none', '--json'])
    assert.equal(refused.code, 1)
    assert.equal(JSON.parse(refused.stderr).error.code, 'resource_not_found')
    const unreachable = await run(['sessions', 'list'], '', { STAGEDOOR_SERVER_URL: 'http://127.0.0.1:9' })
    assert.equal(unreachable.code, 1)
    assert.match(unreachable.stderr, /127\.0\.0\.1:9/)
    const keyless = await finished(
      spawn(process.execPath, [COMMAND, 'sessions', 'list'], { cwd: tmpdir(), env: environment() }),
    )
    assert.equal(keyless.code, 2)
    assert.match(keyless.stderr, /STAGEDOOR_SECRET_KEY is missing/)
  })

  it('and the README’s curl commands work unchanged', async () => {
    const [, script = ''] = /```sh\n([\s\S]*?)```/.exec(readFileSync(README, 'utf8')) ?? []
    assert.ok(script.includes('/v1/actor_tokens/accept'))
    const { secret_key } = await json(['keys', 'create', '--name', 'readme'])
    const shell = spawn('bash', ['-eu', '-o', 'pipefail'], {
      env: environment({ STAGEDOOR_SERVER_URL: url, STAGEDOOR_SECRET_KEY: secret_key }),
    })
    const { code, stdout, stderr } = await finished(shell, script)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /"act":\{"sub":"olivia@support"\}/)
    assert.match(stdout, /"status":"revoked"/)
    assert.match(stdout, /"action":"session.revoke"/)
    assert.match(stdout, /"reason":"Ticket 1234"/)
    assert.doesNotMatch(stdout, /"errors"/)
  })
})
