import { z } from 'zod'
import { Actor } from './actor.ts'
import { Id, JsonObject, listOf, Milliseconds, milliseconds, opaqueCursor, operation, pagedQuery } from './operation.ts'

const PrincipalType = z.enum(['secret_key', 'operator', 'client', 'command_line', 'system'])

/** One event of the audit log. docs/concepts/audit.md describes its canonical bytes and its hash. */
export const AuditEvent = z
  .strictObject({
    object: z.literal('audit_event'),
    id: Id,
    seq: z.int().min(1).describe('Number of the stored row, which orders events of the same time.'),
    leaf_index: z
      .int()
      .min(0)
      .nullable()
      .describe(
        'Position in the log, from 0 and without gaps. Null until the event is in the log, which takes about a second.',
      ),
    at: Milliseconds,
    action: z.string().describe('What was done or requested: `actor_token.create`, `session.revoke`, …'),
    outcome: z.enum(['done', 'refused']),
    code: z.string().nullable().describe('The error code of a refusal.'),
    principal: z
      .strictObject({ type: PrincipalType, id: z.string().nullable() })
      .describe(
        'Who made the request: a secret key (its id, never the key), an operator of the console, a client, the command line, or the server itself.',
      ),
    actor_sub: z.string().nullable(),
    actor: Actor.nullable().describe('The whole actor payload.'),
    actor_token_id: z.string().nullable().describe('The actor token or sign-in token.'),
    session_id: z.string().nullable(),
    user_id: z.string().nullable(),
    target_id: z.string().nullable().describe('Any other object that the event concerns: a secret key, a signing key.'),
    reason: z.string().nullable(),
    details: JsonObject.meta({ type: 'object', additionalProperties: true })
      .nullable()
      .describe(
        'What else belongs to the event: for a decision, the version of the policy and the rules that decided.',
      ),
    address: z.string().nullable(),
    user_agent: z.string().nullable(),
    trace_id: z.string(),
    leaf_hash: z.string().describe('SHA-256 over 0x00 and the canonical event, in hex.'),
  })
  .meta({ id: 'AuditEvent' })

/** An event's position in the list is given by its number. */
const seqCursor = z
  .string()
  .regex(/^\d{1,16}$/, { error: 'the `next_cursor` of the previous page, or the `seq` of its last event' })

/** The filters of the list and of the export. */
const filters = {
  action: z.string().min(1).max(64).optional(),
  outcome: z.enum(['done', 'refused']).optional(),
  code: z.string().min(1).max(64).optional(),
  user_id: Id.optional(),
  session_id: Id.optional(),
  actor_token_id: Id.optional(),
  actor_sub: Id.max(256).optional(),
  principal_id: Id.optional(),
  principal_type: PrincipalType.optional().describe(
    'Only requests of keys, of operators, of clients, of the command line, or of the server itself.',
  ),
  trace_id: Id.optional(),
  after: milliseconds.optional().describe('Only events at or after this time (ms).'),
  before: milliseconds.optional().describe('Only events before this time (ms).'),
}

export const listAuditEvents = operation({
  id: 'GetAuditEventList',
  method: 'get',
  path: '/v1/audit_events',
  tag: 'Audit',
  summary: 'Read the audit log, newest first',
  auth: 'secret_key',
  rights: ['audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: pagedQuery(
    {
      ...filters,
      before_seq: milliseconds
        .optional()
        .describe('Only events after this one in the list, which are older. The same as `starting_after`.'),
    },
    seqCursor,
  ),
  response: listOf(AuditEvent),
  stagedoorOnly: true,
})

/** Maximum events that one export reads. */
export const MAX_EXPORTED = 10_000

export const exportAuditEvents = operation({
  id: 'ExportAuditEvents',
  method: 'get',
  path: '/v1/audit_events/export',
  tag: 'Audit',
  summary: 'Download audit events as JSON Lines or CSV, newest first',
  description: `One request reads at most ${MAX_EXPORTED.toLocaleString('en')} events. If there are older ones, the answer has the header \`Stagedoor-Next-Cursor\`: send it as \`starting_after\` to get them. With a filter that no index covers, an answer can have fewer events, or none, and still have that header. In CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe.`,
  auth: 'secret_key',
  rights: ['audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: z.strictObject({
    ...filters,
    format: z.enum(['jsonl', 'csv']).default('jsonl').describe('JSON Lines: each line is one event as in the list.'),
    starting_after: seqCursor
      .optional()
      .describe(
        'Only older events: the `Stagedoor-Next-Cursor` of the previous answer, or the `seq` of its last event.',
      ),
  }),
  response: z.string(),
  downloads: ['application/x-ndjson', 'text/csv'],
  stagedoorOnly: true,
})

export const getAuditEvent = operation({
  id: 'GetAuditEvent',
  method: 'get',
  path: '/v1/audit_events/{audit_event_id}',
  tag: 'Audit',
  summary: 'Read one audit event',
  auth: 'secret_key',
  rights: ['audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  response: AuditEvent,
  errors: ['resource_not_found'],
  stagedoorOnly: true,
})

/** Requests that named nothing known to the server (a bad key, an unsigned ticket). They are counted, not stored one by one. */
export const RefusedRequests = z
  .strictObject({
    object: z.literal('refused_requests'),
    minute: Milliseconds.describe('Start of the minute.'),
    address: z.string(),
    code: z.string(),
    count: z.int().min(1),
  })
  .meta({ id: 'RefusedRequests' })

export const listRefusedRequests = operation({
  id: 'GetRefusedRequestsList',
  method: 'get',
  path: '/v1/refused_requests',
  tag: 'Audit',
  summary: 'Count refused requests that named nothing known to the server, per minute, address and code',
  auth: 'secret_key',
  rights: ['audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: pagedQuery({}, opaqueCursor),
  response: listOf(RefusedRequests),
  stagedoorOnly: true,
})
