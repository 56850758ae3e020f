import { z } from 'zod'
import { Actor } from './actor.ts'
import { Id, Milliseconds, operation } from './operation.ts'
import { SessionStatus, SessionToken, templateErrors } from './sessions.ts'
import { redemptionErrors } from './tickets.ts'
import { User } from './users.ts'

/**
 * The Frontend API: requests of browsers, authenticated by the `__client` cookie. Bodies are forms; answers are
 * `{ response, client }`.
 */

export const FrontendUser = User.omit({ private_metadata: true }).meta({ id: 'FrontendUser' })

export const FrontendSession = z
  .strictObject({
    object: z.literal('session'),
    id: Id,
    status: SessionStatus,
    actor: Actor.nullable(),
    user: FrontendUser.nullable(),
    public_user_data: z
      .strictObject({
        first_name: z.string().nullable(),
        last_name: z.string().nullable(),
        image_url: z.string(),
        has_image: z.boolean(),
        identifier: z.string(),
        user_id: Id,
      })
      .nullable(),
    factor_verification_age: z.tuple([z.int(), z.int()]),
    last_active_organization_id: z.null(),
    last_active_token: SessionToken.nullable(),
    last_active_at: Milliseconds,
    expire_at: Milliseconds,
    abandon_at: Milliseconds,
    created_at: Milliseconds,
    updated_at: Milliseconds,
    tasks: z.null(),
    reason: z
      .string()
      .nullable()
      .optional()
      .describe('Why the actor acts as the user. Only when a session is read by id.'),
    reason_category: z
      .string()
      .nullable()
      .optional()
      .describe('The kind of reason. Only when a session is read by id.'),
    ticket: z.string().nullable().optional().describe('The support ticket. Only when a session is read by id.'),
    return_url: z
      .string()
      .nullable()
      .optional()
      .describe('Where to go when the actor stops acting. Only when a session is read by id.'),
  })
  .meta({ id: 'FrontendSession' })

export const FrontendClient = z
  .strictObject({
    object: z.literal('client'),
    id: Id,
    sessions: z.array(FrontendSession),
    sign_in: z.null(),
    sign_up: z.null(),
    last_active_session_id: Id.nullable(),
    last_authentication_strategy: z.literal('ticket').nullable(),
    cookie_expires_at: Milliseconds.nullable(),
    captcha_bypass: z.boolean(),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'FrontendClient' })

export const SignIn = z
  .strictObject({
    object: z.literal('sign_in_attempt'),
    id: Id,
    status: z.literal('complete'),
    supported_identifiers: z.array(z.string()),
    supported_first_factors: z.null(),
    supported_second_factors: z.null(),
    first_factor_verification: z.strictObject({
      object: z.literal('verification_ticket'),
      status: z.literal('verified'),
      strategy: z.literal('ticket'),
      attempts: z.null(),
      expire_at: z.null(),
    }),
    second_factor_verification: z.null(),
    identifier: z.string().nullable(),
    user_data: z.null(),
    created_session_id: Id,
    abandon_at: Milliseconds,
  })
  .meta({ id: 'SignIn' })

/** Clerk's envelope: every answer includes the client, so that the browser's copy stays current. */
export const wrapped = <T extends z.ZodType>(response: T) =>
  z.strictObject({ response, client: FrontendClient.nullable() })

export const createSignIn = operation({
  id: 'createSignIn',
  method: 'post',
  path: '/v1/client/sign_ins',
  tag: 'Sign Ins',
  summary: 'Redeem a ticket',
  description: 'Redeems the ticket exactly once, starts the session and sets the `__client` cookie.',
  auth: 'client',
  anonymous: true,
  whileActing: true,
  rateLimit: 'redeem',
  action: 'ticket.accept',
  bodyType: 'form',
  body: z
    .looseObject({
      strategy: z.literal('ticket', { error: '`ticket`, the only strategy of this server' }),
      ticket: z.string().min(1).max(8_192),
    })
    .meta({ id: 'CreateSignInRequestBody' }),
  response: wrapped(SignIn).meta({ id: 'WrappedSignIn' }),
  errors: [
    'scope_not_understood',
    'form_param_missing',
    'form_param_value_invalid',
    'origin_invalid',
    'third_party_cookies_blocked',
    ...redemptionErrors,
  ],
})

export const getFrontendClient = operation({
  id: 'getClient',
  method: 'get',
  path: '/v1/client',
  tag: 'Client',
  summary: 'The browser’s client and its sessions',
  auth: 'client',
  anonymous: true,
  response: z.strictObject({ response: FrontendClient.nullable(), client: z.null() }).meta({ id: 'WrappedClient' }),
})

