import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { context, propagation } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CBaggagePropagator } from '@opentelemetry/core'
import { Analytics } from '@segment/analytics-node'
import * as Sentry from '@sentry/node'
import { Stagedoor } from '@stagedoor/sdk'
import { recordAs } from '@stagedoor/sdk/record-as'
import { type Auth, createAuthenticator } from '@stagedoor/sdk/request'
import { PostHog } from 'posthog-node'
import { SECRET_KEY, type TestServer, testServer } from '../../../test/support/server.ts'

const actor = { sub: 'olivia@support', name: 'Olivia' }

let server: TestServer
let userId: string
/** The auth of requests, from real tokens. */
let own: Auth
let acting: Auth
let nobody: Auth

/** A server for the clients of these tests; `sent` is what it received, as text. */
let sink: Server
let sinkURL: string
let sent: string[] = []

before(async () => {
  server = await testServer({ realTime: true, env: { STAGEDOOR_SIGNING_ALG: 'RS256' } })
  const serverURL = await server.listen()
  const stagedoor = new Stagedoor({ secretKey: SECRET_KEY, serverURL })
  userId = (await stagedoor.users.create()).id
  const session = await stagedoor.sessions.create({ userId })
  const { token: ticket = '' } = await stagedoor.actorTokens.create({ userId, actor })
  const tokens = [await stagedoor.sessions.getToken(session.id), (await stagedoor.actorTokens.accept({ ticket })).token]

  const authenticate = createAuthenticator({ issuer: 'http://127.0.0.1:4100', jwks: await stagedoor.jwks.get() })
  const from = (headers: Record<string, string>) => authenticate(new Request('https://app.example.com/', { headers }))
  nobody = await from({})
  ;[own, acting] = (await Promise.all(tokens.map(({ jwt }) => from({ authorization: `Bearer ${jwt}` })))) as [
    Auth,
    Auth,
  ]
  assert.deepEqual([own.userId, acting.userId, acting.isActing, nobody.userId], [userId, userId, true, null])

  sink = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    sent.push((request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString())
    response.setHeader('content-type', 'application/json').end('{}')
  }).listen(0, '127.0.0.1')
  await once(sink, 'listening')
  sinkURL = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`
})
after(async () => {
  sink.close()
  await server[Symbol.asyncDispose]()
})
beforeEach(() => {
  sent = []
})

describe('recordAs', () => {
  it('runs code for the user’s own actions, and skips it while acting', () => {
    const seen: string[] = []
    for (const auth of [own, acting, nobody]) {
      const given = recordAs(auth).unlessActing(() => seen.push(String(auth.userId)))
      assert.equal(given, auth.isActing ? undefined : seen.length)
    }
    assert.deepEqual(seen, [userId, 'null'])
  })

  it('has tags for logs, which show whether an actor is acting', () => {
    assert.deepEqual(recordAs(acting).tags, { acting: true, actor_id: 'olivia@support', acting_as: userId })
    assert.deepEqual(recordAs(own).tags, { acting: false })
    assert.deepEqual(
      [own, acting, nobody].map(auth => recordAs(auth).isActing),
      [false, true, false],
    )
  })

  it('refuses a value that is no auth', () => {
    for (const wrong of [undefined, null, {}, Promise.resolve(acting), { userId }])
      assert.throws(() => recordAs(wrong as never), /recordAs\(await auth\(\)\)/)
  })
})

describe('PostHog', () => {
  /** Returns what posthog-node sends. */
  async function captured(capture: (posthog: PostHog) => void) {
    const posthog = new PostHog('phc_test', { host: sinkURL, flushAt: 1, disableGeoip: false })
    capture(posthog)
    await posthog.shutdown()
    return sent.flatMap(text => JSON.parse(text).batch) as {
      event: string
      distinct_id: string
      properties: Record<string, unknown>
    }[]
  }

  it('sends the user’s own event unchanged', async () => {
    const [event] = await captured(posthog =>
      posthog.capture(
        recordAs(own).postHog({ event: 'order viewed', properties: { order: 7, $set: { plan: 'pro' } } }),
      ),
    )
    assert.deepEqual([event?.event, event?.distinct_id], ['order viewed', userId])
    const { order, $set, acting, $process_person_profile } = event?.properties ?? {}
    assert.deepEqual(
      { order, $set, acting, $process_person_profile },
      {
        order: 7,
        $set: { plan: 'pro' },
        acting: undefined,
        $process_person_profile: undefined,
      },
    )
  })

  it('while acting, the event belongs to the actor, is tagged, and changes no profile', async () => {
    const event = {
      event: 'order viewed',
      distinctId: userId,
      properties: { order: 7, $set: { plan: 'pro' }, $set_once: { seen: 1 }, $unset: ['x'], acting: false },
    }
    const [found] = await captured(posthog => posthog.capture(recordAs(acting).postHog(event)))
    assert.equal(found?.distinct_id, 'olivia@support')
    const { order, $set, $set_once, $unset, $process_person_profile, ...rest } = found?.properties ?? {}
    assert.deepEqual([order, $set, $set_once, $unset], [7, undefined, undefined, undefined])
    assert.equal($process_person_profile, false)
    assert.deepEqual([rest['acting'], rest['actor_id'], rest['acting_as']], [true, 'olivia@support', userId])
  })

  it('without a user, an event needs a distinct id', async () => {
    const [event] = await captured(posthog =>
      posthog.capture(recordAs(nobody).postHog({ event: 'visited', distinctId: 'anonymous-1' })),
    )
    assert.equal(event?.distinct_id, 'anonymous-1')
    assert.throws(() => recordAs(nobody).postHog({ event: 'visited' }), /distinctId/)
  })
})

describe('Segment', () => {
  async function tracked(track: (analytics: Analytics) => void) {
    const analytics = new Analytics({ writeKey: 'test', host: sinkURL, maxEventsInBatch: 1 })
    track(analytics)
    await analytics.closeAndFlush()
    return sent.flatMap(text => JSON.parse(text).batch) as {
      type: string
      userId?: string
      anonymousId?: string
      context: Record<string, unknown>
      properties: Record<string, unknown>
    }[]
  }

  it('sends the user’s own message unchanged', async () => {
    const [message] = await tracked(analytics => {
      analytics.track(
        recordAs(own).segment({ event: 'Order Viewed', properties: { order: 7 }, context: { ip: '::1' } }),
      )
    })
    assert.deepEqual([message?.type, message?.userId, message?.properties], ['track', userId, { order: 7 }])
    const { ip, acting, active } = message?.context ?? {}
    assert.deepEqual({ ip, acting, active }, { ip: '::1', acting: undefined, active: undefined })
  })

  it('while acting, the message belongs to the actor, is tagged in its context, and does not count as user activity', async () => {
    const [track, page] = await tracked(analytics => {
      analytics.track(recordAs(acting).segment({ event: 'Order Viewed', userId, context: { ip: '::1', active: true } }))
      analytics.page(recordAs(acting).segment({ name: 'Orders' }))
    })
    for (const message of [track, page]) {
      assert.equal(message?.userId, 'olivia@support')
      const { acting: tagged, actor_id, acting_as, active } = message?.context ?? {}
      assert.deepEqual([tagged, actor_id, acting_as, active], [true, 'olivia@support', userId, false])
    }
    assert.equal(track?.context['ip'], '::1')
  })

  it('without a user, a message needs a user id or an anonymous id', async () => {
    const [message] = await tracked(analytics => {
      analytics.track(recordAs(nobody).segment({ event: 'Visited', anonymousId: 'a1' }))
    })
    assert.deepEqual([message?.userId, message?.anonymousId], [undefined, 'a1'])
    assert.throws(() => recordAs(nobody).segment({}), /`userId` or `anonymousId`/)
  })
})

describe('Sentry', () => {
  before(() => {
    Sentry.init({
      dsn: `${sinkURL.replace('//', '//key@')}/1`,
      defaultIntegrations: false,
    })
  })
  after(() => Sentry.close(2_000))

  /** The error as it is sent, from the isolation scope of a request. */
  async function reported(...auths: Auth[]) {
    sent = []
    Sentry.withIsolationScope(scope => {
      for (const auth of auths) recordAs(auth).sentry(scope)
      Sentry.captureException(new Error('it broke'))
    })
    assert.equal(await Sentry.flush(5_000), true)
    const lines = sent.flatMap(text => text.split('\n')).filter(Boolean)
    return lines.map(line => JSON.parse(line)).find(each => each.exception) as {
      user?: { id?: string }
      tags?: Record<string, unknown>
    }
  }

  it('errors belong to the user and name the actor', async () => {
    const { user, tags } = await reported(acting)
    assert.deepEqual([user?.id, tags], [userId, { acting: true, actor_id: 'olivia@support' }])
  })

  it('a reused scope keeps nothing of the previous request', async () => {
    const usersOwn = await reported(acting, own)
    assert.deepEqual([usersOwn.user?.id, usersOwn.tags], [userId, { acting: false }])
    const nobodys = await reported(acting, nobody)
    assert.deepEqual([nobodys.user?.id, nobodys.tags], [undefined, { acting: false }])
  })
})

describe('OpenTelemetry', () => {
  before(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    propagation.setGlobalPropagator(new W3CBaggagePropagator())
  })
  after(() => {
    context.disable()
    propagation.disable()
  })

  /** The baggage of a request made inside, after a request has arrived with this baggage. */
  async function sentOn(auth: Auth, incoming: Record<string, string> = {}): Promise<Record<string, string>> {
    return context.with(propagation.extract(context.active(), incoming), () =>
      recordAs(auth).openTelemetry({ context, propagation }, async () => {
        await new Promise(resolve => setImmediate(resolve))
        const headers: Record<string, string> = {}
        propagation.inject(context.active(), headers)
        const entries = (headers['baggage'] ?? '').split(',').filter(Boolean)
        return Object.fromEntries(entries.map(entry => entry.split('=').map(decodeURIComponent)))
      }),
    )
  }

  it('baggage names the user and the actor', async () => {
    assert.deepEqual(await sentOn(acting), { 'enduser.id': userId, actor: 'olivia@support' })
    assert.deepEqual(await sentOn(own), { 'enduser.id': userId })
    assert.deepEqual(await sentOn(nobody), {})
  })

  it('replaces identities from the caller, and passes on the rest of its baggage', async () => {
    const baggage = 'enduser.id=user_forged,actor=mallory,tenant=t1'
    assert.deepEqual(await sentOn(acting, { baggage }), { 'enduser.id': userId, actor: 'olivia@support', tenant: 't1' })
    assert.deepEqual(await sentOn(own, { baggage }), { 'enduser.id': userId, tenant: 't1' })
    assert.deepEqual(await sentOn(nobody, { baggage }), { tenant: 't1' })
  })

  it('changes nothing outside', async () => {
    await sentOn(acting)
    assert.equal(propagation.getBaggage(context.active()), undefined)
  })
})
