/**
 * Every error Stagedoor answers with, defined once: from this table come the `ErrorCode` type, the OpenAPI enum, the
 * SDK's types and docs/reference/errors.md. Codes, statuses and texts that exist at Clerk are Clerk's own
 * (https://clerk.com/docs/errors/overview); the others are ours.
 *
 * `{name}` in a text is filled from the error's `params`. `action` says what to do next; it travels as `meta.action`,
 * so that the texts stay as Clerk's clients know them.
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
      'Use a key of this server: `stagedoor keys create` makes one, `stagedoor keys list` shows which are revoked.',
  },
  authentication_invalid: {
    status: 401,
    message: 'Invalid authentication',
    long_message: 'Unable to authenticate the request, you need to supply an active session',
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
    long_message: 'A page of a website shows its client with the cookie, not with the Authorization header.',
    action: 'Leave `_is_native` out; or, for a browser extension, add its origin to STAGEDOOR_ALLOWED_ORIGINS.',
  },
  third_party_cookies_blocked: {
    status: 400,
    message: 'Cookies blocked',
    long_message:
      'Your browser keeps no cookies between {origin} and {server}: to it they are different sites. Nothing was used up.',
    action:
      'Serve the app and Stagedoor under one site (app.example.com and auth.example.com; on a laptop both as 127.0.0.1, not one as localhost), or through the proxy of Clerk’s SDKs (`frontendApiProxy`).',
  },
  not_while_prefetching: {
    status: 400,
    message: 'Not while prefetching',
    long_message: 'The browser is only preparing this page; nothing was changed. Reload the page.',
  },
  proxy_request_missing_secret_key: {
    status: 400,
    message: 'Missing Clerk-Secret-Key',
    long_message: 'A request with Clerk-Proxy-Url must have a Clerk-Secret-Key.',
    action: 'Give the proxy the secret key of this server: CLERK_SECRET_KEY.',
  },
  proxy_request_invalid_secret_key: {
    status: 401,
    message: 'Invalid Clerk-Secret-Key',
    long_message: 'The Clerk-Secret-Key of the proxy is not a key of this server.',
    action: 'Give the proxy a secret key of this server: `stagedoor keys create` makes one.',
  },
  proxy_url_invalid: {
    status: 400,
    message: 'Invalid Clerk-Proxy-Url',
    long_message: 'The Clerk-Proxy-Url is not an http or https address without query and fragment.',
    action: 'Give the proxy the address at which browsers reach it: https://app.example.com/__clerk.',
  },
  navigation_required: {
    status: 400,
    message: 'Not a navigation',
    long_message: 'This address sends a browser back to its page with fresh cookies. Only a navigation may open it.',
    action: 'Send the browser here with a redirect, not with fetch or an image.',
  },
  invalid_redirect_url: {
    status: 422,
    message: 'Invalid redirect URL',
    long_message: 'The URL to go back to is not a whole http or https address.',
  },
  prohibited_redirect_url: {
    status: 422,
    message: 'Prohibited redirect URL',
    long_message: 'This server sends nobody to {origin}.',
    action: 'Add the origin to STAGEDOOR_ALLOWED_ORIGINS, if it is an app of yours.',
  },
  invalid_handshake: {
    status: 400,
    message: 'Invalid handshake',
    long_message: 'This handshake is not of this server, or it is over: it is good for a minute.',
    action: 'Send the browser to /v1/client/handshake again.',
  },

  // The request itself
  api_version_invalid: {
    status: 400,
    message: 'Invalid API version',
    long_message: 'The API version was given both as a header and in the query. Give it once.',
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
    action: 'Send a UUID, a new one for each thing to be made.',
  },
  idempotency_key_reused: {
    status: 422,
    message: 'Idempotency-Key used before',
    long_message: 'This Idempotency-Key was used within the last 24 hours, with another request body.',
    action: 'Send a new key with a new request, and the same key only with the very same one.',
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
    long_message: '{method} is not possible at this address. Possible: {allow}.',
    action: 'The operations of each address are listed in docs/reference/api.md.',
  },

  // Tickets. Sign-in tokens mirror actor tokens.
  actor_token_cannot_be_revoked_code: {
    status: 400,
    message: 'cannot revoke',
    long_message: 'Actor token cannot be revoked because its status is {status}. Only pending tokens can be revoked.',
    action: 'To end what it started, revoke its session: POST /v1/sessions/{id}/revoke.',
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
    action: 'Make a new token.',
  },
  ticket_invalid_code: {
    status: 400,
    message: 'ticket is invalid',
    long_message: "This ticket is invalid. Make sure you're using a valid ticket generated by Clerk.",
    action: 'Use the ticket as this server gave it: the `token` field, whole and unchanged.',
  },

  // Rules
  jwt_template_reserved_claim: {
    status: 400,
    message: 'reserved claim used',
    long_message: "You can't use the reserved claim: '{claim}'",
    action: 'Give it another name.',
  },
  user_banned: {
    status: 403,
    message: 'User banned',
    long_message: 'This user is banned and may not be signed in.',
    action: 'Lift the ban first: POST /v1/users/{user_id}/unban.',
  },
  user_locked: {
    status: 403,
    message: 'User locked',
    long_message: 'This user is locked and may not be signed in.',
    action: 'Unlock the user first: POST /v1/users/{user_id}/unlock.',
  },
  actor_banned: {
    status: 403,
    message: 'Actor banned',
    long_message: 'The actor is a banned or locked user of this server and may not act as anyone.',
  },
  actor_is_user: {
    status: 422,
    message: 'Actor is the user',
    long_message: 'The actor is the user to act as, by id or by external id. No user can be their own actor.',
    action: 'Name the person or program that acts in `actor.sub`, and another user in `user_id`.',
  },
  actor_mismatch: {
    status: 403,
    message: 'Actor mismatch',
    long_message: 'This ticket was made for another actor than the one you expect. Nothing was used up.',
    action: 'Redeem the ticket where its own actor is signed in, or make a new token for this actor.',
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
    action: 'On a production instance start sessions with actor tokens or sign-in tokens.',
  },

  // Too much
  too_many_requests: {
    status: 429,
    message: 'Too many requests. Please try again in a bit.',
    long_message: 'Too many requests. Please try again in a bit.',
    action: 'Wait {seconds} s, as Retry-After says, before the next request.',
  },
  too_many_streams: {
    status: 429,
    message: 'Too many event streams',
    long_message: 'This secret key has {max} event streams open on this server, which is the maximum.',
    action: 'Close a stream before you open another one, or raise STAGEDOOR_MAX_STREAMS_PER_KEY.',
  },

  // Us
  internal_clerk_error: {
    status: 500,
    message: 'Oops, an unexpected error occurred',
    long_message: 'There was an internal error on our servers. Give the trace id when you report it.',
  },
  service_unavailable: {
    status: 503,
    message: 'Service unavailable',
    long_message: 'The server cannot do this right now. Nothing was changed; try again shortly.',
  },
  outcome_unknown: {
    status: 503,
    message: 'Outcome unknown',
    long_message: 'The server lost its database while it was writing this: it may or may not have been done.',
    action: 'Look whether it was done before you try again.',
  },
  not_ready: { status: 503, message: 'Not ready', long_message: 'The server is not ready: {why}.' },
} as const satisfies Record<string, ErrorDefinition>

/** A code of the table above. */
export type ErrorCode = keyof typeof definitions

