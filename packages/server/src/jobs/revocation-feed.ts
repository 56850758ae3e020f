import type { Job } from './runner.ts'

/** Polls for revocations by other nodes, and tells followers of the feed. The database notifies earlier where it can. */
export const revocationFeed: Job = {
  name: 'revocation-feed',
  interval: 500,
  failure: 'the revocation feed could not be read',
  run: ctx => ctx.revocationFeed.poll(),
}
