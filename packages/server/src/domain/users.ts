import type { z } from 'zod'
import { ApiError, invalidParam, notFound } from '../contract/errors.ts'
import type { CreateUserRequestBody, updateUser as updateUserOperation } from '../contract/users.ts'
import { newFactsVersion } from './actors.ts'
import { auditEvent } from './audit/event.ts'
import type { Context } from './context.ts'
import { partsOf } from './cursor.ts'
import type { Once } from './idempotency.ts'
import type { Counted, Found, Page, UserFilter, UserOrder, UserPosition } from './lists.ts'
import { metadataProblem } from './policy-facts.ts'
import type { IdentifierRecord, UserRecord, UserWithIdentifiers } from './records.ts'
import { recordSearch } from './search.ts'
import { sessionEvent } from './sessions.ts'
import { asIdentifierExists } from './unique-violation.ts'

type CreateUser = z.output<typeof CreateUserRequestBody>
type UpdateUser = z.output<NonNullable<typeof updateUserOperation.body>>
const METADATA = ['public_metadata', 'private_metadata', 'unsafe_metadata'] as const
type Metadata = { [K in (typeof METADATA)[number]]?: Record<string, unknown> | undefined }

/** Maximum size of one kind of metadata, in bytes of JSON: Clerk's limit. */
const MAX_METADATA_BYTES = 8_192

/** Creates a user. @throws ApiError form_identifier_exists, form_param_value_invalid */
export async function createUser(ctx: Context, input: CreateUser, once?: Once): Promise<UserWithIdentifiers> {
  const now = ctx.clock.now()
  const created_at = milliseconds(input.created_at) ?? now
  const id = ctx.random.id('user', now)
  const identifier = (kind: IdentifierRecord['kind']) => (value: string, position: number) =>
    ({
      id: ctx.random.id('idn', now),
      user_id: id,
      kind,
      value,
      position,
      created_at: now,
      updated_at: now,
    }) satisfies IdentifierRecord
  const emails = [...new Set(input.email_address)].map(identifier('email_address'))
  const phones = [...new Set(input.phone_number)].map(identifier('phone_number'))
  const user: UserRecord = {
    id,
    external_id: input.external_id ?? null,
    username: input.username ?? null,
    first_name: input.first_name ?? null,
    last_name: input.last_name ?? null,
    locale: input.locale ?? null,
    primary_email_address_id: emails[0]?.id ?? null,
    primary_phone_number_id: phones[0]?.id ?? null,
    public_metadata: metadataText('public_metadata', input.public_metadata ?? {}),
    private_metadata: metadataText('private_metadata', input.private_metadata ?? {}),
    unsafe_metadata: metadataText('unsafe_metadata', input.unsafe_metadata ?? {}),
    delete_self_enabled: input.delete_self_enabled === false ? 0 : 1,
    create_organization_enabled: input.create_organization_enabled === false ? 0 : 1,
    banned_at: input.banned ? now : null,
    locked_at: input.locked ? now : null,
    legal_accepted_at: milliseconds(input.legal_accepted_at) ?? null,
    last_sign_in_at: null,
    last_active_at: null,
    facts_version: newFactsVersion(ctx),
    created_at,
    updated_at: now,
  }
  const identifiers = [...emails, ...phones]
  const key = once && { ...once, made_id: id }
  await asIdentifierExists(ctx.store.users.insert(user, identifiers, userEvent(ctx, 'create', id), key))
  return { ...user, identifiers }
}

/** Returns a user. @throws ApiError resource_not_found */
export async function getUser(ctx: Context, input: { id: string }): Promise<UserWithIdentifiers> {
  const user = await ctx.store.users.find(input.id)
  if (!user) throw notFound('user', input.id)
  return user
}

/** The filters that look people up by what is personal. */
const PERSONAL = [
  'query',
  'email_address_query',
  'phone_number_query',
  'username_query',
  'name_query',
  'email_address',
  'phone_number',
  'external_id',
  'username',
] as const

/** Counts and records a search of an operator. @throws ApiError too_many_requests */
async function recordLookup(ctx: Context, filter: UserFilter): Promise<void> {
  const texts = PERSONAL.flatMap(name => filter[name] ?? [])
  if (texts.length > 0) await recordSearch(ctx, texts.join(' '))
}

