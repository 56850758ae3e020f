import { setImmediate as nextTurn } from 'node:timers/promises'
import type { z } from 'zod'
import { invalidParam } from '../../contract/errors.ts'
import type { Operation } from '../../contract/operation.ts'
import type { Context } from '../../domain/context.ts'
import type { Counted, Found } from '../../domain/lists.ts'
import { answerText } from '../answer.ts'
import { masked } from '../console/masking.ts'
import { type Http, mount } from '../mount.ts'

/** Rows that are presented and written as JSON before other requests get a turn. */
const ROWS_PER_TURN = 10

interface ListQuery {
  offset: number
  paginated: boolean
  total_count: boolean
}

/** Connects the operation of a list to the rule that reads it and the function that presents each row. */
export function mountList<Q extends z.ZodType<ListQuery>, R extends z.ZodType, P extends string, T, Row>(
  http: Http,
  operation: Operation<z.ZodType, Q, R, P>,
  read: (ctx: Context, input: z.output<Q> & { counted: boolean }) => Promise<Found<T>>,
  present: (ctx: Context, row: T) => Row,
): void {
  mount(http, operation, (ctx, { query, headers }) =>
    http.options.lists.run(async () => {
      // Rows are counted only if the answer includes the count.
      const counted = query.paginated && query.total_count
      const found = await read(ctx, { ...query, counted })
      assertComplete(found, query)
      const parts: string[] = []
      for (let first = 0; first < found.rows.length; first += ROWS_PER_TURN) {
        if (first > 0) await nextTurn()
        const presented = found.rows
          .slice(first, first + ROWS_PER_TURN)
          .map(row => masked(ctx, operation, present(ctx, row)))
        parts.push(JSON.stringify(presented).slice(1, -1))
      }
      const data = `[${parts.join(',')}]`
      const text = query.paginated ? pageOf(data, found, counted) : data
      if (http.options.checkResponses) operation.response.parse(JSON.parse(text))
      return answerText(text, 200, headers)
    }),
  )
}

/** Refuses what would look like a whole page, or a whole list, and is not. */
function assertComplete({ isShort }: Found<unknown>, { paginated, offset }: ListQuery): void {
  if (isShort && (!paginated || offset > 0)) throw invalidParam(paginated ? 'offset' : 'paginated', READ_ON)
}

const READ_ON =
  'Few rows match this combination of filters, and the server stopped searching. Send `paginated=true` without `offset` and continue with `next_cursor`, or leave out a filter.'

/** Returns a page as JSON. @param data its rows, as JSON */
function pageOf(data: string, { total, isMinimum = false, next }: Found<unknown>, counted: boolean): string {
  const more = {
    ...(counted ? presentCount({ total, isMinimum }) : {}),
    ...(next === undefined ? {} : { next_cursor: next }),
  }
  const members = JSON.stringify(more).slice(1, -1)
  return `{"data":${data}${members === '' ? '' : `,${members}`}}`
}

/** Returns the members of an answer that tell how many rows there are. */
export function presentCount({ total, isMinimum }: Counted) {
  return isMinimum ? { total_count: total, total_count_is_minimum: true as const } : { total_count: total }
}
