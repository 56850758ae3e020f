import { z } from 'zod'
import { Email, ExternalId, identifierFilters, Phone, Username } from './identifiers.ts'
import {
  DeletedObject,
  flag,
  Id,
  JsonObject,
  limit,
  listOf,
  Milliseconds,
  many,
  milliseconds,
  offsetUpTo,
  opaqueCursor,
  operation,
  pagedQuery,
  totalCountIsMinimum,
} from './operation.ts'

const Metadata = JsonObject.meta({ id: 'Metadata', type: 'object', additionalProperties: true })

const verification = z.strictObject({
  object: z.literal('verification_admin'),
  status: z.literal('verified'),
  strategy: z.literal('admin'),
  attempts: z.null(),
  expire_at: z.null(),
})

const contact = {
  id: Id,
  reserved: z.boolean(),
  verification,
  linked_to: z.array(z.never()),
  created_at: Milliseconds,
  updated_at: Milliseconds,
}

export const EmailAddress = z
  .strictObject({ object: z.literal('email_address'), email_address: z.string(), ...contact })
  .meta({ id: 'EmailAddress' })

export const PhoneNumber = z
  .strictObject({
    object: z.literal('phone_number'),
    phone_number: z.string(),
    reserved_for_second_factor: z.literal(false),
    default_second_factor: z.literal(false),
    ...contact,
  })
  .meta({ id: 'PhoneNumber' })

