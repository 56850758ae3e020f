import { z } from 'zod'
import { bapi } from './bapi.ts'
import { flag, Id, JsonObject, Milliseconds, type Operation, operation, ROLES } from './operation.ts'
import { OperatorRole } from './operators.ts'

/** The console's own operations, and the operations of the Backend API that operators call there. They are in no document. */

/** Where the console has its API. */
export const CONSOLE_API = '/console/api'

/** The reads of one object with personal data: an operator may ask for all of it. */
export const REVEALING = ['GetUser', 'GetSession', 'GetActorToken', 'GetAuditEvent'] as const

const revealQuery = z.strictObject({
  reveal: flag
    .optional()
    .describe('Show the personal data that the role does not show by default. It is recorded in the audit log.'),
})

/** An operation of the Backend API as operators call it: the same, at another path, with a session instead of a key. */
export function forOperators<O extends Operation>(description: O): O {
  const asked = (REVEALING as readonly string[]).includes(description.id) ? { query: revealQuery } : {}
  return { ...description, ...asked, path: `${CONSOLE_API}${description.path}`, auth: 'operator' }
}

const shared = { tag: 'Console', stagedoorOnly: true } as const

const return_to = z.string().min(1).max(2_048).optional().describe('A path of the console. Default: `/console`.')

export const startSignIn = operation({
  ...shared,
  id: 'StartConsoleSignIn',
  method: 'post',
  path: '/console/login',
  summary: 'Redirect the browser to the identity provider, to sign in or to step up',
  auth: 'console',
  rateLimit: 'redeem',
  bodyType: 'form',
  body: z.strictObject({ return_to, step_up: z.enum(['1']).optional() }),
  response: z.null(),
  status: 303,
  page: true,
})

export const finishSignIn = operation({
  ...shared,
  id: 'FinishConsoleSignIn',
  method: 'get',
  path: '/console/callback',
  summary: 'End of a sign-in at the identity provider',
  // `state` and the cookie protect it. The identity provider is another site, so nothing else could.
  auth: 'none',
  action: 'operator.sign_in',
  response: z.null(),
  status: 303,
  page: true,
})

export const joinConsole = operation({
  ...shared,
  id: 'JoinConsole',
  method: 'post',
  path: '/console/join',
  summary: 'Use a one-time link',
  auth: 'console',
  rateLimit: 'redeem',
  action: 'operator.join',
  body: z.strictObject({ token: z.string().min(1).max(200) }),
  response: z.strictObject({
    object: z.literal('join'),
    next: z.enum(['console', 'passkey']).describe('`console`: signed in. `passkey`: register a passkey now.'),
    operator: z.strictObject({ id: Id, name: z.string().nullable(), email: z.string().nullable(), role: OperatorRole }),
  }),
})

const purpose = z.enum(['register', 'sign_in', 'step_up'])

export const startPasskey = operation({
  ...shared,
  id: 'StartConsolePasskey',
  method: 'post',
  path: '/console/passkey/options',
  summary: 'Options for `navigator.credentials`, to register or use a passkey',
  auth: 'console',
  rateLimit: 'redeem',
  body: z.strictObject({ purpose, return_to }),
  response: z.strictObject({ object: z.literal('passkey_options'), options: JsonObject }),
})

export const verifyPasskey = operation({
  ...shared,
  id: 'VerifyConsolePasskey',
  method: 'post',
  path: '/console/passkey/verify',
  summary: 'Sign in, or step up, with what `navigator.credentials` returned',
  auth: 'console',
  rateLimit: 'redeem',
  action: 'operator.sign_in',
  body: z.strictObject({ purpose, response: JsonObject }),
  response: z.strictObject({ object: z.literal('signed_in'), return_to: z.string() }),
})

export const leaveConsole = operation({
  ...shared,
  id: 'LeaveConsole',
  method: 'post',
  path: '/console/logout',
  summary: 'End the session of this browser',
  auth: 'operator',
  roles: [...ROLES],
  neverShed: true,
  action: 'operator_session.end',
  body: z.strictObject({}),
  response: z.strictObject({ object: z.literal('signed_out') }),
})

export const getConsoleMe = operation({
  ...shared,
  id: 'GetConsoleMe',
  method: 'get',
  path: `${CONSOLE_API}/me`,
  summary: 'The operator, what they may do, and the settings that screens show',
  auth: 'operator',
  roles: [...ROLES],
  response: z.strictObject({
    object: z.literal('operator_session'),
    operator: z.strictObject({
      id: Id,
      name: z.string().nullable(),
      email: z.string().nullable(),
      role: OperatorRole,
      sub: z.string().describe('The `sub` with which the operator acts.'),
    }),
    role: OperatorRole,
    operations: z.array(z.string()).describe('The ids of the operations that this role may call.'),
    personal_data: z
      .enum(['shown', 'masked'])
      .describe('`masked`: answers hide it, and a read of one object shows it with `reveal=true`.'),
    step_up_until: Milliseconds.nullable(),
    expires_at: Milliseconds,
    idle_expires_at: Milliseconds,
    settings: z.strictObject({
      environment: z.enum(['development', 'production']),
      public_url: z.string(),
      instance_id: Id,
      default_duration: z.int().describe('Seconds.'),
      max_duration: z.int().describe('Seconds.'),
      reason_categories: z.array(z.string()).describe('The categories that the policy compares with.'),
      idp_host: z.string().nullable(),
      scope_understood: z.boolean().describe('Whether the app at STAGEDOOR_SIGN_IN_URL applies the claim `scope`.'),
    }),
  }),
})

/** The operations of the Backend API that some role may call. */
export const forAnyOperator: Operation[] = bapi.filter(({ roles = [] }) => roles.length > 0)

/** Every operation under `/console`. */
export const consoleOperations: Operation[] = [
  startSignIn,
  finishSignIn,
  joinConsole,
  startPasskey,
  verifyPasskey,
  leaveConsole,
  getConsoleMe,
  ...forAnyOperator.map(forOperators),
]
