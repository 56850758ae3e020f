import type { Command } from 'commander'
import type { SecretKeyRecord } from '../domain/records.ts'
import { allSecretKeys, createSecretKey, problemOfRights, revokeSecretKey, rightsOf } from '../domain/secret-keys.ts'
import { commandLine, withInstance } from './environment.ts'
import { type OutputOptions, printList, printMessage, printOne, time, UsageError } from './output.ts'
import { secondsUntil } from './units.ts'

interface CreateOptions extends OutputOptions {
  name: string
  may?: string
  expires?: string
}

export function addKeys(program: Command): void {
  const group = program
    .command('keys')
    .description('create, list and revoke secret API keys (works directly on the database)')

  group
    .command('create')
    .description('create a secret key and show it once')
    .requiredOption('--name <name>', 'a name that says what the key is for')
    .option('--may <rights>', 'what the key may do: act, audit, policy, users, with commas. Default: everything')
    .option('--expires <when>', 'a duration like 90d, or a date like 2027-01-31. Default: never')
    .option('--json', 'print JSON')
    .action(async (options: CreateOptions) => {
      const rights = options.may === undefined ? undefined : namedRights(options.may)
      const { record, secret } = await withInstance(stagedoor => {
        const context = stagedoor.context(commandLine())
        const lifetime = options.expires === undefined ? undefined : secondsUntil(options.expires, context.clock.now())
        return createSecretKey(context, { name: options.name, rights, expires_in_seconds: lifetime })
      })
      const key = { ...shown(record), secret_key: secret }
      printOne(options, key, { ...described(record), secret_key: secret })
      if (!options.json) printMessage('Store this key now. The server keeps only a hash and cannot show it again.')
    })

  group
    .command('list')
    .description('list secret keys')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) => {
      const keys = await withInstance(stagedoor => allSecretKeys(stagedoor.context(commandLine())))
      printList(
        options,
        keys.map(shown),
        {
          id: key => key.id,
          name: key => key.name,
          key: key => key.hint,
          may: key => key.rights.join(','),
          created: key => time(key.created_at),
          expires: key => time(key.expires_at),
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
        return revokeSecretKey(context, { id: keyIdOf(id, await allSecretKeys(context)) })
      })
      printOne(options, shown(key), { id: key.id, name: key.name, revoked: time(key.revoked_at) })
    })
}

/** Parses `act,audit`. @throws UsageError */
function namedRights(text: string): string[] {
  const rights = text.split(',').map(right => right.trim())
  const problem = text.trim() === '' ? problemOfRights([]) : problemOfRights(rights)
  if (problem !== undefined) throw new UsageError(`--may must be ${problem}.`)
  return rights
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

function shown(key: SecretKeyRecord) {
  const { id, name, hint, created_at, expires_at, revoked_at } = key
  return { id, name, hint, rights: rightsOf(key), created_at, expires_at, revoked_at }
}

function described(key: SecretKeyRecord) {
  return { id: key.id, name: key.name, may: rightsOf(key).join(','), expires: time(key.expires_at) }
}
