import type { ExpressionBuilder } from 'kysely'
import type { SecretKeyRecord } from '../domain/records.ts'
import { type Store, UniqueValueTaken } from '../domain/store.ts'
import { transitionOnce } from './idempotency-keys.ts'
import { readPage } from './paging.ts'
import {
  type Database,
  dynamic,
  insertInto,
  now,
  param,
  prepared,
  recordEvent,
  sqlFor,
  UniqueViolation,
} from './query.ts'
import type { Tables } from './schema.ts'

const insertSecretKey = insertInto('secret_keys')

/** Selects keys that are neither revoked nor expired. */
const isUsable = (eb: ExpressionBuilder<Tables, 'secret_keys'>) =>
  eb.and([eb('revoked_at', 'is', null), eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)])])

const findByHash = prepared<{ hash: string }, SecretKeyRecord>(
  sqlFor.selectFrom('secret_keys').selectAll().where('hash', '=', param('hash')),
)

const findUsable = prepared<{ hash: string }, SecretKeyRecord>(
  sqlFor.selectFrom('secret_keys').selectAll().where('hash', '=', param('hash')).where(isUsable),
)

const revokeSecretKey = prepared<{ id: string }, SecretKeyRecord>(
  sqlFor
    .updateTable('secret_keys')
    .set({ revoked_at: now })
    .where('id', '=', param('id'))
    .where('revoked_at', 'is', null)
    .returningAll(),
)

export function secretKeys(db: Database): Store['secretKeys'] {
  return {
    async insert(key, event, once) {
      await transitionOnce(db, once, { query: insertSecretKey(key) }, recordEvent(event)).catch(error => {
        throw error instanceof UniqueViolation ? new UniqueValueTaken('key') : error
      })
    },

    findUsable: hash => db.get(findUsable({ hash })),
    findByHash: hash => db.get(findByHash({ hash })),
    async usableIds() {
      const usable = await db.all(dynamic(sqlFor.selectFrom('secret_keys').select('id').where(isUsable)))
      return usable.map(({ id }) => id)
    },

    all: () => db.all(dynamic(sqlFor.selectFrom('secret_keys').selectAll().orderBy('created_at').orderBy('id'))),

    list({ counted }, page) {
      const all = sqlFor.selectFrom('secret_keys')
      const { starting_after } = page
      const further = starting_after === undefined ? all : all.where('id', '<', starting_after)
      const rows = (limit: number, offset: number) =>
        further.selectAll().orderBy('id', 'desc').limit(limit).offset(offset)
      return readPage(db, { ...page, counted }, { rows, whole: [all], cursor: ({ id }) => id })
    },

    async revoke(id, event) {
      const revoked = await db.transition(
        { query: revokeSecretKey({ id }), required: true, revokes: true },
        recordEvent(event),
      )
      return revoked?.[0]
    },
  }
}
