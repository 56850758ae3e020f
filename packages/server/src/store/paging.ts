import { type Expression, type SqlBool, sql } from 'kysely'
import type { Counted, Found, Page } from '../domain/lists.ts'
import { type Database, long, sqlFor } from './query.ts'

/** A query over any table. */
// biome-ignore lint/suspicious/noExplicitAny: columns are checked by those who name them
export type Query = any

export type Condition = Expression<SqlBool>

/**
 * Maximum rows that a request tests against conditions that its index does not cover. If they fill no page, the page is
 * shorter than its limit, and the next one continues where this one stopped.
 */
export const MAX_EXAMINED = 1_000
/** Maximum rows that a request counts. */
export const MAX_COUNTED = 5_000

interface PageRequest extends Page {
  counted?: boolean | undefined
}

/** A list as queries, of which an index serves each. */
export interface List<R> {
  /** Returns the ordered query, already after the cursor. */
  rows: (limit: number, offset: number) => Query
  /**
   * Queries over disjoint rows that together have all rows of the list: without a position. Each is ordered, so that
   * PostgreSQL uses an index although it could also read the table until it has found enough rows.
   */
  whole: Query[]
  /** Conditions that the index does not cover. Columns in them have no table name. */
  rest?: Condition[]
  /** Returns the position of a row. */
  cursor: (row: R) => string
}

/** Reads one page of an ordered list. */
export async function readPage<R>(db: Database, request: PageRequest, list: List<R>): Promise<Found<R>> {
  const { limit, offset, counted, starting_after } = request
  const rest = list.rest ?? []
  // Read one row more, to find out whether there is a next page.
  const rows =
    rest.length === 0
      ? list.rows(limit + 1, offset)
      : tested(list.rows(MAX_EXAMINED, 0), rest)
          .limit(limit + 1)
          .offset(offset)
  const read = await db.all<R>(long(rows))
  const page = read.slice(0, limit)
  const last = read.length > limit ? page.at(-1) : await lastExamined(db, list)
  const next = last && list.cursor(last)
  const isShort = next !== undefined && page.length < limit
  if (!counted) return { rows: page, total: 0, next, isShort }
  // The last page of a list that is read by offset determines the count.
  if (next === undefined && starting_after === undefined && (page.length > 0 || offset === 0))
    return { rows: page, total: offset + page.length, next }
  return { rows: page, next, isShort, ...(await count(db, list.whole, rest)) }
}

/** Returns the row at which the server stopped reading, if it did. */
async function lastExamined<R>(db: Database, { rows, rest = [] }: List<R>): Promise<R | undefined> {
  return rest.length === 0 ? undefined : db.get<R>(long(rows(1, MAX_EXAMINED - 1)))
}

/** Selects those of the rows that meet the conditions. */
function tested(rows: Query, conditions: Condition[]): Query {
  return conditions.reduce(
    (query: Query, condition) => query.where(condition),
    (sqlFor.selectFrom(rows.as('examined')) as Query).selectAll(),
  )
}

/** Selects no column, so that reading the index is enough. */
const ONE = sql<number>`1`.as('one')

/**
 * Counts the rows of a list, up to a maximum.
 * @returns the count, and whether there can be more rows
 */
export async function count(
  db: Database,
  whole: Query[],
  rest: Condition[] = [],
  maximum = MAX_COUNTED,
): Promise<Counted> {
  let total = 0
  let isMinimum = false
  for (const part of whole) {
    // One row more than is counted, or than is tested, shows that there are more.
    const most = maximum - total + 1
    const rows =
      rest.length === 0 ? part.select(ONE).limit(most) : tested(part.selectAll().limit(MAX_EXAMINED), rest).limit(most)
    const row = await db.get(long<{ total: number }>(sql`select count(*) as total from ${rows} as found`))
    total += Number(row?.total ?? 0)
    if (total > maximum) return { total: maximum, isMinimum: true }
    if (rest.length > 0 && (await db.get(long(part.select(ONE).limit(1).offset(MAX_EXAMINED))))) isMinimum = true
  }
  return { total, isMinimum }
}
