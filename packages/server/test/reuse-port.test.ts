import { equal, match, ok, rejects } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { freePort } from '../../../test/support/ports.ts'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { type Serving, serving } from '../../../test/support/serving.ts'

describe('STAGEDOOR_REUSE_PORT', () => {
  let postgres: PostgresCluster
  let shared: Record<string, string>
  before(async () => {
    postgres = await startPostgres({ settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } })
    shared = {
      STAGEDOOR_DATABASE_URL: await postgres.createDatabase(),
      STAGEDOOR_MASTER_KEY: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64'),
      STAGEDOOR_SECRET_KEY: `sk_live_${crypto.randomUUID().replaceAll('-', '')}${crypto.randomUUID().replaceAll('-', '')}`,
      STAGEDOOR_PORT: String(await freePort()),
      STAGEDOOR_RATE_LIMIT_KEY: 'none',
      STAGEDOOR_MAX_WAIT_MS: '60000',
    }
  })
  after(() => postgres[Symbol.asyncDispose]())

  const node = (reuse: boolean) => serving({ env: { ...shared, ...(reuse ? { STAGEDOOR_REUSE_PORT: 'true' } : {}) } })

  /** Sends a request on a new connection. */
  const ask = async ({ url, secretKey }: Serving) => {
    const headers = { authorization: `Bearer ${secretKey}`, connection: 'close' }
    return (await fetch(`${url}/v1/users/count`, { headers })).status
  }
  /**
   * The kernel resets connections that the stopping server has not accepted yet, unless `net.ipv4.tcp_migrate_req` is on.
   * Their requests were not read, so a client sends them again.
   */
  const askOnceMore = (server: Serving) =>
    ask(server).catch(error => {
      if (error.cause?.code !== 'ECONNRESET') throw error
      return ask(server)
    })
  const requestsOf = (server: Serving) => server.output().split('"msg":"request"').length - 1

  it('lets two servers answer at one port; when one of them stops, the other one answers', async () => {
    await using first = await node(true)
    await using second = await node(true)
    for (let tries = 0; tries < 200 && (requestsOf(first) === 0 || requestsOf(second) === 0); tries++)
      equal(await ask(first), 200)
    ok(requestsOf(first) > 0 && requestsOf(second) > 0, 'both answered')

    let stopped = false
    const failed: unknown[] = []
    const clients = Array.from({ length: 4 }, async () => {
      while (!stopped) {
        const outcome = await askOnceMore(second).catch(error => error.cause ?? error)
        if (outcome !== 200) failed.push(outcome)
      }
    })
    equal(await first.stopped('SIGTERM'), 0)
    stopped = true
    await Promise.all(clients)
    equal(failed.length, 0, String(failed[0]))
    equal(await ask(second), 200)
  })

  it('is off by default: a second server on the port fails with advice', async () => {
    await using first = await node(false)
    equal(await ask(first), 200)
    await rejects(node(false), /STAGEDOOR_PORT: port \d+ on \S+ is already in use/)
  })

  it('is refused on a SQLite file, which has one server', async () => {
    await rejects(serving({ env: { STAGEDOOR_REUSE_PORT: 'true' } }), error => {
      match(String(error), /STAGEDOOR_REUSE_PORT is true, but a SQLite file has one server/)
      return true
    })
  })
})
