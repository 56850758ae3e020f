import { ApiError, notFound } from '../contract/errors.ts'
import { auditEvent } from './audit/event.ts'
import type { Context, MakeKey } from './context.ts'
import type { SigningAlg, SigningKeyRecord } from './records.ts'
import type { SigningKeyChange } from './store.ts'

/**
 * The life of a signing key: next → active → retiring → removed. A key is published as `next` before its first
 * signature and as `retiring` until its last token has expired, so verifiers that cache the key set never meet a key
 * that they do not know.
 */

/** Maximum time that a verifier may cache the key set, in ms: Clerk's SDKs cache it for 5 minutes. */
export const KEY_SET_CACHE = 300_000
/** Time after its expiry for which a token may still be accepted, in ms: the leeway of verifiers, with a margin. */
const LEEWAY = 60_000

/** Returns the keys in the order of their lives: the retiring ones first, then the active and the next. */
export async function listSigningKeys(ctx: Context): Promise<SigningKeyRecord[]> {
  const { keys } = await ctx.store.signingKeys.keyring()
  const age = ({ status }: SigningKeyRecord) => ['retiring', 'active', 'next'].indexOf(status)
  // Keys that were created together differ in nothing but their status and a random id.
  return keys.toSorted((a, b) => a.created_at - b.created_at || age(a) - age(b))
}

/**
 * Creates an active and a next key for the algorithm if they are missing: at a server's first start, or after the
 * algorithm was changed. Keys of other algorithms do not change, because another server may be signing with them.
 */
export async function ensureSigningKeys(ctx: Context, input: { alg: SigningAlg; make: MakeKey }): Promise<void> {
  const { version, keys } = await ctx.store.signingKeys.keyring()
  const now = ctx.clock.now()
  const has = (status: SigningKeyRecord['status']) => keys.some(key => key.alg === input.alg && key.status === status)
  const insert = []
  if (!has('active')) insert.push(await input.make(input.alg, 'active', now))
  if (!has('next')) insert.push(await input.make(input.alg, 'next', now))
  if (insert.length === 0) return
  // If two servers start at the same time, one of them creates the keys and the other finds them.
  await change(ctx, version, 'create', { insert, update: [] })
}

/**
 * Rotates: the next key becomes active, the active key becomes retiring, and a new next key is created.
 * @param input.atOnce do not wait until every verifier knows the next key
 * @throws ApiError request_invalid if verifiers may not know the next key yet
 */
export async function rotateSigningKeys(
  ctx: Context,
  input: { alg: SigningAlg; make: MakeKey; atOnce?: boolean },
): Promise<SigningKeyRecord[]> {
  const { version, keys } = await ctx.store.signingKeys.keyring()
  const now = ctx.clock.now()
  const next = keys.find(key => key.alg === input.alg && key.status === 'next')
  const active = keys.find(key => key.alg === input.alg && key.status === 'active')
  if (!next || !active)
    throw refuse(
      `There is no ${input.alg} key to rotate; the keys here are ${[...new Set(keys.map(key => key.alg))].join(' and ') || 'none'}. Set STAGEDOOR_SIGNING_ALG to the value that the server uses.`,
    )
  const wait = next.created_at + KEY_SET_CACHE - now
  if (wait > 0 && !input.atOnce) {
    throw refuse(
      `The next key was published ${Math.floor((now - next.created_at) / 1_000)} s ago; verifiers may cache the key set for 5 minutes. Rotate in ${Math.ceil(wait / 1_000)} s, or now with --at-once (\`at_once\`): then verifiers that do not look up unknown keys may refuse tokens for that time.`,
    )
  }
  const changed = await change(ctx, version, 'rotate', {
    insert: [await input.make(input.alg, 'next', now)],
    update: [
      { id: active.id, status: 'retiring', retired_at: now },
      { id: next.id, status: 'active' },
    ],
  })
  if (!changed) throw refuse('Another process changed the signing keys at the same time. List them, then try again.')
  return listSigningKeys(ctx)
}

/**
 * Removes a key permanently: its private part is deleted and it is no longer published. An emergency removes any key at
 * once. If that key was the active one, the next key takes its place, unless its algorithm is no longer used. Verifiers
 * may trust a removed key until their cache expires.
 * @throws ApiError resource_not_found, request_invalid if its tokens may still be in use
 */
export async function removeSigningKey(
  ctx: Context,
  input: { id: string; alg: SigningAlg; make: MakeKey; emergency?: boolean },
): Promise<SigningKeyRecord[]> {
  const { version, keys } = await ctx.store.signingKeys.keyring()
  const key = keys.find(it => it.id === input.id)
  if (!key || key.status === 'removed') throw notFound('signing key', input.id)
  const now = ctx.clock.now()
  if (!input.emergency) assertDone(ctx, key, now)

  const update: SigningKeyChange['update'] = [{ id: key.id, status: 'removed', forget: true }]
  const insert: SigningKeyRecord[] = []
  const used = key.alg === input.alg
  if (used && key.status === 'active') {
    const next = keys.find(it => it.alg === key.alg && it.status === 'next')
    if (next) update.push({ id: next.id, status: 'active' })
    else insert.push(await input.make(key.alg, 'active', now))
  }
  if (used && (key.status === 'active' || key.status === 'next')) insert.push(await input.make(key.alg, 'next', now))
  const changed = await change(ctx, version, 'remove', { insert, update }, key.id)
  if (!changed) throw refuse('Another process changed the signing keys at the same time. List them, then try again.')
  return listSigningKeys(ctx)
}

function assertDone({ settings }: Context, key: SigningKeyRecord, now: number): void {
  if (key.status !== 'retiring') {
    throw refuse(
      `The key is ${key.status}. Rotate first. If it leaked, remove it at once with --emergency (\`emergency\`).`,
    )
  }
  const ordinary = (key.retired_at ?? now) + settings.session_token_lifetime_seconds * 1_000
  const until = Math.max(ordinary, key.signs_until) + LEEWAY
  if (until > now) {
    throw refuse(
      `Tokens it signed are valid until ${new Date(until).toISOString()}. Remove it after that. If it leaked, remove it at once with --emergency (\`emergency\`).`,
    )
  }
}

function change(ctx: Context, version: number, verb: string, what: SigningKeyChange, id?: string): Promise<boolean> {
  const target_id = id ?? what.insert[0]?.id ?? what.update[0]?.id
  const event = auditEvent(ctx, {
    action: `signing_key.${verb}`,
    about: {},
    ...(target_id === undefined ? {} : { target_id }),
  })
  return ctx.store.signingKeys.change(version, what, event)
}

function refuse(why: string): ApiError {
  return new ApiError('request_invalid', { params: { why } })
}
