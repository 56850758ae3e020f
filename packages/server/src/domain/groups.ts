import { ApiError, invalidParam, notFound } from '../contract/errors.ts'
import { GROUP_NAME } from '../contract/groups.ts'
import { auditEvent } from './audit/event.ts'
import type { Context } from './context.ts'
import { hierarchyOf } from './hierarchies.ts'
import type { Found, Page } from './lists.ts'
import { nextVersion } from './policy-changes.ts'
import type { ParentsOf } from './policy-facts.ts'
import type { GroupRecord } from './records.ts'

/**
 * Teams and tags that are part of others. A change raises the version of the policy, although its rules stay the same: so
 * the statements that create, redeem and mint notice it, and live sessions are decided again.
 */

type Group = Pick<GroupRecord, 'kind' | 'name'>

/** Maximum number of teams, and of tags, that have parents. Each decision can read all of them. */
const MAX_GROUPS = 1_000
/** Maximum attempts, if other changes of the policy or of groups come first. */
const ATTEMPTS = 5

/**
 * Stores which groups a team or tag is part of. Nothing happens if these are its parents already.
 * @throws ApiError form_param_value_invalid if the name is invalid, the group would be part of itself, or there are too many;
 *   policy_changed_meanwhile
 */
export function putGroup(ctx: Context, input: Group & { parents: readonly string[] }): Promise<GroupRecord> {
  const { kind, name, parents } = input
  if (!GROUP_NAME.test(name))
    throw invalidParam('name', 'A name has 1 to 128 characters, without quotes, backslashes and control characters.')
  return changed(ctx, async (basedOn, all) => {
    const existing = all.find(each => each.kind === kind && each.name === name)
    if (existing && sameNames(JSON.parse(existing.parents), parents)) return existing
    if (!existing && all.filter(each => each.kind === kind).length >= MAX_GROUPS)
      throw invalidParam('name', `At most ${MAX_GROUPS} ${kind}s can have parents.`)
    assertNoCycle(kind, name, parents, hierarchyOf(all)[kind])
    const now = ctx.clock.now()
    const group: GroupRecord = {
      kind,
      name,
      parents: JSON.stringify(parents),
      created_at: existing?.created_at ?? now,
      updated_at: now,
    }
    const version = await nextVersion(ctx, basedOn, `${kind} ${name} is part of ${named(parents)}`)
    const stored = await ctx.store.groups.put(group, version, basedOn, groupEvent(ctx, 'put', group, version.version))
    return stored ? group : undefined
  })
}

/** Returns a team or tag. @throws ApiError resource_not_found */
export async function getGroup(ctx: Context, { kind, name }: Group): Promise<GroupRecord> {
  const group = await ctx.store.groups.find(kind, name)
  if (!group) throw notFound(kind, name)
  return group
}

/** Lists teams or tags that have parents, by their names. */
export function listGroups(
  ctx: Context,
  input: Pick<GroupRecord, 'kind'> & Page & { counted: boolean },
): Promise<Found<GroupRecord>> {
  return ctx.store.groups.list(input, input)
}

/** Removes a team or tag, with its parents. @throws ApiError resource_not_found, policy_changed_meanwhile */
export async function deleteGroup(ctx: Context, { kind, name }: Group): Promise<void> {
  await changed(ctx, async (basedOn, all) => {
    if (!all.some(each => each.kind === kind && each.name === name)) throw notFound(kind, name)
    const version = await nextVersion(ctx, basedOn, `${kind} ${name} is part of no other`)
    const event = groupEvent(ctx, 'delete', { kind, name }, version.version)
    return (await ctx.store.groups.delete({ kind, name }, version, basedOn, event)) ? true : undefined
  })
}

/** Repeats a change until no other one came between its reading and its writing. */
async function changed<T>(
  ctx: Context,
  change: (basedOn: number, all: readonly GroupRecord[]) => Promise<T | undefined>,
): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const basedOn = await ctx.store.policies.current()
    // Read after the version: a change in between raises it, so the write finds another version and does nothing.
    const done = await change(basedOn, await ctx.store.groups.all())
    if (done !== undefined) return done
  }
  throw new ApiError('policy_changed_meanwhile')
}

/** Maximum number of parents that the history of the policy names. */
const NAMED = 5

function named(parents: readonly string[]): string {
  const more = parents.length > NAMED ? ` and ${parents.length - NAMED} more` : ''
  return parents.length === 0 ? 'no other' : parents.slice(0, NAMED).join(', ') + more
}

/** @throws ApiError form_param_value_invalid, with the way from the group back to itself */
function assertNoCycle(kind: string, name: string, parents: readonly string[], parentsOf: ParentsOf): void {
  /** Each group that was found, with the one that is part of it. */
  const from = new Map<string, string>(parents.map(parent => [parent, name]))
  for (const each of from.keys()) {
    if (each === name) throw invalidParam('parents', cycleText(kind, name, from))
    for (const parent of parentsOf(each)) if (!from.has(parent)) from.set(parent, each)
  }
}

function cycleText(kind: string, name: string, from: ReadonlyMap<string, string>): string {
  const way = [name]
  for (let at = from.get(name) ?? name; at !== name; at = from.get(at) ?? name) way.unshift(at)
  const shown = [name, ...way].map(each => JSON.stringify(each)).join(' → ')
  return `A ${kind} cannot be part of itself: ${shown}. Remove one of these parents.`
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every(name => others.includes(name))
}

function groupEvent(ctx: Context, verb: string, { kind, name }: Group, version: number) {
  return auditEvent(ctx, { action: `${kind}.${verb}`, about: {}, target_id: name, details: { version } })
}
