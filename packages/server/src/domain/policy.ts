import { ApiError } from '../contract/errors.ts'
import type { Context } from './context.ts'
import type {
  Access,
  Decision,
  Facts,
  LoadedPolicy,
  OperatorFacts,
  PolicyCheck,
  PolicyDocument,
  Question,
} from './policy-engine.ts'
import {
  actorFacts,
  chainLength,
  type KnownActor,
  limitsOf,
  localTime,
  NEXT_DESIGN,
  NO_PARENTS,
  type RegisteredActor,
  reasonOf,
  scopesOf,
  type UserColumns,
  userFacts,
  validUntil,
} from './policy-facts.ts'
import { findNeeds, type Remedy } from './policy-needs.ts'
import type { ActorTokenRecord, Limits } from './records.ts'
import type { DecidedVersions, DecisionRow } from './store.ts'

/**
 * Decisions about who may act as whom: made when a token is created, when it is redeemed and whenever a session token is
 * minted after something changed. Each is made on versions, and the statement that writes checks that they still hold.
 */

/** What the request that created a token said: it never changes. */
export interface FrozenFacts {
  /** What the session may do. */
  access: Access
  /** Absent: unrestricted. */
  scopes?: string[]
  key: string
  duration: number
  depth: number
  /** `kind` in the actor payload. */
  claimed?: unknown
  reason?: { category?: string; ticket?: string }
  auth?: { age: number; amr: string[] }
  /** The address that the request to create the token named. It counts only for that request. */
  ip?: string
}

/** The question: may this actor act as this user? */
export interface ActingRequest {
  actor_token_id?: string
  session_id?: string
  user_id: string
  actor_sub: string
  frozen: FrozenFacts
  /** The actor's address; null if it is not known. */
  ip: string | null
}

export interface Decided {
  versions: DecidedVersions
  /** When the decision must be made again although nothing changed, Unix ms; null: never. */
  until: number | null
  facts: Facts
  decision: Decision
}

/** Returns what policies know about a request to create a token, as JSON. */
export function frozenFacts(
  ctx: Context,
  input: {
    actor: { sub: string; [member: string]: unknown }
    session_max_duration_in_seconds: number
    access?: Access | undefined
    scopes?: string[] | undefined
    reason?: string | undefined
    reason_category?: string | undefined
    ticket?: string | undefined
    auth?: { at: number; amr: string[] } | undefined
    ip?: string | undefined
  },
): FrozenFacts {
  const reason = reasonOf(input, input.actor)
  return {
    ...frozenLimits(limitsOf(ctx, input)),
    key: ctx.caller.key_name ?? ctx.caller.principal.type,
    duration: input.session_max_duration_in_seconds,
    depth: chainLength(input.actor),
    ...(Object.hasOwn(input.actor, 'kind') ? { claimed: input.actor.kind } : {}),
    ...(reason ? { reason } : {}),
    ...(input.auth
      ? { auth: { age: Math.max(0, Math.floor((ctx.clock.now() - input.auth.at) / 1_000)), amr: input.auth.amr } }
      : {}),
    ...(input.ip === undefined ? {} : { ip: input.ip }),
  }
}

/** Returns the address of the browser that sends the request. Null if a backend or the command line does. */
export function browserAddress({ caller }: Pick<Context, 'caller'>): string | null {
  if (caller.principal.type !== 'client' || caller.address === null) return null
  // A zone (`fe80::1%eth0`) says something only on this machine.
  return caller.address.replace(/%.*/, '')
}

/** Returns limits as policies know them. */
function frozenLimits(limits: Limits): Pick<FrozenFacts, 'access' | 'scopes'> {
  const scopes = scopesOf(limits)
  return { access: limits.access, ...(scopes === null ? {} : { scopes }) }
}

/** Returns the frozen facts of a token or session. A row of an earlier version has none: they are taken from what it has. */
export function frozenFactsOf(
  row: Limits & { facts: string | null; actor: string | null; reason?: string | null } & (
      | { session_max_duration_in_seconds: number }
      | { expire_at: number; created_at: number }
    ),
): FrozenFacts {
  const limits = frozenLimits(row)
  if (row.facts !== null) return { ...JSON.parse(row.facts), ...limits }
  const actor = JSON.parse(row.actor ?? '{}')
  const reason = reasonOf({ reason: row.reason ?? null }, actor)
  const duration =
    'expire_at' in row ? Math.round((row.expire_at - row.created_at) / 1_000) : row.session_max_duration_in_seconds
  return {
    ...limits,
    key: 'unknown',
    duration,
    depth: chainLength(actor),
    claimed: actor.kind,
    ...(reason ? { reason } : {}),
  }
}

/**
 * Decides on what is stored now.
 * @returns undefined if there is no such user
 * @throws ApiError policy_unavailable
 */
