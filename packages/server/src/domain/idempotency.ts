import { hash } from 'node:crypto'
import { ApiError } from '../contract/errors.ts'
import { canonicalJson } from './audit/event.ts'
import type { Context } from './context.ts'
import type { IdempotencyKeyRecord } from './records.ts'

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
 * Returns the id of what an earlier request with this key created; undefined if there was none. The key is stored in the
 * transaction that creates the object, so an acknowledged request is never repeated.
 * @throws ApiError idempotency_key_reused if the earlier request was different
 */
export async function findCreated(ctx: Context, once: Once): Promise<string | undefined> {
  const known = await ctx.store.idempotencyKeys.find(once)
  if (!known) return undefined
  if (known.body_hash !== once.body_hash) throw new ApiError('idempotency_key_reused')
  return known.made_id
}
