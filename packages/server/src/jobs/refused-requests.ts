import type { Job } from './runner.ts'

/** Writes the counts of refused requests. */
export const refusedRequests: Job = {
  name: 'refused-requests',
  interval: 1_000,
  failure: 'refused requests could not be counted',
  run: ctx => ctx.refusedRequests.flush(ctx.store),
}
