import { z } from 'zod'
import { Actor, MAX_SUB_LENGTH } from './actor.ts'
import { cursorOf, Id, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'
import { ActingSession, SessionToken } from './sessions.ts'
import { User } from './users.ts'

/** The two kinds of one-time grant: Clerk's ActorToken and SignInToken. A *ticket* is the string inside either. */
const status = z.enum(['pending', 'accepted', 'revoked'])

const durationSeconds = z.int().min(1).max(315_360_000)

const reason = z
  .string()
  .min(1)
  .max(500)
  .describe('Why, for the audit log and for whoever reads it later. Stagedoor only.')

export const ActorToken = z
  .strictObject({
    object: z.literal('actor_token'),
    id: Id,
    status,
    user_id: Id,
    actor: Actor,
    reason: reason.optional(),
    return_url: z.string().optional().describe('Where the browser goes when acting is over. Stagedoor only.'),
    token: z.string().optional().describe('The ticket. Present while the token can still be used, on creation.'),
    url: z.string().optional().describe('Opens the ticket in a browser.'),
    expires_at: Milliseconds.optional().describe('When the token stops being redeemable. In lists and reads.'),
    session_id: Id.optional().describe('The session it started, once accepted. In lists and reads.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'ActorToken' })

export const SignInToken = z
  .strictObject({
    object: z.literal('sign_in_token'),
    id: Id,
    status,
    user_id: Id,
    token: z.string().optional(),
    url: z.string().nullable().optional(),
    expires_at: Milliseconds.optional().describe('When the token stops being redeemable. In lists.'),
    session_id: Id.optional().describe('The session it started, once accepted. In lists.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'SignInToken' })

export const CreateActorTokenRequestBody = z
  .strictObject({
    user_id: Id.meta({ description: 'The ID of the user to act as.', examples: ['user_1a2b3c'] }),
    actor: Actor,
    expires_in_seconds: durationSeconds
      .default(3_600)
      .meta({ description: 'How long the token can be redeemed, in seconds.', examples: [600] }),
    session_max_duration_in_seconds: durationSeconds
      .default(1_800)
      .meta({ description: 'The longest the session it starts may last, in seconds.', examples: [900] }),
    reason: reason.optional(),
    return_url: z
      .string()
      .max(2_048)
      .meta({ pattern: '^https?://' })
      .optional()
      .describe(
        'Where the browser goes when acting is over, the page of the operator say. On an allowed origin. Stagedoor only.',
      ),
  })
  .meta({ id: 'CreateActorTokenRequestBody' })

/** Revoking takes no body at Clerk; ours may say why. An empty body and `null` are the same as `{}`. */
const RevokeBody = z
  .strictObject({ reason: reason.optional() })
  .nullish()
  .transform(body => body ?? {})

const ticketErrors = [
  'form_param_missing',
  'form_param_value_invalid',
  'form_param_type_invalid',
  'form_param_unknown',
] as const

/** Answers of a redemption that did not happen. */
export const redemptionErrors = [
  'ticket_invalid_code',
  'ticket_expired_code',
  'actor_token_revoked_code',
  'actor_token_already_used_code',
  'actor_token_subject_not_found',
  'sign_in_token_revoked_code',
  'sign_in_token_already_used_code',
  'sign_in_token_subject_not_found',
  'user_banned',
  'user_locked',
  'actor_banned',
  'actor_is_user',
  'sign_in_tokens_off',
] as const

export const createActorToken = operation({
  id: 'CreateActorToken',
  method: 'post',
  path: '/v1/actor_tokens',
  tag: 'Actor Tokens',
  summary: 'Create an actor token',
  description:
    'A one-time grant to act as a user. Its `token` (the ticket) is redeemed once, in the browser by opening `url` or in a backend by AcceptActorToken, into a session whose tokens say who the user is and who is acting.',
  auth: 'secret_key',
  makes: true,
  action: 'actor_token.create',
  body: CreateActorTokenRequestBody,
  response: ActorToken,
  errors: [
    ...ticketErrors,
    'resource_not_found',
    'user_banned',
    'user_locked',
    'actor_banned',
    'actor_is_user',
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
  query: pagedQuery(
    { status: status.optional(), user_id: Id.optional(), actor_sub: Id.max(256).optional() },
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
  urgent: true,
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
    'For apps that keep their own login: the backend redeems the ticket, without a browser, and starts its own session marked with `session.actor`.',
  auth: 'secret_key',
  action: 'actor_token.accept',
  makes: true,
  body: z
    .strictObject({
      ticket: z.string().min(1).max(8_192),
      actor_sub: z
        .string()
        .min(1)
        .max(MAX_SUB_LENGTH)
        .optional()
        .describe(
          'The `sub` of the actor you expect: the person who is signed in to your app. A ticket for another actor is refused, and stays pending.',
        ),
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
  errors: [...ticketErrors, 'actor_mismatch', ...redemptionErrors],
  stagedoorOnly: true,
})

export const createSignInToken = operation({
  id: 'CreateSignInToken',
  method: 'post',
  path: '/v1/sign_in_tokens',
  tag: 'Sign-in Tokens',
  summary: 'Create a sign-in token',
  description: 'The same machinery as an actor token, without an actor: the session is the user’s own.',
  auth: 'secret_key',
  makes: true,
  action: 'sign_in_token.create',
  body: z
    .strictObject({
      user_id: Id,
      expires_in_seconds: durationSeconds
        .default(2_592_000)
        .describe('How long the token can be redeemed, in seconds: at most 2592000, which is 30 days.'),
      org_id: z.null().optional().describe('Organizations are not supported: leave it out.'),
    })
    .meta({ id: 'CreateSignInTokenRequestBody' }),
  response: SignInToken,
  errors: [...ticketErrors, 'resource_not_found', 'user_banned', 'user_locked', 'sign_in_tokens_off'],
})

export const listSignInTokens = operation({
  id: 'GetSignInTokenList',
  method: 'get',
  path: '/v1/sign_in_tokens',
  tag: 'Sign-in Tokens',
  summary: 'List sign-in tokens, newest first',
  auth: 'secret_key',
  query: pagedQuery({ status: status.optional(), user_id: Id.optional() }, cursorOf('sit')),
  response: listOf(SignInToken),
  stagedoorOnly: true,
})

export const revokeSignInToken = operation({
  id: 'RevokeSignInToken',
  method: 'post',
  path: '/v1/sign_in_tokens/{sign_in_token_id}/revoke',
  tag: 'Sign-in Tokens',
  summary: 'Revoke a pending sign-in token',
  auth: 'secret_key',
  urgent: true,
  action: 'sign_in_token.revoke',
  body: RevokeBody,
  response: SignInToken,
  errors: ['sign_in_token_cannot_be_revoked_code', 'resource_not_found'],
})

/** The address a browser opens. It changes nothing, whoever or whatever opens it. */
export const acceptTicket = operation({
  id: 'acceptTicket',
  method: 'get',
  path: '/v1/tickets/accept',
  tag: 'Tickets',
  summary: 'Open a ticket in a browser',
  description:
    'A page that says who is about to act as whom, and asks (`STAGEDOOR_ACCEPT_PAGE=confirm`); or sends the browser straight on to the sign-in page of the app, as Clerk does (`redirect`). GET and HEAD consume nothing: mail scanners and link previews burn no ticket.',
  auth: 'client',
  anonymous: true,
  query: z.looseObject({ ticket: z.string().min(1).max(8_192) }),
  response: z.null(),
  status: 303,
  page: true,
  errors: [...redemptionErrors],
})

/** The click on that page. It changes nothing either: the app redeems the ticket. */
export const confirmTicket = operation({
  id: 'confirmTicket',
  method: 'post',
  path: '/v1/tickets/accept',
  tag: 'Tickets',
  summary: 'Go on with a ticket',
  description:
    'The button of the page above: sends the browser on to the sign-in page of the app with the ticket in the query as `__clerk_ticket`. The app redeems it.',
  auth: 'client',
  anonymous: true,
  bodyType: 'form',
  body: z.looseObject({ ticket: z.string().min(1).max(8_192) }),
  response: z.null(),
  status: 303,
  page: true,
  errors: ['origin_invalid', ...redemptionErrors],
  stagedoorOnly: true,
})
