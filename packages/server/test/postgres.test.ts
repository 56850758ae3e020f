import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect as connectTo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { RawNode } from 'kysely'
import { fixedClock } from '../../../test/support/clock.ts'
import { COMMAND } from '../../../test/support/command.ts'
import { testDatabase } from '../../../test/support/database.ts'
import { times } from '../../../test/support/deep.ts'
import { claimsOf } from '../../../test/support/jwt.ts'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { bareEnv } from '../../../test/support/processes.ts'
import { expectOk, type TestServer, testServer } from '../../../test/support/server.ts'
import { promised, until } from '../../../test/support/time.ts'
import { loadConfig } from '../src/config.ts'
import { storedLog } from '../src/domain/audit/stored-log.ts'
import { verifyLog } from '../src/domain/audit/verify.ts'
import { applyCutoffs } from '../src/domain/revocations.ts'
import { acceptAuditLoss } from '../src/maintenance.ts'
import { migrateDatabase } from '../src/server.ts'
import { findForDecision } from '../src/store/actor-tokens.ts'
import { migrations } from '../src/store/migrations/index.ts'
import { GRANTS } from '../src/store/postgres/grants.ts'
import { Postgres } from '../src/store/postgres/postgres.ts'
import { param, prepared, sqlFor } from '../src/store/query.ts'
import { findForMint } from '../src/store/sessions.ts'

let postgres: PostgresCluster
before(async () => {
  postgres = await startPostgres({ settings: { log_statement: 'all', deadlock_timeout: '100ms' } })
})
after(() => postgres[Symbol.asyncDispose]())

const on = async (url: string, env: Record<string, string> = {}) =>
  testServer({
    realTime: true,
    env: { STAGEDOOR_SIGNING_ALG: 'EdDSA', STAGEDOOR_DATABASE_URL: url, ...env },
  })
const redeem = (server: TestServer, ticket: string) =>
  server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket })
const mint = (server: TestServer, of: { session_id: string; cookie: string }) =>
  server.post(`/v1/client/sessions/${of.session_id}/tokens`, {}, { cookie: of.cookie })
const databaseOf = (url: string) => new URL(url).pathname.slice(1)

/** Returns what the database server logs while `act` runs. */
async function logOf(act: () => Promise<unknown>): Promise<string> {
  const mark = async () => {
    const marker = `select '${randomBytes(8).toString('hex')}'`
    await postgres.query(marker)
    while (!postgres.log().includes(marker)) await wait(10)
    return marker
  }
  const from = await mark()
  await act()
  const to = await mark()
  return postgres.log().split(from)[1]?.split(to)[0] ?? ''
}

/** Matches the periodic queries for due work, which run independently of requests. */
const ONCE_A_SECOND =
  /as time|"old"|"overdue"|case when "expire_at"|from "cutoffs"|= used\.|"refused_requests"|"status" = 'active' and "actor_sub" is not null|audit_tree|audit_keys|audit_checkpoints|"leaf_hash" from/

