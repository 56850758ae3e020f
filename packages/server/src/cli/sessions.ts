import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { ConfigError } from '../config.ts'
import { remote } from './environment.ts'
import { showTimed, type TimedOptions, timed } from './lists.ts'
import { EXIT, type OutputOptions, printMessage, printOne, time, UsageError } from './output.ts'
import { userIdOf, userOption } from './users-by.ts'

interface RevokeOptions {
  user?: string
  actor?: string
  everything?: true
  yes?: true
  reason?: string
}

/** Returns what to revoke, or undefined if single sessions are named. @throws ConfigError unless exactly one choice is made */
function revokeTarget(ids: string[], { user, actor, everything }: RevokeOptions) {
  const named = [ids.length > 0, user !== undefined, actor !== undefined, everything !== undefined].filter(Boolean)
  if (named.length !== 1)
    throw new ConfigError('Give session ids, or exactly one of --user <id>, --actor <sub> and --everything.')
  if (user !== undefined) return { userId: user }
  if (actor !== undefined) return { actorSub: actor }
  return everything ? { everything } : undefined
}

/** Exits with an error, because after a typing error the intended actor can still act. */
function reportUnknownActor(actor = '', similar: string[] = []): void {
  process.exitCode = EXIT.failed
  const named = similar.map(each => JSON.stringify(each)).join(', ')
  const hint =
    named === ''
      ? 'Check the `sub`: it is compared byte for byte. `audit list` shows who acted.'
      : `Similar: ${named}. An actor is compared byte for byte, so run the command again with the right one.`
  printMessage(`No token and no session has ever had the actor ${JSON.stringify(actor)}. ${hint}`)
}

/** Asks for confirmation. @throws UsageError unless the operator confirms */
async function assertConfirmed({ yes }: RevokeOptions): Promise<void> {
  if (yes) return
  const question = 'This ends every session and revokes every pending token, of every user. '
  if (!process.stdin.isTTY) throw new UsageError(`${question}Add --yes if that is what you want.`)
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`${question}Type “everything” to do it: `)
  terminal.close()
  if (answer.trim() !== 'everything') throw new UsageError('Nothing was revoked.')
}

export function addSessions(program: Command): void {
  const group = program.command('sessions').description('list and revoke sessions')

  timed(
    group
      .command('list')
      .description('list sessions, newest first')
      .option('--user <id>', 'only of this user: an id, e-mail address or external id')
      .option('--actor <sub>', 'only sessions of this actor')
      .option('--status <status>', 'active, revoked, ended, expired, …'),
  ).action(async (options: TimedOptions & { user?: string; actor?: string; status?: string }) => {
    const client = remote()
    const query = {
      userId: await userOption(client, options.user),
      actorSub: options.actor,
      status: options.status as 'active' | undefined,
    }
    await showTimed(options, page => client.sessions.list({ ...query, ...page }), {
      columns: {
        id: session => session.id,
        status: session => session.status,
        user: session => session.userId,
        actor: session => session.actor?.sub,
        created: session => time(session.createdAt),
        ends: session => time(session.expireAt),
      },
      empty: 'No sessions.',
      at: session => session.createdAt,
      id: session => session.id,
    })
  })

  group
    .command('revoke [id...]')
    .description('end sessions permanently: no new tokens are minted for them')
    .option('--user <id>', 'all sessions and pending tokens of this user (id, e-mail address or external id)')
    .option('--actor <sub>', 'all sessions and pending tokens of this actor')
    .option('--everything', 'all sessions and pending tokens of all users; asks for confirmation')
    .option('--yes', 'do not ask for confirmation')
    .option('--reason <text>', 'the reason; stored in the audit log')
    .option('--json', 'print JSON')
    .action(async (ids: string[], options: OutputOptions & RevokeOptions) => {
      const client = remote()
      const why = options.reason === undefined ? {} : { reason: options.reason }
      const target = revokeTarget(ids, options)
      if (target?.everything) await assertConfirmed(options)
      if (target?.userId !== undefined) target.userId = await userIdOf(client, target.userId)
      if (target) {
        const answer = await client.sessions.revokeAll({ ...target, ...why })
        const { revokedSessions, revokedTokens, complete, matched, similarActorSubs } = answer
        const more = complete ? '' : ', and more that are still being marked'
        printOne(
          options,
          { ...target, revokedSessions, revokedTokens, complete, matched, similarActorSubs },
          { sessions: `${revokedSessions} revoked${more}`, tokens: `${revokedTokens} revoked` },
        )
        if (!matched) reportUnknownActor(options.actor, similarActorSubs)
        return
      }
      for (const id of ids) {
        const session = await client.sessions.revoke(id, why)
        printOne(options, session, { id: session.id, status: session.status })
      }
    })
}
