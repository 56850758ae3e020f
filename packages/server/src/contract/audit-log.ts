import { z } from 'zod'
import { flag, limit, Milliseconds, operation } from './operation.ts'

/** The provable side of the audit log: signed checkpoints, tiles, proofs and public keys, in the formats of C2SP. */

const Roles = ['viewer', 'support', 'approver', 'admin'] as const
const Hash = z.string().describe('SHA-256, base64.')
/** A number of leaves. */
const Size = z.int().min(0)

const sizeInQuery = z
  .string()
  .regex(/^(0|[1-9]\d{0,14})$/, { error: 'a number of entries' })
  .transform(Number)
  .meta({ type: 'integer', minimum: 0, maximum: 999_999_999_999_999 })

export const getAuditCheckpoint = operation({
  id: 'GetAuditCheckpoint',
  method: 'get',
  path: '/v1/audit/checkpoint',
  tag: 'Audit',
  summary: 'Read the newest checkpoint of the audit log: its name, size and root, signed',
  description:
    'A signed note (c2sp.org/tlog-checkpoint) with the signatures of witnesses, if there are any. Keep it outside of this server: it shows every later change to the entries that it covers.',
  auth: 'secret_key',
  publicIf: 'audit_public',
  rights: ['audit'],
  roles: Roles,
  response: z.string(),
  downloads: ['text/plain'],
  errors: ['resource_not_found'],
  stagedoorOnly: true,
})

export const getAuditTile = operation({
  id: 'GetAuditTile',
  method: 'get',
  path: '/v1/audit/tile/{tile_path}',
  tag: 'Audit',
  summary: 'Read a tile of the audit log, or 256 of its entries',
  description:
    'Files of c2sp.org/tlog-tiles: `<level>/<number>` has 256 hashes of one level of the tree, `entries/<number>` has 256 entries, each after its length. The number has groups of three digits, like `x001/x234/067`. `.p/<width>` at the end names a part of a tile. The prefix for clients of C2SP is `/v1/audit`.',
  auth: 'secret_key',
  publicIf: 'audit_public',
  rights: ['audit'],
  roles: Roles,
  response: z.string(),
  downloads: ['application/octet-stream'],
  errors: ['resource_not_found', 'audit_pruned'],
  stagedoorOnly: true,
})

export const AuditCheckpoint = z
  .strictObject({
    object: z.literal('audit_checkpoint'),
    size: Size.describe('Number of entries.'),
    root: z.string().describe('Root of the tree over these entries, hex.'),
    at: Milliseconds.describe('When it was signed.'),
    note: z.string().describe('The signed note.'),
    cosignatures: z.string().describe('Lines with the signatures of witnesses. They follow the note.'),
  })
  .meta({ id: 'AuditCheckpoint' })

export const listAuditCheckpoints = operation({
  id: 'GetAuditCheckpoints',
  method: 'get',
  path: '/v1/audit/checkpoints',
  tag: 'Audit',
  summary: 'Read stored checkpoints, the largest first',
  description:
    'All of the last two days, and the last one of each hour before. To read further, send the smallest `size` as `before_size`.',
  auth: 'secret_key',
  publicIf: 'audit_public',
  rights: ['audit'],
  roles: Roles,
  query: z.strictObject({
    before_size: sizeInQuery.optional().describe('Only checkpoints with fewer entries.'),
    limit,
  }),
  response: z.strictObject({ data: z.array(AuditCheckpoint) }).meta({ id: 'AuditCheckpoints' }),
  stagedoorOnly: true,
})

export const AuditEventProof = z
  .strictObject({
    object: z.literal('audit_event_proof'),
    leaf_index: z.int().min(0).nullable().describe('Position of the event in the log. Null: there is no proof yet.'),
    size: Size.nullable().describe('Number of entries of the checkpoint.'),
    hashes: z.array(Hash).describe('The inclusion proof (RFC 9162 §2.1.3).'),
    checkpoint: z.string().nullable().describe('The signed note, with cosignatures.'),
    event: z.string().describe('The canonical text of the event, whose hash is the leaf.'),
    personal: z
      .string()
      .nullable()
      .describe(
        'The personal text, if `personal=true` and it was not erased. The event has its hash, `personal_hash`.',
      ),
  })
  .meta({ id: 'AuditEventProof' })

export const getAuditEventProof = operation({
  id: 'GetAuditEventProof',
  method: 'get',
  path: '/v1/audit_events/{audit_event_id}/proof',
  tag: 'Audit',
  summary: 'Prove that an audit event is in the log',
  description:
    'With `Accept: text/plain` the answer is a file that others can check offline (c2sp.org/tlog-proof). If no sufficient checkpoint covers the event yet, the answer is 202 with `Retry-After`, and has no proof.',
  auth: 'secret_key',
  rights: ['audit'],
  roles: Roles,
  query: z.strictObject({
    personal: flag
      .default(false)
      .meta({ type: 'boolean', default: false })
      .describe('Whether to add the personal text: actor payload, reason, address, user agent.'),
  }),
  response: AuditEventProof,
  alsoText: true,
  mayBePending: true,
  errors: ['resource_not_found'],
  stagedoorOnly: true,
})

export const getAuditConsistency = operation({
  id: 'GetAuditConsistency',
  method: 'get',
  path: '/v1/audit/consistency',
  tag: 'Audit',
  summary: 'Prove that an earlier tree of the audit log is the beginning of a later one',
  auth: 'secret_key',
  publicIf: 'audit_public',
  rights: ['audit'],
  roles: Roles,
  query: z
    .strictObject({
      from_size: sizeInQuery.describe('Number of entries of the earlier tree.'),
      to_size: sizeInQuery.describe('Number of entries of the later tree.'),
    })
    .refine(({ from_size, to_size }) => from_size <= to_size, {
      path: ['from_size'],
      params: { code: 'value' },
      error: 'at most `to_size`',
    }),
  response: z
    .strictObject({ object: z.literal('audit_consistency_proof'), hashes: z.array(Hash) })
    .meta({ id: 'AuditConsistencyProof' }),
  stagedoorOnly: true,
})

export const AuditKey = z
  .strictObject({
    object: z.literal('audit_key'),
    name: z.string().describe('Name of the log.'),
    vkey: z.string().describe('The key with which others check signatures (c2sp.org/signed-note).'),
    created_at: Milliseconds,
    retired_at: Milliseconds.nullable(),
  })
  .meta({ id: 'AuditKey' })

export const listAuditKeys = operation({
  id: 'GetAuditKeys',
  method: 'get',
  path: '/v1/audit/keys',
  tag: 'Audit',
  summary: 'Read the public keys that sign and have signed checkpoints',
  auth: 'secret_key',
  publicIf: 'audit_public',
  rights: ['audit'],
  roles: Roles,
  response: z.strictObject({ data: z.array(AuditKey) }).meta({ id: 'AuditKeys' }),
  stagedoorOnly: true,
})