describe('a transition', () => {
  it('is one statement: create, redeem and revoke', async () => {
    const url = await postgres.createDatabase()
    await using server = await on(url)
    const user_id = (await server.createUser()).id
    const statements = async (act: () => Promise<unknown>) => {
      const logged = await logOf(act)
      // The periodic queries are not part of the transition.
      return logged
        .split('\n')
        .filter(line => / (execute|statement)[ :]/.test(line) && / "/.test(line) && !ONCE_A_SECOND.test(line))
        .map(line => /(select|insert|update|with)\b.*?"(\w+)"/.exec(line)?.slice(1, 3).join(' '))
    }
    assert.deepEqual(await statements(() => server.createActorToken({ user_id })), [
      'select secret_keys',
      // What the policy decides on.
      'select instance',
      'with step_0',
    ])
    const tokens = await Promise.all([server.createActorToken({ user_id }), server.createActorToken({ user_id })])
    const revoked = await statements(() => server.call('POST', `/v1/actor_tokens/${tokens.shift()?.id}/revoke`))
    assert.deepEqual(revoked, ['select secret_keys', 'select actor_tokens', 'with step_0'])
    const tickets = await Promise.all([server.createActorToken({ user_id }), server.createActorToken({ user_id })])
    const redeemed = await statements(() => redeem(server, tickets.shift()?.token ?? ''))
    // The policy decides on what was read when the token was created.
    assert.deepEqual(redeemed, ['select actor_tokens', 'with step_0', 'select users'])
    const session = await server.signIn({ user_id })
    assert.deepEqual(await statements(() => mint(server, session)), ['select sessions'])
  })

  it('D20 is retried after a serialization failure or a deadlock, and never done in part', async () => {
    const url = await postgres.createDatabase()
    await using server = await on(url)
    const user_id = (await server.createUser()).id
    const sql = (text: string) => postgres.query(text, [], databaseOf(url))
    await sql('create sequence attempts')
    for (const [failures, code] of [
      [2, '40001'],
      [2, '40P01'],
      [99, '40001'],
    ] as const) {
      await sql(`alter sequence attempts restart`)
      await sql(`create or replace function fail() returns trigger language plpgsql as $$ begin
        if nextval('attempts') <= ${failures} then raise exception 'made up' using errcode = '${code}'; end if;
        return new; end $$`)
      await sql('create or replace trigger fail before insert on audit_events for each row execute function fail()')
      const before = await sql('select count(*) from actor_tokens')
      const answer = await server.call('POST', '/v1/actor_tokens', { user_id, actor: { sub: 'x' } })
      await sql('drop trigger fail on audit_events')
      const made = Number((await sql('select count(*) from actor_tokens'))[0].count) - Number(before[0].count)
      assert.deepEqual([answer.status, made], failures < 4 ? [200, 1] : [503, 0], `${failures} × ${code}`)
    }
  })

  it('S5 a redemption that took its snapshot before a cutoff is revoked by it, and marked once it commits', async () => {
    const url = await postgres.createDatabase()
    const clock = fixedClock()
    await using server = await testServer({
      clock,
      env: { STAGEDOOR_SIGNING_ALG: 'EdDSA', STAGEDOOR_DATABASE_URL: url },
    })
    const before = await server.signIn()
    const token = await server.createActorToken()
    clock.advance(1)
    const holder = await postgres.connect(databaseOf(url))
    await holder.query('begin')
    await holder.query('select from clients where id = $1 for update', [before.client_id])
    const redeeming = server.post(
      '/v1/client/sign_ins',
      { strategy: 'ticket', ticket: token.token },
      { cookie: before.cookie },
    )
    // The redemption has passed its checks and waits for the row of its client.
    while ((await postgres.query("select from pg_stat_activity where wait_event_type = 'Lock'")).length === 0)
      await wait(5)
    const revoked = expectOk(await server.call('POST', '/v1/sessions/revoke_all', { everything: true }))
    assert.deepEqual([revoked.complete, revoked.revoked_tokens, revoked.revoked_sessions], [true, 0, 1])
    await holder.query('commit')
    await holder.end()
    const redeemed = expectOk(await redeeming)
    const session_id = redeemed.response.created_session_id
    assert.equal((await server.call('POST', `/v1/sessions/${session_id}/tokens`)).status, 401)
    assert.equal(expectOk(await server.call('GET', `/v1/sessions/${session_id}`)).status, 'revoked')
    const markRows = () => applyCutoffs(server.stagedoor.context({ type: 'system', id: null }))
    while (await markRows());
    assert.equal((await server.auditEvents({ action: 'session.revoke', session_id })).length, 1)
    clock.advance(60)
    while (await markRows());
    assert.deepEqual(await server.stagedoor.services.store.revocations.cutoffs({ unapplied: true }), [])
  })

  it('D19 waits for a row that another transaction holds, up to a timeout', async () => {
    const url = await postgres.createDatabase()
    await using server = await on(url)
    const token = await server.createActorToken()
    const holder = await postgres.connect(databaseOf(url))
    await holder.query('begin')
    await holder.query('select from actor_tokens where id = $1 for update', [token.id])
    const asked = performance.now()
    const answer = await redeem(server, token.token)
    assert.deepEqual(
      [answer.status, answer.codes, answer.headers.get('retry-after')],
      [503, ['service_unavailable'], '1'],
    )
    assert.ok(performance.now() - asked < promised(6_000))
    await holder.query('rollback')
    await holder.end()
    assert.equal((await redeem(server, token.token)).status, 200)
  })

  it('a ban and a redemption at the same moment: one comes first, and no session is left over', async () => {
    const url = await postgres.createDatabase()
    await using server = await on(url, { STAGEDOOR_DATABASE_POOL_SIZE: '10' })
    for (let i = 0; i < times(20, 1_000); i++) {
      const user_id = (await server.createUser()).id
      const tokens = await Promise.all([1, 2, 3].map(() => server.createActorToken({ user_id })))
      const answers = await Promise.all([
        ...tokens.slice(0, 2).map(({ token }) => redeem(server, token)),
        server.call('POST', `/v1/users/${user_id}/ban`),
        ...tokens.slice(2).map(({ token }) => redeem(server, token)),
      ])
      for (const { status } of answers) assert.ok([200, 400, 403].includes(status), String(status))
      expectOk(await server.call('POST', `/v1/users/${user_id}/unban`))
      const left = expectOk(await server.call('GET', `/v1/sessions?user_id=${user_id}&status=active`))
      const pending = expectOk(await server.call('GET', `/v1/actor_tokens?user_id=${user_id}&status=pending`))
      assert.deepEqual([left, pending], [[], []])
    }
  })
})

describe('batched reads', () => {
  const ofAddress = prepared<{ minute: number; address: string }, { code: string; count: number }>(
    sqlFor
      .selectFrom('refused_requests')
      .select(['code', 'count'])
      .where('minute', '=', param('minute'))
      .where('address', '=', param('address'))
      .where('code', '<>', 'never')
      .orderBy('count', 'desc'),
  )
  let url: string
  let db: Postgres
  before(async () => {
    url = await postgres.createDatabase()
    db = await Postgres.open(url)
    await db.migrate()
    await postgres.query(
      `insert into refused_requests (minute, address, code, count)
        select n, 'address ' || n, code, n * 10 + length(code)
        from generate_series(1, 300) as n, unnest(array['a', 'bb', 'never']) as code`,
      [],
      databaseOf(url),
    )
  })
  after(() => db.close())
  const expected = (n: number) => [
    { code: 'bb', count: n * 10 + 2 },
    { code: 'a', count: n * 10 + 1 },
  ]
  const read = (n: number, address = `address ${n}`) => db.all(ofAddress({ minute: n, address }))

  it('are few statements, and each read gets its own rows, in their order', async () => {
    const all = Array.from({ length: 300 }, (_, i) => i + 1)
    const logged = await logOf(async () => {
      const found = await Promise.all([...all.map(n => read(n)), read(1, 'address 2'), read(301)])
      assert.deepEqual(found, [...all.map(expected), [], []])
    })
    const statements = logged.match(/execute sd_\w+: .*refused_requests/g) ?? []
    assert.ok(statements.length > 0 && statements.length < 10, `${statements.length} statements`)
  })

  it('for the same rows are one statement, and each caller gets its own copy', async () => {
    const [first, ...more] = await Promise.all(Array.from({ length: 20 }, () => read(7)))
    assert.deepEqual(first, expected(7))
    for (const rows of more) {
      assert.deepEqual(rows, first)
      assert.notEqual(rows[0], first?.[0])
    }
  })

  it('fail individually', async () => {
    const settled = await Promise.allSettled([read(1), read(2), read(3, 'no text\u0000'), read(4), read(4)])
    assert.deepEqual(
      settled.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    )
    assert.deepEqual(
      settled.map(each => (each.status === 'fulfilled' ? each.value : undefined)),
      [expected(1), expected(2), undefined, expected(4), expected(4)],
    )
  })

  it('see everything written before they were requested', async () => {
    const insert = prepared<{ minute: number; address: string }>(
      sqlFor
        .insertInto('refused_requests')
        .values({ minute: param('minute'), address: param('address'), code: 'new', count: 1 }),
    )
    const writer = async (name: string) => {
      for (let minute = 1_000; minute < 1_000 + times(20, 2_000); minute++) {
        await db.transition({ query: insert({ minute, address: name }) })
        assert.deepEqual(await db.all(ofAddress({ minute, address: name })), [{ code: 'new', count: 1 }])
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, i) => writer(`writer ${i}`)))
  })

  it('continue when their connection is lost', async () => {
    let lost = false
    const reader = async () => {
      while (!lost) assert.deepEqual(await read(5), expected(5))
    }
    const readers = Array.from({ length: 30 }, reader)
    for (let i = 0; i < 5; i++) {
      await wait(30)
      await postgres.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
        databaseOf(url),
      ])
    }
    lost = true
    await Promise.all(readers)
  })
})

