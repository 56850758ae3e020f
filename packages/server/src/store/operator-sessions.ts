import { sql } from 'kysely'
import type { UsableOperatorSession } from '../domain/operator-store.ts'
import { lowerRole } from '../domain/operators.ts'
import type { OperatorRecord, OperatorSessionRecord, OperatorSignInRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { readPage } from './paging.ts'
import { type Database, insertInto, now, nowOnce, param, prepared, recordEvent, type Step, sqlFor } from './query.ts'

export const insertSession = insertInto('operator_sessions')
const insertSignIn = insertInto('operator_sign_ins')

const find = prepared<{ id: string }, OperatorSessionRecord>(
  sqlFor.selectFrom('operator_sessions').selectAll().where('id', '=', param('id')),
)

/** Sessions that have not ended, of operators who are not disabled. */
const usable = sqlFor
  .selectFrom('operator_sessions as session')
  .innerJoin('operators', 'operators.id', 'session.operator_id')
  .where('session.ended_at', 'is', null)
  .where('session.expires_at', '>', now)
  .where('session.idle_expires_at', '>', now)
  .where('operators.disabled_at', 'is', null)

const findUsable = prepared<{ secret_hash: string }, UsableOperatorSession>(
  usable
    .selectAll('session')
    .select([
      'operators.iss as operator_iss',
      'operators.sub as operator_sub',
      'operators.actor_sub as operator_actor_sub',
      'operators.role as operator_role',
      'operators.name as operator_name',
      'operators.email as operator_email',
      'operators.role_source as operator_role_source',
    ])
    .where('session.secret_hash', '=', param('secret_hash')) as never,
)

const usableRoles = prepared<
  object,
  { id: string; role: OperatorRecord['role']; operator_role: OperatorRecord['role'] }
>(usable.select(['session.id', 'session.role', 'operators.role as operator_role']) as never)

const touch = prepared<{ id: string; idle: number }>(
  sqlFor
    .updateTable('operator_sessions')
    .set({ last_seen_at: now, idle_expires_at: sql<number>`${now} + ${param('idle')}` })
    .where('id', '=', param('id'))
    .where('ended_at', 'is', null)
    .where('idle_expires_at', '>', now),
)

const renew = prepared<
  Pick<OperatorSessionRecord, 'id' | 'operator_id' | 'secret_hash' | 'auth_at' | 'amr'> & { idle: number },
  OperatorSessionRecord
>(
  sqlFor
    .updateTable('operator_sessions')
    .set({
      secret_hash: param('secret_hash'),
      auth_at: param('auth_at'),
      amr: param('amr'),
      last_seen_at: now,
      idle_expires_at: sql<number>`${now} + ${param('idle')}`,
    })
    .where('id', '=', param('id'))
    .where('operator_id', '=', param('operator_id'))
    .where('ended_at', 'is', null)
    .where('expires_at', '>', now)
    .where('idle_expires_at', '>', now)
    .where(eb =>
      eb.exists(
        eb
          .selectFrom('operators')
          .select('operators.id')
          .whereRef('operators.id', '=', 'operator_sessions.operator_id')
          .where('operators.disabled_at', 'is', null),
      ),
    )
    .returningAll(),
)

const end = prepared<{ id: string }, OperatorSessionRecord>(
  sqlFor
    .updateTable('operator_sessions')
    .set({ ended_at: now })
    .where('id', '=', param('id'))
    .where('ended_at', 'is', null)
    .returningAll(),
)

/** As `end`, as a step of another change. */
export const endSessionOf = end

export const endSessionsOf = prepared<{ operator_id: string }>(
  sqlFor
    .updateTable('operator_sessions')
    .set({ ended_at: now })
    .where('operator_id', '=', param('operator_id'))
    .where('ended_at', 'is', null),
)

const findSignIn = prepared<{ secret_hash: string }, OperatorSignInRecord>(
  sqlFor
    .selectFrom('operator_sign_ins')
    .selectAll()
    .where('secret_hash', '=', param('secret_hash'))
    .where('expires_at', '>', now),
)

/** Takes a sign-in that has begun, so that it ends once. */
export const takeSignIn = prepared<{ secret_hash: string }, OperatorSignInRecord>(
  sqlFor
    .deleteFrom('operator_sign_ins')
    .where('secret_hash', '=', param('secret_hash'))
    .where('expires_at', '>', now)
    .returningAll(),
)

/** Maximum expired sign-ins that the beginning of another one deletes. */
const DELETED_AT_ONCE = 100

const deleteExpired = prepared<object>(
  sqlFor
    .deleteFrom('operator_sign_ins')
    .where('secret_hash', 'in', eb =>
      eb
        .selectFrom('operator_sign_ins as old')
        .select('old.secret_hash')
        .where('old.expires_at', '<=', nowOnce)
        .limit(sql.lit(DELETED_AT_ONCE))
        .forUpdate()
        .skipLocked(),
    ),
)

/** Counts a use, unless another request has counted one since the passkey was read. */
export const usePasskey = prepared<
  { id: string; use_count: number; known_count: number; last_used_at: number },
  { id: string }
>(
  sqlFor
    .updateTable('operator_passkeys')
    .set({ use_count: param('use_count'), last_used_at: param('last_used_at') })
    .where('id', '=', param('id'))
    .where('use_count', '=', param('known_count'))
    .returning('id'),
)

export function operatorSessions(db: Database): Store['operatorSessions'] {
  return {
    find: id => db.get(find({ id })),
    findUsable: secret_hash => db.get(findUsable({ secret_hash })),
    async usableRoles() {
      const rows = await db.all(usableRoles({}))
      return new Map(rows.map(({ id, role, operator_role }) => [id, lowerRole(role, operator_role)]))
    },

    list({ operator_id, counted }, page) {
      const all = sqlFor.selectFrom('operator_sessions')
      const chosen = operator_id === undefined ? all : all.where('operator_id', '=', operator_id)
      const { starting_after } = page
      const further = starting_after === undefined ? chosen : chosen.where('id', '<', starting_after)
      const rows = (limit: number, offset: number) =>
        further.selectAll().orderBy('id', 'desc').limit(limit).offset(offset)
      return readPage(db, { ...page, counted }, { rows, whole: [chosen.orderBy('id')], cursor: ({ id }) => id })
    },

    async touch(id, idle) {
      await db.transition({ query: touch({ id, idle }) })
    },

    async renew(session, idle, event, use) {
      const { id, operator_id, secret_hash, auth_at, amr } = session
      const renewal: Step<OperatorSessionRecord> = {
        query: renew({ id, operator_id, secret_hash, auth_at, amr, idle }),
        required: true,
      }
      const counted: Step[] = use ? [{ query: usePasskey(use), required: true }] : []
      return (await db.transition(renewal, ...counted, recordEvent(event)))?.[0]
    },

    async end(id, event) {
      return (await db.transition({ query: end({ id }), required: true, revokes: true }, recordEvent(event)))?.[0]
    },

    async begin(signIn) {
      await db.transition({ query: deleteExpired({}) }, { query: insertSignIn(signIn) })
    },

    findSignIn: secret_hash => db.get(findSignIn({ secret_hash })),

    async takeSignIn(secret_hash) {
      return (await db.transition({ query: takeSignIn({ secret_hash }), required: true }))?.[0]
    },
  }
}
