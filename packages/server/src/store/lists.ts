import { sql } from 'kysely'
import type { Found, Page } from '../domain/store.ts'
import { readPage } from './paging.ts'
import { type Database, now, nowOnce, sqlFor } from './query.ts'
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

type Equal = Record<string, string | undefined>

/**
 * Newest first. The order is by id, so a position in it is an id, whether or not there is still such a row.
 * @param equal the other filters. Few rows have the same user or actor, so those lists need no index of statuses
 */
export function listed<R extends { id: string }>(
  db: Database,
  table: Table,
  wanted: Wanted,
  equal: Equal,
): Promise<Found<R>> {
  const { whole, rows } = listQueries(table, wanted, equal)
  return readPage<R>(db, wanted, { rows, whole, cursor: row => row.id })
}

/** @returns the ordered query, and the queries over disjoint rows that it is put together from, without a position */
export function listQueries(table: Table, wanted: Wanted, equal: Equal): { whole: Query[]; rows: Query } {
  const { status, limit, offset, starting_after } = wanted
  const asked = Object.entries(equal).filter(([, value]) => value !== undefined)
  const few = asked.some(([column]) => column !== 'kind')
  const where = (query: Query): Query =>
    asked.reduce(
      // A literal, so that the indexes of sign-in tokens can be used.
      (narrowed, [column, value]) => narrowed.where(column, '=', column === 'kind' ? sql.lit(value) : value),
      query,
    )
  const all = sqlFor.selectFrom(table)
  const whole =
    status === undefined
      ? [where(all)]
      : few
        ? [where(all).where(statusNow[table], '=', status)]
        : queriesOf(table, status).map(where)
  // Written as the indexes of lists are, where one of them is to be used.
  const order = status === undefined || few ? sql.ref('id') : sql`id || ''`
  const newest = (part: Query): Query =>
    (starting_after === undefined ? part : part.where(order, '<', starting_after))
      .selectAll()
      .select(statusOf(table).as('status'))
      .orderBy(order, 'desc')
  const [first, ...more] = whole
  if (more.length === 0) return { whole, rows: newest(first).limit(limit).offset(offset) }
  // Each part is limited too, so that few rows are sorted.
  const shown = whole.map((part, i) =>
    sqlFor
      .selectFrom(
        newest(part)
          .limit(limit + offset + 1)
          .as(`part_${i}`) as never,
      )
      .selectAll(),
  )
  const rows: Query = shown.reduce((together: Query, part) => together.unionAll(part))
  return { whole, rows: rows.orderBy('id', 'desc').limit(limit).offset(offset) }
}
