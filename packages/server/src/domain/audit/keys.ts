import { ApiError } from '../../contract/errors.ts'
import type { Context } from '../context.ts'
import type { AuditKeyRecord, AuditRecord } from '../records.ts'
import { auditEvent } from './event.ts'
import { rootAt } from './log.ts'
import { EMPTY_ROOT, toHex } from './merkle.ts'
import { verifierKey } from './signed-note.ts'

/**
 * Creates the tree and the key of the log, if they are missing: at the first start of a server. The name of the log is
 * permanent, also if the public URL changes later.
 */
export async function ensureAuditLog(ctx: Context): Promise<void> {
  const { store, settings } = ctx
  const origin = `${new URL(settings.public_url).host}/audit/${settings.instance_id}`
  await store.auditLog.create({ origin, size: 0, root: toHex(EMPTY_ROOT), last_seq: 0, holes: '[]', first: 0 })
  const state = await store.auditLog.state()
  if (!state || (await activeKey(ctx, state.origin))) return
  // If two servers start at the same time, one of them creates the key.
  await changeKey(ctx, state.origin, undefined)
}

/**
 * Replaces the key of the log. The first checkpoint that covers this event has the signatures of both keys, so whoever
 * knows the old key learns the new one. After that the private part of the old key is deleted.
 * @returns the keys, oldest first
 * @throws ApiError request_invalid
 * @example await rotateAuditKey(stagedoor.context({ type: 'command_line', id: 'olivia' }))
 */
export async function rotateAuditKey(ctx: Context): Promise<AuditKeyRecord[]> {
  const state = await ctx.store.auditLog.state()
  const active = state && (await activeKey(ctx, state.origin))
  if (!state || !active) throw refuse('The audit log has no key yet: a server creates it when it starts.')
  if (!(await changeKey(ctx, state.origin, active.id)))
    throw refuse('Another process changed the key of the audit log at the same time. Try again.')
  return ctx.store.auditLog.keys()
}

/** Returns the text by which others check signatures of a key. */
export const vkeyOf = ({ name, public_key }: AuditKeyRecord): string =>
  verifierKey(name, Buffer.from(public_key, 'base64'))

async function activeKey(ctx: Context, origin: string): Promise<AuditKeyRecord | undefined> {
  return (await ctx.store.auditLog.keys()).find(key => key.name === origin && key.retired_at === null)
}

/** What remains of the tree of an audit log that was tampered with. `acceptLoss` of the store applies it. */
export interface PreparedLoss {
  /** The entries below this number are kept. */
  from: number
  /** The root of these entries, hex. */
  root: string
  /** The new key of the log. Its name is the new name of the log. */
  key: AuditKeyRecord
  events: readonly AuditRecord[]
}

/**
 * Prepares to continue a log that was tampered with, after the entries that are still intact. The log gets a new name and a
 * new key, so everyone who holds a checkpoint has to accept the loss too.
 * @param input.from how many entries are kept
 * @throws ApiError request_invalid if these entries are not intact
 */
export async function prepareLoss(ctx: Context, input: { from: number; reason: string }): Promise<PreparedLoss> {
  const { store } = ctx
  const state = await store.auditLog.state()
  if (!state || input.from > state.size)
    throw refuse(`The log has ${state?.size ?? 0} entries. Give the number of entries to keep with --from.`)
  const root = await rootAt(store.auditLog, input.from, input.from).catch(error => {
    throw refuse(`The first ${input.from} entries are not intact: ${(error as Error).message}. Keep fewer with --from.`)
  })
  const now = ctx.clock.now()
  const key = ctx.auditKeys.make(ctx.random.id('akey', now), nextOrigin(state.origin), now)
  const old = { origin: state.origin, size: state.size, root: state.root }
  const events = [
    auditEvent(ctx, { action: 'audit.broken', about: {}, reason: input.reason, details: { ...old, kept: input.from } }),
    auditEvent(ctx, { action: 'audit_key.create', target_id: key.id, about: {}, details: { vkey: vkeyOf(key) } }),
  ]
  return { from: input.from, root: toHex(root), key, events }
}

/** @example nextOrigin('app.example.com/audit/ins_1') // 'app.example.com/audit/ins_1-2' */
function nextOrigin(origin: string): string {
  const [, name = origin, number = '1'] = /^(.*?)(?:-(\d+))?$/.exec(origin.split('/').at(-1) ?? '') ?? []
  return `${origin.slice(0, origin.lastIndexOf('/') + 1)}${name}-${Number(number) + 1}`
}

function changeKey(ctx: Context, origin: string, retires: string | undefined): Promise<boolean> {
  const now = ctx.clock.now()
  const key = ctx.auditKeys.make(ctx.random.id('akey', now), origin, now)
  const details = { vkey: vkeyOf(key), ...(retires === undefined ? {} : { replaces: retires }) }
  const event = auditEvent(ctx, { action: 'audit_key.create', target_id: key.id, about: {}, details })
  return ctx.store.auditLog.changeKey(key, retires, event)
}

function refuse(why: string): ApiError {
  return new ApiError('request_invalid', { params: { why } })
}
