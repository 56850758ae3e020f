import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import { times } from '../../../test/support/deep.ts'
import { type Serving, serving } from '../../../test/support/serving.ts'

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
  it('that is taken under load is complete, and another server can start from it', async () => {
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
    assert.ok(during > (backups.at(-1)?.before.length ?? 0), 'the server kept writing during the backup')
    assert.deepEqual(
      readdirSync(here.path).filter(file => !/^backup-\d+\.db$/.test(file)),
      [],
    )
    for (const { file, before } of backups) {
      const db = new BetterSqlite3(file, { readonly: true })
      assert.equal(db.pragma('integrity_check', { simple: true }), 'ok')
      const held = new Set(db.prepare('select id from actor_tokens').pluck().all())
      assert.deepEqual(
        before.filter(id => !held.has(id)),
        [],
        'the backup has every write acknowledged before it',
      )
      // The backup shows one point in time: each ticket has its event, and each event its ticket.
      const events = db
        .prepare(`select actor_token_id from audit_events where action = 'actor_token.create'`)
        .pluck()
        .all()
      assert.deepEqual(new Set(events), held)
      db.close()
    }

    const file = backups.at(-1)?.file ?? ''
    const taken = await server.command('backup', file)
    assert.equal(taken.code, 1)
    assert.match(taken.stderr, /already exists.*another name/)
    assert.ok(statSync(file).size > 0, 'the existing file is unchanged')
    assert.equal(await server.stopped('SIGTERM'), 0)

    // restore.test.ts covers what happens to a copy.
    const held = new BetterSqlite3(file, { readonly: true })
    const statusOf = (id: string) => held.prepare('select status from sessions where id = ?').pluck().get(id)
    assert.deepEqual([statusOf(revoked), statusOf(going)], ['revoked', 'active'])
    held.close()
  })

  it('is refused where there is no database to copy', async () => {
    using here = folder()
    await using server = await serving()
    const { command, env } = server
    env.STAGEDOOR_DATABASE_URL = `sqlite:${here.file('nothing.db')}`
    const nothing = await command('backup', here.file('copy.db'))
    assert.equal(nothing.code, 1)
    assert.match(nothing.stderr, /There is no database .*nothing\.db/)
    assert.deepEqual(readdirSync(here.path), [], 'no file is left behind')
    env.STAGEDOOR_DATABASE_URL = 'sqlite::memory:'
    const memory = await command('backup', here.file('copy.db'))
    assert.equal(memory.code, 2)
    assert.match(memory.stderr, /names no file/)
    writeFileSync(here.file('no.db'), 'this is no database, but it is long enough to be taken for one'.repeat(20))
    env.STAGEDOOR_DATABASE_URL = `sqlite:${here.file('no.db')}`
    assert.equal((await command('backup', here.file('copy.db'))).code, 1)
    assert.deepEqual(readdirSync(here.path), ['no.db'])
    env.STAGEDOOR_DATABASE_URL = `sqlite:${join(server.directory, 'stagedoor.db')}`
    const nowhere = await command('backup', here.file('missing/copy.db'))
    assert.equal(nowhere.code, 1)
    assert.match(nowhere.stderr, /There is no folder .*missing.*Create it first/)
    assert.doesNotMatch(nowhere.stderr, /ENOENT|EEXIST/)
  })
})