const leaveAll = (id: string, path: string, summary: string) =>
  operation({
    id,
    method: 'delete',
    path,
    tag: 'Client',
    summary,
    auth: 'client',
    anonymous: true,
    whileActing: true,
    neverShed: true,
    action: 'client.sign_out',
    response: z.strictObject({ response: FrontendClient.nullable(), client: z.null() }).meta({ id: 'WrappedClient' }),
    errors: ['origin_invalid'],
  })

export const endAllSessions = leaveAll(
  'removeClientSessionsAndRetainCookie',
  '/v1/client/sessions',
  'Sign out of every session of the client',
)
export const deleteClient = leaveAll(
  'deleteClientSessions',
  '/v1/client',
  'Sign out of every session and forget the client',
)

export const getFrontendSession = operation({
  id: 'getSession',
  method: 'get',
  path: '/v1/client/sessions/{session_id}',
  tag: 'Sessions',
  summary: 'Read a session of the client',
  auth: 'client',
  response: wrapped(FrontendSession).meta({ id: 'WrappedSession' }),
  errors: ['authentication_invalid'],
})

const sessionOperation = <B extends z.ZodType>(
  id: string,
  verb: string,
  summary: string,
  action: string,
  body: B,
  more: { neverShed?: true } = {},
) =>
  operation({
    id,
    method: 'post',
    path: `/v1/client/sessions/{session_id}/${verb}`,
    tag: 'Sessions',
    summary,
    auth: 'client',
    whileActing: true,
    ...more,
    action,
    bodyType: 'form',
    body,
    response: wrapped(FrontendSession).meta({ id: 'WrappedSession' }),
    errors: ['authentication_invalid', 'resource_not_found', 'origin_invalid'],
  })

export const touchSession = sessionOperation(
  'touchSession',
  'touch',
  'Record that the session is in use, and select it',
  'session.touch',
  z.looseObject({
    intent: z
      .string()
      .max(64)
      .optional()
      .describe('`focus` only records that the session is in use; any other value also selects it.'),
  }),
)
export const endSession = sessionOperation(
  'endSession',
  'end',
  'Sign out of the session, keeping it on the client',
  'session.end',
  z.looseObject({}),
  { neverShed: true },
)
export const removeSession = sessionOperation(
  'removeSession',
  'remove',
  'Sign out of the session and remove it from the client',
  'session.remove',
  z.looseObject({}),
  { neverShed: true },
)

export const createFrontendSessionToken = operation({
  id: 'createSessionToken',
  method: 'post',
  path: '/v1/client/sessions/{session_id}/tokens',
  tag: 'Sessions',
  summary: 'Mint a session token for the browser',
  auth: 'client',
  whileActing: true,
  bodyType: 'form',
  body: z.looseObject({}),
  response: SessionToken,
  errors: ['authentication_invalid', 'origin_invalid', 'scope_not_understood'],
})

export const handshakeClient = operation({
  id: 'handshakeClient',
  method: 'get',
  path: '/v1/client/handshake',
  tag: 'Client',
  summary: 'Refresh an app’s session cookie',
  description:
    'Clerk’s server SDKs redirect a browser here when a page’s session cookie is missing or expired. Stagedoor redirects it to `redirect_url` with a nonce, which the app’s server exchanges for new cookies (GetHandshakePayload), or with the signed cookies themselves. This changes no state.',
  auth: 'client',
  anonymous: true,
  query: z.looseObject({
    redirect_url: z.string().min(1).max(8_192).meta({ pattern: '^https?://' }),
    format: z.enum(['nonce', 'token']).default('token'),
    __clerk_hs_reason: z.string().max(256).optional(),
    __clerk_db_jwt: z.string().max(1_024).optional(),
  }),
  response: z.null(),
  status: 307,
  page: true,
  errors: ['invalid_redirect_url', 'prohibited_redirect_url', 'navigation_required'],
})

export const createFrontendSessionTokenFromTemplate = operation({
  id: 'createSessionTokenWithTemplate',
  method: 'post',
  path: '/v1/client/sessions/{session_id}/tokens/{template_name}',
  tag: 'Sessions',
  summary: 'Mint a token from a JWT template for the browser',
  description: 'A token for another service. It is not a session token and is not accepted as one.',
  auth: 'client',
  whileActing: true,
  bodyType: 'form',
  body: z.looseObject({}),
  response: SessionToken,
  errors: ['authentication_invalid', 'origin_invalid', ...templateErrors],
})
