import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0011_confirmations',
  tables: `
-- The browser that confirmed on the accept page, so that its second click gets the same answer as the first.
alter table tickets add column confirmed_token_hash text;
alter table tickets add column confirmed_at integer;
`,
}
