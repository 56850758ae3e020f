import { type Command, Option } from 'commander'
import { ROLES, type Role } from '../contract/operation.ts'
import type { Context } from '../domain/context.ts'
import { disableOperator, enableOperator, inviteOperator, linkOf, listOperators } from '../domain/operators.ts'
import type { OperatorRecord } from '../domain/records.ts'
import { commandLine, withInstance } from './environment.ts'
import { type OutputOptions, printList, printMessage, printOne, time, UsageError } from './output.ts'

/** Maximum operators that a command reads. */
const LISTED = 500

export function addOperators(program: Command): void {
  const group = program
    .command('operators')
    .description('invite, list, disable and enable the operators of the console (works directly on the database)')

  group
    .command('invite <email>')
    .description(
      'make a one-time link for an operator without an identity provider, or for one who lost their passkey; it is valid for one hour',
    )
    .addOption(new Option('--role <role>', 'what the operator may do').choices(ROLES).makeOptionMandatory())
    .option('--name <name>', 'the name that others see')
    .option('--json', 'print JSON')
    .action(async (email: string, options: OutputOptions & { role: Role; name?: string }) => {
      if (!/^[^\s@]+@[^\s@]+$/.test(email) || email.length > 254)
        throw new UsageError(`“${email}” is not an e-mail address.`)
      const { operator, link, expires_at } = await withInstance(async stagedoor => {
        const context = stagedoor.context(commandLine())
        const { token, ...invitation } = await inviteOperator(context, { ...options, email })
        return { ...invitation, link: linkOf(context, token) }
      })
      const { id, role } = { ...operator, role: options.role }
      printOne(
        options,
        { id, email: operator.email, role, link, expires_at },
        { id, role, link, expires: time(expires_at) },
      )
      if (!options.json)
        printMessage('Give this link only to the operator. It can be used once, and is not shown again.')
    })

  group
    .command('list')
    .description('list the operators')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) => {
      const operators = await withInstance(stagedoor => allOperators(stagedoor.context(commandLine())))
      printList(
        options,
        operators.map(shown),
        {
          id: operator => operator.id,
          name: operator => operator.name ?? operator.email ?? operator.sub,
          role: operator => operator.role,
          'role from': operator => operator.role_source,
          'last sign-in': operator => time(operator.last_sign_in_at),
          disabled: operator => time(operator.disabled_at),
        },
        'No operators. Invite one with `stagedoor operators invite <email> --role admin`, or set STAGEDOOR_OPERATOR_ISSUER.',
      )
    })

  for (const verb of ['disable', 'enable'] as const)
    group
      .command(`${verb} <operator>`)
      .description(
        verb === 'disable'
          ? 'end all sessions of an operator, by id or e-mail address, and let them neither sign in nor act'
          : 'let a disabled operator sign in again',
      )
      .option('--json', 'print JSON')
      .action(async (named: string, options: OutputOptions) => {
        const operator = await withInstance(async stagedoor => {
          const context = stagedoor.context(commandLine())
          const id = idOf(named, await allOperators(context))
          return (verb === 'disable' ? disableOperator : enableOperator)(context, { id })
        })
        const { id, name, email } = operator
        printOne(options, shown(operator), { id, name: name ?? email ?? '', disabled: time(operator.disabled_at) })
      })
}

async function allOperators(context: Context): Promise<OperatorRecord[]> {
  return (await listOperators(context, { limit: LISTED, offset: 0, counted: false })).rows
}

/** @throws UsageError if several operators have this address */
function idOf(text: string, operators: OperatorRecord[]): string {
  const named = operators.filter(({ email }) => email?.toLowerCase() === text.toLowerCase())
  if (named.length > 1)
    throw new UsageError(
      `${named.length} operators have the address “${text}”. Use an id instead: \`stagedoor operators list\` shows them.`,
    )
  return named[0]?.id ?? text
}

function shown({ local_name: _local_name, ...operator }: OperatorRecord) {
  return operator
}
