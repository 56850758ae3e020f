import type { PolicyRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { readPage } from './paging.ts'
import { type Database, param, prepared, recordEvent, sqlFor } from './query.ts'
import { columns } from './schema.ts'

const find = prepared<{ version: number }, PolicyRecord>(
  sqlFor.selectFrom('policies').selectAll().where('version', '=', param('version')),
)

const currentVersion = prepared<object, { policy_version: number }>(
  sqlFor.selectFrom('instance').select('policy_version'),
)

/** Only the version that the change was based on can be replaced. */
const advance = prepared<{ version: number; based_on: number }, { policy_version: number }>(
  sqlFor
    .updateTable('instance')
    .set({ policy_version: param('version') })
    .where('policy_version', '=', param('based_on'))
    .returning('policy_version'),
)

const insert = prepared<PolicyRecord>(
  sqlFor
    .insertInto('policies')
    .values(Object.fromEntries(Object.keys(columns.policies).map(column => [column, param(column)])) as never),
)

/** The steps that put a version in force. The first decides: only the version that the change was based on is replaced. */
export const putVersion = (policy: PolicyRecord, basedOn: number) =>
  [
    { query: advance({ version: policy.version, based_on: basedOn }), required: true, revokes: true },
    { query: insert(policy) },
  ] as const

export function policies(db: Database): Store['policies'] {
  return {
    find: version => db.get(find({ version })),

    async current() {
      return (await db.get(currentVersion({})))?.policy_version ?? 0
    },

    list({ counted }, page) {
      const all = sqlFor.selectFrom('policies').where('version', '>', 0)
      const { starting_after = Number.MAX_SAFE_INTEGER } = page
      const further = all.where('version', '<', Number(starting_after))
      const rows = (limit: number, offset: number) =>
        further.selectAll().orderBy('version', 'desc').limit(limit).offset(offset)
      return readPage(db, { ...page, counted }, { rows, whole: [all], cursor: ({ version }) => String(version) })
    },

    async put(policy, basedOn, event) {
      return (await db.transition(...putVersion(policy, basedOn), recordEvent(event))) !== undefined
    },
  }
}
