import type { Migration } from './migration.ts'

/** What a token, and the session that it starts, may do: `read` or `write`, and a list of scopes, JSON. Null: unrestricted. */
export const migration: Migration = {
  name: '0018_access',
  tables: `
alter table actor_tokens add column access text not null default 'write';
alter table actor_tokens add column scopes text;
alter table sessions add column access text not null default 'write';
alter table sessions add column scopes text;
`,
}
