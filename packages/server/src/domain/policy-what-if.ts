import { ApiError } from '../contract/errors.ts'
import type { Context } from './context.ts'
import { assertUsable, documentOf, frozenFactsOf, isOnlyBlocked, questionAbout, unlessUnavailable } from './policy.ts'
import type { Question, WhatIf } from './policy-engine.ts'
import { type Supposed, supposing } from './policy-supposed.ts'
import type { ActorTokenRecord, SessionRecord } from './records.ts'

/** What would change if another policy were in force, an actor were registered otherwise, or a user had other metadata. */

export interface OtherPolicy {
  text: string
  off: string[]
}

export interface RefusedSession {
  session_id: string
  user_id: string
  actor_sub: string
  determined_by: readonly string[]
}

export interface LiveSessions {
  checked: number
  refused: number
  sessions: RefusedSession[]
  complete: boolean
}

export interface PastActs {
  checked: number
  refused: number
  newly_allowed: number
  by_rule: Record<string, number>
  complete: boolean
}

/** Maximum number of sessions, and of past acts, that are decided about. */
const MOST = 5_000
/** Maximum number of sessions that are named. */
const NAMED = 100
/** Rows that are read before other work gets its turn. */
const SLICE = 20
const PAGE = 500
const DAY = 86_400_000

/** Decides about active sessions with another policy, which is valid. @throws ApiError policy_unavailable */
export async function wouldEnd(ctx: Context, policy: OtherPolicy): Promise<LiveSessions> {
  const live = await liveSessions(ctx)
  if (live.asked.length === 0) return { checked: 0, refused: 0, sessions: [], complete: true }
  return ended(live, await answersOf(ctx, policy, live.asked))
}

/**
 * Decides about active sessions and about the actor tokens of the last days, as everything is and as it is supposed.
 * @throws ApiError form_param_missing, resource_not_found, form_param_value_invalid, policy_invalid, policy_too_large,
 *   policy_too_slow, policy_unavailable
 */
export async function whatIf(
  ctx: Context,
  input: Supposed & { text?: string | undefined; off?: string[]; days: number },
): Promise<{ policy_version: number; live: LiveSessions; acts: PastActs }> {
  const { text, off = [], registration, user, days } = input
  if (text === undefined && !registration && !user)
    throw new ApiError('form_param_missing', { params: { param: 'text' }, meta: { param_name: 'text' } })
  const other = await supposing(ctx, { registration, user })
  const policy_version = await ctx.store.policies.current()
  const current = await documentOf(ctx, policy_version)
  const policy = text === undefined ? current : { text, off }
  const live = await liveSessions(other)
  const { rows, complete } = await actsSince(ctx, ctx.clock.now() - days * DAY)
  const asking = (token: ActorTokenRecord) => ({ request: actingOf(token), at: token.created_at })
  const asSupposed = await questionsAbout(other, rows, asking)
  const acts = asSupposed.map(({ row }) => row)
  const asIs = registration || user ? await questionsAbout(ctx, acts, asking) : asSupposed
  // Also without questions: an invalid policy is an error.
  const { answers, sampled } = await answersOf(ctx, policy, [...live.asked, ...asSupposed])
  const before = asIs.length === 0 ? undefined : await answersOf(ctx, current, asIs)
  const answersBefore = new Map(asIs.map(({ row }, n) => [row, before?.answers[n]]))
  return {
    policy_version,
    live: ended(live, { answers: answers.slice(0, live.asked.length), sampled }),
    acts: {
      ...compared(
        acts.map(row => answersBefore.get(row)),
        answers.slice(live.asked.length),
      ),
      complete: complete && !sampled && !before?.sampled,
    },
  }
}

/** Questions about active sessions, and whether these are all. */
interface Live {
  asked: { row: SessionRecord; question: Question }[]
  complete: boolean
}

type Answers = Pick<WhatIf, 'answers' | 'sampled'>

