/** `domain/audit/` creates the events of the audit log, with the bytes that are hashed, and decides which refusals become events. */

import { hash } from 'node:crypto'
import { type ErrorAbout, notFound } from '../../contract/errors.ts'
import type { Context } from '../context.ts'
import type { AuditFilter, Found, Page } from '../lists.ts'
import { timeOf } from '../random.ts'
import type { AuditRecord, AuditRow } from '../records.ts'
import { MAX_ENTRY_BYTES } from './tiles.ts'

export interface AuditInput {
  action: string
  outcome?: 'done' | 'refused'
  code?: string
  about: ErrorAbout
  target_id?: string
  /** The actor payload, JSON. */
  actor?: string | null
  reason?: string | null
  /** What else belongs to the event, without personal data: the policy that decided. */
  details?: Record<string, unknown> | undefined
}

/**
 * Creates the audit event of a change that is about to happen. The store writes it in the same transaction as the
 * change: if it cannot be written, nothing changes.
 *
 * The canonical text contains no personal data except opaque ids. Address, user agent, reason and actor payload are
 * stored separately, and the text contains a salted hash of them. So they can be erased without breaking the log.
 * @throws Error if the event is too long for the log: then nothing changes
 */
export function auditEvent(ctx: Context, input: AuditInput): AuditRecord {
  const { principal, address, user_agent, trace_id } = ctx.caller
  const at = ctx.clock.now()
  const personal = canonicalJson({
    actor: input.actor ? JSON.parse(input.actor) : null,
    address,
    reason: input.reason ?? null,
    salt: ctx.random.bytes(16).toString('base64url'),
    user_agent,
  })
  const facts = {
    action: input.action,
    actor_sub: input.about.actor_sub ?? null,
    at,
    code: input.code ?? null,
    id: ctx.random.id('evt', at),
    outcome: input.outcome ?? 'done',
    session_id: input.about.session_id ?? null,
    target_id: input.target_id ?? null,
    actor_token_id: input.about.actor_token_id ?? null,
    trace_id,
    user_id: input.about.user_id ?? null,
  } as const
  const event = canonicalJson({
    ...facts,
    details: input.details ?? null,
    personal_hash: hash('sha256', personal),
    principal: { id: principal.id, type: principal.type },
    v: 2,
  })
  if (Buffer.byteLength(event) > MAX_ENTRY_BYTES) throw new Error(`the audit event ${input.action} is too long`)
  return {
    ...facts,
    principal_type: principal.type,
    principal_id: principal.id,
    event,
    personal,
    leaf_hash: leafHashHex(event),
  }
}

/**
 * Returns the hash of one event as a leaf of a Merkle tree (RFC 9162 §2.1.1: SHA-256 over 0x00 and the entry), in hex.
 * @example leafHashHex(record.event) === record.leaf_hash
 */
export function leafHashHex(event: string): string {
  return hash('sha256', `\0${event}`)
}

/** Finds an audit event. @throws ApiError resource_not_found */
export async function getAuditEvent(ctx: Context, { id }: { id: string }): Promise<AuditRow> {
  const at = timeOf(id, 'evt')
  const found = at === undefined ? undefined : await ctx.store.audit.find(id, at)
  // The row is found by a column, and the answer comes from its text.
  if (!found || JSON.parse(found.event).id !== id) throw notFound('audit event', id)
  return found
}

/** Lists audit events, newest first. */
export function listAuditEvents(ctx: Context, input: AuditFilter & Page): Promise<Found<AuditRow>> {
  return ctx.store.audit.list(input, input)
}

/**
 * Encodes a value as canonical JSON, which has one encoding for each value (RFC 8785, JCS): members sorted by UTF-16
 * code units, no white space, numbers as ECMAScript writes them. Equal values give equal bytes, so a hash of the text
 * is a hash of the value.
 * @throws TypeError on what JSON cannot represent: NaN, Infinity, undefined, functions, lone surrogates.
 * @example canonicalJson({ b: 1, a: [true, null] }) // '{"a":[true,null],"b":1}'
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.keys(value)
      .sort()
      .map(key => `${quoted(key)}:${canonicalJson((value as Record<string, unknown>)[key])}`)
    return `{${members.join(',')}}`
  }
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'boolean' || value === null) return String(value)
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  throw new TypeError(`canonical JSON cannot represent ${String(value)}`)
}

function quoted(value: string): string {
  if (!value.isWellFormed()) throw new TypeError('canonical JSON cannot represent a lone surrogate')
  return JSON.stringify(value)
}
