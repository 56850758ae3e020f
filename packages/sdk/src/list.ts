/** A page of a list, and the number of rows in the whole list. */
export interface Page<T> {
  data: T[]
  totalCount: number
  /** Where the next page begins: pass it as `startingAfter`. Left out on the last page. */
  nextCursor?: string
}

/**
 * A list. Await it for its first page; iterate over it with `for await` for all of its rows, page after page.
 *
 * Iterating follows positions, not counts: you may revoke, ban or delete what you are given, and nothing is skipped or
 * given twice. Rows that are added while you iterate are left out if the newest
 * come first.
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

/** Rows per page after the first one, unless the caller gave a `limit`. */
const PAGE = 100

interface Reading<T> {
  page: Page<T>
  /** The server has no cursors (Clerk's own API): the next page is read by its offset. */
  byOffset: boolean
}

/**
 * @param query what the caller asked for
 * @param read reads one page
 * @param movable rows can change their place in the list while it is read: each is given once, by its id
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
    for (let limit = query.limit ?? 10; page.data.length > 0; limit = next.limit) {
      const ids = page.data.map(row => Object(row).id)
      yield* page.data.filter((_, index) => ids[index] === undefined || !given.has(ids[index]))
      // By offset, what is added moves the end of a page to the beginning of the next.
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
