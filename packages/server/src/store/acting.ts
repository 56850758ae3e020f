import { sql } from 'kysely'
import type { ActingFilter, Page } from '../domain/lists.ts'
import type { ActingRecord, KnownActing, SessionRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { isUsableSession, listOf } from './lists.ts'
import { type Condition, type List, type Query, readPage } from './paging.ts'
import { type Database, dynamic, long, sqlFor } from './query.ts'

/**
 * Who is acting as a user now. The index `sessions_acting` has only active sessions with an actor; a filter by user or by
 * actor uses the indexes of the list of sessions.
 */

/** The order of the index. */
const position = sql<string>`id || ''`

/** The conditions are literals, so that the index can be used. */
const active: Query = sqlFor
  .selectFrom('sessions')
  .where('status', '=', sql.lit('active'))
  .where('actor_sub', 'is not', null)
  .where(isUsableSession)

/** Returns the queries of the list. */
export function actingList({ actor_sub, user_id, access }: ActingFilter, page: Page): List<SessionRecord> {
  const rest: Condition[] = access === undefined ? [] : [sql<boolean>`access = ${access}`]
  if (actor_sub !== undefined || user_id !== undefined) {
    const list = listOf<SessionRecord>('sessions', { ...page, status: 'active' }, { user_id, actor_sub })
    const hasActor = actor_sub === undefined ? [sql<boolean>`actor_sub is not null`] : []
    return { ...list, rest: [...(list.rest ?? []), ...hasActor, ...rest] }
  }
  const { starting_after } = page
  const further = starting_after === undefined ? active : active.where(position, '<', starting_after)
  return {
    rows: (limit, offset) => further.selectAll().orderBy(position, 'desc').limit(limit).offset(offset),
    whole: [active.orderBy(position, 'desc')],
    rest,
    cursor: ({ id }) => id,
  }
}

type Details = Pick<ActingRecord, 'id' | 'registered_kind' | 'actor_is_user'> & ActingRecord['user']

/** Returns what is known about the users and the actors of sessions. */
const detailsOf = (ids: string[]) =>
  long<Details>(
    sqlFor
      .selectFrom('sessions')
      .leftJoin('users', 'users.id', 'sessions.user_id')
      .leftJoin('identifiers', 'identifiers.id', 'users.primary_email_address_id')
      .leftJoin('actors', 'actors.sub', 'sessions.actor_sub')
      .leftJoin('users as actor_users', 'actor_users.id', 'sessions.actor_sub')
      .leftJoin('users as external_actors', 'external_actors.external_id', 'sessions.actor_sub')
      .select([
        'sessions.id',
        'users.first_name',
        'users.last_name',
        'users.username',
        'identifiers.value as email_address',
        'actors.kind as registered_kind',
        sql<0 | 1>`case when coalesce(actor_users.id, external_actors.id) is null then 0 else 1 end`.as(
          'actor_is_user',
        ),
      ])
      .where('sessions.id', 'in', ids) as never,
  )

async function withDetails(db: Database, sessions: SessionRecord[]): Promise<ActingRecord[]> {
  if (sessions.length === 0) return []
  const found = await db.all(detailsOf(sessions.map(({ id }) => id)))
  const byId = new Map(
    found.map(({ id, registered_kind, actor_is_user, ...user }) => [id, { registered_kind, actor_is_user, user }]),
  )
  // A session that was deleted in the meantime has no details.
  return sessions.flatMap(session => {
    const details = byId.get(session.id)
    return details === undefined ? [] : [{ ...session, ...details } as ActingRecord]
  })
}

/** Maximum sessions that are new, and the same for changes of users and of actors. */
const MAX_NEWS = 1_000

type News = { kind: 'session' | 'user' | 'actor'; id: string; at: number }

/** One range of an index each, the latest first. Exported for the test of its plan. */
export const newsSince = ({ since, since_id }: { since: number; since_id: string }) => {
  const sessions = active.where(position, '>', since_id).select(['id', 'created_at as at']).orderBy(position, 'desc')
  const changed = (table: 'users' | 'actors', id: string) =>
    (sqlFor.selectFrom(table) as Query)
      .select([`${id} as id`, 'updated_at as at'])
      .where('updated_at', '>=', since)
      .orderBy('updated_at', 'desc')
  const parts = [
    sql`select 'session' as kind, id, at from ${sessions.limit(MAX_NEWS)} as found`,
    sql`select 'user' as kind, id, at from ${changed('users', 'id').limit(MAX_NEWS)} as found`,
    sql`select 'actor' as kind, id, at from ${changed('actors', 'sub').limit(MAX_NEWS)} as found`,
  ]
  return dynamic<News>(sql<News>`${sql.join(parts, sql` union all `)}`)
}

const knownAfter = (limit: number, after: string) =>
  long<KnownActing>(
    active
      .select(['id', 'user_id', 'actor_sub', 'expire_at', 'written_at'])
      .where(position, '>', after)
      .orderBy(position)
      .limit(limit),
  )

export function acting(db: Database): Store['acting'] {
  return {
    async find(ids) {
      const sessions = await db.all(long<SessionRecord>(active.selectAll().where('id', 'in', ids).orderBy('id')))
      return withDetails(db, sessions)
    },

    known: (limit, after = '') => db.all(knownAfter(limit, after)),

    async news(from) {
      const found = await db.all(newsSince(from))
      return {
        sessions: found.filter(({ kind }) => kind === 'session').map(({ id }) => id),
        changes: found.flatMap(({ kind, id, at }) => (kind === 'session' ? [] : [{ kind, id, at }])),
      }
    },

    async list(filter, page) {
      const found = await readPage(db, { ...page, counted: filter.counted }, actingList(filter, page))
      return { ...found, rows: await withDetails(db, found.rows) }
    },
  }
}
