import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import BetterSqlite3 from 'better-sqlite3'
import { COMMAND } from '../../../test/support/command.ts'
import { testDatabase } from '../../../test/support/database.ts'
import { times } from '../../../test/support/deep.ts'
import { type Serving, serving } from '../../../test/support/serving.ts'
import { backupSqlite } from '../src/store/sqlite/backup.ts'
import { Restore } from '../src/store/sqlite/restore.ts'
import { openStore } from '../src/store/store.ts'

const OPERATING = fileURLToPath(new URL('../../../docs/operating.md', import.meta.url))

interface Call {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every kind
  body: any
}

async function call(server: Serving, path: string, body?: object, key = server.secretKey): Promise<Call> {
  const response = await fetch(`${server.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return { status: response.status, body: await response.json() }
}

const newTicket = async (server: Serving, user_id: string) =>
  (await call(server, '/v1/actor_tokens', { user_id, actor: { sub: 'operator' } })).body as {
    id: string
    token: string
  }

const redeem = (server: Serving, ticket: string) => call(server, '/v1/actor_tokens/accept', { ticket })

const newSession = async (server: Serving, user_id: string) =>
  (await redeem(server, (await newTicket(server, user_id)).token)).body.session.id as string

const mint = async (server: Serving, id: string) => (await call(server, `/v1/sessions/${id}/tokens`, {})).status

/** Starts a server again on the files of a server that has stopped. */
const again = (server: Serving) => {
  const { STAGEDOOR_PORT, ...env } = server.env
  return serving({ directory: server.directory, env })
}

const file = (server: Serving, name = 'stagedoor.db') => join(server.directory, name)

async function refused(server: Serving, pattern: RegExp): Promise<void> {
  await assert.rejects(
    again(server).then(started => started[Symbol.asyncDispose]()),
    pattern,
  )
}

describe('stagedoor restore', () => {
  it('works as docs/operating.md describes: what was issued before the backup is revoked, and later revocations hold', async () => {
    await using server = await serving()
    const keyOf = async (name: string) => {
      const { stdout } = await server.command('keys', 'create', '--name', name, '--json')
      return JSON.parse(stdout) as { id: string; secret_key: string }
    }
    const newUser = async () => (await call(server, '/v1/users', {})).body.id as string
    const [user_id, banned, locked, deleted] = [await newUser(), await newUser(), await newUser(), await newUser()]
    const going = await newSession(server, user_id)
    const revoked = await newSession(server, user_id)
    const pending = await newTicket(server, user_id)
    const signIn = (await call(server, '/v1/sign_in_tokens', { user_id })).body.token as string
    const [kept, lost] = [await keyOf('kept'), await keyOf('lost')]
    const backup = file(server, 'monday.db')
    assert.equal((await server.command('backup', backup)).code, 0)

    // The server acknowledges all of this after the backup.
    assert.equal((await call(server, `/v1/sessions/${revoked}/revoke`, {})).status, 200)
    assert.equal((await server.command('keys', 'revoke', lost.id)).code, 0)
    assert.equal((await call(server, `/v1/users/${banned}/ban`, {})).status, 200)
    assert.equal((await call(server, `/v1/users/${locked}/lock`, {})).status, 200)
    const deletion = { method: 'DELETE', headers: { authorization: `Bearer ${server.secretKey}` } }
    assert.equal((await fetch(`${server.url}/v1/users/${deleted}`, deletion)).status, 200)
    const later = await newSession(server, user_id)

    const running = await server.command('restore', backup)
    assert.equal(running.code, 1, 'restore refuses while the server runs')
    assert.match(running.stderr, /a server on this machine is using it.*Stop that server first/)
    assert.equal(await mint(server, going), 200)

    const { shell, printed } = recipe(server, backup)
    const output = await run(shell, server)
    assert.match(output, /revoked +2 sessions, 2 pending tokens/)
    assert.match(output, /revoked again +1 secret keys, 0 signing keys/)
    assert.match(output, /users again +1 banned, 1 locked, 1 deleted/)
    assert.deepEqual(printed(), ['stop stagedoor', 'start stagedoor'])

    await using restored = await again(server)
    const asked = (path: string, body?: object) => call(restored, path, body, kept.secret_key)
    for (const id of [going, revoked]) assert.equal(await mint(restored, id), 401)
    assert.equal(await mint(restored, later), 404, 'a session begun after the backup does not exist')
    for (const ticket of [pending.token, signIn]) assert.notEqual((await redeem(restored, ticket)).status, 200)
    assert.equal((await call(restored, '/v1/users/count', undefined, lost.secret_key)).status, 401)
    const state = async (id: string) => (await asked(`/v1/users/${id}`)).body
    assert.equal((await state(banned)).banned, true)
    assert.equal((await state(locked)).locked, true)
    assert.equal((await asked(`/v1/users/${deleted}`)).status, 404)
    assert.equal((await asked('/v1/audit_events?action=session.revoke_all')).body[0].reason, 'restored from a backup')
    assert.equal(await mint(restored, await newSession(restored, user_id)), 200, 'the restored server works')
    const doctor = await restored.command('doctor', '--json')
    assert.equal(doctor.code, 0, doctor.stdout)

    const [replaced = ''] = readdirSync(server.directory).filter(name => /\.replaced-\d{8}T\d{6}Z$/.test(name))
    const old = new BetterSqlite3(file(server, replaced), { readonly: true })
    assert.equal(old.prepare('select status from sessions where id = ?').pluck().get(later), 'active')
    old.close()
    assert.ok(existsSync(file(server, `${replaced}-acknowledged`)))
    assert.equal(statSync(file(server)).mode & 0o777, 0o600)
    assert.deepEqual(
      readdirSync(server.directory).filter(name => name.includes('restoring')),
      [],
    )
  })

  it('works without an existing database, and reports what it could not compare', async () => {
    await using server = await serving()
    const { id: user_id } = (await call(server, '/v1/users', {})).body
    const session = await newSession(server, user_id)
    await server.command('backup', file(server, 'copy.db'))
    await server.stopped('SIGTERM')
    const elsewhere = mkdtempSync(join(tmpdir(), 'stagedoor-restore-'))
    try {
      server.env.STAGEDOOR_DATABASE_URL = `sqlite:${join(elsewhere, 'stagedoor.db')}`
      const { code, stdout, stderr } = await server.command('restore', file(server, 'copy.db'))
      assert.equal(code, 0, stderr)
      assert.match(stdout, /revoked +1 sessions/)
      assert.match(stderr, /no later database.*revoke and ban them again/)
      await using restored = await again(server)
      assert.equal(await mint(restored, session), 401)
    } finally {
      rmSync(elsewhere, { recursive: true })
    }
  })

  it('refuses a file that is no backup of this instance, and leaves everything unchanged', async () => {
    await using server = await serving()
    const { id: user_id } = (await call(server, '/v1/users', {})).body
    const session = await newSession(server, user_id)
    const backup = file(server, 'copy.db')
    await server.command('backup', backup)
    await server.stopped('SIGTERM')
    writeFileSync(file(server, 'text.db'), 'this is no database, but it is long enough to be taken for one'.repeat(20))
    new BetterSqlite3(file(server, 'other.db')).exec('create table t (x)').close()
    copyFileSync(backup, file(server, 'cut.db'))
    truncateSync(file(server, 'cut.db'), Math.floor(statSync(backup).size / 8_192) * 4_096)
    // SQLite's own files, which a reader leaves behind.
    const files = () => readdirSync(server.directory).filter(name => !/-(shm|wal)$/.test(name))
    const before = files()
    const wrong = [
      ['none.db', /There is no file/],
      ['text.db', /cannot be read: file is not a database/],
      ['other.db', /is not a database of Stagedoor/],
      ['cut.db', /malformed|damaged/],
    ] as const
    const answers = await Promise.all(wrong.map(([name]) => server.command('restore', file(server, name))))
    for (const [i, [name, pattern]] of wrong.entries()) {
      assert.equal(answers[i]?.code, 1, name)
      assert.match(answers[i]?.stderr ?? '', pattern)
    }
    const key = server.env.STAGEDOOR_MASTER_KEY ?? ''
    server.env.STAGEDOOR_MASTER_KEY = Buffer.alloc(32, 'another key than before').toString('base64')
    const wrongKey = await server.command('restore', backup)
    assert.notEqual(wrongKey.code, 0)
    assert.match(wrongKey.stderr, /STAGEDOOR_MASTER_KEY is not the key/)
    server.env.STAGEDOOR_MASTER_KEY = key
    assert.equal((await server.command('restore')).code, 2)
    assert.deepEqual(files().sort(), before.sort())
    await using same = await again(server)
    assert.equal(await mint(same, session), 200)
  })

  it('is the only way to start a copy of a database', async () => {
    await using server = await serving()
    const { id: user_id } = (await call(server, '/v1/users', {})).body
    await newSession(server, user_id)
    await server.command('backup', file(server, 'copy.db'))
    const copy = mkdtempSync(join(tmpdir(), 'stagedoor-copy-'))
    try {
      // Next to the running original, as a second instance with the same id.
      copyFileSync(file(server, 'copy.db'), join(copy, 'stagedoor.db'))
      const { STAGEDOOR_DATABASE_URL, STAGEDOOR_PORT, ...env } = server.env
      const second = () => serving({ directory: copy, env })
      await assert.rejects(second(), /-acknowledged is missing, so it is a copy.*stagedoor restore FILE/)
      server.env.STAGEDOOR_DATABASE_URL = `sqlite:${join(copy, 'stagedoor.db')}`
      const keys = await server.command('keys', 'list')
      assert.match(keys.stderr, /it is a copy/)
      const moved = await server.command(
        'migrate',
        '--from',
        server.env.STAGEDOOR_DATABASE_URL,
        '--to',
        'postgres://a@127.0.0.1:1/b',
      )
      assert.match(moved.stderr, /--from: .*it is a copy/)
    } finally {
      rmSync(copy, { recursive: true })
    }
    // In place of the original: the copy lacks writes that were acknowledged.
    server.env.STAGEDOOR_DATABASE_URL = `sqlite:${file(server)}`
    await call(server, '/v1/users', {})
    await server.stopped('SIGTERM')
    copyFileSync(file(server, 'copy.db'), file(server))
    await refused(server, /this is an older copy.*stagedoor restore FILE/)
    assert.equal((await server.command('restore', file(server, 'copy.db'))).code, 0)
    await using _restored = await again(server)
  })

  it('that is killed leaves the old database, or one that does not start until the restore is run again', async () => {
    await using server = await serving()
    const { id: user_id } = (await call(server, '/v1/users', {})).body
    const session = await newSession(server, user_id)
    const backup = file(server, 'copy.db')
    await server.command('backup', backup)
    const later = await newSession(server, user_id)
    await server.stopped('SIGTERM')
    const { STAGEDOOR_PORT, ...env } = server.env
    const took = await restored(server, backup)
    for (let round = 0; round < times(4, 60); round++) {
      const child = spawn(process.execPath, [COMMAND, 'restore', backup], { env, stdio: 'ignore' })
      const gone = new Promise(resolve => child.once('close', resolve))
      await new Promise(resolve => setTimeout(resolve, took * (0.5 + (round % 20) / 40)))
      child.kill('SIGKILL')
      await gone
      assert.ok(existsSync(file(server)), 'without this file, a server would start with an empty database')
    }
    const last = await server.command('restore', backup)
    assert.equal(last.code, 0, last.stderr)
    await using after = await again(server)
    assert.equal(await mint(after, session), 401)
    assert.equal(await mint(after, later), 404)
  })
})

describe('the name of a replaced database', () => {
  it('is another one if an interrupted restore of the same second has used it', async () => {
    using database = testDatabase()
    await (await openStore(`sqlite:${database.path}`)).close()
    const backup = `${database.path}.backup`
    backupSqlite(database.path, backup)
    const names: (string | undefined)[] = []
    for (let n = 0; n < 3; n++) {
      const restore = new Restore(database.path, backup)
      names.push(restore.takeOver('replaced-now'))
      restore.close()
    }
    assert.deepEqual(
      names,
      ['', '-2', '-3'].map(more => `${database.path}.replaced-now${more}`),
    )
    for (const name of names) assert.ok(existsSync(name ?? ''))
  })
})

describe('a second server on one SQLite file', () => {
  it('is refused on the same host, even after the first was killed and restarted; commands are not refused', async () => {
    await using first = await serving()
    await refused(first, /STAGEDOOR_DATABASE_URL: .*a server on this machine is using it.*Stop that server first/)
    const commands = [
      ['keys', 'create', '--name', 'second'],
      ['keys', 'list'],
      ['signing-keys', 'list'],
      ['doctor'],
      ['purge', '--dry-run'],
      ['migrate'],
      ['backup', file(first, 'copy.db')],
    ]
    const answers = await Promise.all(commands.map(args => first.command(...args)))
    for (const [i, { code, stderr, stdout }] of answers.entries())
      assert.equal(code, 0, `${commands[i]?.join(' ')}: ${stderr}${stdout}`)
    await first.stopped('SIGKILL')
    await using second = await again(first)
    await refused(second, /a server on this machine is using it/)
    assert.equal(await second.stopped('SIGTERM'), 0)
    await using _third = await again(first)
  })
})

/** Runs a restore to its end. @returns how long it took, in ms */
async function restored(server: Serving, backup: string): Promise<number> {
  const from = performance.now()
  assert.equal((await server.command('restore', backup)).code, 0)
  return performance.now() - from
}

/** Returns the commands of docs/operating.md for this server's files; `systemctl` is a script that records its arguments. */
function recipe(server: Serving, backup: string): { shell: string; printed(): string[] } {
  const text = readFileSync(OPERATING, 'utf8')
  const [, shell = ''] = /<!-- the tests run this: restore -->\n```sh\n([\s\S]*?)```/.exec(text) ?? []
  assert.match(shell, /^stagedoor restore /m)
  const log = file(server, 'systemctl.log')
  const scripts = {
    stagedoor: `exec '${process.execPath}' --disable-warning=ExperimentalWarning '${COMMAND}' "$@"`,
    systemctl: `echo "$@" >> '${log}'; if [ "$1" = stop ]; then kill ${server.process.pid}; while kill -0 ${server.process.pid} 2>/dev/null; do sleep 0.05; done; fi`,
  }
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(file(server, name), `#!/bin/sh\n${script}\n`)
    chmodSync(file(server, name), 0o755)
  }
  return {
    shell: shell.replace(/\/backups\/\S+/, backup),
    printed: () => readFileSync(log, 'utf8').trim().split('\n'),
  }
}

/** Runs lines of shell as the server's operator. @returns what they printed */
async function run(shell: string, server: Serving): Promise<string> {
  const child = spawn('sh', ['-e', '-c', shell], {
    env: { ...server.env, PATH: `${server.directory}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', chunk => {
      output += chunk
    })
  assert.equal(await new Promise(resolve => child.once('close', resolve)), 0, output)
  return output
}
