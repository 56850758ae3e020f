import { z } from 'zod'
import { ActorToken } from './actor-tokens.ts'
import { operation } from './operation.ts'
import { Session } from './sessions.ts'
import { User } from './users.ts'

/** Maximum results of each kind. */
export const MAX_RESULTS = 8

export const Search = z
  .strictObject({
    object: z.literal('search'),
    users: z.array(User).max(MAX_RESULTS),
    sessions: z.array(Session).max(MAX_RESULTS),
    actor_tokens: z.array(ActorToken).max(MAX_RESULTS),
  })
  .meta({ id: 'Search' })

export const search = operation({
  id: 'Search',
  method: 'get',
  path: '/v1/search',
  tag: 'Search',
  summary: 'Find users, sessions and actor tokens, for one search box',
  description:
    'Users are found by a part of an id, name, e-mail address or phone number; sessions and actor tokens by their exact id, and by the exact id of their user or `sub` of their actor. At most 8 of each kind, the newest first. A kind that the secret key may not read is empty: users need the right `users`, the others `act` or `audit`.',
  auth: 'secret_key',
  rights: ['act', 'audit', 'users'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: z.strictObject({
    query: z
      .string()
      .trim()
      .min(1)
      .max(255)
      .describe('What to search for. One or two characters match the beginning of a field.'),
  }),
  response: Search,
  stagedoorOnly: true,
})
