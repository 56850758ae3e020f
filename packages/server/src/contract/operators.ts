import { z } from 'zod'
import { formErrors } from './actor-tokens.ts'
import { normalEmail } from './identifiers.ts'
import { cursorOf, Id, listOf, Milliseconds, operation, pagedQuery, ROLES } from './operation.ts'

/** Operators: the people who use the console, each with a role, and their sessions there. */

export const OperatorRole = z
  .enum(ROLES)
  .describe('What the operator may do in the console: docs/guides/console-sign-in.md lists it.')

export const Operator = z
  .strictObject({
    object: z.literal('operator'),
    id: Id,
    iss: z.string().describe('The identity provider, or the public URL for an operator without one.'),
    sub: z.string().describe('The id of the operator at the identity provider.'),
    actor_sub: z.string().describe('The `sub` with which the operator acts.'),
    role: OperatorRole,
    role_source: z
      .enum(['claim', 'link', 'development'])
      .describe('Where the role comes from: the identity provider, an invitation, or the link of `stagedoor dev`.'),
    name: z.string().nullable(),
    email: z.string().nullable(),
    disabled_at: Milliseconds.nullable(),
    last_sign_in_at: Milliseconds.nullable().describe('Null: the operator has been invited and has not signed in yet.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'Operator' })

export const InvitedOperator = Operator.extend({
  link: z.string().describe('Lets the operator register a passkey, once. Only this answer has it.'),
  link_expires_at: Milliseconds,
}).meta({ id: 'InvitedOperator' })

export const OperatorSession = z
  .strictObject({
    object: z.literal('operator_session'),
    id: Id,
    operator_id: Id,
    role: OperatorRole,
    is_current: z.boolean().describe('Whether the request came from this session.'),
    auth_at: Milliseconds.nullable().describe('When the operator proved who they are, if that is known.'),
    amr: z.array(z.string()).describe('How the operator proved it (RFC 8176).'),
    user_agent: z.string().nullable(),
    address: z.string().nullable(),
    created_at: Milliseconds,
    last_seen_at: Milliseconds,
    expires_at: Milliseconds,
    idle_expires_at: Milliseconds.describe('When the session ends if it is not used until then.'),
    ended_at: Milliseconds.nullable().describe('When the session was ended, before it expired.'),
  })
  .meta({ id: 'OperatorSession' })

const shared = { tag: 'Operators', auth: 'secret_key', rights: [], roles: ['admin'], stagedoorOnly: true } as const

export const listOperators = operation({
  ...shared,
  id: 'ListOperators',
  method: 'get',
  path: '/v1/operators',
  summary: 'List the operators of the console, newest first',
  query: pagedQuery({}, cursorOf('opr')),
  response: listOf(Operator),
})

export const getOperator = operation({
  ...shared,
  id: 'GetOperator',
  method: 'get',
  path: '/v1/operators/{operator_id}',
  summary: 'Read an operator',
  response: Operator,
  errors: ['resource_not_found'],
})

export const inviteOperator = operation({
  ...shared,
  id: 'InviteOperator',
  method: 'post',
  path: '/v1/operators',
  summary: 'Invite an operator who has no identity provider, with a one-time link',
  description:
    'The link is valid for one hour and can be used once. With it the operator registers a passkey. A second invitation of the same address makes another link for the same operator: after a lost passkey, for example.',
  action: 'operator.invite',
  stepUp: true,
  body: z
    .strictObject({
      email: z
        .string()
        .max(254)
        .refine(text => z.email().safeParse(text).success, { params: { code: 'value' }, error: 'an e-mail address' })
        .transform(text => normalEmail(text))
        .meta({ type: 'string' })
        .describe('An e-mail address: it identifies the operator. No e-mail is sent.'),
      role: OperatorRole,
      name: z.string().min(1).max(200).optional(),
    })
    .meta({ id: 'InviteOperatorRequestBody' }),
  response: InvitedOperator,
  errors: [...formErrors, 'operator_disabled'],
})

export const disableOperator = operation({
  ...shared,
  id: 'DisableOperator',
  method: 'post',
  path: '/v1/operators/{operator_id}/disable',
  summary: 'Disable an operator, and end all of their sessions',
  description:
    'Once this request is answered, the operator has no session in the console, cannot sign in and cannot act as anyone: the actor is disabled too. An operator who is already disabled is returned unchanged.',
  neverShed: true,
  action: 'operator.disable',
  stepUp: true,
  response: Operator,
  errors: ['resource_not_found'],
})

export const enableOperator = operation({
  ...shared,
  id: 'EnableOperator',
  method: 'post',
  path: '/v1/operators/{operator_id}/enable',
  summary: 'Let a disabled operator sign in again',
  description:
    'Enables the actor too, if it was disabled together with the operator. An operator who is not disabled is returned unchanged, and so is one whose name another operator acts in since.',
  action: 'operator.enable',
  stepUp: true,
  response: Operator,
  errors: ['resource_not_found'],
})

export const listOperatorSessions = operation({
  ...shared,
  roles: [...ROLES],
  own: ['viewer', 'support', 'approver'],
  ownFilter: 'operator_id',
  id: 'ListOperatorSessions',
  method: 'get',
  path: '/v1/operator_sessions',
  summary: 'List sessions in the console, newest first',
  description: 'In the console, everybody but an admin gets only their own.',
  query: pagedQuery({ operator_id: Id.optional() }, cursorOf('ops')),
  response: listOf(OperatorSession),
})

export const endOperatorSession = operation({
  ...shared,
  roles: [...ROLES],
  own: ['viewer', 'support', 'approver'],
  id: 'EndOperatorSession',
  method: 'post',
  path: '/v1/operator_sessions/{operator_session_id}/end',
  summary: 'End a session in the console',
  description: 'A session that has already ended is returned unchanged.',
  neverShed: true,
  action: 'operator_session.end',
  response: OperatorSession,
  errors: ['resource_not_found'],
})
