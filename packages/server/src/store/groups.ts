import type { GroupRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { readPage } from './paging.ts'
import { putVersion } from './policies.ts'
import { type Database, param, prepared, recordEvent, sqlFor } from './query.ts'
import { columns } from './schema.ts'

const all = prepared<object, GroupRecord>(sqlFor.selectFrom('groups').selectAll())

const find = prepared<Pick<GroupRecord, 'kind' | 'name'>, GroupRecord>(
  sqlFor.selectFrom('groups').selectAll().where('kind', '=', param('kind')).where('name', '=', param('name')),
)

const put = prepared<GroupRecord>(
  sqlFor
    .insertInto('groups')
    .values(Object.fromEntries(Object.keys(columns.groups).map(column => [column, param(column)])) as never)
    .onConflict(conflict =>
      conflict
        .columns(['kind', 'name'])
        .doUpdateSet(eb => ({ parents: eb.ref('excluded.parents'), updated_at: eb.ref('excluded.updated_at') })),
    ),
)

const remove = prepared<Pick<GroupRecord, 'kind' | 'name'>>(
  sqlFor.deleteFrom('groups').where('kind', '=', param('kind')).where('name', '=', param('name')),
)

export function groups(db: Database): Store['groups'] {
  return {
    all: () => db.all(all({})),
    find: (kind, name) => db.get(find({ kind, name })),

    list({ kind, counted }, page) {
      const ofKind = sqlFor.selectFrom('groups').where('kind', '=', kind)
      const { starting_after = '' } = page
      const further = ofKind.where('name', '>', starting_after)
      const rows = (limit: number, offset: number) => further.selectAll().orderBy('name').limit(limit).offset(offset)
      return readPage(db, { ...page, counted }, { rows, whole: [ofKind.orderBy('name')], cursor: ({ name }) => name })
    },

    async put(group, policy, basedOn, event) {
      const steps = [...putVersion(policy, basedOn), { query: put(group) }, recordEvent(event)] as const
      return (await db.transition(...steps)) !== undefined
    },

    async delete({ kind, name }, policy, basedOn, event) {
      const steps = [...putVersion(policy, basedOn), { query: remove({ kind, name }) }, recordEvent(event)] as const
      return (await db.transition(...steps)) !== undefined
    },
  }
}
