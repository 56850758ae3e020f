import { MAX_EXPORTED } from '../../contract/audit.ts'
import type { Context } from '../context.ts'
import type { AuditFilter, Page } from '../lists.ts'
import type { AuditRow } from '../records.ts'

/** Maximum events that are read at once. */
const SLICE = 200

export interface AuditExport {
  /** Where the next export continues; undefined if this one has the oldest events. */
  next: string | undefined
  /** Returns the next events, newest first; undefined after the last ones. Few or none of them may match the filters. */
  read(): Promise<AuditRow[] | undefined>
}

/** Prepares an export of audit events: a range of the log, which is read in slices. New events do not change it. */
export async function exportAuditEvents(
  ctx: Context,
  { starting_after, ...filter }: AuditFilter & Pick<Page, 'starting_after'>,
): Promise<AuditExport> {
  const { audit } = ctx.store
  const last_seq = await audit.endOfRange(filter, { starting_after }, MAX_EXPORTED)
  let after = starting_after
  let isOver = false
  return {
    next: last_seq?.toString(),
    async read() {
      if (isOver) return undefined
      const { rows, next } = await audit.list(
        { ...filter, last_seq },
        { limit: SLICE, offset: 0, starting_after: after },
      )
      after = next
      isOver = next === undefined
      return rows
    },
  }
}
