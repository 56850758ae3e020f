import type { Migration } from './migration.ts'

/**
 * The address of the browser that redeemed the ticket, and the reason that the actor token stated. Null in sessions that
 * started earlier.
 */
export const migration: Migration = {
  name: '0021_session_ip',
  tables: `
alter table sessions add column ip text;
alter table sessions add column reason text;
`,
}
