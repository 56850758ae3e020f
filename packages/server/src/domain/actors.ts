import type { z } from 'zod'
import { MAX_SUB_LENGTH } from '../contract/actor.ts'
import type { PutActorRequestBody } from '../contract/actors.ts'
import { invalidParam, notFound } from '../contract/errors.ts'
import { auditEvent } from './audit/event.ts'
import type { Context } from './context.ts'
import { foldedSub } from './identifiers.ts'
import type { ActorFilter, Found, Page } from './lists.ts'
import type { ActorRecord } from './records.ts'
import { applyCutoffs } from './revocations.ts'
import { UniqueValueTaken } from './store.ts'

/** The registry of actors: who may be named as the one who is really acting, and what policies know about them. */

type PutActor = z.output<typeof PutActorRequestBody>

/**
 * Returns a version for facts that change now: a random number, of which only equality counts. So no row ever has the
 * version of another one that it replaces.
 */
export const newFactsVersion = (ctx: Pick<Context, 'random'>): number => ctx.random.bytes(6).readUIntBE(0, 6)

/**
 * Registers an actor, or replaces what is registered.
 * @throws ApiError form_param_value_invalid if the sub looks like that of another actor, the user does not exist, or an
 *   operator has an owner
 */
export async function putActor(ctx: Context, input: PutActor & { sub: string }): Promise<ActorRecord> {
  const { sub, kind, user_id = null, owner_sub = null } = input
  if (sub.trim() === '' || sub.length > MAX_SUB_LENGTH)
    throw invalidParam('sub', `\`sub\` must be a string of 1 to ${MAX_SUB_LENGTH} characters that is not blank.`)
  if (kind === 'operator' && owner_sub !== null)
    throw invalidParam('owner_sub', 'Only an agent has an owner. An operator is responsible for their own acts.')
  if (kind === 'agent' && user_id !== null)
    throw invalidParam('user_id', 'Only an operator has a user account. Name the person responsible as `owner_sub`.')
  if (owner_sub === sub) throw invalidParam('owner_sub', 'An agent cannot be its own owner.')
  if (user_id !== null && !(await ctx.store.users.find(user_id)))
    throw invalidParam('user_id', `There is no user with the id ${user_id}.`)
  const now = ctx.clock.now()
  const actor: ActorRecord = {
    sub,
    sub_folded: foldedSub(sub),
    kind,
    name: input.name ?? null,
    teams: JSON.stringify(input.teams),
    organizations: JSON.stringify(input.organizations),
    level: input.level,
    user_id,
    owner_sub,
    disabled_at: input.disabled ? now : null,
    facts_version: newFactsVersion(ctx),
    created_at: now,
    updated_at: now,
  }
  const stored = await ctx.store.actors.put(actor, actorEvent(ctx, 'put', sub)).catch(asLookAlike)
  if (input.disabled) await applyCutoffs(ctx)
  return stored
}

function asLookAlike(error: unknown): never {
  if (!(error instanceof UniqueValueTaken)) throw error
  throw invalidParam(
    'sub',
    'Another actor is registered with a `sub` that looks the same: it differs only in upper and lower case, in spaces or in how characters are encoded.',
  )
}

/** Returns a registered actor. @throws ApiError resource_not_found */
export async function getActor(ctx: Context, input: { sub: string }): Promise<ActorRecord> {
  const actor = await ctx.store.actors.find(input.sub)
  if (!actor) throw notFound('actor', input.sub)
  return actor
}

/** Lists registered actors in the order of their `sub`. */
export function listActors(ctx: Context, input: ActorFilter & Page): Promise<Found<ActorRecord>> {
  return ctx.store.actors.list(input, input)
}

/** Removes an actor from the registry. @throws ApiError resource_not_found */
export async function deleteActor(ctx: Context, input: { sub: string }): Promise<void> {
  if (!(await ctx.store.actors.delete(input.sub, actorEvent(ctx, 'delete', input.sub))))
    throw notFound('actor', input.sub)
}

/** How long an actor that acted is of interest, in ms. */
const LATELY = 30 * 86_400_000

/** Returns the subs of actors that acted in the last 30 days and are neither registered nor users. Some may be missing. */
export function unknownActors(ctx: Context): Promise<string[]> {
  return ctx.store.actors.unknown(ctx.clock.now() - LATELY)
}

function actorEvent(ctx: Context, verb: string, sub: string) {
  return auditEvent(ctx, { action: `actor.${verb}`, about: { actor_sub: sub } })
}
