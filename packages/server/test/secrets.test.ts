import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPrivateKey, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import BetterSqlite3 from 'better-sqlite3'
import { pino } from 'pino'
import { times } from '../../../test/support/deep.ts'
import { claimsOf } from '../../../test/support/jwt.ts'
import { freePort } from '../../../test/support/ports.ts'
import { startPostgres } from '../../../test/support/postgres/cluster.ts'
import { expectOk, SECRET_KEY, testServer } from '../../../test/support/server.ts'
import { collector, type Serving, serving, TRACING } from '../../../test/support/serving.ts'
import { MasterKey } from '../src/signing/master-key.ts'

describe('secrets', () => {
  it('are in no log, no error and no audit event, for every kind of failure', async () => {
    const lines: string[] = []
    const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) })
    const masterKey = Buffer.from('a master key that is long enough to be taken').toString('base64')
    await using server = await testServer({ log, env: { STAGEDOOR_MASTER_KEY: masterKey } })
    const answers: string[] = []
    const keep = async <T extends { text: string }>(answer: Promise<T>): Promise<T> => {
      const kept = await answer
      answers.push(kept.text)
      return kept
    }

    const session = await server.signIn()
    const pending = await server.createActorToken()
    const { jwt } = expectOk(
      await server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie }),
    )
    const secrets = [
      SECRET_KEY,
      masterKey,
      pending.token,
      session.ticket,
      session.cookie.slice('__client='.length),
      jwt,
    ]

    const attempts = async () => {
      for (const ticket of [session.ticket, pending.token, `${pending.token}x`, jwt]) {
        await keep(server.call('GET', `/v1/tickets/accept?ticket=${ticket}x`))
        await keep(
          server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: `${ticket}x` }, { cookie: session.cookie }),
        )
        await keep(server.call('POST', '/v1/actor_tokens/accept', { ticket: `${ticket}x`, [ticket]: ticket }))
        await keep(server.call('POST', '/v1/clients/verify', { token: `${ticket}x` }))
        await keep(server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${ticket}` }))
      }
      await keep(server.call('GET', '/v1/users', undefined, { authorization: `Bearer ${SECRET_KEY}x` }))
      await keep(
        server.call('POST', '/v1/client/sign_ins', `strategy=ticket&ticket=${pending.token}`, {
          'content-type': 'text/plain',
        }),
      )
      await keep(
        server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: session.ticket }, { cookie: session.cookie }),
      )
    }
    await attempts()
    const events = JSON.stringify(await server.auditEvents()) + (await server.call('GET', '/v1/refused_requests')).text
    const rows = JSON.stringify((await server.stagedoor.services.store.audit.list({}, { limit: 500, offset: 0 })).rows)

    // And when the store fails, which is logged with its error.
    await server.stagedoor.services.store.close()
    const failed = await keep(server.call('GET', '/v1/users'))
    assert.ok(failed.status >= 500)
    assert.doesNotMatch(failed.text, / at |node_modules|\.ts/, 'the answer has no stack trace')
    await attempts()
    assert.ok(lines.length > 0, 'something was logged')

    for (const secret of secrets) {
      for (const [where, text] of Object.entries({ log: lines.join('\n'), events, rows })) {
        assert.ok(!text.includes(secret), `${secret.slice(0, 12)}… is in the ${where}`)
      }
      // An answer may name an unknown member (`… is not a valid parameter`), and nothing else of it.
      for (const text of answers) {
        const rest = text.replaceAll(/"(long_message|param_name)":"[^"]*"/g, '')
        assert.ok(!rest.includes(secret), `${secret.slice(0, 12)}… is in an answer: ${text.slice(0, 200)}`)
      }
    }
  })
})

/** All secrets of the test, in each encoding in which they could appear. */
class Secrets {
  readonly all = new Map<string, Buffer[]>()

  /** Adds a text that is secret as a whole. */
  text(name: string, value: string | null | undefined): string {
    assert.ok(value && value.length >= 16, `${name}: ${value}`)
    this.#add(name, [Buffer.from(value), ...encoded(Buffer.from(value))])
    return value
  }

  /** Adds a token in JWT form: the whole token, and its signature. */
  token(name: string, value: string | null | undefined): string {
    const text = this.text(name, value)
    this.text(`${name}, its signature`, text.split('.')[2])
    return text
  }

  bytes(name: string, value: Buffer): void {
    assert.ok(value.length >= 16, name)
    this.#add(name, [value, ...encoded(value)])
  }

  #add(name: string, forms: Buffer[]): void {
    this.all.set(`${name} (${this.all.size})`, forms)
  }

  /** Returns the names of the secrets found in these bytes. */
  foundIn(bytes: Buffer): string[] {
    return [...this.all].filter(([, forms]) => forms.some(form => bytes.includes(form))).map(([name]) => name)
  }
}

function encoded(bytes: Buffer): Buffer[] {
  const base64 = bytes.toString('base64')
  return [bytes.toString('hex'), base64, base64.replaceAll('=', ''), bytes.toString('base64url')].map(text =>
    Buffer.from(text),
  )
}

/** A place to search, and a text that it must contain. */
interface Source {
  name: string
  bytes: Buffer
  sure: string
}

/** A database in use by a server, with everything that it writes. */
interface Searched extends AsyncDisposable {
  url: string
  /** The error text when writes are blocked for a while. */
  busy: string
  rows<R>(sql: string): Promise<R[]>
  /** Blocks all writes until disposed. */
  lock(): Promise<AsyncDisposable>
  /** @param sure is in each of them */
  sources(when: string, sure: string): Promise<Source[]>
}

async function embedded(): Promise<Searched> {
  const directory = mkdtempSync(join(tmpdir(), 'stagedoor-secrets-'))
  const open = () => new BetterSqlite3(join(directory, 'stagedoor.db'))
  return {
    url: `sqlite:${join(directory, 'stagedoor.db')}`,
    busy: 'SQLITE_BUSY',
    async rows<R>(sql: string) {
      const db = open()
      const rows = db.prepare(sql).all() as R[]
      db.close()
      return rows
    },
    async lock() {
      const db = open()
      db.exec('begin immediate')
      return { [Symbol.asyncDispose]: async () => void db.close() }
    },
    /** The files, by any name. */
    async sources(when, sure) {
      const files = readdirSync(directory).map(file => ({ file, bytes: readFileSync(join(directory, file)) }))
      const all = { name: `the database, ${when}`, bytes: Buffer.concat(files.map(({ bytes }) => bytes)), sure }
      const wal = files.find(({ file }) => file.endsWith('-wal'))
      return wal ? [all, { name: `its write-ahead log, ${when}`, bytes: wal.bytes, sure }] : [all]
    },
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** A PostgreSQL that logs every statement with its parameters, which no operator should configure. */
async function onPostgres(): Promise<Searched> {
  const postgres = await startPostgres({ settings: { log_statement: 'all', log_parameter_max_length_on_error: -1 } })
  const started = Date.now()
  const bytesOf = (file: string) => {
    const bytes = readFileSync(file)
    let end = bytes.length
    while (end > 0 && bytes[end - 1] === 0) end--
    return bytes.subarray(0, end)
  }
  const filesIn = (directory: string) =>
    Buffer.concat(
      readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => join(entry.parentPath, entry.name))
        // Skip files that were there before the first secret and have not changed.
        .filter(file => times(0, 1) === 1 || statSync(file).mtimeMs >= started)
        .map(bytesOf),
    )
  // Not in one synchronous call: PostgreSQL waits until its log is read.
  const dump = async () => {
    const command = join(postgres.bin, 'pg_dump')
    if (!existsSync(command)) return undefined
    const { stdout } = await promisify(execFile)(command, [postgres.url()], { maxBuffer: 1e9, encoding: 'buffer' })
    return stdout
  }
  return {
    url: postgres.url(),
    busy: '55P03',
    rows: sql => postgres.query(sql),
    async lock() {
      const client = await postgres.connect()
      await client.query('begin; lock table actor_tokens in exclusive mode')
      return { [Symbol.asyncDispose]: () => client.end() }
    },
    async sources(when, sure) {
      await postgres.query('checkpoint')
      const dumped = await dump()
      return [
        ...(dumped ? [{ name: `the database, dumped ${when}`, bytes: dumped, sure }] : []),
        { name: `its files, ${when}`, bytes: filesIn(postgres.directory), sure },
        { name: `its write-ahead log, ${when}`, bytes: filesIn(join(postgres.directory, 'pg_wal')), sure },
        { name: `its log, ${when}`, bytes: Buffer.from(postgres.log()), sure },
      ]
    },
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  }
}

for (const [name, open] of [
  ['SQLite', embedded],
  ['PostgreSQL', onPostgres],
] as const) {
  describe(`secrets on ${name}, with the log, traces and metrics on`, () => {
    it('are in no log, no trace, no metric and no byte of the database', async () => {
      const marker = `Canary${randomBytes(8).toString('hex')}`
      const secrets = new Secrets()
      await using database = await open()
      await using collected = await collector()
      const masterKey = randomBytes(32)
      const port = await freePort()
      await using server = await serving({
        node: TRACING,
        env: {
          STAGEDOOR_DATABASE_URL: database.url,
          STAGEDOOR_MASTER_KEY: masterKey.toString('base64'),
          // RS256 is what Clerk's SDKs accept, and its keys have the most secret numbers.
          STAGEDOOR_SIGNING_ALG: 'RS256',
          STAGEDOOR_PORT: String(port),
          STAGEDOOR_PUBLIC_URL: `http://127.0.0.1:${port}`,
          STAGEDOOR_SIGN_IN_URL: `http://127.0.0.1:${port + 1}/sign-in`,
          STAGEDOOR_LOG_LEVEL: 'debug',
          STAGEDOOR_METRICS_PORT: '0',
          OTEL_EXPORTER_OTLP_ENDPOINT: collected.url,
        },
      })
      secrets.bytes('master key', masterKey)
      for (const purpose of ['ticket', 'client', 'handshake', 'seal'])
        secrets.bytes(`key of every ${purpose}`, new MasterKey(masterKey).derive(purpose))
      secrets.text('secret key from the environment', server.secretKey)

      await mainJob(server, database, secrets, marker)
      const whileServing = await database.sources('while serving', marker)
      const metrics = Buffer.from(await (await fetch(server.metricsURL)).text())
      const sealed = await privateKeys(database, masterKey, secrets)
      assert.equal(await server.stopped('SIGTERM'), 0)

      const looksOn: Source[] = [
        { name: 'the log', bytes: Buffer.from(server.output()), sure: '"operation":"CreateActorToken"' },
        { name: 'the log, of trouble', bytes: Buffer.from(server.output()), sure: database.busy },
        { name: 'the traces', bytes: collected.received(), sure: '"actorTokens.accept"' },
        {
          name: 'the metrics',
          bytes: metrics,
          sure: 'stagedoor_actor_tokens_total{kind="actor_token",change="redeemed"}',
        },
      ]
      const stored = [...whileServing, ...(await database.sources('after the end', marker))]
      assert.ok(whileServing.length >= 2, 'the database has a write-ahead log')
      for (const { name, bytes, sure } of [...looksOn, ...stored]) {
        // The search finds a text that is there, so it would find a secret too.
        assert.ok(bytes.includes(sure), `${name} (${bytes.length} bytes) has no ${sure}`)
        assert.deepEqual(secrets.foundIn(bytes), [], name)
      }
      // Private keys are in the database only, and sealed.
      assert.ok(sealed.length >= 3)
      for (const text of sealed) {
        assert.ok(stored.every(({ name, bytes }) => name.startsWith('its') || bytes.includes(text)))
        for (const { name, bytes } of looksOn) assert.ok(!bytes.includes(text), name)
      }
      assert.ok(secrets.all.size > 50, `${secrets.all.size} secrets`)
      for (const [name, forms] of secrets.all) {
        for (const form of forms) {
          const hidden = Buffer.concat([randomBytes(99), form, randomBytes(99)])
          assert.ok(secrets.foundIn(hidden).includes(name), `${name} would be found`)
        }
      }
    })
  })
}

