import { z } from 'zod'
import { Access, ShownScopes } from './access.ts'
import { Actor } from './actor.ts'
import { cursorOf, Id, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'

const ActingUser = z
  .strictObject({
    id: Id,
    name: z.string().nullable().describe('First and last name, or the username; null if the user has none of them.'),
    email: z.string().nullable().describe('The primary e-mail address.'),
  })
  .meta({ id: 'ActingUser' })

/** An active session in which an actor acts as a user. */
export const Acting = z
  .strictObject({
    object: z.literal('acting'),
    id: Id.describe('The id of the session.'),
    session_id: Id,
    user_id: Id,
    user: ActingUser.describe('The user as whom the actor acts.'),
    actor: Actor.describe('The actor payload.'),
    actor_sub: z.string(),
    kind: z
      .enum(['operator', 'agent'])
      .describe('A person or a program, as the actor is registered; otherwise as the payload says.'),
    reason: z.string().nullable(),
    reason_category: z.string().nullable(),
    ticket: z.string().nullable().describe('The support ticket.'),
    access: Access,
    scopes: ShownScopes,
    began_at: Milliseconds,
    expire_at: Milliseconds.describe('When the session expires, even if it is in use. Never extended.'),
    actor_token_id: Id.nullable().describe('The actor token that started the session.'),
  })
  .meta({ id: 'Acting' })

const shared = {
  method: 'get',
  tag: 'Acting',
  auth: 'secret_key',
  rights: ['act', 'audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  stagedoorOnly: true,
} as const

export const listActing = operation({
  ...shared,
  id: 'ListActing',
  path: '/v1/acting',
  summary: 'List who is acting as a user now, the session that began last first',
  query: pagedQuery(
    {
      actor_sub: Id.max(256).optional().describe('Only sessions of this actor, byte for byte.'),
      user_id: Id.optional().describe('Only sessions as this user.'),
      access: Access.optional().describe('Only sessions with exactly this access.'),
    },
    cursorOf('sess'),
  ),
  response: listOf(Acting),
})

export const followActing = operation({
  ...shared,
  id: 'FollowActing',
  path: '/v1/acting/stream',
  summary: 'Follow who is acting as server-sent events',
  description:
    'For screens that show who is acting now. Events: `ready` (at the start: read `GET /v1/acting` after it, and apply later events to that list), `begun` and `changed` (data: an object as in `GET /v1/acting`), `ended` (data: `session_id`, `status`, `ended_at`), `heartbeat` (every 5 seconds). A caller may have 5 streams on each server. The server ends the stream within a second after the secret key is revoked or expires. An event may be sent twice. After an interruption, start again.',
  response: z.string().meta({ description: 'text/event-stream' }),
  stream: true,
  errors: ['too_many_streams'],
})
