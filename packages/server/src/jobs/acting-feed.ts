import type { Job } from './runner.ts'

/** Finds which acting sessions began and changed, and tells the followers of `GET /v1/acting/stream`. */
export const actingFeed: Job = {
  name: 'acting-feed',
  interval: 1_000,
  failure: 'the feed of acting sessions could not be read',
  run: ctx => ctx.actingFeed.poll(),
}