/** Lists users. @throws ApiError form_param_value_invalid if the cursor is not of a list in this order */
export async function listUsers(
  ctx: Context,
  input: UserFilter & Page & { order_by: string; counted: boolean },
): Promise<Found<UserWithIdentifiers>> {
  const { limit, offset, order_by, starting_after, ...filter } = input
  await recordLookup(ctx, filter)
  const by = order_by.replace(/^[-+ ]/, '') as UserOrder['by']
  const after = starting_after === undefined ? undefined : await positionOf(ctx, starting_after, by)
  return ctx.store.users.list(filter, { limit, offset, order: { by, descending: order_by.startsWith('-') }, after })
}

/** @param cursor the `next` of a page, or the id of its last user (as at Clerk) */
async function positionOf(ctx: Context, cursor: string, by: UserOrder['by']): Promise<UserPosition> {
  if (cursor.startsWith('user_')) {
    const position = await ctx.store.users.position(cursor, by)
    if (position) return position
    throw invalidParam(
      'starting_after',
      '`starting_after` is the id of a user who no longer exists. Send the `next_cursor` of the page (`paginated=true`) instead: it stays valid when users are deleted.',
    )
  }
  const [column, value, id, ...more] = partsOf(cursor) ?? []
  const fits = value === null ? !TIMES.has(by) : (typeof value === 'number') === by.endsWith('_at')
  if (column === by && value !== undefined && fits && typeof id === 'string' && more.length === 0) return { value, id }
  throw invalidParam(
    'starting_after',
    '`starting_after` must be the `next_cursor` of a page in the same order (`order_by`), or the id of its last user.',
  )
}

/** Orders whose column has a value for every user. */
const TIMES: ReadonlySet<string> = new Set(['created_at', 'updated_at'])

/** Counts users: up to 100,000 without a filter, up to 5,000 with one. */
export async function countUsers(ctx: Context, input: UserFilter): Promise<Counted> {
  await recordLookup(ctx, input)
  return ctx.store.users.count(input)
}

/**
 * Changes the given members; `null` clears one. @throws ApiError resource_not_found, form_identifier_exists,
 * form_param_value_invalid
 */
export async function updateUser(ctx: Context, input: UpdateUser & { id: string }): Promise<UserWithIdentifiers> {
  const user = await getUser(ctx, input)
  const change: Partial<UserRecord> = { updated_at: ctx.clock.now() }
  for (const key of ['external_id', 'username', 'first_name', 'last_name', 'locale'] as const) {
    if (input[key] !== undefined) change[key] = input[key]
  }
  for (const key of METADATA) {
    if (input[key] !== undefined) change[key] = metadataText(key, input[key])
  }
  Object.assign(change, primaryIdentifiers(user, input))
  for (const key of ['delete_self_enabled', 'create_organization_enabled'] as const) {
    if (typeof input[key] === 'boolean') change[key] = input[key] ? 1 : 0
  }
  if (input.legal_accepted_at !== undefined) change.legal_accepted_at = milliseconds(input.legal_accepted_at) ?? null
  if (input.created_at) change.created_at = milliseconds(input.created_at) ?? user.created_at
  await asIdentifierExists(ctx.store.users.update(user.id, change, userEvent(ctx, 'update', user.id)))
  return getUser(ctx, input)
}

/** Returns the primary identifiers that the input sets. @throws ApiError resource_not_found if the user does not have one */
function primaryIdentifiers(user: UserWithIdentifiers, input: UpdateUser): Partial<UserRecord> {
  const primaries: Partial<UserRecord> = {}
  for (const kind of ['email_address', 'phone_number'] as const) {
    const primary = input[`primary_${kind}_id`]
    if (primary === undefined) continue
    if (primary !== null && !user.identifiers.some(it => it.id === primary && it.kind === kind))
      throw notFound(kind, primary)
    primaries[`primary_${kind}_id`] = primary
  }
  return primaries
}

