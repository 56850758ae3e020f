#!/usr/bin/env node
/** `cli/` is the `stagedoor` command: one file per subcommand, and helpers for options and output. */

import { Command } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import { addActorTokens } from './actor-tokens.ts'
import { addActors } from './actors.ts'
import { addAudit } from './audit.ts'
import { addBackup } from './backup.ts'
import { addDev } from './dev.ts'
import { addDoctor } from './doctor.ts'
import { addGroups } from './groups.ts'
import { addMigrate } from './migrate.ts'
import { lostToNpm } from './npm-options.ts'
import { addOperators } from './operators.ts'
import { reportError, UsageError } from './output.ts'
import { addPolicy } from './policy.ts'
import { addPurge } from './purge.ts'
import { addRestore } from './restore.ts'
import { addKeys } from './secret-keys.ts'
import { addServe } from './serve.ts'
import { addSessions } from './sessions.ts'
import { addSigningKeys } from './signing-keys.ts'
import { addToken } from './token.ts'
import { addUsers } from './users.ts'

const program = new Command('stagedoor')
  .description('Act as a user, accountably: actor tokens, short sessions that name the actor, revocation and proof.')
  .version(manifest.version)
  .showHelpAfterError('(See `--help`.)')
  .addHelpText(
    'after',
    `
Commands about tokens, users, sessions, actors, the policy and the audit log send requests to a server: set STAGEDOOR_SERVER_URL (default
http://127.0.0.1:4100) and STAGEDOOR_SECRET_KEY. All other commands work directly on the database: set
STAGEDOOR_DATABASE_URL and STAGEDOOR_MASTER_KEY. Without these settings, commands use the development server of this folder.

Exit codes: 0 done, 1 the command failed, 2 wrong arguments or settings.`,
  )

for (const add of [
  addDev,
  addServe,
  addActorTokens,
  addUsers,
  addSessions,
  addActors,
  addGroups,
  addPolicy,
  addKeys,
  addOperators,
  addSigningKeys,
  addAudit,
  addToken,
  addMigrate,
  addPurge,
  addBackup,
  addRestore,
  addDoctor,
]) {
  add(program)
}
throwInsteadOfExiting(program)
// The reader of a pipe has enough: `stagedoor users list | head`. A server needs no reader of its log.
const SERVERS = ['dev', 'serve']
program.hook('preAction', (_program, command) => {
  if (SERVERS.includes(command.name())) return
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
})

try {
  const lost = lostToNpm(program, process.argv.slice(2), process.env)
  if (lost !== undefined) throw new UsageError(lost)
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportError(error, process.argv.includes('--json'))
}

function throwInsteadOfExiting(command: Command): void {
  command.exitOverride()
  command.commands.forEach(throwInsteadOfExiting)
}
