import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { Stagedoor } from '@stagedoor/sdk'

/** What a person sees at the command line who does not know the commands by heart. */

import { COMMAND } from '../../../test/support/command.ts'
import { bareEnv } from '../../../test/support/processes.ts'

const CLI = fileURLToPath(new URL('../src/cli/', import.meta.url))

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

const folder = mkdtempSync(join(tmpdir(), 'stagedoor-cli-usage-'))
let dev: ChildProcess
let url = ''
let output = ''
/** Occupies port 4100, unless another process does already, so that `dev` moves to the next port. */
const taken = createServer()

function start(args: string[], env: Record<string, string> = {}, cwd = folder): ChildProcess {
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', COMMAND, ...args], {
    cwd,
    env: { ...bareEnv, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function run(args: string[], env: Record<string, string> = {}, cwd = folder): Promise<Result> {
  const child = start(args, env, cwd)
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.on('data', chunk => {
      text[name] += chunk
    })
  return new Promise(resolve => child.once('close', code => resolve({ code, ...text })))
}

/** Runs a command that must succeed. */
async function ok(args: string[], env: Record<string, string> = {}): Promise<Result> {
  const result = await run(args, env)
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`)
  return result
}

const json = async (args: string[], env: Record<string, string> = {}) =>
  JSON.parse((await ok([...args, '--json'], env)).stdout)

/** A client for requests that need no command line. */
function client(): Stagedoor {
  const env = parseEnv(readFileSync(join(folder, '.stagedoor/dev.env'), 'utf8'))
  return new Stagedoor({ serverURL: url, secretKey: env.STAGEDOOR_SECRET_KEY ?? '' })
}

async function devServer(...args: string[]): Promise<void> {
  dev = start(['dev', ...args])
  output = ''
  const up = Promise.withResolvers<void>()
  for (const stream of [dev.stdout, dev.stderr])
    stream?.on('data', chunk => {
      output += chunk
      if (/Serving\./.test(output)) up.resolve()
    })
  dev.once('close', () => up.reject(new Error(output)))
  await up.promise
  url = /up: (\S+)/.exec(output)?.[1] ?? ''
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  const gone = new Promise(resolve => dev.once('close', resolve))
  dev.kill(signal)
  await gone
}

before(async () => {
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  await devServer('--port', String(port))
})
after(async () => {
  if (dev.exitCode === null && dev.signalCode === null) await stop('SIGKILL')
  taken.close()
  rmSync(folder, { recursive: true, force: true })
})

describe('commands and the development server of their folder', () => {
  it('find each other on another port, even after the server was killed', async () => {
    assert.notEqual(new URL(url).port, String((taken.address() as { port: number }).port))
    const [users, doctor, second] = await Promise.all([
      json(['users', 'list']),
      json(['doctor']),
      run(['dev', '--port', new URL(url).port]),
    ])
    assert.equal(users.length, 2)
    const found = doctor.find(({ check }: { check: string }) => check === 'server')
    assert.deepEqual([found.result, found.detail], ['ok', `${url} is ready`])
    assert.equal(second.code, 2)
    assert.match(second.stderr, new RegExp(`is already running at ${url} \\(process ${dev.pid}\\)`))
    // The two lines that `dev` prints are exported.
    const { STAGEDOOR_SECRET_KEY = '' } = parseEnv(readFileSync(join(folder, '.stagedoor/dev.env'), 'utf8'))
    const exported = await json(['doctor'], { STAGEDOOR_SERVER_URL: url, STAGEDOOR_SECRET_KEY })
    const results = (all: { result: string }[]) => all.map(({ result }) => result)
    assert.deepEqual(results(exported), results(doctor))
    // The environment takes precedence.
    const elsewhere = await run(['users', 'list'], { STAGEDOOR_SERVER_URL: 'http://127.0.0.1:65529' })
    assert.match(elsewhere.stderr, /Nothing answers at http:\/\/127\.0\.0\.1:65529 \(ECONNREFUSED\)/)

    await stop('SIGKILL')
    assert.ok(existsSync(join(folder, '.stagedoor/server.json')), 'a killed server leaves its file behind')
    assert.match(output, /The main job, once/)
    await devServer('--port', '0')
    assert.equal((await json(['users', 'list'])).length, 2)
    assert.doesNotMatch(output, /The main job, once/)
    assert.match(output, /shown here before\. `--demo` shows it again/)
    await stop('SIGTERM')
    assert.ok(!existsSync(join(folder, '.stagedoor/server.json')))
    await devServer('--port', '0', '--demo')
    assert.match(output, /The main job, once/)
  })
})

describe('lists', () => {
  const names = ['Ada', 'Bob', 'Cyd']
  const user = (name: string) => `${name.toLowerCase()}@usage.example`
  before(async () => {
    const ada = await Promise.all(
      names.map(name => client().users.create({ externalId: `usage-${name}`, emailAddress: [user(name)] })),
    )
    for (let i = 0; i < 12; i++)
      await client().actorTokens.create({ userId: ada[0]?.id ?? '', actor: { sub: 'pager' } })
  })

  it('show that there is more and how to get it, and can return everything', async () => {
    const page = await ok(['actor-tokens', 'list', '--actor', 'pager'])
    assert.equal(page.stdout.trim().split('\n').length, 11)
    assert.match(page.stderr, /10 of 12 so far\. Next page: --offset 10\..*--all/)
    const rest = await ok(['actor-tokens', 'list', '--actor', 'pager', '--offset', '10'])
    assert.equal(rest.stdout.trim().split('\n').length, 3)
    assert.equal(rest.stderr, '')
    const all = await ok(['actor-tokens', 'list', '--actor', 'pager', '--all'])
    assert.equal(all.stdout.trim().split('\n').length, 13)
    assert.equal(all.stderr, '')
    assert.equal((await json(['actor-tokens', 'list', '--actor', 'pager', '--all'])).length, 12)
    for (const args of [
      ['audit', 'list'],
      ['users', 'list', '--limit', '2'],
    ])
      assert.match((await ok(args)).stderr, /of \d+ so far/)
  })

  it('accept times, find people by what you know about them, and show keys by name', async () => {
    const count = async (args: string[]) => (await json(args)).length
    const tokens = ['actor-tokens', 'list', '--actor', 'pager', '--all']
    const [recent, old, none, byMail, byId, events] = await Promise.all([
      count([...tokens, '--since', '1h']),
      count([...tokens, '--until', '2020-01-31']),
      count([...tokens, '--since', '2099-01-01T00:00:00Z']),
      count([...tokens, '--user', user('Ada')]),
      count([...tokens, '--user', 'usage-Bob']),
      ok(['audit', 'list', '--since', '1h', '--action', 'actor_token.create', '--user', 'usage-Ada', '--limit', '3']),
    ])
    assert.deepEqual([recent, old, none, byMail, byId], [12, 0, 0, 12, 0])
    assert.match(events.stderr, /There are more rows\. Next page: --offset 3\. Every row: --all/)
    assert.match(events.stdout, /from STAGEDOOR_SECRET_KEY/, 'the event shows the name of the key')
    assert.doesNotMatch(events.stdout, /key_\w+/)
    const wrong = await Promise.all(
      [
        [...tokens, '--since', 'yesterday'],
        [...tokens, '--user', 'nobody@usage.example'],
        ['actor-tokens', 'create', '--user', 'usage-Ada', '--actor', 'x', '--expires-in', '10 minutes'],
      ].map(args => run(args)),
    )
    for (const [i, pattern] of [/not a date like/, /No user has the id/, /not a duration.*10m/].entries()) {
      assert.equal(wrong[i]?.code, 2)
      assert.match(wrong[i]?.stderr ?? '', pattern)
    }
    const times = ['--expires-in', '1h30m', '--session-max-duration', '5m']
    const { id } = await json(['actor-tokens', 'create', '--user', 'usage-Ada', '--actor', 'x', ...times])
    const token = await json(['actor-tokens', 'show', id])
    assert.equal(Math.round((token.expiresAt - token.createdAt) / 1_000), 5_400)
  })

  it('follow new entries', async () => {
    const following = start(['audit', 'list', '--follow', '--json', '--actor', 'followed'])
    let lines = ''
    following.stdout?.on('data', chunk => {
      lines += chunk
    })
    await new Promise(resolve => setTimeout(resolve, 1_500))
    const { data } = await client().users.list({ externalId: ['usage-Bob'] })
    for (let i = 0; i < 2; i++)
      await client().actorTokens.create({ userId: data[0]?.id ?? '', actor: { sub: 'followed' } })
    for (let tries = 0; lines.split('\n').length < 3 && tries < 100; tries++)
      await new Promise(resolve => setTimeout(resolve, 100))
    following.kill()
    const events = lines
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    assert.deepEqual(
      events.map(({ action }) => action),
      ['actor_token.create', 'actor_token.create'],
    )
    assert.ok(events[0].seq < events[1].seq)
  })
})

describe('a mistake', () => {
  it('is explained, with what to do about it', async () => {
    const https = url.replace('http:', 'https:')
    const wrong: [string[], Record<string, string>, number, RegExp][] = [
      [
        ['users', 'list'],
        { STAGEDOOR_SERVER_URL: https },
        1,
        new RegExp(`does not speak TLS. Set STAGEDOOR_SERVER_URL=${url}`),
      ],
      [['users', 'list'], { STAGEDOOR_SERVER_URL: 'nowhere' }, 1, /STAGEDOOR_SERVER_URL is not a valid server URL/],
      [
        ['users', 'list'],
        { STAGEDOOR_SECRET_KEY: `sk_test_${'0123456789abcdef'.repeat(3)}`, STAGEDOOR_SERVER_URL: url },
        1,
        /does not know this secret key/,
      ],
      [['serve'], { STAGEDOOR_PORT: 'abc' }, 2, /STAGEDOOR_PORT: must be a whole number from 0 to 65535\./],
      [
        ['serve'],
        { STAGEDOOR_MAX_CONNECTIONS: '1e4' },
        2,
        /STAGEDOOR_MAX_CONNECTIONS: must be a whole number from 10 to 1000000\./,
      ],
      [['dev', '--port', '70000'], {}, 2, /--port: “70000”/],
      [['actor-tokens', 'revoke', 'act_none'], {}, 1, /not found/i],
      [['sessions', 'revoke', '--everything'], {}, 2, /every user.*--yes/],
    ]
    const answers = await Promise.all(wrong.map(([args, env]) => run(args, env)))
    for (const [i, [args, , code, pattern]] of wrong.entries()) {
      assert.equal(answers[i]?.code, code, `${args.join(' ')}: ${answers[i]?.stderr}`)
      assert.match(answers[i]?.stderr ?? '', pattern)
      assert.doesNotMatch(answers[i]?.stderr ?? '', /serverURL|npx|Clerk|NaN|expected number/, args.join(' '))
    }
    const meant = await ok(['sessions', 'revoke', '--everything', '--yes', '--json'])
    assert.equal(JSON.parse(meant.stdout).everything, true)
  })

  it('is noticed if npm took the options for itself', async () => {
    const npm = { npm_lifecycle_event: 'stagedoor' }
    const [lost, purge, kept, other] = await Promise.all([
      run(['users', 'list'], { ...npm, npm_config_json: 'true' }),
      run(['purge'], { ...npm, npm_config_dry_run: 'true' }),
      run(['users', 'list', '--json'], { ...npm, npm_config_json: 'true', npm_config_yes: '' }),
      run(['users', 'list'], { ...npm, npm_config_user_agent: 'npm/11', npm_config_reason: 'true' }),
    ])
    assert.equal(lost.code, 2)
    assert.match(lost.stderr, /npm consumed --json.*npm run stagedoor -- users list --json/)
    assert.equal(purge.code, 2)
    assert.match(purge.stderr, /Nothing was done.*npm run stagedoor -- purge --dry-run/)
    assert.deepEqual([kept.code, other.code], [0, 0])
  })

  it('is listed once by doctor, under its heading', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'stagedoor-doctor-'))
    const key = randomBytes(32).toString('base64')
    const devKey =
      /^STAGEDOOR_MASTER_KEY=(\S+)$/m.exec(readFileSync(join(folder, '.stagedoor/dev.env'), 'utf8'))?.[1] ?? ''
    const addresses = { STAGEDOOR_PUBLIC_URL: 'https://a.example', STAGEDOOR_SIGN_IN_URL: 'https://b.example/in' }
    const database = {
      STAGEDOOR_DATABASE_URL: `sqlite:${join(folder, '.stagedoor/dev.db')}`,
      STAGEDOOR_ENVIRONMENT: 'development',
    }
    const closed = 'postgres://a:secret@127.0.0.1:9/b'
    const cases: [Record<string, string>, [check: string, result: string, pattern: RegExp][]][] = [
      [
        { ...addresses, STAGEDOOR_DATABASE_URL: closed, STAGEDOOR_MASTER_KEY: key },
        [['database', 'fail', /127\.0\.0\.1:9\/b cannot be opened.*ECONNREFUSED/]],
      ],
      [{ ...database, STAGEDOOR_MASTER_KEY: key }, [['secrets', 'fail', /STAGEDOOR_MASTER_KEY is not the key/]]],
      [
        { STAGEDOOR_DATABASE_URL: `sqlite:${join(empty, 'none.db')}` },
        [
          ['settings', 'fail', /STAGEDOOR_PUBLIC_URL is missing.*STAGEDOOR_SIGN_IN_URL is missing/],
          ['secrets', 'fail', /^STAGEDOOR_MASTER_KEY is missing/],
        ],
      ],
      [
        { ...database, STAGEDOOR_MASTER_KEY: devKey, STAGEDOOR_SERVER_URL: url.replace('http:', 'https:') },
        [['server', 'warn', /does not speak TLS: set STAGEDOOR_SERVER_URL=http:/]],
      ],
    ]
    const answers = await Promise.all(
      cases.map(([env]) =>
        run(['doctor', '--json'], { STAGEDOOR_SERVER_URL: url, STAGEDOOR_SIGN_IN_TOKENS: 'off', ...env }, empty),
      ),
    )
    for (const [i, [, expected]] of cases.entries()) {
      const findings = JSON.parse(answers[i]?.stdout ?? '[]') as { check: string; result: string; detail: string }[]
      const wrong = findings.filter(({ result }) => result !== 'ok')
      assert.deepEqual(
        wrong.map(({ check, result }) => [check, result]),
        expected.map(([check, result]) => [check, result]),
        JSON.stringify(findings),
      )
      for (const [j, [, , pattern]] of expected.entries()) assert.match(wrong[j]?.detail ?? '', pattern)
      assert.doesNotMatch(answers[i]?.stdout ?? '', /secret@/)
    }
    const missing = await run(
      ['doctor'],
      { ...addresses, STAGEDOOR_MASTER_KEY: key, STAGEDOOR_DATABASE_URL: `sqlite:${join(empty, 'none.db')}` },
      empty,
    )
    assert.match(missing.stdout, /! sign-in +Sign-in tokens are on.*Set STAGEDOOR_SIGN_IN_TOKENS=off/)
    assert.match(missing.stdout, /! database +There is no database .*none\.db yet/)
    assert.ok(!existsSync(join(empty, 'none.db')), 'doctor creates no file')
    rmSync(empty, { recursive: true })
  })

  it('is reported by doctor if it is a key in production that may do everything', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'stagedoor-rights-'))
    const env = {
      STAGEDOOR_PUBLIC_URL: 'https://a.example',
      STAGEDOOR_SIGN_IN_URL: 'https://b.example/in',
      STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
      STAGEDOOR_DATABASE_URL: `sqlite:${join(empty, 'stagedoor.db')}`,
      STAGEDOOR_SIGNING_ALG: 'EdDSA',
    }
    const rights = async () => {
      const findings = JSON.parse((await run(['doctor', '--json'], env, empty)).stdout)
      return findings.find(({ check }: { check: string }) => check === 'rights')
    }
    assert.equal((await run(['keys', 'create', '--name', 'tool', '--may', 'act'], env, empty)).code, 0)
    assert.deepEqual([(await rights()).result, (await rights()).detail.slice(0, 13)], ['ok', '0 secret keys'])
    assert.equal((await run(['keys', 'create', '--name', 'backend'], env, empty)).code, 0)
    const found = await rights()
    assert.equal(found.result, 'warn')
    assert.match(found.detail, /^1 secret key has every right\. .*stagedoor keys create --may/)
    const all = JSON.parse((await run(['doctor', '--json'], env, empty)).stdout)
    const policy = all.find(({ check }: { check: string }) => check === 'policy')
    assert.equal(policy.result, 'warn')
    assert.match(policy.detail, /^The default policy is in force: .*stagedoor policy apply/)
    rmSync(empty, { recursive: true })
  })

  it('is never explained with npx or an option of the SDK', () => {
    for (const file of globSync('*.ts', { cwd: CLI })) {
      const texts = readFileSync(join(CLI, file), 'utf8').replace(/^ *(\/?\*|\/\/).*$/gm, '')
      for (const [text] of texts.matchAll(/'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g))
        assert.doesNotMatch(text.replace(/\$\{[^}]*\}/g, ''), /npx |serverURL/, file)
    }
  })
})
