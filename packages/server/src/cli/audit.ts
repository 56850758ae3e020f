import type { Command } from 'commander'
import { remote } from './environment.ts'
import { type PageOptions, paged, printList, time, wholeNumber } from './output.ts'

interface ListOptions extends PageOptions {
  action?: string
  outcome?: 'done' | 'refused'
  user?: string
  session?: string
  ticket?: string
  actor?: string
  beforeSeq?: number
  counts?: boolean
}

export function addAudit(program: Command): void {
  paged(
    program
      .command('audit')
      .description('read the audit log')
      .command('list')
      .description('list audit events, newest first')
      .option('--action <action>', 'actor_token.create, session.revoke, …')
      .option('--outcome <outcome>', 'done or refused')
      .option('--user <id>', 'only about this user')
      .option('--session <id>', 'only about this session')
      .option('--ticket <id>', 'only about this actor token or sign-in token')
      .option('--actor <sub>', 'only of this actor')
      .option('--before-seq <seq>', 'only events before this one: pages through the log', wholeNumber)
      .option('--counts', 'instead: refused requests that named nothing known, counted per minute and address'),
  ).action(async (options: ListOptions) => {
    if (options.counts) {
      const { data: counts } = await remote().refusedRequests.list({ limit: options.limit, offset: options.offset })
      return printList(
        options,
        counts,
        {
          minute: row => time(row.minute),
          address: row => row.address,
          code: row => row.code,
          count: row => row.count,
        },
        'None.',
      )
    }
    const { data } = await remote().auditEvents.list({
      action: options.action,
      outcome: options.outcome,
      userId: options.user,
      sessionId: options.session,
      ticketId: options.ticket,
      actorSub: options.actor,
      limit: options.limit,
      offset: options.offset,
      beforeSeq: options.beforeSeq,
    })
    printList(
      options,
      data,
      {
        seq: event => event.seq,
        at: event => time(event.at),
        action: event => event.action,
        outcome: event => event.code ?? event.outcome,
        by: event => event.principal.id ?? event.principal.type,
        actor: event => event.actorSub,
        user: event => event.userId,
        reason: event => event.reason,
      },
      'No events.',
    )
  })
}
