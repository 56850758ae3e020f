import { z } from 'zod'
import { Id, Milliseconds, milliseconds, operation } from './operation.ts'

const SCOPES = ['user_id', 'actor_sub', 'everything'] as const

export const revokeAllSessions = operation({
  id: 'RevokeAllSessions',
  method: 'post',
  path: '/v1/sessions/revoke_all',
  tag: 'Sessions',
  summary: 'Revoke all sessions and tokens of a user, of an actor, or of the whole server',
  description:
    'The kill switch: revokes every matching session and every matching pending actor token or sign-in token. Once this request is answered, no node mints or redeems anything for them, no matter how many there are. Give exactly one of `user_id`, `actor_sub` and `everything`.',
  auth: 'secret_key',
  rights: ['act'],
  roles: ['approver', 'admin'],
  stepUp: ({ everything }: { everything?: true }) => everything === true,
  neverShed: true,
  action: 'session.revoke_all',
  body: z
    .strictObject({
      user_id: Id.optional().describe(
        'Revoke everything of this user: their own sessions, and sessions of actors who act as them.',
      ),
      actor_sub: Id.max(256).optional().describe('Revoke everything of this actor, for every user.'),
      everything: z.literal(true).optional().describe('Revoke everything, for all users.'),
      reason: z.string().min(1).max(500).optional().describe('Stored in the audit log.'),
    })
    .superRefine((body, context) => {
      const [first, second] = SCOPES.filter(name => body[name] !== undefined)
      if (first !== undefined && second === undefined) return
      const rule = 'give exactly one of `user_id`, `actor_sub` and `everything`'
      const code = first === undefined ? 'missing' : 'value'
      const path = [second ?? 'user_id']
      context.addIssue({ code: 'custom', path, params: { code }, message: `omitted: ${rule}` })
    })
    .meta({ id: 'RevokeAllSessionsRequestBody', oneOf: SCOPES.map(name => ({ required: [name] })) }),
  response: z
    .strictObject({
      object: z.literal('revocation'),
      user_id: Id.nullable(),
      actor_sub: Id.nullable(),
      everything: z.boolean(),
      not_before: Milliseconds.describe('The cutoff: everything that was created up to this time is revoked.'),
      revoked_sessions: z.int().min(0).describe('Number of sessions marked so far.'),
      revoked_tokens: z.int().min(0).describe('Number of pending tokens marked so far.'),
      complete: z
        .boolean()
        .describe('`false` if some have not been marked yet, each with its audit event. They are already revoked.'),
      matched: z
        .boolean()
        .describe(
          '`false` if this `actor_sub` has never had a token or a session here. The cutoff is set anyway. An `actor_sub` is compared byte for byte.',
        ),
      similar_actor_subs: z
        .array(z.string())
        .optional()
        .describe(
          'If nothing matched: up to 5 actors whose `sub` differs only in case, white space or Unicode normalization.',
        ),
    })
    .meta({ id: 'Revocation' }),
  errors: ['resource_not_found'],
  stagedoorOnly: true,
})

export const followRevocations = operation({
  id: 'FollowRevocations',
  method: 'get',
  path: '/v1/revocations',
  tag: 'Sessions',
  summary: 'Follow revocations as server-sent events',
  description:
    'For verifiers that must reject a revoked token before it expires. Events: `session-revoked` (a session ended before it expired), `sessions-revoked-before` (all sessions of a user, of an actor or of the whole server that began up to a time), `current` (everything up to now has been sent), `heartbeat` (every 5 seconds). The server ends the stream within a second after the secret key is revoked or expires. A new stream resumes after `Last-Event-ID`. An event may be sent twice, most often after resuming.',
  auth: 'secret_key',
  rights: ['act'],
  roles: [],
  neverShed: true,
  query: z.strictObject({
    since: milliseconds
      .optional()
      .describe(
        'Start with revocations since this time (ms). Default: since the oldest session token that can still be valid was minted.',
      ),
  }),
  response: z.string().meta({ description: 'text/event-stream' }),
  stream: true,
  errors: ['too_many_streams'],
  stagedoorOnly: true,
})
