import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Child, startChild } from '../../../bench/child.ts'
import type { Kept, Kind, Prepare, Rate } from '../../../bench/rate.ts'
import { goal, times } from '../../../test/support/deep.ts'
import { bapi } from '../src/contract/bapi.ts'
import { fapi } from '../src/contract/fapi.ts'
import { neverShedRequests } from '../src/http/edge/load-shedding.ts'

/** More requests than the server can answer: it answers most, rejects the rest quickly, and answers revocations at once. */

describe('urgent requests, which the server never sheds', () => {
  const isUrgent = neverShedRequests([...bapi, ...fapi])
  const urgent = (method: string, url: string) => isUrgent({ method, url } as IncomingMessage)

  it('revoke something, or read the health of the server', () => {
    for (const [method, url] of [
      ['POST', '/v1/actor_tokens/act_1/revoke'],
      ['POST', '/v1/sign_in_tokens/sit_1/revoke'],
      ['POST', '/v1/sessions/sess_1/revoke?x=y'],
      ['POST', '/v1/users/user_1/ban'],
      ['POST', '/v1/users/user_1/lock'],
      ['DELETE', '/v1/users/user_1'],
      ['POST', '/v1/client/sessions/sess_1/end'],
      ['POST', '/v1/client/sessions/sess_1/remove?_clerk_js_version=6'],
      ['DELETE', '/v1/client/sessions'],
      ['POST', '/v1/client/sessions?_method=DELETE'],
      ['POST', '/v1/client?a=b&_method=DELETE'],
      ['GET', '/.well-known/jwks.json'],
      ['GET', '/v1/jwks'],
      ['GET', '/healthz'],
      ['GET', '/readyz'],
    ] as const)
      assert.equal(urgent(method, url), true, `${method} ${url}`)
  })

  it('do not include any other operation', () => {
    for (const [method, url] of [
      ['POST', '/v1/actor_tokens'],
      ['POST', '/v1/actor_tokens/accept'],
      ['POST', '/v1/actor_tokens/act_1/x/revoke'],
      ['POST', '/v1/users/user_1/unban'],
      ['GET', '/v1/users/user_1/ban'],
      ['PATCH', '/v1/users/user_1'],
      ['POST', '/v1/client/sessions/sess_1/tokens'],
      ['POST', '/v1/client/sessions?_method=PATCH'],
      ['GET', '/v1/client/sessions?_method=DELETE'],
      ['POST', '/v1/client/sign_ins?x=/revoke'],
      ['GET', '/xwell-known/jwks.json'],
      ['GET', '/healthz/x'],
      ['GET', '//healthz'],
    ] as const)
      assert.equal(urgent(method, url), false, `${method} ${url}`)
  })
})

const SECRET_KEY = `sk_live_${randomBytes(24).toString('hex')}`
/** The load on an overloaded server: mostly session tokens. */
const MIX: Partial<Record<Kind, number>> = { mint: 0.9, create: 0.06, redeem: 0.04 }
const URGENT: Partial<Record<Kind, number>> = { revoke_token: 10, revoke_session: 10, health: 5, jwks: 5 }

interface Bench extends AsyncDisposable {
  /** Keeps up a total rate of the default mix. */
  load(rate: number, seconds: number, more?: Partial<Rate>): Promise<Kept>
  /** Sends revocations from another process. */
  urgent(seconds: number): Promise<Kept>
  loopDelay(): Promise<{ p99: number; max: number }>
}

