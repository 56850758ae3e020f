import type { Migration } from './migration.ts'

/** What expired first is deleted first. */
export const migration: Migration = {
  name: '0027_operator_purge',
  tables: `
create index operator_sessions_expires_at on operator_sessions (expires_at);
create index operator_links_expires_at on operator_links (expires_at);
`,
}
