import type { Logger } from 'pino'
import type { Context } from '../../domain/context.ts'
import { streamOwner } from '../../domain/operators.ts'
import type { AnswerHeaders } from '../answer.ts'

/** Interval between heartbeats, in ms. A client that receives nothing for longer has lost the stream. */
const HEARTBEAT = 5_000
/** Maximum unread bytes per follower. The server closes the stream of a slower follower, which connects again. */
const MAX_WAITING_BYTES = 4_000_000

/** Sends one event. @param id its position, if the stream can be resumed */
export type Send = (event: string, data: object, id?: number) => void

export interface EventSource {
  /** The kind of stream: each kind has its own maximum. */
  kind: string
  /** Maximum streams of this kind per caller. Default: the setting. */
  max?: number
  /** The log message if the source fails. */
  failure: string
  /** Starts to send events. @returns a function that stops it */
  follow(send: Send): Promise<() => void>
}

/**
 * Returns an answer with server-sent events and heartbeats, until the caller disconnects, may no longer read it, reads too
 * slowly, or the server stops.
 * @throws ApiError too_many_streams
 */
export function eventStream(ctx: Context, log: Logger, headers: AnswerHeaders, source: EventSource): Response {
  let end = () => {}
  const remove = ctx.eventStreams.add(streamOwner(ctx.caller), () => end(), source)
  const body = new ReadableStream<Uint8Array>(
    {
      async start(controller) {
        let over = false
        const waiting = () => -(controller.desiredSize ?? 0)
        const send: Send = (event, data, id) => {
          if (over) return
          const text = `event: ${event}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
          controller.enqueue(new TextEncoder().encode(text))
          if (waiting() > MAX_WAITING_BYTES) end()
        }
        const heartbeat = setInterval(() => send('heartbeat', { at: ctx.clock.now() }), HEARTBEAT)
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
          leave = await source.follow(send)
          if (over) leave()
        } catch (err) {
          // The follower reconnects, as after every end of the stream.
          log.warn({ err, trace_id: ctx.caller.trace_id }, source.failure)
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
