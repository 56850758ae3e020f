import { z } from 'zod'
import { Id, Milliseconds, milliseconds, operation } from './operation.ts'

const SCOPES = ['user_id', 'actor_sub', 'everything'] as const

export const revokeAllSessions = operation({
  id: 'RevokeAllSessions',
  method: 'post',
  path: '/v1/sessions/revoke_all',
  tag: 'Sessions',
  summary: 'Revoke everything of a user, of an actor, or of everybody',
  description:
    'The kill switch: every session and every pending actor or sign-in token that there is. Once this is answered nothing more is minted or redeemed for them, on any node, however many they are. Give exactly one of `user_id`, `actor_sub` and `everything`.',
  auth: 'secret_key',
  urgent: true,
  action: 'session.revoke_all',
  body: z
    .strictObject({
      user_id: Id.optional().describe(
        'Everything of this user: their own sessions, and those in which somebody acts as them.',
      ),
      actor_sub: Id.max(256).optional().describe('Everything that this actor does, as whomever.'),
      everything: z.literal(true).optional().describe('Everything of everybody.'),
      reason: z.string().min(1).max(500).optional().describe('Kept in the audit log.'),
    })
    .superRefine((body, context) => {
      const [first, second] = SCOPES.filter(name => body[name] !== undefined)
      if (first !== undefined && second === undefined) return
      const rule = 'give exactly one of `user_id`, `actor_sub` and `everything`'
      const code = first === undefined ? 'missing' : 'value'
      const path = [second ?? 'user_id']
      context.addIssue({ code: 'custom', path, params: { code }, message: `left out: ${rule}` })
    })
    .meta({ id: 'RevokeAllSessionsRequestBody', oneOf: SCOPES.map(name => ({ required: [name] })) }),
  response: z
    .strictObject({
      object: z.literal('revocation'),
      user_id: Id.nullable(),
      actor_sub: Id.nullable(),
      everything: z.boolean(),
      not_before: Milliseconds.describe('What was there up to this time is revoked.'),
      revoked_sessions: z.int().min(0).describe('How many sessions have been marked so far.'),
      revoked_tokens: z.int().min(0).describe('How many pending tokens have been marked so far.'),
      complete: z
        .boolean()
        .describe('False if some are still to be marked, each with its audit event. They are revoked all the same.'),
      matched: z
        .boolean()
        .describe(
          'False if this `actor_sub` has never had a token or a session here. The cutoff is set anyway. An `actor_sub` is compared byte for byte.',
        ),
      similar_actor_subs: z
        .array(z.string())
        .optional()
        .describe(
          'If nothing matched: actors whose `sub` differs only in case, white space or Unicode normalization. At most 5.',
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
  summary: 'Follow what is revoked',
  description:
    'Server-sent events, for verifiers that refuse a token before its time is over. Events: `session-revoked` (a session ended before its time), `sessions-revoked-before` (all of a user, an actor or everybody, begun up to a time), `current` (everything up to now has been sent), `heartbeat` (every 5 seconds). The server ends the stream within a second after the secret key is revoked. Resumes after `Last-Event-ID`; then, and at times otherwise, an event may come twice.',
  auth: 'secret_key',
  urgent: true,
  query: z.strictObject({
    since: milliseconds
      .optional()
      .describe(
        'Begin with what was revoked since this time (ms). Unless told: since the oldest session token that can still be good was minted.',
      ),
  }),
  response: z.string().meta({ description: 'text/event-stream' }),
  stream: true,
  errors: ['too_many_streams'],
  stagedoorOnly: true,
})
