import type { z } from 'zod'
import { invalidParam, notFound } from '../contract/errors.ts'
import type { SupposedActor, SupposedUser } from '../contract/policy.ts'
import type { Context } from './context.ts'
import { metadataProblem } from './policy-facts.ts'
import type { UserRecord } from './records.ts'
import type { DecisionRow } from './store.ts'

/** Decisions on facts that are not stored: what if an actor were registered otherwise, or a user had other metadata. */

/** The supposed changes. Everything else is read from the database. */
export interface Supposed {
  registration?: z.output<typeof SupposedActor> | undefined
  user?: z.output<typeof SupposedUser> | undefined
}

const USERS = ['users', 'own', 'own_by_external_id'] as const

/**
 * Returns a context whose decisions see the supposed facts. Only for questions: what it writes is not checked.
 *
 *     await supposing(ctx, { user: { id: 'user_1', private_metadata: { stagedoor: { protected: true } } } })
 *
 * @throws ApiError resource_not_found if there is no such user; form_param_value_invalid if the metadata has another form
 */
export async function supposing(ctx: Context, { registration: actor, user }: Supposed): Promise<Context> {
  const metadata = user && (await metadataOf(ctx, user))
  const own = actor && (await ownUserOf(ctx, actor))
  const { store } = ctx
  const findForDecision: typeof store.actorTokens.findForDecision = async (user_id, actor_sub) => {
    let row = await store.actorTokens.findForDecision(user_id, actor_sub)
    if (!row) return undefined
    if (actor) row = withActor(row, actor, own, actor_sub)
    if (user && metadata !== undefined) row = withMetadata(row, user.id, metadata)
    return row
  }
  return { ...ctx, store: { ...store, actorTokens: { ...store.actorTokens, findForDecision } } }
}

async function metadataOf(ctx: Context, { id, private_metadata }: NonNullable<Supposed['user']>): Promise<string> {
  const problem = metadataProblem(private_metadata['stagedoor'])
  if (problem !== undefined)
    throw invalidParam('user.private_metadata', `Policies read \`stagedoor\` in \`private_metadata\`: ${problem}.`)
  if (!(await ctx.store.users.find(id))) throw notFound('user', id)
  return JSON.stringify(private_metadata)
}

/** Returns the actor's own user, as the registry would. @throws ApiError form_param_value_invalid */
async function ownUserOf(ctx: Context, { sub, user_id }: NonNullable<Supposed['registration']>) {
  const own = await ctx.store.users.find(user_id ?? sub)
  if (user_id && !own) throw invalidParam('registration.user_id', `There is no user with the id ${user_id}.`)
  return own
}

function withMetadata(row: DecisionRow, id: string, private_metadata: string): DecisionRow {
  const changed = USERS.filter(table => row[`${table} id`] === id).map(table => [
    `${table} private_metadata`,
    private_metadata,
  ])
  return { ...row, ...Object.fromEntries(changed) }
}

function withActor(
  row: DecisionRow,
  actor: NonNullable<Supposed['registration']>,
  own: UserRecord | undefined,
  actorSub: string,
): DecisionRow {
  // An own user that the registry has and the supposed registration has not still counts as one of an operator.
  const names = [row['users id'], row['users external_id']]
  const isOperator = actor.user_id === row['users id'] || names.includes(actor.sub)
  const registered = isOperator ? { ...row, user_is_registered: 1 as const } : row
  if (actorSub !== actor.sub) return registered
  return {
    ...registered,
    'own id': own?.id ?? null,
    'own external_id': own?.external_id ?? null,
    'own private_metadata': own?.private_metadata ?? null,
    'own banned_at': own?.banned_at ?? null,
    'own locked_at': own?.locked_at ?? null,
    'actors sub': actor.sub,
    'actors kind': actor.kind,
    'actors teams': JSON.stringify(actor.teams),
    'actors organizations': JSON.stringify(actor.organizations),
    'actors level': actor.level,
    'actors owner_sub': actor.owner_sub ?? null,
    'actors disabled_at': actor.disabled ? 0 : null,
  }
}
