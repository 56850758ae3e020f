import { hash } from 'node:crypto'
import { ApiError, invalidParam, notFound } from '../contract/errors.ts'
import { type Operation, RIGHTS, type Right } from '../contract/operation.ts'
import { auditEvent } from './audit/event.ts'
import type { Context } from './context.ts'
import type { Once } from './idempotency.ts'
import type { Found, Page } from './lists.ts'
import type { SecretKeyRecord } from './records.ts'
import { UniqueValueTaken } from './store.ts'

export interface CreateSecretKey {
  name: string
  /** What the key may do, by the names of the rights. Default: everything. */
  rights?: readonly string[] | undefined
  /** Lifetime of the key, in seconds. Default: no end. */
  expires_in_seconds?: number | undefined
  /** A key that was drawn elsewhere. Default: a random one. */
  secret?: string
}

/** A key that was just created, with the key itself. */
export interface CreatedSecretKey {
  record: SecretKeyRecord
  secret: string
}

/**
 * Creates a secret API key. Only the response contains the key itself: the store has its SHA-256. (A key is 32 random
 * bytes, so a plain hash cannot be reversed by search.)
 * @throws ApiError form_param_value_invalid
 */
export async function createSecretKey(ctx: Context, input: CreateSecretKey, once?: Once): Promise<CreatedSecretKey> {
  const { rights = ['everything'], expires_in_seconds: lifetime } = input
  const problem = problemOfRights(rights)
  if (problem !== undefined) throw invalidParam('rights', `\`rights\` must be ${problem}.`)
  const now = ctx.clock.now()
  const secret = input.secret ?? `${prefix(ctx)}${ctx.random.bytes(32).toString('hex')}`
  const record: SecretKeyRecord = {
    id: ctx.random.id('key', now),
    name: input.name,
    hash: hash('sha256', secret),
    hint: `${secret.slice(0, 12)}…${secret.slice(-4)}`,
    created_at: now,
    revoked_at: null,
    rights: RIGHTS.filter(right => rights.includes(right)).join(' '),
    expires_at: lifetime === undefined ? null : now + lifetime * 1_000,
  }
  await ctx.store.secretKeys.insert(
    record,
    auditEvent(ctx, { action: 'secret_key.create', about: {}, target_id: record.id }),
    once && { ...once, made_id: record.id },
  )
  return { record, secret }
}

/** Rights that are planned. No key can have them yet. */
const RESERVED_RIGHTS: readonly string[] = ['request', 'approve', 'review']

/**
 * Returns which rights would be valid instead, as in `must be …`; undefined if these are. A key has every right or some
 * of the others: with `everything`, the others would mean nothing.
 */
export function problemOfRights(rights: readonly string[]): string | undefined {
  const others = RIGHTS.filter(right => right !== 'everything')
  const valid = `\`everything\`, or one or more of ${others.map(right => `\`${right}\``).join(', ')}`
  const reserved = rights.find(right => RESERVED_RIGHTS.includes(right))
  if (reserved !== undefined) return `${valid}. \`${reserved}\` is reserved for a later version`
  const unknown = rights.find(right => !RIGHTS.some(known => known === right))
  if (unknown !== undefined) return `${valid}; \`${unknown.slice(0, 40)}\` is none of them`
  return rights.length === 0 || (rights.length > 1 && rights.includes('everything')) ? valid : undefined
}

/** The rights of a key. A right that this version does not know allows nothing. */
export function rightsOf({ rights }: Pick<SecretKeyRecord, 'rights'>): Right[] {
  const names = rights.split(' ')
  return RIGHTS.filter(right => names.includes(right))
}

/** Whether a key can be used at a time: it is neither revoked nor expired. For people: the store decides about requests. */
export function isUsableAt({ revoked_at, expires_at }: SecretKeyRecord, now: number): boolean {
  return revoked_at === null && (expires_at === null || expires_at > now)
}

/**
 * Tells a caller who repeats the creation of a key that its secret was shown once, in the answer to the first request.
 * @throws ApiError secret_key_shown_before, always
 */
export async function refuseSecondShowing(_ctx: Context, id: string): Promise<never> {
  throw new ApiError('secret_key_shown_before', { params: { id }, meta: { secret_key_id: id } })
}

/** Stores the key `secret` if it is not stored yet: the first key of a server, given in its settings. */
export async function ensureSecretKey(ctx: Context, input: { name: string; secret: string }): Promise<SecretKeyRecord> {
  const find = () => ctx.store.secretKeys.findByHash(hash('sha256', input.secret))
  const known = await find()
  if (known) return known
  try {
    return (await createSecretKey(ctx, input)).record
  } catch (error) {
    // Another node that started at the same time was first.
    const theirs = error instanceof UniqueValueTaken ? await find() : undefined
    if (theirs) return theirs
    throw error
  }
}

/** Lists secret keys, newest first, one page at a time. */
export function listSecretKeys(ctx: Context, input: Page & { counted: boolean }): Promise<Found<SecretKeyRecord>> {
  return ctx.store.secretKeys.list(input, input)
}

/** Returns every secret key, oldest first. */
export function allSecretKeys(ctx: Context): Promise<SecretKeyRecord[]> {
  return ctx.store.secretKeys.all()
}

/** Revokes a secret key. @throws ApiError resource_not_found */
export async function revokeSecretKey(ctx: Context, input: { id: string }): Promise<SecretKeyRecord> {
  const event = auditEvent(ctx, { action: 'secret_key.revoke', about: {}, target_id: input.id })
  const revoked = await ctx.store.secretKeys.revoke(input.id, event)
  if (revoked) return revoked
  const key = (await ctx.store.secretKeys.all()).find(it => it.id === input.id)
  if (!key) throw notFound('secret key', input.id)
  return key
}

/**
 * Returns the record of a key that is neither revoked nor expired. The lookup is by hash, so that no comparison takes time that depends on the key.
 * @throws ApiError clerk_key_invalid
 */
export async function authenticateSecretKey(
  ctx: Pick<Context, 'store' | 'settings'>,
  secret: string,
): Promise<SecretKeyRecord> {
  if (!secret.startsWith(prefix(ctx)) || secret.length > 256) throw new ApiError('clerk_key_invalid')
  const key = await ctx.store.secretKeys.findUsable(hash('sha256', secret))
  if (!key) throw new ApiError('clerk_key_invalid')
  return key
}

/**
 * Checks whether a key may call an operation.
 * @throws ApiError key_not_allowed, which names the rights of the key, and those of which the operation needs one
 */
export function assertMayCall(operation: Pick<Operation, 'rights'>, key: Pick<SecretKeyRecord, 'rights'>): void {
  const rights = rightsOf(key)
  if (mayCall(operation, rights)) return
  const needed = [...(operation.rights ?? []), 'everything']
  const names = (all: readonly string[], last: string) =>
    all
      .map(right => `\`${right}\``)
      .join(', ')
      .replace(/, (?=[^,]*$)/, ` ${last} `)
  throw new ApiError('key_not_allowed', {
    params: { needed: names(needed, 'or'), rights: rights.length === 0 ? 'none' : names(rights, 'and') },
    meta: { needed_rights: needed, rights },
  })
}

/** Whether a key with these rights may call an operation. An operation that names no right needs `everything`. */
export function mayCall(operation: Pick<Operation, 'rights'>, rights: readonly Right[]): boolean {
  return rights.includes('everything') || (operation.rights ?? []).some(right => rights.includes(right))
}

function prefix(ctx: Pick<Context, 'settings'>): string {
  return ctx.settings.environment === 'production' ? 'sk_live_' : 'sk_test_'
}
