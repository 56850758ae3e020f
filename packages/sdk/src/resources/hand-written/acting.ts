/** The method of `Acting` that follows a stream. `npm run generate` adds each exported function to the class. */
import { followStream } from '../../follow.ts'
import type { Http } from '../../http.ts'
import type { ActingEvent } from '../../models/acting-event.ts'

/**
 * Follows who is acting until the connection ends: first `ready`, then `begun`, `changed` and `ended`, and a `heartbeat` every
 * five seconds. Read {@link list} after `ready`, and apply later events to that list. An event may be sent twice. After an
 * interruption, follow again.
 *
 * @param options `signal` ends the stream
 * @throws StagedoorError `clerk_key_invalid`, `too_many_streams`, `connection_failed` (also if the connection is lost later),
 *   `aborted`
 * @see `GET /v1/acting/stream` (Stagedoor only), server-sent events
 * @example
 * for await (const { event, data } of stagedoor.acting.follow()) {
 *   if (event === 'begun') console.log(`${data.actorSub} acts as ${data.user.name}`)
 * }
 */
export function follow(
  http: Http,
  options?: { signal?: AbortSignal | undefined },
): AsyncGenerator<ActingEvent, void, undefined> {
  return followStream<ActingEvent>(http, {
    path: '/v1/acting/stream',
    signal: options?.signal,
    of: 'acting sessions',
    action: 'Follow it again, and read the list after `ready`.',
  })
}