export async function decide(ctx: Context, request: ActingRequest, explain = false): Promise<Decided | undefined> {
  const row = await ctx.store.actorTokens.findForDecision(request.user_id, request.actor_sub)
  if (!row) return undefined
  ctx.recentReads.set(request, row, ctx.clock.now())
  return decideOn(ctx, row, request, explain)
}

/**
 * Decides on what was read in the last minute, if that allows the request; otherwise on what is stored now. Only for
 * callers whose write checks the versions: if anything has changed since, it writes nothing.
 * @returns undefined if there is no such user
 * @throws ApiError policy_unavailable
 */
export async function decideForWrite(ctx: Context, request: ActingRequest): Promise<Decided | undefined> {
  const recent = ctx.recentReads.get(request, ctx.clock.now())
  const decided = recent && (await decideOn(ctx, recent, request))
  return decided?.decision.allowed ? decided : decide(ctx, request)
}

async function decideOn(ctx: Context, row: DecisionRow, request: ActingRequest, explain = false): Promise<Decided> {
  const { policy_version, user_version, actor_version } = row
  const loaded = await readyPolicy(ctx, policy_version)
  const facts = await factsOf(ctx, row, request)
  const versions = { policy_version, user_version, actor_version }
  const { access } = request.frozen
  const decision = await unlessUnavailable(() => ctx.policy.decide(policy_version, facts, access, { explain }))
  return { versions, until: validUntil(loaded.time, facts.context.now, ctx.settings.time_zone), facts, decision }
}

/**
 * Whether a decision that was made for one address also holds for the address of this request: it is the same, or no rule
 * asks for it.
 * @throws ApiError policy_unavailable
 */
export async function holdsForAddress(
  ctx: Context,
  { policy_version, ip }: { policy_version: number; ip: string | null },
): Promise<boolean> {
  return ip === browserAddress(ctx) || !(await readyPolicy(ctx, policy_version)).uses_ip
}

/** Returns a version of the policy, loaded. @throws ApiError policy_unavailable */
export async function readyPolicy(ctx: Context, version: number): Promise<LoadedPolicy> {
  const loaded = ctx.policy.loaded(version)
  if (loaded) return loaded
  return unlessUnavailable(async () => ctx.policy.load(await documentOf(ctx, version)))
}

/** Returns a version of the policy. @throws ApiError policy_unavailable */
export async function documentOf(ctx: Context, version: number): Promise<PolicyDocument> {
  if (version === 0) return ctx.defaultPolicy
  const record = await ctx.store.policies.find(version)
  if (!record) throw new ApiError('policy_unavailable')
  return { version, text: record.policy_text, off: JSON.parse(record.off) }
}

/** Runs a call of the engine. @throws ApiError policy_unavailable if the engine cannot answer */
export async function unlessUnavailable<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== 'policy_unavailable') throw cause
    throw new ApiError('policy_unavailable', { cause })
  }
}

/**
 * Returns what would be decided about a request, without deciding.
 * @param at the time of the request, Unix ms
 * @returns undefined if there is no such user
 */
export async function questionAbout(ctx: Context, request: ActingRequest, at: number): Promise<Question | undefined> {
  const row = await ctx.store.actorTokens.findForDecision(request.user_id, request.actor_sub)
  return row && { facts: await factsOf(ctx, row, request, at), access: request.frozen.access }
}

/** The first change of a team or tag puts version 1 in force. */
const NO_GROUPS = { team: NO_PARENTS, tag: NO_PARENTS }

async function factsOf(
  ctx: Context,
  row: DecisionRow,
  { actor_sub, frozen, ip }: ActingRequest,
  now = ctx.clock.now(),
): Promise<Facts> {
  const { access: _access, claimed, ip: _created, ...acting } = frozen
  const parents = row.policy_version === 0 ? NO_GROUPS : await ctx.hierarchies.of(row.policy_version)
  const about = { registered: row.user_is_registered === 1, parentsOf: parents.tag }
  return {
    principal: await principalOf(ctx, row, {
      sub: actor_sub,
      claimed,
      teamParents: parents.team,
      tagParents: parents.tag,
    }),
    resource: userFacts(userIn(row, 'users') as UserColumns, about),
    context: {
      ...NEXT_DESIGN,
      ...acting,
      ...(ip === null ? {} : { ip }),
      environment: ctx.settings.environment,
      now,
      time: localTime(now, ctx.settings.time_zone),
    },
  }
}

async function principalOf(ctx: Context, row: DecisionRow, actor: KnownActor): Promise<Facts['principal']> {
  const registered = registeredIn(row)
  const user = userIn(row, 'own') ?? (registered ? undefined : userIn(row, 'own_by_external_id'))
  const ownerSub = row['actors owner_sub']
  // Read after the versions: a change of the owner in between changes the agent's version, so the decision is not used.
  const owner = ownerSub === null ? undefined : await ownerOf(ctx, row['users id'], { ...actor, sub: ownerSub })
  return actorFacts({
    ...actor,
    ...(registered ? { row: registered } : {}),
    ...(user ? { user } : {}),
    ...(owner ? { owner } : {}),
  })
}

