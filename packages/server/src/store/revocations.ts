import { sql } from 'kysely'
import type { ActorTokenRecord, RevokedSession, SessionRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { type Database, dynamic, now, param, prepared, recordEvent, recordEvents, sqlFor } from './query.ts'

/** Whether a cutoff covers a token or session: it was written at or before the cutoff's time. */
export const coveredByCutoff = (table: 'sessions' | 'actor_tokens') => {
  const { written_at, user_id, actor_sub } = {
    written_at: sql.ref(`${table}.written_at`),
    user_id: sql.ref(`${table}.user_id`),
    actor_sub: sql.ref(`${table}.actor_sub`),
  }
  return sql<boolean>`(exists (select 1 from cutoffs where scope = 'everything' and subject = '' and at >= ${written_at})
    or exists (select 1 from cutoffs where scope = 'user' and subject = ${user_id} and at >= ${written_at})
    or exists (select 1 from cutoffs where scope = 'actor' and subject = ${actor_sub} and at >= ${written_at}))`
}

export const notCoveredByCutoff = (table: 'sessions' | 'actor_tokens') => sql<boolean>`not ${coveredByCutoff(table)}`

/** The current status: a row that a cutoff covers is revoked, even if it has not been marked yet. */
export const statusOf = (table: 'sessions' | 'actor_tokens') =>
  sql<string>`case when ${sql.ref(`${table}.status`)} = ${sql.lit(table === 'sessions' ? 'active' : 'pending')} and ${coveredByCutoff(table)} then 'revoked' else ${sql.ref(`${table}.status`)} end`

export const addCutoff = prepared<{ scope: string; subject: string }, { at: number }>(
  sqlFor
    .insertInto('cutoffs')
    .values({ scope: param('scope'), subject: param('subject'), at: now, applied_at: null })
    // A cutoff never moves back, even if the clock was set back.
    .onConflict(conflict =>
      conflict.columns(['scope', 'subject']).doUpdateSet({
        at: sql`case when excluded.at > cutoffs.at then excluded.at else cutoffs.at end`,
        applied_at: null,
      }),
    )
    .returning('at'),
)

const finishCutoff = prepared<{ scope: string; subject: string; at: number }>(
  sqlFor
    .updateTable('cutoffs')
    .set({ applied_at: now })
    .where('scope', '=', param('scope'))
    .where('subject', '=', param('subject'))
    .where('at', '=', param('at')),
)

/** Sessions that ended before their expiry, from a moment on. */
const endedSince = prepared<{ updated_at: number; id: string; limit: number }, RevokedSession>(
  sqlFor
    .selectFrom('sessions')
    .select(['id', 'user_id', 'actor_sub', 'status', 'updated_at'])
    .where('status', '<>', sql.lit('active'))
    .where('status', '<>', sql.lit('expired'))
    .where(sql<boolean>`(updated_at, id) > (${param('updated_at')}, ${param('id')})`)
    .orderBy('updated_at')
    .orderBy('id')
    .limit(param('limit')) as never,
)

/**
 * Whether an actor has ever had a token or session. Bulk revocations do not count: they can name an actor that does not
 * exist.
 */
const isKnownActor = prepared<{ actor_sub: string }, { known: number }>(
  sqlFor
    .selectNoFrom(eb => eb.val(1).as('known'))
    .where(eb =>
      eb.or([
        eb.exists(eb.selectFrom('actor_tokens').select('id').where('actor_sub', '=', param('actor_sub'))),
        eb.exists(eb.selectFrom('sessions').select('id').where('actor_sub', '=', param('actor_sub'))),
        eb.exists(
          eb
            .selectFrom('audit_events')
            .select('id')
            .where('actor_sub', '=', param('actor_sub'))
            .where('action', '<>', 'session.revoke_all'),
        ),
      ]),
    ) as never,
)

/** Steps from one actor to the next in an index, so the number of rows per actor does not matter. */
const actorSubs = (table: 'sessions' | 'actor_tokens', limit: number) => {
  const next = (after = sql``) =>
    sql`(select min(actor_sub) from ${sql.table(table)} where actor_sub is not null ${after})`
  return dynamic<{ sub: string }>(
    sql<{ sub: string }>`with recursive subs (sub) as (select ${next()} union all
        select ${next(sql`and actor_sub > subs.sub`)} from subs where subs.sub is not null)
      select sub from subs where sub is not null limit ${limit}`,
  )
}

export function revocations(db: Database): Store['revocations'] {
  return {
    async addCutoff(scope, subject, event) {
      const rows = await db.transition(
        { query: addCutoff({ scope, subject }), required: true, revokes: true },
        recordEvent(event),
      )
      return rows?.[0]?.at ?? 0
    },

    async applyCutoff({ scope, subject, at }, limit, events) {
      const column = { everything: undefined, user: 'user_id', actor: 'actor_sub' }[scope] as 'user_id' | undefined
      const change = (table: 'sessions' | 'actor_tokens', usable: string) => {
        let due = sqlFor
          .selectFrom(table)
          .select('id')
          .where('status', '=', sql.lit(usable) as never)
          .where('written_at', '<=', at)
        // In the order of its index, so that PostgreSQL does not read the active rows of all others.
        if (column) due = due.where(column, '=', subject).orderBy('id')
        return dynamic(
          sqlFor
            .updateTable(table)
            .set({ status: 'revoked', updated_at: now })
            .where('status', '=', sql.lit(usable) as never)
            .where('id', 'in', due.limit(limit).forUpdate().skipLocked())
            .returningAll(),
        )
      }
      const actorTokens = await db.transition<ActorTokenRecord>({
        query: change('actor_tokens', 'pending') as never,
        revokes: true,
        next: rows => recordEvents(rows.map(events.actorToken)),
      })
      const sessions = await db.transition<SessionRecord>({
        query: change('sessions', 'active') as never,
        revokes: true,
        next: rows => recordEvents(rows.map(events.session)),
      })
      return { actor_tokens: actorTokens?.length ?? 0, sessions: sessions?.length ?? 0 }
    },

    isKnownActor: async actor_sub => (await db.get(isKnownActor({ actor_sub }))) !== undefined,

    async actorSubs(limit) {
      const found = await Promise.all([db.all(actorSubs('sessions', limit)), db.all(actorSubs('actor_tokens', limit))])
      return [...new Set(found.flat().map(({ sub }) => sub))]
    },

    async finishCutoff({ scope, subject, at }) {
      await db.transition({ query: finishCutoff({ scope, subject, at }), revokes: true })
    },

    cutoffs({ since, unapplied }) {
      let query = sqlFor.selectFrom('cutoffs').selectAll()
      if (since !== undefined) query = query.where('at', '>=', since)
      if (unapplied) query = query.where('applied_at', 'is', null)
      return db.all(dynamic(query.orderBy('at').limit(10_000)))
    },

    endedSince: (updated_at, id, limit) => db.all(endedSince({ updated_at, id, limit })),
    onChange: listener => db.onRevocation(listener),
  }
}
