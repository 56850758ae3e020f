import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { COMMAND } from '../../../test/support/command.ts'
import { type TestDatabase, testDatabase } from '../../../test/support/database.ts'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { bareEnv } from '../../../test/support/processes.ts'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { moveDatabase } from '../src/maintenance.ts'
import { migrateDatabase } from '../src/server.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const GUIDE = fileURLToPath(new URL('../../../docs/guides/postgresql.md', import.meta.url))

let postgres: PostgresCluster
before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off' } })
})
after(() => postgres[Symbol.asyncDispose]())

const redeem = (server: TestServer, ticket: string) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket })
const mint = (server: TestServer, of: { session_id: string; cookie: string }) =>
  server.post(`/v1/client/sessions/${of.session_id}/tokens`, {}, { cookie: of.cookie })
const serve = (env: Record<string, string>) => testServer({ realTime: true, env })
const ignore = () => {}
const urlOf = ({ env }: TestDatabase) => env.STAGEDOOR_DATABASE_URL ?? ''
const newDatabase = () => testDatabase({ STAGEDOOR_ENVIRONMENT: 'development' })

/** Runs a command with only these settings. */
function command(args: string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>(resolve => {
    const options = { cwd: tmpdir(), env: { ...bareEnv, ...env } }
    const child = execFile(process.execPath, [COMMAND, ...args], options, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    )
  })
}

/** Returns the commands of the guide. */
function guided(name: 'serve' | 'migrate' | 'move' | 'back up' | 'restore'): string {
  const text = readFileSync(GUIDE, 'utf8')
  const [, shell = ''] =
    new RegExp(`<!-- the tests run this: ${name} -->\\n *\`\`\`sh\\n([\\s\\S]*?)\`\`\``).exec(text) ?? []
  assert.ok(shell !== '', name)
  return shell
}

