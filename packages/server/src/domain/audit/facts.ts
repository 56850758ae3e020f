import { hash } from 'node:crypto'
import type { AuditRecord } from '../records.ts'
import { leafHashHex } from './event.ts'

/** What an event text says. */
export interface AuditFacts {
  id: string
  at: number
  action: string
  outcome: AuditRecord['outcome']
  code: string | null
  principal: { type: AuditRecord['principal_type']; id: string | null }
  actor_sub: string | null
  actor_token_id: string | null
  session_id: string | null
  user_id: string | null
  target_id: string | null
  trace_id: string
  personal_hash: string
  /** Null in events of version 1. */
  details: Record<string, unknown> | null
}

/** The personal text of an event. */
export interface PersonalFacts {
  actor: Record<string, unknown> | null
  address: string | null
  reason: string | null
  user_agent: string | null
}

/**
 * Reads the facts of an event from its text. The text is what the log hashes; the columns only serve filters, and
 * anyone who can write to the database can change them unnoticed.
 * @throws SyntaxError if the text is not JSON
 * @example factsOf(record.event).action // 'session.revoke'
 */
export function factsOf(event: string): AuditFacts {
  const { v: _, ticket_id, ...facts } = JSON.parse(event)
  // Before actor tokens had that name, their id was the member `ticket_id`.
  return { details: null, ...(ticket_id === undefined ? {} : { actor_token_id: ticket_id }), ...facts }
}

/**
 * Reads the personal text of an event. Returns nulls if the text was erased, and also if it is not the text that the
 * event was written with: its hash does not match.
 * @example personalOf(record.personal, facts.personal_hash).reason // 'Ticket 1234'
 */
export function personalOf(personal: string | null, personal_hash: string): PersonalFacts {
  const none = { actor: null, address: null, reason: null, user_agent: null }
  if (personal === null || hash('sha256', personal) !== personal_hash) return none
  const { actor = null, address = null, reason = null, user_agent = null } = JSON.parse(personal)
  return { actor, address, reason, user_agent }
}

/**
 * Returns the columns of a row that do not have the value of its event text, sorted. The text itself is checked by its
 * leaf hash, and the personal text by its own hash.
 * @example changedColumns({ ...record, user_id: 'user_other' }) // ['user_id']
 */
export function changedColumns(record: AuditRecord): string[] {
  let facts: AuditFacts
  try {
    facts = factsOf(record.event)
  } catch {
    return ['event']
  }
  const { principal, personal_hash, details: _, ...columns } = facts
  const expected: Partial<AuditRecord> = {
    ...columns,
    principal_type: principal?.type,
    principal_id: principal?.id ?? null,
    leaf_hash: leafHashHex(record.event),
  }
  const changed = Object.entries(expected).filter(([column, value]) => record[column as keyof AuditRecord] !== value)
  const isOther = record.personal !== null && hash('sha256', record.personal) !== personal_hash
  return [...changed.map(([column]) => column), ...(isOther ? ['personal'] : [])].sort()
}
