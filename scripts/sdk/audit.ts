import type { Resource } from './resource.ts'

export const auditEvents: Resource = {
  name: 'AuditEvents',
  file: 'audit',
  about: 'The audit log: what was done or refused, by whom, and as which user.',
  id: 'evt',
  methods: {
    GetAuditEventList: {
      name: 'list',
      does: {
        typescript: 'Reads the audit log, newest first: one page if awaited, every event with `for await`.',
        python: 'Reads the audit log, newest first. Iterate over the page to get all events.',
      },
      filters:
        '`action`, `outcome` (`done`, `refused`), `code`, `user_id`, `session_id`, `actor_token_id`, `actor_sub`, `principal_id`, `principal_type`, `trace_id`; `after` and `before` in Unix milliseconds; `before_seq`',
      examples: {
        typescript: `
          for await (const { at, action, userId } of stagedoor.auditEvents.list({ actorSub: 'user_2OEpK' })) {
            console.log(new Date(at).toISOString(), action, userId)
          }`,
        python: `
          >>> [event.action for event in stagedoor.audit_events.list(actor_token_id=token.id)]
          ['actor_token.create']`,
      },
    },
    GetAuditEvent: {
      name: 'get',
      does: 'Reads one audit event.',
      examples: {
        typescript: "const { action, reason } = await stagedoor.auditEvents.get('evt_2f8d')",
        python: `
          >>> [event] = stagedoor.audit_events.list(actor_token_id=token.id)
          >>> stagedoor.audit_events.get(event.id).seq == event.seq
          True`,
      },
    },
    GetAuditEventProof: {
      name: 'proof',
      does: 'Reads the proof that an audit event is in the log. Until a checkpoint covers the event, which takes about a second, `checkpoint` is null.',
      filters: '`personal`: whether to add the personal text',
      examples: {
        typescript:
          "const { event, leafIndex, size, hashes, checkpoint } = await stagedoor.auditEvents.proof('evt_2f8d')",
        python: `
          >>> [event] = stagedoor.audit_events.list(actor_token_id=token.id)
          >>> event.id in stagedoor.audit_events.proof(event.id).event
          True`,
      },
    },
  },
}

export const audit: Resource = {
  name: 'Audit',
  file: 'audit-log',
  about: 'The provable side of the audit log: signed checkpoints, tiles, proofs and public keys.',
  methods: {
    GetAuditCheckpoints: {
      name: 'checkpoints',
      does: 'Reads stored checkpoints, the largest first.',
      filters: '`before_size`, `limit` 1 to 500 (10)',
      examples: {
        typescript:
          'for (const { at, size, root } of (await stagedoor.audit.checkpoints()).data) console.log(at, size, root)',
        python: `
          >>> all(checkpoint.size > 0 for checkpoint in stagedoor.audit.checkpoints(limit=1).data)
          True`,
      },
    },
    GetAuditConsistency: {
      name: 'consistency',
      does: 'Reads the proof that a smaller tree of the log is the beginning of a larger one.',
      members: { from_size: 'number of entries of the earlier tree', to_size: 'number of entries of the later tree' },
      examples: {
        typescript: 'const { hashes } = await stagedoor.audit.consistency(100, 250)',
        python: `
          >>> stagedoor.audit.consistency(from_size=0, to_size=0).hashes
          []`,
      },
    },
    GetAuditKeys: {
      name: 'keys',
      does: 'Reads the public keys that sign and have signed checkpoints.',
      examples: {
        typescript: 'const { data: keys } = await stagedoor.audit.keys()',
        python: `
          >>> [key.retired_at for key in stagedoor.audit.keys().data]
          [None]`,
      },
    },
  },
}

export const refusedRequests: Resource = {
  name: 'RefusedRequests',
  file: 'audit',
  about: 'Refused requests that named nothing known to the server. They are counted, not stored one by one.',
  methods: {
    GetRefusedRequestsList: {
      name: 'list',
      does: 'Counts refused requests per minute, address and code, newest minute first.',
      examples: {
        typescript:
          'for await (const { address, code, count } of stagedoor.refusedRequests.list()) console.log(address, code, count)',
        python: `
          >>> all(entry.count > 0 for entry in stagedoor.refused_requests.list(limit=100))
          True`,
      },
    },
  },
}