describe('the plan of a read', () => {
  it('of a mint and of a decision is for one row, also before the tables have statistics', async () => {
    const url = await postgres.createDatabase()
    await migrateDatabase(url)
    await using server = await on(url)
    await server.signIn()
    const db = await Postgres.open(url)
    try {
      for (const { node, args } of [
        findForMint({ id: 'sess_1' }),
        findForDecision({ user_id: 'user_1', actor_sub: 'a' }),
      ]) {
        const explain = RawNode.create(['explain (format json) select * from ', ' as found'], [node as never])
        const [row] = await db.all<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>({ node: explain, args })
        const plan = row?.['QUERY PLAN'][0].Plan
        // If it expects a thousand rows for each of some mints, it compiles the query, which takes a second.
        assert.equal(plan?.['Plan Rows'], 1, JSON.stringify(plan))
      }
    } finally {
      await db.close()
    }
  })
})

describe('time', () => {
  it('K2 is the database’s: a node whose clock is wrong by five minutes decides like any other node', async () => {
    const url = await postgres.createDatabase()
    await using right = await on(url)
    const really = Date.now
    for (const minutes of [5, -5]) {
      Date.now = () => really() + minutes * 60_000
      try {
        await using wrong = await on(url, { STAGEDOOR_MASTER_KEY: right.masterKey })
        const token = await wrong.createActorToken({ expires_in_seconds: 2 })
        const session = expectOk(await redeem(right, token.token)).response
        const stored = expectOk(await wrong.call('GET', `/v1/sessions/${session.created_session_id}`))
        assert.ok(Math.abs(stored.created_at - really()) < 2_000, `${stored.created_at - really()} ms`)
        const late = await right.createActorToken({ expires_in_seconds: 1 })
        await wait(1_100)
        assert.deepEqual((await redeem(wrong, late.token)).codes, ['ticket_expired_code'])
        const mine = await wrong.signIn()
        const { iat } = claimsOf(expectOk(await mint(wrong, mine)).jwt)
        assert.ok(Math.abs(Number(iat) * 1_000 - really()) < 2_000)
      } finally {
        Date.now = really
      }
    }
  })
})

