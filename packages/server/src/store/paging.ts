import type { Found, Page } from '../domain/store.ts'
import { type Database, dynamic } from './query.ts'

/** A query over any table. */
// biome-ignore lint/suspicious/noExplicitAny: columns are checked by those who name them
type Query = any

interface PageRequest extends Page {
  counted?: boolean | undefined
}

/**
 * Reads one page of an ordered list.
 * @param rows the ordered query, already after the cursor
 * @param whole the queries to count: over disjoint rows, without a position
 * @param cursor returns the position of a row
 */
export async function readPage<R>(
  db: Database,
  { limit, offset, counted, starting_after }: PageRequest,
  { rows, whole, cursor }: { rows: Query; whole: Query[]; cursor: (row: R) => string },
): Promise<Found<R>> {
  // Read one row more, to find out whether there is a next page.
  const read = await db.all<R>(dynamic(rows.limit(limit + 1).offset(offset)))
  const page = read.slice(0, limit)
  const last = read.length > limit ? page.at(-1) : undefined
  const next = last && cursor(last)
  if (!counted) return { rows: page, total: 0, next }
  // The last page of a list that is read by offset determines the count.
  if (next === undefined && starting_after === undefined && (page.length > 0 || offset === 0))
    return { rows: page, total: offset + page.length, next }
  const totals = await Promise.all(whole.map(each => count(db, each)))
  return { rows: page, total: totals.reduce((sum, total) => sum + total, 0), next }
}

/** Counts all rows of a list. */
// biome-ignore lint/suspicious/noExplicitAny: a query over any table
export async function count(db: Database, query: { select(selection: any): any }): Promise<number> {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const row = await db.get(dynamic<{ total: number }>(query.select((eb: any) => eb.fn.countAll().as('total'))))
  return Number(row?.total ?? 0)
}
