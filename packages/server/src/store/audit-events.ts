import { sql } from 'kysely'
import { cursorOf, partsOf } from '../domain/cursor.ts'
import type { AuditRecord, RefusedRequestsRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { readPage } from './paging.ts'
import { columnValue, type Database, param, prepared, recordEvent, sqlFor } from './query.ts'
import { columns } from './schema.ts'

const auditColumns = Object.keys(columns.audit_events) as (keyof typeof columns.audit_events)[]

/** Counts the refusals with this value in a column, up to the maximum. */
const refusals = (column: 'principal_id' | 'actor_token_id') =>
  sqlFor
    .selectFrom(
      sqlFor
        .selectFrom('audit_events')
        .select('seq')
        .where(column, '=', param(column))
        // A literal, so that the index of refusals can be used.
        .where('outcome', '=', sql.lit('refused'))
        .where('principal_type', '=', 'client')
        .where('at', '>=', param('since'))
        .limit(param('most'))
        .as('refusal'),
    )
    .select(eb => eb.fn.countAll().as('total'))

const insertRefusal = prepared<AuditRecord & { most: number; since: number }, { id: string }>(
  sqlFor
    .insertInto('audit_events')
    .columns(auditColumns)
    .expression(
      sqlFor
        .selectNoFrom(eb => auditColumns.map(column => eb.val(columnValue(column)).as(column)))
        .where(refusals('principal_id'), '<', param('most'))
        .where(refusals('actor_token_id'), '<', param('most')) as never,
    )
    .returning('id'),
)

export function auditEvents(db: Database): Store['audit'] {
  return {
    async append(event) {
      await db.transition(recordEvent(event))
    },

    async appendRefusal(event, bound) {
      const query = insertRefusal({ ...event, ...bound })
      const appended = await db.transition({ query, required: true, events: [event] })
      return appended !== undefined
    },

    list(filter, page) {
      let query = sqlFor.selectFrom('audit_events')
      for (const column of [
        'action',
        'outcome',
        'code',
        'user_id',
        'session_id',
        'actor_token_id',
        'actor_sub',
        'principal_id',
        'trace_id',
      ] as const) {
        const value = filter[column]
        if (value !== undefined) query = query.where(column, '=', value as never)
      }
      if (filter.after !== undefined) query = query.where('at', '>=', filter.after)
      if (filter.before !== undefined) query = query.where('at', '<', filter.before)
      const { starting_after = filter.before_seq?.toString() } = page
      let further = query
      for (const seq of [filter.before_seq, starting_after])
        if (seq !== undefined) further = further.where('seq', '<', Number(seq))
      const rows = further.selectAll().orderBy('seq', 'desc')
      const wanted = { ...page, counted: filter.counted, starting_after }
      return readPage(db, wanted, { rows, whole: [query], cursor: ({ seq }) => String(seq) })
    },
  }
}

const addRefused = prepared<{ minute: number; address: string; code: string; count: number }>(
  sqlFor
    .insertInto('refused_requests')
    .values({ minute: param('minute'), address: param('address'), code: param('code'), count: param('count') })
    .onConflict(conflict =>
      conflict
        .columns(['minute', 'address', 'code'])
        .doUpdateSet(eb => ({ count: eb('refused_requests.count', '+', eb.ref('excluded.count')) })),
    ),
)

const deleteRefusedBefore = prepared<{ before: number; limit: number }, { minute: number }>(
  sqlFor
    .deleteFrom('refused_requests')
    .where(eb =>
      eb(
        eb.refTuple('minute', 'address', 'code'),
        'in',
        eb
          .selectFrom('refused_requests as old')
          .select(['old.minute', 'old.address', 'old.code'])
          .where('old.minute', '<', param('before'))
          .limit(param('limit'))
          .forUpdate()
          .skipLocked()
          .$asTuple('minute', 'address', 'code'),
      ),
    )
    .returning('minute'),
)

export function refusedRequests(db: Database): Store['refusedRequests'] {
  return {
    async add([first, ...more]) {
      if (!first) return
      await db.transition({ query: addRefused(first) }, ...more.map(counts => ({ query: addRefused(counts) })))
    },

    list({ counted }, page) {
      const all = sqlFor.selectFrom('refused_requests')
      const position = page.starting_after === undefined ? undefined : partsOf(page.starting_after)
      const further = position ? all.where(sql<boolean>`(minute, address, code) < (${sql.join(position)})`) : all
      // The order of the primary key. Counts change while the list is read.
      const rows = further.selectAll().orderBy('minute', 'desc').orderBy('address', 'desc').orderBy('code', 'desc')
      const cursor = ({ minute, address, code }: RefusedRequestsRecord) => cursorOf([minute, address, code])
      return readPage(db, { ...page, counted }, { rows, whole: [all], cursor })
    },

    async deleteBefore(before, limit) {
      return (await db.transition({ query: deleteRefusedBefore({ before, limit }) }))?.length ?? 0
    },
  }
}
