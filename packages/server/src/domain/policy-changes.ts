import { ApiError, notFound } from '../contract/errors.ts'
import { findActorToken } from './actor-tokens.ts'
import { auditEvent } from './audit/event.ts'
import { assertWithin } from './caller-limit.ts'
import type { Context } from './context.ts'
import type { Found, Page } from './lists.ts'
import {
  assertUsable,
  type Decided,
  decide,
  frozenFacts,
  frozenFactsOf,
  readyPolicy,
  unlessUnavailable,
} from './policy.ts'
import { digestOf, type PolicyCheck, type PolicyProblem } from './policy-engine.ts'
import { wouldEnd } from './policy-what-if.ts'
import type { ActorTokenRecord, PolicyRecord, SessionRecord } from './records.ts'
import { getSession } from './sessions.ts'

/** Changes of the policy, its history, and questions about it that change nothing. */

/** A policy that was put in force, with warnings about it. */
export interface AppliedPolicy {
  record: PolicyRecord
  warnings: readonly PolicyProblem[]
}

export interface PolicyDraft {
  text: string
  off: string[]
  tests?: string | undefined
}

/** Returns the policy in force. */
export async function getPolicy(ctx: Context): Promise<PolicyRecord> {
  return versionOf(ctx, await ctx.store.policies.current())
}

/** What CreateActorToken accepts as a category. */
const CATEGORY = /^[a-z][a-z0-9_-]{0,63}$/

/**
 * Returns the categories that the policy in force compares the reason's category with, for those who choose one. Empty if
 * the policy cannot be read: a person can then still look and end sessions.
 */
export async function reasonCategories(ctx: Context): Promise<string[]> {
  try {
    const { version } = await getPolicy(ctx)
    const { constants } = await readyPolicy(ctx, version)
    return constants.categories.filter(category => CATEGORY.test(category))
  } catch (error) {
    if (error instanceof ApiError && error.code === 'policy_unavailable') return []
    throw error
  }
}

/** Lists the versions that were applied, newest first. */
export function listPolicyVersions(ctx: Context, input: Page & { counted: boolean }): Promise<Found<PolicyRecord>> {
  return ctx.store.policies.list(input, input)
}

/** Checks a policy and runs its tests. Changes nothing. @throws ApiError policy_unavailable */
export function checkPolicy(ctx: Context, { text, off, tests }: PolicyDraft): Promise<PolicyCheck> {
  return unlessUnavailable(() => ctx.policy.check(text, off, tests, { zone: ctx.settings.time_zone }))
}

/**
 * Puts a policy in force.
 * @param input.if_version the version that the change is based on; omitted: the version in force
 * @param input.expect_refused the most active sessions that may end
 * @throws ApiError policy_invalid, policy_too_large, policy_too_slow, policy_test_failed, policy_changed_meanwhile,
 *   policy_ends_sessions
 */
export async function putPolicy(
  ctx: Context,
  input: PolicyDraft & { if_version?: number | undefined; expect_refused: number; reason?: string | undefined },
): Promise<AppliedPolicy> {
  const current = await ctx.store.policies.current()
  const basedOn = input.if_version ?? current
  if (basedOn !== current) throw new ApiError('policy_changed_meanwhile')
  const check = await checkPolicy(ctx, input)
  assertUsable(check)
  await assertEndsFew(ctx, input)
  const { text, off } = input
  const version = basedOn + 1
  const record: PolicyRecord = {
    version,
    policy_text: text,
    off: JSON.stringify([...off].sort()),
    digest: digestOf(input),
    reason: input.reason ?? null,
    created_by: createdBy(ctx),
    created_at: ctx.clock.now(),
  }
  const event = auditEvent(ctx, {
    action: 'policy.change',
    about: {},
    target_id: String(version),
    details: { digest: record.digest, version },
    ...(input.reason === undefined ? {} : { reason: input.reason }),
  })
  if (!(await ctx.store.policies.put(record, basedOn, event))) throw new ApiError('policy_changed_meanwhile')
  // Only now: until the statement has decided, another policy can become this version.
  await unlessUnavailable(() => ctx.policy.load({ version, text, off }))
  return { record, warnings: check.warnings }
}