describe('connections', () => {
  it('that are lost: reads continue, and a write succeeds or is reported as unknown', async () => {
    const url = await postgres.createDatabase()
    await using server = await on(url)
    const session = await server.signIn()
    const acknowledged: string[] = []
    for (let i = 0; i < 10; i++) {
      await postgres.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name = 'stagedoor'",
        [databaseOf(url)],
      )
      assert.equal((await mint(server, session)).status, 200)
      const made = await server.call('POST', '/v1/users', {})
      if (made.status === 200) acknowledged.push(made.body.id)
      else assert.deepEqual([made.status, made.codes], [503, ['outcome_unknown']])
    }
    for (const id of acknowledged) expectOk(await server.call('GET', `/v1/users/${id}`))
  })

  for (const ending of ['gets an error', 'is reset', 'is closed'] as const)
    it(`of which one ${ending} while it opens: reads and writes succeed on the next`, async () => {
      const url = await postgres.createDatabase()
      await using proxy = await stallingProxy(postgres.port)
      await using server = await on(url.replace(String(postgres.port), String(proxy.port)))
      const session = await server.signIn()
      for (let i = 0; i < 5; i++) {
        for (const run of [() => mint(server, session), () => server.call('POST', '/v1/users', {})]) {
          proxy.rejectNext(ending)
          proxy.heal()
          await wait(20)
          expectOk(await run())
          assert.equal(proxy.rejected(), true)
        }
      }
    })

  it('D18 that are all lost: the node mints nothing, keeps serving the key set, and recovers without a restart', async () => {
    await using own = await startPostgres()
    const url = await own.createDatabase()
    await using server = await on(url)
    const session = await server.signIn()
    const { token } = await server.createActorToken()
    await own.stop('immediate')
    const asked = performance.now()
    const answers = await Promise.all([mint(server, session), redeem(server, token), mint(server, session)])
    for (const answer of answers) assert.equal(answer.status, 503)
    assert.ok(performance.now() - asked < promised(7_000))
    assert.equal(
      (await server.call('GET', '/.well-known/jwks.json', undefined, { authorization: undefined })).status,
      200,
    )
    await own.start()
    const back = performance.now()
    while ((await mint(server, session)).status !== 200) await wait(50)
    assert.ok(performance.now() - back < promised(2_000), `${performance.now() - back} ms`)
    assert.equal((await redeem(server, token)).status, 200)
  })

  it('D19 that pass no more data: 503 within the timeouts, and the outcome of a write is unknown', async () => {
    const url = await postgres.createDatabase()
    await using proxy = await stallingProxy(postgres.port)
    await using server = await on(url.replace(String(postgres.port), String(proxy.port)))
    const session = await server.signIn()
    proxy.stall()
    const asked = performance.now()
    const [minted, made] = await Promise.all([mint(server, session), server.call('POST', '/v1/users', {})])
    assert.ok(performance.now() - asked < promised(30_000))
    assert.equal(minted.status, 503)
    assert.equal(made.status, 503)
    proxy.heal()
    assert.equal((await mint(server, session)).status, 200)
  })

  it('that cannot be made: the error names the database, without its password', async () => {
    await assert.rejects(
      on('postgres://someone:hunter2@127.0.0.1:1/nowhere'),
      (error: Error) => /someone@127\.0\.0\.1:1\/nowhere/.test(error.message) && !error.message.includes('hunter2'),
    )
  })
})