/** The table, with every entry seen as the same shape. */
export const errors: Record<ErrorCode, ErrorDefinition> = definitions

/** What an error is about: ids that were found to be real, for the audit event of the refusal. */
export interface ErrorAbout {
  ticket_id?: string
  session_id?: string
  user_id?: string
  actor_sub?: string
}

interface ErrorOptions {
  /** Fills `{name}` in the texts. */
  params?: Record<string, string | number>
  /** Machine-readable detail of the answer, `{ param_name }` above all. */
  meta?: Record<string, unknown>
  /** Replaces the table's `action`. */
  action?: string
  about?: ErrorAbout
  /** For the log only; never answered. */
  cause?: unknown
}

/**
 * The only error thrown on purpose. Answered as its code's status and texts.
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
    const { message, long_message, action: usual } = errors[this.code]
    const { params = {}, action = usual } = this.options
    const fill = (text: string) => text.replace(/\{(\w+)\}/g, (hole, name: string) => String(params[name] ?? hole))
    const meta = { ...this.options.meta, ...(action === undefined ? {} : { action: fill(action) }) }
    return { message, long_message: fill(long_message), code: this.code, meta }
  }
}

/** Several errors of one request, answered together (a form with three wrong fields says so at once). */
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

/** A field whose value breaks a rule; `why` says which values are right. */
export function invalidParam(param: string, why?: string): ApiError {
  return new ApiError('form_param_value_invalid', {
    params: { param },
    meta: { param_name: param },
    ...(why === undefined ? {} : { action: why }),
  })
}
