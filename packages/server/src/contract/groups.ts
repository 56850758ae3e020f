import { z } from 'zod'
import { formErrors } from './actor-tokens.ts'
import { listOf, Milliseconds, operation, pagedQuery } from './operation.ts'

/** Groups of actors (teams) and of users (tags), and the groups that these are part of. */

/** A name of 1 to 128 characters without quotes, backslashes and control characters. */
export const GROUP_NAME = /^[^\s"\\\p{C}][^"\\\p{C}]{0,127}$/u

const parents = z
  .array(
    z.string().regex(GROUP_NAME, {
      error: 'a name of 1 to 128 characters without quotes, backslashes and control characters',
    }),
  )
  .max(100)
  .refine(list => new Set(list).size === list.length, { params: { code: 'value' }, error: 'a list of distinct names' })
  .meta({ uniqueItems: true })

const times = { created_at: Milliseconds, updated_at: Milliseconds }

export const Team = z
  .strictObject({
    object: z.literal('team'),
    name: z.string(),
    parents: parents.describe('The teams that it is part of.'),
    ...times,
  })
  .meta({ id: 'Team' })

export const Tag = z
  .strictObject({
    object: z.literal('tag'),
    name: z.string(),
    parents: parents.describe('The tags that it is part of.'),
    ...times,
  })
  .meta({ id: 'Tag' })

export const PutTeamRequestBody = z
  .strictObject({ parents: parents.describe('The teams that it is part of. They need not be stored themselves.') })
  .meta({ id: 'PutTeamRequestBody' })

export const PutTagRequestBody = z
  .strictObject({ parents: parents.describe('The tags that it is part of. They need not be stored themselves.') })
  .meta({ id: 'PutTagRequestBody' })

export const DeletedTeam = z
  .strictObject({ object: z.literal('team'), name: z.string(), deleted: z.literal(true) })
  .meta({ id: 'DeletedTeam' })

export const DeletedTag = z
  .strictObject({ object: z.literal('tag'), name: z.string(), deleted: z.literal(true) })
  .meta({ id: 'DeletedTag' })

const shared = { auth: 'secret_key', roles: ['admin'], stagedoorOnly: true } as const
const readers = { rights: ['users', 'policy', 'audit'], roles: ['viewer', 'support', 'approver', 'admin'] } as const
/** A key that may act must not change what decides whether it may. */
const change = { rights: ['users'] } as const

const groupsQuery = pagedQuery({}, z.string().min(1).max(128))

const EFFECT =
  'The policy gets a new version with the same rules, so each live session is decided again; those that are no longer allowed end.'

export const listTeams = operation({
  ...shared,
  ...readers,
  tag: 'Teams',
  id: 'ListTeams',
  method: 'get',
  path: '/v1/teams',
  summary: 'List teams that are part of other teams, by their names',
  query: groupsQuery,
  response: listOf(Team),
})

export const getTeam = operation({
  ...shared,
  ...readers,
  tag: 'Teams',
  id: 'GetTeam',
  method: 'get',
  path: '/v1/teams/{name}',
  summary: 'Read a team',
  response: Team,
  errors: ['resource_not_found'],
})

export const putTeam = operation({
  ...shared,
  ...change,
  tag: 'Teams',
  id: 'PutTeam',
  method: 'put',
  path: '/v1/teams/{name}',
  summary: 'Say which teams a team is part of',
  description: `An actor in a team is also in the teams that it is part of, and in theirs. A cycle is refused. ${EFFECT}`,
  action: 'team.put',
  body: PutTeamRequestBody,
  response: Team,
  errors: [...formErrors, 'policy_changed_meanwhile'],
})

export const deleteTeam = operation({
  ...shared,
  ...change,
  tag: 'Teams',
  id: 'DeleteTeam',
  method: 'delete',
  path: '/v1/teams/{name}',
  summary: 'Forget which teams a team is part of',
  description: `An actor in the team is then in no other team because of it. ${EFFECT}`,
  action: 'team.delete',
  response: DeletedTeam,
  errors: ['resource_not_found', 'policy_changed_meanwhile'],
})

export const listTags = operation({
  ...shared,
  ...readers,
  tag: 'Tags',
  id: 'ListTags',
  method: 'get',
  path: '/v1/tags',
  summary: 'List tags that are part of other tags, by their names',
  query: groupsQuery,
  response: listOf(Tag),
})

export const getTag = operation({
  ...shared,
  ...readers,
  tag: 'Tags',
  id: 'GetTag',
  method: 'get',
  path: '/v1/tags/{name}',
  summary: 'Read a tag',
  response: Tag,
  errors: ['resource_not_found'],
})

export const putTag = operation({
  ...shared,
  ...change,
  tag: 'Tags',
  id: 'PutTag',
  method: 'put',
  path: '/v1/tags/{name}',
  summary: 'Say which tags a tag is part of',
  description: `A user with a tag also has the tags that it is part of, and theirs. A cycle is refused. ${EFFECT}`,
  action: 'tag.put',
  body: PutTagRequestBody,
  response: Tag,
  errors: [...formErrors, 'policy_changed_meanwhile'],
})

export const deleteTag = operation({
  ...shared,
  ...change,
  tag: 'Tags',
  id: 'DeleteTag',
  method: 'delete',
  path: '/v1/tags/{name}',
  summary: 'Forget which tags a tag is part of',
  description: `A user with the tag then has no other tag because of it. ${EFFECT}`,
  action: 'tag.delete',
  response: DeletedTag,
  errors: ['resource_not_found', 'policy_changed_meanwhile'],
})
