import { hash } from 'node:crypto'
import { ApiError, notFound } from '../contract/errors.ts'
import type { Operation, Right } from '../contract/operation.ts'
import { auditEvent } from './audit/event.ts'
import type { Context } from './context.ts'
import type { SecretKeyRecord } from './records.ts'
import { UniqueValueTaken } from './store.ts'

/**
 * Creates a secret API key. Only the response contains the key itself: the store has its SHA-256. (A key is 32 random
 * bytes, so a plain hash cannot be reversed by search.)
 */
export async function createSecretKey(
  ctx: Context,
  input: { name: string; secret?: string },
): Promise<{ record: SecretKeyRecord; secret: string }> {
  const now = ctx.clock.now()
  const secret = input.secret ?? `${prefix(ctx)}${ctx.random.bytes(32).toString('hex')}`
  const record: SecretKeyRecord = {
    id: ctx.random.id('key', now),
    name: input.name,
    hash: hash('sha256', secret),
    hint: `${secret.slice(0, 12)}…${secret.slice(-4)}`,
    created_at: now,
    revoked_at: null,
  }
  await ctx.store.secretKeys.insert(
    record,
    auditEvent(ctx, { action: 'secret_key.create', about: {}, target_id: record.id }),
  )
  return { record, secret }
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

export function listSecretKeys(ctx: Context): Promise<SecretKeyRecord[]> {
  return ctx.store.secretKeys.list()
}

/** Revokes a secret key. @throws ApiError resource_not_found */
export async function revokeSecretKey(ctx: Context, input: { id: string }): Promise<SecretKeyRecord> {
  const event = auditEvent(ctx, { action: 'secret_key.revoke', about: {}, target_id: input.id })
  const revoked = await ctx.store.secretKeys.revoke(input.id, event)
  if (revoked) return revoked
  const key = (await ctx.store.secretKeys.list()).find(it => it.id === input.id)
  if (!key) throw notFound('secret key', input.id)
  return key
}

/**
 * Returns the record of a valid key. The lookup is by hash, so that no comparison takes time that depends on the key.
 * @throws ApiError clerk_key_invalid
 */
export async function authenticateSecretKey(
  ctx: Pick<Context, 'store' | 'settings'>,
  secret: string,
): Promise<SecretKeyRecord> {
  if (!secret.startsWith(prefix(ctx)) || secret.length > 256) throw new ApiError('clerk_key_invalid')
  const key = await ctx.store.secretKeys.findByHash(hash('sha256', secret))
  if (!key || key.revoked_at !== null) throw new ApiError('clerk_key_invalid')
  return key
}

/**
 * Whether a key with these rights may call an operation. An operation that names no right needs `everything`.
 * @param rights of the key; every stored key has every right
 */
export function mayCall(operation: Pick<Operation, 'rights'>, rights: readonly Right[] = ['everything']): boolean {
  return rights.includes('everything') || (operation.rights ?? []).some(right => rights.includes(right))
}

function prefix(ctx: Pick<Context, 'settings'>): string {
  return ctx.settings.environment === 'production' ? 'sk_live_' : 'sk_test_'
}
