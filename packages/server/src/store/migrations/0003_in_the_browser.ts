import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0003_in_the_browser',
  tables: `
alter table tickets add column return_url text;
alter table sessions add column parked_session_id text;
alter table clients add column previous_token_hash text;
`,
}
