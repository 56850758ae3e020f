import type { Migration } from './migration.ts'

/**
 * Who is acting now: few rows, because only sessions that are active are in the index. It is on an expression, so that no
 * other query uses it, and so that this list cannot use the primary key.
 */
export const migration: Migration = {
  name: '0024_acting',
  tables: `
create index sessions_acting on sessions ((id || '')) where status = 'active' and actor_sub is not null;
create index actors_updated_at on actors (updated_at);
`,
}
