import type { Command } from 'commander'
import { remote } from './environment.ts'
import { addImport } from './import-users.ts'
import { type ListOptions, paged, showList } from './lists.ts'
import { type OutputOptions, printOne, time } from './output.ts'

export function addUsers(program: Command): void {
  const group = program.command('users').description('create, import and list users')

  group
    .command('create')
    .description('create a user')
    .option('--external-id <id>', 'your own id of the user')
    .option('--email <address...>', 'e-mail addresses; the first one is the primary one')
    .option('--username <name>')
    .option('--first-name <name>')
    .option('--last-name <name>')
    .option('--json', 'print JSON')
    .action(
      async (
        options: OutputOptions & {
          externalId?: string
          email?: string[]
          username?: string
          firstName?: string
          lastName?: string
        },
      ) => {
        const { externalId, email: emailAddress, username, firstName, lastName } = options
        const user = await remote().users.create({ externalId, emailAddress, username, firstName, lastName })
        printOne(options, user, {
          id: user.id,
          external_id: user.externalId,
          email: user.emailAddresses[0]?.emailAddress,
        })
      },
    )

  paged(
    group
      .command('list')
      .description('list users')
      .option('--query <text>', 'part of an id, name, e-mail address or phone number')
      .option('--external-id <id...>', 'only users with these external ids')
      .option('--order-by <column>', 'created_at, -created_at (default), first_name, …'),
  ).action(async (options: ListOptions & { query?: string; externalId?: string[]; orderBy?: string }) => {
    const { query, externalId, orderBy } = options
    const client = remote()
    await showList(options, page => client.users.list({ query, externalId, orderBy, ...page }), {
      columns: {
        id: user => user.id,
        external_id: user => user.externalId,
        name: user => [user.firstName, user.lastName].filter(Boolean).join(' '),
        email: user => user.emailAddresses[0]?.emailAddress,
        state: user => (user.banned ? 'banned' : user.locked ? 'locked' : ''),
        created: user => time(user.createdAt),
      },
      empty: 'No users.',
    })
  })

  addImport(group)
}