async function ownerOf(ctx: Context, userId: string, owner: KnownActor): Promise<OperatorFacts | undefined> {
  const row = await ctx.store.actorTokens.findForDecision(userId, owner.sub)
  const registered = row && registeredIn(row)
  if (registered?.kind === 'agent') return undefined
  const user = row && (userIn(row, 'own') ?? (registered ? undefined : userIn(row, 'own_by_external_id')))
  if (!registered && !user) return undefined
  const facts = actorFacts({
    ...owner,
    claimed: undefined,
    ...(registered ? { row: registered } : {}),
    ...(user ? { user } : {}),
  })
  return facts.kind === 'operator' ? facts : undefined
}

function userIn(row: DecisionRow, table: 'users' | 'own' | 'own_by_external_id'): UserColumns | undefined {
  const id = row[`${table} id`]
  if (id === null) return undefined
  return {
    id,
    external_id: row[`${table} external_id`],
    private_metadata: row[`${table} private_metadata`] ?? '{}',
    banned_at: row[`${table} banned_at`],
    locked_at: row[`${table} locked_at`],
  }
}

function registeredIn(row: DecisionRow): RegisteredActor | undefined {
  const kind = row['actors kind']
  if (kind === null) return undefined
  return {
    kind,
    teams: JSON.parse(row['actors teams'] ?? '[]'),
    organizations: JSON.parse(row['actors organizations'] ?? '[]'),
    level: row['actors level'] ?? 0,
    disabled: row['actors disabled_at'] !== null,
  }
}

/**
 * Returns the error of a refusal. Servers learn which policies refused and what would help. Browsers learn neither: the
 * answer is the same for every policy.
 */
export function actingRefused(ctx: Context, request: ActingRequest, decided: Decided): ApiError {
  const { actor_token_id, session_id, user_id, actor_sub } = request
  const { decision, versions } = decided
  const policy = { version: versions.policy_version, determined_by: decision.determined_by.map(({ id }) => id) }
  const { type, id } = ctx.caller.principal
  return new ApiError('acting_refused', {
    about: {
      user_id,
      actor_sub,
      ...(actor_token_id === undefined ? {} : { actor_token_id }),
      ...(session_id === undefined ? {} : { session_id }),
    },
    details: { policy },
    ...(type === 'client'
      ? {}
      : {
          meta: {
            ...shownDecision(decided),
            needs: ctx.needs.take(`${type} ${id}`) === 0 ? needsOf(ctx, decided) : null,
          },
        }),
  })
}

/** Returns what would turn a refusal into an allow. Evaluates the policy up to ten times. */
export function needsOf(ctx: Pick<Context, 'policy'>, { decision, versions, facts }: Decided): Remedy[][] {
  const { policy_version } = versions
  const constants = ctx.policy.loaded(policy_version)?.constants
  if (decision.allowed || !constants) return []
  const again = (other: Facts, access: Access) => ctx.policy.decide(policy_version, other, access)
  return findNeeds(again, facts, decision.access, constants)
}

/** Returns a decision as servers see it. */
export function shownDecision({ decision, versions: { policy_version } }: Decided) {
  return {
    access: decision.access,
    policy_version,
    determined_by: decision.determined_by.map(({ id, effect, title, message, line }) => ({
      id,
      effect,
      title,
      message,
      line,
    })),
    permitted_by: [...decision.permitted_by],
    errors: decision.errors.map(({ id, message }) => ({ id, message })),
  }
}

/**
 * Whether a request is refused only because the user or the actor is banned, locked or disabled. Such a session gets no
 * tokens, but a lock alone does not end it.
 * @param rules the ids of the rules that refused it
 */
export function isOnlyBlocked(rules: readonly string[]): boolean {
  return rules.length > 0 && rules.every(id => id === BLOCKED)
}

const BLOCKED = 'base.blocked'

/** Returns the ids of the rules that decided. */
export const rulesOf = ({ decision }: Pick<Decided, 'decision'>): string[] => decision.determined_by.map(({ id }) => id)

/** Returns what the audit log says about a session that the policy ended. */
export function endedByPolicy({ decision, versions }: Decided) {
  const rules = rulesOf({ decision })
  return {
    reason: `policy: ${rules.join(', ') || 'no rule permits it'}`,
    details: { policy: { version: versions.policy_version, determined_by: rules } },
  }
}

/** @throws ApiError policy_invalid, policy_too_large, policy_too_slow, policy_test_failed */
export function assertUsable({ refusal, errors, tests }: PolicyCheck): void {
  if (refusal === null) return
  throw new ApiError(refusal, { meta: { errors, tests: tests.filter(test => !test.passed) } })
}

/** Returns the category and the ticket of the request that created a token, also for the session that it started. */
export function statedReason(row: Pick<ActorTokenRecord, 'facts'>): { category?: string; ticket?: string } {
  return (JSON.parse(row.facts ?? '{}') as Partial<FrozenFacts>).reason ?? {}
}
