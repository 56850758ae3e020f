import type { Command } from 'commander'
import type { SecretKeyRecord } from '../domain/records.ts'
import { createSecretKey, listSecretKeys, revokeSecretKey } from '../domain/secret-keys.ts'
import { commandLine, withInstance } from './environment.ts'
import { type OutputOptions, printList, printMessage, printOne, time, UsageError } from './output.ts'

export function addKeys(program: Command): void {
  const group = program
    .command('keys')
    .description('create, list and revoke secret API keys (works directly on the database)')

  group
    .command('create')
    .description('create a secret key and show it once')
    .requiredOption('--name <name>', 'a name that says what the key is for')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions & { name: string }) => {
      const { record, secret } = await withInstance(stagedoor =>
        createSecretKey(stagedoor.context(commandLine()), { name: options.name }),
      )
      const key = { ...shown(record), secret_key: secret }
      printOne(options, key, { id: key.id, name: key.name, secret_key: secret })
      if (!options.json) printMessage('Store this key now. The server keeps only a hash and cannot show it again.')
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
        'No keys. Create one with `stagedoor keys create --name <name>`.',
      )
    })

  group
    .command('revoke <id>')
    .description('revoke a secret key by its id or name; from then on every request with it is refused')
    .option('--json', 'print JSON')
    .action(async (id: string, options: OutputOptions) => {
      const key = await withInstance(async stagedoor => {
        const context = stagedoor.context(commandLine())
        return revokeSecretKey(context, { id: keyIdOf(id, await listSecretKeys(context)) })
      })
      printOne(options, shown(key), { id: key.id, name: key.name, revoked: time(key.revoked_at) })
    })
}

/** @throws UsageError if several usable keys have this name */
function keyIdOf(text: string, keys: SecretKeyRecord[]): string {
  if (keys.some(({ id }) => id === text)) return text
  const named = keys.filter(({ name, revoked_at }) => name === text && revoked_at === null)
  if (named.length > 1)
    throw new UsageError(
      `${named.length} keys have the name “${text}”. Use an id instead: \`stagedoor keys list\` shows them.`,
    )
  return named[0]?.id ?? text
}

function shown({ id, name, hint, created_at, revoked_at }: SecretKeyRecord) {
  return { id, name, hint, created_at, revoked_at }
}
