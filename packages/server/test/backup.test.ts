import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import BetterSqlite3 from 'better-sqlite3'
import { type Serving, serving } from './serving.ts'
import { times } from './support.ts'

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const OPERATING = fileURLToPath(new URL('../../../docs/operating.md', import.meta.url))

function folder(): Disposable & { path: string; file(name: string): string } {
  const path = mkdtempSync(join(tmpdir(), 'stagedoor-backup-'))
  return {
    path,
    file: name => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

/** Calls the Backend API. */
async function call(server: Serving, path: string, body?: object) {
  const response = await fetch(`${server.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${server.secretKey}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every kind
  return { status: response.status, body: (await response.json()) as any }
}

const newTicket = async (server: Serving, user_id: string) =>
  (await call(server, '/v1/actor_tokens', { user_id, actor: { sub: 'operator' } })).body as {
    id: string
    token: string
  }

const newSession = async (server: Serving, user_id: string) => {
  const { token } = await newTicket(server, user_id)
  return (await call(server, '/v1/actor_tokens/accept', { ticket: token })).body.session.id as string
}

const mint = async (server: Serving, id: string) => (await call(server, `/v1/sessions/${id}/tokens`, {})).status

describe('a backup', () => {
  it('taken under load is whole, and a server elsewhere goes on from it', async () => {
    using here = folder()
    await using server = await serving()
    const { id: user_id } = (await call(server, '/v1/users', {})).body
    const revoked = await newSession(server, user_id)
    const going = await newSession(server, user_id)
    assert.equal((await call(server, `/v1/sessions/${revoked}/revoke`, {})).status, 200)
    assert.equal(await mint(server, revoked), 401)

    const acknowledged: string[] = []
    let busy = true
    const load = Promise.all(
      Array.from({ length: 8 }, async () => {
        while (busy) acknowledged.push((await newTicket(server, user_id)).id)
      }),
    )
    while (acknowledged.length < 50) await new Promise(resolve => setTimeout(resolve, 10))
    const backups: { file: string; before: string[] }[] = []
    for (let i = 0; i < times(1, 20); i++) {
      const file = here.file(`backup-${i}.db`)
      const before = [...acknowledged]
      const { code, stdout, stderr } = await server.command('backup', file, '--json')
      assert.equal(code, 0, stderr)
      assert.deepEqual(JSON.parse(stdout), { file, bytes: statSync(file).size })
      assert.equal(statSync(file).mode & 0o777, 0o600)
      backups.push({ file, before })
    }
    const during = acknowledged.length
    busy = false
    await load
    assert.ok(during > (backups.at(-1)?.before.length ?? 0), 'the server went on meanwhile')
    assert.deepEqual(
      readdirSync(here.path).filter(file => !/^backup-\d+\.db$/.test(file)),
      [],
    )
    for (const { file, before } of backups) {
      const db = new BetterSqlite3(file, { readonly: true })
      assert.equal(db.pragma('integrity_check', { simple: true }), 'ok')
      const held = new Set(db.prepare('select id from tickets').pluck().all())
      assert.deepEqual(
        before.filter(id => !held.has(id)),
        [],
        'everything acknowledged before is in it',
      )
      // One moment: no ticket without its event, no event without its ticket.
      const events = db.prepare(`select ticket_id from audit_events where action = 'actor_token.create'`).pluck().all()
      assert.deepEqual(new Set(events), held)
      db.close()
    }

    const file = backups.at(-1)?.file ?? ''
    const taken = await server.command('backup', file)
    assert.equal(taken.code, 1)
    assert.match(taken.stderr, /EEXIST/)
    assert.ok(statSync(file).size > 0, 'and is as it was')
    assert.equal(await server.stopped('SIGTERM'), 0)

    using there = folder()
    copyFileSync(file, there.file('stagedoor.db'))
    chmodSync(there.file('stagedoor.db'), 0o600)
    const { STAGEDOOR_MASTER_KEY = '' } = server.env
    const env = { STAGEDOOR_MASTER_KEY, STAGEDOOR_SECRET_KEY: server.secretKey }
    await using restored = await serving({ directory: there.path, env })
    const doctor = await restored.command('doctor', '--json')
    assert.equal(doctor.code, 0, doctor.stdout)
    const findings = JSON.parse(doctor.stdout) as { check: string; result: string }[]
    for (const check of ['settings', 'secrets', 'file', 'database', 'keys'])
      assert.equal(findings.find(finding => finding.check === check)?.result, 'ok', `${check}: ${doctor.stdout}`)
    assert.equal(await mint(restored, revoked), 401, 'what was revoked stays revoked')
    assert.equal(await mint(restored, going), 200)
    const { token } = await newTicket(restored, user_id)
    assert.equal((await call(restored, '/v1/actor_tokens/accept', { ticket: token })).status, 200)

    // What happened since the backup has not happened. The documentation says how to end it.
    const shell = recipe()
    assert.match(shell, /sessions revoke/)
    assert.match(shell, /actor-tokens revoke/)
    let rounds = 0
    const open = async () => [
      ...(await call(restored, '/v1/sessions?status=active&limit=500')).body,
      ...(await call(restored, '/v1/actor_tokens?status=pending&limit=1')).body,
    ]
    await keepFewPending(restored, 2)
    for (; (await open()).length > 0; rounds++) {
      assert.ok(rounds < 3, 'they are revoked')
      await run(shell, restored, there.path)
    }
    assert.equal(rounds, 1)
    assert.equal(await mint(restored, going), 401)
  })

  it('is refused where there is nothing to copy', async () => {
    using here = folder()
    await using server = await serving()
    const { command, env } = server
    env.STAGEDOOR_DATABASE_URL = `sqlite:${here.file('nothing.db')}`
    const nothing = await command('backup', here.file('copy.db'))
    assert.equal(nothing.code, 1)
    assert.match(nothing.stderr, /unable to open database file/)
    assert.deepEqual(readdirSync(here.path), [], 'and leaves nothing')
    env.STAGEDOOR_DATABASE_URL = 'sqlite::memory:'
    const memory = await command('backup', here.file('copy.db'))
    assert.equal(memory.code, 2)
    assert.match(memory.stderr, /names no file/)
    writeFileSync(here.file('no.db'), 'this is no database, but it is long enough to be taken for one'.repeat(20))
    env.STAGEDOOR_DATABASE_URL = `sqlite:${here.file('no.db')}`
    assert.equal((await command('backup', here.file('copy.db'))).code, 1)
    assert.deepEqual(readdirSync(here.path), ['no.db'])
  })
})

/** The lines of docs/operating.md that end everything after a restore. */
function recipe(): string {
  const text = readFileSync(OPERATING, 'utf8')
  return /<!-- the tests run this -->\n```sh\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
}

/** The recipe starts a process for each pending token: a few are enough to see that it works. */
async function keepFewPending(server: Serving, few: number): Promise<void> {
  for (;;) {
    const pending = (await call(server, '/v1/actor_tokens?status=pending&limit=500')).body as { id: string }[]
    if (pending.length <= few) return
    await Promise.all(pending.slice(few).map(({ id }) => call(server, `/v1/actor_tokens/${id}/revoke`, {})))
  }
}

/** Runs lines of shell in which `stagedoor` is the command, as the server's operator. */
async function run(shell: string, server: Serving, directory: string): Promise<void> {
  const command = join(directory, 'stagedoor')
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}' "$@"\n`)
  chmodSync(command, 0o755)
  const child = spawn('sh', ['-e', '-c', shell], {
    env: { ...server.env, STAGEDOOR_SERVER_URL: server.url, PATH: `${directory}:${process.env.PATH}` },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', chunk => {
    stderr += chunk
  })
  assert.equal(await new Promise(resolve => child.once('close', resolve)), 0, stderr)
}
