import type { Rewrite } from './rewrites.ts'

/**
 * The schema, as an ordered list of changes. A released migration is never changed; each one runs in its own
 * transaction. Times are Unix milliseconds, JSON is text.
 *
 * During a rollout, nodes of this version and of the previous one run side by side, so a migration only adds. A later
 * version removes what is no longer used, in a migration whose name ends in `_contract`.
 */
export interface Migration {
  name: string
  /** Tables and indexes, with the types `text` and `integer`. Works for both databases: `postgresOf` translates it. */
  tables: string
  /** Statements for one database only. */
  sqlite?: string
  postgres?: string
  /** Values to change after the statements have run. */
  rewrites?: Rewrite[]
}
