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
