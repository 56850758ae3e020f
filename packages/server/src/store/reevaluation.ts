import { sql } from 'kysely'
import type { ActorTokenRecord, AuditRecord, SessionRecord } from '../domain/records.ts'
import type { Redecision, Store } from '../domain/store.ts'
import { type Database, dynamic, now, nowOnce, param, prepared, recordEvents, sqlFor } from './query.ts'
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
const marked = acting.where('decided_policy', '<', UNDECIDED)

/** They were decided about with an earlier version of the policy. */
const outdated = acting.where('decided_policy', '>', UNDECIDED).where('decided_policy', '<', policyVersion)

/** The decision was for a limited time. */
const overdue = acting
  // Without a lower bound PostgreSQL expects a third of all active sessions, and reads all of them.
  .where('decided_until', '>', sql.lit(0))
  .where(sql<boolean>`decided_until <= ${nowOnce}`)

/**
 * One query for each reason: joined with `or` they would read all active sessions. They are not prepared: PostgreSQL would
 * keep the plan that it made for an empty table, which reads all of it. Exported for the test of their plans.
 */
export const due = [marked, outdated, overdue].map(
  query =>
    ({ limit }: { limit: number }) =>
      dynamic<SessionRecord>(query.limit(limit) as never),
)

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

/**
 * Those that are still as they were read before the facts were: no later change has marked them. PostgreSQL skips sessions
 * that another server is writing, so that two servers never wait for each other.
 */
const unchanged = (sessions: readonly SessionRecord[]) =>
  sqlFor
    .selectFrom('sessions as read')
    .select('read.id')
    .where(
      'read.id',
      'in',
      sessions.map(({ id }) => id),
    )
    .where('read.status', '=', 'active')
    .where(
      sql<boolean>`(read.id, read.decided_policy) in
        (values ${sql.join(sessions.map(({ id, decided_policy }) => sql`(${id}, ${decided_policy})`))})`,
    )
    .forUpdate()
    .skipLocked()

type Allowed = Extract<Redecision, { until: number | null }>

function confirm(decisions: readonly Allowed[]) {
  const rows = decisions.map(({ session, until, versions }) => {
    const { policy_version, user_version, actor_version } = versions
    return sql`(${session.id}, ${policy_version}, ${user_version}, ${actor_version}, ${until ?? 0})`
  })
  return dynamic<{ id: string }>(sql`
    update sessions set decided_policy = decided.column2, decided_user = decided.column3, decided_actor = decided.column4,
      decided_until = nullif(decided.column5, 0)
    from (values ${sql.join(rows)}) as decided
    where id = decided.column1 and id in (${unchanged(decisions.map(({ session }) => session))})
    returning id`)
}

const leave = (sessions: readonly SessionRecord[]) =>
  dynamic(
    sqlFor
      .updateTable('sessions')
      .set({ decided_policy: UNDECIDED as never, decided_until: null })
      .where('id', 'in', unchanged(sessions))
      .returning('id'),
  )

const end = (sessions: readonly SessionRecord[]) =>
  dynamic<SessionRecord>(
    sqlFor
      .updateTable('sessions')
      .set({ status: 'revoked', updated_at: now })
      .where('id', 'in', unchanged(sessions))
      .where(notCoveredByCutoff('sessions'))
      .returningAll() as never,
  )

export function reevaluation(db: Database): Store['reevaluation'] {
  return {
    async due(limit) {
      const found = await Promise.all(due.map(find => db.all(find({ limit }))))
      return [...new Map(found.flat().map(session => [session.id, session])).values()].slice(0, limit)
    },

    latest: limit => db.all(latest({ limit })),
    latestActs: (limit, before = AFTER_ALL) => db.all(latestActs({ limit, before_id: before })),

    async write(decisions) {
      const events = new Map<string, AuditRecord>()
      for (const { session, refused } of decisions) if (refused) events.set(session.id, refused)
      const refused = decisions.flatMap(decision => (decision.refused ? [decision.session] : []))
      const blocked = decisions.flatMap(decision => (decision.blocked ? [decision.session] : []))
      const allowed = decisions.filter(decision => 'until' in decision)
      const stored = [
        allowed.length > 0 ? await db.transition({ query: confirm(allowed) }) : [],
        blocked.length > 0 ? await db.transition({ query: leave(blocked) }) : [],
        refused.length > 0
          ? await db.transition<SessionRecord>({
              query: end(refused),
              revokes: true,
              next: ended => recordEvents(ended.flatMap(({ id }) => events.get(id) ?? [])),
            })
          : [],
      ]
      return stored.reduce((sum, rows) => sum + (rows?.length ?? 0), 0)
    },
  }
}