/** Merges into the metadata, at every depth; a member set to null is removed. @throws ApiError resource_not_found */
export async function updateUserMetadata(ctx: Context, input: Metadata & { id: string }): Promise<UserWithIdentifiers> {
  // Another request may write between this read and this write. Then the statement finds other values, and the merge is
  // done again.
  for (let attempt = 0; attempt < 20; attempt++) {
    const user = await getUser(ctx, input)
    const change: Partial<UserRecord> = { updated_at: ctx.clock.now() }
    const unless: Partial<UserRecord> = {}
    for (const key of METADATA) {
      const patch = input[key]
      if (patch === undefined) continue
      unless[key] = user[key]
      change[key] = metadataText(key, merge(JSON.parse(user[key]), patch))
    }
    const done = await ctx.store.users.update(user.id, change, userEvent(ctx, 'update_metadata', user.id), unless)
    if (done) return getUser(ctx, input)
  }
  throw new ApiError('service_unavailable', { about: { user_id: input.id } })
}

/** Merges as in RFC 7396. Both sides are JSON without `__proto__` members: the parser rejects those. */
function merge(target: unknown, patch: Record<string, unknown>): Record<string, unknown> {
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key]
    else merged[key] = isObject(value) ? merge(merged[key], value) : value
  }
  return merged
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Bans a user. Ends all sessions and tokens in which the user is the subject or the actor. @throws ApiError
 * resource_not_found
 */
export async function banUser(ctx: Context, input: { id: string }): Promise<UserWithIdentifiers> {
  await expel(ctx, input.id, 'ban')
  return getUser(ctx, input)
}

/**
 * Deletes a user. Ends all sessions and tokens in which the user is the subject or the actor. @throws ApiError
 * resource_not_found
 */
export async function deleteUser(ctx: Context, input: { id: string }): Promise<void> {
  await expel(ctx, input.id, 'delete')
}

async function expel(ctx: Context, id: string, how: 'ban' | 'delete'): Promise<void> {
  const done = await ctx.store.users.expel(id, how, userEvent(ctx, how, id), {
    session: session => sessionEvent(ctx, 'session.revoke', session, `user.${how}`),
    actorToken: token =>
      auditEvent(ctx, {
        action: `${token.kind}.revoke`,
        about: {
          actor_token_id: token.id,
          user_id: token.user_id,
          ...(token.actor_sub ? { actor_sub: token.actor_sub } : {}),
        },
        actor: token.actor,
        reason: `user.${how}`,
      }),
  })
  if (!done) throw notFound('user', id)
}

/**
 * Unbans, locks or unlocks a user. No tokens are minted for sessions of a locked user. @throws ApiError
 * resource_not_found
 */
export async function setUserState(
  ctx: Context,
  input: { id: string; change: 'unban' | 'lock' | 'unlock' },
): Promise<UserWithIdentifiers> {
  const now = ctx.clock.now()
  const columns = {
    unban: { banned_at: null },
    lock: { locked_at: now },
    unlock: { locked_at: null },
  }[input.change]
  const event = userEvent(ctx, input.change, input.id)
  if (!(await ctx.store.users.update(input.id, { ...columns, updated_at: now }, event)))
    throw notFound('user', input.id)
  return getUser(ctx, input)
}

function userEvent(ctx: Context, verb: string, user_id: string) {
  return auditEvent(ctx, { action: `user.${verb}`, about: { user_id } })
}

function metadataText(param: string, value: Record<string, unknown>): string {
  const problem = param === 'private_metadata' ? metadataProblem(value.stagedoor) : undefined
  if (problem !== undefined)
    throw invalidParam(param, `Policies read \`stagedoor\` in \`private_metadata\`: ${problem}.`)
  const text = JSON.stringify(value)
  const bytes = Buffer.byteLength(text)
  if (bytes <= MAX_METADATA_BYTES) return text
  throw new ApiError('form_param_value_invalid', {
    params: { param },
    meta: { param_name: param },
    action: `\`${param}\` is ${bytes} bytes as JSON; at most ${MAX_METADATA_BYTES} are allowed.`,
  })
}

function milliseconds(time: string | null | undefined): number | undefined {
  return time ? Date.parse(time) : undefined
}