async function liveSessions(ctx: Context): Promise<Live> {
  const found = await ctx.store.reevaluation.latest(MOST + 1)
  const asked = await questionsAbout(ctx, found.slice(0, MOST), session => ({
    request: { session_id: session.id, ...actingOf(session) },
    at: ctx.clock.now(),
  }))
  return { asked, complete: found.length <= MOST }
}

function ended({ asked, complete }: Live, { answers, sampled }: Answers): LiveSessions {
  const refused = asked.flatMap(({ row }, n) => {
    const answer = answers[n]
    // A lock gives no tokens, and ends nothing.
    if (!answer || answer.allowed || isOnlyBlocked(answer.determined_by)) return []
    const { user_id, actor_sub } = actingOf(row)
    return [{ session_id: row.id, user_id, actor_sub, determined_by: answer.determined_by }]
  })
  return {
    checked: answers.length,
    refused: refused.length,
    sessions: refused.slice(0, NAMED),
    complete: complete && !sampled,
  }
}

function compared(
  before: (Answers['answers'][number] | undefined)[],
  after: Answers['answers'],
): Omit<PastActs, 'complete'> {
  const acts = { checked: 0, refused: 0, newly_allowed: 0 }
  const byRule = new Map<string, number>()
  for (const [n, then] of after.entries()) {
    const now = before[n]
    // The answers stopped before it, or its user has just been deleted.
    if (!now) continue
    acts.checked += 1
    if (!now.allowed && then.allowed) acts.newly_allowed += 1
    if (!now.allowed || then.allowed) continue
    acts.refused += 1
    for (const rule of then.determined_by.length === 0 ? [NO_RULE] : then.determined_by)
      byRule.set(rule, (byRule.get(rule) ?? 0) + 1)
  }
  return { ...acts, by_rule: Object.fromEntries(byRule) }
}

/** Stands for the rule if no rule permits a request. */
const NO_RULE = '(none)'

async function actsSince(ctx: Context, since: number): Promise<{ rows: ActorTokenRecord[]; complete: boolean }> {
  const rows: ActorTokenRecord[] = []
  let before: string | undefined
  do {
    const page = await ctx.store.reevaluation.latestActs(PAGE, before)
    rows.push(...page.filter(({ created_at }) => created_at >= since))
    before = page.at(-1)?.id
    if (page.length < PAGE || (page.at(-1)?.created_at ?? 0) < since) return { rows, complete: true }
    await ctx.nextTurn()
  } while (rows.length < MOST)
  return { rows: rows.slice(0, MOST), complete: false }
}

/** Returns the rows whose users still exist, with what is to be decided about each. */
async function questionsAbout<Row>(
  ctx: Context,
  rows: readonly Row[],
  about: (row: Row) => { request: Parameters<typeof questionAbout>[1]; at: number },
): Promise<{ row: Row; question: Question }[]> {
  const asked: { row: Row; question: Question }[] = []
  for (let first = 0; first < rows.length; first += SLICE) {
    const slice = rows.slice(first, first + SLICE)
    const questions = await Promise.all(
      slice.map(row => {
        const { request, at } = about(row)
        return questionAbout(ctx, request, at)
      }),
    )
    for (const [n, question] of questions.entries()) {
      const row = slice[n]
      if (question && row) asked.push({ row, question })
    }
    await ctx.nextTurn()
  }
  return asked
}

function actingOf(row: SessionRecord | ActorTokenRecord) {
  const frozen = frozenFactsOf(row)
  const ip = 'ip' in row ? row.ip : (frozen.ip ?? null)
  return { user_id: row.user_id, actor_sub: row.actor_sub ?? '', frozen, ip }
}

async function answersOf(
  ctx: Context,
  { text, off }: Pick<OtherPolicy, 'text'> & { off: readonly string[] },
  asked: { question: Question }[],
): Promise<Answers> {
  const questions = asked.map(({ question }) => question)
  const answered = await unlessUnavailable(() => ctx.policy.whatIf(text, off, questions))
  assertUsable(answered.check)
  return answered
}
