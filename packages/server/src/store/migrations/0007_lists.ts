import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0007_lists',
  tables: `
-- Lists by status alone, newest first. On expressions, so that no other query uses them (half of all rows may have one
-- status), and so that these lists cannot use the primary key: it has the same order, but also rows of every other status.
create index tickets_status on tickets ((status || ''), (id || ''));
create index sessions_status on sessions ((status || ''), (id || ''));
`,
}
