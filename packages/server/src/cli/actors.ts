import type { Command } from 'commander'
import { remote } from './environment.ts'
import { addActorImport } from './import-actors.ts'
import { type ListOptions, paged, showList } from './lists.ts'
import { type OutputOptions, printOne, UsageError, wholeNumber } from './output.ts'
import { userOption } from './users-by.ts'

interface SetOptions extends OutputOptions {
  kind: string
  name?: string
  team?: string[]
  organization?: string[]
  level?: number
  user?: string
  owner?: string
  disabled?: boolean
}

export function addActors(program: Command): void {
  const group = program.command('actors').description('register the people and programs who act as users')

  paged(
    group.command('list').description('list registered actors').option('--kind <kind>', 'operator or agent'),
  ).action(async (options: ListOptions & { kind?: string }) => {
    const client = remote()
    const kind = options.kind === undefined ? {} : { kind: kindOf(options.kind) }
    await showList(options, page => client.actors.list({ ...kind, ...page }), {
      columns: {
        sub: actor => actor.sub,
        kind: actor => actor.kind,
        name: actor => actor.name,
        teams: actor => actor.teams.join(' '),
        level: actor => actor.level,
        owner: actor => actor.ownerSub,
        state: actor => (actor.disabled ? 'disabled' : ''),
      },
      empty: 'No actors are registered.',
    })
  })

  addActorImport(group)

  group
    .command('set <sub>')
    .description('register an actor, or replace what is registered')
    .option('--kind <kind>', 'operator (a person) or agent (a program)', 'operator')
    .option('--name <name>', 'a name for people')
    .option('--team <name...>', 'the teams of the actor')
    .option('--organization <name...>', 'the customers that the actor looks after')
    .option('--level <number>', 'privilege level: 0 is an ordinary actor', wholeNumber)
    .option('--user <id>', 'the own user of an operator: an id, e-mail address or external id')
    .option('--owner <sub>', 'the operator who is responsible for an agent')
    .option('--disabled', 'the actor can do nothing, and what it has is revoked')
    .option('--json', 'print JSON')
    .action(async (sub: string, options: SetOptions) => {
      const client = remote()
      const userId = await userOption(client, options.user)
      const { name, team: teams, organization: organizations, level, owner: ownerSub, disabled } = options
      const given = { name, teams, organizations, level, userId, ownerSub, disabled }
      const actor = await client.actors.put(sub, {
        kind: kindOf(options.kind),
        ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      })
      printOne(options, actor, { sub: actor.sub, kind: actor.kind, teams: actor.teams.join(' '), level: actor.level })
    })

  group
    .command('remove <sub>')
    .description('remove an actor from the registry; to stop an actor, use `set --disabled`')
    .option('--json', 'print JSON')
    .action(async (sub: string, options: OutputOptions) => {
      printOne(options, await remote().actors.delete(sub))
    })
}

function kindOf(text: string): 'operator' | 'agent' {
  if (text === 'operator' || text === 'agent') return text
  throw new UsageError(`--kind must be operator or agent, not ${text}.`)
}
