import type { SecretKeyRecord } from '../domain/records.ts'
import { type Store, UniqueValueTaken } from '../domain/store.ts'
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

const insertSecretKey = insertInto('secret_keys')

const findByHash = prepared<{ hash: string }, SecretKeyRecord>(
  sqlFor.selectFrom('secret_keys').selectAll().where('hash', '=', param('hash')),
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
    async insert(key, event) {
      await db.transition({ query: insertSecretKey(key) }, recordEvent(event)).catch(error => {
        throw error instanceof UniqueViolation ? new UniqueValueTaken('key') : error
      })
    },

    findByHash: hash => db.get(findByHash({ hash })),
    list: () => db.all(dynamic(sqlFor.selectFrom('secret_keys').selectAll().orderBy('created_at').orderBy('id'))),

    async revoke(id, event) {
      const revoked = await db.transition(
        { query: revokeSecretKey({ id }), required: true, revokes: true },
        recordEvent(event),
      )
      return revoked?.[0]
    },
  }
}
