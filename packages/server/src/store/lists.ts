import { sql } from 'kysely'
import type { Found, Page } from '../domain/store.ts'
import { count } from './audit-events.ts'
import { bound, type Database, now, nowOnce, sqlFor } from './query.ts'
import { notStamped, stamped, statusOf } from './revocations.ts'

/**
 * Lists of what has a certain status now. What is written in the row may be a second behind: its time is over, or it was
 * revoked with everything of a user's. So it is asked for twice: the rows that say so, and the few that should. Each can
 * be found by an index, newest first, however many there are.
 */

type Table = 'sessions' | 'tickets'

/** What a row says while it can be used. */
const ALIVE = { sessions: 'active', tickets: 'pending' } as const

/** What a session's status is now, whether or not its end has been written down: domain/sessions.ts statusAt, in SQL. */
const sessionStatus = sql<string>`case when ${statusOf('sessions')} <> 'active' then ${statusOf('sessions')} when expire_at <= ${now} then 'expired' when abandon_at <= ${now} then 'abandoned' else 'active' end`

/** The status as of now. */
const statusNow = { sessions: sessionStatus, tickets: statusOf('tickets') }

/** What a row says, as the indexes of lists have it. */
const says = (value: string) => sql<boolean>`status || '' = ${sql.lit(value)}`

/** Of a row that says it is alive: it is. Not by its `statusNow`, of which PostgreSQL cannot tell how many have it. */
const stillSo = {
  tickets: notStamped('tickets'),
  sessions: sql<boolean>`${notStamped('sessions')} and expire_at > ${now} and abandon_at > ${now}`,
}

/** Nobody is searched for unless something was revoked at large a moment ago. */
const whileMarking = (table: Table) =>
  sql<boolean>`exists (select 1 from not_before where marked_at is null) and ${says(ALIVE[table])} and ${stamped(table)}`

/** Rows that still say they are alive, and are not: those that can be of this status, and a few more. */
const overdue: Record<Table, Record<string, ReturnType<typeof says>>> = {
  tickets: { revoked: whileMarking('tickets') },
  sessions: {
    revoked: whileMarking('sessions'),
    expired: sql<boolean>`status = 'active' and expire_at <= ${nowOnce}`,
    abandoned: sql<boolean>`status = 'active' and abandon_at <= ${nowOnce}`,
  },
}

/** The queries that together find every row of a table with this status, each no row of another's. */
function queriesOf(table: Table, status: string) {
  const all = sqlFor.selectFrom(table)
  if (status === ALIVE[table]) return [all.where(says(status)).where(stillSo[table])]
  const late = overdue[table][status]
  if (!late) return [all.where(says(status))]
  const ids = all.where(late).where(statusNow[table], '=', status).select('id')
  return [all.where(says(status)), all.where('id', 'in', ids as never)]
}

/** Over either table. */
// biome-ignore lint/suspicious/noExplicitAny: columns are checked by those who name them
type Query = any

interface Wanted extends Page {
  status?: string | undefined
  counted?: boolean | undefined
}

/**
 * Newest first.
 * @param equal what else is asked for, about whom; what few have is looked through without an index of statuses
 */
export async function listed<R>(
  db: Database,
  table: Table,
  wanted: Wanted,
  equal: Record<string, string | undefined>,
): Promise<Found<R>> {
  const { parts, rows } = listQueries(table, wanted, equal)
  const totals = wanted.counted ? await Promise.all(parts.map(part => count(db, part))) : [0]
  return { rows: await db.all<R>(bound(rows)), total: totals.reduce((sum, total) => sum + total, 0) }
}

/** @returns the query, and those that it is put together from */
export function listQueries(table: Table, wanted: Wanted, equal: Record<string, string | undefined>) {
  const { status, limit, offset } = wanted
  const asked = Object.entries(equal).filter(([, value]) => value !== undefined)
  const few = asked.some(([column]) => column !== 'kind')
  const where = (query: Query): Query =>
    asked.reduce((narrowed, [column, value]) => narrowed.where(column, '=', value), query)
  const all = sqlFor.selectFrom(table)
  const parts =
    status === undefined
      ? [where(all)]
      : few
        ? [where(all).where(statusNow[table], '=', status)]
        : queriesOf(table, status).map(where)
  // As the indexes of lists have it, where one of them is to be taken.
  const order = status === undefined || few ? 'id' : sql`id || ''`
  const newest = (part: Query, most: number): Query =>
    part.selectAll().select(statusOf(table).as('status')).orderBy(order, 'desc').limit(most)
  const [first, ...more] = parts
  if (more.length === 0) return { parts, rows: newest(first, limit).offset(offset) }
  // Of each no more than could be shown, so that few are sorted.
  const shown = parts.map((part, i) =>
    sqlFor.selectFrom(newest(part, limit + offset).as(`part_${i}`) as never).selectAll(),
  )
  const rows: Query = shown.reduce((together: Query, part) => together.unionAll(part))
  return { parts, rows: rows.orderBy('id', 'desc').limit(limit).offset(offset) }
}
