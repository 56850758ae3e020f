import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0002_jwt_templates',
  tables: `
create table jwt_templates (
  id text primary key,
  name text not null unique,
  claims text not null,
  lifetime integer not null,
  allowed_clock_skew integer not null,
  created_at integer not null,
  updated_at integer not null
);
`,
}
