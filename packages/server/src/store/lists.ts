import { sql } from 'kysely'
import type { Found, Page } from '../domain/store.ts'
import { readPage } from './paging.ts'
import { type Database, now, nowOnce, sqlFor } from './query.ts'
import { coveredByCutoff, notCoveredByCutoff, statusOf } from './revocations.ts'

/**
 * Lists of rows that have a certain status now. The stored status can be about a second behind: the row has expired, or
 * a bulk revocation covers it. So a list has two queries: for the rows that are stored with the status, and for the few
 * that have it but are not yet stored with it. An index finds each of them, newest first, at any size.
 */

type Table = 'sessions' | 'actor_tokens'

/** The stored status of a usable row. */
const USABLE = { sessions: 'active', actor_tokens: 'pending' } as const

/** A session's status now, even if its end is not stored yet: `statusAt` in domain/sessions.ts, as SQL. */
const sessionStatus = sql<string>`case when ${statusOf('sessions')} <> 'active' then ${statusOf('sessions')} when expire_at <= ${now} then 'expired' when abandon_at <= ${now} then 'abandoned' else 'active' end`

/** The status now. */
const statusNow = { sessions: sessionStatus, actor_tokens: statusOf('actor_tokens') }

/** The stored status, in the form that the indexes of lists use. */
const hasStoredStatus = (value: string) => sql<boolean>`status || '' = ${sql.lit(value)}`

/**
 * Whether a row that is stored as usable still is. Does not use `statusNow`, because PostgreSQL cannot estimate how
 * many rows match it.
 */
const stillUsable = {
  actor_tokens: notCoveredByCutoff('actor_tokens'),
  sessions: sql<boolean>`${notCoveredByCutoff('sessions')} and expire_at > ${now} and abandon_at > ${now}`,
}

/** Whether a bulk revocation covers a row that it has not marked yet. Searches only while there is such a revocation. */
const revokedButNotMarked = (table: Table) =>
  sql<boolean>`exists (select 1 from cutoffs where applied_at is null) and ${hasStoredStatus(USABLE[table])} and ${coveredByCutoff(table)}`

/** Rows that are stored as usable but are not: all that can have this status now, and a few more. */
const notYetStored: Record<Table, Record<string, ReturnType<typeof hasStoredStatus>>> = {
  actor_tokens: { revoked: revokedButNotMarked('actor_tokens') },
  sessions: {
    revoked: revokedButNotMarked('sessions'),
    expired: sql<boolean>`status = 'active' and expire_at <= ${nowOnce}`,
    abandoned: sql<boolean>`status = 'active' and abandon_at <= ${nowOnce}`,
  },
}

/** Returns disjoint queries that together find every row of a table with this status. */
function queriesOf(table: Table, status: string) {
  const all = sqlFor.selectFrom(table)
  if (status === USABLE[table]) return [all.where(hasStoredStatus(status)).where(stillUsable[table])]
  const candidates = notYetStored[table][status]
  if (!candidates) return [all.where(hasStoredStatus(status))]
  const ids = all.where(candidates).where(statusNow[table], '=', status).select('id')
  return [all.where(hasStoredStatus(status)), all.where('id', 'in', ids as never)]
}

/** A query over either table. */
// biome-ignore lint/suspicious/noExplicitAny: columns are checked by those who name them
type Query = any

interface ListRequest extends Page {
  status?: string | undefined
  counted?: boolean | undefined
}

type Equal = Record<string, string | undefined>

/**
 * Reads a page of a list, newest first. The order is by id, so a position is an id, even if its row no longer exists.
 * @param equal the other filters. Few rows have the same user or actor, so those lists need no index on the status
 */
export function readList<R extends { id: string }>(
  db: Database,
  table: Table,
  request: ListRequest,
  equal: Equal,
): Promise<Found<R>> {
  const { whole, rows } = listQueries(table, request, equal)
  return readPage<R>(db, request, { rows, whole, cursor: row => row.id })
}

/** @returns the ordered query, and the disjoint queries without a position that it consists of */
export function listQueries(table: Table, request: ListRequest, equal: Equal): { whole: Query[]; rows: Query } {
  const { status, limit, offset, starting_after } = request
  const filters = Object.entries(equal).filter(([, value]) => value !== undefined)
  const isSelective = filters.some(([column]) => column !== 'kind')
  const where = (query: Query): Query =>
    filters.reduce(
      // A literal, so that the indexes of sign-in tokens can be used.
      (filtered, [column, value]) => filtered.where(column, '=', column === 'kind' ? sql.lit(value) : value),
      query,
    )
  const all = sqlFor.selectFrom(table)
  const whole =
    status === undefined
      ? [where(all)]
      : isSelective
        ? [where(all).where(statusNow[table], '=', status)]
        : queriesOf(table, status).map(where)
  // In the form of the indexes of lists, if one of them is to be used.
  const order = status === undefined || isSelective ? sql.ref('id') : sql`id || ''`
  const newest = (part: Query): Query =>
    (starting_after === undefined ? part : part.where(order, '<', starting_after))
      .selectAll()
      .select(statusOf(table).as('status'))
      .orderBy(order, 'desc')
  const [first, ...more] = whole
  if (more.length === 0) return { whole, rows: newest(first).limit(limit).offset(offset) }
  // Limit each part too, so that few rows are sorted.
  const parts = whole.map((part, i) =>
    sqlFor
      .selectFrom(
        newest(part)
          .limit(limit + offset + 1)
          .as(`part_${i}`) as never,
      )
      .selectAll(),
  )
  const rows: Query = parts.reduce((union: Query, part) => union.unionAll(part))
  return { whole, rows: rows.orderBy('id', 'desc').limit(limit).offset(offset) }
}
