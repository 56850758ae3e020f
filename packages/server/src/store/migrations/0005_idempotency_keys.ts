import type { Migration } from './migration.ts'

export const migration: Migration = {
  name: '0005_idempotency_keys',
  tables: `
create table idempotency_keys (
  owner text not null,
  operation text not null,
  key_hash text not null,
  body_hash text not null,
  made_id text not null,
  written_at integer not null,
  primary key (owner, operation, key_hash)
);
create index idempotency_keys_old on idempotency_keys (written_at);
`,
}
