import type { Job } from './runner.ts'

/** Ends the event streams of secret keys that have expired or that any node has revoked. */
export const eventStreams: Job = {
  name: 'event-streams',
  interval: 500,
  failure: 'event streams of unusable keys could not be ended',
  run: ctx => ctx.eventStreams.endUnusable(ctx.store),
}
