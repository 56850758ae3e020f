/** A page of a list, and the number of rows in the whole list. */
export interface Page<T> {
  data: T[]
  totalCount: number
  /** Present if there can be more rows: the server stopped counting at `totalCount`. */
  totalCountIsMinimum?: true
  /**
   * Position of the next page: pass it as `startingAfter`. Omitted on the last page. If few rows match several filters,
   * a page before the last one can have fewer rows than its limit, or none.
   */
  nextCursor?: string
}

/**
 * A list. Await it to get its first page; iterate over it with `for await` to get all rows, page after page.
 *
 * Iteration uses positions, not counts: you may revoke, ban or delete the rows that you get, and no row is skipped or
 * returned twice. If the newest rows come first, rows that are added during iteration are not included.
 *
 * @example
 * const { data, totalCount } = await stagedoor.users.list({ limit: 20 })
 * for await (const user of stagedoor.users.list({ banned: true })) console.log(user.id)
 */
export type List<T> = Promise<Page<T>> & AsyncIterable<T>

interface Part {
  limit?: number | undefined
  offset?: number | undefined
}

/** Default rows per page after the first one. */
const PAGE = 100

interface Reading<T> {
  page: Page<T>
  /** The server has no cursors (Clerk's own API): the next page is read by its offset. */
  byOffset: boolean
}

/**
 * Creates a list.
 * @param query the caller's query
 * @param read reads one page
 * @param movable whether rows can change their position while the list is read; rows are then deduplicated by id
 */
export function listOf<T>(query: Part, read: (query: object) => Promise<Reading<T>>, movable = false): List<T> {
  let byOffset = false
  const readPage = async (part: object): Promise<Page<T>> => {
    const reading = await read(part)
    byOffset = reading.byOffset
    return reading.page
  }
  const first = readPage(query)
  async function* all(): AsyncGenerator<T, void, undefined> {
    const next = { ...query, limit: query.limit ?? PAGE }
    let page = await first
    let offset = query.offset ?? 0
    let given = new Set<unknown>()
    // A page with a next one can be empty: the server stopped searching before it found a row.
    for (let limit = query.limit ?? 10; page.data.length > 0 || page.nextCursor !== undefined; limit = next.limit) {
      const ids = page.data.map(row => Object(row).id)
      yield* page.data.filter((_, index) => ids[index] === undefined || !given.has(ids[index]))
      // With offsets, added rows shift the end of one page to the beginning of the next.
      if (!movable) given = new Set()
      for (const id of ids) given.add(id)
      offset += page.data.length
      const { nextCursor } = page
      if (nextCursor !== undefined)
        page = await readPage({ ...next, offset: undefined, startingAfter: nextCursor, totalCount: false })
      else if (!byOffset || page.data.length < limit) return
      else page = await readPage({ ...next, offset })
    }
  }
  return Object.assign(first, { [Symbol.asyncIterator]: all })
}
