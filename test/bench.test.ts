import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startChild } from '../bench/child.ts'
import { cpuOf } from '../bench/cpu.ts'
import type { Measured } from '../bench/load.ts'
import { optionsOf } from '../bench/options.ts'
import type { ExternalWork } from '../bench/peers/external.ts'
import { hydra } from '../bench/peers/hydra.ts'
import { keycloak } from '../bench/peers/keycloak.ts'
import { fillSqlite } from '../bench/rows-fill.ts'
import { comparisonOf, ratioOf, spreadOf, verdictOf } from '../bench/stats.ts'
import { canonicalJson, leafHashHex } from '../packages/server/src/domain/audit/event.ts'
import type { AuditRecord } from '../packages/server/src/domain/records.ts'
import { migrateDatabase } from '../packages/server/src/server.ts'
import { testDatabase } from './support/database.ts'

/** Tests of what the benchmarks claim: verdicts, CPU time, filled rows, and the requests to other products. */

test('a spread is minimum and maximum of few values, and percentiles of many', () => {
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, low: 1, high: 3 })
  assert.deepEqual(spreadOf(Array.from({ length: 11 }, (_, i) => i)), { median: 5, low: 1, high: 9 })
  assert.deepEqual(spreadOf([undefined, Number.NaN, 4]), { median: 4, low: 4, high: 4 })
  assert.equal(spreadOf([undefined]), undefined)
  assert.deepEqual(ratioOf([2, 9, 8], [1, 3, undefined]), { median: 2.5, low: 2, high: 3 })
})

test('there is no verdict if the aim is within the spread, or with fewer than three rounds', () => {
  const spread = { median: 2, low: 1.5, high: 3 }
  assert.equal(verdictOf(spread, { least: 1.5 }, 3), 'reached')
  assert.equal(verdictOf(spread, { least: 2 }, 3), 'not decided')
  assert.equal(verdictOf(spread, { least: 3.1 }, 3), 'missed')
  assert.equal(verdictOf(spread, { least: 1 }, 2), 'not decided')
  assert.equal(verdictOf(spread, { most: 3 }, 3), 'reached')
  assert.equal(verdictOf(spread, { most: 2.9 }, 3), 'not decided')
  assert.equal(verdictOf(spread, { most: 1.4 }, 3), 'missed')
  assert.equal(comparisonOf(spread, ['less', 'more'], 3), 'less')
  assert.equal(comparisonOf({ median: 1.1, low: 0.9, high: 1.2 }, ['less', 'more'], 3), 'not decided')
  assert.equal(comparisonOf({ median: 0.5, low: 0.4, high: 0.9 }, ['less', 'more'], 3), 'more')
})

