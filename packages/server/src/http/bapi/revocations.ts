import * as contract from '../../contract/revocations.ts'
import type { Revocation } from '../../domain/revocation-feed.ts'
import { type RevokeAll, revokeAll } from '../../domain/revocations.ts'
import { type Http, mount } from '../mount.ts'
import { eventStream } from './event-stream.ts'
import { presentRevocation } from './present.ts'

/** Verifiers may accept a token for this time after it has expired, in ms. */
const LEEWAY = 60_000

export function mountRevocations(http: Http): void {
  mount(http, contract.revokeAllSessions, async (ctx, { body }) =>
    presentRevocation(await revokeAll(ctx, body as RevokeAll)),
  )
  mount(http, contract.followRevocations, async (ctx, { query, header, headers }) => {
    const lastSeen = /^\d{1,16}$/.exec(header('last-event-id') ?? '')?.[0]
    const oldestToken = ctx.clock.now() - ctx.settings.session_token_lifetime_seconds * 1_000 - LEEWAY
    const since = lastSeen ? Number(lastSeen) : (query.since ?? oldestToken)
    return eventStream(ctx, http.log, headers, {
      kind: 'revocations',
      failure: 'the revocation feed could not be read',
      follow: send =>
        ctx.revocationFeed.follow(
          since,
          revocation => send(...eventOf(revocation)),
          () => send('current', { at: ctx.clock.now() }, ctx.clock.now()),
        ),
    })
  })
}

/** Converts a revocation to an event. The names follow OpenID CAEP (session-revoked) and JWT claims. */
function eventOf(revocation: Revocation): [event: string, data: object, id: number] {
  if (revocation.kind === 'session') {
    const { id, user_id, actor_sub, status } = revocation.session
    const data = { sid: id, sub: user_id, actor_sub, reason: status, at: revocation.at }
    return ['session-revoked', data, revocation.at]
  }
  const { scope, subject, at } = revocation.cutoff
  const data = {
    sub: scope === 'user' ? subject : null,
    actor_sub: scope === 'actor' ? subject : null,
    everything: scope === 'everything',
    not_before: at,
  }
  return ['sessions-revoked-before', data, at]
}
