import type { Command } from 'commander'
import { remote } from './environment.ts'
import { type OutputOptions, type PageOptions, paged, printList, printOne, time } from './output.ts'

export function addSessions(program: Command): void {
  const group = program.command('sessions').description('list and revoke sessions')

  paged(
    group
      .command('list')
      .description('list sessions, newest first')
      .option('--user <id>', 'only of this user')
      .option('--actor <sub>', 'only those in which this actor is acting')
      .option('--status <status>', 'active, revoked, ended, expired, …'),
  ).action(async (options: PageOptions & { user?: string; actor?: string; status?: string }) => {
    const { data } = await remote().sessions.list({
      userId: options.user,
      actorSub: options.actor,
      status: options.status as 'active' | undefined,
      limit: options.limit,
      offset: options.offset,
    })
    printList(
      options,
      data,
      {
        id: session => session.id,
        status: session => session.status,
        user: session => session.userId,
        actor: session => session.actor?.sub,
        created: session => time(session.createdAt),
        ends: session => time(session.expireAt),
      },
      'No sessions.',
    )
  })

  group
    .command('revoke <id...>')
    .description('end sessions for good: nothing more is minted for them')
    .option('--reason <text>', 'why; kept in the audit log')
    .option('--json', 'print JSON')
    .action(async (ids: string[], options: OutputOptions & { reason?: string }) => {
      const client = remote()
      for (const id of ids) {
        const session = await client.sessions.revoke(id, options.reason === undefined ? {} : { reason: options.reason })
        printOne(options, session, { id: session.id, status: session.status })
      }
    })
}
