/** A page of a list, and how many there are in all. */
export interface Page<T> {
  data: T[]
  totalCount: number
}

/**
 * A list that was asked for: awaited, it is its first page; gone through with `for await`, it is all of it, page after page.
 *
 * @example
 * const { data, totalCount } = await stagedoor.users.list({ limit: 20 })
 * for await (const user of stagedoor.users.list({ banned: true })) console.log(user.id)
 */
export type List<T> = Promise<Page<T>> & AsyncIterable<T>

/** Which part of a list: as many as `limit`, from `offset` on. */
interface Part {
  limit?: number | undefined
  offset?: number | undefined
}

/** So many are asked for at once when all are gone through, unless told. */
const PAGE = 100

/**
 * @param query what was asked for
 * @param read reads one page of it
 * @param after what to ask for after a page; from the next offset on unless given
 */
export function listOf<T, Query extends Part>(
  query: Query,
  read: (query: Query) => Promise<Page<T>>,
  after?: (query: Query, last: T) => Query,
): List<T> {
  const first = read(query)
  async function* all(): AsyncGenerator<T, void, undefined> {
    let asked = query
    let page = await first
    let before = new Set<unknown>()
    for (let seen = query.offset ?? 0; page.data.length > 0; ) {
      // What is made meanwhile comes first, and moves the end of a page to the beginning of the next.
      const ids = page.data.map(item => Object(item).id)
      yield* page.data.filter((_, index) => ids[index] === undefined || !before.has(ids[index]))
      seen += page.data.length
      if (page.data.length < (asked.limit ?? 10)) return
      before = new Set(ids)
      const next = { ...asked, limit: query.limit ?? PAGE }
      asked = after ? after(next, page.data.at(-1) as T) : { ...next, offset: seen }
      page = await read(asked)
    }
  }
  return Object.assign(first, { [Symbol.asyncIterator]: all })
}
