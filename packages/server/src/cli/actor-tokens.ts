import type { Command } from 'commander'
import { remote } from './environment.ts'
import { ACCESS, type LimitOptions, limitsOf, SCOPES } from './limits.ts'
import { showTimed, type TimedOptions, timed } from './lists.ts'
import { type OutputOptions, printOne, time, UsageError } from './output.ts'
import { seconds } from './units.ts'
import { userIdOf, userOption } from './users-by.ts'

interface CreateOptions extends OutputOptions, LimitOptions {
  user: string
  actor?: string
  actorJson?: string
  expiresIn?: number
  sessionMaxDuration?: number
  reason?: string
  reasonCategory?: string
  ticket?: string
  ip?: string
}

export function addActorTokens(program: Command): void {
  const group = program.command('actor-tokens').description('create, list, show and revoke actor tokens')

  addCreate(group)

  timed(
    group
      .command('list')
      .description('list actor tokens, newest first')
      .option('--user <id>', 'only for this user: an id, e-mail address or external id')
      .option('--actor <sub>', 'only of this actor')
      .option('--status <status>', 'pending, accepted or revoked'),
  ).action(async (options: TimedOptions & { user?: string; actor?: string; status?: string }) => {
    const client = remote()
    const query = {
      userId: await userOption(client, options.user),
      actorSub: options.actor,
      status: options.status as 'pending' | undefined,
    }
    await showTimed(options, page => client.actorTokens.list({ ...query, ...page }), {
      columns: {
        id: token => token.id,
        status: token =>
          token.status === 'pending' && (token.expiresAt ?? 0) <= Date.now() ? 'pending (expired)' : token.status,
        user: token => token.userId,
        actor: token => token.actor.sub,
        created: token => time(token.createdAt),
        session: token => token.sessionId,
      },
      empty: 'No actor tokens.',
      at: token => token.createdAt,
      id: token => token.id,
    })
  })

  group
    .command('show <id>')
    .description('show an actor token')
    .option('--json', 'print JSON')
    .action(async (id: string, options: OutputOptions) => {
      const token = await remote().actorTokens.get(id)
      printOne(options, token, {
        ...token,
        expiresAt: time(token.expiresAt),
        createdAt: time(token.createdAt),
        updatedAt: time(token.updatedAt),
      })
    })

  group
    .command('revoke <id>')
    .description('revoke a pending actor token')
    .option('--reason <text>', 'the reason; stored in the audit log')
    .option('--json', 'print JSON')
    .action(async (id: string, options: OutputOptions & { reason?: string }) => {
      const token = await remote().actorTokens.revoke(
        id,
        options.reason === undefined ? {} : { reason: options.reason },
      )
      printOne(options, token, { id: token.id, status: token.status })
    })
}

function addCreate(group: Command): void {
  group
    .command('create')
    .description('create a one-time token to act as a user, and print its link')
    .requiredOption('--user <id>', 'the user to act as: an id, e-mail address or external id')
    .option('--actor <sub>', 'id of the person or program that is really acting')
    .option('--actor-json <json>', 'the complete actor payload, with a "sub"')
    .option('--expires-in <duration>', 'how long the token can be redeemed: 10m, 1h, or seconds (1h)', seconds)
    .option('--session-max-duration <duration>', 'maximum duration of the session (30m)', seconds)
    .option('--reason <text>', 'the reason; stored in the audit log')
    .option('--reason-category <name>', 'the kind of reason, like change; policies see it')
    .option('--ticket <text>', 'the support ticket; policies see it')
    .option('--ip <address>', 'the IPv4 or IPv6 address of the actor; policies see it')
    .option(...ACCESS)
    .option(...SCOPES)
    .option('--json', 'print JSON')
    .action(async (options: CreateOptions) => {
      const actor = actorOf(options)
      const client = remote()
      const token = await client.actorTokens.create({
        userId: await userIdOf(client, options.user),
        actor,
        ...(options.expiresIn === undefined ? {} : { expiresInSeconds: options.expiresIn }),
        ...(options.sessionMaxDuration === undefined
          ? {}
          : { sessionMaxDurationInSeconds: options.sessionMaxDuration }),
        ...(options.reason === undefined ? {} : { reason: options.reason }),
        ...(options.reasonCategory === undefined ? {} : { reasonCategory: options.reasonCategory }),
        ...(options.ticket === undefined ? {} : { ticket: options.ticket }),
        ...(options.ip === undefined ? {} : { ip: options.ip }),
        ...limitsOf(options),
      })
      printOne(options, token, {
        id: token.id,
        user: token.userId,
        actor: token.actor,
        url: token.url,
        ticket: token.token,
      })
    })
}

function actorOf({ actor, actorJson }: CreateOptions): { sub: string; [member: string]: unknown } {
  if ((actor === undefined) === (actorJson === undefined))
    throw new UsageError('The actor is missing. Use either --actor <sub> or --actor-json <json>.')
  if (actor !== undefined) return { sub: actor }
  try {
    return JSON.parse(actorJson ?? '')
  } catch {
    throw new UsageError('--actor-json is not JSON. Example: --actor-json \'{"sub":"user_1","name":"Olivia"}\'')
  }
}
