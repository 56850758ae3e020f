import { z } from 'zod'
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
    actor: Actor.nullable().describe('Who is really acting; null in a session of the user’s own.'),
    status: SessionStatus,
    last_active_organization_id: z.null(),
    last_active_at: Milliseconds,
    latest_activity: z.null(),
    expire_at: Milliseconds.describe('When the session ends whatever happens. Never moved.'),
    abandon_at: Milliseconds.describe('When the session ends if nobody uses it meanwhile.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
    tasks: z.null(),
  })
  .meta({ id: 'Session' })

/** A session that an actor token started. */
export const ActingSession = Session.extend({ actor: Actor.describe('Who is really acting.') }).meta({
  id: 'ActingSession',
})

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
  query: pagedQuery(
    {
      client_id: Id.optional(),
      user_id: Id.optional(),
      actor_sub: Id.max(256).optional().describe('Only sessions in which this actor is acting. Stagedoor only.'),
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
  makes: true,
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
    'Nothing new is minted for the session once this is answered. A session that has ended already is answered as it is.',
  auth: 'secret_key',
  urgent: true,
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
        'Life of the token in seconds; 60 unless told, or what the template says. Never longer than the session lasts.',
      ),
    counts_as_use: z
      .boolean()
      .default(true)
      .describe(
        '`false` only asks: the idle limit of the session is not extended. For pages that poll the status. Stagedoor only.',
      ),
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
  body: CreateSessionTokenBody,
  response: SessionToken,
  errors: ['authentication_invalid', 'resource_not_found'],
})

/** What minting from a template can answer beside what any mint can. */
export const templateErrors = ['resource_not_found', 'request_invalid'] as const

export const createSessionTokenFromTemplate = operation({
  id: 'CreateSessionTokenFromTemplate',
  method: 'post',
  path: '/v1/sessions/{session_id}/tokens/{template_name}',
  tag: 'Sessions',
  summary: 'Mint a token from a JWT template',
  description: 'For another service: no session token, and refused as one.',
  auth: 'secret_key',
  body: CreateSessionTokenBody,
  response: SessionToken,
  errors: ['authentication_invalid', ...templateErrors],
})
