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
import { SECRET_KEY, type TestServer, testServer } from '../../server/test/support.ts'

const actor = { sub: 'olivia@support', name: 'Olivia' }

let server: TestServer
let userId: string
/** Who requests are from, found out from real tokens. */
let own: Auth
let acting: Auth
let nobody: Auth

/** Where the clients of these tests send to: what they have sent, as text. */
let sink: Server
let sinkURL: string
let sent: string[] = []

before(async () => {
  server = await testServer({ realTime: true })
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
  it('does what is of the user’s own doing, and not while acting', () => {
    const seen: string[] = []
    for (const auth of [own, acting, nobody]) {
      const given = recordAs(auth).unlessActing(() => seen.push(String(auth.userId)))
      assert.equal(given, auth.isActing ? undefined : seen.length)
    }
    assert.deepEqual(seen, [userId, 'null'])
  })

  it('has tags for logs, and says whether somebody is acting', () => {
    assert.deepEqual(recordAs(acting).tags, { acting: true, actor_id: 'olivia@support', acting_as: userId })
    assert.deepEqual(recordAs(own).tags, { acting: false })
    assert.deepEqual(
      [own, acting, nobody].map(auth => recordAs(auth).isActing),
      [false, true, false],
    )
  })

  it('takes nothing for an auth that is none', () => {
    for (const wrong of [undefined, null, {}, Promise.resolve(acting), { userId }])
      assert.throws(() => recordAs(wrong as never), /recordAs\(await auth\(\)\)/)
  })
})

describe('PostHog', () => {
  /** What posthog-node sends. */
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

  it('the user’s own event is theirs, as it is', async () => {
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

  it('while acting it is the actor’s, tagged, and changes no profile, whoever it names', async () => {
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

  it('of nobody it names somebody, or is refused', async () => {
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

  it('the user’s own message is theirs, as it is', async () => {
    const [message] = await tracked(analytics => {
      analytics.track(
        recordAs(own).segment({ event: 'Order Viewed', properties: { order: 7 }, context: { ip: '::1' } }),
      )
    })
    assert.deepEqual([message?.type, message?.userId, message?.properties], ['track', userId, { order: 7 }])
    const { ip, acting, active } = message?.context ?? {}
    assert.deepEqual({ ip, acting, active }, { ip: '::1', acting: undefined, active: undefined })
  })

  it('while acting it is the actor’s, tagged in its context, and nobody is active', async () => {
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

  it('of nobody it names somebody, or is refused', async () => {
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

  it('errors are of the user, and say who is acting', async () => {
    const { user, tags } = await reported(acting)
    assert.deepEqual([user?.id, tags], [userId, { acting: true, actor_id: 'olivia@support' }])
  })

  it('nothing of it is left in a scope that is used again', async () => {
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

  /** The baggage of a request that is made inside, after one has come with this. */
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

  it('baggage says who the user is and who is acting', async () => {
    assert.deepEqual(await sentOn(acting), { 'enduser.id': userId, actor: 'olivia@support' })
    assert.deepEqual(await sentOn(own), { 'enduser.id': userId })
    assert.deepEqual(await sentOn(nobody), {})
  })

  it('the word of the caller does not count, and what else it has sent goes on', async () => {
    const baggage = 'enduser.id=user_forged,actor=mallory,tenant=t1'
    assert.deepEqual(await sentOn(acting, { baggage }), { 'enduser.id': userId, actor: 'olivia@support', tenant: 't1' })
    assert.deepEqual(await sentOn(own, { baggage }), { 'enduser.id': userId, tenant: 't1' })
    assert.deepEqual(await sentOn(nobody, { baggage }), { tenant: 't1' })
  })

  it('outside nothing has changed', async () => {
    await sentOn(acting)
    assert.equal(propagation.getBaggage(context.active()), undefined)
  })
})
