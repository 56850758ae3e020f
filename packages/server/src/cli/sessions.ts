import type { Command } from 'commander'
import { ConfigError } from '../config.ts'
import { remote } from './environment.ts'
import { EXIT, note, type OutputOptions, type PageOptions, paged, printList, printOne, time } from './output.ts'

interface RevokeOptions {
  user?: string
  actor?: string
  everything?: true
  reason?: string
}

/** All of somebody's, if no single ones are named. @throws ConfigError unless exactly one kind is */
function whoseSessions(ids: string[], { user, actor, everything }: RevokeOptions) {
  const named = [ids.length > 0, user !== undefined, actor !== undefined, everything !== undefined].filter(Boolean)
  if (named.length !== 1)
    throw new ConfigError('Name sessions, or give one of --user <id>, --actor <sub> and --everything.')
  if (user !== undefined) return { userId: user }
  if (actor !== undefined) return { actorSub: actor }
  return everything ? { everything } : undefined
}

/** Ends with an error, because a mistyped actor goes on acting. */
function reportUnknownActor(actor = '', similar: string[] = []): void {
  process.exitCode = EXIT.failed
  const named = similar.map(each => JSON.stringify(each)).join(', ')
  const hint =
    named === ''
      ? 'Check the `sub`: it is compared byte for byte. `audit list` shows who acted.'
      : `Similar: ${named}. An actor is compared byte for byte, so run the command again with the right one.`
  note(`No token and no session has ever had the actor ${JSON.stringify(actor)}. ${hint}`)
}

export function addSessions(program: Command): void {
  const group = program.command('sessions').description('list and revoke sessions')

  paged(
    group
      .command('list')
      .description('list sessions, newest first')
      .option('--user <id>', 'only of this user')
      .option('--actor <sub>', 'only those in which this actor is acting')
      .option('--status <status>', 'active, revoked, ended, expired, …'),
  ).action(async (options: PageOptions & { user?: string; actor?: string; status?: string }) => {
    const { data } = await remote().sessions.list({
      userId: options.user,
      actorSub: options.actor,
      status: options.status as 'active' | undefined,
      limit: options.limit,
      offset: options.offset,
    })
    printList(
      options,
      data,
      {
        id: session => session.id,
        status: session => session.status,
        user: session => session.userId,
        actor: session => session.actor?.sub,
        created: session => time(session.createdAt),
        ends: session => time(session.expireAt),
      },
      'No sessions.',
    )
  })

  group
    .command('revoke [id...]')
    .description('end sessions for good: nothing more is minted for them')
    .option('--user <id>', 'everything of this user, pending tokens too')
    .option('--actor <sub>', 'everything that this actor does, pending tokens too')
    .option('--everything', 'everything of everybody, pending tokens too')
    .option('--reason <text>', 'why; kept in the audit log')
    .option('--json', 'print JSON')
    .action(async (ids: string[], options: OutputOptions & RevokeOptions) => {
      const client = remote()
      const why = options.reason === undefined ? {} : { reason: options.reason }
      const whose = whoseSessions(ids, options)
      if (whose) {
        const answer = await client.sessions.revokeAll({ ...whose, ...why })
        const { revokedSessions, revokedTokens, complete, matched, similarActorSubs } = answer
        const more = complete ? '' : ', and more that are still being marked'
        printOne(
          options,
          { ...whose, revokedSessions, revokedTokens, complete, matched, similarActorSubs },
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
