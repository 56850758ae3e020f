import { z } from 'zod'
import { Access, Scopes, ShownScopes, Understands } from './access.ts'
import { Actor, MAX_SUB_LENGTH } from './actor.ts'
import { cursorOf, Id, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'
import { ActingSession, SessionToken } from './sessions.ts'
import { redemptionErrors } from './tickets.ts'
import { User } from './users.ts'

/** Actor tokens: one-time grants to act as a user, as at Clerk. A *ticket* is the string that redeems one. */
/** Status of an actor token or a sign-in token. */
export const tokenStatus = z.enum(['pending', 'accepted', 'revoked'])

export const durationSeconds = z.int().min(1).max(315_360_000)

const reason = z.string().min(1).max(500).describe('The reason, for the audit log and its readers. Stagedoor only.')

export const ActorToken = z
  .strictObject({
    object: z.literal('actor_token'),
    id: Id,
    status: tokenStatus,
    user_id: Id,
    actor: Actor,
    access: Access.describe('What the session may do: `read`, or `write`, which includes reading. Stagedoor only.'),
    scopes: ShownScopes,
    reason: reason.optional(),
    reason_category: z.string().optional().describe('The kind of reason, if one was given. Stagedoor only.'),
    ticket: z.string().optional().describe('The support ticket, if one was given. Stagedoor only.'),
    return_url: z
      .string()
      .optional()
      .describe('Where the browser goes when the operator stops acting. Stagedoor only.'),
    token: z.string().optional().describe('The ticket. Returned on creation, while the token can still be used.'),
    url: z.string().optional().describe('Opens the ticket in a browser.'),
    expires_at: Milliseconds.optional().describe(
      'When the token expires and can no longer be redeemed. In lists and reads.',
    ),
    session_id: Id.optional().describe('The session that the token started, once accepted. In lists and reads.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'ActorToken' })

/** How and when an actor logged in. */
export const ActorLogin = z
  .strictObject({
    at: Milliseconds.describe('When the actor logged in.'),
    amr: z.array(z.string().min(1).max(32)).max(16).describe('How: `pwd`, `otp`, `hwk`, `mfa` (RFC 8176).'),
  })
  .meta({ id: 'ActorLogin' })

/** An address of the Internet, version 4 or 6. */
export const IpAddress = z
  .string()
  .max(45)
  .refine(text => z.union([z.ipv4(), z.ipv6()]).safeParse(text).success, {
    params: { code: 'value' },
    error: 'an IPv4 or IPv6 address',
  })

export const CreateActorTokenRequestBody = z
  .strictObject({
    user_id: Id.meta({ description: 'The ID of the user to act as.', examples: ['user_1a2b3c'] }),
    actor: Actor,
    expires_in_seconds: durationSeconds
      .default(3_600)
      .meta({ description: 'How long the token can be redeemed, in seconds.', examples: [600] }),
    session_max_duration_in_seconds: durationSeconds
      .default(1_800)
      .meta({ description: 'Maximum duration of the session that the token starts, in seconds.', examples: [900] }),
    access: Access.optional().describe(
      'What the session may do. `read` limits it to reading; `write` includes reading. Default: `write`, or STAGEDOOR_DEFAULT_ACCESS. Stagedoor only.',
    ),
    scopes: Scopes.optional().describe(
      'All that the session may do, as scopes of your app, such as `invoices:read`. Omitted: unrestricted. Stagedoor only.',
    ),
    reason: reason.optional(),
    reason_category: z
      .string()
      .regex(/^[a-z][a-z0-9_-]{0,63}$/, { error: 'lower-case letters, digits, `_` and `-`, beginning with a letter' })
      .optional()
      .describe('The kind of reason, such as `change` or `incident`. Policies see it. Stagedoor only.'),
    ticket: z
      .string()
      .min(1)
      .max(500)
      .optional()
      .describe('The support ticket or its address. Policies see it. Stagedoor only.'),
    auth: ActorLogin.optional().describe(
      'The login of the actor, as your backend knows it. Policies see it. Stagedoor only.',
    ),
    ip: IpAddress.optional().describe(
      'The IPv4 or IPv6 address of the actor, as your backend sees it. Policies see it when the token is created. Stagedoor only.',
    ),
    return_url: z
      .string()
      .max(2_048)
      .meta({ pattern: '^https?://' })
      .optional()
      .describe(
        'Where the browser goes when the operator stops acting, for example a page of your support tool. Must be on an allowed origin. Stagedoor only.',
      ),
  })
  .meta({ id: 'CreateActorTokenRequestBody' })

/** Clerk's revoke operations take no body; Stagedoor's may have a reason. An empty body and `null` are the same as `{}`. */
export const RevokeBody = z
  .strictObject({ reason: reason.optional() })
  .nullish()
  .transform(body => body ?? {})

export const formErrors = [
  'form_param_missing',
  'form_param_value_invalid',
  'form_param_type_invalid',
  'form_param_unknown',
] as const

export const createActorToken = operation({
  id: 'CreateActorToken',
  method: 'post',
  path: '/v1/actor_tokens',
  tag: 'Actor Tokens',
  summary: 'Create an actor token',
  description:
    'Creates a one-time grant to act as a user. Its `token` (the ticket) is redeemed once: in the browser by opening `url`, or in a backend with AcceptActorToken. This starts a session whose tokens name the user and the actor.',
  auth: 'secret_key',
  rights: ['act'],
  roles: ['support', 'approver', 'admin'],
  actorIsOperator: { except: [] },
  idempotent: true,
  action: 'actor_token.create',
  body: CreateActorTokenRequestBody,
  response: ActorToken,
  errors: [
    ...formErrors,
    'resource_not_found',
    'user_banned',
    'user_locked',
    'actor_banned',
    'actor_is_user',
    'acting_refused',
    'audit_behind',
    'invalid_redirect_url',
    'prohibited_redirect_url',
  ],
})

export const listActorTokens = operation({
  id: 'GetActorTokenList',
  method: 'get',
  path: '/v1/actor_tokens',
  tag: 'Actor Tokens',
  summary: 'List actor tokens, newest first',
  auth: 'secret_key',
  rights: ['act', 'audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: pagedQuery(
    { status: tokenStatus.optional(), user_id: Id.optional(), actor_sub: Id.max(256).optional() },
    cursorOf('act'),
  ),
  response: listOf(ActorToken),
  stagedoorOnly: true,
})

export const getActorToken = operation({
  id: 'GetActorToken',
  method: 'get',
  path: '/v1/actor_tokens/{actor_token_id}',
  tag: 'Actor Tokens',
  summary: 'Read an actor token',
  auth: 'secret_key',
  rights: ['act', 'audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  response: ActorToken,
  errors: ['resource_not_found'],
  stagedoorOnly: true,
})

export const revokeActorToken = operation({
  id: 'RevokeActorToken',
  method: 'post',
  path: '/v1/actor_tokens/{actor_token_id}/revoke',
  tag: 'Actor Tokens',
  summary: 'Revoke a pending actor token',
  auth: 'secret_key',
  rights: ['act'],
  roles: ['support', 'approver', 'admin'],
  own: ['support'],
  neverShed: true,
  action: 'actor_token.revoke',
  body: RevokeBody,
  response: ActorToken,
  errors: ['actor_token_cannot_be_revoked_code', 'resource_not_found'],
})

export const acceptActorToken = operation({
  id: 'AcceptActorToken',
  method: 'post',
  path: '/v1/actor_tokens/accept',
  tag: 'Actor Tokens',
  summary: 'Redeem a ticket in a backend',
  description:
    'For apps that keep their own login. Your backend redeems the ticket without a browser and starts its own session, marked with `session.actor`.',
  auth: 'secret_key',
  rights: ['act'],
  roles: [],
  action: 'actor_token.accept',
  idempotent: true,
  body: z
    .strictObject({
      ticket: z.string().min(1).max(8_192),
      actor_sub: z
        .string()
        .min(1)
        .max(MAX_SUB_LENGTH)
        .optional()
        .describe(
          'The `sub` of the actor you expect: the person who is signed in to your app. A ticket for a different actor is refused and stays pending.',
        ),
      understands: Understands,
    })
    .meta({ id: 'AcceptActorTokenRequestBody' }),
  response: z
    .strictObject({
      actor_token: ActorToken,
      session: ActingSession,
      user: User,
      token: SessionToken.describe('The first session token.'),
    })
    .meta({ id: 'AcceptedActorToken' }),
  errors: [...formErrors, 'actor_mismatch', 'scope_not_understood', ...redemptionErrors],
  stagedoorOnly: true,
})
