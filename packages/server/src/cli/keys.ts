import type { Command } from 'commander'
import type { SecretKeyRecord } from '../domain/records.ts'
import { createSecretKey, listSecretKeys, revokeSecretKey } from '../domain/secret-keys.ts'
import { commandLine, withInstance } from './environment.ts'
import { note, type OutputOptions, printList, printOne, time } from './output.ts'

export function addKeys(program: Command): void {
  const group = program
    .command('keys')
    .description('create, list and revoke secret API keys (works on the database itself)')

  group
    .command('create')
    .description('create a secret key and show it, once')
    .requiredOption('--name <name>', 'what it is for')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions & { name: string }) => {
      const { record, secret } = await withInstance(stagedoor =>
        createSecretKey(stagedoor.context(commandLine()), { name: options.name }),
      )
      const key = { ...shown(record), secret_key: secret }
      printOne(options, key, { id: key.id, name: key.name, secret_key: secret })
      if (!options.json) note('Keep it now: it is stored as a hash and cannot be shown again.')
    })

  group
    .command('list')
    .description('list secret keys')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) => {
      const keys = await withInstance(stagedoor => listSecretKeys(stagedoor.context(commandLine())))
      printList(
        options,
        keys.map(shown),
        {
          id: key => key.id,
          name: key => key.name,
          key: key => key.hint,
          created: key => time(key.created_at),
          revoked: key => time(key.revoked_at),
        },
        'No keys. Make one with `stagedoor keys create --name <name>`.',
      )
    })

  group
    .command('revoke <id>')
    .description('revoke a secret key; the next request with it is refused')
    .option('--json', 'print JSON')
    .action(async (id: string, options: OutputOptions) => {
      const key = await withInstance(stagedoor => revokeSecretKey(stagedoor.context(commandLine()), { id }))
      printOne(options, shown(key), { id: key.id, name: key.name, revoked: time(key.revoked_at) })
    })
}

function shown({ id, name, hint, created_at, revoked_at }: SecretKeyRecord) {
  return { id, name, hint, created_at, revoked_at }
}
