import { sql } from 'kysely'
import type { MinuteCounts } from '../domain/audit-store.ts'
import { cursorOf, partsOf } from '../domain/cursor.ts'
import type { AuditFilter, Page } from '../domain/lists.ts'
import type { AuditRecord, AuditRow, RefusedRequestsRecord } from '../domain/records.ts'
import type { Store } from '../domain/store.ts'
import { leafIndex } from './audit-log.ts'
import { type Condition, type List, type Query, readPage } from './paging.ts'
import { columnValue, type Database, long, param, prepared, recordEvent, sqlFor } from './query.ts'
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

    async list(filter, page) {
      const list = auditList(filter, await positionOf(db, filter, page), await endOf(db, filter))
      return readPage(db, { ...page, counted: filter.counted }, list)
    },

    async countByMinute(since) {
      const minutes = new Map<number, MinuteCounts>()
      for (const { minute, kind, count } of await db.all(countsSince(since))) {
        const at = Number(minute) * 60_000
        const counts = minutes.get(at) ?? { at, created: 0, redeemed: 0, refused: 0, ended: 0 }
        minutes.set(at, { ...counts, [kind]: Number(count) })
      }
      return [...minutes.values()]
    },

    find: (id, at) => db.get(findEvent({ id, at })),

    async endOfRange(filter, page, maximum) {
      const { rows } = auditList(filter, await positionOf(db, filter, { limit: 1, offset: 0, ...page }))
      const [last, next] = await db.all<{ seq: number }>(long(rows(2, maximum - 1)))
      return next && last?.seq
    },

    lastTime: async () => (await db.get(findLast({})))?.at,
  }
}

/** A position in the log: events are listed by time, newest first, and events of the same time by their number. */
interface Position {
  at: number
  seq: number
}

/** Returns where a page begins: after the event with this number, even if there is no such event. */
async function positionOf(db: Database, { before_seq }: AuditFilter, { starting_after }: Page) {
  const given = [before_seq, starting_after].filter(seq => seq !== undefined).map(Number)
  if (given.length === 0) return undefined
  const seq = Math.min(...given)
  const found = await db.get(eventUpTo({ seq }))
  return { at: found?.at ?? 0, seq }
}

/** Returns where a range ends. */
async function endOf(db: Database, { last_seq: seq }: AuditFilter): Promise<Position | undefined> {
  const found = seq === undefined ? undefined : await db.get(eventUpTo({ seq }))
  return found && seq !== undefined ? { at: found.at, seq } : undefined
}

/** Exported for the test of its plan. */
export const findEvent = prepared<{ id: string; at: number }, AuditRow>(
  sqlFor
    .selectFrom('audit_events')
    .selectAll()
    .select(leafIndex.as('leaf_index'))
    .where('outcome', 'in', [sql.lit('done' as const), sql.lit('refused' as const)])
    .where('at', '=', param('at'))
    .where('id', '=', param('id')),
)

/** What the events of a minute say, as conditions that the indexes of events by action and by time begin with. */
const COUNTED: Record<Exclude<keyof MinuteCounts, 'at'>, Condition> = {
  created: sql`action = 'actor_token.create' and outcome = 'done'`,
  redeemed: sql`action = 'actor_token.accept' and outcome = 'done'`,
  refused: sql`outcome = 'refused'`,
  ended: sql`action in ('session.end', 'session.remove', 'session.revoke', 'session.expire', 'session.abandon')
    and outcome = 'done' and actor_sub is not null`,
}

/** One range of an index for each count. Exported for the test of its plan. */
export const countsSince = (since: number) => {
  const parts = Object.entries(COUNTED).map(
    ([kind, condition]) => sql`select at / 60000 as minute, ${sql.lit(kind)} as kind, count(*) as count
      from audit_events where ${condition} and at >= ${since} group by at / 60000`,
  )
  return long<{ minute: number; kind: keyof typeof COUNTED; count: number }>(sql`${sql.join(parts, sql` union all `)}`)
}

