/**
 * Every error that Stagedoor returns. The `ErrorCode` type, the OpenAPI enum, the SDK's types and
 * docs/reference/errors.md are made from this table. Where Clerk has an error, its code, status and texts are Clerk's
 * own (https://clerk.com/docs/errors/overview); all others are Stagedoor's.
 *
 * `{name}` in a text is replaced with that member of the error's `params`. `action` tells the caller how to continue.
 * It is sent as `meta.action`, so Clerk's texts stay unchanged for Clerk's clients.
 */
interface ErrorDefinition {
  status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 422 | 429 | 500 | 503
  message: string
  long_message: string
  action?: string
}

const definitions = {
  // Who is calling
  authorization_header_format_invalid: {
    status: 401,
    message: 'Invalid Authorization header format',
    long_message: "Invalid Authorization header format. Must be 'Bearer <YOUR_API_KEY>'",
    action: 'Send exactly one `Authorization: Bearer sk_…` header.',
  },
  clerk_key_invalid: {
    status: 401,
    message: 'The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.',
    long_message: 'The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct.',
    action:
      'Use a secret key of this server. `stagedoor keys create` creates one; `stagedoor keys list` shows which are revoked or expired.',
  },
  key_not_allowed: {
    status: 403,
    message: 'This secret key is not allowed to do this',
    long_message: 'This operation needs the right {needed}. The rights of this secret key: {rights}.',
    action: 'Use a secret key that has the right. `stagedoor keys create --may …` creates one.',
  },
  authentication_invalid: {
    status: 401,
    message: 'Invalid authentication',
    long_message: 'Unable to authenticate the request, you need to supply an active session',
  },

  // The console
  console_request_invalid: {
    status: 403,
    message: 'Not a request of the console',
    long_message: 'Only the pages of the console itself, at {url}, may send this request.',
    action:
      'Open the console at its own address. A proxy in front of it must pass on the headers Host, Origin and Sec-Fetch-Site.',
  },
  operator_session_invalid: {
    status: 401,
    message: 'Not signed in to the console',
    long_message: 'This browser has no session in the console, or its session has ended.',
    action: 'Sign in again.',
  },
  operator_not_allowed: {
    status: 403,
    message: 'Not allowed in your role',
    long_message: 'Your role in the console is {role}. This is for {roles}.',
    action: 'Ask an operator with the role, or the people who assign the roles.',
  },
  operator_actor_mismatch: {
    status: 403,
    message: 'Another actor',
    long_message: 'In the console you act in your own name. The request names another actor.',
    action: 'Omit `actor`: the server adds it.',
  },
  step_up_required: {
    status: 403,
    message: 'Sign in again first',
    long_message: 'This needs a sign-in that is at most 5 minutes old.',
    action: 'Sign in again, then repeat the request.',
  },
  operator_disabled: {
    status: 403,
    message: 'Operator disabled',
    long_message: 'This operator is disabled.',
    action: 'Ask an admin. `stagedoor operators enable` lets the operator sign in again.',
  },
  operator_without_role: {
    status: 403,
    message: 'No role in the console',
    long_message:
      'You are signed in at your identity provider, but none of your groups has a role here. Your groups: {groups}.',
    action: 'Ask the people who manage your groups. STAGEDOOR_OPERATOR_ROLES says which group has which role.',
  },
  operator_sign_in_invalid: {
    status: 400,
    message: 'Sign-in expired',
    long_message: 'This sign-in was already used, is older than 10 minutes, or began in another browser.',
    action: 'Start again from the sign-in page.',
  },
  operator_sign_in_refused: {
    status: 403,
    message: 'Sign-in refused',
    long_message: 'The sign-in at your identity provider did not succeed: {why}.',
    action: 'Try again. If it fails again, look into the log of the server.',
  },
  identity_provider_unavailable: {
    status: 503,
    message: 'Identity provider unavailable',
    long_message:
      'The identity provider does not answer, so operators cannot sign in to the console now. Acting sessions continue.',
    action: 'Try again shortly. `stagedoor sessions revoke` works without the console.',
  },
  operator_link_invalid: {
    status: 400,
    message: 'Link invalid',
    long_message: 'This link was used, has expired, or never existed.',
    action: 'Ask for another link: `stagedoor operators invite`.',
  },
  passkey_invalid: {
    status: 400,
    message: 'Passkey invalid',
    long_message: 'This passkey does not prove who you are: {why}.',
    action: 'Try again. After a lost passkey, ask for a link: `stagedoor operators invite`.',
  },

  forbidden_while_acting: {
    status: 403,
    message: 'Not allowed while acting as a user',
    long_message: 'Only the user can do this, in their own session. This browser is acting as the user.',
    action: 'Leave the acting session, and ask the user to do it.',
  },
  origin_invalid: {
    status: 400,
    message: 'Invalid origin',
    long_message: 'The origin of this request is not allowed to use this server.',
    action: 'Add the origin to STAGEDOOR_ALLOWED_ORIGINS.',
  },
  origin_authorization_headers_conflict: {
    status: 400,
    message: 'Origin and Authorization',
    long_message: 'A web page identifies its client with the cookie, not with the Authorization header.',
    action: 'Omit `_is_native`. For a browser extension, add its origin to STAGEDOOR_ALLOWED_ORIGINS instead.',
  },
  third_party_cookies_blocked: {
    status: 400,
    message: 'Cookies blocked',
    long_message:
      'Your browser blocks cookies between {origin} and {server} because they are different sites. The ticket was not used.',
    action:
      'Serve the app and Stagedoor from the same site (app.example.com and auth.example.com; on a laptop, both as 127.0.0.1 and neither as localhost). Or use the proxy of Clerk’s SDKs (`frontendApiProxy`).',
  },
  not_while_prefetching: {
    status: 400,
    message: 'Not while prefetching',
    long_message: 'The browser was only prefetching this page, so nothing was changed. Reload the page.',
  },
  proxy_request_missing_secret_key: {
    status: 400,
    message: 'Missing Clerk-Secret-Key',
    long_message: 'A request with Clerk-Proxy-Url must also have Clerk-Secret-Key.',
    action: 'Set CLERK_SECRET_KEY in the proxy to a secret key of this server.',
  },
  proxy_request_invalid_secret_key: {
    status: 401,
    message: 'Invalid Clerk-Secret-Key',
    long_message: 'The Clerk-Secret-Key that the proxy sent is not a key of this server with the right `act`.',
    action:
      'Set CLERK_SECRET_KEY in the proxy to a secret key of this server with the right `act` or `everything`. `stagedoor keys create` creates one.',
  },
  proxy_url_invalid: {
    status: 400,
    message: 'Invalid Clerk-Proxy-Url',
    long_message: 'The Clerk-Proxy-Url must be an http or https URL without a query or fragment.',
    action: 'Configure the proxy with the URL at which browsers reach it, such as https://app.example.com/__clerk.',
  },
  navigation_required: {
    status: 400,
    message: 'Not a navigation',
    long_message: 'This URL returns a browser to its page with new cookies. Only a page navigation may open it.',
    action: 'Redirect the browser to this URL. Do not load it with fetch or as an image.',
  },
  invalid_redirect_url: {
    status: 422,
    message: 'Invalid redirect URL',
    long_message: 'The redirect URL must be a complete http or https URL.',
  },
  prohibited_redirect_url: {
    status: 422,
    message: 'Prohibited redirect URL',
    long_message: 'This server does not redirect browsers to {origin}.',
    action: 'If this is the origin of your app, add it to STAGEDOOR_ALLOWED_ORIGINS.',
  },
  invalid_handshake: {
    status: 400,
    message: 'Invalid handshake',
    long_message:
      'This handshake has expired or was issued by a different server. A handshake is valid for one minute.',
    action: 'Send the browser to /v1/client/handshake again.',
  },

  // The request itself
  api_version_invalid: {
    status: 400,
    message: 'Invalid API version',
    long_message: 'The request has the API version both in a header and in the query. Send it only once.',
  },
  request_body_invalid: {
    status: 400,
    message: 'Request body invalid',
    long_message: 'The request body is invalid. Please consult the API documentation for more information.',
  },
  idempotency_key_invalid: {
    status: 400,
    message: 'Idempotency-Key invalid',
    long_message: 'The Idempotency-Key must be 1 to 255 printable ASCII characters.',
    action: 'Send a UUID: a new one for each object that you create.',
  },
  idempotency_key_reused: {
    status: 422,
    message: 'Idempotency-Key used before',
    long_message: 'This Idempotency-Key was used in the last 24 hours with a different request body.',
    action: 'Use a new key for a new request. Repeat a key only to retry the identical request.',
  },
  request_invalid: { status: 400, message: 'Request invalid', long_message: '{why}' },
  unsupported_content_type: {
    status: 415,
    message: 'Content-Type is unsupported',
    long_message: 'Content-Type {actual} is unsupported. You should use {expected} instead.',
  },
  request_body_too_large: {
    status: 413,
    message: 'Request body too large',
    long_message: 'The request body is larger than {limit} bytes.',
  },
  form_param_missing: { status: 422, message: 'is missing', long_message: '{param} must be included.' },
  form_param_value_invalid: { status: 422, message: 'is invalid', long_message: '{param} is invalid' },
  form_param_type_invalid: { status: 422, message: 'is invalid', long_message: '`{param}` must be a `{type}`.' },
  form_param_unknown: {
    status: 422,
    message: 'is unknown',
    long_message: '{param} is not a valid parameter for this request.',
  },
  form_identifier_exists: {
    status: 422,
    message: 'already exists',
    long_message: 'That {what} is taken. Please try another.',
  },

  // Things that are not there
  resource_not_found: { status: 404, message: 'not found', long_message: '{what}' },
  method_not_allowed: {
    status: 405,
    message: 'Method not allowed',
    long_message: '{method} is not allowed for this path. Allowed: {allow}.',
    action: 'See docs/reference/api.md for the operations of each path.',
  },

  // Secret keys
  secret_key_shown_before: {
    status: 422,
    message: 'Secret key shown before',
    long_message:
      'An earlier request with this Idempotency-Key created the secret key {id}. Only its answer had the key itself.',
    action: 'If you do not have that answer, revoke {id} and create another key with a new Idempotency-Key.',
  },

  // Tickets. Sign-in tokens mirror actor tokens.
  actor_token_cannot_be_revoked_code: {
    status: 400,
    message: 'cannot revoke',
    long_message: 'Actor token cannot be revoked because its status is {status}. Only pending tokens can be revoked.',
    action: 'To end the session that it started, revoke the session: POST /v1/sessions/{id}/revoke.',
  },
  actor_token_revoked_code: {
    status: 400,
    message: 'actor token has been revoked',
    long_message: 'This actor token has been revoked and cannot be used anymore.',
  },
  actor_token_already_used_code: {
    status: 400,
    message: 'actor token has already been used',
    long_message: 'This actor token has already been used. Each token can only be used once.',
  },
  actor_token_cannot_be_used_code: {
    status: 400,
    message: 'actor token cannot be used',
    long_message: 'This actor token cannot be used anymore. Please request a new one.',
  },
  actor_token_subject_not_found: {
    status: 404,
    message: 'user not found',
    long_message: 'The user of the actor token no longer exists. Please request a new one.',
  },
  sign_in_token_cannot_be_revoked_code: {
    status: 400,
    message: 'cannot revoke',
    long_message: 'Sign in token cannot be revoked because its status is {status}. Only pending tokens can be revoked.',
  },
  sign_in_token_revoked_code: {
    status: 400,
    message: 'sign in token has been revoked',
    long_message: 'This sign in token has been revoked and cannot be used anymore.',
  },
  sign_in_token_already_used_code: {
    status: 400,
    message: 'sign in token has already been used',
    long_message: 'This sign in token has already been used. Each token can only be used once.',
  },
  sign_in_token_cannot_be_used_code: {
    status: 400,
    message: 'sign in token cannot be used',
    long_message: 'This sign in token cannot be used anymore. Please request a new one.',
  },
  sign_in_token_subject_not_found: {
    status: 404,
    message: 'user not found',
    long_message: 'The user of the sign in token no longer exists. Please request a new one.',
  },
  ticket_expired_code: {
    status: 400,
    message: 'ticket has expired',
    long_message: 'This ticket has expired and cannot be used anymore.',
    action: 'Create a new token.',
  },
  ticket_invalid_code: {
    status: 400,
    message: 'ticket is invalid',
    long_message: "This ticket is invalid. Make sure you're using a valid ticket generated by Clerk.",
    action: 'Send the complete, unchanged `token` field from this server’s answer.',
  },

  // Rules
  jwt_template_reserved_claim: {
    status: 400,
    message: 'reserved claim used',
    long_message: "You can't use the reserved claim: '{claim}'",
    action: 'Use a different name for the claim.',
  },
  user_banned: {
    status: 403,
    message: 'User banned',
    long_message: 'This user is banned and cannot be signed in.',
    action: 'Lift the ban first: POST /v1/users/{user_id}/unban.',
  },
  user_locked: {
    status: 403,
    message: 'User locked',
    long_message: 'This user is locked and cannot be signed in.',
    action: 'Unlock the user first: POST /v1/users/{user_id}/unlock.',
  },
  actor_banned: {
    status: 403,
    message: 'Actor banned',
    long_message: 'The actor is disabled, or a banned or locked user of this server, and may not act as anyone.',
  },
  actor_is_user: {
    status: 422,
    message: 'Actor is the user',
    long_message: 'The actor has the id or external id of the user to act as. A user cannot act as themselves.',
    action: 'Set `actor.sub` to the person or program that acts, and `user_id` to a different user.',
  },
  actor_mismatch: {
    status: 403,
    message: 'Actor mismatch',
    long_message: 'This ticket was created for a different actor than the one you expect. The ticket was not used.',
    action: 'Redeem the ticket where its actor is signed in, or create a new token for this actor.',
  },
  scope_not_understood: {
    status: 403,
    message: 'Scope not understood',
    long_message:
      'This session is limited to reading or to certain scopes, and the app has not declared that it applies the claim `scope`. Nothing was used.',
    action:
      'If your app applies the claim, send `understands: ["scope"]`, or add its origin to STAGEDOOR_SCOPE_ORIGINS. A JWT template needs the claim `"scope": "{{session.scope}}"`.',
  },
  acting_refused: {
    status: 403,
    message: 'Acting refused',
    long_message: 'The policy of this server does not allow this actor to act as this user.',
    action: 'Ask someone who manages the policy. `stagedoor policy explain` shows which rule decides.',
  },
  policy_invalid: {
    status: 422,
    message: 'Policy invalid',
    long_message: 'The policy has errors. The policy in force was not changed.',
    action: 'Correct the errors in `meta.errors`.',
  },
  policy_too_large: {
    status: 413,
    message: 'Policy too large',
    long_message: 'The policy is larger than the server accepts. The policy in force was not changed.',
  },
  policy_too_slow: {
    status: 422,
    message: 'Policy too slow',
    long_message: 'Decisions with this policy take too long. The policy in force was not changed.',
  },
  policy_test_failed: {
    status: 422,
    message: 'Policy test failed',
    long_message: 'The policy does not pass its tests. The policy in force was not changed.',
    action: 'Correct the policy or the tests in `meta.tests`.',
  },
  policy_changed_meanwhile: {
    status: 400,
    message: 'Policy changed',
    long_message: 'Another version of the policy is in force than the one that this change is based on.',
    action: 'Read the policy again, and repeat the change.',
  },
  policy_ends_sessions: {
    status: 400,
    message: 'Policy ends sessions',
    long_message: 'The policy would end more active sessions than expected. The policy in force was not changed.',
    action: 'Look at the sessions in `meta.sessions`. If they may end, send `expect_refused` with `meta.refused`.',
  },
  policy_unavailable: {
    status: 503,
    message: 'Policy unavailable',
    long_message: 'The server cannot decide whether this is allowed, so it refuses. Nothing was changed.',
    action: 'Look for the cause in the log of the server, and try again.',
  },
  audit_pruned: {
    status: 404,
    message: 'Entries archived',
    long_message: 'These entries of the audit log were archived and deleted here. Their hashes are still in the tiles.',
    action: 'Read them in the archive.',
  },
  audit_behind: {
    status: 503,
    message: 'Audit log is behind',
    long_message:
      'The newest audit events are not provable yet, so the server gives no new access. Running sessions and revocation continue.',
    action: 'Try again shortly. If it lasts, run `stagedoor doctor` on the server.',
  },
  sign_in_tokens_off: {
    status: 403,
    message: 'Sign-in tokens are off',
    long_message: 'This server does not create or redeem sign-in tokens.',
    action: 'Create an actor token, or set STAGEDOOR_SIGN_IN_TOKENS=on.',
  },
  development_only: {
    status: 400,
    message: 'development only',
    long_message: 'This operation works on development instances only.',
    action: 'On a production instance, start sessions with actor tokens or sign-in tokens.',
  },

  // Too much
  too_many_requests: {
    status: 429,
    message: 'Too many requests. Please try again in a bit.',
    long_message: 'Too many requests. Please try again in a bit.',
    action: 'Wait {seconds} s before the next request, as in the Retry-After header.',
  },
  too_many_streams: {
    status: 429,
    message: 'Too many event streams',
    long_message: 'This secret key has {max} event streams open on this server, which is the maximum.',
    action: 'Close a stream before you open another one, or raise STAGEDOOR_MAX_STREAMS_PER_KEY.',
  },

  // Failures of the server
  internal_clerk_error: {
    status: 500,
    message: 'Oops, an unexpected error occurred',
    long_message: 'There was an internal error on our servers. Include the trace id when you report it.',
  },
  service_unavailable: {
    status: 503,
    message: 'Service unavailable',
    long_message: 'The server cannot process this request right now. Nothing was changed. Try again shortly.',
  },
  outcome_unknown: {
    status: 503,
    message: 'Outcome unknown',
    long_message:
      'The server lost its database connection while it wrote this change. The change may or may not be stored.',
    action: 'Check whether the change was made before you try again.',
  },
  not_ready: { status: 503, message: 'Not ready', long_message: 'The server is not ready: {why}.' },
} as const satisfies Record<string, ErrorDefinition>

