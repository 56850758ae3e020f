import type { Migration } from './migration.ts'

/**
 * Users who are locked or protected: few of all. Both databases search the text of the metadata, because PostgreSQL cannot
 * index a part of JSON in a text; a query tests the exact member of the rows that the index finds.
 */
export const migration: Migration = {
  name: '0025_user_states',
  tables: `
create index users_locked on users (created_at, id) where locked_at is not null;
create index users_protected on users (created_at, id)
  where replace(private_metadata, '"protected":true', '') <> private_metadata;
`,
}
