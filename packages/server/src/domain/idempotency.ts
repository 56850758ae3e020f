import { hash } from 'node:crypto'
import { ApiError } from '../contract/errors.ts'
import { canonicalJson } from './audit/canonical-json.ts'
import type { Context } from './context.ts'
import type { IdempotencyKeyRecord } from './records.ts'
import { AlreadyCreated } from './store.ts'

/** Lifetime of an idempotency key, in ms. */
export const REMEMBERED = 86_400_000

/**
 * Identifies a request that must take effect once, however often it is sent. Lacks only the id of what the request
 * creates.
 */
export type Once = Omit<IdempotencyKeyRecord, 'made_id'>

/**
 * Identifies a request by its idempotency key and body.
 * @param input.key as it was sent: `7f1c…`, or the string of a structured field, `"7f1c…"`
 * @param input.body as it was sent, parsed
 * @throws ApiError idempotency_key_invalid
 */
export function onceOf(input: { key: string; owner: string; operation: string; body: unknown }): Once {
  const { owner, operation } = input
  const key = plainKey(input.key)
  if (key === undefined) throw new ApiError('idempotency_key_invalid')
  return {
    owner,
    operation,
    key_hash: hash('sha256', key),
    // Hashed together with the key, which is stored nowhere: a hash of the body alone could be guessed.
    body_hash: hash('sha256', canonicalJson([key, input.body ?? null])),
  }
}

function plainKey(text: string): string | undefined {
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(text)?.[1]?.replace(/\\(.)/g, '$1')
  const key = quoted ?? (text.startsWith('"') ? '' : text)
  return /^[\x20-\x7e]{1,255}$/.test(key) ? key : undefined
}

/**
 * Creates something once. The key is stored in the transaction that creates it, so an acknowledged request is never
 * repeated. If several requests with the same key arrive at once, in any process, one creates it; the others wait and
 * return what it created.
 * @param make creates it, and stores the key in the same transaction
 * @param again finds what was created before
 * @throws ApiError idempotency_key_reused
 */
export async function doOnce<T>(
  ctx: Context,
  once: Once,
  make: () => Promise<T>,
  again: (id: string) => Promise<T>,
): Promise<{ made: T; replayed: boolean }> {
  const before = await madeBefore(ctx, once)
  if (before !== undefined) return { made: await again(before), replayed: true }
  try {
    return { made: await make(), replayed: false }
  } catch (error) {
    const meanwhile = error instanceof AlreadyCreated && (await madeBefore(ctx, once))
    if (!meanwhile) throw error
    return { made: await again(meanwhile), replayed: true }
  }
}

/**
 * Returns the id of what was created with this key. @throws ApiError idempotency_key_reused if the request was
 * different
 */
async function madeBefore(ctx: Context, once: Once): Promise<string | undefined> {
  const known = await ctx.store.idempotencyKeys.find(once)
  if (!known) return undefined
  if (known.body_hash !== once.body_hash) throw new ApiError('idempotency_key_reused')
  return known.made_id
}
