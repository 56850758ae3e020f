import type { Migration } from './migration.ts'

/** The rights of a secret key, separated by spaces, and when the key expires. Existing keys keep every right. */
export const migration: Migration = {
  name: '0015_secret_key_rights',
  tables: `
alter table secret_keys add column rights text not null default 'everything';
alter table secret_keys add column expires_at integer;
`,
}
