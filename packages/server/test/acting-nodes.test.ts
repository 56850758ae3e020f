import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, it } from 'node:test'
import { type PostgresCluster, startPostgres } from '../../../test/support/postgres/cluster.ts'
import { expectOk, testServer } from '../../../test/support/server.ts'
import { promised } from '../../../test/support/time.ts'
import { followEvents } from './follow-events.ts'

let postgres: PostgresCluster
before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } })
})
after(() => postgres[Symbol.asyncDispose]())

it('the stream of acting sessions reports within a second what begins and ends on another node', async () => {
  const env = {
    STAGEDOOR_DATABASE_URL: await postgres.createDatabase(),
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
  }
  await using first = await testServer({ env, realTime: true })
  await using second = await testServer({ env, realTime: true })
  const streams = [await followEvents(first, '/v1/acting/stream'), await followEvents(second, '/v1/acting/stream')]
  for (const stream of streams) await stream.until(({ event }) => event === 'ready')
  const took: number[] = []
  for (const [here, there] of [
    [first, streams[1]],
    [second, streams[0]],
  ] as const) {
    const sessions = await Promise.all(Array.from({ length: 20 }, () => here.signIn()))
    for (const { session_id } of sessions)
      await there?.until(({ event, data }) => event === 'begun' && data.id === session_id)
    for (const { session_id } of sessions) {
      const start = performance.now()
      expectOk(await here.call('POST', `/v1/sessions/${session_id}/revoke`))
      await there?.until(({ event, data }) => event === 'ended' && data.session_id === session_id)
      took.push(performance.now() - start)
    }
  }
  assert.ok(Math.max(...took) < promised(1_000), `${took}`)
  for (const stream of streams) await stream.stop()
})