/** Runs the guide's commands in the clone, with the addresses of this test in place of the guide's. */
function paste(shell: string, addresses: Record<string, string>, env: Record<string, string> = {}) {
  const text = Object.entries(addresses).reduce((all, [from, to]) => all.replaceAll(from, to), shell)
  assert.doesNotMatch(text, /…|db\.internal/)
  return spawn('bash', ['-e', '-c', text], {
    cwd: ROOT,
    env: { HOME: process.env.HOME, ...env, PATH: `${postgres.bin}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
}

/** Returns everything that it prints, until it ends or the text matches. */
async function output(child: ChildProcess, until?: RegExp): Promise<{ code: number | null; text: string }> {
  let text = ''
  return new Promise(resolve => {
    const read = (chunk: Buffer) => {
      text += chunk
      if (until?.test(text)) resolve({ code: null, text })
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('close', code => resolve({ code, text }))
  })
}

describe('moving from the embedded database', () => {
  it('copies everything: sessions continue, tickets are redeemed, revocations hold; the source is no longer used', async () => {
    using database = newDatabase()
    const url = await postgres.createDatabase()
    let alive = { session_id: '', cookie: '' }
    let dead = alive
    let pending = ''
    let events = 0
    {
      await using server = await serve(database.env)
      await Promise.all(
        Array.from({ length: 300 }, (_, i) => server.createUser({ email_address: [`u${i}@example.com`] })),
      )
      alive = await server.signIn({ actor: { sub: 'ü ', '10': 1, b: [null, 1.5] } })
      dead = await server.signIn()
      await server.call('POST', `/v1/sessions/${dead.session_id}/revoke`)
      pending = (await server.createActorToken()).token
      events = (await server.auditEvents({ limit: '1' }))[0]?.seq ?? 0
      await assert.rejects(moveDatabase(urlOf(database), url, ignore), /--from: .*a server on this machine is using it/)
      const users = await postgres.query('select id from users', [], new URL(url).pathname.slice(1))
      assert.deepEqual(users, [], 'nothing was copied')
    }
    const seen: string[] = []
    const rows = await moveDatabase(urlOf(database), url, ({ table }) => seen.push(table))
    assert.equal(rows.audit_events, events)
    assert.ok(seen.includes('users'))
    {
      await using server = await serve({ ...database.env, STAGEDOOR_DATABASE_URL: url })
      const { act } = claimsOf(expectOk(await mint(server, alive)).jwt) as { act: unknown }
      assert.deepEqual(act, { sub: 'ü ', '10': 1, b: [null, 1.5] })
      assert.equal((await mint(server, dead)).status, 401)
      const [newest] = await server.auditEvents({ limit: '1' })
      assert.ok((newest?.seq ?? 0) >= events)
    }

    // The source is retired: servers, commands, another move and a restore refuse it.
    await assert.rejects(serve(database.env), /was moved to postgres:\/\/stagedoor@127\.0\.0\.1.*--take-back/)
    const again = await postgres.createDatabase()
    await assert.rejects(moveDatabase(urlOf(database), again, ignore), /--from: .*was moved to/)
    const keys = await command(['keys', 'list'], database.env)
    assert.equal(keys.code, 2)
    assert.match(keys.stderr, /was moved to/)
    const copy = `${database.path}.copy`
    assert.equal((await command(['backup', copy], database.env)).code, 0)
    const restore = await command(['restore', copy], database.env)
    assert.equal(restore.code, 1)
    assert.match(restore.stderr, /was moved to/)

    // If the source is activated again, it accepts nothing that the target may accept too.
    const taken = await command(['migrate', '--take-back', '--from', urlOf(database)], database.env)
    assert.equal(taken.code, 0, taken.stderr)
    assert.match(taken.stdout, /revoked +1 sessions, 1 pending tokens/)
    await using source = await serve(database.env)
    assert.equal((await mint(source, alive)).status, 401)
    assert.deepEqual((await redeem(source, pending)).codes, ['actor_token_revoked_code'])
    await using target = await serve({ ...database.env, STAGEDOOR_DATABASE_URL: url })
    assert.equal((await redeem(target, pending)).status, 200)
  })

  it('that fails leaves the source unchanged', async () => {
    using database = newDatabase()
    const [url, other] = [await postgres.createDatabase(), newDatabase()]
    using _other = other
    await (await serve(other.env))[Symbol.asyncDispose]()
    await moveDatabase(urlOf(other), url, ignore)
    {
      await using server = await serve(database.env)
      await server.signIn()
    }
    await assert.rejects(moveDatabase(urlOf(database), url, ignore), /not empty/)
    await using server = await serve(database.env)
    await server.signIn()
  })

  it('names the wrong option and explains it on the command line', async () => {
    await assert.rejects(moveDatabase('postgres://a/b', 'sqlite:x', ignore), /--from must be `sqlite:`/)
    using database = newDatabase()
    await (await serve(database.env))[Symbol.asyncDispose]()
    const from = urlOf(database)
    const unreachable = 'postgres://stagedoor:secret@127.0.0.1:9/none'
    const wrong = [
      [['--from', from], /Give both --from and --to/],
      [['--from', from, '--to', 'mysql://a/b'], /--to: must be/],
      [['--from', from, '--to', 'sqlite:x.db'], /--to/],
      [['--from', from, '--to', unreachable], /--to: .*127\.0\.0\.1:9\/none cannot be opened: .*ECONNREFUSED/],
      [['--from', from, '--to', postgres.url('nothing')], /--to: .*"nothing" does not exist/],
      [['--from', 'sqlite:/none/none.db', '--to', unreachable], /--from: there is no database/],
    ] as const
    const answers = await Promise.all(wrong.map(([args]) => command(['migrate', ...args])))
    for (const [i, [args, pattern]] of wrong.entries()) {
      const { code, stderr } = answers[i] ?? { code: 0, stderr: '' }
      assert.equal(code, 2, args.join(' '))
      assert.match(stderr, pattern)
      assert.doesNotMatch(stderr, /STAGEDOOR_DATABASE_URL|secret@/)
    }
    assert.match((await command(['migrate', '--help'])).stdout, /--from <url>.*--to <url>.*--take-back/s)
  })
})

describe('the commands of docs/guides/postgresql.md', () => {
  it('work in a clone: migrate, move and serve', async () => {
    using database = newDatabase()
    await (await serve(database.env))[Symbol.asyncDispose]()
    const { STAGEDOOR_DATABASE_URL, STAGEDOOR_ENVIRONMENT, ...settings } = database.env
    const url = await postgres.createDatabase()
    const addresses = {
      'postgres://stagedoor_owner:…@db.internal/stagedoor': url,
      'postgres://stagedoor:…@db.internal:5432/stagedoor?sslmode=verify-full': url,
      'STAGEDOOR_MASTER_KEY=…': '',
      'sqlite:./stagedoor.db': urlOf(database),
    }
    for (const name of ['migrate', 'move'] as const) {
      const { code, text } = await output(paste(guided(name), addresses, settings))
      assert.equal(code, 0, text)
    }
    const child = paste(guided('serve'), addresses, { ...settings, STAGEDOOR_PORT: '0' })
    try {
      const { text } = await output(child, /"serving"/)
      assert.match(text, /"serving"/)
    } finally {
      // Everything that the shell has started.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }
  })
})

describe('backup and restore on PostgreSQL', () => {
  it('works as the guide describes, run by the owner; tokens issued before are revoked', async t => {
    if (!existsSync(join(postgres.bin, 'pg_dump'))) return t.skip('pg_dump is not installed')
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-dump-'))
    const names = { owner: 'dump_owner', serving: 'dump_serving' }
    try {
      for (const role of Object.values(names)) await postgres.query(`create role ${role} login`)
      await postgres.query("create database dumped owner dump_owner encoding 'UTF8' template template0")
      const at = (role: string, database = 'dumped') => postgres.url(database).replace('stagedoor@', `${role}@`)
      await migrateDatabase(at(names.owner))
      const [, granting = ''] = [...readFileSync(GUIDE, 'utf8').matchAll(/```sql\n(.*?)```/gs)].map(it => it[1] ?? '')
      const grant = granting.replaceAll('to stagedoor;', `to ${names.serving};`)
      await postgres.query(grant, [], 'dumped')
      using database = newDatabase()
      const env = { ...database.env, STAGEDOOR_DATABASE_URL: at(names.serving) }
      let alive = { session_id: '', cookie: '' }
      let pending = ''
      {
        await using server = await serve(env)
        alive = await server.signIn()
        pending = (await server.createActorToken()).token
      }
      const dump = join(folder, 'copy.dump')
      const addresses = (role: string) => ({
        'postgres://stagedoor_owner:…@db.internal/stagedoor_restored': at(role, 'restored'),
        'postgres://stagedoor_owner:…@db.internal/stagedoor': at(role),
        '/backups/stagedoor.dump': dump,
      })
      // pg_dump also reads sequences, which the serving role may not read.
      const asServing = await output(paste(guided('back up'), addresses(names.serving)))
      assert.notEqual(asServing.code, 0)
      assert.match(asServing.text, /permission denied for sequence audit_events_seq_seq/)
      rmSync(dump, { force: true })
      const backup = await output(paste(guided('back up'), addresses(names.owner)))
      assert.equal(backup.code, 0, backup.text)

      await postgres.query("create database restored owner dump_owner encoding 'UTF8' template template0")
      const { STAGEDOOR_DATABASE_URL, ...settings } = database.env
      const restore = await output(paste(guided('restore'), addresses(names.owner), settings))
      assert.equal(restore.code, 0, restore.text)
      assert.match(restore.text, /revoked +1 sessions, 1 pending tokens/)
      await postgres.query(grant, [], 'restored')
      await using server = await serve({ ...env, STAGEDOOR_DATABASE_URL: at(names.serving, 'restored') })
      assert.equal((await mint(server, alive)).status, 401)
      assert.deepEqual((await redeem(server, pending)).codes, ['actor_token_revoked_code'])
      expectOk(await mint(server, await server.signIn()))
      for (const text of ['delete from audit_events', "update audit_events set action = 'x'"])
        await assert.rejects(postgres.query(text, [], 'restored'), /never (changed|deleted)/, 'the triggers exist')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