/** Has every key that Clerk's strictly typed clients require, including keys of features that Stagedoor does not have. */
export const User = z
  .strictObject({
    object: z.literal('user'),
    id: Id,
    external_id: z.string().nullable(),
    username: z.string().nullable(),
    first_name: z.string().nullable(),
    last_name: z.string().nullable(),
    locale: z.string().nullable(),
    image_url: z.string(),
    has_image: z.literal(false),
    primary_email_address_id: z.string().nullable(),
    primary_phone_number_id: z.string().nullable(),
    primary_web3_wallet_id: z.null(),
    email_addresses: z.array(EmailAddress),
    phone_numbers: z.array(PhoneNumber),
    web3_wallets: z.array(z.never()),
    passkeys: z.array(z.never()),
    external_accounts: z.array(z.never()),
    saml_accounts: z.array(z.never()),
    enterprise_accounts: z.array(z.never()),
    public_metadata: Metadata,
    private_metadata: Metadata,
    unsafe_metadata: Metadata,
    password_enabled: z.literal(false),
    two_factor_enabled: z.literal(false),
    totp_enabled: z.literal(false),
    backup_code_enabled: z.literal(false),
    mfa_enabled_at: z.null(),
    mfa_disabled_at: z.null(),
    banned: z.boolean(),
    locked: z.boolean(),
    lockout_expires_in_seconds: z.null(),
    verification_attempts_remaining: z.null(),
    delete_self_enabled: z.boolean(),
    create_organization_enabled: z.boolean(),
    legal_accepted_at: Milliseconds.nullable(),
    last_sign_in_at: Milliseconds.nullable().describe('Sessions with an actor do not count.'),
    last_active_at: Milliseconds.nullable().describe('Sessions with an actor do not count.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'User' })

const name = z.string().max(255).nullish()
const time = z.iso
  .datetime({ offset: true, error: 'a time in RFC 3339 form, 2026-01-31T12:00:00Z' })
  .regex(/^(19[7-9]|[2-9]\d\d)\d-/, { error: 'a time since 1970' })
  .refine(text => !(Date.parse(text) < 0), { params: { code: 'value' }, error: 'a time since 1970' })
  .nullish()

/** Members that Clerk's clients send and that have no effect here: Stagedoor has no passwords and no legal checks. */
const withoutEffect = {
  skip_password_checks: z.boolean().nullish(),
  skip_password_requirement: z.boolean().nullish(),
  skip_legal_checks: z.boolean().nullish(),
  skip_user_requirement: z.boolean().nullish(),
  bypass_client_trust: z.boolean().nullish(),
}

const settable = {
  external_id: ExternalId.nullish().describe('Your own id of this user. Unique.'),
  username: Username.nullish().describe('Unique. Stored in lower case.'),
  first_name: name,
  last_name: name,
  locale: z.string().max(35).nullish(),
  public_metadata: Metadata.optional(),
  private_metadata: Metadata.optional(),
  unsafe_metadata: Metadata.optional(),
  delete_self_enabled: z.boolean().nullish(),
  create_organization_enabled: z.boolean().nullish(),
  legal_accepted_at: time,
  created_at: time,
  ...withoutEffect,
}

export const CreateUserRequestBody = z
  .strictObject({
    ...settable,
    email_address: z.array(Email).max(20).optional(),
    phone_number: z.array(Phone).max(20).optional(),
    banned: z.boolean().nullish(),
    locked: z.boolean().nullish(),
  })
  .meta({ id: 'CreateUserRequestBody' })

const UpdateUserRequestBody = z
  .strictObject({
    ...settable,
    primary_email_address_id: Id.nullish(),
    primary_phone_number_id: Id.nullish(),
    notify_primary_email_address_changed: z
      .literal(false)
      .nullish()
      .describe('Sent by Clerk’s SDK for Python. Stagedoor sends no e-mail, so it can only be false.'),
  })
  .meta({ id: 'UpdateUserRequestBody' })

const MetadataBody = z
  .strictObject({
    public_metadata: Metadata.optional(),
    private_metadata: Metadata.optional(),
    unsafe_metadata: Metadata.optional(),
  })
  .meta({ id: 'UpdateUserMetadataRequestBody' })

const filters = {
  user_id: many.optional(),
  ...identifierFilters,
  query: z.string().max(255).optional().describe('Part of an id, name, e-mail address or phone number.'),
  email_address_query: z.string().max(255).optional(),
  phone_number_query: z.string().max(255).optional(),
  username_query: z.string().max(255).optional(),
  name_query: z.string().max(255).optional(),
  banned: flag.optional(),
  locked: flag.optional().describe('Stagedoor only.'),
  protected: flag
    .optional()
    .describe(
      'Whether the policy refuses to let anyone act as the user: `private_metadata.stagedoor.protected` is true. Stagedoor only.',
    ),
  last_active_at_before: milliseconds.optional(),
  last_active_at_after: milliseconds.optional(),
  last_active_at_since: milliseconds.optional(),
  last_sign_in_at_before: milliseconds.optional(),
  last_sign_in_at_after: milliseconds.optional(),
  created_at_before: milliseconds.optional(),
  created_at_after: milliseconds.optional(),
}

/** Columns that order a list of users. The prefix `-` means descending; `+` or no prefix means ascending. */
export const USER_ORDERS = [
  'created_at',
  'updated_at',
  'first_name',
  'last_name',
  'username',
  'email_address',
  'phone_number',
  'last_active_at',
  'last_sign_in_at',
] as const

const order_by = z
  .string()
  // In a query string a bare `+` means a space.
  .regex(new RegExp(`^[-+ ]?(${USER_ORDERS.join('|')})$`), {
    error: `one of ${USER_ORDERS.join(', ')}, optionally with the prefix - or +`,
  })
  .default('-created_at')
  .meta({ type: 'string', default: '-created_at' })

const bodyErrors = [
  'form_param_missing',
  'form_param_value_invalid',
  'form_param_type_invalid',
  'form_param_unknown',
  'form_identifier_exists',
] as const

/** Clerk's clients read all users by offset. */
const usersOffset = offsetUpTo(100_000)

export const TotalCount = z
  .strictObject({
    object: z.literal('total_count'),
    total_count: z.int().min(0).describe('Exact up to 100,000 users, and up to 5,000 with a filter.'),
    total_count_is_minimum: totalCountIsMinimum,
  })
  .meta({ id: 'TotalCount' })

export const listUsers = operation({
  id: 'GetUserList',
  method: 'get',
  path: '/v1/users',
  tag: 'Users',
  summary: 'List users',
  auth: 'secret_key',
  rights: ['users'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: pagedQuery({ ...filters, order_by, offset: usersOffset }, opaqueCursor),
  response: listOf(User),
})

export const countUsers = operation({
  id: 'GetUsersCount',
  method: 'get',
  path: '/v1/users/count',
  tag: 'Users',
  summary: 'Count users',
  auth: 'secret_key',
  rights: ['users'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  // Clerk's Node SDK also sends the list's paging and order here; they do not affect the count.
  query: z.strictObject({
    ...filters,
    limit: limit.optional(),
    offset: usersOffset.optional(),
    order_by: order_by.optional(),
  }),
  response: TotalCount,
})

export const createUser = operation({
  id: 'CreateUser',
  method: 'post',
  path: '/v1/users',
  tag: 'Users',
  summary: 'Create a user',
  description:
    'Stagedoor stores no passwords: your own login stays as it is. Set `external_id` to find your users again.',
  auth: 'secret_key',
  rights: ['users'],
  roles: ['admin'],
  idempotent: true,
  action: 'user.create',
  body: CreateUserRequestBody,
  response: User,
  errors: bodyErrors,
})

export const getUser = operation({
  id: 'GetUser',
  method: 'get',
  path: '/v1/users/{user_id}',
  tag: 'Users',
  summary: 'Read a user',
  auth: 'secret_key',
  rights: ['users'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  response: User,
  errors: ['resource_not_found'],
})

export const updateUser = operation({
  id: 'UpdateUser',
  method: 'patch',
  path: '/v1/users/{user_id}',
  tag: 'Users',
  summary: 'Change a user',
  auth: 'secret_key',
  rights: ['users'],
  roles: ['admin'],
  action: 'user.update',
  body: UpdateUserRequestBody,
  response: User,
  errors: [...bodyErrors, 'resource_not_found'],
})

export const updateUserMetadata = operation({
  id: 'UpdateUserMetadata',
  method: 'patch',
  path: '/v1/users/{user_id}/metadata',
  tag: 'Users',
  summary: 'Merge into a user’s metadata',
  description: 'Merges deeply; a member that is null in the request is removed (RFC 7396).',
  auth: 'secret_key',
  rights: ['users'],
  roles: ['admin'],
  action: 'user.update_metadata',
  body: MetadataBody,
  response: User,
  errors: [...bodyErrors, 'resource_not_found'],
})

export const deleteUser = operation({
  id: 'DeleteUser',
  method: 'delete',
  path: '/v1/users/{user_id}',
  tag: 'Users',
  summary: 'Delete a user',
  description: 'Revokes the user’s sessions and pending tokens, and those in which the user is the actor.',
  auth: 'secret_key',
  rights: ['users'],
  roles: ['admin'],
  neverShed: true,
  action: 'user.delete',
  response: DeletedObject,
  errors: ['resource_not_found'],
})

const change = (id: string, verb: string, summary: string, more: { description?: string; neverShed?: true } = {}) =>
  operation({
    id,
    method: 'post',
    path: `/v1/users/{user_id}/${verb}`,
    tag: 'Users',
    summary,
    ...more,
    auth: 'secret_key',
    rights: ['users'],
    roles: ['admin'],
    action: `user.${verb}`,
    response: User,
    errors: ['resource_not_found'],
  })

export const banUser = change('BanUser', 'ban', 'Ban a user', {
  description: 'Revokes the user’s sessions and pending tokens, and those in which the user is the actor.',
  neverShed: true,
})
export const unbanUser = change('UnbanUser', 'unban', 'Lift a ban')
export const lockUser = change('LockUser', 'lock', 'Lock a user', {
  description:
    'While the user is locked, no session can be started as the user and no session token is minted. After unlocking, existing sessions can be used again.',
  neverShed: true,
})
export const unlockUser = change('UnlockUser', 'unlock', 'Unlock a user')
