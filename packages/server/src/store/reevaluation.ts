import { sql } from 'kysely'
import type { ActorTokenRecord, SessionRecord } from '../domain/records.ts'
import type { DecidedVersions, Store } from '../domain/store.ts'
import { type Database, now, nowOnce, param, prepared, recordEvent, sqlFor } from './query.ts'
import { notCoveredByCutoff } from './revocations.ts'

const policyVersion = sqlFor.selectFrom('instance').select('policy_version')

/** Active sessions with an actor. The conditions are literals, so that the indexes of such sessions can be searched. */
const acting = sqlFor
  .selectFrom('sessions')
  .selectAll()
  .where('status', '=', sql.lit('active'))
  .where('actor_sub', 'is not', null)
  .where('expire_at', '>', now)
  .where(notCoveredByCutoff('sessions'))

/** Of a session that its next mint decides about: it is not due. */
const UNDECIDED = sql.lit(-1)

/** A change of the user or the actor marked them. */
const marked = prepared<{ limit: number }, SessionRecord>(
  acting.where('decided_policy', '<', UNDECIDED).limit(param('limit')) as never,
)

/** They were decided about with an earlier version of the policy. */
const outdated = prepared<{ limit: number }, SessionRecord>(
  acting
    .where('decided_policy', '>', UNDECIDED)
    .where('decided_policy', '<', policyVersion)
    .limit(param('limit')) as never,
)

/** The decision was for a limited time. */
const overdue = prepared<{ limit: number }, SessionRecord>(
  acting
    // Without a lower bound PostgreSQL expects a third of all active sessions, and reads all of them.
    .where('decided_until', '>', sql.lit(0))
    .where(sql<boolean>`decided_until <= ${nowOnce}`)
    .limit(param('limit')) as never,
)

/** One query for each reason: joined with `or` they would read all active sessions. Exported for the test of their plans. */
export const due = [marked, outdated, overdue]

const latest = prepared<{ limit: number }, SessionRecord>(acting.orderBy('id', 'desc').limit(param('limit')) as never)

/** Ids sort by time. Those of other tokens begin differently. */
const latestActs = prepared<{ limit: number; before_id: string }, ActorTokenRecord>(
  sqlFor
    .selectFrom('actor_tokens')
    .selectAll()
    .where('id', '>', sql.lit('act_'))
    .where('id', '<', param('before_id'))
    .where('actor_sub', 'is not', null)
    .orderBy('id', 'desc')
    .limit(param('limit')) as never,
)
const AFTER_ALL = 'act`'

type Decided = DecidedVersions & { id: string; seen: number; until: number | null }

/** `seen` is what was read before the facts were. If a later change marked the session, the statement does nothing. */
const confirm = prepared<Decided>(
  sqlFor
    .updateTable('sessions')
    .set({
      decided_policy: param('policy_version'),
      decided_user: param('user_version'),
      decided_actor: param('actor_version'),
      decided_until: param('until'),
    })
    .where('id', '=', param('id'))
    .where('status', '=', 'active')
    .where('decided_policy', '=', param('seen')),
)

const leave = prepared<{ id: string; seen: number }>(
  sqlFor
    .updateTable('sessions')
    .set({ decided_policy: UNDECIDED as never, decided_until: null })
    .where('id', '=', param('id'))
    .where('status', '=', 'active')
    .where('decided_policy', '=', param('seen')),
)

const end = prepared<{ id: string; seen: number }, SessionRecord>(
  sqlFor
    .updateTable('sessions')
    .set({ status: 'revoked', updated_at: now })
    .where('id', '=', param('id'))
    .where('status', '=', 'active')
    .where('decided_policy', '=', param('seen'))
    .where(notCoveredByCutoff('sessions'))
    .returningAll(),
)

export function reevaluation(db: Database): Store['reevaluation'] {
  return {
    async due(limit) {
      const found = await Promise.all(due.map(find => db.all(find({ limit }))))
      return [...new Map(found.flat().map(session => [session.id, session])).values()].slice(0, limit)
    },

    latest: limit => db.all(latest({ limit })),
    latestActs: (limit, before = AFTER_ALL) => db.all(latestActs({ limit, before_id: before })),

    async write({ session: { id, decided_policy: seen }, ...decision }) {
      if (decision.blocked) await db.transition({ query: leave({ id, seen }) })
      else if (decision.refused === undefined)
        await db.transition({ query: confirm({ id, seen, until: decision.until, ...decision.versions }) })
      else
        await db.transition({ query: end({ id, seen }), required: true, revokes: true }, recordEvent(decision.refused))
    },
  }
}
