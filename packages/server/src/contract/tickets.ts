import { z } from 'zod'
import { operation } from './operation.ts'

/** Tickets: the strings that redeem actor tokens and sign-in tokens, and the page that a browser opens with one. */

/** Error codes of a refused redemption. */
export const redemptionErrors = [
  'ticket_invalid_code',
  'audit_behind',
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
  'acting_refused',
  'sign_in_tokens_off',
] as const

/** The URL of a ticket, for browsers. Opening it changes nothing. */
export const acceptTicket = operation({
  id: 'acceptTicket',
  method: 'get',
  path: '/v1/tickets/accept',
  tag: 'Tickets',
  summary: 'Open a ticket in a browser',
  description:
    'With `STAGEDOOR_ACCEPT_PAGE=confirm`, shows a page that names the actor and the user and asks for confirmation. With `redirect`, redirects the browser directly to the sign-in page of the app, as Clerk does. GET and HEAD do not use the ticket, so mail scanners and link previews cannot use it up.',
  auth: 'client',
  anonymous: true,
  query: z.looseObject({ ticket: z.string().min(1).max(8_192) }),
  response: z.null(),
  status: 303,
  page: true,
  errors: [...redemptionErrors],
})

/** The button on that page. It changes nothing either: the app redeems the ticket. */
export const confirmTicket = operation({
  id: 'confirmTicket',
  method: 'post',
  path: '/v1/tickets/accept',
  tag: 'Tickets',
  summary: 'Confirm a ticket in a browser',
  description:
    'The button of that page. Redirects the browser to the sign-in page of the app with the ticket in the query parameter `__clerk_ticket`. The app redeems it.',
  auth: 'client',
  anonymous: true,
  whileActing: true,
  bodyType: 'form',
  body: z.looseObject({ ticket: z.string().min(1).max(8_192) }),
  response: z.null(),
  status: 303,
  page: true,
  errors: ['origin_invalid', ...redemptionErrors],
  stagedoorOnly: true,
})
