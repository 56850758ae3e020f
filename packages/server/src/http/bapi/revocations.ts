import type { Logger } from 'pino'
import * as contract from '../../contract/revocations.ts'
import type { Context } from '../../domain/context.ts'
import type { Revocation } from '../../domain/revocation-feed.ts'
import { type RevokeAll, revokeAll } from '../../domain/revocations.ts'
import type { AnswerHeaders } from '../answer.ts'
import { type Http, mount } from '../mount.ts'
import { presentRevocation } from './present.ts'

/** Interval between heartbeats, in ms. A verifier that receives nothing for longer has lost the stream. */
const HEARTBEAT = 5_000
/** Verifiers may accept a token for this time after it has expired, in ms. */
const LEEWAY = 60_000
/** Maximum unread bytes per follower. The server closes the stream of a slower follower, which resumes from its last event. */
const MAX_WAITING_BYTES = 4_000_000

export function mountRevocations(http: Http): void {
  mount(http, contract.revokeAllSessions, async (ctx, { body }) =>
    presentRevocation(await revokeAll(ctx, body as RevokeAll)),
  )
  mount(http, contract.followRevocations, async (ctx, { query, header, headers }) => {
    const lastSeen = /^\d{1,16}$/.exec(header('last-event-id') ?? '')?.[0]
    const oldestToken = ctx.clock.now() - ctx.settings.session_token_lifetime_seconds * 1_000 - LEEWAY
    return stream(ctx, http.log, lastSeen ? Number(lastSeen) : (query.since ?? oldestToken), headers)
  })
}

function stream(ctx: Context, log: Logger, since: number, headers: AnswerHeaders): Response {
  let end = () => {}
  const remove = ctx.eventStreams.add(ctx.caller.principal.id ?? '', () => end())
  const body = new ReadableStream<Uint8Array>(
    {
      async start(controller) {
        let over = false
        let waiting = () => 0
        const send = (event: string, id: number | undefined, data: object) => {
          if (over) return
          const text = `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
          controller.enqueue(new TextEncoder().encode(text))
          if (waiting() > MAX_WAITING_BYTES) end()
        }
        waiting = () => -(controller.desiredSize ?? 0)
        const heartbeat = setInterval(() => send('heartbeat', undefined, { at: ctx.clock.now() }), HEARTBEAT)
        let leave = () => {}
        end = () => {
          if (over) return
          over = true
          clearInterval(heartbeat)
          remove()
          leave()
          ctx.stopping.removeEventListener('abort', end)
          try {
            controller.close()
          } catch {
            // The follower has already disconnected.
          }
        }
        ctx.stopping.addEventListener('abort', end)
        controller.enqueue(new TextEncoder().encode('retry: 1000\n\n'))
        try {
          leave = await ctx.revocationFeed.follow(
            since,
            revocation => send(...eventOf(revocation)),
            () => send('current', ctx.clock.now(), { at: ctx.clock.now() }),
          )
          if (over) leave()
        } catch (err) {
          // The follower reconnects, as after every end of the stream.
          log.warn({ err, trace_id: ctx.caller.trace_id }, 'the revocation feed could not be read')
          end()
        }
      },
      cancel: () => end(),
    },
    { highWaterMark: 0, size: chunk => chunk?.byteLength ?? 0 },
  )
  return new Response(body, {
    headers: { ...headers, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' },
  })
}

/** Converts a revocation to an event. The names follow OpenID CAEP (session-revoked) and JWT claims. */
function eventOf(revocation: Revocation): [event: string, id: number, data: object] {
  if (revocation.kind === 'session') {
    const { id, user_id, actor_sub, status } = revocation.session
    const data = { sid: id, sub: user_id, actor_sub, reason: status, at: revocation.at }
    return ['session-revoked', revocation.at, data]
  }
  const { scope, subject, at } = revocation.cutoff
  const data = {
    sub: scope === 'user' ? subject : null,
    actor_sub: scope === 'actor' ? subject : null,
    everything: scope === 'everything',
    not_before: at,
  }
  return ['sessions-revoked-before', at, data]
}
