import { z } from 'zod'
import { Access, ShownScopes, Understands } from './access.ts'
import { Actor } from './actor.ts'
import { cursorOf, Id, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'

export const SessionStatus = z.enum([
  'active',
  'revoked',
  'ended',
  'expired',
  'removed',
  'abandoned',
  'replaced',
  'pending',
])

export const Session = z
  .strictObject({
    object: z.literal('session'),
    id: Id,
    user_id: Id,
    client_id: Id,
    actor: Actor.nullable().describe('Who is really acting; null in the user’s own sessions.'),
    access: Access.nullable().describe(
      'What the actor may do: `read`, or `write`, which includes reading. Null in the user’s own sessions. Stagedoor only.',
    ),
    scopes: ShownScopes,
    reason: z
      .string()
      .nullable()
      .describe('Why the actor acts as the user, as the actor token says. Null if it says nothing. Stagedoor only.'),
    reason_category: z.string().nullable().describe('The kind of reason; null if none was given. Stagedoor only.'),
    ticket: z.string().nullable().describe('The support ticket; null if none was given. Stagedoor only.'),
    status: SessionStatus,
    last_active_organization_id: z.null(),
    last_active_at: Milliseconds,
    latest_activity: z.null(),
    expire_at: Milliseconds.describe('When the session expires, even if it is in use. Never extended.'),
    abandon_at: Milliseconds.describe('When the session ends if it is not used before then.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
    tasks: z.null(),
  })
  .meta({ id: 'Session' })

/** A session that an actor token started. */
export const ActingSession = Session.extend({
  actor: Actor.describe('Who is really acting.'),
  access: Access.describe('What the actor may do: `read`, or `write`, which includes reading.'),
}).meta({ id: 'ActingSession' })

export const SessionToken = z
  .strictObject({ object: z.literal('token'), jwt: z.string() })
  .meta({ id: 'SessionToken', description: 'A short-lived JWT that proves the session. Claims: docs/concepts.' })

export const listSessions = operation({
  id: 'GetSessionList',
  method: 'get',
  path: '/v1/sessions',
  tag: 'Sessions',
  summary: 'List sessions, newest first',
  auth: 'secret_key',
  rights: ['act', 'audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: pagedQuery(
    {
      client_id: Id.optional(),
      user_id: Id.optional(),
      actor_sub: Id.max(256).optional().describe('Only sessions of this actor. Stagedoor only.'),
      status: SessionStatus.optional(),
    },
    cursorOf('sess'),
  ),
  response: listOf(Session),
})

export const createSession = operation({
  id: 'createSession',
  method: 'post',
  path: '/v1/sessions',
  tag: 'Sessions',
  summary: 'Start a session for a user (development instances only)',
  auth: 'secret_key',
  rights: [],
  roles: [],
  idempotent: true,
  action: 'session.create',
  body: z
    .strictObject({ user_id: Id, active_organization_id: z.null().optional() })
    .meta({ id: 'CreateSessionRequestBody' }),
  response: Session,
  errors: ['development_only', 'resource_not_found', 'user_banned', 'user_locked'],
})

export const getSession = operation({
  id: 'GetSession',
  method: 'get',
  path: '/v1/sessions/{session_id}',
  tag: 'Sessions',
  summary: 'Read a session',
  auth: 'secret_key',
  rights: ['act', 'audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  response: Session,
  errors: ['resource_not_found'],
})

export const revokeSession = operation({
  id: 'RevokeSession',
  method: 'post',
  path: '/v1/sessions/{session_id}/revoke',
  tag: 'Sessions',
  summary: 'Revoke a session',
  description:
    'Once this request is answered, no new token is minted for the session. A session that has already ended is returned unchanged.',
  auth: 'secret_key',
  rights: ['act'],
  roles: ['support', 'approver', 'admin'],
  own: ['support'],
  neverShed: true,
  action: 'session.revoke',
  body: z
    .strictObject({ reason: z.string().min(1).max(500).optional() })
    .nullish()
    .transform(body => body ?? {}),
  response: Session,
  errors: ['resource_not_found'],
})

const CreateSessionTokenBody = z
  .strictObject({
    expires_in_seconds: z
      .int()
      .min(30)
      .max(315_360_000)
      .nullish()
      .describe(
        'Lifetime of the token, in seconds. Default: the lifetime of the template, or 60. Never longer than the session lasts.',
      ),
    counts_as_use: z
      .boolean()
      .default(true)
      .describe(
        '`false` does not extend the idle timeout of the session. For pages that poll the status. Stagedoor only.',
      ),
    understands: Understands,
  })
  .nullish()
  .transform(body => body ?? { counts_as_use: true })

export const createSessionToken = operation({
  id: 'CreateSessionToken',
  method: 'post',
  path: '/v1/sessions/{session_id}/tokens',
  tag: 'Sessions',
  summary: 'Mint a session token',
  auth: 'secret_key',
  rights: ['act'],
  roles: [],
  body: CreateSessionTokenBody,
  response: SessionToken,
  errors: ['authentication_invalid', 'resource_not_found', 'scope_not_understood'],
})

/** Error codes of minting from a template, in addition to those of every mint. */
export const templateErrors = ['resource_not_found', 'request_invalid', 'scope_not_understood'] as const

export const createSessionTokenFromTemplate = operation({
  id: 'CreateSessionTokenFromTemplate',
  method: 'post',
  path: '/v1/sessions/{session_id}/tokens/{template_name}',
  tag: 'Sessions',
  summary: 'Mint a token from a JWT template',
  description: 'A token for another service. It is not a session token and is not accepted as one.',
  auth: 'secret_key',
  rights: ['act'],
  roles: [],
  body: CreateSessionTokenBody,
  response: SessionToken,
  errors: ['authentication_invalid', ...templateErrors],
})
