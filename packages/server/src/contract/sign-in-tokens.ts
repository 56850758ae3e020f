import { z } from 'zod'
import { durationSeconds, formErrors, RevokeBody, tokenStatus } from './actor-tokens.ts'
import { cursorOf, Id, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'

/** Sign-in tokens: one-time grants with which a user signs in. The same machinery as actor tokens, without an actor. */

export const SignInToken = z
  .strictObject({
    object: z.literal('sign_in_token'),
    id: Id,
    status: tokenStatus,
    user_id: Id,
    token: z.string().optional(),
    url: z.string().nullable().optional(),
    expires_at: Milliseconds.optional().describe('When the token expires and can no longer be redeemed. In lists.'),
    session_id: Id.optional().describe('The session that the token started, once accepted. In lists.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'SignInToken' })

export const createSignInToken = operation({
  id: 'CreateSignInToken',
  method: 'post',
  path: '/v1/sign_in_tokens',
  tag: 'Sign-in Tokens',
  summary: 'Create a sign-in token',
  description: 'Like an actor token, but without an actor: the session is the user’s own.',
  auth: 'secret_key',
  rights: [],
  roles: [],
  idempotent: true,
  action: 'sign_in_token.create',
  body: z
    .strictObject({
      user_id: Id,
      expires_in_seconds: durationSeconds
        .default(2_592_000)
        .describe('How long the token can be redeemed, in seconds: at most 2592000, which is 30 days.'),
      org_id: z.null().optional().describe('Organizations are not supported: omit this.'),
    })
    .meta({ id: 'CreateSignInTokenRequestBody' }),
  response: SignInToken,
  errors: [...formErrors, 'resource_not_found', 'user_banned', 'user_locked', 'sign_in_tokens_off'],
})

export const listSignInTokens = operation({
  id: 'GetSignInTokenList',
  method: 'get',
  path: '/v1/sign_in_tokens',
  tag: 'Sign-in Tokens',
  summary: 'List sign-in tokens, newest first',
  auth: 'secret_key',
  rights: [],
  roles: ['admin'],
  query: pagedQuery({ status: tokenStatus.optional(), user_id: Id.optional() }, cursorOf('sit')),
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
  rights: [],
  roles: ['approver', 'admin'],
  neverShed: true,
  action: 'sign_in_token.revoke',
  body: RevokeBody,
  response: SignInToken,
  errors: ['sign_in_token_cannot_be_revoked_code', 'resource_not_found'],
})
