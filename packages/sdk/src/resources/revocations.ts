import { camelOf } from '../camel.ts'
import { StagedoorError } from '../errors.ts'
import { eventsOf } from '../event-stream.ts'
import type { Http } from '../http.ts'
import type { RevocationEvent } from '../models/components.ts'
import type { FollowRevocationsQuery } from '../models/operations.ts'

/** What has been revoked, as it happens. */
export class Revocations {
  readonly #http: Http

  constructor(http: Http) {
    this.#http = http
  }

  /**
   * Follows what is revoked, for as long as the connection lasts: what went before, then `current`, then whatever comes, and
   * a `heartbeat` every five seconds. To go on after an interruption give the last `id` as `lastEventId`; then some events
   * come twice. To have tokens refused, `followRevocations` of `@stagedoor/sdk/verify` does all this.
   *
   * @param query `since` in Unix milliseconds: as long ago as a session token may live unless given; `lastEventId`
   * @param options `signal` ends it
   * @throws StagedoorError `clerk_key_invalid`, `connection_failed` (also when it breaks off), `aborted`
   * @see `GET /v1/revocations` (Stagedoor only), server-sent events
   * @example
   * for await (const { event, data } of stagedoor.revocations.follow()) {
   *   if (event === 'session-revoked') console.log(`${data.sid} is over`)
   * }
   */
  async *follow(
    { lastEventId, ...query }: FollowRevocationsQuery & { lastEventId?: string | undefined } = {},
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<RevocationEvent, void, undefined> {
    const headers: Record<string, string> = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
    const body = await this.#http.stream('/v1/revocations', query, headers, signal)
    try {
      for await (const { event, id, data } of eventsOf(body))
        yield { event, id, data: camelOf(JSON.parse(data)) } as RevocationEvent
    } catch (cause) {
      const [code, message] = signal?.aborted
        ? (['aborted', 'Following what is revoked was given up, as its `signal` asked for'] as const)
        : (['connection_failed', 'The feed of what is revoked has broken off'] as const)
      const action = 'Follow it again, with the last `id` as `lastEventId`.'
      throw new StagedoorError(0, [{ code, message, action, paramName: undefined }], { cause })
    }
  }
}
