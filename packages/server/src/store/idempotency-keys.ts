import { sql } from 'kysely'
import { REMEMBERED } from '../domain/idempotency.ts'
import type { IdempotencyKeyRecord } from '../domain/records.ts'
import { AlreadyCreated, type Store } from '../domain/store.ts'
import {
  type Database,
  insertInto,
  now,
  nowOnce,
  param,
  prepared,
  type Step,
  sqlFor,
  UniqueViolation,
} from './query.ts'

type Key = Pick<IdempotencyKeyRecord, 'owner' | 'operation' | 'key_hash'>

const insert = insertInto('idempotency_keys')

const find = prepared<Key, IdempotencyKeyRecord>(
  sqlFor
    .selectFrom('idempotency_keys')
    .selectAll()
    .where('owner', '=', param('owner'))
    .where('operation', '=', param('operation'))
    .where('key_hash', '=', param('key_hash'))
    .where('written_at', '>', sql<number>`${now} - ${sql.lit(REMEMBERED)}`),
)

const deleteIfExpired = prepared<Key>(
  sqlFor
    .deleteFrom('idempotency_keys')
    .where('owner', '=', param('owner'))
    .where('operation', '=', param('operation'))
    .where('key_hash', '=', param('key_hash'))
    .where('written_at', '<=', sql<number>`${now} - ${sql.lit(REMEMBERED)}`),
)

const deleteExpired = prepared<{ limit: number }, { key_hash: string }>(
  sqlFor
    .deleteFrom('idempotency_keys')
    .where(eb =>
      eb(
        eb.refTuple('owner', 'operation', 'key_hash'),
        'in',
        eb
          .selectFrom('idempotency_keys as old')
          .select(['old.owner', 'old.operation', 'old.key_hash'])
          .where('old.written_at', '<=', sql<number>`${nowOnce} - ${sql.lit(REMEMBERED)}`)
          .limit(param('limit'))
          .forUpdate()
          .skipLocked()
          .$asTuple('owner', 'operation', 'key_hash'),
      ),
    )
    .returning('key_hash'),
)

/**
 * Runs the steps that create something. With a key, the same transaction first stores the key: a second request with
 * that key waits there, before it has created anything.
 * @throws AlreadyCreated
 */
export async function transitionOnce<R>(
  db: Database,
  key: IdempotencyKeyRecord | undefined,
  first: Step<R>,
  ...more: Step[]
): Promise<unknown[] | undefined> {
  if (!key) return db.transition(first, ...more)
  try {
    return await db.transition({ query: deleteIfExpired(key) }, { query: insert(key) }, first as Step, ...more)
  } catch (error) {
    const known = error instanceof UniqueViolation && error.columns.startsWith('idempotency_keys.')
    throw known ? new AlreadyCreated() : error
  }
}

export function idempotencyKeys(db: Database): Store['idempotencyKeys'] {
  return {
    find: key => db.get(find(key)),
    async deleteExpired(limit) {
      return (await db.transition({ query: deleteExpired({ limit }) }))?.length ?? 0
    },
  }
}
