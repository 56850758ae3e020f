import type { ErrorCode } from './errors.ts'

/**
 * Stagedoor's own texts for error codes whose texts on the wire are Clerk's. The wire keeps Clerk's texts for Clerk's
 * SDKs. Both Stagedoor SDKs show these instead (they are generated into each), and the command line can do so too.
 * `{param_name}` is the field's name.
 *
 * A code is missing here if Clerk's text is as clear, or if it has facts that no other member of the error has.
 */
const ownTexts = {
  authorization_header_format_invalid: 'The request does not have exactly one `Authorization: Bearer sk_…` header.',
  clerk_key_invalid: 'The server does not know this secret key, or the key has expired or was revoked.',
  authentication_invalid: 'The request has no active session.',
  request_body_invalid: 'The server cannot read the request body.',
  form_identifier_exists: 'The value of `{param_name}` is already in use.',
  actor_token_revoked_code: 'The actor token was revoked. It can no longer be used.',
  actor_token_already_used_code: 'The actor token was already used. A token can be used once.',
  actor_token_cannot_be_used_code: 'The actor token can no longer be used. Create a new one.',
  actor_token_subject_not_found: 'The user of the actor token no longer exists.',
  sign_in_token_revoked_code: 'The sign-in token was revoked. It can no longer be used.',
  sign_in_token_already_used_code: 'The sign-in token was already used. A token can be used once.',
  sign_in_token_cannot_be_used_code: 'The sign-in token can no longer be used. Create a new one.',
  sign_in_token_subject_not_found: 'The user of the sign-in token no longer exists.',
  ticket_expired_code: 'The ticket has expired.',
  ticket_invalid_code: 'The ticket is incomplete, was changed, or comes from another server.',
  too_many_requests: 'The server received too many requests.',
  internal_clerk_error: 'The server failed on this request. Its log has the cause, under the trace id.',
} as const satisfies Partial<Record<ErrorCode, string>>

/** The table, with every entry seen as the same shape. */
export const errorTexts: Readonly<Record<string, string>> = ownTexts