/** Puts an earlier version in force again, as a new version. @throws ApiError resource_not_found, and as `putPolicy` */
export async function rollbackPolicy(
  ctx: Context,
  input: { version: number; expect_refused: number; reason?: string | undefined },
): Promise<AppliedPolicy> {
  const { policy_text, off } = await versionOf(ctx, input.version)
  const { version, expect_refused, reason = `rollback to version ${version}` } = input
  return putPolicy(ctx, { text: policy_text, off: JSON.parse(off), expect_refused, reason })
}

export interface Explained {
  user_id?: string | undefined
  actor?: { sub: string; [member: string]: unknown } | undefined
  session_id?: string | undefined
  actor_token_id?: string | undefined
  session_max_duration_in_seconds: number
  reason?: string | undefined
  reason_category?: string | undefined
  ticket?: string | undefined
  auth?: { at: number; amr: string[] } | undefined
  ip?: string | undefined
}

/**
 * Decides about a request, a session or an actor token, and says why. Operators may ask five times per second.
 * @throws ApiError resource_not_found, form_param_missing, too_many_requests
 */
export async function explainPolicy(ctx: Context, input: Explained): Promise<Decided> {
  const { operator } = ctx.caller
  if (operator) assertWithin(ctx.explanations, operator.id)
  if (input.session_id !== undefined) return explainRow(ctx, await getSession(ctx, { id: input.session_id }), input.ip)
  if (input.actor_token_id !== undefined)
    return explainRow(ctx, await findActorToken(ctx, { id: input.actor_token_id, kind: 'actor_token' }), input.ip)
  const { user_id, actor } = input
  if (user_id === undefined) throw missing('user_id')
  if (actor === undefined) throw missing('actor')
  const frozen = frozenFacts(ctx, { ...input, actor })
  const decided = await decide(ctx, { user_id, actor_sub: actor.sub, frozen, ip: frozen.ip ?? null }, true)
  if (!decided) throw notFound('user', user_id)
  return decided
}

async function explainRow(ctx: Context, row: SessionRecord | ActorTokenRecord, address?: string): Promise<Decided> {
  const { id, user_id, actor_sub } = row
  const ip = address ?? ('ip' in row ? row.ip : null)
  if (actor_sub === null) throw notFound('session with an actor', id)
  const decided = await decide(ctx, { user_id, actor_sub, frozen: frozenFactsOf(row), ip }, true)
  if (!decided) throw notFound('user', user_id)
  return decided
}

const missing = (param: string) =>
  new ApiError('form_param_missing', { params: { param }, meta: { param_name: param } })

/** Maximum number of sessions that an error names. */
const NAMED = 20

async function assertEndsFew(ctx: Context, draft: PolicyDraft & { expect_refused: number }): Promise<void> {
  const { refused, sessions } = await wouldEnd(ctx, draft)
  if (refused <= draft.expect_refused) return
  const meta = { expect_refused: draft.expect_refused, refused, sessions: sessions.slice(0, NAMED) }
  throw new ApiError('policy_ends_sessions', { meta })
}

/**
 * Returns the next version of the policy with the same rules: something else changed that decisions depend on.
 * @param version the version in force
 */
export async function nextVersion(ctx: Context, version: number, reason: string): Promise<PolicyRecord> {
  const current = await versionOf(ctx, version)
  return { ...current, version: version + 1, reason, created_by: createdBy(ctx), created_at: ctx.clock.now() }
}

const createdBy = ({ caller: { principal } }: Context) => principal.id ?? principal.type

async function versionOf(ctx: Context, version: number): Promise<PolicyRecord> {
  if (version > 0) {
    const record = await ctx.store.policies.find(version)
    if (!record) throw notFound('policy version', String(version))
    return record
  }
  const { text, off } = ctx.defaultPolicy
  return {
    version,
    policy_text: text,
    off: JSON.stringify(off),
    digest: digestOf(ctx.defaultPolicy),
    reason: null,
    created_by: '',
    created_at: 0,
  }
}
