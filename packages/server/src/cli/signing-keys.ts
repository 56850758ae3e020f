import type { Command } from 'commander'
import type { SigningKeyRecord } from '../domain/records.ts'
import { listSigningKeys, removeSigningKey, rotateSigningKeys } from '../domain/signing-keys.ts'
import { commandLine, withInstance } from './environment.ts'
import { type OutputOptions, printList, time } from './output.ts'

export function addSigningKeys(program: Command): void {
  const group = program
    .command('signing-keys')
    .description('list, rotate and remove the keys that sign session tokens (works directly on the database)')
    .addHelpText(
      'after',
      `
A key is published as "next" before its first signature and as "retiring" until its last token has expired, so verifiers
always know the key of a valid token. A running server applies a change when it mints its next token.`,
    )

  group
    .command('list')
    .description('list signing keys')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions) =>
      show(options, await withInstance(stagedoor => listSigningKeys(stagedoor.context(commandLine())))),
    )

  group
    .command('rotate')
    .description('activate the next key, retire the active one, and create a new next key')
    .option('--at-once', 'do not wait until every verifier knows the next key')
    .option('--json', 'print JSON')
    .action(async (options: OutputOptions & { atOnce?: boolean }) => {
      const keys = await withInstance((stagedoor, config) =>
        rotateSigningKeys(stagedoor.context(commandLine()), {
          alg: config.signing_alg,
          make: stagedoor.makeKey,
          atOnce: options.atOnce ?? false,
        }),
      )
      show(options, keys)
    })

  group
    .command('remove <id>')
    .description('remove a retiring key whose tokens have expired')
    .option(
      '--emergency',
      'remove any key immediately: its tokens become invalid, except for verifiers with a cached key set',
    )
    .option('--json', 'print JSON')
    .action(async (id: string, options: OutputOptions & { emergency?: boolean }) => {
      const keys = await withInstance((stagedoor, config) =>
        removeSigningKey(stagedoor.context(commandLine()), {
          id,
          alg: config.signing_alg,
          make: stagedoor.makeKey,
          emergency: options.emergency ?? false,
        }),
      )
      show(options, keys)
    })
}

function show(options: OutputOptions, keys: SigningKeyRecord[]): void {
  const shown = keys.map(({ id, alg, status, created_at, retired_at }) => ({ id, alg, status, created_at, retired_at }))
  printList(
    options,
    shown,
    {
      id: key => key.id,
      alg: key => key.alg,
      status: key => key.status,
      created: key => time(key.created_at),
      retired: key => time(key.retired_at),
    },
    'No signing keys.',
  )
}
