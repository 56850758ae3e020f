import { notFound } from '../contract/errors.ts'
import { actorTokenEvent } from './actor-tokens.ts'
import { auditEvent } from './audit/event.ts'
import type { Context } from './context.ts'
import { foldedSub } from './identifiers.ts'
import type { CutoffRecord } from './records.ts'
import { sessionEvent } from './sessions.ts'
import type { ExpulsionEvents } from './store.ts'

/** Maximum rows of each kind per transaction. */
const BATCH = 500
/**
 * A transaction that started before a cutoff commits at most this much later, in ms. It may add a row that the cutoff
 * covers, so rows are marked again until then.
 */
const COMMIT_LAG = 10_000
/** Maximum rows of each kind that are marked before the call returns. The others are marked soon after. */
const MAX_APPLIED_AT_ONCE = 5_000

export type RevokeAll = { reason?: string | undefined } & (
  | { user_id: string }
  | { actor_sub: string }
  | { everything: true }
)

export interface RevokedAll extends Pick<CutoffRecord, 'scope' | 'subject' | 'at'> {
  sessions: number
  actor_tokens: number
  /** `false` if some rows have not been marked yet. They are already revoked. */
  complete: boolean
  /** `false` if this actor has never had a token or a session. */
  matched: boolean
  /** Actors whose `sub` the caller could have meant. */
  similar: string[]
}

/** Maximum actors that an unknown `sub` is compared with. */
const COMPARED = 10_000
/** Maximum similar actors that are returned. */
const NAMED = 5

/**
 * Revokes every session and every pending token of a user, of an actor, or of everyone, all at the same moment. It
 * writes one small row (a cutoff), however many there are. Once that is committed, no tokens are minted for and no
 * tickets redeemed from what was written before. Then the rows are marked one by one, each with its audit event.
 * @throws ApiError resource_not_found
 */
export async function revokeAll(ctx: Context, input: RevokeAll): Promise<RevokedAll> {
  const { scope, subject } = subjectOf(input)
  if (scope === 'user' && !(await ctx.store.users.find(subject))) throw notFound('user', subject)
  const event = auditEvent(ctx, {
    action: 'session.revoke_all',
    about: 'user_id' in input ? { user_id: subject } : 'actor_sub' in input ? { actor_sub: subject } : {},
    target_id: scope,
    ...(input.reason === undefined ? {} : { reason: input.reason }),
  })
  const at = await ctx.store.revocations.addCutoff(scope, subject, event)
  const applied = await applyCutoff(ctx, { scope, subject, at, applied_at: null }, MAX_APPLIED_AT_ONCE, input.reason)
  const matched = scope !== 'actor' || (await ctx.store.revocations.isKnownActor(subject))
  return { scope, subject, at, ...applied, matched, similar: matched ? [] : await similarActors(ctx, subject) }
}

async function similarActors(ctx: Context, sub: string): Promise<string[]> {
  const subs = await ctx.store.revocations.actorSubs(COMPARED)
  return subs.filter(each => each !== sub && foldedSub(each) === foldedSub(sub)).slice(0, NAMED)
}

function subjectOf(input: RevokeAll): Pick<CutoffRecord, 'scope' | 'subject'> {
  if ('user_id' in input) return { scope: 'user', subject: input.user_id }
  if ('actor_sub' in input) return { scope: 'actor', subject: input.actor_sub }
  return { scope: 'everything', subject: '' }
}

/**
 * Marks the rows that earlier calls left unapplied, and rows that were committed after those calls. @returns whether
 * there are more
 */
export async function applyCutoffs(ctx: Context): Promise<boolean> {
  let more = false
  for (const cutoff of await ctx.store.revocations.cutoffs({ unapplied: true })) {
    const { complete } = await applyCutoff(ctx, cutoff, BATCH)
    if (!complete) more = true
    else if (cutoff.at < ctx.clock.now() - COMMIT_LAG) await ctx.store.revocations.finishCutoff(cutoff)
  }
  return more
}

async function applyCutoff(ctx: Context, cutoff: CutoffRecord, atMost: number, reason = 'session.revoke_all') {
  const events: ExpulsionEvents = {
    session: session => sessionEvent(ctx, 'session.revoke', session, reason),
    actorToken: token => actorTokenEvent(ctx, 'revoke', token, reason),
  }
  const done = { sessions: 0, actor_tokens: 0, complete: false }
  while (done.sessions < atMost && done.actor_tokens < atMost && !done.complete) {
    const { sessions, actor_tokens } = await ctx.store.revocations.applyCutoff(cutoff, BATCH, events)
    done.sessions += sessions
    done.actor_tokens += actor_tokens
    done.complete = sessions === 0 && actor_tokens === 0
  }
  return done
}
