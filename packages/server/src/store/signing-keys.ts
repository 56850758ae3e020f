import type { SigningKeyRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { type Database, dynamic, insertInto, param, prepared, recordEvent, sqlFor } from './query.ts'

const insertSigningKey = insertInto('signing_keys')

const keyringVersion = prepared<object, { keyring_version: number }>(
  sqlFor.selectFrom('instance').select('keyring_version'),
)

/** Succeeds if no key has changed since `version`. The new version tells every reader that the keys changed. */
const changeKeyring = prepared<{ version: number }, { id: string }>(
  sqlFor
    .updateTable('instance')
    .set(eb => ({ keyring_version: eb('keyring_version', '+', 1) }))
    .where('keyring_version', '=', param('version'))
    .returning('id'),
)

const extendSigning = prepared<{ id: string; until: number }>(
  sqlFor
    .updateTable('signing_keys')
    .set({ signs_until: param('until') })
    .where('id', '=', param('id'))
    .where('signs_until', '<', param('until')),
)

export function signingKeys(db: Database): Store['signingKeys'] {
  return {
    async keyring() {
      const version = (await db.get(keyringVersion({})))?.keyring_version ?? 0
      const keys = await db.all(
        dynamic(sqlFor.selectFrom('signing_keys').selectAll().orderBy('created_at').orderBy('id')),
      )
      return { version, keys }
    },

    async change(version, { insert, update }, event) {
      // The outgoing key first: at any moment there is at most one active and one next key per algorithm.
      const updates = update.map(({ id, status, retired_at, forget }) => ({
        query: dynamic(
          sqlFor
            .updateTable('signing_keys')
            .set({
              status,
              ...(retired_at === undefined ? {} : { retired_at }),
              ...(forget ? { sealed_private_key: null } : {}),
            })
            .where('id', '=', id),
        ),
      }))
      const changed = await db.transition(
        { query: changeKeyring({ version }), required: true, revokes: true },
        ...updates,
        ...insert.map((key: SigningKeyRecord) => ({ query: insertSigningKey(key) })),
        recordEvent(event),
      )
      return changed !== undefined
    },

    async recordLongLivedToken(id, until) {
      await db.transition({ query: extendSigning({ id, until }) })
    },
  }
}
