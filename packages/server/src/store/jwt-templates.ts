import type { JwtTemplateRecord } from '../domain/records.ts'
import { type Store, UniqueValueTaken } from '../domain/store.ts'
import { transitionOnce } from './idempotency-keys.ts'
import { readPage } from './paging.ts'
import { type Database, dynamic, insertInto, param, prepared, recordEvent, sqlFor, UniqueViolation } from './query.ts'

const insert = insertInto('jwt_templates')

const find = prepared<{ id: string }, JwtTemplateRecord>(
  sqlFor.selectFrom('jwt_templates').selectAll().where('id', '=', param('id')),
)

const findByName = prepared<{ name: string }, JwtTemplateRecord>(
  sqlFor.selectFrom('jwt_templates').selectAll().where('name', '=', param('name')),
)

const remove = prepared<{ id: string }, { id: string }>(
  sqlFor.deleteFrom('jwt_templates').where('id', '=', param('id')).returning('id'),
)

export function jwtTemplates(db: Database): Store['jwtTemplates'] {
  return {
    async insert(template, event, once) {
      await asIdentifierExists(transitionOnce(db, once, { query: insert(template) }, recordEvent(event)))
    },

    find: id => db.get(find({ id })),
    findByName: name => db.get(findByName({ name })),

    list({ counted }, page) {
      const all = sqlFor.selectFrom('jwt_templates')
      const { starting_after } = page
      const further = starting_after === undefined ? all : all.where('id', '<', starting_after)
      const rows = (limit: number, offset: number) =>
        further.selectAll().orderBy('id', 'desc').limit(limit).offset(offset)
      return readPage(db, { ...page, counted }, { rows, whole: [all], cursor: ({ id }) => id })
    },

    async update(id, change, event) {
      const query = dynamic(sqlFor.updateTable('jwt_templates').set(change).where('id', '=', id).returningAll())
      return (await asIdentifierExists(db.transition({ query, required: true }, recordEvent(event))))?.[0]
    },

    async delete(id, event) {
      return (await db.transition({ query: remove({ id }), required: true }, recordEvent(event))) !== undefined
    },
  }
}

/** Reports a name that is already in use. The name is the only unique value that callers choose. */
async function asIdentifierExists<T>(change: Promise<T>): Promise<T> {
  try {
    return await change
  } catch (error) {
    throw error instanceof UniqueViolation && error.columns === 'jwt_templates.name'
      ? new UniqueValueTaken('name')
      : error
  }
}