const noOpenssl = spawnSync('openssl', ['version']).status !== 0 && 'openssl is not installed'

/** Certificates as an operator creates them: a CA, one for a server named localhost, and one for the role `certified`. */
function certificates() {
  const folder = mkdtempSync(join(tmpdir(), 'stagedoor-tls-'))
  chmodSync(folder, 0o755)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout']
  for (const ca of ['ca', 'other-ca'])
    openssl('req', '-x509', ...newKey, `${ca}.key`, '-out', `${ca}.pem`, '-days', '2', '-subj', `/CN=${ca}`)
  for (const [name, subject] of [
    ['server', '/CN=localhost'],
    ['client', '/CN=certified'],
  ] as const) {
    openssl('req', ...newKey, `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
    writeFileSync(join(folder, `${name}.ext`), name === 'server' ? 'subjectAltName=DNS:localhost' : '')
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`]
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`)
  }
  writeFileSync(
    join(folder, 'hba.conf'),
    'hostssl all certified 127.0.0.1/32 cert\nhost all certified all reject\nhost all all 127.0.0.1/32 trust\n',
  )
  for (const file of readdirSync(folder)) {
    // A private key must belong to the account of the database, which may differ from the account of the tests.
    const { uid, gid } = postgres.user
    chmodSync(join(folder, file), file === 'server.key' ? 0o600 : 0o644)
    if (uid !== undefined && gid !== undefined) chownSync(join(folder, file), uid, gid)
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

describe('TLS', { skip: noOpenssl }, () => {
  it('accepts a peer that proves its identity, explains every failure, and sends nothing in clear', async () => {
    using made = certificates()
    const file = (name: string) => join(made.folder, name)
    await using own = await startPostgres({
      settings: {
        ssl: 'on',
        ssl_cert_file: file('server.pem'),
        ssl_key_file: file('server.key'),
        ssl_ca_file: file('ca.pem'),
        hba_file: file('hba.conf'),
      },
    })
    const plain = await own.createDatabase()
    const url = plain.replace('127.0.0.1', 'localhost')
    const trusting = `sslmode=verify-full&sslrootcert=${file('ca.pem')}`
    {
      await using server = await on(`${url}?${trusting}`)
      await server.signIn()
      // Including the connection that listens.
      const stop = server.stagedoor.services.store.revocations.onChange(() => {})
      const open =
        "select ssl, query from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'stagedoor'"
      while (!(await own.query(open)).some(({ query }) => /^listen/.test(query))) await wait(10)
      const connections = await own.query(open)
      stop()
      assert.deepEqual([...new Set(connections.map(({ ssl }) => ssl))], [true])
    }
    const another = (await own.createDatabase()).replace('127.0.0.1', 'localhost')
    await own.query('create role certified login; grant all on schema public to certified', [], databaseOf(another))
    const certified = another.replace('stagedoor@', 'certified@')
    const shown = `sslcert=${file('client.pem')}&sslkey=${file('client.key')}`
    for (const [address, words] of [
      [`${plain}?${trusting}`, /altnames.*Use a host name in the URL that is in its cert/s],
      [`${url}?sslmode=verify-full`, /Set the CA that signed its certificate: &sslrootcert=/],
      [`${url}?sslmode=verify-full&sslrootcert=${file('other-ca.pem')}`, /Set the CA that signed its certificate/],
      [`${certified}?${trusting}`, /valid client certificate\. Set one and its key: &sslcert=/],
      [`${certified}`, /pg_hba\.conf rejects/],
      [`${await postgres.createDatabase()}?sslmode=verify-full`, /It needs a certificate and ssl = on/],
    ] as const) {
      await assert.rejects(on(address), (error: Error) => {
        assert.match(error.message, /^STAGEDOOR_DATABASE_URL: the database postgres:/)
        assert.match(error.message, words)
        return true
      })
    }
    await using server = await on(`${certified}?${trusting}&${shown}`)
    await server.signIn()
  })
})

/** A proxy that can stop passing data on without closing. */
async function stallingProxy(target: number) {
  let stalled = false
  let rejecting: string | undefined
  const sockets = new Set<Socket>()
  const server = createServer(from => {
    if (rejecting) {
      reject(from, rejecting)
      rejecting = undefined
      return
    }
    const to = connectTo(target, '127.0.0.1')
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      sockets.add(one)
      one.on('data', chunk => !stalled && other.write(chunk))
      one.on('error', () => {})
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    stall() {
      stalled = true
    },
    /** Ends the next connection while it opens. */
    rejectNext(ending: string) {
      rejecting = ending
    },
    /** Whether that connection was made. */
    rejected: () => rejecting === undefined,
    heal() {
      stalled = false
      for (const socket of sockets) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** Ends a connection after its first bytes, as PostgreSQL or the network would. */
function reject(socket: Socket, ending: string): void {
  socket.on('error', () => {})
  socket.once('data', () => {
    if (ending === 'is reset') socket.resetAndDestroy()
    else if (ending === 'is closed') socket.end()
    else {
      const fields = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0')
      const length = Buffer.alloc(4)
      length.writeUInt32BE(fields.length + 4)
      socket.end(Buffer.concat([Buffer.from('E'), length, fields]))
    }
  })
}

const granted: string[] = []

describe('a database without the extension pg_trgm', () => {
  it('is migrated and searched without an index, and the doctor reports that', async () => {
    const url = await postgres.createDatabase()
    const name = databaseOf(url)
    // In another schema its operators are not found, as with a database that does not offer the extension.
    await postgres.query('create schema elsewhere', [], name)
    await postgres.query('create extension pg_trgm schema elsewhere', [], name)
    await using server = await on(url)
    const { id } = await server.createUser({ first_name: 'Carl' })
    assert.deepEqual(
      expectOk(await server.call('GET', '/v1/users?query=arl')).map((user: { id: string }) => user.id),
      [id],
    )
    const db = await Postgres.open(url)
    assert.match((await db.check()).join('\n'), /no index for searching users/)
    await postgres.query(
      'create index user_search_content on user_search using gin (content elsewhere.gin_trgm_ops)',
      [],
      name,
    )
    assert.doesNotMatch((await db.check()).join('\n'), /no index for searching users/)
    await db.close()
  })
})

describe('the role that serves', () => {
  it('D6 needs only the grants of docs/guides/postgresql.md, and cannot change the audit log', async () => {
    const guide = readFileSync(new URL('../../../docs/guides/postgresql.md', import.meta.url), 'utf8')
    const grants = [...guide.matchAll(/```sql\n(.*?)```/gs)].map(match => match[1] ?? '')
    const [, granting = '', limits = ''] = grants
    assert.match(granting, /audit_events/)
    const url = await postgres.createDatabase()
    await migrateDatabase(url)
    await postgres.query(
      `do $$ begin create role stagedoor_serves login; exception when duplicate_object then null; end $$`,
    )
    const sql = granting.replaceAll('to stagedoor;', 'to stagedoor_serves;')
    await postgres.query(sql, [], databaseOf(url))
    await postgres.query(limits.replaceAll('role stagedoor ', 'role stagedoor_serves '))
    const asServing = url.replace('stagedoor@', 'stagedoor_serves@')
    await using server = await on(asServing)
    const session = await server.signIn()
    expectOk(await mint(server, session))
    expectOk(await server.call('POST', '/v1/sessions/revoke_all', { everything: true }))
    const user = await server.createUser({ email_address: ['a@example.com'] })
    expectOk(await server.call('POST', `/v1/users/${user.id}/ban`))
    expectOk(await server.call('DELETE', `/v1/users/${user.id}`))
    const client = await postgres.connect(databaseOf(url), 'stagedoor_serves')
    for (const text of ["update audit_events set action = 'x'", 'delete from audit_events', 'truncate audit_events'])
      await assert.rejects(client.query(text), { code: '42501' })
    await client.end()
    // The triggers stop the owner.
    for (const text of ["update audit_events set action = 'x'", 'delete from audit_events', 'truncate audit_events'])
      await assert.rejects(postgres.query(text, [], databaseOf(url)), /never (changed|deleted)/)
    await postgres.query("update audit_events set personal = null where action = 'user.create'", [], databaseOf(url))
  })

  it('gets each missing grant as a statement to run', async () => {
    const url = await postgres.createDatabase()
    await migrateDatabase(url)
    const owner = (text: string) => postgres.query(text, [], databaseOf(url))
    await owner(`do $$ begin create role "stagedoor Grants" login; exception when duplicate_object then null; end $$`)
    const start = () => on(url.replace('stagedoor@', 'stagedoor%20Grants@'))
    await assert.rejects(start(), (error: Error) => {
      assert.match(error.message, /the role "stagedoor Grants" lacks privileges on .*migrations.*Run as the owner/)
      const [, statements = ''] = /Run as the owner of the tables: (.*)/.exec(error.message) ?? []
      assert.match(statements, /grant select on migrations to "stagedoor Grants";/)
      granted.push(statements)
      return true
    })
    // These statements are sufficient.
    await owner(granted[0] ?? '')
    {
      await using server = await start()
      await server.signIn()
      await owner('revoke insert on audit_events from "stagedoor Grants"')
      const { status } = await server.call('POST', '/v1/users', {})
      assert.equal(status, 503)
    }
    await assert.rejects(start(), /lacks privileges on audit_events.*grant insert on audit_events to/)
    await owner('grant insert on audit_events to "stagedoor Grants"')
    await owner('revoke usage on schema public from public')
    await assert.rejects(start(), /may not use any schema here.*grant usage on schema public to "stagedoor Grants";/)
    // The guide has the same statements, and they name every table.
    const guide = readFileSync(new URL('../../../docs/guides/postgresql.md', import.meta.url), 'utf8')
    const documented = [...guide.matchAll(/^grant ([\w, ]+) on ((?!schema|all )[\w, ]+) to stagedoor;$/gm)].flatMap(
      ([, privileges, tables = '']) => tables.split(', ').map(table => [table, privileges]),
    )
    assert.deepEqual(Object.fromEntries(documented), GRANTS)
    const tables = await owner(
      "select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    assert.deepEqual(tables.map(({ name }) => name).sort(), Object.keys(GRANTS).sort())
  })

  it('gets the command for the migration if it may not migrate the schema itself', async () => {
    const url = await postgres.createDatabase()
    await postgres.query(
      `do $$ begin create role stagedoor_serves login; exception when duplicate_object then null; end $$`,
    )
    await assert.rejects(
      on(url.replace('stagedoor@', 'stagedoor_serves@')),
      /may not change it\. Run `stagedoor migrate` with the role that owns it/,
    )
  })
})

describe('migrations', () => {
  it('run once, even when several nodes start at the same time', async () => {
    const url = await postgres.createDatabase()
    const ran = await Promise.all([1, 2, 3, 4].map(() => migrateDatabase(url)))
    assert.deepEqual(ran.flat().sort(), migrations.map(({ name }) => name).sort())
    const masterKey = randomBytes(32).toString('base64')
    const instances = await Promise.all([1, 2, 3].map(() => on(url, { STAGEDOOR_MASTER_KEY: masterKey })))
    assert.equal((await postgres.query('select id from instance', [], databaseOf(url))).length, 1)
    for (const server of instances) await server[Symbol.asyncDispose]()
  })

  it('D22 that are killed leave nothing half done, and continue at the next start', async () => {
    for (let round = 0; round < times(4, 50); round++) {
      const url = await postgres.createDatabase()
      const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', COMMAND, 'migrate'], {
        env: { ...bareEnv, STAGEDOOR_DATABASE_URL: url },
        stdio: 'ignore',
      })
      const gone = new Promise(resolve => child.once('exit', resolve))
      const migrated = async () =>
        postgres.query('select name from migrations', [], databaseOf(url)).then(
          rows => rows.length,
          () => 0,
        )
      // Killed at the beginning, in the middle or at the end.
      while ((await migrated()) < round % (migrations.length + 1) && child.exitCode === null);
      child.kill('SIGKILL')
      await gone
      await migrateDatabase(url)
      await using server = await on(url)
      await server.signIn()
    }
  })

  it('create the same tables as in the embedded database', async () => {
    const url = await postgres.createDatabase()
    await migrateDatabase(url)
    using embedded = testDatabase()
    await migrateDatabase(embedded.env.STAGEDOOR_DATABASE_URL ?? '')
    const here = await postgres.query(
      `select table_name as "table", column_name as name, data_type as type, is_nullable = 'NO' as required
       from information_schema.columns where table_schema = 'public' and table_name <> 'migrations' order by 1, 2`,
      [],
      databaseOf(url),
    )
    const there = embedded.rows<{ table: string; name: string; type: string; required: number }>(
      `select m.name as "table", c.name, lower(c.type) as type, c."notnull" or c.pk as required
       from sqlite_schema m join pragma_table_info(m.name) c
       where m.type = 'table' and m.name not like 'sqlite_%' and m.name <> 'migrations'
         and m.name not like 'user_search_index%' order by 1, 2`,
    )
    assert.deepEqual(
      here.map(column => ({ ...column, type: column.type === 'bigint' ? 'integer' : column.type })),
      there.map(column => ({ ...column, required: column.required > 0 })),
    )
  })

  it('D22 add to the schema under a running node of the previous version, which keeps serving', async () => {
    const url = await postgres.createDatabase()
    await using server = await on(url)
    const session = await server.signIn()
    expectOk(await mint(server, session))
    await postgres.query(
      'alter table sessions add column colour text; alter table actor_tokens add column colour text; alter table users add column colour text',
      [],
      databaseOf(url),
    )
    await postgres.query("insert into migrations (name) values ('9998_of_the_next_version')", [], databaseOf(url))
    for (let i = 0; i < 10; i++) expectOk(await mint(server, session))
    await server.signIn()
    await using restarted = await on(url, { STAGEDOOR_MASTER_KEY: server.masterKey })
    expectOk(await mint(restarted, session))
  })
})

const PGBOUNCER = '/usr/sbin/pgbouncer'

describe('through PgBouncer in transaction mode', {
  skip: existsSync(PGBOUNCER) ? false : `there is no ${PGBOUNCER}`,
}, () => {
  it('does the main job, many times concurrently', async () => {
    const url = await postgres.createDatabase()
    await migrateDatabase(url)
    const folder = mkdtempSync(join(tmpdir(), 'stagedoor-pgbouncer-'))
    const port = await new Promise<number>(resolve => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const taken = (probe.address() as { port: number }).port
        probe.close(() => resolve(taken))
      })
    })
    writeFileSync(
      join(folder, 'pgbouncer.ini'),
      `[databases]\n* = host=127.0.0.1 port=${postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\nauth_type = trust\nauth_file = ${join(folder, 'users.txt')}\npool_mode = transaction\ndefault_pool_size = 4\nunix_socket_dir =\n`,
    )
    writeFileSync(join(folder, 'users.txt'), '"stagedoor" ""\n')
    chmodSync(folder, 0o755)
    const bouncer = spawn(PGBOUNCER, [join(folder, 'pgbouncer.ini')], { ...postgres.user, stdio: 'ignore' })
    try {
      await wait(500)
      const { pathname } = new URL(url)
      const through = `postgres://stagedoor@127.0.0.1:${port}${pathname}`
      await using server = await on(through, { STAGEDOOR_DATABASE_POOL_SIZE: '20' })
      const sessions = await Promise.all(Array.from({ length: 30 }, () => server.signIn()))
      const minted = await Promise.all(sessions.flatMap(session => [mint(server, session), mint(server, session)]))
      assert.deepEqual([...new Set(minted.map(answer => answer.status))], [200])
      const { ticket } = sessions[0] ?? { ticket: '' }
      assert.deepEqual((await redeem(server, ticket)).codes, ['actor_token_already_used_code'])
      expectOk(await server.call('POST', '/v1/sessions/revoke_all', { everything: true }))
      for (const session of sessions) assert.equal((await mint(server, session)).status, 401)
    } finally {
      bouncer.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('accept-loss on PostgreSQL', () => {
  it('continues the audit log under a new name, and its triggers refuse changes as before', async () => {
    const url = await postgres.createDatabase()
    const server = await on(url)
    for (let i = 0; i < 5; i++) await server.createUser()
    const covered = (of: TestServer, origin: string) =>
      until(async () => {
        const state = await of.stagedoor.services.store.auditLog.state()
        return state?.origin === origin && state.checkpoint_size === state.newest_seq ? state : undefined
      }, 'the log is not covered')
    const { origin: name = '' } = (await server.stagedoor.services.store.auditLog.state()) ?? {}
    const size = (await covered(server, name))?.size ?? 0
    await server.stagedoor.close(0)
    await postgres.query(
      `alter table audit_tree disable trigger user; update audit_tree set root = repeat('0', 64); alter table audit_tree enable trigger user`,
      [],
      databaseOf(url),
    )
    const env = { STAGEDOOR_MASTER_KEY: server.masterKey }
    await assert.rejects(on(url, env), /The audit log was tampered with/)
    const config = loadConfig({ STAGEDOOR_DATABASE_URL: url, STAGEDOOR_PUBLIC_URL: 'http://127.0.0.1:4100', ...env })
    const by = { type: 'command_line', id: 'olivia' } as const
    const { origin, moved } = await acceptAuditLoss(config, by, { from: 3, reason: 'a trial' })
    assert.deepEqual([origin, moved], [`${name}-2`, undefined])
    await using again = await on(url, env)
    const state = await covered(again, origin)
    assert.equal(state?.size, size + 2, 'the events, audit.broken and audit_key.create')
    await assert.rejects(
      postgres.query(`update audit_tree set root = 'x', size = 1`, [], databaseOf(url)),
      /only grows/,
    )
    const { result } = await verifyLog(storedLog(again.stagedoor.services.store.auditLog), { personal: true })
    assert.equal(result, 'proved')
  })
})
