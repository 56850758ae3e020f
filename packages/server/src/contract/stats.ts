import { z } from 'zod'
import { Milliseconds, operation } from './operation.ts'

/** Minutes that the statistics cover, with the current one. */
export const MINUTES = 60

const count = z.int().min(0)

const MinuteStats = z
  .strictObject({
    at: Milliseconds.describe('Start of the minute.'),
    created: count.describe('Actor tokens that were created.'),
    redeemed: count.describe('Actor tokens that were redeemed: sessions in which an actor began to act.'),
    refused: count.describe('Requests that were refused and are events of the audit log.'),
    ended: count.describe('Sessions of actors that ended, for any reason.'),
    acting: count.describe(
      'Sessions in which an actor acted at the end of the minute, or now. Counted up to 5,000 now, and back from there with the events.',
    ),
  })
  .meta({ id: 'MinuteStats' })

export const Stats = z
  .strictObject({
    object: z.literal('stats'),
    minutes: z
      .array(MinuteStats)
      .length(MINUTES)
      .describe('The last 60 minutes, oldest first. The last one is not over yet.'),
  })
  .meta({ id: 'Stats' })

export const getStats = operation({
  id: 'GetStats',
  method: 'get',
  path: '/v1/stats',
  tag: 'Audit',
  summary: 'Count what happened per minute, for the last 60 minutes',
  description: 'Each server counts at most once in 5 seconds.',
  auth: 'secret_key',
  rights: ['audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  response: Stats,
  stagedoorOnly: true,
})
