import { z } from 'zod'
import { MAX_SUB_LENGTH } from './actor.ts'
import { formErrors } from './actor-tokens.ts'
import { flag, Id, listOf, Milliseconds, operation, pagedQuery } from './operation.ts'

/** The registry of actors: the people and programs who act as users, and what policies know about them. */

const kind = z.enum(['operator', 'agent']).describe('A person or a program.')

const name = z.string().min(1).max(128)

const names = z
  .array(
    z.string().regex(/^[^\s"\\\p{C}][^"\\\p{C}]{0,127}$/u, {
      error: 'a name of 1 to 128 characters without quotes, backslashes and control characters',
    }),
  )
  .max(100)
  .refine(list => new Set(list).size === list.length, { params: { code: 'value' }, error: 'a list of distinct names' })
  .meta({ uniqueItems: true })

const level = z.int().min(0).max(1_000_000)

export const RegisteredActor = z
  .strictObject({
    object: z.literal('actor'),
    sub: z.string().describe('The `sub` of the actor payload.'),
    kind,
    name: z.string().nullable(),
    teams: names,
    organizations: names.describe('The customers that the actor looks after.'),
    level: level.describe('Privilege level: 0 is an ordinary actor.'),
    user_id: Id.nullable().describe('The operator’s own user.'),
    owner_sub: z.string().nullable().describe('The operator who is responsible for an agent.'),
    disabled: z.boolean().describe('A disabled actor cannot act.'),
    created_at: Milliseconds,
    updated_at: Milliseconds,
  })
  .meta({ id: 'RegisteredActor' })

export const PutActorRequestBody = z
  .strictObject({
    kind,
    name: name.nullish().describe('A name for people. Default: none.'),
    teams: names.default([]),
    organizations: names.default([]).describe('The customers that the actor looks after.'),
    level: level.default(0).describe('Privilege level: 0 is an ordinary actor.'),
    user_id: Id.nullish().describe('The operator’s own user, as whom the operator cannot act.'),
    owner_sub: z
      .string()
      .min(1)
      .max(MAX_SUB_LENGTH)
      .nullish()
      .describe('The operator who is responsible for the agent. Only for agents.'),
    disabled: z.boolean().default(false).describe('A disabled actor cannot act.'),
  })
  .meta({ id: 'PutActorRequestBody' })

export const DeletedActor = z
  .strictObject({ object: z.literal('actor'), sub: z.string(), deleted: z.literal(true) })
  .meta({ id: 'DeletedActor' })

const shared = { tag: 'Actors', auth: 'secret_key', roles: ['admin'], stagedoorOnly: true } as const
/** A key that may act must not change what decides whether it may. */
const change = { ...shared, rights: ['users'] } as const

export const listActors = operation({
  ...shared,
  id: 'ListActors',
  method: 'get',
  path: '/v1/actors',
  summary: 'List registered actors, by their `sub`',
  rights: ['users', 'policy', 'audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  query: pagedQuery({ kind: kind.optional(), disabled: flag.optional() }, z.string().min(1).max(MAX_SUB_LENGTH)),
  response: listOf(RegisteredActor),
})

export const getActor = operation({
  ...shared,
  id: 'GetActor',
  method: 'get',
  path: '/v1/actors/{sub}',
  summary: 'Read a registered actor',
  rights: ['users', 'policy', 'audit'],
  roles: ['viewer', 'support', 'approver', 'admin'],
  response: RegisteredActor,
  errors: ['resource_not_found'],
})

export const putActor = operation({
  ...change,
  id: 'PutActor',
  method: 'put',
  path: '/v1/actors/{sub}',
  summary: 'Register an actor, or replace what is registered',
  description:
    'Omitted members get their defaults. Policies see the change at once: each live session of the actor is decided again. A `sub` that looks like that of another actor is refused.',
  action: 'actor.put',
  body: PutActorRequestBody,
  response: RegisteredActor,
  errors: [...formErrors],
})

export const deleteActor = operation({
  ...change,
  id: 'DeleteActor',
  method: 'delete',
  path: '/v1/actors/{sub}',
  summary: 'Remove an actor from the registry',
  description: 'From then on policies know only the `sub`. To stop the actor, set `disabled` instead.',
  action: 'actor.delete',
  response: DeletedActor,
  errors: ['resource_not_found'],
})
