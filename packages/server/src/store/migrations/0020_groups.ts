import type { Migration } from './migration.ts'

/**
 * The teams that a team is part of, and the tags that a tag is part of. Every change also adds a version of the policy: so
 * all that was decided before is decided again.
 */
export const migration: Migration = {
  name: '0020_groups',
  tables: `
create table groups (
  kind text not null check (kind in ('team', 'tag')),
  name text not null,
  -- Names of groups of the same kind, JSON.
  parents text not null,
  created_at integer not null,
  updated_at integer not null,
  primary key (kind, name)
);
`,
}
