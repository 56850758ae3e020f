import { sql } from 'kysely'
import type { Found, Page } from '../domain/store.ts'
import { count } from './audit-events.ts'
import { bound, type Database, now, nowOnce, sqlFor } from './query.ts'
import { stamped, statusOf } from './revocations.ts'

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

/** Rows that still say they are alive, and are not: those that can be of this status, and a few more. */
const overdue: Record<Table, Record<string, ReturnType<typeof sql<boolean>>>> = {
  tickets: { revoked: whileMarking('tickets') },
  sessions: {
    revoked: whileMarking('sessions'),
    expired: sql<boolean>`expire_at <= ${nowOnce}`,
    abandoned: sql<boolean>`abandon_at <= ${nowOnce}`,
  },
}

/** Nobody is searched for unless something was revoked at large a moment ago. */
function whileMarking(table: Table) {
  return sql<boolean>`exists (select 1 from not_before where marked_at is null) and ${stamped(table)}`
}

/** The queries that together find every row of a table with this status, each no row of another's. */
function queriesOf(table: Table, status: string) {
  const says = (value: string) => sqlFor.selectFrom(table).where('status', '=', sql.lit(value) as never)
  if (status === ALIVE[table]) return [says(status).where(statusNow[table], '=', status)]
  const late = overdue[table][status]
  if (!late) return [says(status)]
  const ids = says(ALIVE[table]).where(late).where(statusNow[table], '=', status).select('id')
  return [says(status), sqlFor.selectFrom(table).where('id', 'in', ids as never)]
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
  const newest = (part: Query, most: number): Query =>
    part.selectAll().select(statusOf(table).as('status')).orderBy('id', 'desc').limit(most)
  const [first, ...more] = parts
  if (more.length === 0) return { parts, rows: newest(first, limit).offset(offset) }
  // Of each no more than could be shown, so that few are sorted.
  const shown = parts.map((part, i) =>
    sqlFor.selectFrom(newest(part, limit + offset).as(`part_${i}`) as never).selectAll(),
  )
  const rows: Query = shown.reduce((together: Query, part) => together.unionAll(part))
  return { parts, rows: rows.orderBy('id', 'desc').limit(limit).offset(offset) }
}
