import type { Command } from 'commander'
import { remote } from './environment.ts'
import { type ListOptions, paged, showList } from './lists.ts'
import { type OutputOptions, printOne } from './output.ts'

/** The words of one kind of groups. */
interface Kind {
  command: 'teams' | 'tags'
  one: string
  list: (options: ListOptions) => Promise<void>
  description: string
}

const KINDS: Kind[] = [
  {
    command: 'teams',
    one: 'team',
    list: options => show(options, page => remote().teams.list(page)),
    description: 'say which teams of actors are part of other teams',
  },
  {
    command: 'tags',
    one: 'tag',
    list: options => show(options, page => remote().tags.list(page)),
    description: 'say which tags of users are part of other tags',
  },
]

/** Prints teams or tags. */
function show<T extends { name: string; parents: string[] }>(
  options: ListOptions,
  list: Parameters<typeof showList<T>>[1],
): Promise<void> {
  return showList(options, list, {
    columns: { name: each => each.name, parents: each => each.parents.join(', ') },
    empty: 'None is part of others.',
  })
}

export function addGroups(program: Command): void {
  for (const kind of KINDS) addKind(program, kind)
}

function addKind(program: Command, { command, one, list, description }: Kind): void {
  const group = program.command(command).description(description)

  paged(group.command('list').description(`list ${command} that are part of others`)).action(list)

  group
    .command('set <name>')
    .description(`store which ${command} a ${one} is part of; this replaces what is stored`)
    .option('--parent <name...>', `the ${command} that it is part of; without this option: none`)
    .option('--json', 'print JSON')
    .action(async (name: string, { parent: parents = [], ...options }: OutputOptions & { parent?: string[] }) => {
      const stored = await remote()[command].put(name, { parents })
      printOne(options, stored, { name: stored.name, parents: stored.parents.join(', ') })
    })

  group
    .command('remove <name>')
    .description(`remove a ${one}: it is then part of no other`)
    .option('--json', 'print JSON')
    .action(async (name: string, options: OutputOptions) => {
      printOne(options, await remote()[command].delete(name))
    })
}