test('CPU time includes threads, child processes, and children that have ended', {
  skip: process.platform !== 'linux',
}, async () => {
  // A process that starts one that computes for 0.3 s of CPU time, waits, and starts the next one.
  const busy = `const start = process.cpuUsage(); while (process.cpuUsage(start).user < 300_000);`
  const parent = spawn(
    process.execPath,
    [
      '-e',
      `const { spawnSync } = require('node:child_process'); spawnSync(process.execPath, ['-e', ${JSON.stringify(busy)}]); console.log('done'); setInterval(() => {}, 1000)`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    await new Promise(resolve => parent.stdout.once('data', resolve))
    const used = cpuOf([parent.pid ?? 0]) ?? 0
    const own = cpuOf([process.pid]) ?? 0
    assert.ok(used > 300_000 && used < 3_000_000, `${used} µs`)
    assert.ok(own > used, 'this process includes its child')
    await sleep(300)
    assert.ok((cpuOf([parent.pid ?? 0]) ?? 0) - used < 100_000, 'an idle process uses next to none')
    assert.equal(cpuOf([]), undefined)
  } finally {
    parent.kill()
  }
})

test('filled audit events are what the server would have written', async () => {
  using database = testDatabase()
  await migrateDatabase(`sqlite:${database.path}`)
  fillSqlite(database.path, 2_000)
  const events = database.rows<AuditRecord & { seq: number }>('select * from audit_events order by seq')
  for (const record of events) {
    const { event, personal, leaf_hash, principal_id, principal_type, seq, ...columns } = record
    assert.equal(leaf_hash, leafHashHex(event))
    const parsed = JSON.parse(event)
    assert.equal(canonicalJson(parsed), event)
    assert.equal(canonicalJson(JSON.parse(personal ?? '')), personal)
    const { personal_hash, principal, v, ...facts } = parsed
    assert.deepEqual([personal_hash, v], [hash('sha256', personal ?? ''), 1])
    assert.deepEqual(principal, { id: principal_id, type: principal_type })
    assert.deepEqual(facts, { ...columns })
  }
  assert.ok(
    events.every(({ at }, i) => i === 0 || at >= (events[i - 1]?.at ?? 0)),
    'at ascends with seq',
  )
  assert.equal(new Set(events.map(event => event.trace_id)).size, events.length)
  assert.ok(events.length > 2 * 2_000 && events.length < 4 * 2_000, `${events.length} events`)
  const refused = events.filter(event => event.outcome === 'refused')
  assert.ok(refused.every(event => event.code !== null))
  assert.ok(refused.length > 0.02 * events.length && refused.length < 0.06 * events.length, `${refused.length} refused`)
  const [wrong] = database.rows<{ n: number }>(
    `select count(*) as n from sessions s where
      (select count(*) from audit_events e where e.session_id = s.id and e.outcome = 'done') <> case status when 'active' then 1 else 2 end`,
  )
  assert.equal(wrong?.n, 0, 'each session has its beginning, and its end if it ended')
})

interface Seen {
  method: string
  path: string
  headers: IncomingMessage['headers']
  form: URLSearchParams
  json: Record<string, unknown>
}

type Reply = [status: number, body?: unknown, headers?: Record<string, string>]

/** A product's HTTP API: answers by method and path, and records the requests. */
async function fakeProduct(reply: (seen: Seen) => Reply) {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const isJson = request.headers['content-type'] === 'application/json'
    const one: Seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      form: new URLSearchParams(isJson ? '' : body),
      json: isJson && body !== '' ? JSON.parse(body) : {},
    }
    seen.push(one)
    const [status, answer, headers] = reply(one)
    // Without a length, as many servers do it: the body is sent in chunks.
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.write(answer === undefined ? '' : JSON.stringify(answer))
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** Sends the requests of a work with the benchmark's load. */
async function loaded({ requests, origin, member }: ExternalWork): Promise<Measured> {
  const load = startChild('load.ts', { cores: '0,1' })
  try {
    const round = {
      port: 0,
      kind: 'requests',
      origin,
      member,
      requests: await requests(),
      seconds: 0.2,
      connections: 4,
    }
    return await load.ask<Measured>(round)
  } finally {
    await load.end()
  }
}

function assertAllRight({ answers, wrong, example }: Measured): void {
  assert.equal(wrong, 0, example)
  assert.ok(answers > 4, `${answers} answers`)
}

/** Keycloak's endpoints, as its documentation describes them. */
function keycloakReply({ method, path, headers, form, json }: Seen): Reply {
  const realm = /\/realms\/(stagedoor-bench-[0-9a-f]+)/.exec(path)?.[1]
  if (path === '/auth/realms/master/protocol/openid-connect/token') {
    const right =
      form.get('client_id') === 'admin-cli' && form.get('username') === 'admin' && form.get('password') === 'a:b'
    return right && form.get('grant_type') === 'password' ? [200, { access_token: 'of-admin' }] : [401]
  }
  if (path === `/auth/realms/${realm}/protocol/openid-connect/token`) {
    if (form.get('grant_type') === 'password') return [200, { access_token: `of-${form.get('username')}` }]
    const isExchange =
      form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:token-exchange' &&
      form.get('client_id') === 'bench-support' &&
      form.get('subject_token_type') === 'urn:ietf:params:oauth:token-type:access_token' &&
      /^of-user-\d+$/.test(form.get('subject_token') ?? '')
    return isExchange ? [200, { access_token: 'exchanged', token_type: 'Bearer' }] : [400, { error: 'invalid_request' }]
  }
  if (headers.authorization !== 'Bearer of-admin') return [401]
  if (method === 'POST' && path === '/auth/admin/realms') return [201]
  if (method === 'POST' && path === `/auth/admin/realms/${realm}/clients`) return [201]
  if (method === 'POST' && path === `/auth/admin/realms/${realm}/users`)
    return [201, undefined, { location: `http://127.0.0.1/auth/admin/realms/${realm}/users/id-of-${json.username}` }]
  if (method === 'POST' && /\/users\/id-of-user-\d+\/impersonation$/.test(path))
    return [200, { sameRealm: false, redirect: 'http://127.0.0.1/realms/x/account' }]
  if (method === 'DELETE' && path === `/auth/admin/realms/${realm}`) return [204]
  return [404]
}

test('Keycloak: sends what its documentation asks for, and deletes its realm', async () => {
  await using product = await fakeProduct(keycloakReply)
  {
    await using external = await keycloak({ url: `${product.url}/auth/`, admin: 'admin:a:b', pids: [7] })
    assert.deepEqual(external.pids, [7])
    const clients = product.seen.filter(({ path }) => path.endsWith('/clients')).map(({ json }) => json)
    assert.deepEqual(clients[0]?.attributes, { 'standard.token.exchange.enabled': 'true' })
    const names = external.works.map(({ name }) => name)
    assert.deepEqual(names, ['Keycloak: impersonation', 'Keycloak: token exchange'])
    for (const work of external.works) assertAllRight(await loaded(work))
  }
  assert.equal(product.seen.at(-1)?.method, 'DELETE')
  const impersonations = product.seen.filter(({ path }) => path.endsWith('/impersonation'))
  assert.ok(new Set(impersonations.map(({ path }) => path)).size > 4, 'different users')
  assert.equal(impersonations[0]?.headers.host, new URL(product.url).host)
})

test('Keycloak: a failed preparation names the request, and deletes the realm', async () => {
  await using product = await fakeProduct(seen =>
    seen.path.endsWith('/clients') ? [409, { errorMessage: 'exists' }] : keycloakReply(seen),
  )
  await assert.rejects(
    keycloak({ url: `${product.url}/auth`, admin: 'admin:a:b' }),
    /POST .*\/clients: expected status 201, got 409: .*exists/,
  )
  assert.equal(product.seen.at(-1)?.method, 'DELETE')
})

test('Hydra: sends what its documentation asks for, and deletes its client', async () => {
  await using product = await fakeProduct(({ method, path, form }) => {
    if (method === 'POST' && path === '/admin/clients') return [201, { client_id: 'its-id' }]
    if (method === 'DELETE' && path === '/admin/clients/its-id') return [204]
    const right = form.get('client_id') === 'its-id' && form.get('grant_type') === 'client_credentials'
    return path === '/oauth2/token' && right ? [200, { access_token: 'a.b.c' }] : [404]
  })
  {
    await using external = await hydra({ admin: product.url, public: product.url })
    const [work] = external.works
    assert.ok(work)
    assertAllRight(await loaded(work))
  }
  const [created] = product.seen
  assert.equal(created?.json.access_token_strategy, 'jwt')
  const token = product.seen.find(({ path }) => path === '/oauth2/token')
  assert.equal(token?.form.get('client_secret'), created?.json.client_secret)
  assert.equal(product.seen.at(-1)?.method, 'DELETE')
})

test('the options name an installation completely', () => {
  const { hydra: at, keycloak: none } = optionsOf(['--hydra-admin', 'http://127.0.0.1:4445', '--hydra-pid', '12,13'])
  assert.deepEqual(at, {
    admin: 'http://127.0.0.1:4445',
    public: 'http://127.0.0.1:4444',
    pids: [12, 13],
    databasePids: [],
  })
  assert.equal(none, undefined)
  assert.throws(() => optionsOf(['--keycloak', 'http://127.0.0.1:8080']), /--keycloak-admin/)
  assert.throws(() => optionsOf(['--parts', 'sqlite,unknown']), /no part unknown/)
})
