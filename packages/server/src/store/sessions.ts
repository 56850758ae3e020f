import { type Expression, sql } from 'kysely'
import type { SessionRecord } from '../domain/records.ts'
import type { MintFacts, Store } from '../domain/store.ts'
import { transitionOnce } from './idempotency-keys.ts'
import { endsAt, readList } from './lists.ts'
import {
  columnValue,
  type Database,
  dynamic,
  insertInto,
  instanceRow,
  now,
  nowOnce,
  param,
  prepared,
  readTime,
  recordEvent,
  recordEvents,
  sqlFor,
} from './query.ts'
import { notCoveredByCutoff, statusOf } from './revocations.ts'
import { columns } from './schema.ts'

const sessionColumns = Object.keys(columns.sessions) as (keyof typeof columns.sessions)[]

const insertClient = insertInto('clients')

const insert = prepared<SessionRecord, { id: string }>(
  sqlFor
    .insertInto('sessions')
    .columns(sessionColumns)
    .expression(
      sqlFor
        .selectFrom('users')
        .select(eb => sessionColumns.map(column => eb.val(columnValue(column)).as(column)))
        .where('users.id', '=', param('user_id'))
        .where('banned_at', 'is', null)
        .where('locked_at', 'is', null)
        .forShare() as never,
    )
    .returning('id'),
)

const find = prepared<{ id: string }, SessionRecord>(
  sqlFor
    .selectFrom('sessions')
    .selectAll()
    .select(statusOf('sessions').as('status'))
    .where('id', '=', param('id')) as never,
)

/** Exported for the test of its plan. */
export const findForMint = prepared<{ id: string }, MintFacts>(
  sqlFor
    .selectFrom('sessions')
    .innerJoin('clients', 'clients.id', 'sessions.client_id')
    .innerJoin(instanceRow, join => join.onTrue())
    .leftJoin('users', 'users.id', 'sessions.user_id')
    // The actor by id and by external id: one lookup in an index each.
    .leftJoin('users as actor_users', 'actor_users.id', 'sessions.actor_sub')
    .leftJoin('users as external_actors', 'external_actors.external_id', 'sessions.actor_sub')
    .leftJoin('actors as registered', 'registered.sub', 'sessions.actor_sub')
    .selectAll('sessions')
    .select([
      statusOf('sessions').as('status'),
      'clients.rotating_token_hash as client_token_hash',
      'clients.previous_token_hash as client_previous_token_hash',
      eb =>
        eb
          .case()
          .when(
            eb.or([
              eb('users.id', 'is', null),
              eb('registered.disabled_at', 'is not', null),
              ...(['users', 'actor_users', 'external_actors'] as const).flatMap(table =>
                (['banned_at', 'locked_at'] as const).map(column => eb(`${table}.${column}`, 'is not', null)),
              ),
            ]),
          )
          .then(1)
          .else(0)
          .end()
          .as('blocked'),
      'instance.keyring_version as keyring_version',
      'instance.policy_version as policy_version',
      'users.facts_version as user_version',
      eb =>
        eb.fn
          .coalesce('registered.facts_version', 'actor_users.facts_version', 'external_actors.facts_version', eb.val(0))
          .as('actor_version'),
      eb => eb.val(readTime).as('now'),
    ])
    .where('sessions.id', '=', param('id')) as never,
)

const listOfClient = prepared<{ client_id: string }, SessionRecord>(
  sqlFor
    .selectFrom('sessions')
    .selectAll()
    .select(statusOf('sessions').as('status'))
    .where('client_id', '=', param('client_id'))
    .orderBy('id', 'desc') as never,
)

const finish = prepared<{ id: string; status: string }, SessionRecord>(
  sqlFor
    .updateTable('sessions')
    .set({ status: param('status'), updated_at: now })
    .where('id', '=', param('id'))
    .where('status', '=', 'active')
    .where(notCoveredByCutoff('sessions'))
    .returningAll(),
)

const finishOverdue = prepared<{ limit: number }, SessionRecord>(
  sqlFor
    .updateTable('sessions')
    .set(eb => ({
      status: eb.case().when('expire_at', '<=', now).then('expired').else('abandoned').end() as Expression<'expired'>,
      updated_at: now,
    }))
    .where('status', '=', 'active')
    .where(notCoveredByCutoff('sessions'))
    .where('id', 'in', eb =>
      eb
        .selectFrom('sessions as overdue')
        .select('overdue.id')
        // A literal, so that the index of active sessions can be used.
        .where('overdue.status', '=', sql.lit('active'))
        .where(sql<boolean>`${endsAt} <= ${nowOnce}`)
        .limit(param('limit'))
        .forUpdate()
        .skipLocked(),
    )
    .returningAll(),
)

type Use = { id: string; at: number }

const recordActivity = (uses: Use[]) =>
  dynamic<{ user_id: string; actor: string | null; at: number }>(
    sql<{ user_id: string; actor: string | null; at: number }>`
      update sessions set last_active_at = used.column2,
        abandon_at = case when idle_timeout_seconds is null then abandon_at else used.column2 + idle_timeout_seconds * 1000 end
      from (values ${sql.join(uses.map(({ id, at }) => sql`(${id}, ${at})`))}) as used
      where id = used.column1 and status = 'active' and last_active_at < used.column2
      returning user_id, actor, last_active_at as at`,
  )

const recordUserActivity = prepared<{ user_id: string; at: number }>(
  sqlFor
    .updateTable('users')
    .set({ last_active_at: param('at') })
    .where('id', '=', param('user_id')),
)

export function sessions(db: Database): Store['sessions'] {
  return {
    async insert(session, client, event, once) {
      const inserted = await transitionOnce(
        db,
        once,
        { query: insert(session), required: true },
        { query: insertClient(client) },
        recordEvent(event),
      )
      return inserted !== undefined
    },

    find: id => db.get(find({ id })),
    findForMint: id => db.get(findForMint({ id })),
    listOfClient: client_id => db.all(listOfClient({ client_id })),

    list({ client_id, user_id, actor_sub, ...request }, page) {
      return readList(db, 'sessions', { ...request, ...page }, { client_id, user_id, actor_sub })
    },

    async finish(id, status, event) {
      const finished = await db.transition(
        { query: finish({ id, status }), required: true, revokes: true },
        recordEvent(event),
      )
      return finished?.[0]
    },

    async finishOverdue(limit, event) {
      const finished = await db.transition({
        query: finishOverdue({ limit }),
        revokes: true,
        next: overdue => recordEvents(overdue.map(event)),
      })
      return finished?.length ?? 0
    },

    async recordActivity(uses) {
      if (uses.length === 0) return
      await db.transition({
        query: recordActivity(uses),
        next: used =>
          used
            .filter(session => session.actor === null)
            .map(({ user_id, at }) => ({ query: recordUserActivity({ user_id, at }) })),
      })
    },
  }
}
