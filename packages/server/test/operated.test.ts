import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { testDatabase } from '../../../test/support/database.ts'
import { SECRET_KEY, type TestServer, type TestServerOptions, testServer } from '../../../test/support/server.ts'
import { type Serving, serving } from '../../../test/support/serving.ts'
import { bapi } from '../src/contract/bapi.ts'
import { errors } from '../src/contract/errors.ts'
import { fapi } from '../src/contract/fapi.ts'
import type { AuditRecord } from '../src/domain/records.ts'
import type { Store } from '../src/domain/store.ts'
import { traceparent } from '../src/http/request-log.ts'
import { instrumentedStore } from '../src/telemetry/instrumented-store.ts'
import { errorForLog } from '../src/telemetry/log.ts'
import { Metrics } from '../src/telemetry/metrics.ts'

const OPERATING = fileURLToPath(new URL('../../../docs/operating.md', import.meta.url))

/** A server whose log can be read. */
async function loggingServer(options: TestServerOptions = {}, level = 'debug') {
  const text: string[] = []
  const log = pino({ level }, { write: (line: string) => text.push(line) })
  const server = await testServer({ ...options, log })
  /** Returns what was logged since the last call. */
  const lines = () => text.splice(0).map(line => JSON.parse(line) as Record<string, unknown>)
  return Object.assign(server, { lines })
}

describe('/healthz and /readyz', () => {
  const why = async (server: TestServer) => {
    const answer = await server.call('GET', '/readyz', undefined, { authorization: undefined })
    assert.equal((await server.call('GET', '/healthz', undefined, { authorization: undefined })).status, 200)
    if (answer.status === 200) return 'ready'
    assert.equal(answer.status, 503)
    assert.deepEqual(answer.codes, ['not_ready'])
    assert.equal(answer.headers.get('retry-after'), '1')
    return answer.body.errors[0].long_message
  }

  it('report that the server is ready, until it begins to stop', async () => {
    await using server = await testServer()
    assert.equal(await why(server), 'ready')
    server.stagedoor.services.stopping = AbortSignal.abort()
    assert.equal(await why(server), 'The server is not ready: it is stopping.')
  })

  it('report that it is stopping as soon as it begins', async () => {
    await using server = await testServer()
    const closing = server.stagedoor.close()
    assert.equal(server.stagedoor.services.stopping.aborted, true)
    await closing
    assert.match(await why(server), /it is stopping/)
  })

  it('report a database that fails or does not answer in time', async () => {
    await using server = await loggingServer()
    const { store } = server.stagedoor.services
    const { ping } = store
    store.ping = () => new Promise(() => {})
    const start = performance.now()
    assert.match(await why(server), /the database does not answer/)
    const waited = performance.now() - start
    assert.ok(waited > 1_900 && waited < 20_000, `${waited} ms`)
    store.ping = ping
    assert.equal(await why(server), 'ready')
    server.lines()
    await store.close()
    assert.match(await why(server), /the database does not answer/)
    const line = server.lines().find(({ err }) => /not open/.test(JSON.stringify(err ?? '')))
    assert.equal(line?.level, pino.levels.values.warn, 'the log has the cause')
  })

  it('report a signing key that cannot be opened', async () => {
    using database = testDatabase()
    await using server = await testServer({ env: database.env })
    assert.equal(await why(server), 'ready')
    const db = database.open()
    db.exec(`update signing_keys set sealed_private_key = 'not sealed by anyone' where status = 'active'`)
    db.exec('update instance set keyring_version = keyring_version + 1')
    db.close()
    assert.match(await why(server), /the signing key cannot be read/)
  })
})

