import { due } from './due.ts'
import { eventStreams } from './event-streams.ts'
import { type PurgeOptions, purge } from './purge.ts'
import { refusedRequests } from './refused-requests.ts'
import { revocationFeed } from './revocation-feed.ts'
import type { Job } from './runner.ts'

/**
 * This folder has the periodic jobs of a server, one file per job: its name, its interval and what one run does. The
 * rules that a job applies are in `domain/`. To add a job, write its file and list it here; `runner.ts` runs it.
 */

/** Returns the jobs of a server. @param purging undefined if rows are kept forever */
export function serverJobs(purging: PurgeOptions | undefined): Job[] {
  return [revocationFeed, eventStreams, refusedRequests, due, ...(purging ? [purge(purging)] : [])]
}
