import { type Expression, sql } from 'kysely'
import type { SessionRecord } from '../domain/records.ts'
import type { MintFacts, Store } from '../domain/store.ts'
import { count, recorded } from './audit-events.ts'
import { bound, type Database, given, insertInto, prepared, sqlFor } from './query.ts'
import { columns } from './schema.ts'

const insertClient = insertInto('clients')

const insert = prepared<SessionRecord, { id: string }>(
  sqlFor
    .insertInto('sessions')
    .columns(columns.sessions)
    .expression(
      sqlFor
        .selectFrom('users')
        .select(eb => columns.sessions.map(column => eb.val(given(column)).as(column)))
        .where('users.id', '=', given('user_id'))
        .where('banned_at', 'is', null)
        .where('locked_at', 'is', null) as never,
    )
    .returning('id'),
)

const find = prepared<{ id: string }, SessionRecord>(
  sqlFor.selectFrom('sessions').selectAll().where('id', '=', given('id')),
)

const findForMint = prepared<{ id: string }, MintFacts>(
  sqlFor
    .selectFrom('sessions')
    .innerJoin('clients', 'clients.id', 'sessions.client_id')
    .leftJoin('users', 'users.id', 'sessions.user_id')
    .leftJoin('users as actors', 'actors.id', 'sessions.actor_sub')
    .selectAll('sessions')
    .select([
      'clients.rotating_token_hash as client_token_hash',
      eb =>
        eb
          .case()
          .when(
            eb.or([
              eb('users.id', 'is', null),
              ...(['users.banned_at', 'users.locked_at', 'actors.banned_at', 'actors.locked_at'] as const).map(column =>
                eb(column, 'is not', null),
              ),
            ]),
          )
          .then(1)
          .else(0)
          .end()
          .as('barred'),
      eb => eb.selectFrom('instance').select('keyring_version').as('keyring_version'),
    ])
    .where('sessions.id', '=', given('id')) as never,
)

const listOfClient = prepared<{ client_id: string }, SessionRecord>(
  sqlFor.selectFrom('sessions').selectAll().where('client_id', '=', given('client_id')).orderBy('id', 'desc'),
)

const finish = prepared<{ id: string; status: string; now: number }, SessionRecord>(
  sqlFor
    .updateTable('sessions')
    .set({ status: given('status'), updated_at: given('now') })
    .where('id', '=', given('id'))
    .where('status', '=', 'active')
    .returningAll(),
)

const finishOverdue = prepared<{ now: number; limit: number }, SessionRecord>(
  sqlFor
    .updateTable('sessions')
    .set(eb => ({
      status: eb
        .case()
        .when('expire_at', '<=', given('now'))
        .then('expired')
        .else('abandoned')
        .end() as Expression<'expired'>,
      updated_at: given('now'),
    }))
    .where('status', '=', 'active')
    .where('id', 'in', eb =>
      eb
        .selectFrom('sessions as overdue')
        .select('overdue.id')
        // A literal, so that the indexes of active sessions can be used.
        .where('overdue.status', '=', sql.lit('active'))
        .where(at => at.or([at('overdue.expire_at', '<=', given('now')), at('overdue.abandon_at', '<=', given('now'))]))
        .limit(given('limit')),
    )
    .returningAll(),
)

const noteActivity = prepared<{ id: string; at: number }, { user_id: string; actor: string | null }>(
  sqlFor
    .updateTable('sessions')
    .set(eb => ({
      last_active_at: given('at'),
      abandon_at: eb
        .case()
        .when('idle_timeout_seconds', 'is', null)
        .then(eb.ref('abandon_at'))
        .else(eb(eb.val(given('at')), '+', eb('idle_timeout_seconds', '*', 1000)))
        .end() as Expression<number>,
    }))
    .where('id', '=', given('id'))
    .where('status', '=', 'active')
    .where('last_active_at', '<', given('at'))
    .returning(['user_id', 'actor']),
)

const noteUserActive = prepared<{ user_id: string; at: number }>(
  sqlFor
    .updateTable('users')
    .set({ last_active_at: given('at') })
    .where('id', '=', given('user_id')),
)

export function sessions(db: Database): Store['sessions'] {
  return {
    async insert(session, client, event) {
      const begun = await db.transition(
        { query: insert(session), required: true },
        { query: insertClient(client) },
        recorded(event),
      )
      return begun !== undefined
    },

    find: id => db.get(find({ id })),
    findForMint: id => db.get(findForMint({ id })),
    listOfClient: client_id => db.all(listOfClient({ client_id })),

    async list(filter, { limit, offset }) {
      let query = sqlFor.selectFrom('sessions')
      for (const column of ['client_id', 'user_id', 'actor_sub'] as const) {
        const value = filter[column]
        if (value !== undefined) query = query.where(column, '=', value)
      }
      if (filter.status !== undefined) query = query.where(statusAt(filter.now), '=', filter.status)
      const total = filter.counted ? await count(db, query) : 0
      const newest = query.selectAll().orderBy('id', 'desc')
      return { rows: await db.all(bound(newest.limit(limit).offset(offset))), total }
    },

    async finish(id, status, now, event) {
      const finished = await db.transition(
        { query: finish({ id, status, now }), required: true, revokes: true },
        recorded(event),
      )
      return finished?.[0]
    },

    async finishOverdue(now, limit, event) {
      const finished = await db.transition({
        query: finishOverdue({ now, limit }),
        revokes: true,
        next: overdue => overdue.map(session => recorded(event(session))),
      })
      return finished?.length ?? 0
    },

    async noteActivity([first, ...more]) {
      if (!first) return
      const noted = (activity: { id: string; at: number }) => ({
        query: noteActivity(activity),
        next: (used: { user_id: string; actor: string | null }[]) =>
          used
            .filter(session => session.actor === null)
            .map(session => ({ query: noteUserActive({ ...session, at: activity.at }) })),
      })
      await db.transition(noted(first), ...more.map(activity => noted(activity) as never))
    },
  }
}

/** What a session's status is at a time, whether or not its end has been written down: domain/sessions.ts statusAt, in SQL. */
function statusAt(now: number) {
  return sql<string>`case when status <> 'active' then status when expire_at <= ${now} then 'expired' when abandon_at <= ${now} then 'abandoned' else 'active' end`
}
