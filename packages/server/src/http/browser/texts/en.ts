import type { ErrorCode } from '../../../contract/errors.ts'

/** What a page says about an error: to the person in the browser, and to the operator of the server. */
export interface ErrorTexts {
  title: string
  text: string
  /** What the operator of the server can do about it. */
  fix?: string
}

/**
 * English: the language that every other one is translated from. `{name}` stands for a value. A value that is a duration
 * or a name can stand anywhere in a sentence.
 */
export const en = {
  /** The page that asks before a person or program acts as a user. */
  act: {
    badge: 'Acting as a user',
    agentBadge: 'An AI agent acts as a user',
    title: 'Act as {user}?',
    button: 'Act as {user}',
    who: 'Who acts',
    agent: 'AI agent',
    as: 'As',
    why: 'Why',
    noReason: 'No reason was given.',
    ticket: 'Ticket',
    howLong: 'How long',
    limits: 'At most {longest}; it ends after {idle} without use, and whenever you leave.',
    recorded: 'Everything you do is recorded under both names.',
  },
  /** The page that asks before a user signs in with a link. */
  signIn: { title: 'Sign in as {user}?', button: 'Sign in as {user}', user: 'User' },
  link: 'This link',
  linkUse: 'Opens once, within {left}.',
  goesOn:
    'You go on to {host}. If you did not ask for this, cancel: nothing has happened yet, and the link stays unused.',
  cancel: 'Cancel',
  error: {
    badge: 'Problem',
    other: { title: 'That did not work', text: 'Try again. If it fails again, ask for a new link.' },
    operator: 'For the operator of this server',
    code: 'Code',
    fix: 'What to do',
    trace: 'Trace id',
  },
  home: {
    title: 'You need a link',
    text: 'This server opens links with which one person acts as another, or with which a user signs in. Open the link that you were given. There is nothing else to see here.',
  },
  /** Pages instead of the console. */
  console: {
    elsewhere: { title: 'The console is at another address', text: 'Open it there:' },
    notBuilt: {
      title: 'The console has not been built',
      text: 'This copy of Stagedoor has no built console. Make it with `npm run build:console`, and start the server again. The published package has it.',
    },
  },
  errors: {
    console_request_invalid: {
      title: 'Not a page of the console',
      text: 'Only the console itself may send this. Open the console, and try again there.',
      fix: 'Browsers must reach the console at STAGEDOOR_CONSOLE_URL or STAGEDOOR_PUBLIC_URL, and your proxy must pass on the headers Host, Origin and Sec-Fetch-Site.',
    },
    operator_session_invalid: { title: 'You are not signed in', text: 'Sign in to the console again.' },
    operator_without_role: {
      title: 'You have no role in the console',
      text: 'Your sign-in worked, but none of your groups has a role here. Your groups: {groups}. Ask the people who manage your groups.',
      fix: 'STAGEDOOR_OPERATOR_ROLES says which group has which role, and STAGEDOOR_OPERATOR_ROLE_CLAIM which claim has the groups.',
    },
    operator_disabled: {
      title: 'You may not sign in',
      text: 'An admin has disabled you as an operator of this server. Ask an admin.',
      fix: '`stagedoor operators enable` lets the operator sign in again.',
    },
    operator_sign_in_invalid: {
      title: 'Start again',
      text: 'This sign-in was already used, took longer than 10 minutes, or began in another browser. Open the console and sign in again.',
    },
    operator_sign_in_refused: {
      title: 'The sign-in did not succeed',
      text: 'You are not signed in: {why}. Open the console and try again.',
      fix: 'The log of the server has the cause, under the trace id.',
    },
    identity_provider_unavailable: {
      title: 'Your identity provider does not answer',
      text: 'Operators cannot sign in to the console right now. Acting sessions continue. Try again shortly.',
      fix: 'Check that the server reaches STAGEDOOR_OPERATOR_ISSUER. `stagedoor sessions revoke` ends sessions without the console.',
    },
    origin_invalid: {
      title: 'This is not the address of this server',
      text: 'You opened this page at another address than the one the server knows. Open the link exactly as you were given it. The link is still unused.',
      fix: 'If browsers reach the server at this address, set STAGEDOOR_PUBLIC_URL to it. If a page of your app sent the form, add its origin to STAGEDOOR_ALLOWED_ORIGINS.',
    },
    origin_authorization_headers_conflict: {
      title: 'This app does not fit this browser',
      text: 'The app identified itself as a native app, and as a website at the same time. Tell the people who run the app.',
      fix: 'Omit `_is_native`. For a browser extension, add its origin to STAGEDOOR_ALLOWED_ORIGINS instead.',
    },
    invalid_redirect_url: {
      title: 'The way back is missing',
      text: 'The app that sent you here did not give a valid address to send you back to. Go back to the app and try again.',
      fix: 'Send an absolute http or https URL in `redirect_url`.',
    },
    prohibited_redirect_url: {
      title: 'The way back is not allowed',
      text: 'This server does not send browsers to {origin}. If you followed a link, do not trust it. Otherwise tell the people who run the app.',
      fix: 'If the address is an app of yours, add its origin to STAGEDOOR_ALLOWED_ORIGINS.',
    },
    not_while_prefetching: {
      title: 'Reload this page',
      text: 'Your browser prepared this page before you opened it. Reload it to go on. The link is still unused.',
    },
    navigation_required: {
      title: 'Open this page yourself',
      text: 'This address works only when your browser goes to it. Another page tried to load it in the background. Go back to your app and try again.',
      fix: 'Send the browser to the address with a redirect, and not with a script or an image.',
    },
    proxy_request_missing_secret_key: {
      title: 'The app is not set up completely',
      text: 'The app that brought you here did not identify itself. Tell the people who run the app. The link is still unused.',
      fix: 'Give the proxy of the app the secret key of this server.',
    },
    proxy_request_invalid_secret_key: {
      title: 'The app is not set up completely',
      text: 'This server does not know the app that brought you here. Tell the people who run the app. The link is still unused.',
      fix: 'Give the proxy of the app a secret key of this server. `stagedoor keys create` makes one.',
    },
    proxy_url_invalid: {
      title: 'The app is not set up completely',
      text: 'The app that brought you here gave a wrong address of its own. Tell the people who run the app. The link is still unused.',
      fix: 'Give the proxy of the app the http or https address at which browsers reach it.',
    },
    request_invalid: {
      title: 'The request was not complete',
      text: 'The server could not read what your browser sent. Open the link again.',
    },
    request_body_invalid: {
      title: 'The form was not complete',
      text: 'The server could not read what your browser sent. Open the link again.',
    },
    request_body_too_large: {
      title: 'The form was too large',
      text: 'Your browser sent more than this page accepts. Open the link again.',
    },
    unsupported_content_type: {
      title: 'The form was not complete',
      text: 'The server could not read what your browser sent. Open the link again.',
    },
    form_param_missing: {
      title: 'This link is not complete',
      text: 'A part of the link is missing. Copy the whole link as you were given it, and open it again.',
    },
    form_param_value_invalid: {
      title: 'This link is not complete',
      text: 'A part of the link is missing or was changed. Copy the whole link as you were given it, and open it again.',
    },
    form_param_type_invalid: {
      title: 'This link is not complete',
      text: 'A part of the link was changed. Copy the whole link as you were given it, and open it again.',
    },
    form_param_unknown: {
      title: 'This link was changed',
      text: 'The link has a part that this server does not know. Copy the whole link as you were given it, and open it again.',
    },
    resource_not_found: {
      title: 'Page not found',
      text: 'There is no page at this address. Check the address, or open your link again exactly as you were given it.',
    },
    actor_token_revoked_code: {
      title: 'This link was taken back',
      text: 'The link was revoked, so it opens nothing any more. If you still need access, ask for a new link.',
    },
    actor_token_already_used_code: {
      title: 'This link has been used',
      text: 'A link like this opens once. If you opened it yourself, go on in the window that it opened. If you did not, tell the person who gave it to you: they can end the session that it started. To start again, ask for a new link.',
    },
    actor_token_cannot_be_used_code: { title: 'This link cannot be used', text: 'Ask for a new link.' },
    actor_token_subject_not_found: {
      title: 'There is no such user any more',
      text: 'The user that you were to act as has been deleted, so the link opens nothing.',
    },
    sign_in_token_revoked_code: {
      title: 'This link was taken back',
      text: 'The link was revoked, so it opens nothing any more. If you still need it, ask for a new one.',
    },
    sign_in_token_already_used_code: {
      title: 'This link has been used',
      text: 'A link like this opens once. If you are not signed in now, ask for a new one.',
    },
    sign_in_token_cannot_be_used_code: { title: 'This link cannot be used', text: 'Ask for a new link.' },
    sign_in_token_subject_not_found: {
      title: 'There is no such user any more',
      text: 'The user of this link has been deleted, so the link opens nothing.',
    },
    ticket_expired_code: {
      title: 'This link is too old',
      text: 'A link like this works for a short time, and it has expired. Ask for a new link.',
      fix: 'Create a new token.',
    },
    ticket_invalid_code: {
      title: 'This link does not work',
      text: 'This link is incomplete, was altered, or was issued by a different server. Copy the whole link as you were given it, or ask for a new one.',
      fix: 'Use the ticket as this server issued it: the `token` field, complete and unchanged.',
    },
    user_banned: {
      title: 'This user may not be signed in',
      text: 'The user is banned, so you cannot act as them. The link works again if the ban is lifted before it expires.',
      fix: 'Lift the ban first: POST /v1/users/{user_id}/unban.',
    },
    user_locked: {
      title: 'This user may not be signed in',
      text: 'The user is locked, so you cannot act as them. The link works again if the user is unlocked before it expires.',
      fix: 'Unlock the user first: POST /v1/users/{user_id}/unlock.',
    },
    acting_refused: {
      title: 'You may not act as this user',
      text: 'The rules of this server do not allow it. The link was not used up: ask the people who manage these rules.',
      fix: 'stagedoor policy explain --user … --actor … shows which rule decides.',
    },
    policy_unavailable: {
      title: 'It cannot be decided right now',
      text: 'The server cannot check whether you may act as this user. The link was not used up: try again shortly.',
      fix: 'Look for the cause in the log of the server.',
    },
    audit_behind: {
      title: 'Not possible right now',
      text: 'The server cannot prove its newest audit events yet, so it gives no new access. The link was not used up: try again shortly.',
      fix: '`stagedoor doctor` shows the cause.',
    },
    actor_banned: {
      title: 'You may not act as anyone',
      text: 'Your own account is banned or locked on this server.',
      fix: 'If that is a mistake, lift the ban or unlock the user who acts.',
    },
    actor_is_user: {
      title: 'This link is for your own account',
      text: 'You cannot act as yourself. Sign in to your account as usual.',
      fix: 'Name the person or program that acts in `actor.sub`, and another user in `user_id`.',
    },
    sign_in_tokens_off: {
      title: 'This link does not work here',
      text: 'This server does not accept links of this kind. Ask for another one.',
      fix: 'Create an actor token, or set STAGEDOOR_SIGN_IN_TOKENS=on.',
    },
    too_many_requests: {
      title: 'Too many requests',
      text: 'The server received too many requests from your network. The link is still unused. Wait a moment, then reload the page.',
      fix: 'If all requests come from your proxy, name it in STAGEDOOR_TRUSTED_PROXIES.',
    },
    internal_clerk_error: {
      title: 'That did not work',
      text: 'The server made an error. Try again. If it fails again, report the trace id below.',
      fix: 'Search the log of the server for the trace id.',
    },
    service_unavailable: {
      title: 'Not available right now',
      text: 'The server cannot process your request right now. Wait a moment, then reload the page.',
      fix: 'Check that the server reaches its database: GET /readyz.',
    },
    outcome_unknown: {
      title: 'It is not known whether that worked',
      text: 'The server lost its database connection during your request. Go back to your app and check whether you are signed in before you try again.',
      fix: 'Check that the server reaches its database: GET /readyz.',
    },
  } as Partial<Record<ErrorCode, ErrorTexts>>,
  /** The banner of the SDK. `npm run generate` copies these texts into packages/sdk/src/banner/index.ts. */
  banner: {
    region: 'Acting as another user',
    acting: '{actor} is acting as {user}.',
    reason: 'Reason: {reason}',
    ticket: 'Ticket: {ticket}',
    agent: 'AI agent',
    someone: 'Someone',
    anotherUser: 'another user',
    left: '{time} left',
    fiveMinutes: '5 minutes left.',
    oneMinute: '1 minute left.',
    over: 'Time is up.',
    leave: 'Leave',
    leaveName: 'Leave: stop acting as {user}',
    leaving: 'Leaving…',
    failed: 'Leaving did not work. You are still acting.',
    retry: 'Try again',
    more: 'Show all',
    less: 'Show less',
  },
}

/** All texts of one language. */
export type Texts = typeof en