/** Returns the samples of a page of metrics, by name and labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
}

async function measuredServer(options: TestServerOptions = {}) {
  const server = await testServer({ ...options, env: { STAGEDOOR_METRICS_PORT: '0', ...options.env } })
  const { port, metrics_port } = await server.stagedoor.listen()
  const url = `http://127.0.0.1:${metrics_port}/metrics`
  const read = async () => samples(await (await fetch(url)).text())
  return Object.assign(server, { url, port, read })
}

describe('metrics', () => {
  it('have their own port, and none by default', async () => {
    await using server = await measuredServer()
    const answer = await fetch(server.url)
    assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
    const text = await answer.text()
    for (const name of ['stagedoor_build_info', 'nodejs_eventloop_lag_p99_seconds', 'process_cpu_seconds_total'])
      assert.match(text, new RegExp(`^${name}`, 'm'))
    assert.equal((await fetch(server.url.replace('/metrics', '/'))).status, 404)
    assert.equal((await fetch(server.url, { method: 'POST' })).status, 404)
    assert.equal((await server.call('GET', '/metrics')).status, 404, 'the port of the API has no metrics')
    await using other = await testServer()
    assert.equal((await other.stagedoor.listen()).metrics_port, undefined)
  })

  it('count exactly what the audit log records', async () => {
    await using server = await measuredServer()
    const { stagedoor, clock } = server
    const redeemed = await server.signIn()
    await server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: redeemed.ticket })
    const mint = (session: { session_id: string; cookie: string }) =>
      server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie })
    for (let i = 0; i < 3; i++) assert.equal((await mint(redeemed)).status, 200)
    await server.call('POST', `/v1/sessions/${redeemed.session_id}/revoke`)
    assert.equal((await mint(redeemed)).status, 401)
    const pending = await server.createActorToken()
    await server.call('POST', `/v1/actor_tokens/${pending.id}/revoke`)
    await server.call('POST', `/v1/actor_tokens/${pending.id}/revoke`)
    const left = await server.signIn()
    await server.post(`/v1/client/sessions/${left.session_id}/end`, {}, { cookie: left.cookie })
    const removed = await server.signIn()
    await server.post(`/v1/client/sessions/${removed.session_id}/remove`, {}, { cookie: removed.cookie })
    // Many at once, each in one statement: a ban, and sessions that expire.
    const banned = await server.signIn()
    await server.createActorToken({ user_id: banned.user_id })
    await server.call('POST', `/v1/users/${banned.user_id}/ban`)
    await server.signIn({ session_max_duration_in_seconds: 60 })
    await server.signIn()
    clock.advance(61)
    const { store } = stagedoor.services
    const { finishOverdueSessions } = await import('../src/domain/sessions.ts')
    await finishOverdueSessions(stagedoor.context({ type: 'system', id: null }), { limit: 100 })
    clock.advance(700)
    await finishOverdueSessions(stagedoor.context({ type: 'system', id: null }), { limit: 100 })
    const { id: user_id } = await server.createUser()
    await server.call('POST', '/v1/sessions', { user_id })

    const read = await server.read()
    const { rows } = await store.audit.list({}, { limit: 500, offset: 0 })
    const told = Map.groupBy(rows, ({ action, outcome }) => `{action="${action}",outcome="${outcome}"}`)
    // Including the keys that the server creates at its start.
    for (const [labels, events] of told)
      assert.equal(read.get(`stagedoor_audit_events_total${labels}`), events.length, labels)
    const counted = [...read].filter(([name]) => name.startsWith('stagedoor_audit_events_total'))
    assert.equal(counted.length, told.size)
    assert.ok(told.size >= 12, `${told.size} kinds of events`)

    const expected = {
      'stagedoor_actor_tokens_total{kind="actor_token",change="created"}': 8,
      'stagedoor_actor_tokens_total{kind="actor_token",change="redeemed"}': 6,
      'stagedoor_actor_tokens_total{kind="actor_token",change="revoked"}': 2,
      'stagedoor_actor_tokens_total{kind="sign_in_token",change="created"}': 0,
      'stagedoor_sessions_begun_total{by="actor_token"}': 6,
      'stagedoor_sessions_begun_total{by="api"}': 1,
      'stagedoor_sessions_ended_total{how="revoked"}': 2,
      'stagedoor_sessions_ended_total{how="ended"}': 1,
      'stagedoor_sessions_ended_total{how="removed"}': 1,
      'stagedoor_sessions_ended_total{how="expired"}': 1,
      'stagedoor_sessions_ended_total{how="abandoned"}': 1,
      'stagedoor_tokens_signed_total{kind="session"}': 3,
      'stagedoor_refusals_total{code="actor_token_already_used_code"}': 1,
      'stagedoor_refusals_total{code="actor_token_cannot_be_revoked_code"}': 1,
      'stagedoor_refusals_total{code="authentication_invalid"}': 1,
      'stagedoor_refusals_total{code="internal_clerk_error"}': 0,
      'stagedoor_http_request_duration_seconds_count{operation="createSessionToken",method="POST",status="2xx"}': 3,
      'stagedoor_http_request_duration_seconds_count{operation="createSessionToken",method="POST",status="4xx"}': 1,
      stagedoor_http_requests_in_flight: 0,
    }
    for (const [series, value] of Object.entries(expected)) assert.equal(read.get(series), value, series)
    // A timer of the server may be calling the store right now; a gauge that is never decremented would stay above 0.
    let inFlight = read.get('stagedoor_store_calls_in_flight')
    for (let tries = 0; inFlight !== 0 && tries < 100; tries++)
      inFlight = (await server.read()).get('stagedoor_store_calls_in_flight')
    assert.equal(inFlight, 0)
  })

  it('count decisions by outcome and rule', async () => {
    await using server = await measuredServer()
    await server.signIn()
    const live = await server.signIn()
    const text = `@id("all") permit (principal, action in Action::"act", resource);
@id("level") forbid (principal, action in Action::"act", resource) when { resource.level > 0 };`
    assert.equal((await server.call('PUT', '/v1/policy', { text, off: ['base.upward'] })).status, 200)
    const private_metadata = { stagedoor: { level: 1 } }
    assert.equal((await server.call('PATCH', `/v1/users/${live.user_id}/metadata`, { private_metadata })).status, 200)
    const refused = { user_id: live.user_id, actor: { sub: 'olivia' } }
    assert.equal((await server.call('POST', '/v1/actor_tokens', refused)).status, 403)
    const decisions = (read: Map<string, number>) =>
      [...read].filter(([name]) => name.startsWith('stagedoor_policy_decisions_total')).sort()
    const expected = [
      ['stagedoor_policy_decisions_total{outcome="allowed",rule="default.backend"}', 4],
      ['stagedoor_policy_decisions_total{outcome="ended",rule="level"}', 1],
      ['stagedoor_policy_decisions_total{outcome="refused",rule="level"}', 1],
    ]
    let read = await server.read()
    for (let tries = 0; decisions(read).length < expected.length && tries < 100; tries++) {
      await wait(50)
      read = await server.read()
    }
    assert.deepEqual(decisions(read), expected)
    assert.ok((read.get('stagedoor_policy_reevaluation_duration_seconds_count') ?? 0) > 0)
  })

  it('have no label that an unauthenticated caller can choose', async () => {
    await using server = await measuredServer()
    const word = 'strangersword'
    for (const [method, path] of [
      ['GET', `/${word}`],
      ['GET', `/v1/users/${word}?${word}=${word}`],
      ['POST', `/v1/actor_tokens/${word}/revoke`],
      ['PURGE', `/v1/users`],
      ['OPTIONS', `/v1/${word}`],
      ['GET', `/npm/@clerk/${word}`],
    ] as const)
      await server.call(method, path, undefined, { 'x-word': word, origin: `https://${word}.example` })
    await server.post(`/v1/client/sessions/${word}/end?_method=${word}`, { [word]: word })
    const page = await (await fetch(server.url)).text()
    assert.doesNotMatch(page, new RegExp(`${word}|PURGE`))
    const known = new Set([
      ...[...bapi, ...fapi].map(operation => operation.id),
      ...Object.keys(errors),
      ...['none', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'other', '2xx', '3xx', '4xx', '5xx'],
    ])
    const values = [...page.matchAll(/(?:operation|method|status|code)="([^"]*)"/g)].map(([, value = '']) => value)
    assert.ok(values.length > 100)
    assert.deepEqual(
      values.filter(value => !known.has(value)),
      [],
    )
  })

  it('show work in progress, and the database’s own figures', async () => {
    await using server = await measuredServer()
    const { users } = server.stagedoor.services.store
    const { find } = users
    const gate = Promise.withResolvers<void>()
    users.find = async id => {
      await gate.promise
      return find(id)
    }
    const { id } = await server.createUser()
    const asked = server.call('GET', `/v1/users/${id}`)
    assert.equal((await server.read()).get('stagedoor_http_requests_in_flight'), 1)
    gate.resolve()
    assert.equal((await asked).status, 200)
    assert.equal((await server.read()).get('stagedoor_http_requests_in_flight'), 0)

    const metrics = new Metrics('1.2.3', {
      load: () => ({ connections: 10, waiting: 3 }),
      onCommitted: () => () => {},
    })
    const waiting = Promise.withResolvers<undefined>()
    const store = instrumentedStore({ users: { find: () => waiting.promise } } as unknown as Store, {
      metrics,
      tracing: undefined,
    })
    const found = store.users.find('user_1')
    const during = samples(await metrics.registry.metrics())
    assert.equal(during.get('stagedoor_store_calls_in_flight'), 1)
    assert.equal(during.get('stagedoor_store_load{of="waiting"}'), 3)
    assert.equal(during.get('stagedoor_store_load{of="connections"}'), 10)
    waiting.reject(new Error('gone'))
    await assert.rejects(found, /gone/)
    assert.equal(samples(await metrics.registry.metrics()).get('stagedoor_store_calls_in_flight'), 0)
  })

  it('count no audit event of a change that was rolled back', async () => {
    await using server = await measuredServer()
    const { store } = server.stagedoor.services
    const { id } = await server.createActorToken()
    const { rows } = await store.audit.list({}, { limit: 1, offset: 0 })
    const { seq, ...created } = rows[0] as AuditRecord & { seq: number }
    const revoked = async (actorTokenId: string, change: object = {}) => {
      const event = { ...created, action: 'actor_token.revoke', ...change }
      await store.actorTokens.revoke(actorTokenId, 'actor_token', event).catch(() => {})
      return (await server.read()).get('stagedoor_actor_tokens_total{kind="actor_token",change="revoked"}')
    }
    assert.equal(await revoked('act_unknown'), 0, 'there is no such token')
    assert.equal(await revoked(id, { leaf_hash: null }), 0, 'the event cannot be stored')
    assert.equal(await revoked(id), 1)
    assert.equal(await revoked(id), 1, 'it is already revoked')
  })
})

describe('a trace id', () => {
  const trace = '0af7651916cd43dd8448eb211c80319c'
  const header = `00-${trace}-b7ad6b7169203331-01`

  it('is the caller’s own if the operation requires a secret key: in the answer, the audit log and the log', async () => {
    await using server = await loggingServer()
    const { id: user_id } = await server.createUser()
    server.lines()
    const made = await server.call(
      'POST',
      '/v1/actor_tokens',
      { user_id, actor: { sub: 'a' } },
      { traceparent: header },
    )
    assert.equal(made.headers.get('clerk-trace-id'), trace)
    const events = await server.auditEvents({ trace_id: trace })
    assert.deepEqual(
      events.map(event => event.action),
      ['actor_token.create'],
    )
    assert.equal(server.lines()[0]?.trace_id, trace)
    const refused = await server.call('GET', '/v1/users/nobody', undefined, { traceparent: header })
    assert.equal(refused.body.clerk_trace_id, trace)
  })

  it('is the server’s own for every other caller, who cannot choose ids in the audit log', async () => {
    await using server = await testServer()
    const token = await server.createActorToken()
    const form = { strategy: 'ticket', ticket: token.token }
    const redeemed = await server.post('/v1/client/sign_ins', form, { traceparent: header })
    assert.equal(redeemed.status, 200)
    const ours = redeemed.headers.get('clerk-trace-id') ?? ''
    assert.match(ours, /^[0-9a-f]{32}$/)
    assert.notEqual(ours, trace)
    assert.deepEqual(await server.auditEvents({ trace_id: trace }), [])
    assert.equal((await server.auditEvents({ trace_id: ours })).length, 1)
    // A caller without a key cannot choose it either: nothing of the request is in the audit log.
    await server.call('POST', '/v1/actor_tokens', {}, { traceparent: header, authorization: 'Bearer sk_test_wrong' })
    assert.deepEqual(await server.auditEvents({ trace_id: trace }), [])
  })

  it('is taken only from a valid traceparent', async () => {
    assert.deepEqual(traceparent(header, 'a=1'), {
      traceId: trace,
      spanId: 'b7ad6b7169203331',
      traceFlags: 1,
      state: 'a=1',
    })
    assert.equal(traceparent(`cc-${trace}-b7ad6b7169203331-01-what-will-come`)?.traceId, trace, 'a later version')
    for (const wrong of [
      undefined,
      '',
      trace,
      header.toUpperCase(),
      ` ${header}`,
      `${header} `,
      `${header},${header}`,
      `${header}, ${header}`,
      `${header}-more`,
      header.slice(0, -1),
      `ff${header.slice(2)}`,
      `cc${header.slice(2)}x`,
      `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
      `00-${trace}-${'0'.repeat(16)}-01`,
      `00-${trace.slice(1)}g-b7ad6b7169203331-01`,
      `01${header.slice(2)}-${'x'.repeat(300)}`,
    ])
      assert.equal(traceparent(wrong), undefined, wrong)
  })
})

describe('the log', () => {
  it('has one line per request: the operation, the principal, the address and the outcome; nothing that was sent', async () => {
    await using server = await loggingServer({ env: { STAGEDOOR_TRUSTED_PROXIES: '127.0.0.1' } })
    const url = await server.listen()
    const keys = await server.stagedoor.services.store.secretKeys.all()
    server.lines()
    const answer = await fetch(`${url}/v1/users?query=marker-in-query`, {
      headers: {
        authorization: `Bearer ${SECRET_KEY}`,
        'x-forwarded-for': '203.0.113.7',
        'user-agent': 'marker-in-agent',
        cookie: 'marker=in-cookie',
        'x-other': 'marker-in-header',
      },
    })
    assert.equal(answer.status, 200)
    const [line, ...more] = server.lines()
    assert.deepEqual(more, [])
    const { time, pid, hostname, duration_ms, ...rest } = line ?? {}
    assert.deepEqual(rest, {
      level: 30,
      trace_id: answer.headers.get('clerk-trace-id'),
      operation: 'GetUserList',
      method: 'GET',
      status: 200,
      principal: 'secret_key',
      key_id: keys[0]?.id,
      address: '203.0.113.7',
      msg: 'request',
    })
    assert.ok(typeof duration_ms === 'number' && duration_ms > 0 && duration_ms < 60_000)
    assert.doesNotMatch(JSON.stringify(line), /marker/)
    const [, documented = ''] = /```json\n(.*)\n```/.exec(readFileSync(OPERATING, 'utf8')) ?? []
    assert.deepEqual(Object.keys(JSON.parse(documented)), Object.keys(line ?? {}))

    await fetch(`${url}/v1/client/sign_ins?marker=1`, { method: 'POST', body: new URLSearchParams({ marker: 'x' }) })
    await fetch(`${url}/marker`)
    await fetch(`${url}/v1/users`, { headers: { authorization: 'Bearer sk_test_marker' } })
    await fetch(`${url}/healthz`)
    const lines = server.lines()
    assert.doesNotMatch(JSON.stringify(lines), /marker/)
    const shown = lines.map(({ level, operation, status, code, principal }) => [
      level,
      operation,
      status,
      code,
      principal,
    ])
    assert.deepEqual(shown, [
      [30, 'createSignIn', 422, 'form_param_missing', 'client'],
      [30, 'none', 404, 'resource_not_found', undefined],
      [30, 'GetUserList', 401, 'clerk_key_invalid', 'secret_key'],
      [20, 'GetHealth', 200, undefined, 'client'],
    ])
  })

  it('has no line for successful requests if the level is `warn`', async () => {
    await using server = await loggingServer({}, 'warn')
    await server.signIn()
    await server.call('GET', '/v1/nothing')
    assert.deepEqual(server.lines(), [])
    await server.stagedoor.services.store.close()
    await server.call('GET', '/v1/users')
    assert.equal(server.lines().length, 1)
  })

  it('may lose its reader: the server keeps serving and stops normally', async () => {
    await using server = await serving()
    server.process.stdout?.destroy()
    for (let i = 0; i < 50; i++) assert.equal((await fetch(`${server.url}/v1/nothing`)).status, 404)
    await wait(200)
    assert.equal((await fetch(`${server.url}/readyz`)).status, 200)
    assert.equal(await server.stopped('SIGTERM'), 0)
  })

  it('shows the type and text of an error, and none of its other members', () => {
    const cause = Object.assign(new Error('connect sk_live_0123456789abcdef refused'), {
      code: 'ECONNREFUSED',
      extra: 1,
    })
    const error = Object.assign(new Error('with eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2lnbmF0dXJl in it', { cause }), {
      request: { headers: { authorization: 'x' } },
    })
    const shown = errorForLog(error)
    assert.deepEqual(Object.keys(shown), ['type', 'message', 'stack', 'cause'])
    assert.equal(shown.message, 'with eyJ… in it')
    assert.equal(shown.cause?.message, 'connect sk_live_… refused')
    assert.equal(shown.cause?.code, 'ECONNREFUSED')
    assert.doesNotMatch(JSON.stringify(shown), /c2lnbmF0dXJl|0123456789|authorization|extra/)
    const circle = new Error('a')
    circle.cause = circle
    assert.ok(errorForLog(circle).cause)
    assert.deepEqual(errorForLog('thrown as text'), { type: 'string', message: 'thrown as text' })
  })
})

describe('K8 an exception', () => {
  it('in a request fails only that request: 500, its trace id, one line in the log', async () => {
    await using server = await loggingServer()
    const session = await server.signIn()
    const { services } = server.stagedoor
    const mint = () => server.post(`/v1/client/sessions/${session.session_id}/tokens`, {}, { cookie: session.cookie })
    const boom = () => {
      throw new Error('boom')
    }
    // Faults in each kind of work: reading, writing, signing, the clock, in-memory state.
    const hooks: [object, string, () => Promise<{ status: number; body: unknown; headers: Headers }>][] = [
      [services.store.sessions, 'findForMint', mint],
      [services.store.users, 'insert', () => server.call('POST', '/v1/users', {})],
      [services.signing, 'sessionToken', mint],
      [services.clock, 'now', mint],
      [services.activity, 'record', mint],
      [
        services.refusedRequests,
        'count',
        () => server.post('/v1/client/sign_ins', { strategy: 'ticket', ticket: 'x' }),
      ],
    ]
    for (const [hook, name, ask] of hooks) {
      server.lines()
      const before = Object.getOwnPropertyDescriptor(hook, name)
      Object.defineProperty(hook, name, { value: boom, configurable: true, writable: true })
      const [failed, beside] = await Promise.all([ask(), server.call('GET', '/healthz')])
      if (before) Object.defineProperty(hook, name, before)
      else delete (hook as Record<string, unknown>)[name]
      assert.equal(failed.status, 500, name)
      assert.equal(beside.status, 200)
      const line = server.lines().find(({ level }) => level === 50)
      assert.equal((line?.err as Error | undefined)?.message, 'boom', name)
      const { clerk_trace_id, errors: told } = failed.body as { clerk_trace_id: string; errors: { code: string }[] }
      assert.equal(told[0]?.code, 'internal_clerk_error')
      assert.equal(clerk_trace_id, failed.headers.get('clerk-trace-id'))
      assert.equal(line?.trace_id, clerk_trace_id)
      assert.doesNotMatch(JSON.stringify(failed.body), /boom/)
      assert.equal((await mint()).status, 200, `after ${name}`)
    }
  })
})

describe('K8 an exception outside every request', () => {
  for (const kind of ['rejection', 'exception']) {
    it(`an unhandled ${kind} is logged; the server finishes open requests and exits with 1`, async () => {
      // Simulates a bug: on a signal, the process raises an error that no code catches.
      const what = kind === 'rejection' ? 'Promise.reject(error)' : 'setImmediate(() => { throw error })'
      const bug = `process.on('SIGUSR2', () => { const error = new Error('a bug of mine'); ${what} })`
      await using server = await serving({ node: ['--import', `data:text/javascript,${encodeURIComponent(bug)}`] })
      const begun = begin(server)
      await begun.reached
      server.process.kill('SIGUSR2')
      await server.printed(/uncaught error/)
      assert.equal((await begun.finish()).statusCode, 200, 'the open request is finished')
      assert.equal(await server.stopped(), 1)
      const lines = server
        .output()
        .trim()
        .split('\n')
        .map(line => JSON.parse(line))
      const fatal = lines.find(({ level }) => level === 60)
      assert.equal(fatal.err.message, 'a bug of mine')
      assert.match(fatal.err.stack, /data:text/)
      assert.equal(lines.at(-1).msg, 'stopped')
    })
  }
})

/** A request whose body is sent in two parts; the request is open between them. */
function begin({ url, secretKey }: Serving) {
  const body = '{ "first_name": "Ada" }'
  const asked: ClientRequest = request(`${url}/v1/users`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${secretKey}`,
      'content-type': 'application/json',
      'content-length': body.length,
      connection: 'close',
      expect: '100-continue',
    },
  })
  const answered = new Promise<IncomingMessage>((resolve, reject) =>
    asked.once('response', resolve).once('error', reject),
  )
  asked.flushHeaders()
  return {
    /** Resolves when the server has read the headers and waits for the rest. */
    reached: new Promise<void>(resolve => asked.once('continue', () => resolve())),
    async finish() {
      asked.end(body)
      const answer = await answered
      answer.resume()
      return answer
    },
  }
}