/** A real server on one core, and the load on the other. */
async function bench({ toRevoke = 100 } = {}): Promise<Bench> {
  // In the project's folder, not in /tmp: /tmp may be memory, where a disk sync costs nothing.
  const cache = fileURLToPath(new URL('../../../node_modules/.cache', import.meta.url))
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'stagedoor-overload-'))
  const children: Child[] = []
  const started = (file: string, cores: string, env: Record<string, string> = {}) => {
    const child = startChild(file, { cores, env })
    children.push(child)
    return child
  }
  const server = started('server.ts', '0', {
    STAGEDOOR_DATABASE_URL: `sqlite:${join(folder, 'overload.db')}`,
    STAGEDOOR_MASTER_KEY: randomBytes(32).toString('base64'),
    STAGEDOOR_SECRET_KEY: SECRET_KEY,
    STAGEDOOR_PUBLIC_URL: 'https://auth.example.com',
    STAGEDOOR_PORT: '0',
    STAGEDOOR_LOG_LEVEL: 'error',
  })
  const port = await server.ask<number>({})
  const [usual, urgent] = [started('rate.ts', '1'), started('rate.ts', '1')]
  const of = { port, secretKey: SECRET_KEY }
  await usual.ask({ prepare: { ...of, users: 50, sessions: 200 } } satisfies Prepare)
  await urgent.ask({ prepare: { ...of, users: 5, toRevoke } } satisfies Prepare)
  return {
    load(rate, seconds, more) {
      const rates = Object.fromEntries(Object.entries(MIX).map(([kind, share]) => [kind, share * rate]))
      return usual.ask<Kept>({ ...of, rates, seconds, connections: 400, use: 'all', ...more } satisfies Rate)
    },
    urgent: seconds => urgent.ask<Kept>({ ...of, rates: URGENT, seconds, connections: 50, use: 'all' } satisfies Rate),
    loopDelay: () => server.ask({ loopDelay: true }),
    async [Symbol.asyncDispose]() {
      for (const child of children.reverse()) await child.end()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Returns the number of revocations and health requests that were not served. */
function unserved({ kinds }: Kept): number {
  const asked = Object.keys(URGENT) as Kind[]
  return asked.reduce((sum, kind) => sum + kinds[kind].refused + kinds[kind].limited + kinds[kind].wrong, 0)
}

describe('an overloaded server', { concurrency: false }, () => {
  it('answers what it can, rejects the rest, and serves every revocation', {
    timeout: 120_000,
  }, async () => {
    await using it = await bench()
    const [kept, urgent] = await Promise.all([it.load(20_000, 3), it.urgent(3)])
    assert.equal(kept.wrong, 0, kept.example)
    assert.ok(kept.ok > 100 && kept.refused > 100, `${kept.ok} done, ${kept.refused} refused`)
    assert.equal(unserved(urgent), 0, JSON.stringify(urgent.kinds))
    assert.ok(urgent.kinds.revoke_token.ok > 5 && urgent.kinds.revoke_session.ok > 5, JSON.stringify(urgent.kinds))
    await sleep(1_000)
    let after = await it.load(20, 1)
    for (let tries = 0; after.refused > 0 && tries < 5; tries++) after = await it.load(20, 1)
    assert.equal(after.refused + after.wrong, 0)
  })

  it('keeps doing so under a lasting load', { timeout: 1_800_000, skip: times(1, 0) === 1 }, async () => {
    await using it = await bench({ toRevoke: 4_000 })
    // With this few requests in flight a server is never overloaded.
    const capacity = async (seconds: number) => (await it.load(50_000, seconds, { connections: 16 })).ok / seconds
    await capacity(15)
    const peak = await capacity(20)
    const half = await it.load(peak / 2, 10)
    await it.loopDelay()
    const calm = await it.load(peak / 2, 60)
    const delay = await it.loopDelay()
    const seconds = 300
    const [kept, urgent] = await Promise.all([it.load(peak * 2, seconds, { connections: 1_000 }), it.urgent(seconds)])
    const after = await it.load(peak / 2, 15)
    // The first second from which three seconds are as good as before: single slow moments happen at half load too.
    const asBefore = after.timeline.map(({ refused, p99 }) => refused === 0 && p99 <= 4 * calm.p99)
    const recovered = asBefore.findIndex((_, second) => asBefore.slice(second, second + 3).every(Boolean))
    const peakAfter = await capacity(20)
    const many = await it.load(peak * 2, 60, { connections: 2_000 })
    const fresh = await it.load(peak / 2, 30, { connections: 2_000, use: 'new' })

    const shown = (what: string, { ok, refused, lost, wrong, p50, p99, refusal_p99, seconds }: Kept) =>
      console.log(
        `  ${what}: ${(ok / seconds).toFixed(0)}/s done, p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} ms; ${(refused / seconds).toFixed(0)}/s refused, p99 ${refusal_p99.toFixed(1)} ms; ${lost} lost, ${wrong} wrong`,
      )
    console.log(`  peak ${peak.toFixed(0)}/s before, ${peakAfter.toFixed(0)}/s after`)
    shown('half load, warming up', half)
    shown('half load', calm)
    shown('twice the peak', kept)
    shown('urgent requests', urgent)
    shown('half load after', after)
    shown('twice the peak on 2,000 connections', many)
    shown('half load, a connection each', fresh)

    assert.equal(kept.wrong + urgent.wrong, 0, kept.example ?? urgent.example)
    const share = kept.ok / seconds / peak
    const ratio = kept.p99 / calm.p99
    goal('G12-goodput-share-of-peak', share, '≥ 0.8', share >= 0.8)
    goal('G12-p99-ratio-to-half-load', ratio, '≤ 4', ratio <= 4)
    goal('G12-refusal-p99-ms', kept.refusal_p99, '≤ 100', kept.refusal_p99 <= 100)
    goal('G12-revocations-refused', unserved(urgent), '= 0', unserved(urgent) === 0)
    goal('G12-recovery-seconds', recovered, '≤ 5', recovered >= 0 && recovered <= 5)
    goal('K7-event-loop-delay-p99-ms-at-half-load', delay.p99, '< 50', delay.p99 < 50)
  })
})
