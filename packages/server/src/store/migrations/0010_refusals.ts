import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0010_refusals',
  tables: `
-- Finds the refused requests of one caller: browsers may add only a few of them to the log.
create index audit_events_refused on audit_events (principal_id, at) where outcome = 'refused';
`,
}