const findLast = prepared<object, { at: number }>(
  sqlFor.selectFrom('audit_events').select('at').orderBy('at', 'desc').orderBy('seq', 'desc').limit(1),
)

const eventUpTo = prepared<{ seq: number }, { at: number }>(
  sqlFor.selectFrom('audit_events').select('at').where('seq', '<=', param('seq')).orderBy('seq', 'desc').limit(1),
)

/** The filters of which an index has few events per value, and then those of which it can have many. */
const RARE = ['trace_id', 'session_id', 'actor_token_id', 'code'] as const
const FREQUENT = ['user_id', 'actor_sub', 'principal_id', 'action'] as const

/** Returns the queries of a list of events. One index serves it: of the first filter that is given, or of the time. */
export function auditList(filter: AuditFilter, position?: Position, end?: Position): List<AuditRow> {
  const indexed = [...RARE, ...FREQUENT].find(column => filter[column] !== undefined)
  const rest = [...RARE, ...FREQUENT]
    .filter(column => column !== indexed && filter[column] !== undefined)
    .map(column => sql<boolean>`${sql.ref(column)} = ${filter[column]}`)
  let all: Query = sqlFor.selectFrom('audit_events')
  if (indexed) all = all.where(indexed, '=', filter[indexed])
  if (filter.after !== undefined) all = all.where('at', '>=', filter.after)
  if (filter.before !== undefined) all = all.where('at', '<', filter.before)
  if (end !== undefined) all = all.where(sql<boolean>`(at, seq) >= (${end.at}, ${end.seq})`)
  if (filter.principal_type !== undefined) rest.push(sql<boolean>`principal_type = ${filter.principal_type}`)
  const hasOutcome = !RARE.some(column => column === indexed)
  if (!hasOutcome && filter.outcome !== undefined) rest.push(sql<boolean>`outcome = ${filter.outcome}`)
  const outcomes = filter.outcome === undefined ? ['done', 'refused'] : [filter.outcome]
  const whole = hasOutcome ? outcomes.map(outcome => all.where('outcome', '=', sql.lit(outcome))) : [all]
  const parts = whole.map(part =>
    position ? part.where(sql<boolean>`(at, seq) < (${position.at}, ${position.seq})`) : part,
  )
  return {
    rows: newest(parts),
    whole: whole.map(part => part.orderBy('at', 'desc').orderBy('seq', 'desc')),
    rest,
    cursor: ({ seq }) => String(seq),
  }
}

function newest([first, second]: Query[]): List<unknown>['rows'] {
  const page = (query: Query, limit: number, offset: number): Query =>
    query.orderBy('at', 'desc').orderBy('seq', 'desc').limit(limit).offset(offset)
  if (!second) return (limit, offset) => page(first.selectAll().select(leafIndex.as('leaf_index')), limit, offset)
  const partOf = (part: Query, most: number): Query =>
    (sqlFor.selectFrom(page(part.select(['at', 'seq']), most, 0).as('part')) as Query).selectAll()
  // Limit each part too: then the databases merge the beginnings of the parts. They read whole rows for the page only.
  return (limit, offset) => {
    const positions = partOf(first, limit + offset).unionAll(partOf(second, limit + offset))
    const seqs = (sqlFor.selectFrom(page(positions, limit, offset).as('page')) as Query).select('seq')
    const events: Query = (sqlFor.selectFrom('audit_events') as Query).where('seq', 'in', seqs)
    return events.selectAll().select(leafIndex.as('leaf_index')).orderBy('at', 'desc').orderBy('seq', 'desc')
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
      const ordered = further.selectAll().orderBy('minute', 'desc').orderBy('address', 'desc').orderBy('code', 'desc')
      const rows = (limit: number, offset: number) => ordered.limit(limit).offset(offset)
      const cursor = ({ minute, address, code }: RefusedRequestsRecord) => cursorOf([minute, address, code])
      return readPage(db, { ...page, counted }, { rows, whole: [all], cursor })
    },

    async deleteBefore(before, limit) {
      return (await db.transition({ query: deleteRefusedBefore({ before, limit }) }))?.length ?? 0
    },
  }
}
