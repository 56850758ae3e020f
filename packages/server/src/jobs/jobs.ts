/** `jobs/` has the work that a server does periodically: one file per job, with its name, its interval and one run. */

import type { Logger } from 'pino'
import type { Metrics } from '../telemetry/metrics.ts'
import { actingFeed } from './acting-feed.ts'
import { auditPublisher } from './audit-publisher.ts'
import { auditSequencer } from './audit-sequencer.ts'
import { due } from './due.ts'
import { eventStreams } from './event-streams.ts'
import { type PurgeOptions, purge } from './purge.ts'
import { reevaluation } from './reevaluation.ts'
import { refusedRequests } from './refused-requests.ts'
import { revocationFeed } from './revocation-feed.ts'
import type { Job } from './runner.ts'

/**
 * Returns the jobs of a server, for `startJobs`. A new job has its file in this folder and its place in this list; its
 * rules are in `domain/`.
 * @param purging undefined if rows are kept forever
 * @param metrics undefined if metrics are off
 */
export function serverJobs(purging: PurgeOptions | undefined, log: Logger, metrics?: Metrics): Job[] {
  return [
    revocationFeed,
    actingFeed,
    eventStreams,
    refusedRequests,
    due,
    auditSequencer(log),
    auditPublisher,
    reevaluation(metrics),
    ...(purging ? [purge(purging)] : []),
  ]
}
