import * as contract from '../../contract/audit-log.ts'
import { vkeyOf } from '../../domain/audit/keys.ts'
import { toBase64 } from '../../domain/audit/merkle.ts'
import {
  currentCheckpoint,
  noteOf,
  type ProvenEvent,
  proveConsistency,
  proveEvent,
  readTileFile,
} from '../../domain/audit/proof.ts'
import { formatProof } from '../../domain/audit/tiles.ts'
import { type AnswerHeaders, answerJson } from '../answer.ts'
import { type Http, mount } from '../mount.ts'

/** Seconds after which an event that was just written has a proof. */
const SOON = '1'

export function mountAuditLog(http: Http): void {
  mount(http, contract.getAuditCheckpoint, async (ctx, { headers }) =>
    text(noteOf(await currentCheckpoint(ctx)), 200, headers),
  )
  mount(http, contract.getAuditTile, async (ctx, { params, headers }) => {
    const bytes = await readTileFile(ctx, { path: params.tile_path })
    // The content of a path never changes. A shared cache may keep it only if everyone may read it.
    const cache = `${ctx.settings.audit_public ? 'public' : 'private'}, max-age=31536000, immutable`
    return new Response(new Uint8Array(bytes), {
      headers: { ...headers, 'content-type': 'application/octet-stream', 'cache-control': cache },
    })
  })
  mount(http, contract.listAuditCheckpoints, async (ctx, { query }) => {
    const checkpoints = await ctx.store.auditLog.checkpoints(query.before_size, query.limit)
    return { data: checkpoints.map(checkpoint => ({ object: 'audit_checkpoint' as const, ...checkpoint })) }
  })
  mount(http, contract.getAuditEventProof, async (ctx, { params, query, header, headers }) => {
    const proven = await proveEvent(ctx, { id: params.audit_event_id })
    const personal = query.personal ? proven.personal : null
    if (wantsText(header('accept'))) return proofFile(proven, personal, headers)
    const presented = presentProof(proven, personal)
    if (http.options.checkResponses) contract.AuditEventProof.parse(presented)
    return proven.proof ? presented : answerJson(presented, 202, { ...headers, 'retry-after': SOON })
  })
  mount(http, contract.getAuditConsistency, async (ctx, { query }) => ({
    object: 'audit_consistency_proof' as const,
    hashes: (await proveConsistency(ctx, { from: query.from_size, to: query.to_size })).map(toBase64),
  }))
  mount(http, contract.listAuditKeys, async ctx => {
    const keys = await ctx.store.auditLog.keys()
    const data = keys.map(key => ({
      object: 'audit_key' as const,
      name: key.name,
      vkey: vkeyOf(key),
      created_at: key.created_at,
      retired_at: key.retired_at,
    }))
    return { data }
  })
}

const wantsText = (accept = '') => accept.split(',').some(type => type.split(';')[0]?.trim() === 'text/plain')

function presentProof({ event, proof }: ProvenEvent, personal: string | null) {
  const { index = null, size = null, hashes = [], checkpoint = null } = proof ?? {}
  const object = 'audit_event_proof' as const
  return { object, leaf_index: index, size, hashes: hashes.map(toBase64), checkpoint, event, personal }
}

function proofFile({ proof }: ProvenEvent, personal: string | null, headers: AnswerHeaders): Response {
  if (!proof) return text('', 202, { ...headers, 'retry-after': SOON })
  return text(formatProof({ ...proof, extra: personal ?? undefined }), 200, headers)
}

function text(content: string, status: number, headers: AnswerHeaders): Response {
  return new Response(content, { status, headers: { ...headers, 'content-type': 'text/plain; charset=utf-8' } })
}
