/** SQL that reads the clock and the state of a PostgreSQL server. */

/** The time by the database's clock when this is evaluated, Unix ms. */
export const TIME = 'floor(extract(epoch from clock_timestamp()) * 1000)::bigint'

/** Whether this is a standby, or a primary that an operator has made read-only: its data may be old. */
export const READ_ONLY = "current_setting('transaction_read_only') = 'on'"

/** The time when the transaction began, which is before it reads anything. Null on a read-only database. */
export const READ_TIME = `case when ${READ_ONLY} then null else floor(extract(epoch from transaction_timestamp()) * 1000)::bigint end`

/**
 * Whether a commit waits for a synchronous standby that does not answer. It would wait forever, and keep its
 * connection.
 */
const UNCONFIRMED =
  "exists (select from pg_stat_activity where wait_event = 'SyncRep' and query_start < clock_timestamp() - interval '3 seconds')"

/** Reads the clock. Returns one `ClockReading`; its `now` is null on a read-only database. */
export const READ_CLOCK = `select case when ${READ_ONLY} then null else ${TIME} end as now, ${UNCONFIRMED} as unconfirmed`

export interface ClockReading {
  now: number
  unconfirmed: boolean
}
