import type { AuditLogStore } from '../audit-store.ts'
import { changedColumns } from './facts.ts'
import type { DatabaseChecks } from './findings.ts'
import { holesOf } from './holes.ts'

/** Maximum rows outside the log that are named. */
const NAMED = 100

/**
 * Compares what only the database has with the entries of the log: the columns by which lists filter, and rows that the log
 * does not have.
 * @example for (const { message } of await databaseChecks(ctx.store.auditLog).outside()) print(message)
 */
export function databaseChecks(store: AuditLogStore): DatabaseChecks {
  return {
    // The texts themselves are checked by their hashes.
    async columns(from, entries) {
      const rows = await store.entries(from, from + entries.length)
      return rows.flatMap(row =>
        changedColumns(row)
          .filter(column => column !== 'event' && column !== 'personal')
          .map(column => ({
            kind: 'tampered' as const,
            message: `event ${row.leaf_index}: ${column} is not what was hashed`,
            from: row.leaf_index,
            to: row.leaf_index,
          })),
      )
    },

    // Rows that are newer than the last tick are not in the log yet.
    async outside() {
      const state = await store.state()
      if (!state) return []
      const rows = await store.outside({ after: 0, up_to: state.last_seq }, NAMED)
      // An event in a hole may be added at the next tick.
      const holes = holesOf(state.holes)
      const isLate = (seq: number) => holes.some(hole => seq >= hole.seq && seq < hole.seq + (hole.count ?? 1))
      const outside = rows.filter(({ seq }) => !isLate(seq))
      return outside.map(({ id }) => ({
        kind: 'tampered' as const,
        message: `${id} is in the database, not in the log`,
      }))
    },
  }
}