/** Does everything that a server does with secrets, including failures. */
async function mainJob(server: Serving, database: Searched, secrets: Secrets, marker: string): Promise<void> {
  const made = await server.command('keys', 'create', '--name', 'canary', '--json')
  assert.equal(made.code, 0, made.stderr)
  const { id: keyId, secret_key } = JSON.parse(made.stdout) as { id: string; secret_key: string }
  const key = secrets.text('secret key from the command line', secret_key)

  const ask = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const form = body instanceof URLSearchParams
    const type = form ? 'application/x-www-form-urlencoded' : 'application/json'
    const response = await fetch(`${server.url}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(form || path.startsWith('/v1/client/') ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: form ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    // biome-ignore lint/suspicious/noExplicitAny: bodies of every kind
    const json: any = response.headers.get('content-type') === 'application/json' ? JSON.parse(text) : undefined
    return { status: response.status, headers: response.headers, text, json }
  }
  for (const headers of [{}, { 'idempotency-key': marker }, { 'idempotency-key': marker }] as Record<
    string,
    string
  >[]) {
    const { status, json } = await ask('POST', '/v1/secret_keys', { name: marker, rights: ['act'] }, headers)
    if (status === 200) secrets.text('secret key from the API', json.secret)
    else assert.equal(json.errors[0].code, 'secret_key_shown_before')
  }
  const form = (fields: Record<string, string>) => new URLSearchParams(fields)
  const clientOf = ({ headers }: { headers: Headers }) => {
    const [, token = ''] =
      /^__client=([^;]+)/.exec(headers.getSetCookie().findLast(it => it.startsWith('__client=')) ?? '') ?? []
    secrets.token('client cookie', token)
    secrets.text('its rotating token', claimsOf(token).rotating_token)
    return token
  }
  const minted = (name: string, jwt: string) => secrets.token(name, jwt)

  // Users, a template, tickets.
  const user = (await ask('POST', '/v1/users', { first_name: marker, email_address: [`${marker}@example.com`] })).json
  const template = { name: 'other', claims: { who: '{{user.first_name}}' }, lifetime: 60 }
  assert.equal((await ask('POST', '/v1/jwt_templates', template)).status, 200)
  const newTicket = async (fields: object = {}) => {
    const token = await ask('POST', '/v1/actor_tokens', { user_id: user.id, actor: { sub: 'canary' }, ...fields })
    return {
      id: token.json.id as string,
      url: token.json.url as string,
      ticket: secrets.token('ticket', token.json.token),
    }
  }
  const first = await newTicket({ reason: 'a reason' })
  const signIn = await ask('POST', '/v1/sign_in_tokens', { user_id: user.id })
  const signInTicket = secrets.token('sign-in ticket', signIn.json.token)

  // A scanner opens the link, then a person, who continues.
  const accept = `${new URL(first.url).pathname}${new URL(first.url).search}`
  await ask('HEAD', accept)
  const page = await ask('GET', accept, undefined, { accept: 'text/html', authorization: '' })
  assert.match(page.text, /<form method="post"/)
  const anonymous = clientOf(page)
  const sentOn = await ask('POST', '/v1/tickets/accept', form({ ticket: first.ticket }))
  assert.ok(sentOn.headers.get('location')?.includes(first.ticket))

  // Redeemed in a browser: once, again by the same browser, and without success by others.
  const redeem = (ticket: string, headers: Record<string, string> = {}) =>
    ask('POST', '/v1/client/sign_ins', form({ strategy: 'ticket', ticket }), headers)
  const redeemed = await redeem(first.ticket, { cookie: `__client=${anonymous}` })
  assert.equal(redeemed.status, 200, redeemed.text)
  const session_id = redeemed.json.response.created_session_id as string
  let cookie = clientOf(redeemed)
  const again = await redeem(first.ticket, { cookie: `__client=${anonymous}` })
  if (again.status === 200) cookie = clientOf(again)
  assert.equal((await redeem(first.ticket)).status, 400)
  const second = await redeem(signInTicket, { cookie: `__client=${cookie}` })
  assert.equal(second.status, 200, second.text)
  cookie = clientOf(second)
  const cookies = { cookie: `__client=${cookie}` }

  // Session tokens of every kind, in every answer that has one.
  const mint = async (path: string) => minted('session token', (await ask('POST', path, form({}), cookies)).json.jwt)
  const shown = await mint(`/v1/client/sessions/${session_id}/tokens`)
  await mint(`/v1/client/sessions/${session_id}/tokens/other`)
  minted('session token', (await ask('POST', `/v1/sessions/${session_id}/tokens`, {})).json.jwt)
  minted('template token', (await ask('POST', `/v1/sessions/${session_id}/tokens/other`, {})).json.jwt)
  const backend = await newTicket()
  minted('session token', (await ask('POST', '/v1/actor_tokens/accept', { ticket: backend.ticket })).json.token.jwt)
  const touched = await ask('POST', `/v1/client/sessions/${session_id}/touch`, form({}), {
    ...cookies,
    origin: new URL(server.env.STAGEDOOR_SIGN_IN_URL ?? '').origin,
  })
  for (const { last_active_token } of touched.json.client.sessions) minted('session token', last_active_token.jwt)
  await ask('POST', '/v1/clients/verify', { token: cookie })

  // A handshake, by nonce and by token; an app without cookies; Clerk's proxy.
  const app = new URL(server.env.STAGEDOOR_SIGN_IN_URL ?? '').origin
  const handshake = async (query: Record<string, string>) => {
    const search = new URLSearchParams({ redirect_url: `${app}/`, __clerk_db_jwt: 'dvb_1', ...query })
    const { headers } = await ask('GET', `/v1/client/handshake?${search}`, undefined, cookies)
    return new URL(headers.get('location') ?? '').searchParams
  }
  const nonce = secrets.token('handshake nonce', (await handshake({ format: 'nonce' })).get('__clerk_handshake_nonce'))
  const { directives } = (await ask('GET', `/v1/clients/handshake_payload?nonce=${nonce}`)).json
  minted('session token of a handshake', /__session=([^;]+)/.exec(directives.join('\n'))?.[1] ?? '')
  const handshakeToken = (await handshake({ format: 'token' })).get('__clerk_handshake') ?? ''
  secrets.token('handshake token', handshakeToken)
  minted('session token in it', /__session=([^;]+)/.exec(claimsOf(handshakeToken).handshake.join('\n'))?.[1] ?? '')
  const native = await newTicket()
  const withoutCookies = await ask(
    'POST',
    '/v1/client/sign_ins?_is_native=1',
    form({ strategy: 'ticket', ticket: native.ticket }),
  )
  secrets.token('client token', withoutCookies.headers.get('authorization'))
  const proxied = { 'clerk-proxy-url': `${app}/__clerk`, 'clerk-secret-key': key, ...cookies }
  await ask('GET', '/v1/client', undefined, proxied)

  // Failures: forged, misplaced and misspelled secrets; secrets where no secret belongs.
  const wrongKey = secrets.text('wrong secret key', `sk_live_${randomBytes(24).toString('hex')}`)
  await ask('GET', '/v1/users', undefined, { authorization: `Bearer ${wrongKey}` })
  await ask('GET', '/v1/users', undefined, { authorization: key })
  await ask('GET', '/v1/client', undefined, { ...proxied, 'clerk-secret-key': wrongKey })
  for (const secret of [first.ticket, nonce, shown, cookie, key]) {
    await redeem(secret)
    await redeem(`${secret}x`)
    await ask('GET', `/v1/tickets/accept?ticket=${secret}x`, undefined, { accept: 'text/html' })
    await ask('GET', `/v1/tickets/${secret}`)
    await ask('GET', `/v1/actor_tokens/${secret}`)
    await ask('POST', `/v1/client/sessions/${secret}/tokens`, form({ [secret]: secret }), {
      cookie: `__client=${secret}x`,
    })
    await ask('POST', '/v1/actor_tokens/accept', { ticket: secret, [secret]: secret })
    await ask(
      'GET',
      `/v1/client/handshake?redirect_url=${encodeURIComponent(`https://${secret.slice(0, 40)}.example/`)}`,
    )
    await ask('GET', '/v1/users', undefined, {
      traceparent: secret,
      tracestate: `v=${secret}`,
      'x-forwarded-for': secret,
    })
    await ask('POST', '/v1/users', `not JSON ${secret}`, { 'content-type': 'application/json' })
  }
  // Failures because no write is possible: the server logs these errors of its own.
  const spare = await newTicket()
  {
    await using _locked = await database.lock()
    assert.equal((await redeem(spare.ticket, cookies)).status, 503)
  }

  // Keys rotate, sessions end.
  const rotated = await server.command('signing-keys', 'rotate', '--at-once', '--json')
  assert.equal(rotated.code, 0, rotated.stderr)
  minted('session token by the next key', (await ask('POST', `/v1/sessions/${session_id}/tokens`, {})).json.jwt)
  await ask('POST', `/v1/actor_tokens/${(await newTicket()).id}/revoke`, { reason: 'no' })
  await ask('POST', `/v1/sessions/${session_id}/revoke`, {})
  assert.equal((await ask('POST', `/v1/client/sessions/${session_id}/tokens`, form({}), cookies)).status, 401)
  await ask('DELETE', '/v1/client', undefined, cookies)
  await ask('POST', `/v1/users/${user.id}/ban`)
  for (const path of ['/v1/audit_events', '/v1/refused_requests', '/readyz', '/.well-known/jwks.json'])
    assert.equal((await ask('GET', path)).status, 200, path)
  assert.equal((await server.command('keys', 'revoke', keyId)).code, 0)
  assert.equal((await ask('GET', '/v1/users')).status, 401)
  // Refused requests are counted once a second.
  await wait(1_200)
}

/** Adds every private key as the master key opens it. @returns the keys as they are stored, sealed */
async function privateKeys(database: Searched, masterKey: Buffer, secrets: Secrets): Promise<string[]> {
  const rows = await database.rows<{ id: string; sealed_private_key: string }>(
    'select id, sealed_private_key from signing_keys where sealed_private_key is not null',
  )
  return rows.map(({ id, sealed_private_key }) => {
    const der = new MasterKey(masterKey).open(sealed_private_key, id)
    secrets.bytes('private key', der)
    const jwk = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' })
    for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const)
      secrets.bytes(`${member} of a private key`, Buffer.from(jwk[member] ?? '', 'base64url'))
    return sealed_private_key
  })
}
