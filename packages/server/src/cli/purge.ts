import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { countExpiredBefore, expiredBefore, purgeAll } from '../domain/purge.ts'
import { commandLine, withInstance } from './environment.ts'
import { type OutputOptions, printOne, time, UsageError } from './output.ts'
import { moment } from './units.ts'

interface PurgeOptions extends OutputOptions {
  before?: string
  dryRun?: boolean
}

export function addPurge(program: Command): void {
  program
    .command('purge')
    .description(
      'delete old rows: ended or expired tickets and sessions, their clients, old cutoffs of revocations, and old sessions and links of operators; never audit events',
    )
    .option(
      '--before <date>',
      'delete what ended or expired before this date (2026-01-31, or with a time); default: STAGEDOOR_RETENTION_DAYS ago',
    )
    .option('--dry-run', 'only count, delete nothing')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
A running server purges automatically (STAGEDOOR_RETENTION_DAYS). Rows are always kept for a minimum time after they end or
expire: STAGEDOOR_ACTOR_SESSION_MAX_SECONDS (at least a week) plus one day.`,
    )
    .action(async (options: PurgeOptions) => {
      await withInstance(async (stagedoor, config) => {
        const ctx = stagedoor.context(commandLine())
        const until = options.before === undefined ? undefined : moment(options.before)
        if (until === undefined && config.retention_days === 'none')
          throw new UsageError('STAGEDOOR_RETENTION_DAYS is none, so there is no default date. Add --before <date>.')
        const days = until === undefined ? Number(config.retention_days) : 0
        const over = expiredBefore(ctx, { days, ...(until === undefined ? {} : { until }) })
        const before = Math.min(over.until, ctx.clock.now() - over.keep)
        const found = options.dryRun
          ? await countExpiredBefore(ctx, over)
          : await purgeAll(ctx, { over, rest: worked => sleep(worked, true) })
        printOne(
          options,
          { before, dry_run: options.dryRun ?? false, ...found },
          {
            'ended before': time(before),
            ...(options.dryRun ? { deleted: 'nothing (dry run); found:' } : {}),
            ...found,
          },
        )
      })
    })
}
