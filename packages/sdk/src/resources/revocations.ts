import { followStream } from '../follow.ts'
import type { Http } from '../http.ts'
import type { RevocationEvent } from '../models/components.ts'
import type { FollowRevocationsQuery } from '../models/operations.ts'

/** A live stream of revocations. */
export class Revocations {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Follows revocations until the connection ends. First come earlier revocations, then `current`, then new revocations, and
   * a `heartbeat` every five seconds. To resume after an interruption, pass the last `id` as `lastEventId`; some events are
   * then sent twice. To refuse tokens of revoked sessions, use `followRevocations` of `@stagedoor/sdk/verify` instead.
   *
   * @param query `since` in Unix milliseconds (default: now minus the lifetime of a session token); `lastEventId`
   * @param options `signal` ends the stream
   * @throws StagedoorError `clerk_key_invalid`, `connection_failed` (also if the connection is lost later), `aborted`
   * @see `GET /v1/revocations` (Stagedoor only), server-sent events
   * @example
   * for await (const { event, data } of stagedoor.revocations.follow()) {
   *   if (event === 'session-revoked') console.log(`${data.sid} was revoked`)
   * }
   */
  async *follow(
    { lastEventId, ...query }: FollowRevocationsQuery & { lastEventId?: string | undefined } = {},
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<RevocationEvent, void, undefined> {
    yield* followStream<RevocationEvent>(this.#http, {
      path: '/v1/revocations',
      query,
      headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
      signal,
      of: 'revocations',
      action: 'Follow it again, with the last `id` as `lastEventId`.',
    })
  }
}
