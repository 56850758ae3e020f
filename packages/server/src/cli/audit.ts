import { existsSync } from 'node:fs'
import type { AuditEvent } from '@stagedoor/sdk/models/components'
import type { Command } from 'commander'
import { loadConfig } from '../config.ts'
import { allSecretKeys } from '../domain/secret-keys.ts'
import { addAuditFiles } from './audit-files.ts'
import { addAuditKeys } from './audit-keys.ts'
import { addAuditVerify } from './audit-verify.ts'
import { commandEnvironment, commandLine, remote, withInstance } from './environment.ts'
import { showTimed, type TimedOptions, timed } from './lists.ts'
import { printList, time, UsageError, wholeNumber } from './output.ts'
import { userOption } from './users-by.ts'

interface ListOptions extends TimedOptions {
  action?: string
  outcome?: 'done' | 'refused'
  user?: string
  session?: string
  actorToken?: string
  actor?: string
  beforeSeq?: number
  counts?: boolean
}

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('read the audit log')
  timed(
    audit
      .command('list')
      .description('list audit events, newest first')
      .option('--action <action>', 'actor_token.create, session.revoke, …')
      .option('--outcome <outcome>', 'done or refused')
      .option('--user <id>', 'only about this user: an id, e-mail address or external id')
      .option('--session <id>', 'only about this session')
      .option('--actor-token <id>', 'only about this actor token or sign-in token')
      .option('--actor <sub>', 'only of this actor')
      .option('--before-seq <seq>', 'only events before this position, to page through the log', wholeNumber)
      .option(
        '--counts',
        'show counts of refused requests without a known key or ticket instead, per minute and address',
      ),
  ).action((options: ListOptions) => (options.counts ? showCounts(options) : showEvents(options)))
  addAuditKeys(audit)
  addAuditVerify(audit)
  addAuditFiles(audit)
}

async function showEvents(options: ListOptions): Promise<void> {
  const client = remote()
  const query = {
    action: options.action,
    outcome: options.outcome,
    userId: await userOption(client, options.user),
    sessionId: options.session,
    actorTokenId: options.actorToken,
    actorSub: options.actor,
    beforeSeq: options.beforeSeq,
    after: options.follow ? undefined : options.since,
    before: options.until,
  }
  const names = options.json ? new Map<string, string>() : await keyNames()
  const by = ({ principal: { id, type } }: AuditEvent) => (id === null ? type : (names.get(id) ?? id))
  await showTimed(options, page => client.auditEvents.list({ ...query, ...page }), {
    columns: {
      seq: event => event.seq,
      at: event => time(event.at),
      action: event => event.action,
      outcome: event => event.code ?? event.outcome,
      by,
      actor: event => event.actorSub,
      user: event => event.userId,
      reason: event => event.reason,
    },
    empty: 'No events.',
    at: event => event.at,
    id: event => event.seq,
  })
}

async function showCounts(options: ListOptions): Promise<void> {
  if (options.follow || options.since !== undefined || options.until !== undefined || options.all)
    throw new UsageError('--counts can be combined only with --limit and --offset.')
  const { data: counts } = await remote().refusedRequests.list({ limit: options.limit, offset: options.offset })
  printList(
    options,
    counts,
    {
      minute: row => time(row.minute),
      address: row => row.address,
      code: row => row.code,
      count: row => row.count,
    },
    'None.',
  )
}

/** Returns the names of secret keys by id. Only the database has them; if it cannot be opened here, the list shows ids. */
async function keyNames(): Promise<Map<string, string>> {
  try {
    const { database_url } = loadConfig(commandEnvironment())
    const isHere = !database_url.startsWith('sqlite:') || existsSync(database_url.slice('sqlite:'.length))
    if (!isHere) return new Map()
    const keys = await withInstance(stagedoor => allSecretKeys(stagedoor.context(commandLine())))
    return new Map(keys.map(({ id, name }) => [id, name]))
  } catch {
    return new Map()
  }
}