/** A code of the table above. */
export type ErrorCode = keyof typeof definitions

/** The table, with every entry seen as the same shape. */
export const errors: Record<ErrorCode, ErrorDefinition> = definitions

/** Ids of existing records that an error concerns, for the audit event of the refusal. */
export interface ErrorAbout {
  actor_token_id?: string
  session_id?: string
  user_id?: string
  actor_sub?: string
}

interface ErrorOptions {
  /** For the audit event of the refusal: the policy that decided. */
  details?: Record<string, unknown>
  /** Fills `{name}` in the texts. */
  params?: Record<string, string | number>
  /** Machine-readable details for the answer, most often `{ param_name }`. */
  meta?: Record<string, unknown>
  /** Replaces the table's `action`. */
  action?: string
  about?: ErrorAbout
  /** For the log only; never sent to the caller. */
  cause?: unknown
}

/**
 * The only error that is thrown on purpose. The caller receives the status and texts of its code.
 * @example throw new ApiError('resource_not_found', { params: { what: `No user was found with id ${id}` } })
 */
export class ApiError extends Error {
  readonly code: ErrorCode
  readonly options: ErrorOptions

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    super(errors[code].message, { cause: options.cause })
    this.name = 'ApiError'
    this.code = code
    this.options = options
  }

  get status(): ErrorDefinition['status'] {
    return errors[this.code].status
  }

  /** The member of `errors` in the answer. */
  toJSON(): { message: string; long_message: string; code: ErrorCode; meta: Record<string, unknown> } {
    const { message, long_message, action: defaultAction } = errors[this.code]
    const { params = {}, action = defaultAction } = this.options
    const fill = (text: string) => text.replace(/\{(\w+)\}/g, (hole, name: string) => String(params[name] ?? hole))
    const meta = { ...this.options.meta, ...(action === undefined ? {} : { action: fill(action) }) }
    return { message, long_message: fill(long_message), code: this.code, meta }
  }
}

/** Several errors of one request in one answer: a form with three wrong fields gets three errors. */
export class ApiErrors extends Error {
  readonly errors: [ApiError, ...ApiError[]]

  constructor(all: [ApiError, ...ApiError[]]) {
    super(all.map(error => error.message).join('; '))
    this.name = 'ApiErrors'
    this.errors = all
  }
}

/** `No <what> was found with id <id>`, as Clerk words it. */
export function notFound(what: string, id: string): ApiError {
  return new ApiError('resource_not_found', { params: { what: `No ${what} was found with id ${id}` } })
}

/** Creates the error for a field whose value breaks a rule. @param why the values that are valid */
export function invalidParam(param: string, why?: string): ApiError {
  return new ApiError('form_param_value_invalid', {
    params: { param },
    meta: { param_name: param },
    ...(why === undefined ? {} : { action: why }),
  })
}
